// Expected gradients (Erion et al. 2021; shap's GradientExplainer): for a picture x, a background b and a place t on the
// way from b to x, the value of a pixel is (x - b) times the gradient of an output at b + t (x - b).
//
//   pixels         [picture][row][column], a byte each of red, green, blue and one unused: pictures and backgrounds
//   points         [rows]
//   x              [rows][1 quad][height+2b][width+2b] vec4, in 0..1, b = border, zeros, never written
//   probabilities  [rows][quads*4]
//   d_logits       [outputs][rows][quads*4]     a row's gradients share its forward pass
//   d_x            [outputs][rows][height][width] vec4
//   values         [2][outputs][height][width] vec4: the estimate, and half the difference between the estimates from
//                  one half of the points and from the other, which tells the error
//
// The outputs are the first so many classes: all for logits; for probabilities the last is left out, because they add up
// to 1 and so their values to 0.

struct Explain {
    rows: u32,
    outputs: u32,
    quads: u32,
    height: u32,
    width: u32,
    logit: u32,      // explain the logit, not the probability
    border: u32,     // zeros around the pictures of x: 1 or 0
}

struct Point {
    image: u32,
    background: u32,
    t: f32,
    weight: f32,     // in the estimate; 0 for padding
    contrast: f32,   // in the difference
}

@group(0) @binding(0) var<uniform> explain: Explain;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> points: array<Point>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> probabilities: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_logits: array<f32>;
@group(0) @binding(6) var<storage, read> d_x: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> values: array<vec4<f32>>;

fn colour(picture: u32, pixel: u32) -> vec4<f32> {
    return vec4(unpack4x8unorm(pixels[picture * explain.height * explain.width + pixel]).xyz, 0.0);
}

// x at every point. Grid: rows * height * width / 64.
@compute @workgroup_size(64)
fn interpolate(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let area = explain.height * explain.width;
    if i >= explain.rows * area {
        return;
    }
    let row = i / area;
    let pixel = i % area;
    let point = points[row];
    let border = explain.border;
    let line = row * (explain.height + 2u * border) + pixel / explain.width + border;
    x[line * (explain.width + 2u * border) + pixel % explain.width + border] =
        mix(colour(point.background, pixel), colour(point.image, pixel), point.t);
}

// The gradient of each output with respect to the logits: p_c ([j = c] - p_j), or [j = c]. Grid: outputs * rows / 8.
@compute @workgroup_size(8)
fn outputs(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= explain.outputs * explain.rows {
        return;
    }
    let class_index = id.x / explain.rows;
    let pitch = explain.quads * 4u;
    let at = id.x % explain.rows * pitch;
    let p = probabilities[at + class_index];
    for (var j = 0u; j < pitch; j++) {
        let own = f32(j == class_index);
        d_logits[id.x * pitch + j] = select(p * (own - probabilities[at + j]), own, explain.logit != 0u);
    }
}

// values += weights (x - b) gradient, over the points of the batch, all of one picture. Grid: outputs * height * width / 64.
@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let area = explain.height * explain.width;
    let size = explain.outputs * area;
    if i >= size {
        return;
    }
    let class_index = i / area;
    let pixel = i % area;
    var estimate = values[i];
    var difference = values[size + i];
    for (var row = 0u; row < explain.rows; row++) {
        let point = points[row];
        let away = colour(point.image, pixel) - colour(point.background, pixel);
        let value = away * d_x[(class_index * explain.rows + row) * area + pixel];
        estimate += point.weight * value;
        difference += point.contrast * value;
    }
    values[i] = estimate;
    values[size + i] = difference;
}
