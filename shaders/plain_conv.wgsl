// A convolution by itself: any kernel, stride, padding and groups, with bias, and its gradients. This file holds what its
// bodies share: plain_conv/lanes.wgsl, plain_conv/tiles.wgsl, and plain_conv/depthwise.wgsl for a kernel a channel.
//
// Channels travel in quads: an activation is [image][channel/4][row][column] vec4, padded with zero channels.
//   x        [images][in_quads][height][width]            d_x  [rows] of the same
//   y        [images][out_quads][out_height][out_width]   d_y  [rows] of the same
//   weights  [group_in_quads][taps][out_quads*4]          vec4 over 4 input channels of the group, a column for each output
//            [taps][quads]                                depthwise: vec4 over 4 channels
//   bias     [out_quads]
//
// Both y and d_x are gathered: whoever owns a pixel walks the taps, and at each of them reads a pixel of the source, x or
// d_y, if there is one. The transpose binds d_y as x and d_x as y.

struct PlainConv {
    images: u32,
    rows: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    in_quads: u32,
    out_quads: u32,
    kernel: u32,
    stride: u32,
    pad_top: u32,
    pad_left: u32,
    group_in_quads: u32,
    group_out_quads: u32,
    depthwise: u32,
    chunk: u32,      // pixels of y whose weight gradients are summed at a time
    chunks: u32,
    first: u32,      // planes (images, or rows of the gradient) that plain_conv/winograd.wgsl works on at a time
    count: u32,
}

@group(0) @binding(0) var<uniform> conv: PlainConv;
@group(0) @binding(7) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_weights: array<vec4<f32>>;   // [chunks] of the shape of weights
@group(0) @binding(10) var<storage, read_write> d_bias: array<vec4<f32>>;     // [chunks][out_quads]

// How the pixels of a target are found, and what each reads: walked pixel (r, c) lies at (r, c) * to_step + to in the
// target, and at tap (i, j) reads (r, c) * step + start + turn * (i, j) of the source; turn is 1 or -1, as a u32.
struct Walk {
    images: u32, rows: u32, columns: u32,      // what is walked
    to_step: u32, to: vec2<u32>,
    to_height: u32, to_width: u32,             // sizes of the target
    step: i32, start: vec2<i32>, turn: u32,
    height: u32, width: u32,                   // sizes of the source
    tap: vec2<u32>, tap_step: u32,             // the taps that hit: from `tap` on, every tap_step-th
}

fn forward_walk() -> Walk {
    return Walk(
        conv.images, conv.out_height, conv.out_width, 1u, vec2(0u), conv.out_height, conv.out_width,
        i32(conv.stride), vec2(-i32(conv.pad_top), -i32(conv.pad_left)), 1u, conv.height, conv.width, vec2(0u), 1u,
    );
}

// The pixels of d_x fall into stride * stride phases, each met by other taps: phase (a, b) by the taps a, a + stride…,
// and b, b + stride…; within it, the transpose is a convolution of stride 1.
fn transposed_walk(phase: u32) -> Walk {
    let s = conv.stride;
    let tap = vec2(phase / s, phase % s);
    let pad = vec2(conv.pad_top, conv.pad_left);
    let to = (tap + s - pad % s) % s;
    let size = vec2(conv.height, conv.width) + s - 1u - to;
    return Walk(
        conv.rows, size.x / s, size.y / s, s, to, conv.height, conv.width,
        1, vec2<i32>((to + pad) / s), 0xffffffffu, conv.out_height, conv.out_width, tap, s,
    );
}

// A walked pixel: its image, row and column. Divisions are dear: one is found so, the others from it.
alias Place = vec3<u32>;

fn place_of(index: u32, w: Walk) -> Place {
    return Place(index / (w.rows * w.columns), index / w.columns % w.rows, index % w.columns);
}

// `by` pixels on, as place_of gives them.
fn onward(p: Place, by: Place, w: Walk) -> Place {
    let column = p.z + by.z;
    let wraps = column >= w.columns;
    let row = p.y + by.y + select(0u, 1u, wraps);
    let ends = row >= w.rows;
    return Place(
        p.x + by.x + select(0u, 1u, ends), select(row, row - w.rows, ends), select(column, column - w.columns, wraps),
    );
}

// Where the first tap of a walked pixel falls: row and column of the source, and the address, from its image's first plane
// of the group on. What lies before the first is far beyond the last as a u32.
alias Origin = vec3<u32>;

fn origin(w: Walk, p: Place, base: u32, image_size: u32) -> Origin {
    let row = u32(i32(p.y) * w.step + w.start.x);
    let column = u32(i32(p.z) * w.step + w.start.y);
    // Pixels behind the last see nothing.
    return Origin(select(0x40000000u, row, p.x < w.images), column, base + p.x * image_size + row * w.width + column);
}

// What a tap sees: an address, or nothing.
struct Reach { at: u32, inside: bool }

fn reach(w: Walk, o: Origin, tap: vec2<u32>) -> Reach {
    let inside = o.x + tap.x < w.height && o.y + tap.y < w.width;
    return Reach(select(0u, o.z + tap.x * w.width + tap.y, inside), inside);
}

fn pixel_at(r: Reach, offset: u32) -> vec4<f32> {
    return select(vec4(0.0), x_at(r.at + offset), r.inside);
}

fn store(value: vec4<f32>, w: Walk, p: Place, quads: u32, quad: u32) {
    if p.x < w.images {
        let row = p.y * w.to_step + w.to.x;
        let column = p.z * w.to_step + w.to.y;
        set_y(((p.x * quads + quad) * w.to_height + row) * w.to_width + column, value);
    }
}

fn taps() -> u32 {
    return conv.kernel * conv.kernel;
}

// Row and column of a tap of the forward walk.
fn tap_at(tap: u32) -> vec2<u32> {
    return vec2(tap / conv.kernel, tap % conv.kernel);
}

// `size` quads or fewer of a group of channels, which one workgroup works on: blocks are numbered through all groups.
struct Block { group: u32, first: u32, count: u32 }

fn block_of(index: u32, size: u32, group_quads: u32) -> Block {
    let blocks = (group_quads + size - 1u) / size;
    let first = index % blocks * size;
    return Block(index / blocks, first, min(size, group_quads - first));
}
