//! The shapes of every operation for a batch, and whether they fit the adapter, before anything is allocated.

use super::graph::{Graph, Node, Operation, Shape};
use super::slabs::Slab;
use super::{ModelError, NetworkSpec, Padding, Target};
use crate::gpu::Gpu;
use crate::kernels::QUAD;
use crate::kernels::activation::Activation;
use crate::kernels::augment::Augment;
use crate::kernels::batch_norm::BatchNorm;
use crate::kernels::conv::Conv;
use crate::kernels::dense::Dense;
use crate::kernels::dropout::Dropout;
use crate::kernels::plain_conv::{PlainConv, Window, Winograd};
use crate::kernels::pool::{GlobalAverage, Pool};
use crate::kernels::softmax::Softmax;

/// One operation with its shapes.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Convolution, ReLU, pooling.
    Block(Conv),
    /// Convolution.
    Conv(PlainConv),
    /// Batch normalisation, sum, activation.
    BatchNorm(BatchNorm),
    /// Sum, activation.
    Activation(Activation),
    /// Pooling by the maximum.
    MaxPool(Pool),
    /// Pooling by the mean.
    AveragePool(Pool),
    /// The mean of every channel.
    GlobalAverage(GlobalAverage),
    /// Pictures become rows.
    Flatten,
    /// Dropout.
    Dropout(Dropout),
    /// Dense, with or without ReLU.
    Dense(Dense),
}

/// The shapes of a network for a batch.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// What is computed.
    pub graph: Graph,
    /// The way into the network.
    pub augment: Augment,
    /// One for every node of the graph.
    pub stages: Vec<Stage>,
    /// The end.
    pub softmax: Softmax,
    /// Gradients that share a forward pass.
    shared: u32,
}

impl Shapes {
    /// The shapes of `spec` for `batch` pictures.
    ///
    /// # Errors
    /// [`ModelError::Spec`].
    pub fn new(spec: &NetworkSpec, batch: u32) -> Result<Shapes, ModelError> {
        let graph = Graph::new(spec)?;
        let stages = (0..graph.nodes.len()).map(|node| stage(&graph, node, batch)).collect();
        let border = u32::from(graph.begins_with_block());
        Ok(Shapes {
            augment: Augment { rows: batch, height: spec.height, width: spec.width, border },
            stages,
            softmax: Softmax::new(batch, spec.classes),
            graph,
            shared: 1,
        })
    }

    /// The same with the gradients of `shared` outputs behind one forward pass.
    pub fn with_shared_gradients(mut self, shared: u32) -> Shapes {
        let rows = self.augment.rows * shared;
        for stage in &mut self.stages {
            match stage {
                Stage::Block(s) => s.rows = rows,
                Stage::Conv(s) => s.rows = rows,
                Stage::BatchNorm(s) => s.rows = rows,
                Stage::Activation(s) => s.rows = rows,
                Stage::MaxPool(s) | Stage::AveragePool(s) => s.rows = rows,
                Stage::GlobalAverage(s) => s.rows = rows,
                Stage::Flatten | Stage::Dropout(_) | Stage::Dense(_) => {}
            }
        }
        self.shared = shared;
        self
    }

    /// The same with the weights' gradients summed as this adapter likes it: some ways leave one sum.
    pub fn for_gpu(mut self, gpu: &Gpu) -> Shapes {
        for stage in &mut self.stages {
            match stage {
                Stage::Block(conv) => *conv = conv.for_gpu(gpu),
                Stage::Conv(conv) => {
                    let own = conv.for_gpu(gpu);
                    *conv = Winograd::of(gpu, &own).map_or(own, |fast| fast.shapes());
                }
                _ => {}
            }
        }
        self
    }

    /// Gradients that share a forward pass.
    pub fn shared(&self) -> u32 {
        self.shared
    }

    /// Bytes of a value on the device.
    pub fn value_bytes(&self, value: usize) -> u64 {
        let node = self.graph.nodes.iter().position(|node| node.output == value);
        match node.map(|node| &self.stages[node]) {
            None => self.augment.x_bytes(),
            // It may have a border.
            Some(Stage::Block(conv)) => conv.y_bytes(),
            Some(_) => u64::from(self.augment.rows) * self.graph.values[value].quads() * QUAD,
        }
    }

    /// Bytes of the gradient of a value: it never has a border.
    pub fn gradient_bytes(&self, value: usize) -> u64 {
        u64::from(self.augment.rows * self.shared) * self.graph.values[value].quads() * QUAD
    }

    /// Partial sums in which a node's weight gradients come.
    pub fn chunks(&self, node: usize) -> u32 {
        match &self.stages[node] {
            Stage::Block(conv) => conv.chunks,
            Stage::Conv(conv) => conv.chunks,
            _ => 1,
        }
    }

