// What the kernels of the lane body, for subgroups of 8, share: those in conv/lanes/.

// Activations and their gradients are storage textures: these adapters read them in a quarter of the time of a buffer.
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(7) var d_y: texture_storage_2d<rgba32float, read>;
@group(0) @binding(8) var d_x: texture_storage_2d<rgba32float, write>;
@group(0) @binding(15) var weight_quads: texture_storage_2d<rgba32float, read>;   // `weights`, as the direct kernels read them

// Where quad i of a texture lies.
fn texel(i: u32) -> vec2<u32> {
    return vec2(i & 4095u, i >> 12u);
}
fn x_at(i: u32) -> vec4<f32> {
    return textureLoad(x, texel(i));
}
fn weights_at(i: u32) -> vec4<f32> {
    return textureLoad(weight_quads, texel(i));
}
fn set_y(i: u32, value: vec4<f32>) {
    textureStore(y, texel(i), value);
}
fn d_y_at(i: u32) -> vec4<f32> {
    return textureLoad(d_y, texel(i));
}
fn set_d_x(i: u32, value: vec4<f32>) {
    textureStore(d_x, texel(i), value);
}

fn store(value: vec4<f32>, plane: u32, row: u32, column: u32) {
    if row < conv.height && column < conv.width {
        set_d_x((plane * conv.height + row) * conv.width + column, value);
    }
}

// Upper and lower row of dz in four windows: the six columns from the right half of the first to the left of the last.
fn upper(a: Pooled, b: Pooled, c: Pooled, d: Pooled) -> Six {
    return Six(unpool(a, 1u), unpool(b, 0u), unpool(b, 1u), unpool(c, 0u), unpool(c, 1u), unpool(d, 0u));
}
fn lower(a: Pooled, b: Pooled, c: Pooled, d: Pooled) -> Six {
    return Six(unpool(a, 3u), unpool(b, 2u), unpool(b, 3u), unpool(c, 2u), unpool(c, 3u), unpool(d, 2u));
}

// Six rows of six pixels.
struct SixRows { r0: Six, r1: Six, r2: Six, r3: Six, r4: Six, r5: Six }

// dz at the 4x4 pixels of windows (row, column) to (row + 1, column + 1), with a border of 1.
fn six_rows(at: Planes, row: i32, column: i32) -> SixRows {
    let a0 = pooled(at, row - 1, column - 1);
    let a1 = pooled(at, row - 1, column);
    let a2 = pooled(at, row - 1, column + 1);
    let a3 = pooled(at, row - 1, column + 2);
    let b0 = pooled(at, row, column - 1);
    let b1 = pooled(at, row, column);
    let b2 = pooled(at, row, column + 1);
    let b3 = pooled(at, row, column + 2);
    let c0 = pooled(at, row + 1, column - 1);
    let c1 = pooled(at, row + 1, column);
    let c2 = pooled(at, row + 1, column + 1);
    let c3 = pooled(at, row + 1, column + 2);
    let d0 = pooled(at, row + 2, column - 1);
    let d1 = pooled(at, row + 2, column);
    let d2 = pooled(at, row + 2, column + 1);
    let d3 = pooled(at, row + 2, column + 2);
    return SixRows(
        lower(a0, a1, a2, a3), upper(b0, b1, b2, b3), lower(b0, b1, b2, b3),
        upper(c0, c1, c2, c3), lower(c0, c1, c2, c3), upper(d0, d1, d2, d3),
    );
}

// The 4x4 pixels of x around a pool window that all lanes share, two rows at a time: pixel k of them in lane k.
struct Field { upper: vec4<f32>, middle: vec4<f32>, lower: vec4<f32> }

// Each lane picks the pixels of its own winner out of the others' lanes: one instruction a word, whatever the places.
fn winner(f: Field, place: u32) -> Patch {
    let left = (place & 2u) << 1u | place & 1u;
    let middle = left + 1u;
    let right = left + 2u;
    return Patch(
        subgroupShuffle(f.upper, left), subgroupShuffle(f.upper, middle), subgroupShuffle(f.upper, right),
        subgroupShuffle(f.middle, left), subgroupShuffle(f.middle, middle), subgroupShuffle(f.middle, right),
        subgroupShuffle(f.lower, left), subgroupShuffle(f.lower, middle), subgroupShuffle(f.lower, right),
    );
}
