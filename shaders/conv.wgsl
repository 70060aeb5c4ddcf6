// Convolution 3x3 "same", bias, ReLU and 2x2 max pooling in one kernel, and its gradients.
// This file holds what the two bodies, in conv/tiles and conv/lanes, share. They keep x, y, d_y and d_x in memory of
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
    chunk: u32,      // what a partial sum of the weights' gradients spans: windows, or pieces of the pictures
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
    let at = places(won[planes.won + place]);
    return Pooled(d_y_at(planes.d_y + place), select(vec4(4u), at, inside));
}

// The four codes of a quad.
fn places(packed: u32) -> vec4<u32> {
    return vec4(packed, packed >> 8u, packed >> 16u, packed >> 24u) & vec4(255u);
}

// dz at one of the four pixels of a window.
fn unpool(p: Pooled, place: u32) -> vec4<f32> {
    return select(vec4(0.0), p.d, p.at == vec4(place));
}
