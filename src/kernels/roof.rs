//! The most that an adapter can do, to hold other kernels against (the roofline model; Williams, Waterman, Patterson 2009).

use super::{QUAD, check_sizes};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "roof.wgsl", parts: &[include_str!("../../shaders/roof.wgsl")] };

uniform_struct! {
    /// How much is computed or copied.
    Roof {
        /// Quads of x and of y.
        quads: u32,
        /// Turns of each chain, of [`Roof::STEPS`] multiply-adds.
        turns: u32,
        /// What each step multiplies by.
        factor: f32,
        /// What each step adds.
        term: f32,
    }
}

impl Roof {
    /// Multiply-adds of a chain in one turn.
    pub const STEPS: u32 = 16;
    /// Chains to each quad.
    pub const CHAINS: u32 = 16;
    /// Most turns: some drivers end longer loops without a word.
    pub const MOST_TURNS: u32 = 65_000;

    fn dispatch(&self, gpu: &Gpu, entry: &'static str, x: &Buffer, y: &Buffer) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        check_sizes("roof", &[("x", x, bytes), ("y", y, bytes)])?;
        let dispatch = gpu.kernel(SOURCE, entry)?.bind(
            gpu,
            ("roof", self),
            &[("x", x), ("y", y)],
            linear_grid(u64::from(self.quads), 64),
        )?;
        Ok(dispatch.with_bytes(2 * bytes))
    }

    /// Chains v ← factor·v + term in registers that begin with x, x + 1, x + 2 and x + 3, and in y the sum of where they end.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if there are too many turns, or a buffer is too small.
    pub fn multiply_add(&self, gpu: &Gpu, x: &Buffer, y: &Buffer) -> Result<Dispatch, GpuError> {
        if self.turns > Roof::MOST_TURNS {
            let reason = format!("{} turns, where {} are the most", self.turns, Roof::MOST_TURNS);
            return Err(GpuError::Shader { shader: "roof".to_owned(), reason });
        }
        let steps = u64::from(self.turns) * u64::from(Roof::STEPS * Roof::CHAINS);
        Ok(self.dispatch(gpu, "multiply_add", x, y)?.with_multiply_adds(u64::from(self.quads) * steps))
    }

    /// y = x.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small.
    pub fn stream(&self, gpu: &Gpu, x: &Buffer, y: &Buffer) -> Result<Dispatch, GpuError> {
        self.dispatch(gpu, "stream", x, y)
    }
}