    /// Name and size in bytes of every tensor that could be the largest; for training, with the gradients. (Optimiser states
    /// are as large as the weights.)
    pub fn tensors(&self, training: bool) -> Vec<(String, u64)> {
        let mut all = vec![("the batch of images".to_owned(), self.augment.x_bytes())];
        for (index, (node, stage)) in self.graph.nodes.iter().zip(&self.stages).enumerate() {
            let name = self.name(node);
            for parameter in &self.graph.parameters[node.parameters.clone()] {
                let bytes = parameter.layout.device_bytes();
                let what = parameter.name.rsplit('.').next().unwrap_or_default();
                let what = if what == "kernel" { "weights" } else { what };
                all.push((format!("the {what} of {name}"), bytes));
                if training && self.chunks(index) > 1 {
                    let parts = bytes * u64::from(self.chunks(index));
                    all.push((format!("the partial gradients of the {what} of {name}"), parts));
                }
            }
            all.push((format!("the output of {name}"), self.value_bytes(node.output)));
            if training && !self.graph.is_replaced(node.output) {
                all.push((format!("the output gradient of {name}"), self.gradient_bytes(node.output)));
            }
            match stage {
                Stage::Block(conv) => all.push((format!("the pool codes of {name}"), conv.code_bytes())),
                Stage::Dense(dense) => all.push((format!("the partial sums of {name}"), dense.partial_bytes())),
                _ => {}
            }
        }
        all
    }

    /// About what training takes of the device's memory, without its pictures: all tensors, and of every parameter a gradient
    /// (a slab of it, where it [`is cut`](super::slabs)) and `moments` more, which the optimiser keeps.
    pub fn training_bytes(&self, moments: u64) -> u64 {
        let tensors: u64 = self.tensors(true).iter().map(|(_, bytes)| bytes).sum();
        let learned = self.graph.parameters.iter().filter(|parameter| parameter.learned);
        let bytes = learned.map(|parameter| {
            let bytes = parameter.layout.device_bytes();
            Slab::of(parameter.layout).map_or(bytes, |slab| slab.bytes) + moments * bytes
        });
        tensors + bytes.sum::<u64>()
    }

    /// What a node is called in messages: its parameters' name, or that of what it works on.
    fn name(&self, node: &Node) -> String {
        let own = self.graph.parameters[node.parameters.clone()].first();
        let own = own.map(|p| p.name.split('.').next().unwrap_or_default().to_owned());
        let before = || {
            let before = self.graph.nodes.iter().find(|other| other.output == node.input);
            before.map_or("the input".to_owned(), |before| self.name(before))
        };
        let kind = match node.operation {
            Operation::MaxPool(_) | Operation::AveragePool(_) | Operation::GlobalAverage => "pooling",
            Operation::Flatten => "flattening",
            Operation::Dropout { .. } => "dropout",
            _ => "the activation",
        };
        own.unwrap_or_else(|| format!("{kind} behind {}", before()))
    }
}

fn stage(graph: &Graph, index: usize, batch: u32) -> Stage {
    let node = &graph.nodes[index];
    let (input, output) = (graph.values[node.input], graph.values[node.output]);
    let (height, width, channels) = match input {
        Shape::Pictures { height, width, channels } => (height, width, channels),
        Shape::Rows { area, channels } => (area, 1, channels),
    };
    let outputs = match output {
        Shape::Pictures { channels, .. } | Shape::Rows { channels, .. } => channels,
    };
    let pool = |window: Window| {
        Pool::new(batch, height, width, channels, window.kernel, window.stride, window.padding == Padding::Same)
    };
    match node.operation {
        Operation::Block => {
            let next = graph.nodes.get(index + 1);
            let border = next.is_some_and(|next| next.operation == Operation::Block && next.input == node.output);
            Stage::Block(Conv::new(batch, height, width, (channels, outputs), u32::from(border)))
        }
        Operation::Conv { window, groups, .. } => {
            Stage::Conv(PlainConv::new(batch, height, width, (channels, outputs), window, groups))
        }
        Operation::BatchNorm { momentum, epsilon, function } => {
            Stage::BatchNorm(BatchNorm::new(batch, height * width, channels, function, epsilon, momentum))
        }
        Operation::Activation(function) => Stage::Activation(Activation::new(batch, output.quads() as u32, function)),
        Operation::MaxPool(window) => Stage::MaxPool(pool(window)),
        Operation::AveragePool(window) => Stage::AveragePool(pool(window)),
        Operation::GlobalAverage => Stage::GlobalAverage(GlobalAverage {
            images: batch,
            rows: batch,
            area: height * width,
            quads: channels.div_ceil(4),
        }),
        Operation::Flatten => Stage::Flatten,
        Operation::Dropout { rate, number } => {
            let row_quads = output.quads() as u32;
            // A number that does not hold the product is more than any adapter has room for, and is refused as that.
            Stage::Dropout(Dropout { layer: number, quads: row_quads.saturating_mul(batch), rate, row_quads })
        }
        Operation::Dense { relu } => {
            // Channels are padded to quads, and so are the rows that the dense layer sees.
            Stage::Dense(Dense::new(batch, input.quads() as u32 * 4, outputs, relu))
        }
    }
}

