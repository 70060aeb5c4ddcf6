// Quads in storage textures, the memory of the lane body, which reads them in a quarter of the time of a buffer: the same
// names as in quads/buffers.wgsl, so that a kernel's text is written once. A kernel binds those that it uses.
@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(3) var skip: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var d_y: texture_storage_2d<rgba32float, read>;
@group(0) @binding(5) var d_x: texture_storage_2d<rgba32float, write>;
@group(0) @binding(6) var d_skip: texture_storage_2d<rgba32float, write>;

// Where quad i of a texture lies.
fn texel(i: u32) -> vec2<u32> {
    return vec2(i & 4095u, i >> 12u);
}
fn x_at(i: u32) -> vec4<f32> {
    return textureLoad(x, texel(i));
}
fn set_y(i: u32, value: vec4<f32>) {
    textureStore(y, texel(i), value);
}
fn skip_at(i: u32) -> vec4<f32> {
    return textureLoad(skip, texel(i));
}
fn d_y_at(i: u32) -> vec4<f32> {
    return textureLoad(d_y, texel(i));
}
fn set_d_x(i: u32, value: vec4<f32>) {
    textureStore(d_x, texel(i), value);
}
fn set_d_skip(i: u32, value: vec4<f32>) {
    textureStore(d_skip, texel(i), value);
}
