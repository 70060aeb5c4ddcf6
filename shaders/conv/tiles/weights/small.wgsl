// Four quads of inputs at a time, pieces of 4 rows: what 16 KiB of workgroup memory hold.
const inputs = 4u;
const parts = 4u;
const parts_across = 2u;
