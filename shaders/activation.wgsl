// y = f(x + skip), and d_x = d_y * f'(x + skip), which is the gradient of the skip as well. The gradient's row r belongs to
// row r % images of x.
//
//   x, skip, y  [images][quads] vec4      d_y, d_x  [rows][quads] vec4

struct Activation {
    images: u32,
    rows: u32,
    quads: u32,
    function: u32,
}

@group(0) @binding(0) var<uniform> activation: Activation;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < activation.images * activation.quads {
        set_y(i, activate(activation.function, x_at(i)));
    }
}

@compute @workgroup_size(64)
fn forward_skip(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < activation.images * activation.quads {
        set_y(i, activate(activation.function, x_at(i) + skip_at(i)));
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < activation.rows * activation.quads {
        let at = i % (activation.images * activation.quads);
        set_d_x(i, d_y_at(i) * slope(activation.function, x_at(at)));
    }
}

@compute @workgroup_size(64)
fn backward_skip(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < activation.rows * activation.quads {
        let at = i % (activation.images * activation.quads);
        set_d_x(i, d_y_at(i) * slope(activation.function, x_at(at) + skip_at(at)));
    }
}
