// Batch normalisation without a skip.
fn skip_of(i: u32) -> vec4<f32> {
    return vec4(0.0);
}
fn set_d_skip_of(i: u32, value: vec4<f32>) {}
