//! Resizing exactly as TensorFlow's `tf.image.resize` does by default, which is what Keras's data sets use.

use image::RgbImage;

/// Where each output pixel lies between two input pixels: (lower, upper, share of the upper).
fn taps(input: usize, output: usize) -> Vec<(usize, usize, f32)> {
    let scale = input as f32 / output as f32;
    (0..output)
        .map(|i| {
            let place = (i as f32 + 0.5) * scale - 0.5;
            let lower = place.floor();
            let last = input - 1;
            ((lower.max(0.0) as usize).min(last), (place.ceil().max(0.0) as usize).min(last), place - lower)
        })
        .collect()
}

/// Bilinear with half-pixel centres and no antialiasing, src = (dst + ½)·in/out − ½, clamped to the edges; the aspect
/// ratio is not kept. Returns `[height, width, 3]` in 0..255, not rounded.
pub fn resize_bilinear(image: &RgbImage, height: usize, width: usize) -> Vec<f32> {
    let (in_width, in_height) = (image.width() as usize, image.height() as usize);
    if in_width == 0 || in_height == 0 {
        return vec![0.0; height * width * 3];
    }
    let bytes = image.as_raw();
    let columns = taps(in_width, width);
    let mut out = Vec::with_capacity(height * width * 3);
    for (top, bottom, down) in taps(in_height, height) {
        let at = |row: usize, column: usize, c: usize| f32::from(bytes[(row * in_width + column) * 3 + c]);
        for &(left, right, across) in &columns {
            for c in 0..3 {
                let upper = at(top, left, c) + (at(top, right, c) - at(top, left, c)) * across;
                let lower = at(bottom, left, c) + (at(bottom, right, c) - at(bottom, left, c)) * across;
                out.push(upper + (lower - upper) * down);
            }
        }
    }
    out
}
