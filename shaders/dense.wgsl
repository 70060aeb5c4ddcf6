// Dense layers, y = x w + b, and their gradients. This file holds what the two bodies, dense/tiles.wgsl and
// dense/lanes.wgsl, share. Inputs and outputs are padded to quads.
//
//   x, d_x   [rows][in_quads of pitch]       vec4 over inputs
//   weights  [in_quads*4][out_quads]         vec4 over outputs, and d_weights
//   y, d_y   [rows][out_quads]               vec4 over outputs
//   partial  [slices][rows][out_quads]       the forward sum is long: slices of it fill the device, `finish` adds them

struct Dense {
    rows: u32,
    in_quads: u32,
    out_quads: u32,
    slice: u32,      // input quads in one slice of the forward sum
    slices: u32,
    relu: u32,
    pitch: u32,      // quads from one row of x to the next; on the way back, in_quads may be a part of them
}

@group(0) @binding(0) var<uniform> dense: Dense;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> d_x: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d_weights: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> d_bias: array<vec4<f32>>;

// y = relu(sum of the slices + bias), or without the ReLU. Grid: rows * out_quads / 64.
@compute @workgroup_size(64)
fn finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let size = dense.rows * dense.out_quads;
    if id.x >= size {
        return;
    }
    var sum = bias[id.x % dense.out_quads];
    for (var s = 0u; s < dense.slices; s++) {
        sum += partial[s * size + id.x];
    }
    y[id.x] = select(sum, max(sum, vec4(0.0)), dense.relu != 0u);
}
