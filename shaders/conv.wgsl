// Convolution 3x3 "same", bias, ReLU and 2x2 max pooling in one kernel, and its gradients.
// This file holds what the two bodies, conv/tiles.wgsl and conv/lanes.wgsl, share. They keep x, y, d_y and d_x in memory of
// their own kind, and read and write them by x_at, set_y, d_y_at and set_d_x.
//
// Channels travel in quads: an activation is [image][channel/4][row][column] vec4, padded with zero channels.
//   x        [images][in_quads][height+2][width+2]     with a zero border of 1
//   weights  [in_quads][9 taps][out_quads*4]           vec4 over 4 input channels, a column for each output channel
//   y        [images][out_quads][height/2 + 2b][width/2 + 2b]   b = y_border, zeros, never written
//   code     [images][out_quads][height/2][width/2]    a byte a channel: which of the 2x2 won (row by row), 4 = none
//   d_y      [rows][out_quads][height/2][width/2]
//   d_x      [rows][in_quads][height][width]
// In the backward kernels the gradient's row r belongs to image r % images, so that the gradients of several outputs
// can share one forward pass. ReLU and pooling leave at most one nonzero in four of the gradient before the pool, dz;
// it is rebuilt from d_y and the code wherever it is needed, and never stored.

struct Conv {
    images: u32,
    rows: u32,
    height: u32,
    width: u32,
    in_quads: u32,
    out_quads: u32,
    y_border: u32,
    chunk: u32,      // windows whose weight gradients one invocation sums
    chunks: u32,
    first: u32,      // planes (images, or rows of the gradient) that conv/lanes/winograd.wgsl works on at a time
    count: u32,
}

@group(0) @binding(0) var<uniform> conv: Conv;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> code: array<u32>;
@group(0) @binding(6) var<storage, read> won: array<u32>;             // `code`, as the backward kernels read it
@group(0) @binding(9) var<storage, read_write> d_weights: array<vec4<f32>>;   // [chunks] of the shape of weights
@group(0) @binding(10) var<storage, read_write> d_bias: array<vec4<f32>>;     // [chunks][out_quads]

// The four pixels of a pool window before bias; writes the pooled value and the code. Ties go to the first.
fn pool(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, image: u32, quad: u32, row: u32, column: u32) {
    let offset = bias[quad];
    var best = a + offset;
    var index = vec4(0u);
    index = select(index, vec4(1u), b + offset > best);
    best = max(best, b + offset);
    index = select(index, vec4(2u), c + offset > best);
    best = max(best, c + offset);
    index = select(index, vec4(3u), d + offset > best);
    best = max(best, d + offset);
    index = select(index, vec4(4u), best <= vec4(0.0));
    let plane = image * conv.out_quads + quad;
    let height = conv.height / 2u;
    let width = conv.width / 2u;
    let border = conv.y_border;
    set_y((plane * (height + 2u * border) + row + border) * (width + 2u * border) + column + border, max(best, vec4(0.0)));
    code[(plane * height + row) * width + column] = index.x | index.y << 8u | index.z << 16u | index.w << 24u;
}

// The gradient after the pool, with the codes spread out: where = 0..3 or 4 for none.
struct Pooled { d: vec4<f32>, at: vec4<u32> }

// Where a plane of the gradient and of its codes begins. Found once before a loop: divisions are dear.
struct Planes { d_y: u32, won: u32 }

fn planes(gradient: u32) -> Planes {
    let size = conv.out_quads * (conv.height / 2u) * (conv.width / 2u);
    return Planes(gradient * size, gradient % conv.images * size);
}

fn next_plane(p: Planes) -> Planes {
    let size = (conv.height / 2u) * (conv.width / 2u);
    return Planes(p.d_y + size, p.won + size);
}

// Of window (row, column) counted from -1; outside the picture there is none.
fn pooled(planes: Planes, row: i32, column: i32) -> Pooled {
    let height = conv.height / 2u;
    let width = conv.width / 2u;
    let r = u32(clamp(row, 0, i32(height) - 1));
    let c = u32(clamp(column, 0, i32(width) - 1));
    let inside = row == i32(r) && column == i32(c);
    let place = r * width + c;
    let packed = won[planes.won + place];
    let at = vec4(packed, packed >> 8u, packed >> 16u, packed >> 24u) & vec4(255u);
    return Pooled(d_y_at(planes.d_y + place), select(vec4(4u), at, inside));
}

// dz at one of the four pixels of a window.
fn unpool(p: Pooled, place: u32) -> vec4<f32> {
    return select(vec4(0.0), p.d, p.at == vec4(place));
}

// The 3x3 pixels of x that fed the winner of a window; or, for one output channel, the gradients of its 3x3 taps.
struct Patch {
    p0: vec4<f32>, p1: vec4<f32>, p2: vec4<f32>,
    p3: vec4<f32>, p4: vec4<f32>, p5: vec4<f32>,
    p6: vec4<f32>, p7: vec4<f32>, p8: vec4<f32>,
}

// The gradients of the weights of 4 output channels from 4 input channels.
struct Taps { x: Patch, y: Patch, z: Patch, w: Patch, bias: vec4<f32> }

// Two windows at a time, channel by channel, each with the Field of x around it that a body keeps in its own way, and of
// which winner(field, place) picks the pixels that fed the winner: what is summed need not be fetched and put back for each.
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
    let packed = won[w.d_y];
    let at = vec4(packed, packed >> 8u, packed >> 16u, packed >> 24u) & vec4(255u);
    return Pooled(d_y_at(w.d_y), select(vec4(4u), at, counted));
}
