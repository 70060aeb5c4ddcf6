//! Dropout in place, for activations and, with the same mask, for their gradients.

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "dropout.wgsl", parts: &[include_str!("../../shaders/dropout.wgsl")] };

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
        let kernel = gpu.kernel(SOURCE, "apply")?;
        kernel.check_members::<Step>("step")?;
        let grid = linear_grid(u64::from(self.quads), 64);
        kernel.bind(gpu, ("dropout", self), &[("step", step), ("values", values)], grid)
    }
}
