// The average of a parameter over the steps of a training (Polyak, Juditsky 1992), with weights that fall exponentially.
//
//   w, a  [quads] vec4: the parameter and its average

struct Average {
    quads: u32,
}

struct Step {
    seed: u32,
    step: u32,
    count: u32,
    rate: f32,
    first: u32,     // place of the first image in its batch, when that is worked on in parts
    whole: u32,     // images in the whole batch
    decay: f32,     // share that weight decay takes off in this step
    average: f32,   // how far the average of the weights moves in this step
}

@group(0) @binding(0) var<uniform> average: Average;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> a: array<vec4<f32>>;

@compute @workgroup_size(64)
fn move_on(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < average.quads {
        let before = a[i];
        a[i] = before + (w[i] - before) * step.average;
    }
}

// Each takes the other's place.
@compute @workgroup_size(64)
fn exchange(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < average.quads {
        let weights = w[i];
        w[i] = a[i];
        a[i] = weights;
    }
}
