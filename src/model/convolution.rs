//! A convolution of a plan: by Winograd's way where the layer was laid for it, else summed directly.

use super::network::{Laid, needed};
use super::{ModelError, Network};
use crate::gpu::Dispatch;
use crate::kernels::conv::{Conv, Winograd};

impl Network {
    /// The pooled output of a convolution.
    pub(super) fn convolve(&self, conv: &Conv, laid: &Laid) -> Result<Vec<Dispatch>, ModelError> {
        let Laid::Conv { kernel, bias, input, output, code, filters } = laid else { return Ok(Vec::new()) };
        let (gpu, x, y) = (&self.gpu, &input.value, &output.value);
        let (kernel, bias) = (&self.learned[*kernel].weights, &self.learned[*bias].weights);
        Ok(match (Winograd::of(gpu, conv), filters, &self.tiles) {
            (Some(fast), Some(filters), Some(tiles)) => {
                fast.forward(gpu, [x, kernel, bias], [y, code], [filters, tiles])?
            }
            _ => vec![conv.forward(gpu, x, kernel, bias, y, code)?],
        })
    }

    /// The gradient of a convolution's input.
    pub(super) fn backward_data(&self, conv: &Conv, laid: &Laid) -> Result<Vec<Dispatch>, ModelError> {
        let Laid::Conv { kernel, input, output, code, filters, .. } = laid else { return Ok(Vec::new()) };
        let (gpu, weights) = (&self.gpu, &self.learned[*kernel].weights);
        let (d_y, d_x) = (needed(output.gradient.as_ref())?, needed(input.gradient.as_ref())?);
        Ok(match (Winograd::of(gpu, conv), filters, &self.tiles) {
            (Some(fast), Some(filters), Some(tiles)) => {
                fast.backward_data(gpu, [d_y, code, weights], d_x, [filters, tiles])?
            }
            _ => vec![conv.backward_data(gpu, d_y, code, weights, d_x)?],
        })
    }
}
