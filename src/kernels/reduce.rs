//! Adds up the partial sums of kernels that were split over the device, and the gradients of a batch that is worked on in
//! parts, in a fixed order.

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "reduce.wgsl", parts: &[include_str!("../../shaders/reduce.wgsl")] };

uniform_struct! {
    /// A sum of parts that lie behind one another.
    Reduce {
        /// Number of partial sums.
        chunks: u32,
        /// Quads in each.
        quads: u32,
        /// The first quad of the first part.
        parts_at: u32,
        /// The first quad of the sum.
        total_at: u32,
    }
}

uniform_struct! {
    /// How much there is to do.
    Extent {
        /// Quads of all sums.
        quads: u32,
    }
}

impl Reduce {
    /// So many partial sums of `bytes` each, a multiple of 16, which begin with their memory.
    pub fn of(bytes: u64, chunks: u32) -> Reduce {
        Reduce { chunks, quads: (bytes / QUAD) as u32, parts_at: 0, total_at: 0 }
    }

    /// The same with other beginnings, in bytes, of the parts and of their sum.
    pub fn at(self, parts: u64, total: u64) -> Reduce {
        Reduce { parts_at: (parts / QUAD) as u32, total_at: (total / QUAD) as u32, ..self }
    }

    /// total = Σ parts`[chunk]`.
    ///
    /// # Errors
    /// As [`Reduce::sums`].
    pub fn sum(&self, gpu: &Gpu, parts: &Buffer, total: &Buffer) -> Result<Dispatch, GpuError> {
        Reduce::sums(gpu, &[*self], parts, total)
    }

    /// The same for several sums, at least one, whose parts are in the same memory, and their totals likewise.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes; [`GpuError::OutOfMemory`].
    pub fn sums(gpu: &Gpu, sums: &[Reduce], parts: &Buffer, total: &Buffer) -> Result<Dispatch, GpuError> {
        for Reduce { chunks, quads, parts_at, total_at } in sums {
            let bytes = u64::from(*quads) * QUAD;
            let end_of_parts = u64::from(*parts_at) * QUAD + bytes * u64::from(*chunks);
            let end = u64::from(*total_at) * QUAD + bytes;
            check_sizes("reduce", &[("parts", parts, end_of_parts), ("total", total, end)])?;
        }
        let extent = Extent { quads: sums.iter().map(|sum| sum.quads).sum() };
        let table = gpu.buffer_with("sums", sums)?;
        let memory: [Bound; _] = [("sums", &table), ("parts", parts), ("total", total)];
        let grid = linear_grid(u64::from(extent.quads), 64);
        let dispatch = gpu.kernel(SOURCE, "sum")?.bind(gpu, ("extent", &extent), &memory, grid)?;
        let touched = sums.iter().map(|sum| u64::from(sum.chunks + 1) * u64::from(sum.quads) * QUAD);
        Ok(dispatch.with_bytes(touched.sum()))
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
        kernel.bind(gpu, ("extent", &Extent { quads: self.quads }), &buffers, linear_grid(u64::from(self.quads), 64))
    }
}
