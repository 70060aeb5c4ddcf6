// What kernels for subgroups of 8 lanes share.

// The vectors of lanes 0 to 3, and of lanes 4 to 7, as columns.
fn four(w: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(w, 0u), subgroupBroadcast(w, 1u), subgroupBroadcast(w, 2u), subgroupBroadcast(w, 3u));
}
fn next_four(w: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(w, 4u), subgroupBroadcast(w, 5u), subgroupBroadcast(w, 6u), subgroupBroadcast(w, 7u));
}

// Sums lie in variables, which cannot be indexed without being written to memory first: they are picked. Stores are dear
// to compile: they stand in loops with bounds that a compiler does not know, lest it write them out sixteen times over.
fn pick(m: mat4x4<f32>, quad: u32) -> vec4<f32> {
    return select(select(m[0], m[1], quad == 1u), select(m[2], m[3], quad == 3u), quad >= 2u);
}

fn choose(a: mat4x4<f32>, b: mat4x4<f32>, second: bool) -> mat4x4<f32> {
    return mat4x4(select(a[0], b[0], second), select(a[1], b[1], second), select(a[2], b[2], second), select(a[3], b[3], second));
}

// Six neighbouring pixels of a row.
struct Six { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32> }

// What a lane may sum: 16 channels of eight pixels; or the gradients of the weights of eight quads.
struct Sums {
    a: mat4x4<f32>, b: mat4x4<f32>, c: mat4x4<f32>, d: mat4x4<f32>,
    e: mat4x4<f32>, f: mat4x4<f32>, g: mat4x4<f32>, h: mat4x4<f32>,
}

struct Eight {
    a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>,
    e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>,
}

// The outer products of eight vectors that a lane holds, and of one of each of the lanes, added up.
fn outer(x: mat4x4<f32>, next: mat4x4<f32>, d: vec4<f32>) -> mat4x4<f32> {
    return x * transpose(four(d)) + next * transpose(next_four(d));
}

// The sum over the lanes.
fn over_lanes(d: vec4<f32>) -> vec4<f32> {
    let a = four(d);
    let b = next_four(d);
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((b[0] + b[1]) + (b[2] + b[3]));
}

fn pick_sum(s: Sums, k: u32) -> mat4x4<f32> {
    let low = choose(choose(s.a, s.b, k == 1u), choose(s.c, s.d, k == 3u), k >= 2u);
    let high = choose(choose(s.e, s.f, k == 5u), choose(s.g, s.h, k == 7u), k >= 6u);
    return choose(low, high, k >= 4u);
}
