// One step of an optimiser over parameters and their state, as Keras defines them.
//
//   w, g, m, v  [quads] vec4: weights, gradient, first and second state
// Adam (Kingma, Ba 2015), with the bias corrections folded into the rate as in section 2 of the paper and in Keras:
// rate = learning rate * sqrt(1 - beta2^t) / (1 - beta1^t), made on the host.
// Decoupled weight decay (Loshchilov, Hutter 2019): w -= learning rate * decay * w beside the step, and so outside of the
// moments; step.decay = learning rate * decay.

struct Optimizer {
    quads: u32,
    beta1: f32,      // Adam's first decay; the momentum of SGD
    beta2: f32,      // Adam's second decay; RMSprop's rho
    epsilon: f32,
    nesterov: u32,
    decaying: u32,   // so many quads, the first, are shrunk by weight decay
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

@group(0) @binding(0) var<uniform> optimizer: Optimizer;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> v: array<vec4<f32>>;

// The weights of quad i after their decay.
fn decayed(i: u32) -> vec4<f32> {
    return w[i] * (1.0 - select(0.0, step.decay, i < optimizer.decaying));
}

@compute @workgroup_size(64)
fn adam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= optimizer.quads {
        return;
    }
    // Read once each: a compiler may not do so for memory that is written too.
    let gradient = g[i];
    let m_before = m[i];
    let v_before = v[i];
    let first = m_before + (gradient - m_before) * (1.0 - optimizer.beta1);
    let second = v_before + (gradient * gradient - v_before) * (1.0 - optimizer.beta2);
    m[i] = first;
    v[i] = second;
    w[i] = decayed(i) - first * step.rate / (sqrt(second) + optimizer.epsilon);
}

@compute @workgroup_size(64)
fn sgd(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < optimizer.quads {
        w[i] = decayed(i) - step.rate * g[i];
    }
}

// velocity = momentum * velocity - rate * g; Nesterov looks one step ahead.
@compute @workgroup_size(64)
fn momentum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= optimizer.quads {
        return;
    }
    let push = step.rate * g[i];
    let velocity = optimizer.beta1 * m[i] - push;
    m[i] = velocity;
    w[i] = decayed(i) + select(velocity, optimizer.beta1 * velocity - push, optimizer.nesterov != 0u);
}

@compute @workgroup_size(64)
fn rmsprop(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= optimizer.quads {
        return;
    }
    let gradient = g[i];
    let second = v[i] * optimizer.beta2 + gradient * gradient * (1.0 - optimizer.beta2);
    v[i] = second;
    w[i] = decayed(i) - step.rate * gradient / sqrt(second + optimizer.epsilon);
}
