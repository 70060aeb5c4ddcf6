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

// The 3x3 pixels of x that fed the winner of a window; or, for one output channel, the gradients of its 3x3 taps.
struct Patch {
    p0: vec4<f32>, p1: vec4<f32>, p2: vec4<f32>,
    p3: vec4<f32>, p4: vec4<f32>, p5: vec4<f32>,
    p6: vec4<f32>, p7: vec4<f32>, p8: vec4<f32>,
}

// The gradients of the weights of 4 output channels from 4 input channels.
struct Taps { x: Patch, y: Patch, z: Patch, w: Patch, bias: vec4<f32> }

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

// Two windows at a time, channel by channel, each with the Field of x around it, of which
// winner(field, place) picks the pixels that fed the winner: what is summed need not be fetched and put back for each.
fn add_patches(t: Patch, g: f32, a: Patch, h: f32, b: Patch) -> Patch {
    return Patch(
        t.p0 + (g * a.p0 + h * b.p0), t.p1 + (g * a.p1 + h * b.p1), t.p2 + (g * a.p2 + h * b.p2),
        t.p3 + (g * a.p3 + h * b.p3), t.p4 + (g * a.p4 + h * b.p4), t.p5 + (g * a.p5 + h * b.p5),
        t.p6 + (g * a.p6 + h * b.p6), t.p7 + (g * a.p7 + h * b.p7), t.p8 + (g * a.p8 + h * b.p8),
    );
}

// Adds two windows: 9 multiply-adds a channel where the gradient before the pool, mostly zeros, would take 36.
fn add_windows(t: Taps, a: Field, p: Pooled, b: Field, q: Pooled) -> Taps {
    let g = select(p.d, vec4(0.0), p.at == vec4(4u));
    let h = select(q.d, vec4(0.0), q.at == vec4(4u));
    return Taps(
        add_patches(t.x, g.x, winner(a, p.at.x), h.x, winner(b, q.at.x)),
        add_patches(t.y, g.y, winner(a, p.at.y), h.y, winner(b, q.at.y)),
        add_patches(t.z, g.z, winner(a, p.at.z), h.z, winner(b, q.at.z)),
        add_patches(t.w, g.w, winner(a, p.at.w), h.w, winner(b, q.at.w)),
        t.bias + (g + h),
    );
}

fn store_tap(x: vec4<f32>, y: vec4<f32>, z: vec4<f32>, w: vec4<f32>, at: u32) {
    d_weights[at] = x;
    d_weights[at + 1u] = y;
    d_weights[at + 2u] = z;
    d_weights[at + 3u] = w;
}

fn store_taps(t: Taps, chunk: u32, in_quad: u32, out_quad: u32) {
    let pitch = conv.out_quads * 4u;
    let at = (chunk * conv.in_quads + in_quad) * 9u * pitch + out_quad * 4u;
    store_tap(t.x.p0, t.y.p0, t.z.p0, t.w.p0, at);
    store_tap(t.x.p1, t.y.p1, t.z.p1, t.w.p1, at + pitch);
    store_tap(t.x.p2, t.y.p2, t.z.p2, t.w.p2, at + 2u * pitch);
    store_tap(t.x.p3, t.y.p3, t.z.p3, t.w.p3, at + 3u * pitch);
    store_tap(t.x.p4, t.y.p4, t.z.p4, t.w.p4, at + 4u * pitch);
    store_tap(t.x.p5, t.y.p5, t.z.p5, t.w.p5, at + 5u * pitch);
    store_tap(t.x.p6, t.y.p6, t.z.p6, t.w.p6, at + 6u * pitch);
    store_tap(t.x.p7, t.y.p7, t.z.p7, t.w.p7, at + 7u * pitch);
    store_tap(t.x.p8, t.y.p8, t.z.p8, t.w.p8, at + 8u * pitch);
    if in_quad == 0u {
        d_bias[chunk * conv.out_quads + out_quad] = t.bias;
    }
}

// A window of an image: where its gradient lies, and where x begins for the 4x4 field around it. Divisions are dear: found
// once before a loop, then counted on.
struct Window { row: u32, column: u32, d_y: u32, x: u32 }

fn window_of(index: u32, in_quad: u32, out_quad: u32) -> Window {
    let width = conv.width / 2u;
    let size = conv.height / 2u * width;
    let image = index / size;
    let row = index % size / width;
    let column = index % width;
    let plane = image * conv.in_quads + in_quad;
    return Window(
        row, column, (image * conv.out_quads + out_quad) * size + index % size,
        (plane * (conv.height + 2u) + row * 2u) * (conv.width + 2u) + column * 2u,
    );
}

fn next_window(w: Window) -> Window {
    let width = conv.width / 2u;
    let height = conv.height / 2u;
    let wraps = w.column + 1u == width;
    let ends = wraps && w.row + 1u == height;
    let pitch = conv.width + 2u;
    let next_row = 2u * (pitch - width);
    let next_plane = (conv.in_quads * (conv.height + 2u) - 2u * height) * pitch;
    return Window(
        select(select(w.row, w.row + 1u, wraps), 0u, ends),
        select(w.column + 1u, 0u, wraps),
        w.d_y + 1u + select(0u, (conv.out_quads - 1u) * width * height, ends),
        w.x + 2u + select(0u, next_row, wraps) + select(0u, next_plane, ends),
    );
}

// The gradient of a window, none if it is not `counted`.
fn window_gradient(w: Window, counted: bool) -> Pooled {
    return Pooled(d_y_at(w.d_y), select(vec4(4u), places(won[w.d_y]), counted));
}
