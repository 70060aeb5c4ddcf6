// total[i] = sum over chunks of parts[chunk][i], always in the same order: the second half of sums that were split over the
// device. Many such sums lie in the same memory.

struct Reduce {
    chunks: u32,
    quads: u32,
    parts_at: u32,   // where the first part begins
    total_at: u32,   // where the total begins
}

struct Extent {
    quads: u32,   // of all sums
}

struct Step {
    seed: u32,
    step: u32,
    count: u32,
    rate: f32,
    first: u32,     // place of the first image in its batch
    whole: u32,
    decay: f32,     // share that weight decay takes off in this step
    average: f32,   // how far the average of the weights moves in this step
}

@group(0) @binding(0) var<uniform> extent: Extent;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> total: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> step: Step;
@group(0) @binding(4) var<storage, read> sums: array<Reduce>;

@compute @workgroup_size(64)
fn sum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var i = id.x + id.y * groups.x * 64u;
    if i >= extent.quads {
        return;
    }
    var which = 0u;
    while i >= sums[which].quads {
        i -= sums[which].quads;
        which++;
    }
    let reduce = sums[which];
    // Four chains, since a chain waits for each of its loads.
    var a = vec4(0.0);
    var b = vec4(0.0);
    var c = vec4(0.0);
    var d = vec4(0.0);
    let pitch = reduce.quads;
    var at = reduce.parts_at + i;
    let whole = at + reduce.chunks / 4u * 4u * pitch;
    let end = at + reduce.chunks * pitch;
    for (; at < whole; at += 4u * pitch) {
        a += parts[at];
        b += parts[at + pitch];
        c += parts[at + 2u * pitch];
        d += parts[at + 3u * pitch];
    }
    for (; at < end; at += pitch) {
        a += parts[at];
    }
    total[reduce.total_at + i] = (a + b) + (c + d);
}

// total = the first parts, or total + parts: the gradient of a batch that is worked on in parts.
@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < extent.quads {
        total[i] = select(total[i], vec4(0.0), step.first == 0u) + parts[i];
    }
}
