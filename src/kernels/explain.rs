//! The three ends of expected gradients: points between background and picture, gradients of the outputs, the sum.

use super::{QUAD, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "explain.wgsl", parts: &[include_str!("../../shaders/explain.wgsl")] };

uniform_struct! {
    /// The shapes.
    Explain {
        /// Points in a batch.
        rows: u32,
        /// Outputs whose gradients are taken: the first so many classes.
        outputs: u32,
        /// Classes / 4, rounded up.
        quads: u32,
        /// Height of the pictures.
        height: u32,
        /// Width of the pictures.
        width: u32,
        /// 1 to explain logits, 0 for probabilities.
        logit: u32,
        /// Zeros around the pictures at the points: 1 or 0.
        border: u32,
    }
}

uniform_struct! {
    /// A place on the way from a background to a picture, and what it counts for.
    Point {
        /// The picture's place in the bytes.
        image: u32,
        /// The background's place in the bytes.
        background: u32,
        /// Share of the way, 0 to 1.
        t: f32,
        /// Weight in the estimate; 0 for padding.
        weight: f32,
        /// Weight in half the difference between the two halves of the points.
        contrast: f32,
    }
}

impl Explain {
    fn area(&self) -> u64 {
        u64::from(self.height) * u64::from(self.width)
    }

    /// Bytes of the sums, `[2, outputs, height, width]` quads.
    pub fn values_bytes(&self) -> u64 {
        2 * u64::from(self.outputs) * self.area() * QUAD
    }

    /// Bytes of the points.
    pub fn points_bytes(&self) -> u64 {
        u64::from(self.rows) * std::mem::size_of::<Point>() as u64
    }

    /// x at every point.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn interpolate(&self, gpu: &Gpu, pixels: &Buffer, points: &Buffer, x: &Buffer) -> Result<Dispatch, GpuError> {
        let bordered = u64::from(self.rows)
            * u64::from(self.height + 2 * self.border)
            * u64::from(self.width + 2 * self.border)
            * QUAD;
        check_sizes("explain interpolate", &[("points", points, self.points_bytes()), ("x", x, bordered)])?;
        let grid = linear_grid(u64::from(self.rows) * self.area(), 64);
        let buffers: [Bound; _] = [("pixels", pixels), ("points", points), ("x", x)];
        gpu.kernel(SOURCE, "interpolate")?.bind(gpu, ("explain", self), &buffers, grid)
    }

    /// The gradient of every output with respect to the logits.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn outputs(&self, gpu: &Gpu, probabilities: &Buffer, d_logits: &Buffer) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.rows) * u64::from(self.quads) * QUAD;
        let needs = [("probabilities", probabilities, bytes), ("d_logits", d_logits, bytes * u64::from(self.outputs))];
        check_sizes("explain outputs", &needs)?;
        let buffers: [Bound; _] = [("probabilities", probabilities), ("d_logits", d_logits)];
        let groups = [(self.rows * self.outputs).div_ceil(8), 1, 1];
        gpu.kernel(SOURCE, "outputs")?.bind(gpu, ("explain", self), &buffers, groups)
    }

    /// Adds the points' values up.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn accumulate(
        &self,
        gpu: &Gpu,
        pixels: &Buffer,
        points: &Buffer,
        d_x: &Buffer,
        values: &Buffer,
    ) -> Result<Dispatch, GpuError> {
        let gradients = u64::from(self.rows) * u64::from(self.outputs) * self.area() * QUAD;
        let needs =
            [("points", points, self.points_bytes()), ("d_x", d_x, gradients), ("values", values, self.values_bytes())];
        check_sizes("explain accumulate", &needs)?;
        let grid = linear_grid(u64::from(self.outputs) * self.area(), 64);
        let buffers: [Bound; _] = [("pixels", pixels), ("points", points), ("d_x", d_x), ("values", values)];
        gpu.kernel(SOURCE, "accumulate")?.bind(gpu, ("explain", self), &buffers, grid)
    }
}
