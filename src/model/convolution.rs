//! A convolution of a plan: by Winograd's way where the layer was laid for it, else summed directly.
//!
//! Convolutions keep activations in the memory that the adapter's body reads fastest ([`Quads`]); the layers around them
//! keep theirs in buffers. Where these are not the same, they are copied at the two ends of a row of convolutions.

use super::network::{Activation, needed};
use super::{ModelError, Network};
use crate::gpu::{Body, Buffer, Dispatch, Gpu, GpuError, Quads, Texture};
use crate::kernels::conv::{Conv, Winograd};
use crate::kernels::copy::Copy;

/// A convolution's tensors; `kernel` and `bias` are indices of parameters.
pub(super) struct LaidConv {
    pub kernel: usize,
    pub bias: usize,
    pub input: Activation<Quads>,
    pub output: Activation<Quads>,
    pub code: Buffer,
    /// The transformed weights, if this is done by Winograd's way.
    filters: Option<Texture>,
    /// What `input` is a copy of, for the first of a row of convolutions.
    entry: Option<Activation<Buffer>>,
    /// The copy of `output`, for the last of a row of convolutions.
    pub exit: Option<Activation<Buffer>>,
}

/// Where a layer finds what the one before it left.
pub(super) enum Before {
    Buffers(Activation<Buffer>),
    Quads(Activation<Quads>),
}

impl Before {
    /// For layers that read buffers: only between convolutions is there anything else.
    pub fn buffers(self) -> Result<Activation<Buffer>, ModelError> {
        match self {
            Before::Buffers(buffers) => Ok(buffers),
            Before::Quads(_) => Err(ModelError::Spec("a convolution with a border before another layer".to_owned())),
        }
    }
}

impl LaidConv {
    /// Lays the tensors out, for parameters `kernel` and `kernel + 1`, with those of gradients or without.
    pub fn new(gpu: &Gpu, conv: &Conv, kernel: usize, before: Before, gradients: bool) -> Result<LaidConv, GpuError> {
        let (input, entry) = match before {
            Before::Quads(quads) => (quads, None),
            Before::Buffers(buffers) => {
                let twin = |buffer: &Buffer| match gpu.body() {
                    Body::Tiles => Ok(Quads::Buffer(buffer.clone())),
                    Body::Lanes => gpu.quads("activation", buffer.bytes()),
                };
                let gradient = buffers.gradient.as_ref().map(twin).transpose()?;
                (Activation { value: twin(&buffers.value)?, gradient }, Some(buffers))
            }
        };
        let gradient = gradients.then(|| gpu.quads("gradient", conv.d_y_bytes())).transpose()?;
        let output = Activation { value: gpu.quads("activation", conv.y_bytes())?, gradient };
        // Without a border, the output goes to another kind of layer.
        let exit = (conv.y_border == 0).then(|| -> Result<_, GpuError> {
            let twin = |quads: &Quads, bytes: u64| match quads {
                Quads::Buffer(buffer) => Ok(buffer.clone()),
                Quads::Texture(_) => gpu.buffer("activation", bytes),
            };
            let gradient = output.gradient.as_ref().map(|quads| twin(quads, conv.d_y_bytes())).transpose()?;
            Ok(Activation { value: twin(&output.value, conv.y_bytes())?, gradient })
        });
        let filters = Winograd::of(gpu, conv).map(|fast| gpu.texture("transformed weights", fast.filters_bytes()));
        Ok(LaidConv {
            kernel,
            bias: kernel + 1,
            input,
            output,
            code: gpu.buffer("pool codes", conv.code_bytes())?,
            filters: filters.transpose()?,
            entry,
            exit: exit.transpose()?,
        })
    }

    /// What the next layer finds.
    pub fn after(&self) -> Before {
        match &self.exit {
            Some(buffers) => Before::Buffers(buffers.clone()),
            None => Before::Quads(self.output.clone()),
        }
    }
}

/// A copy from a buffer, where quads are not the very same buffer.
fn pack(gpu: &Gpu, from: &Buffer, into: &Quads) -> Result<Option<Dispatch>, GpuError> {
    match into {
        Quads::Buffer(_) => Ok(None),
        Quads::Texture(texture) => Copy::of(from.bytes()).pack(gpu, from, texture).map(Some),
    }
}

/// A copy into a buffer, where quads are not the very same buffer.
fn unpack(gpu: &Gpu, from: &Quads, into: &Buffer) -> Result<Option<Dispatch>, GpuError> {
    match from {
        Quads::Buffer(_) => Ok(None),
        Quads::Texture(texture) => Copy::of(into.bytes()).unpack(gpu, texture, into).map(Some),
    }
}

impl Network {
    /// The pooled output of a convolution.
    pub(super) fn convolve(&self, conv: &Conv, laid: &LaidConv) -> Result<Vec<Dispatch>, ModelError> {
        let (gpu, x, y) = (&self.gpu, &laid.input.value, &laid.output.value);
        let (kernel, bias) = (&self.learned[laid.kernel].weights, &self.learned[laid.bias].weights);
        let mut list = Vec::new();
        if let Some(entry) = &laid.entry {
            list.extend(pack(gpu, &entry.value, x)?);
        }
        match (Winograd::of(gpu, conv), &laid.filters, &self.tiles) {
            (Some(fast), Some(filters), Some(tiles)) => {
                list.extend(fast.forward(gpu, x, [kernel, bias], (y, &laid.code), [filters, tiles])?);
            }
            _ => list.push(conv.forward(gpu, x, kernel, bias, y, &laid.code)?),
        }
        if let Some(exit) = &laid.exit {
            list.extend(unpack(gpu, y, &exit.value)?);
        }
        Ok(list)
    }

    /// Takes the gradient of a convolution's output over from the layer behind it, before anything else reads it.
    pub(super) fn receive_gradient(&self, laid: &LaidConv) -> Result<Option<Dispatch>, ModelError> {
        let Some(exit) = &laid.exit else { return Ok(None) };
        let (from, into) = (needed(exit.gradient.as_ref())?, needed(laid.output.gradient.as_ref())?);
        Ok(pack(&self.gpu, from, into)?)
    }

    /// The gradient of a convolution's input.
    pub(super) fn backward_data(&self, conv: &Conv, laid: &LaidConv) -> Result<Vec<Dispatch>, ModelError> {
        let (gpu, weights) = (&self.gpu, &self.learned[laid.kernel].weights);
        let (d_y, d_x) = (needed(laid.output.gradient.as_ref())?, needed(laid.input.gradient.as_ref())?);
        let mut list = match (Winograd::of(gpu, conv), &laid.filters, &self.tiles) {
            (Some(fast), Some(filters), Some(tiles)) => {
                fast.backward_data(gpu, d_y, [&laid.code, weights], d_x, [filters, tiles])?
            }
            _ => vec![conv.backward_data(gpu, d_y, &laid.code, weights, d_x)?],
        };
        if let Some(gradient) = laid.entry.as_ref().and_then(|entry| entry.gradient.as_ref()) {
            list.extend(unpack(gpu, d_x, gradient)?);
        }
        Ok(list)
    }
}