fn too_large(gpu: &Gpu, spec: &NetworkSpec, batch: u32, training: bool) -> Option<(String, u64)> {
    let shapes = Shapes::new(spec, batch).ok()?.for_gpu(gpu);
    let limit = gpu.max_tensor_bytes();
    shapes.tensors(training).into_iter().filter(|t| t.1 > limit).max_by_key(|t| t.1)
}

/// The largest batch, up to `most`, of which the adapter binds every tensor.
pub fn fitting_batch(gpu: &Gpu, spec: &NetworkSpec, most: u32, training: bool) -> Option<u32> {
    (1..=most).rev().find(|&batch| too_large(gpu, spec, batch, training).is_none())
}

/// Holds every tensor of the network against the adapter's limits.
///
/// # Errors
/// [`ModelError::DoesNotFit`] with a batch size, or failing that an image size, that fits; [`ModelError::Spec`].
pub fn fit(gpu: &Gpu, spec: &NetworkSpec, batch: u32, training: bool) -> Result<(), ModelError> {
    spec.check()?;
    let limit = gpu.max_tensor_bytes();
    let Some((tensor, bytes)) = too_large(gpu, spec, batch, training) else { return Ok(()) };
    let fitting_batch = fitting_batch(gpu, spec, batch - 1, training);
    let smaller = |side: u32| NetworkSpec { height: side, width: side, ..spec.clone() };
    let fitting_side = (1..=spec.height.min(spec.width) / 8)
        .rev()
        .map(|eighth| eighth * 8)
        .find(|&side| smaller(side).check().is_ok() && too_large(gpu, &smaller(side), batch, training).is_none());
    let advice = match (fitting_batch, fitting_side) {
        (Some(b), Some(s)) => format!("--batch-size {b} fits, or --image-size {s} with this batch"),
        (Some(b), None) => format!("--batch-size {b} fits"),
        (None, Some(s)) => format!("--image-size {s} fits"),
        (None, None) => "no batch or image size fits: use another adapter (`glowworm devices`)".to_owned(),
    };
    Err(ModelError::DoesNotFit { tensor, bytes, limit, adapter: gpu.summary().name.clone(), advice })
}

/// The largest batch of points, up to `wanted`, whose gradients fit the adapter when a picture is explained; the gradients
/// of all outputs are kept at once.
///
/// # Errors
/// [`ModelError::DoesNotFit`] if not even one point fits, [`ModelError::Spec`].
pub fn fitting_points(gpu: &Gpu, spec: &NetworkSpec, target: Target, wanted: u32) -> Result<u32, ModelError> {
    let limit = gpu.max_tensor_bytes();
    let outputs = target.outputs(spec.classes);
    let largest = |batch: u32| -> Result<u64, ModelError> {
        let shapes = Shapes::new(spec, batch)?.with_shared_gradients(outputs);
        let values = 0..shapes.graph.values.len();
        let bytes = values.map(|value| shapes.value_bytes(value).max(shapes.gradient_bytes(value)));
        Ok(bytes.max().unwrap_or(0))
    };
    // Of many classes, a batch has more rows of gradients than the grids of convolutions take.
    let shapes = Shapes::new(spec, 1)?;
    let rows = shapes.stages.iter().filter_map(|stage| match stage {
        Stage::Block(conv) => Some(conv.most_rows(gpu)),
        _ => None,
    });
    let most = rows.min().map_or(wanted, |rows| wanted.min(rows / outputs.max(1)));
    for batch in (1..=most).rev() {
        if largest(batch)? <= limit {
            return Ok(batch);
        }
    }
    Err(ModelError::DoesNotFit {
        tensor: "the gradients of one picture for all classes".to_owned(),
        bytes: largest(1)?,
        limit,
        adapter: gpu.summary().name.clone(),
        advice: "use a smaller --image-size or another adapter".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Body;

    #[test]
    fn points_of_many_classes_are_as_many_as_a_grid_takes() {
        let Ok(gpu) = Gpu::open(None) else { return };
        let gpu = gpu.with_body(Body::Tiles);
        // Four blocks of inputs in the last convolution.
        let spec = NetworkSpec::reference(16, 16, 1001);
        assert_eq!(fitting_points(&gpu, &spec, Target::Probability, 32).expect("it fits"), 16);
        let few = NetworkSpec::reference(16, 16, 3);
        assert_eq!(fitting_points(&gpu, &few, Target::Probability, 32).expect("it fits"), 32);
    }
}
