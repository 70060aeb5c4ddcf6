// Batch normalisation at the end of a residual block: the block's input is added before the activation function.
fn skip_of(i: u32) -> vec4<f32> {
    return skip_at(i);
}
fn set_d_skip_of(i: u32, value: vec4<f32>) {
    set_d_skip(i, value);
}
