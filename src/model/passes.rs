//! The passes of a network: forward, and backward to the parameters or to the input.

use super::laid::{Gathered, Laid, Memory, Scratch};
use super::network::{Learned, needed};
use super::shapes::Stage;
use super::{ModelError, Network};
use crate::gpu::{Buffer, Dispatch, Gpu, GpuError, Plan, Quads, Texture};
use crate::kernels::activation::{Activation, Function};
use crate::kernels::batch_norm::Norm;
use crate::kernels::border::Border;
use crate::kernels::conv::{Conv, Winograd};
use crate::kernels::copy::Copy;
use crate::kernels::dense::Dense;
use crate::kernels::plain_conv::{self, PlainConv};
use crate::kernels::relu::Relu;

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Dropout drops, batch normalisation measures the batch; backward, the gradients of the parameters.
    Training,
    /// Neither; backward, the gradients of the input.
    Inference,
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
    /// All layers, from the gathered batch to the logits.
    pub(super) fn forward(&self, plan: &mut Plan, mode: Mode) -> Result<(), ModelError> {
        let values = &self.values;
        if let Some(dispatch) = pack(&self.gpu, &values.batch, &values.entry.quads())? {
            plan.push(dispatch);
        }
        for (index, laid) in values.nodes.iter().enumerate() {
            self.forward_node(index, laid, mode)?.into_iter().for_each(|dispatch| plan.push(dispatch));
        }
        Ok(())
    }

    fn forward_node(&self, index: usize, laid: &Laid, mode: Mode) -> Result<Vec<Dispatch>, ModelError> {
        let gpu = &self.gpu;
        let training = mode == Mode::Training;
        let weights = self.weights_of(index);
        let (x, y) = (&laid.input.quads(), &laid.output.quads());
        let skip = laid.skip.as_ref().map(Memory::quads);
        let skip = skip.as_ref();
        Ok(match (&self.shapes.stages[index], weights.as_slice(), &laid.scratch) {
            (Stage::Block(conv), [kernel, bias], Scratch::Block { code, filters }) => {
                let mut list = Vec::new();
                if laid.is_replaced && conv.y_border > 0 {
                    // The last step's gradient has lain there.
                    let planes = conv.images * conv.out_quads;
                    list.push(Border { planes, height: conv.height / 2, width: conv.width / 2 }.clear(gpu, y)?);
                }
                match (Winograd::of(gpu, conv), filters, &self.values.tiles) {
                    (Some(fast), Some(filters), Some(tiles)) => {
                        list.extend(fast.forward(gpu, x, [kernel, bias], (y, code), [filters, tiles])?);
                    }
                    _ => {
                        let read = readable(kernel, filters.as_ref());
                        list.extend(pack(gpu, kernel, &read)?);
                        list.push(conv.forward(gpu, x, &read, bias, y, code)?);
                    }
                }
                list
            }
            (Stage::Conv(conv), [kernel, bias @ ..], _) => match self.fast(conv) {
                Some((fast, scratch)) => fast.forward(gpu, x, kernel, bias.first(), y, scratch)?,
                None => conv.forward(gpu, x, kernel, bias.first(), y)?,
            },
            (Stage::BatchNorm(norm), weights, Scratch::BatchNorm { statistics, partial }) => {
                let parameters = norm_of(weights)?;
                match training && !self.is_frozen(index) {
                    true => norm.train_forward(gpu, &self.step, x, skip, parameters, statistics, partial, y)?,
                    false => vec![norm.infer_forward(gpu, x, skip, parameters, y)?],
                }
            }
            (Stage::Activation(activation), ..) => vec![activation.forward(gpu, x, skip, y)?],
            (Stage::MaxPool(pool), ..) => vec![pool.max_forward(gpu, x, y)?],
            (Stage::AveragePool(pool), ..) => vec![pool.average_forward(gpu, x, y)?],
            (Stage::GlobalAverage(average), ..) => vec![average.forward(gpu, x, laid.output.buffer()?)?],
            (Stage::Flatten, ..) => unpack(gpu, x, laid.output.buffer()?)?.into_iter().collect(),
            (Stage::Dropout(dropout), ..) => match &laid.input {
                Memory::Rows(_) if !training => Vec::new(),
                Memory::Rows(rows) => vec![dropout.apply(gpu, &self.step, rows)?],
                Memory::Pictures(_) if training => vec![dropout.apply_to(gpu, &self.step, x, y)?],
                Memory::Pictures(_) => {
                    vec![self.identity(self.shapes.graph.nodes[index].output).forward(gpu, x, None, y)?]
                }
            },
            (Stage::Dense(dense), [kernel, bias], Scratch::Dense { partial }) => {
                dense.forward(gpu, laid.input.buffer()?, kernel, bias, partial, laid.output.buffer()?)?.into()
            }
            _ => return Err(ill_laid()),
        })
    }

    /// All layers backward, from the gradient of the logits.
    pub(super) fn backward(&self, plan: &mut Plan, mode: Mode) -> Result<(), ModelError> {
        // Nothing before the first node that learns needs a gradient.
        for (index, laid) in self.values.nodes.iter().enumerate().skip(self.first_to_learn(mode)).rev() {
            let Some(d_output) = &laid.d_output else { continue };
            self.add_up(plan, self.shapes.graph.nodes[index].output, d_output)?;
            self.backward_node(index, laid, d_output.total(), mode)?
                .into_iter()
                .for_each(|dispatch| plan.push(dispatch));
        }
        if let (Some(d_batch), Some(into)) = (&self.values.d_batch, &self.values.d_input) {
            self.add_up(plan, 0, d_batch)?;
            unpack(&self.gpu, &d_batch.total().quads(), into)?.into_iter().for_each(|dispatch| plan.push(dispatch));
        }
        Ok(())
    }

    /// Adds up what the readers of a value have left.
    fn add_up(&self, plan: &mut Plan, value: usize, gathered: &Gathered) -> Result<(), ModelError> {
        let all = self.identity(value);
        let add = Activation { images: all.rows, ..all };
        let mut sum = &gathered.shares[0];
        for (share, into) in gathered.shares[1..].iter().zip(&gathered.sums) {
            plan.push(add.forward(&self.gpu, &sum.quads(), Some(&share.quads()), &into.quads())?);
            sum = into;
        }
        Ok(())
    }

    /// What does nothing to a value.
    fn identity(&self, value: usize) -> Activation {
        let shape = self.shapes.graph.values[value];
        let images = self.shapes.augment.rows;
        let rows = images * self.shapes.shared();
        Activation { images, rows, quads: shape.quads() as u32, function: Function::Identity as u32 }
    }

    fn backward_node(
        &self,
        index: usize,
        laid: &Laid,
        d_output: &Memory,
        mode: Mode,
    ) -> Result<Vec<Dispatch>, ModelError> {
        let gpu = &self.gpu;
        let training = mode == Mode::Training;
        let weights = self.weights_of(index);
        let (x, d_y) = (&laid.input.quads(), &d_output.quads());
        let (skip, d_skip) = (laid.skip.as_ref().map(Memory::quads), laid.d_skip.as_ref().map(Memory::quads));
        let (skip, d_skip) = (skip.as_ref(), d_skip.as_ref());
        let d_x = laid.d_input.as_ref().map(Memory::quads);
        let d_x = d_x.as_ref();
        let wanted = index > self.first_to_learn(mode) || mode == Mode::Inference;
        let mut list = Vec::new();
        match (&self.shapes.stages[index], weights.as_slice(), &laid.scratch) {
            (Stage::Block(conv), [kernel, _], Scratch::Block { code, filters }) => {
                if let (true, [into_kernel, into_bias]) = (training, self.gradients_of(index).as_slice()) {
                    list.push(conv.backward_weights(gpu, x, d_y, code, into_kernel, into_bias)?);
                }
                if let Some(d_x) = d_x.filter(|_| wanted) {
                    list.extend(self.block_backward_data(conv, d_y, [code, kernel], d_x, filters.as_ref())?);
                }
            }
            (Stage::Conv(conv), [kernel, ..], _) => {
                let fast = self.fast(conv);
                if let (true, [into_kernel, into_bias @ ..]) = (training, self.gradients_of(index).as_slice()) {
                    let into_bias = into_bias.first();
                    list.extend(match fast {
                        Some((fast, scratch)) => fast.backward_weights(gpu, x, d_y, into_kernel, into_bias, scratch)?,
                        None => conv.backward_weights(gpu, x, d_y, into_kernel, into_bias)?,
                    });
                }
                if let Some(d_x) = d_x {
                    list.extend(match fast {
                        Some((fast, scratch)) => fast.backward_data(gpu, d_y, kernel, d_x, scratch)?,
                        None => conv.backward_data(gpu, d_y, kernel, d_x)?,
                    });
                }
            }
            (Stage::BatchNorm(norm), weights, Scratch::BatchNorm { statistics, partial }) => {
                let (parameters, d_x) = (norm_of(weights)?, needed(d_x)?);
                match (training, self.gradients_of(index).as_slice()) {
                    (true, [d_scale, d_offset]) => list.extend(norm.train_backward(
                        gpu, &self.step, x, skip, parameters, statistics, partial, d_y, d_x, d_skip, d_scale, d_offset,
                    )?),
                    _ => list.push(norm.infer_backward(gpu, x, skip, parameters, d_y, d_x, d_skip)?),
                }
            }
            (Stage::Dense(dense), [kernel, _], _) => {
                // In an explanation, the gradients of several outputs are behind one forward pass.
                let rows = dense.rows * self.shapes.shared();
                let d_y = d_output.buffer()?;
                if dense.relu != 0 {
                    let relu = Relu { images: dense.rows, rows, quads: dense.out_quads };
                    list.push(relu.backward(gpu, laid.output.buffer()?, d_y)?);
                }
                let d_input = laid.d_input.as_ref().filter(|_| wanted);
                if let (true, [kernel @ Learned { slab: Some(_), .. }, bias]) = (training, self.learned_of(index)) {
                    list.extend(self.backward_in_slabs(dense, [kernel, bias], laid, d_y, d_input)?);
                    return Ok(list);
                }
                if let (true, [d_kernel, d_bias]) = (training, self.gradients_of(index).as_slice()) {
                    list.push(dense.backward_weights(gpu, laid.input.buffer()?, d_y, d_kernel, d_bias)?);
                }
                if let Some(d_input) = d_input {
                    list.push(Dense { rows, ..*dense }.backward_data(gpu, d_y, kernel, d_input.buffer()?)?);
                }
            }
            (stage, ..) => {
                if let Some(d_input) = &laid.d_input {
                    list.extend(self.backward_plainly(index, stage, laid, (d_output, d_input), mode)?);
                }
            }
        }
        Ok(list)
    }

    /// The gradient of the input of a node without parameters.
    fn backward_plainly(
        &self,
        index: usize,
        stage: &Stage,
        laid: &Laid,
        (d_output, d_input): (&Memory, &Memory),
        mode: Mode,
    ) -> Result<Option<Dispatch>, ModelError> {
        let gpu = &self.gpu;
        let (x, d_y, d_x) = (&laid.input.quads(), &d_output.quads(), &d_input.quads());
        let skip = laid.skip.as_ref().map(Memory::quads);
        Ok(match (stage, d_output) {
            (Stage::Activation(activation), _) => Some(activation.backward(gpu, x, skip.as_ref(), d_y, d_x)?),
            (Stage::MaxPool(pool), _) => Some(pool.max_backward(gpu, x, d_y, d_x)?),
            (Stage::AveragePool(pool), _) => Some(pool.average_backward(gpu, d_y, d_x)?),
            (Stage::GlobalAverage(average), _) => Some(average.backward(gpu, d_output.buffer()?, d_x)?),
            (Stage::Flatten, _) => pack(gpu, d_output.buffer()?, d_x)?,
            (Stage::Dropout(_), Memory::Rows(_)) if mode == Mode::Inference => None,
            (Stage::Dropout(dropout), Memory::Rows(rows)) => Some(dropout.apply(gpu, &self.step, rows)?),
            (Stage::Dropout(dropout), Memory::Pictures(_)) if mode == Mode::Training => {
                Some(dropout.apply_to(gpu, &self.step, d_y, d_x)?)
            }
            (Stage::Dropout(_), Memory::Pictures(_)) => {
                let all = self.identity(self.shapes.graph.nodes[index].output);
                Some(Activation { images: all.rows, ..all }.forward(gpu, d_y, None, d_x)?)
            }
            _ => return Err(ill_laid()),
        })
    }

    fn block_backward_data(
        &self,
        conv: &Conv,
        d_y: &Quads,
        [code, weights]: [&Buffer; 2],
        d_x: &Quads,
        filters: Option<&Texture>,
    ) -> Result<Vec<Dispatch>, ModelError> {
        let gpu = &self.gpu;
        Ok(match (Winograd::of(gpu, conv), filters, &self.values.tiles) {
            (Some(fast), Some(filters), Some(tiles)) => {
                fast.backward_data(gpu, d_y, [code, weights], d_x, [filters, tiles])?
            }
            // The way forward has left them there.
            _ => vec![conv.backward_data(gpu, d_y, code, &readable(weights, filters), d_x)?],
        })
    }

    /// A convolution by Winograd's way, with its scratch, where that is worth it.
    fn fast(&self, conv: &PlainConv) -> Option<(plain_conv::Winograd, &plain_conv::Scratch)> {
        plain_conv::Winograd::of(&self.gpu, conv).zip(self.values.winograd.as_ref())
    }
}

/// Where the kernels of this body read weights: where they lie, or a copy.
fn readable(weights: &Buffer, copied: Option<&Texture>) -> Quads {
    copied.map_or_else(|| Quads::Buffer(weights.clone()), |texture| Quads::Texture(texture.clone()))
}

fn norm_of(weights: &[Buffer]) -> Result<Norm<'_>, ModelError> {
    match weights {
        [scale, offset, mean, variance] => Ok(Norm { scale, offset, mean, variance }),
        _ => Err(ill_laid()),
    }
}

/// Never seen: every operation is laid out with its own kinds of memory and parameters.
fn ill_laid() -> ModelError {
    ModelError::Spec("a layer was laid out without its memory".to_owned())
}
