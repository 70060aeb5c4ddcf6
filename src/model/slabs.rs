//! The way back through a large dense layer in slabs of its inputs: gradient of the weights, gradient of the inputs, and the
//! optimiser's step, before the next slab. So the gradient, as large as the weights, need never be there as a whole.

use super::laid::{Laid, Memory};
use super::network::{Learned, needed};
use super::{Layout, ModelError, Network};
use crate::gpu::{Buffer, Dispatch};
use crate::kernels::QUAD;
use crate::kernels::dense::Dense;

/// Bytes of a slab of weights at most, unless sixteen quads of inputs have more. Enough to fill a large GPU
/// (benches/RESULTS.md).
const SLAB: u64 = 32 << 20;
/// Quads of a slab are a multiple of this, so that all parts of buffers begin where a binding may begin.
const ALIGNED: u64 = 16;
/// Kernels of as many slabs are cut; less is not worth the dispatches.
const LEAST: u64 = 2;

/// How a kernel is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slab {
    /// Quads of inputs.
    pub quads: u64,
    /// Bytes of their weights.
    pub bytes: u64,
}

impl Slab {
    /// For kernels of dense layers that are large.
    pub fn of(layout: Layout) -> Option<Slab> {
        let Layout::Dense { outputs, .. } = layout else { return None };
        let quad = 4 * u64::from(outputs.div_ceil(4)) * QUAD;
        let quads = (SLAB / quad / ALIGNED).max(1) * ALIGNED;
        let slab = Slab { quads, bytes: quads * quad };
        (layout.device_bytes() >= LEAST * slab.bytes).then_some(slab)
    }
}

impl Network {
    /// All of the way back through a dense layer, from the gradient before its ReLU; `d_input` may be the memory of the
    /// input itself.
    pub(super) fn backward_in_slabs(
        &self,
        dense: &Dense,
        [kernel, bias]: [&Learned; 2],
        laid: &Laid,
        d_y: &Buffer,
        d_input: Option<&Memory>,
    ) -> Result<Vec<Dispatch>, ModelError> {
        let gpu = &self.gpu;
        let (room, d_bias) = (needed(kernel.slab.as_ref())?, needed(self.gradient_of(bias).as_ref())?.clone());
        let bundle = self.bundle_of(kernel);
        let Some(slab) = Slab::of(kernel.layout) else { return Ok(Vec::new()) };
        let (x, d_x) = (laid.input.buffer()?, d_input.map(Memory::buffer).transpose()?);
        let mut list = Vec::new();
        for first in (0..u64::from(dense.in_quads)).step_by(slab.quads as usize) {
            let quads = slab.quads.min(u64::from(dense.in_quads) - first);
            let part = dense.of_inputs(quads as u32);
            // Columns of the rows, and rows of the kernel.
            let of_rows = |rows: &Buffer| rows.part(first * QUAD, part.x_bytes());
            let start = first * slab.bytes / slab.quads;
            let of_kernel = |whole: &Buffer| kernel.place.of(whole).part(start, part.weights_bytes());
            let (weights, gradient) = (of_kernel(&bundle.weights), room.part(0, part.weights_bytes()));
            // All of them have all of the bias.
            list.push(part.backward_weights(gpu, &of_rows(x), d_y, &gradient, &d_bias)?);
            if let Some(d_x) = d_x {
                list.push(part.backward_data(gpu, d_y, &weights, &of_rows(d_x))?);
            }
            list.push(self.step_of(&bundle.parameter(gradient, of_kernel), weights.bytes())?);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_kernels_are_cut_and_slabs_begin_where_bindings_may() {
        let dense = |area: u32, outputs: u32| Slab::of(Layout::Dense { area, channels: 128, outputs });
        assert_eq!(dense(64, 256), None);
        assert_eq!(dense(1024, 256), Some(Slab { quads: 8192, bytes: 32 << 20 }));
        for outputs in [1, 7, 300, 5000, 100_000] {
            let slab = dense(1 << 16, outputs).expect("large");
            assert!(slab.quads % 16 == 0 && slab.bytes % 256 == 0 && slab.bytes > 0, "{slab:?}");
        }
    }
}
