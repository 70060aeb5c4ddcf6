// Gathers a batch of images, flips and turns them, and rescales 0..255 to 0..1 on the way into the network.
//
//   pixels   [image][row][column], a byte each of red, green, blue and one unused
//   samples  [rows]: which image, and the affine map from a pixel of the output to a place in the input
//   x        [rows][1 quad][height+2][width+2] vec4, its zero border never written
// Outside the picture it is mirrored with the edge pixel repeated, dcba|abcd|dcba; bilinear (Keras's "reflect").

struct Augment {
    rows: u32,
    height: u32,
    width: u32,
}

struct Sample {
    image: u32,
    mirror: u32,     // flip horizontally before turning
    xx: f32, xy: f32, x0: f32,     // column in = xx * column + xy * row + x0
    yx: f32, yy: f32, y0: f32,     // row in    = yx * column + yy * row + y0
}

@group(0) @binding(0) var<uniform> augment: Augment;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> samples: array<Sample>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;

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

// Grid: rows * height * width / 64.
@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let area = augment.height * augment.width;
    if i >= augment.rows * area {
        return;
    }
    let image = i / area;
    let row = i % area / augment.width;
    let column = i % augment.width;
    let sample = samples[image];
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
    x[(image * (augment.height + 2u) + row + 1u) * (augment.width + 2u) + column + 1u] = vec4(mix(upper, lower, fy), 0.0);
}
