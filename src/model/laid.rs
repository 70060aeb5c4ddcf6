//! Where the values of a network and their gradients lie on the device, node by node.
//!
//! Pictures lie in the memory that the adapter's body reads fastest ([`Quads`]), rows in buffers. Where these are the same
//! kind, flattening and the way in share memory; else they are copies.

use super::graph::{Operation, Shape};
use super::shapes::{Shapes, Stage};
use super::{ModelError, ParameterSpec};
use crate::gpu::{Body, Buffer, Gpu, GpuError, Quads, Texture};
use crate::kernels::conv::Winograd;
use crate::kernels::plain_conv;

/// A value, or its gradient.
#[derive(Clone)]
pub(super) enum Memory {
    Pictures(Quads),
    Rows(Buffer),
}

impl Memory {
    fn new(gpu: &Gpu, label: &str, shape: Shape, bytes: u64) -> Result<Memory, GpuError> {
        Ok(match shape {
            Shape::Pictures { .. } => Memory::Pictures(gpu.quads(label, bytes)?),
            Shape::Rows { .. } => Memory::Rows(gpu.buffer(label, bytes)?),
        })
    }

    /// For kernels that take either.
    pub fn quads(&self) -> Quads {
        match self {
            Memory::Pictures(quads) => quads.clone(),
            Memory::Rows(buffer) => Quads::Buffer(buffer.clone()),
        }
    }

    /// For kernels of rows.
    pub fn buffer(&self) -> Result<&Buffer, ModelError> {
        match self {
            Memory::Rows(buffer) | Memory::Pictures(Quads::Buffer(buffer)) => Ok(buffer),
            Memory::Pictures(Quads::Texture(_)) => {
                Err(ModelError::Spec("a layer of rows found pictures before it".to_owned()))
            }
        }
    }

    /// The very same memory as rows, where it is a buffer.
    fn as_rows(&self) -> Option<Memory> {
        match self {
            Memory::Rows(buffer) | Memory::Pictures(Quads::Buffer(buffer)) => Some(Memory::Rows(buffer.clone())),
            Memory::Pictures(Quads::Texture(_)) => None,
        }
    }
}

/// What a kernel needs besides values.
pub(super) enum Scratch {
    None,
    /// Which pixel of a pool won; for the lane body, the weights as it reads them: transformed, if the convolution is done by
    /// Winograd's way, or copied.
    Block {
        code: Buffer,
        filters: Option<Texture>,
    },
    /// Mean and inverse deviation of the batch; partial sums.
    BatchNorm {
        statistics: Buffer,
        partial: Buffer,
    },
    /// Partial sums.
    Dense {
        partial: Buffer,
    },
}

/// The gradient of a value, to which every reader of the value has a share.
pub(super) struct Gathered {
    /// What the readers leave.
    pub shares: Vec<Memory>,
    /// The sums of the first two, three, … of them.
    pub sums: Vec<Memory>,
}

impl Gathered {
    /// With one reader, what it leaves is all; without, as of the logits, it is laid out here.
    fn new(mut shares: Vec<Memory>, gradient: impl Fn() -> Result<Memory, GpuError>) -> Result<Gathered, GpuError> {
        if shares.is_empty() {
            shares.push(gradient()?);
        }
        let sums = (1..shares.len()).map(|_| gradient()).collect::<Result<_, _>>()?;
        Ok(Gathered { shares, sums })
    }

    /// The whole gradient.
    pub fn total(&self) -> &Memory {
        self.sums.last().unwrap_or(&self.shares[0])
    }
}

/// The memory of a node. Gradients are there where something before the node learns from them.
pub(super) struct Laid {
    pub input: Memory,
    pub skip: Option<Memory>,
    pub output: Memory,
    /// Whether its gradient lies in its place.
    pub is_replaced: bool,
    pub d_output: Option<Gathered>,
    pub d_input: Option<Memory>,
    pub d_skip: Option<Memory>,
    pub scratch: Scratch,
}

/// All memory of a network's values.
pub(super) struct Values {
    /// The batch as it is gathered.
    pub batch: Buffer,
    /// The same where the first layers read it.
    pub entry: Memory,
    /// The gradient with respect to the batch.
    pub d_batch: Option<Gathered>,
    /// The same as a buffer.
    pub d_input: Option<Buffer>,
    pub nodes: Vec<Laid>,
    /// Scratch of convolutions by Winograd's way, shared by them all: one is worked on at a time.
    pub tiles: Option<Texture>,
    /// The same for convolutions by themselves.
    pub winograd: Option<plain_conv::Scratch>,
}

/// Which gradients are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gradients {
    /// None.
    None,
    /// Of the batch.
    OfInput,
    /// Of the parameters.
    OfParameters,
}

