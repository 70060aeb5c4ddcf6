// The gradient of ReLU in place: d *= (y > 0). Where dropout follows the ReLU, y may be taken after it: what it dropped
// has no gradient either. The gradient's row r belongs to row r % images of y.
//
//   y  [images][quads] vec4      d  [rows][quads] vec4

struct Relu {
    images: u32,
    rows: u32,
    quads: u32,
}

@group(0) @binding(0) var<uniform> relu: Relu;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> d: array<vec4<f32>>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= relu.rows * relu.quads {
        return;
    }
    d[i] = select(vec4(0.0), d[i], y[i % (relu.images * relu.quads)] > vec4(0.0));
}
