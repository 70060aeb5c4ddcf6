// What no kernel can exceed: multiply-adds that wait for nothing, and a copy of what no cache holds.
//
//   x, y  [quads] vec4

struct Roof {
    quads: u32,
    turns: u32,     // of sixteen multiply-adds in each of sixteen chains
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<uniform> roof: Roof;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

// One step of sixteen chains: enough to hide how long an addition takes, few enough for 32 registers. It is written as the
// other kernels write their sums, not with fma, so that what a driver makes of those is what it makes of this.
fn one(v: mat4x4<f32>) -> mat4x4<f32> {
    let b = vec4(roof.term);
    return v * roof.factor + mat4x4(b, b, b, b);
}

fn four(v: mat4x4<f32>) -> mat4x4<f32> {
    return one(one(one(one(v))));
}

// y = the sum of the chains that begin with x, x + 1, x + 2 and x + 3; each step makes factor·v + term of v.
@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= roof.quads {
        return;
    }
    let start = x[i];
    var v = mat4x4(start, start + 1.0, start + 2.0, start + 3.0);
    for (var turn = 0u; turn < roof.turns; turn++) {
        v = four(four(four(four(v))));
    }
    y[i] = (v[0] + v[1]) + (v[2] + v[3]);
}

// y = x
@compute @workgroup_size(64)
fn stream(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < roof.quads {
        y[i] = x[i];
    }
}
