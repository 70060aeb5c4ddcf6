// One quad of inputs at a time, for layers that have few; pieces of 8 rows.
const inputs = 1u;
const parts = 8u;
const parts_across = 2u;
