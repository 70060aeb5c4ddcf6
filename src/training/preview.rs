//! What augmentation makes of pictures, brought back so that a person can look at it.

use super::Images;
use super::augmentation::{Augmentation, AugmentationSettings};
use super::batch::Batch;
use crate::gpu::{Gpu, GpuError, Plan};
use crate::kernels::augment::Augment;
use crate::kernels::softmax::Label;

/// The pictures, `[H,W]`, as the first batch of a training would have them if it held all of them in this order: `[H,W,3]`
/// bytes each, and what it should be taken for.
///
/// # Errors
/// [`GpuError`].
pub fn preview(
    gpu: &Gpu,
    images: &mut Images,
    (height, width): (u32, u32),
    settings: AugmentationSettings,
    seed: u64,
) -> Result<Vec<(Vec<u8>, Label)>, GpuError> {
    let augmentation = Augmentation::new(settings, seed, 1, height, width);
    let pictures: Vec<usize> = (0..images.len()).collect();
    let batch = Batch { first: 0, pictures: &pictures };
    let shape = Augment { rows: 1, height, width, border: 0 };
    let x = gpu.buffer("a picture", shape.x_bytes())?;
    let mut all = Vec::with_capacity(images.len());
    for at in 0..images.len() {
        let (rows, labels) = batch.varied(at..at + 1, images, &augmentation);
        let rows = gpu.buffer_with("a row", &rows)?;
        let mut plan = Plan::new();
        plan.push(shape.gather_varied(gpu, images.buffer(), &rows, &x)?);
        plan.submit(gpu, &mut [])?;
        let quads: Vec<f32> = gpu.read(&x)?;
        let rgb = quads.chunks_exact(4).flat_map(|quad| &quad[..3]);
        let bytes = rgb.map(|v| (v * 255.0).round() as u8).collect();
        all.extend(labels.first().map(|label| (bytes, *label)));
    }
    Ok(all)
}