impl Values {
    /// Lays out all memory.
    pub fn new(gpu: &Gpu, shapes: &Shapes, gradients: Gradients) -> Result<Values, ModelError> {
        let graph = &shapes.graph;
        let batch = gpu.buffer("batch", shapes.augment.x_bytes())?;
        let entry = match gpu.body() {
            Body::Tiles => Memory::Pictures(Quads::Buffer(batch.clone())),
            Body::Lanes => Memory::new(gpu, "batch", graph.values[0], batch.bytes())?,
        };
        let mut values = vec![entry.clone()];
        for (node, stage) in graph.nodes.iter().zip(&shapes.stages) {
            let input = &values[node.input];
            let shape = graph.values[node.output];
            let own = || Memory::new(gpu, "activation", shape, shapes.value_bytes(node.output));
            values.push(match (node.operation, input) {
                (Operation::Dropout { .. }, Memory::Rows(_)) => input.clone(),
                (Operation::Flatten, _) => input.as_rows().map_or_else(own, Ok)?,
                _ => own()?,
            });
            debug_assert_eq!(node.output + 1, values.len(), "{stage:?}");
        }

        let wanted = wanted(shapes, gradients);
        let is_replaced = |value: usize| gradients == Gradients::OfParameters && graph.is_replaced(value);
        let mut shares: Vec<Vec<Memory>> = vec![Vec::new(); values.len()];
        let mut nodes = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate().rev() {
            let gradient =
                |value: usize| Memory::new(gpu, "gradient", graph.values[value], shapes.gradient_bytes(value));
            let shares_of_output = std::mem::take(&mut shares[node.output]);
            let d_output =
                wanted[node.output].then(|| Gathered::new(shares_of_output, || gradient(node.output))).transpose()?;
            let (mut d_input, mut d_skip) = (None, None);
            let learns = wanted[node.output];
            if learns && (wanted[node.input] || matches!(node.operation, Operation::BatchNorm { .. })) {
                d_input = Some(match (node.operation, d_output.as_ref().map(Gathered::total), &values[node.input]) {
                    (Operation::Dropout { .. }, Some(d_output), Memory::Rows(_)) => d_output.clone(),
                    (Operation::Flatten, Some(Memory::Rows(rows)), Memory::Pictures(Quads::Buffer(_))) => {
                        Memory::Pictures(Quads::Buffer(rows.clone()))
                    }
                    _ if is_replaced(node.input) => values[node.input].clone(),
                    _ => gradient(node.input)?,
                });
            }
            if let Some(skip) = node.skip.filter(|skip| learns && wanted[*skip]) {
                d_skip = Some(match (node.operation, &d_input) {
                    // The gradient of a sum is that of its terms.
                    (Operation::Activation(_), Some(d_input)) => d_input.clone(),
                    _ => gradient(skip)?,
                });
            }
            shares[node.input].extend(d_input.clone().filter(|_| wanted[node.input]));
            if let Some(skip) = node.skip {
                shares[skip].extend(d_skip.clone());
            }
            nodes.push(Laid {
                input: values[node.input].clone(),
                skip: node.skip.map(|skip| values[skip].clone()),
                output: values[node.output].clone(),
                is_replaced: is_replaced(node.output),
                d_output,
                d_input,
                d_skip,
                scratch: scratch(gpu, &shapes.stages[index])?,
            });
        }
        nodes.reverse();
        let d_batch = (gradients == Gradients::OfInput)
            .then(|| {
                let own = || Memory::new(gpu, "gradient", graph.values[0], shapes.gradient_bytes(0));
                Gathered::new(std::mem::take(&mut shares[0]), own)
            })
            .transpose()?;
        let d_input = d_batch.as_ref().map(|gathered| match gathered.total().as_rows() {
            Some(Memory::Rows(buffer)) => Ok(buffer),
            _ => gpu.buffer("input gradient", shapes.gradient_bytes(0)),
        });
        let tiles = shapes.stages.iter().filter_map(|stage| match stage {
            Stage::Block(conv) => Winograd::of(gpu, conv).map(|fast| fast.tiles_bytes()),
            _ => None,
        });
        let tiles = tiles.max().map(|bytes| gpu.texture("transformed tiles", bytes)).transpose()?;
        let fast = shapes.stages.iter().filter_map(|stage| match stage {
            Stage::Conv(conv) => plain_conv::Winograd::of(gpu, conv),
            _ => None,
        });
        let fast: Vec<_> = fast.collect();
        let training = gradients == Gradients::OfParameters;
        let winograd = (!fast.is_empty()).then(|| plain_conv::Scratch::new(gpu, &fast, training)).transpose()?;
        Ok(Values { batch, entry, d_batch, d_input: d_input.transpose()?, nodes, tiles, winograd })
    }
}

/// Of which values a gradient is needed: of those that something that learns stands before.
fn wanted(shapes: &Shapes, gradients: Gradients) -> Vec<bool> {
    let graph = &shapes.graph;
    let mut wanted = vec![gradients == Gradients::OfInput];
    for node in &graph.nodes {
        let learns = |parameters: &[ParameterSpec]| parameters.iter().any(|p| p.learned);
        let own = gradients == Gradients::OfParameters && learns(&graph.parameters[node.parameters.clone()]);
        wanted.push(own || wanted[node.input] || node.skip.is_some_and(|skip| wanted[skip]));
    }
    wanted
}

fn scratch(gpu: &Gpu, stage: &Stage) -> Result<Scratch, GpuError> {
    Ok(match stage {
        Stage::Block(conv) => {
            let bytes = Winograd::of(gpu, conv).map_or(conv.weights_bytes(), |fast| fast.filters_bytes());
            let filters = (gpu.body() == Body::Lanes).then(|| gpu.texture("weights as they are read", bytes));
            Scratch::Block { code: gpu.buffer("pool codes", conv.code_bytes())?, filters: filters.transpose()? }
        }
        Stage::BatchNorm(norm) => Scratch::BatchNorm {
            statistics: gpu.buffer("batch statistics", norm.statistics_bytes())?,
            partial: gpu.buffer("partial sums", norm.partial_bytes())?,
        },
        Stage::Dense(dense) => Scratch::Dense { partial: gpu.buffer("partial sums", dense.partial_bytes())? },
        _ => Scratch::None,
    })
}
