// Softmax with categorical cross-entropy, through the logarithm: loss = log(sum of exp(z - max)) - sum of t * (z - max),
// where t are the row's targets, which add up to 1.
//
//   logits, d_logits  [rows][quads] vec4, classes padded to quads
//   probabilities     [rows][quads*4]
//   labels            [rows]
//   results           [rows] vec2: loss, and 1 where the largest probability is that of the larger target
// Rows from `step.count` on are padding of a short batch: their loss and gradient are zero.

struct Softmax {
    rows: u32,
    classes: u32,
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

struct Label {
    first: u32,
    second: u32,    // mixed in
    share: f32,     // of the second
    smoothing: f32, // spread evenly over all classes
    weight: f32,    // of the row's loss
}

@group(0) @binding(0) var<uniform> softmax: Softmax;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;
@group(0) @binding(4) var<storage, read> labels: array<Label>;
@group(0) @binding(5) var<storage, read_write> results: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> d_logits: array<f32>;

// A row's largest logit and where it is: the first of equals.
fn largest(start: u32) -> u32 {
    var best = 0u;
    for (var c = 1u; c < softmax.classes; c++) {
        best = select(best, c, logits[start + c] > logits[start + best]);
    }
    return best;
}

// Writes a row of probabilities; returns the sum of exponentials.
fn normalize(start: u32, top: f32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < softmax.classes; c++) {
        sum += exp(logits[start + c] - top);
    }
    for (var c = 0u; c < softmax.quads * 4u; c++) {
        probabilities[start + c] = select(0.0, exp(logits[start + min(c, softmax.classes - 1u)] - top) / sum, c < softmax.classes);
    }
    return sum;
}

// What the row should answer for class c.
fn target_of(label: Label, c: u32) -> f32 {
    let hard = (1.0 - label.share) * f32(c == label.first) + label.share * f32(c == label.second);
    return (1.0 - label.smoothing) * hard + label.smoothing / f32(softmax.classes);
}

fn measure(row: u32, start: u32) {
    let best = largest(start);
    let top = logits[start + best];
    let sum = normalize(start, top);
    let label = labels[row];
    var meant = 0.0;
    for (var c = 0u; c < softmax.classes; c++) {
        meant += target_of(label, c) * (logits[start + c] - top);
    }
    let right = best == select(label.first, label.second, label.share > 0.5);
    results[row] = select(vec2(0.0), vec2((log(sum) - meant) * label.weight, f32(right)), row < step.count);
}

// Grid: rows / 8 in both.
@compute @workgroup_size(8)
fn evaluate(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < softmax.rows {
        measure(id.x, id.x * softmax.quads * 4u);
    }
}

// Also the gradient of the mean loss over the whole batch: (probability - target) * weight / whole.
@compute @workgroup_size(8)
fn train(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= softmax.rows {
        return;
    }
    let start = id.x * softmax.quads * 4u;
    measure(id.x, start);
    let label = labels[id.x];
    let scale = select(0.0, label.weight / f32(step.whole), id.x < step.count);
    for (var c = 0u; c < softmax.quads * 4u; c++) {
        let meant = select(0.0, target_of(label, c), c < softmax.classes);
        d_logits[start + c] = (probabilities[start + c] - meant) * scale;
    }
}
