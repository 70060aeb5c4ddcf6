//! Adds up the partial sums of kernels that were split over the device, and the gradients of a batch that is worked on in
//! parts, in a fixed order.

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "reduce.wgsl", parts: &[include_str!("../../shaders/reduce.wgsl")] };

uniform_struct! {
    /// The shapes.
    Reduce {
        /// Number of partial sums.
        chunks: u32,
        /// Quads in each.
        quads: u32,
    }
}

impl Reduce {
    /// So many partial sums of `bytes` each, a multiple of 16.
    pub fn of(bytes: u64, chunks: u32) -> Reduce {
        Reduce { chunks, quads: (bytes / QUAD) as u32 }
    }

    /// total = Σ parts`[chunk]`.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn sum(&self, gpu: &Gpu, parts: &Buffer, total: &Buffer) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        let needs = [("parts", parts, bytes * u64::from(self.chunks)), ("total", total, bytes)];
        check_sizes("reduce", &needs)?;
        let grid = linear_grid(u64::from(self.quads), 64);
        gpu.kernel(SOURCE, "sum")?.bind(gpu, ("reduce", self), &[("parts", parts), ("total", total)], grid)
    }

    /// total = part for the first part of a batch, as the [`Step`] uniform says, and total + part for the others.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn accumulate(&self, gpu: &Gpu, step: &Buffer, part: &Buffer, total: &Buffer) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        check_sizes("reduce accumulate", &[("part", part, bytes), ("total", total, bytes)])?;
        let kernel = gpu.kernel(SOURCE, "accumulate")?;
        kernel.check_members::<Step>("step")?;
        let buffers: [Bound; _] = [("step", step), ("parts", part), ("total", total)];
        kernel.bind(gpu, ("reduce", self), &buffers, linear_grid(u64::from(self.quads), 64))
    }
}
