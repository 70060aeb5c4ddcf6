//! Copies between a buffer and a storage texture.

use super::{Needs, QUAD, check_sizes};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Source, Texture, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "copy.wgsl", parts: &[include_str!("../../shaders/copy.wgsl")] };

uniform_struct! {
    /// How much.
    Copy {
        /// Quads.
        quads: u32,
    }
}

impl Copy {
    /// A copy of `bytes`, a multiple of 16.
    pub fn of(bytes: u64) -> Copy {
        Copy { quads: (bytes / QUAD) as u32 }
    }

    fn check(&self, buffer: &Buffer, texture: &Texture) -> Result<[u32; 3], GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        let needs: [Needs; _] = [("the buffer", buffer, bytes), ("the texture", texture, bytes)];
        check_sizes("copy", &needs)?;
        Ok(linear_grid(u64::from(self.quads), 64))
    }

    /// From a buffer into a texture.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if either is too small.
    pub fn pack(&self, gpu: &Gpu, from: &Buffer, into: &Texture) -> Result<Dispatch, GpuError> {
        let grid = self.check(from, into)?;
        gpu.kernel(SOURCE, "pack")?.bind(gpu, ("copy", self), &[("packed_from", from), ("pack_into", into)], grid)
    }

    /// From a texture into a buffer.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if either is too small.
    pub fn unpack(&self, gpu: &Gpu, from: &Texture, into: &Buffer) -> Result<Dispatch, GpuError> {
        let grid = self.check(into, from)?;
        gpu.kernel(SOURCE, "unpack")?.bind(gpu, ("copy", self), &[("unpacked_from", from), ("unpack_into", into)], grid)
    }
}
