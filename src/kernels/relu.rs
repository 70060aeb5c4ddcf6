//! The gradient of ReLU, in place. (The forward half is fused into the kernels of `conv` and `dense`.)

use super::{QUAD, check_sizes};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "relu.wgsl", parts: &[include_str!("../../shaders/relu.wgsl")] };

uniform_struct! {
    /// The shapes.
    Relu {
        /// Rows of y.
        images: u32,
        /// Rows of the gradient; row r belongs to row r % images of y.
        rows: u32,
        /// Quads in a row.
        quads: u32,
    }
}

impl Relu {
    /// d *= (y > 0).
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward(&self, gpu: &Gpu, y: &Buffer, d: &Buffer) -> Result<Dispatch, GpuError> {
        let row = u64::from(self.quads) * QUAD;
        let needs = [("y", y, u64::from(self.images) * row), ("d", d, u64::from(self.rows) * row)];
        check_sizes("relu backward", &needs)?;
        let items = u64::from(self.rows) * u64::from(self.quads);
        gpu.kernel(SOURCE, "backward")?.bind(gpu, ("relu", self), &[("y", y), ("d", d)], linear_grid(items, 64))
    }
}
