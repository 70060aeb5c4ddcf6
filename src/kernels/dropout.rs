//! Dropout of activations and, with the same mask, of their gradients: in place, or from one memory to another.

use super::{Needs, QUAD, QuadsSource, Step, check_sizes, quads_source};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Quads, linear_grid, uniform_struct};

const SOURCE: QuadsSource = quads_source!("dropout.wgsl");

uniform_struct! {
    /// One dropout layer.
    Dropout {
        /// Which of the network's dropout layers: masks of different layers are independent.
        layer: u32,
        /// Quads of the tensor.
        quads: u32,
        /// Probability of dropping an element.
        rate: f32,
        /// Quads of one picture.
        row_quads: u32,
    }
}

impl Dropout {
    /// values *= mask / (1 − rate), the mask drawn from (seed, step, layer, element).
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn apply(&self, gpu: &Gpu, step: &Buffer, values: &Buffer) -> Result<Dispatch, GpuError> {
        check_sizes("dropout", &[("values", values, u64::from(self.quads) * QUAD)])?;
        let kernel = gpu.kernel(SOURCE.buffers, "apply")?;
        kernel.check_members::<Step>("step")?;
        let grid = linear_grid(u64::from(self.quads), 64);
        kernel.bind(gpu, ("dropout", self), &[("step", step), ("values", values)], grid)
    }

    /// y = x · mask / (1 − rate), the same mask as [`Dropout::apply`]'s; for gradients, d_x of d_y.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn apply_to(&self, gpu: &Gpu, step: &Buffer, x: &Quads, y: &Quads) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        let needs: [Needs; _] = [("x", x, bytes), ("y", y, bytes)];
        check_sizes("dropout", &needs)?;
        let kernel = gpu.kernel(SOURCE.of(x), "apply_to")?;
        kernel.check_members::<Step>("step")?;
        let grid = linear_grid(u64::from(self.quads), 64);
        kernel.bind(gpu, ("dropout", self), &[("step", step), ("x", x), ("y", y)], grid)
    }
}
