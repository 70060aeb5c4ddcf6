// Gathers a batch of images, moves them about, and rescales 0..255 to 0..1 on the way into the network; `gather_varied`
// also changes their colours, erases a rectangle, and mixes two.
//
//   pixels   [image][row][column], a byte each of red, green, blue and one unused
//   samples  [rows]: which image, and the affine map from a pixel of the output to a place in the input
//   varied   [rows]: the two pictures of a row, and how they are mixed
//   x        [rows][1 quad][height+2*border][width+2*border] vec4, its zero border never written
// Outside the picture it is mirrored with the edge pixel repeated, dcba|abcd|dcba; bilinear (Keras's "reflect").
// Erasing: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020. Mixing: Zhang et al., "mixup", ICLR 2018; Yun et
// al., "CutMix", ICCV 2019. Noise, pcg3d: M. Jarzynski, M. Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.

struct Augment {
    rows: u32,
    height: u32,
    width: u32,
    border: u32,     // 0 or 1
}

struct Sample {
    image: u32,
    mirror: u32,     // flip horizontally before turning
    xx: f32, xy: f32, x0: f32,     // column in = xx * column + xy * row + x0
    yx: f32, yy: f32, y0: f32,     // row in    = yx * column + yy * row + y0
}

// Pixels of the output from left and top on, up to but without right and bottom.
struct Rectangle {
    left: u32, top: u32, right: u32, bottom: u32,
}

struct Look {
    sample: Sample,
    color: array<f32, 12>,     // for red, green and blue: shares of the red, green and blue before, and what is added
    erased: Rectangle,         // filled with noise
    noise: u32,
}

struct Varied {
    first: Look,
    second: Look,
    weight: f32,           // of the second picture where both are seen
    pasted: Rectangle,     // where the second is seen alone
}

@group(0) @binding(0) var<uniform> augment: Augment;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> samples: array<Sample>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> varied: array<Varied>;

fn mirrored(place: f32, size: f32) -> f32 {
    let turn = 2.0 * size;
    let p = place + 0.5 - turn * floor((place + 0.5) / turn);
    return clamp(min(p, turn - p) - 0.5, 0.0, size - 1.0);
}

fn texel(sample: Sample, row: u32, column: u32) -> vec3<f32> {
    let last = augment.width - 1u;
    let c = select(column, last - column, sample.mirror != 0u);
    return unpack4x8unorm(pixels[(sample.image * augment.height + row) * augment.width + c]).xyz;
}

// The picture's color at a pixel of the output.
fn seen(sample: Sample, column: u32, row: u32) -> vec3<f32> {
    let at = vec2(f32(column), f32(row));
    let in_x = mirrored(sample.xx * at.x + sample.xy * at.y + sample.x0, f32(augment.width));
    let in_y = mirrored(sample.yx * at.x + sample.yy * at.y + sample.y0, f32(augment.height));
    let left = u32(in_x);
    let top = u32(in_y);
    let right = min(left + 1u, augment.width - 1u);
    let bottom = min(top + 1u, augment.height - 1u);
    let fx = in_x - f32(left);
    let fy = in_y - f32(top);
    let upper = mix(texel(sample, top, left), texel(sample, top, right), fx);
    let lower = mix(texel(sample, bottom, left), texel(sample, bottom, right), fx);
    return mix(upper, lower, fy);
}

fn holds(rectangle: Rectangle, column: u32, row: u32) -> bool {
    return column >= rectangle.left && column < rectangle.right && row >= rectangle.top && row < rectangle.bottom;
}

fn pcg3d(key: vec3<u32>) -> vec3<u32> {
    var v = key * 1664525u + 1013904223u;
    v.x += v.y * v.z; v.y += v.z * v.x; v.z += v.x * v.y;
    v ^= v >> vec3(16u);
    v.x += v.y * v.z; v.y += v.z * v.x; v.z += v.x * v.y;
    return v;
}

fn colored(c: array<f32, 12>, rgb: vec3<f32>) -> vec3<f32> {
    let shifted = vec3(c[3], c[7], c[11]);
    let shares = vec3(c[0], c[4], c[8]) * rgb.x + vec3(c[1], c[5], c[9]) * rgb.y + vec3(c[2], c[6], c[10]) * rgb.z;
    return clamp(shares + shifted, vec3(0.0), vec3(1.0));
}

fn shown(look: Look, column: u32, row: u32) -> vec3<f32> {
    if holds(look.erased, column, row) {
        return vec3<f32>(pcg3d(vec3(column, row, look.noise)) >> vec3(8u)) * 0x1p-24f;
    }
    return colored(look.color, seen(look.sample, column, row));
}

struct Pixel {
    is_in: bool,
    image: u32,
    row: u32,
    column: u32,
}

fn pixel(id: vec3<u32>, groups: vec3<u32>) -> Pixel {
    let i = id.x + id.y * groups.x * 64u;
    let area = augment.height * augment.width;
    return Pixel(i < augment.rows * area, i / area, i % area / augment.width, i % augment.width);
}

fn put(at: Pixel, rgb: vec3<f32>) {
    let border = augment.border;
    let line = at.image * (augment.height + 2u * border) + at.row + border;
    x[line * (augment.width + 2u * border) + at.column + border] = vec4(rgb, 0.0);
}

// Grid: rows * height * width / 64 in both.
@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = pixel(id, groups);
    if at.is_in {
        put(at, seen(samples[at.image], at.column, at.row));
    }
}

@compute @workgroup_size(64)
fn gather_varied(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = pixel(id, groups);
    if !at.is_in {
        return;
    }
    let weight = select(varied[at.image].weight, 1.0, holds(varied[at.image].pasted, at.column, at.row));
    var rgb = vec3(0.0);
    // A picture that is not seen here is not read.
    if weight < 1.0 {
        rgb = (1.0 - weight) * shown(varied[at.image].first, at.column, at.row);
    }
    if weight > 0.0 {
        rgb += weight * shown(varied[at.image].second, at.column, at.row);
    }
    put(at, rgb);
}
