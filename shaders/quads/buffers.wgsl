// Quads in storage buffers, the memory of the tile body: the same names as in quads/textures.wgsl, so that a kernel's text
// is written once. A kernel binds those that it uses.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> skip: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> d_skip: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
    return x[i];
}
fn set_y(i: u32, value: vec4<f32>) {
    y[i] = value;
}
fn skip_at(i: u32) -> vec4<f32> {
    return skip[i];
}
fn d_y_at(i: u32) -> vec4<f32> {
    return d_y[i];
}
fn set_d_x(i: u32, value: vec4<f32>) {
    d_x[i] = value;
}
fn set_d_skip(i: u32, value: vec4<f32>) {
    d_skip[i] = value;
}
