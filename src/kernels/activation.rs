//! Activation functions where nothing else is there to take them in, and the places where two paths of a network meet: the
//! sum of two tensors is [`Function::Identity`] of one with the other as its skip.

use super::{Needs, QUAD, QuadsSource, check_sizes, quads_source};
use crate::gpu::{Bound, Dispatch, Gpu, GpuError, Quads, linear_grid, uniform_struct};

pub use super::Function;

const SOURCE: QuadsSource = quads_source!("activation.wgsl", "functions.wgsl");

uniform_struct! {
    /// The shapes, and which function.
    Activation {
        /// Rows of x.
        images: u32,
        /// Rows of the gradient; row r belongs to row r % images of x.
        rows: u32,
        /// Quads in a row.
        quads: u32,
        /// The [`Function`].
        function: u32,
    }
}

impl Activation {
    /// `function` of `images` rows of so many quads, with one row of the gradient for each.
    pub fn new(images: u32, quads: u32, function: Function) -> Activation {
        Activation { images, rows: images, quads, function: function as u32 }
    }

    /// Bytes of x, the skip and y.
    pub fn bytes(&self) -> u64 {
        u64::from(self.images) * u64::from(self.quads) * QUAD
    }

    /// Bytes of the gradients.
    pub fn d_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.quads) * QUAD
    }

    /// y = f(x + skip).
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn forward(&self, gpu: &Gpu, x: &Quads, skip: Option<&Quads>, y: &Quads) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [("x", x, self.bytes()), ("y", y, self.bytes())];
        self.dispatch(gpu, ("forward", "forward_skip"), &needs, x, skip, self.bytes())
    }

    /// d_x = d_y · f'(x + skip). The gradient of the skip is the same.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn backward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        skip: Option<&Quads>,
        d_y: &Quads,
        d_x: &Quads,
    ) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [("x", x, self.bytes()), ("d_y", d_y, self.d_bytes()), ("d_x", d_x, self.d_bytes())];
        self.dispatch(gpu, ("backward", "backward_skip"), &needs, x, skip, self.d_bytes())
    }

    fn dispatch(
        &self,
        gpu: &Gpu,
        (plain, with_skip): (&'static str, &'static str),
        needs: &[Needs],
        x: &Quads,
        skip: Option<&Quads>,
        bytes: u64,
    ) -> Result<Dispatch, GpuError> {
        let mut needs = needs.to_vec();
        needs.extend(skip.iter().map(|skip| -> Needs { ("skip", *skip, self.bytes()) }));
        check_sizes("activation", &needs)?;
        let bound: Vec<Bound> = needs.iter().map(|(name, memory, _)| (*name, *memory)).collect();
        let kernel = gpu.kernel(SOURCE.of(x), if skip.is_some() { with_skip } else { plain })?;
        kernel.bind(gpu, ("activation", self), &bound, linear_grid(bytes / QUAD, 64))
    }
}
