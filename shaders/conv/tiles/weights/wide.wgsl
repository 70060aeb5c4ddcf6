// Eight quads of inputs at a time; pieces of 4 rows.
const inputs = 8u;
const parts = 2u;
const parts_across = 1u;
