//! The exponential moving average of a parameter (Polyak, Juditsky 1992; TensorFlow's `ExponentialMovingAverage`).

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "average.wgsl", parts: &[include_str!("../../shaders/average.wgsl")] };

uniform_struct! {
    /// A parameter's size.
    Average {
        /// Its quads.
        quads: u32,
    }
}

impl Average {
    fn check(&self, weights: &Buffer, average: &Buffer) -> Result<(), GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        check_sizes("average", &[("w", weights, bytes), ("a", average, bytes)])
    }

    fn grid(&self) -> [u32; 3] {
        linear_grid(u64::from(self.quads), 64)
    }

    /// Moves the average towards the weights by the share that the [`Step`] uniform holds: a += (w − a) · share.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn move_on(&self, gpu: &Gpu, step: &Buffer, weights: &Buffer, average: &Buffer) -> Result<Dispatch, GpuError> {
        self.check(weights, average)?;
        let kernel = gpu.kernel(SOURCE, "move_on")?;
        kernel.check_members::<Step>("step")?;
        kernel.bind(gpu, ("average", self), &[("step", step), ("w", weights), ("a", average)], self.grid())
    }

    /// Puts the average into the place of the weights and the weights into that of the average.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn exchange(&self, gpu: &Gpu, weights: &Buffer, average: &Buffer) -> Result<Dispatch, GpuError> {
        self.check(weights, average)?;
        let kernel = gpu.kernel(SOURCE, "exchange")?;
        kernel.bind(gpu, ("average", self), &[("w", weights), ("a", average)], self.grid())
    }
}
