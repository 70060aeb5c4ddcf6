//! What a list of layers computes: operations on values, with every shape known, before anything is allocated.
//!
//! Layers that the device does in one kernel become one operation: convolution, ReLU and pooling at the beginning of a
//! network; batch normalisation, the sum of a residual block and the activation behind it.

mod build;

use std::fmt;
use std::ops::Range;

use build::count;

use super::spec::ParameterSpec;
use super::{Layer, ModelError, NetworkSpec};
use crate::kernels::activation::Function;
use crate::kernels::plain_conv::Window;

/// No description asks for more than this, whoever wrote it: sizes in bytes stay far below 2⁶⁴ and numbers of quads below
/// 2³², and no loop of a kernel runs 65,535 turns, after which some drivers end it in silence.
const MOST_PIXELS: u32 = 4096;
const MOST_CLASSES: u32 = 10_000;
const MOST_LAYERS: usize = 500;
pub(super) const MOST_DEPTH: usize = 8;

/// Where a layer stands: its number, and inside residual blocks the list and the number there, from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub Vec<(&'static str, usize)>);

impl Place {
    pub(super) fn at(&self, index: usize) -> Place {
        let mut place = self.clone();
        if let Some(last) = place.0.last_mut() {
            last.1 = index;
        }
        place
    }

    pub(super) fn inside(&self, list: &'static str) -> Place {
        let mut place = self.clone();
        place.0.push((list, 0));
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (depth, (list, index)) in self.0.iter().enumerate() {
            match depth {
                0 => write!(f, "layer {}", index + 1)?,
                _ => write!(f, ", {list} layer {}", index + 1)?,
            }
        }
        Ok(())
    }
}

/// Why a list of layers is no network.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// The layer; `None` where it is the whole.
    pub place: Option<Place>,
    /// What is wrong with it.
    pub reason: String,
}

impl From<Misfit> for ModelError {
    fn from(Misfit { place, reason }: Misfit) -> ModelError {
        ModelError::Spec(match place {
            Some(place) => format!("{place}: {reason}"),
            None => reason,
        })
    }
}

/// The shape of a value, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[H,W,C]`.
    Pictures {
        /// H.
        height: u32,
        /// W.
        width: u32,
        /// C.
        channels: u32,
    },
    /// `[area·channels]`, in quads of channels on the device: `[channels/4, area]`.
    Rows {
        /// Pixels that were flattened, or 1.
        area: u32,
        /// Channels, or units.
        channels: u32,
    },
}

#[expect(clippy::len_without_is_empty, reason = "no shape is empty")]
impl Shape {
    /// Numbers in it.
    pub fn len(&self) -> u64 {
        match *self {
            Shape::Pictures { height, width, channels } => u64::from(height) * u64::from(width) * u64::from(channels),
            Shape::Rows { area, channels } => u64::from(area) * u64::from(channels),
        }
    }

    /// Quads in it, on the device.
    pub fn quads(&self) -> u64 {
        match *self {
            Shape::Pictures { height, width, channels } => {
                u64::from(height) * u64::from(width) * u64::from(channels.div_ceil(4))
            }
            Shape::Rows { area, channels } => u64::from(area) * u64::from(channels.div_ceil(4)),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Shape::Pictures { height, width, channels } => write!(f, "{height} × {width} × {channels}"),
            Shape::Rows { area, channels } => write!(f, "{}", u64::from(*area) * u64::from(*channels)),
        }
    }
}

/// What is done with a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Convolution 3×3 "same", ReLU and max pooling 2×2 in one kernel.
    Block,
    /// Convolution.
    Conv {
        /// Kernel, stride, padding.
        window: Window,
        /// Groups of channels.
        groups: u32,
        /// Whether there is a bias.
        bias: bool,
    },
    /// Batch normalisation, plus the skipped value if there is one, then the function.
    BatchNorm {
        /// Share of the running statistics that stays.
        momentum: f32,
        /// Added to the variance.
        epsilon: f32,
        /// The activation.
        function: Function,
    },
    /// The value, plus the skipped one if there is one, then the function.
    Activation(Function),
    /// The largest of each window.
    MaxPool(Window),
    /// The mean of each window.
    AveragePool(Window),
    /// The mean of every channel.
    GlobalAverage,
    /// Pictures become rows.
    Flatten,
    /// Dropout, in place if of rows.
    Dropout {
        /// Of being dropped.
        rate: f32,
        /// Number of the layer, from 1, that tells its random numbers from those of others.
        number: u32,
    },
    /// Dense, with ReLU or without.
    Dense {
        /// Whether negative outputs become zero.
        relu: bool,
    },
}

/// One operation; values and parameters are numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is done.
    pub operation: Operation,
    /// With which value.
    pub input: usize,
    /// And which other.
    pub skip: Option<usize>,
    /// The result.
    pub output: usize,
    /// The parameters.
    pub parameters: Range<usize>,
}

/// A line of a network's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// How deep inside residual blocks.
    pub depth: usize,
    /// What it is called.
    pub name: String,
    /// What it does, in words.
    pub description: String,
    /// Of its output.
    pub output: Shape,
    /// Numbers that are learned, and running statistics.
    pub parameters: u64,
    /// Multiplications with additions, for one picture forward.
    pub multiply_adds: u64,
}

/// The operations of a network in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// In order: each works on values of those before it. Value 0 is the batch of pictures.
    pub nodes: Vec<Node>,
    /// Shapes of the values.
    pub values: Vec<Shape>,
    /// All parameters in order.
    pub parameters: Vec<ParameterSpec>,
    /// The layers one by one, for people.
    pub rows: Vec<Row>,
    convolutions: u32,
    norms: u32,
    denses: u32,
    dropouts: u32,
}

impl Graph {
    /// The operations of `spec`.
    ///
    /// # Errors
    /// [`Misfit`] for the first layer that cannot do its work.
    pub fn new(spec: &NetworkSpec) -> Result<Graph, Misfit> {
        let whole = |reason: String| Misfit { place: None, reason };
        if !(2..=MOST_CLASSES).contains(&spec.classes) {
            return Err(whole(format!("it needs 2 to {MOST_CLASSES} classes, not {}", spec.classes)));
        }
        if spec.height.max(spec.width) > MOST_PIXELS || spec.height.min(spec.width) == 0 {
            return Err(whole(format!(
                "{}×{} pixels, where sides go from 1 to {MOST_PIXELS}",
                spec.height, spec.width
            )));
        }
        let count = count(&spec.layers, 0).map_err(whole)?;
        if count > MOST_LAYERS {
            return Err(whole(format!("{count} layers, where {MOST_LAYERS} is the most")));
        }
        match spec.layers.split_last() {
            Some((Layer::Softmax, before)) if !before.is_empty() => {}
            _ => return Err(whole("the last layer must be softmax, with others before it".to_owned())),
        }
        let mut graph = Graph::default();
        graph.values.push(Shape::Pictures { height: spec.height, width: spec.width, channels: 3 });
        graph.walk(&spec.layers, &Place(vec![("layers", 0)]), 0, spec.classes)?;
        Ok(graph)
    }

    /// Whether value 0 is read by nothing but a [`Operation::Block`], which wants a border around it.
    pub fn begins_with_block(&self) -> bool {
        self.nodes.first().is_some_and(|node| node.operation == Operation::Block)
    }
}

#[cfg(test)]
mod tests;
