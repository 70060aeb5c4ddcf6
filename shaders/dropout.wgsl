// Dropout, in place or from x to y: kept values grow by 1/(1-rate), the others become zero. The gradient is the same multiplication by
// the same mask, so the same kernel runs again on it.
//
//   values, x, y  [quads] vec4
// Random numbers are a hash of (seed, step, layer, element): nothing is stored, and a step can be repeated at will.
// pcg4d: M. Jarzynski, M. Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.

struct Dropout {
    layer: u32,
    quads: u32,
    rate: f32,
    row_quads: u32,
}

struct Step {
    seed: u32,
    step: u32,
    count: u32,     // images in the batch: the last one of an epoch may be short
    rate: f32,      // learning rate of the step
    first: u32,     // place of the first image in its batch, when that is worked on in parts
    whole: u32,     // images in the whole batch
    decay: f32,     // share that weight decay takes off in this step
    average: f32,   // how far the average of the weights moves in this step
}

@group(0) @binding(0) var<uniform> dropout: Dropout;
@group(0) @binding(7) var<uniform> step: Step;
@group(0) @binding(8) var<storage, read_write> values: array<vec4<f32>>;

fn pcg4d(key: vec4<u32>) -> vec4<u32> {
    var v = key * 1664525u + 1013904223u;
    v.x += v.y * v.w; v.y += v.z * v.x; v.z += v.x * v.y; v.w += v.y * v.z;
    v ^= v >> vec4(16u);
    v.x += v.y * v.w; v.y += v.z * v.x; v.z += v.x * v.y; v.w += v.y * v.z;
    return v;
}

// What to multiply quad i with. One hash serves its four elements, whose place in the whole batch counts.
fn factor(i: u32) -> vec4<f32> {
    let place = i + step.first * dropout.row_quads;
    let random = vec4<f32>(pcg4d(vec4(step.seed, step.step, dropout.layer, place)) >> vec4(8u)) * exp2(-24.0);
    return select(vec4(0.0), vec4(1.0 / (1.0 - dropout.rate)), random >= vec4(dropout.rate));
}

@compute @workgroup_size(64)
fn apply(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < dropout.quads {
        values[i] *= factor(i);
    }
}

@compute @workgroup_size(64)
fn apply_to(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < dropout.quads {
        set_y(i, x_at(i) * factor(i));
    }
}
