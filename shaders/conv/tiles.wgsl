// The body for GPUs keeps activations in buffers.

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> d_x: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
    return x[i];
}
fn set_y(i: u32, value: vec4<f32>) {
    y[i] = value;
}
fn d_y_at(i: u32) -> vec4<f32> {
    return d_y[i];
}
fn set_d_x(i: u32, value: vec4<f32>) {
    d_x[i] = value;
}
