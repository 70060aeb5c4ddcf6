//! The zero border around pictures, made anew where their memory has held something else.

use super::{Needs, QUAD, QuadsSource, check_sizes, quads_source};
use crate::gpu::{Dispatch, Gpu, GpuError, Quads, linear_grid, uniform_struct};

const SOURCE: QuadsSource = quads_source!("border.wgsl");

uniform_struct! {
    /// The shapes.
    Border {
        /// Planes of quads: pictures, times quads of their channels.
        planes: u32,
        /// Height without the border.
        height: u32,
        /// Width without the border.
        width: u32,
    }
}

impl Border {
    /// Zeros the border of 1 of y, `[planes, height + 2, width + 2]` quads.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn clear(&self, gpu: &Gpu, y: &Quads) -> Result<Dispatch, GpuError> {
        let (planes, height, width) = (u64::from(self.planes), u64::from(self.height), u64::from(self.width));
        let needs: [Needs; _] = [("y", y, planes * (height + 2) * (width + 2) * QUAD)];
        check_sizes("border", &needs)?;
        let quads = planes * 2 * (width + 2 + height);
        let dispatch =
            gpu.kernel(SOURCE.of(y), "clear")?.bind(gpu, ("border", self), &[("y", y)], linear_grid(quads, 64))?;
        Ok(dispatch.with_bytes(quads * QUAD))
    }
}
