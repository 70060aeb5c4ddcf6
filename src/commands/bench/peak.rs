//! The adapter's own roof: what it computes and copies in a second at most, measured, not read from a data sheet.

use super::super::CommandError;
use super::measure::each;
use crate::gpu::{Dispatch, Gpu, Plan, Work};
use crate::kernels::QUAD;
use crate::kernels::roof::Roof;

/// Quads that have chains: enough for any processor, and so many that they fill the largest device several times over.
const QUADS: [u32; 2] = [1 << 14, 1 << 20];
/// Turns of the chains at least: beside them it does not count how long their beginnings take to read.
const LEAST_TURNS: u32 = 128;
/// What is copied: more than caches hold, and within what every adapter binds.
const MOST_COPIED_BYTES: u64 = 128 << 20;
/// So long that what a dispatch costs by itself does not count.
const LONG_ENOUGH: f64 = 0.01;

/// The most that was measured, a second.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Floating-point operations.
    pub operations: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

/// Which part of the roof is above a kernel: the larger of the two times that its work takes at the peaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// That of the operations.
    Arithmetic,
    /// That of the bytes.
    Memory,
}

impl Bound {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Arithmetic => "arithmetic",
            Bound::Memory => "memory",
        }
    }
}

impl Peak {
    /// Measures it, each part as the best of so many times.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn measure(gpu: &Gpu, repeats: u32) -> Result<Peak, CommandError> {
        let best = |dispatch: &Dispatch, repeats: u32| -> Result<f64, CommandError> {
            let mut plan = Plan::new();
            plan.push(dispatch.clone());
            let mut least = f64::INFINITY;
            for _ in 0..repeats {
                least = least.min(each(gpu, &plan, 1)?[0]);
            }
            Ok(least.max(1e-9))
        };
        let [few, many] = QUADS;
        let chained = u64::from(many) * QUAD;
        let (x, y) = (gpu.buffer("chains", chained)?, gpu.buffer("chains' ends", chained)?);
        // Factors below one: no chain grows without end, and none ends in denormal numbers, which some devices are slow with.
        let mut roof = Roof { quads: few, turns: LEAST_TURNS, factor: 0.75, term: 0.5 };
        let mut dispatch = roof.multiply_add(gpu, &x, &y)?;
        // The first compiles.
        best(&dispatch, 1)?;
        while best(&dispatch, 1)? < LONG_ENOUGH && 2 * roof.turns <= Roof::MOST_TURNS {
            if roof.quads < many {
                roof.quads *= 2
            } else {
                roof.turns *= 2
            }
            dispatch = roof.multiply_add(gpu, &x, &y)?;
        }
        let operations = 2.0 * dispatch.work().multiply_adds as f64 / best(&dispatch, repeats)?;
        let copied = MOST_COPIED_BYTES.min(gpu.max_tensor_bytes()) / QUAD;
        let (x, y) = (gpu.buffer("copied", copied * QUAD)?, gpu.buffer("copy", copied * QUAD)?);
        let dispatch = Roof { quads: copied as u32, ..Roof::default() }.stream(gpu, &x, &y)?;
        // The first touches memory.
        best(&dispatch, 1)?;
        let bytes = dispatch.work().bytes as f64 / best(&dispatch, repeats)?;
        Ok(Peak { operations, bytes })
    }

    /// How near to the roof work in so many seconds is, 1 being there, and which part of the roof is above it.
    pub fn share(&self, work: Work, seconds: f64) -> (f64, Bound) {
        let arithmetic = 2.0 * work.multiply_adds as f64 / self.operations;
        let memory = work.bytes as f64 / self.bytes;
        let bound = if arithmetic > memory { Bound::Arithmetic } else { Bound::Memory };
        (arithmetic.max(memory) / seconds, bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_below_the_part_of_the_roof_that_takes_it_longer() {
        let peak = Peak { operations: 200.0, bytes: 10.0 };
        assert_eq!(peak.share(Work { multiply_adds: 100, bytes: 5 }, 4.0), (0.25, Bound::Arithmetic));
        assert_eq!(peak.share(Work { multiply_adds: 100, bytes: 20 }, 4.0), (0.5, Bound::Memory));
        assert_eq!(peak.share(Work { multiply_adds: 0, bytes: 20 }, 4.0), (0.5, Bound::Memory));
    }
}
