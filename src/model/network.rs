//! A network on the device: its tensors, and the plans of a training step and of an inference batch.

use std::ops::Range;

use bytemuck::Zeroable;

use super::bundles::{Bundle, Place};
use super::graph::Shape;
use super::laid::{Gradients, Values};
use super::passes::Mode;
use super::shapes::Stage;
use super::slabs::Slab;
use super::{Layout, ModelError, NetworkSpec, Numbers, Shapes, Target, Tensor, fit};
use crate::gpu::{Buffer, Dispatch, Gpu, Plan};
use crate::kernels::augment::{Row, Varied};
use crate::kernels::optimizer::{Optimizer, Parameter, Rule};
use crate::kernels::reduce::Reduce;
use crate::kernels::softmax::{Label, Outputs};
use crate::kernels::{QUAD, Step};

/// What the network is laid out for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Forward passes only.
    Infer,
    /// Gradients of the classes' outputs with respect to the input; those of the weights are never computed.
    Explain(Target),
    /// Training with this rule and these constants (`quads` and `decaying` are filled in).
    Train(Rule, Optimizer),
}

/// What changes from step to step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepSettings {
    /// Seed of the run, for dropout.
    pub seed: u32,
    /// Steps since the start of training.
    pub step: u32,
    /// The rate that the optimiser's kernel multiplies with.
    pub rate: f32,
    /// The share that weight decay takes off the kernels of layers: learning rate times decay.
    pub decay: f32,
    /// How far the average of the weights moves towards them, where one is kept.
    pub average: f32,
}

/// A parameter.
pub(super) struct Learned {
    pub(super) name: String,
    pub(super) layout: Layout,
    pub(super) place: Place,
    /// In place of the gradient, room for a slab of it.
    pub(super) slab: Option<Buffer>,
}

/// A network on the device for batches of a fixed size.
pub struct Network {
    pub(super) gpu: Gpu,
    pub(super) spec: NetworkSpec,
    pub(super) shapes: Shapes,
    pub(super) purpose: Purpose,
    pub(super) step: Buffer,
    samples: Buffer,
    labels: Buffer,
    pub(super) probabilities: Buffer,
    results: Buffer,
    pub(super) values: Values,
    pub(super) learned: Vec<Learned>,
    pub(super) bundles: Vec<Bundle>,
    /// So many of them, the first, keep their values.
    pub(super) frozen: usize,
}

impl Network {
    /// Lays the tensors out for batches of `batch` pictures and uploads the weights.
    ///
    /// # Errors
    /// [`ModelError::DoesNotFit`], [`ModelError::Spec`], [`ModelError::Weights`], [`ModelError::Gpu`].
    pub fn new(
        gpu: &Gpu,
        spec: &NetworkSpec,
        batch: u32,
        purpose: Purpose,
        weights: &dyn Numbers,
    ) -> Result<Network, ModelError> {
        Network::lay(gpu, spec, batch, purpose, weights, false)
    }

    /// The same for training where nobody asks for the gradients: the optimiser takes its step over a large dense kernel
    /// [`in slabs`](super::slabs), each as soon as its gradient is there.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn stepping_in_slabs(
        gpu: &Gpu,
        spec: &NetworkSpec,
        batch: u32,
        purpose: Purpose,
        weights: &dyn Numbers,
    ) -> Result<Network, ModelError> {
        Network::lay(gpu, spec, batch, purpose, weights, true)
    }

    fn lay(
        gpu: &Gpu,
        spec: &NetworkSpec,
        batch: u32,
        purpose: Purpose,
        weights: &dyn Numbers,
        in_slabs: bool,
    ) -> Result<Network, ModelError> {
        let training = matches!(purpose, Purpose::Train(..));
        fit(gpu, spec, batch, training)?;
        // In an explanation, the gradients of all outputs share one forward pass.
        let shared = if let Purpose::Explain(target) = purpose { target.outputs(spec.classes) } else { 1 };
        let shapes = Shapes::new(spec, batch)?.with_shared_gradients(shared).for_gpu(gpu);
        let gradients = match purpose {
            Purpose::Infer => Gradients::None,
            Purpose::Explain(_) => Gradients::OfInput,
            Purpose::Train(..) => Gradients::OfParameters,
        };
        let values = Values::new(gpu, &shapes, gradients)?;
        let (places, bundles) = Bundle::all(gpu, &shapes, purpose, in_slabs)?;
        let learned = shapes.graph.parameters.iter().zip(places).map(|(parameter, place)| {
            let slab = Slab::of(parameter.layout).filter(|_| training && in_slabs);
            Ok(Learned {
                name: parameter.name.clone(),
                layout: parameter.layout,
                place,
                slab: slab.map(|slab| gpu.buffer(&parameter.name, slab.bytes)).transpose()?,
            })
        });
        let learned = learned.collect::<Result<_, ModelError>>()?;
        let network = Network {
            step: gpu.uniform(&Step::default())?,
            samples: gpu.buffer("samples", u64::from(batch) * std::mem::size_of::<Varied>() as u64)?,
            labels: gpu.buffer("labels", u64::from(batch) * std::mem::size_of::<Label>() as u64)?,
            probabilities: gpu.buffer("probabilities", shapes.softmax.bytes())?,
            results: gpu.buffer("results", u64::from(batch) * 8)?,
            gpu: gpu.clone(),
            spec: spec.clone(),
            shapes,
            purpose,
            values,
            learned,
            bundles,
            frozen: 0,
        };
        network.load(weights)?;
        Ok(network)
    }

    /// The same for batches that are larger than what the network was laid out for: gradients of their parts are added up
    /// before the optimiser takes its step.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn accumulating(mut self) -> Result<Network, ModelError> {
        for bundle in self.bundles.iter_mut().filter(|bundle| bundle.gradient.is_some()) {
            bundle.total = Some(self.gpu.buffer("summed gradients", bundle.weights.bytes())?);
        }
        Ok(self)
    }

    /// Whether the gradients of parts are added up.
    pub fn accumulates(&self) -> bool {
        self.bundles.iter().any(|bundle| bundle.total.is_some())
    }

    /// The description that the network was laid from.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Pictures in a full batch.
    pub fn batch(&self) -> usize {
        self.shapes.augment.rows as usize
    }

    /// `[batch, classes padded to quads]` after a plan has run.
    pub fn probabilities(&self) -> &Buffer {
        &self.probabilities
    }

    /// `[batch, 2]` after a plan has run: loss, and 1 for a right answer; zeros beyond a short batch.
    pub fn results(&self) -> &Buffer {
        &self.results
    }

    /// Reads back what the layers gave in the last plan, as `[N,H,W,C]` or `[N,C]`, under the names of the parameters:
    /// `conv1` is the pooled output, `dense2` the logits. Only after an inference plan: in a training step, gradients take
    /// their places.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn activations(&self) -> Result<Vec<Tensor>, ModelError> {
        let mut tensors = Vec::new();
        for (index, node) in self.shapes.graph.nodes.iter().enumerate() {
            let Some(learned) = self.learned_of(index).first() else { continue };
            let (device, border): (Vec<f32>, u32) = match (&self.values.nodes[index].output, &self.shapes.stages[index])
            {
                (output, Stage::Block(conv)) => (self.gpu.read_quads(&output.quads())?, conv.y_border),
                (output, _) => (self.gpu.read_quads(&output.quads())?, 0),
            };
            let (height, width, channels) = match self.shapes.graph.values[node.output] {
                Shape::Pictures { height, width, channels } => (height, width, channels as usize),
                Shape::Rows { area, channels } => (area, 1, channels as usize),
            };
            let (height, width, border) = (height as usize, width as usize, border as usize);
            let quads = channels.div_ceil(4);
            let mut data = Vec::with_capacity(self.batch() * height * width * channels);
            for n in 0..self.batch() {
                for row in 0..height {
                    for column in 0..width {
                        for c in 0..channels {
                            let line = (n * quads + c / 4) * (height + 2 * border) + row + border;
                            data.push(device[(line * (width + 2 * border) + column + border) * 4 + c % 4]);
                        }
                    }
                }
            }
            let name = learned.name.split('.').next().unwrap_or_default().to_owned();
            tensors.push(Tensor { name, shape: vec![self.batch(), height, width, channels], data });
        }
        Ok(tensors)
    }

    /// The parameters of a node.
    pub(super) fn learned_of(&self, node: usize) -> &[Learned] {
        &self.learned[self.shapes.graph.nodes[node].parameters.clone()]
    }

    /// Their values.
    pub(super) fn weights_of(&self, node: usize) -> Vec<Buffer> {
        self.learned_of(node).iter().map(|learned| learned.place.of(&self.bundle_of(learned).weights)).collect()
    }

    /// The bundle that a parameter lies in.
    pub(super) fn bundle_of(&self, learned: &Learned) -> &Bundle {
        &self.bundles[learned.place.bundle]
    }

    /// The gradient of a parameter, where it is there as a whole.
    pub(super) fn gradient_of(&self, learned: &Learned) -> Option<Buffer> {
        self.bundle_of(learned).gradient.as_ref().map(|gradient| learned.place.of(gradient))
    }

    /// Where a node's kernels leave the gradients of its parameters, of those that are learned: as partial sums, if they come
    /// so.
    pub(super) fn gradients_of(&self, node: usize) -> Vec<Buffer> {
        let parts = |learned: &Learned| learned.place.of_parts(self.bundle_of(learned).parts.as_ref()?);
        self.learned_of(node)
            .iter()
            .filter_map(|learned| parts(learned).or_else(|| self.gradient_of(learned)))
            .collect()
    }

    /// What the last layer gives, and the gradient with respect to it.
    pub(super) fn logits(&self) -> Result<(&Buffer, Option<&Buffer>), ModelError> {
        let last = self.values.nodes.last().ok_or_else(not_for_training)?;
        let gradient = last.d_output.as_ref().map(|gathered| gathered.total().buffer()).transpose()?;
        Ok((last.output.buffer()?, gradient))
    }

    /// Uploads what the next plan works on: which pictures (`Varied` for a plan of [`Network::varied_gradient_plan`],
    /// `Sample` for all others), their labels, and the step's scalars. A short batch is
    /// padded with its first picture, which then counts for nothing.
    pub fn set_batch(&self, settings: StepSettings, samples: &[impl Row], labels: &[impl Into<Label> + Copy]) {
        self.set_part(settings, samples, labels, 0..samples.len().min(self.batch()) as u32);
    }

    /// The same for a part of a batch: its first picture is number `part.start` of `part.end` in the whole.
    pub fn set_part(
        &self,
        settings: StepSettings,
        samples: &[impl Row],
        labels: &[impl Into<Label> + Copy],
        part: Range<u32>,
    ) {
        let count = samples.len().min(self.batch());
        let StepSettings { seed, step, rate, decay, average } = settings;
        let (count32, first, whole) = (count as u32, part.start, part.end);
        let step = Step { seed, step, count: count32, rate, first, whole, decay, average };
        self.gpu.write(&self.step, bytemuck::bytes_of(&step));
        let mut samples = samples[..count].to_vec();
        samples.resize(self.batch(), samples.first().copied().unwrap_or_else(Zeroable::zeroed));
        self.gpu.write(&self.samples, bytemuck::cast_slice(&samples));
        let mut labels: Vec<Label> = labels[..count].iter().map(|label| (*label).into()).collect();
        labels.resize(self.batch(), Label::default());
        self.gpu.write(&self.labels, bytemuck::cast_slice(&labels));
    }

    /// Forward pass, probabilities, losses and hits of a batch gathered from `pixels`.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn inference_plan(&self, pixels: &Buffer) -> Result<Plan, ModelError> {
        let mut plan = self.gather_plan(pixels)?;
        self.forward(&mut plan, Mode::Inference)?;
        plan.push(self.shapes.softmax.evaluate(&self.gpu, &self.step, &self.outputs()?)?);
        Ok(plan)
    }

    /// A whole training step: gather and augment, forward, loss, backward, optimiser.
    ///
    /// # Errors
    /// [`ModelError::Gpu`]; [`ModelError::Spec`] if the network was laid for inference.
    pub fn training_plan(&self, pixels: &Buffer) -> Result<Plan, ModelError> {
        let mut plan = self.gradient_plan(pixels)?;
        plan.extend(&self.update_plan()?);
        Ok(plan)
    }

    /// The end of a training step: the optimiser, with the gradients that [`Network::gradient_plan`] left.
    ///
    /// # Errors
    /// As [`Network::training_plan`].
    pub fn update_plan(&self) -> Result<Plan, ModelError> {
        if !matches!(self.purpose, Purpose::Train(..)) {
            return Err(not_for_training());
        }
        let mut plan = Plan::new();
        for learning in self.learning() {
            let bundle = learning.bundle;
            let Some(gradient) = bundle.total.as_ref().or(bundle.gradient.as_ref()) else { continue };
            let parameter = bundle.parameter(learning.of(gradient), |whole| learning.of(whole));
            plan.push(self.step_of(&parameter, learning.decaying)?);
        }
        self.move_average(&mut plan)?;
        Ok(plan)
    }

    /// The optimiser's step over parameters or a part of one, of which weight decay shrinks so many bytes, the first.
    pub(super) fn step_of(&self, parameter: &Parameter, decaying: u64) -> Result<Dispatch, ModelError> {
        let Purpose::Train(rule, constants) = self.purpose else { return Err(not_for_training()) };
        let [quads, decaying] = [parameter.weights.bytes(), decaying].map(|bytes| (bytes / QUAD) as u32);
        let optimizer = Optimizer { quads, decaying, ..constants };
        Ok(optimizer.step(&self.gpu, rule, &self.step, parameter)?)
    }

    /// A training step without its optimiser, of a batch or a part of one: the gradients can be read afterwards, but for
    /// those of parameters that [take their step in slabs](Network::stepping_in_slabs), which have taken it.
    ///
    /// # Errors
    /// As [`Network::training_plan`].
    pub fn gradient_plan(&self, pixels: &Buffer) -> Result<Plan, ModelError> {
        self.gradients_behind(self.gather_plan(pixels)?)
    }

    /// The same, of pictures with other colours, erased parts, or two mixed.
    ///
    /// # Errors
    /// As [`Network::training_plan`].
    pub fn varied_gradient_plan(&self, pixels: &Buffer) -> Result<Plan, ModelError> {
        let mut plan = Plan::new();
        plan.push(self.shapes.augment.gather_varied(&self.gpu, pixels, &self.samples, &self.values.batch)?);
        self.gradients_behind(plan)
    }

    fn gradients_behind(&self, mut plan: Plan) -> Result<Plan, ModelError> {
        self.forward(&mut plan, Mode::Training)?;
        let d_logits = needed(self.logits()?.1)?;
        plan.push(self.shapes.softmax.train(&self.gpu, &self.step, &self.outputs()?, d_logits)?);
        self.backward(&mut plan, Mode::Training)?;
        for learning in self.learning() {
            let Bundle { gradient, parts, total, .. } = learning.bundle;
            if let (Some(gradient), Some(parts), [_, ..]) = (gradient, parts, learning.sums.as_slice()) {
                plan.push(Reduce::sums(&self.gpu, &learning.sums, parts, gradient)?);
            }
            if let (Some(gradient), Some(total)) = (gradient, total) {
                let (part, total) = (learning.of(gradient), learning.of(total));
                plan.push(Reduce::of(part.bytes(), 1).accumulate(&self.gpu, &self.step, &part, &total)?);
            }
        }
        Ok(plan)
    }

    pub(super) fn outputs(&self) -> Result<Outputs<'_>, ModelError> {
        Ok(Outputs {
            logits: self.logits()?.0,
            labels: &self.labels,
            probabilities: &self.probabilities,
            results: &self.results,
        })
    }

    fn gather_plan(&self, pixels: &Buffer) -> Result<Plan, ModelError> {
        let mut plan = Plan::new();
        plan.push(self.shapes.augment.gather(&self.gpu, pixels, &self.samples, &self.values.batch)?);
        Ok(plan)
    }
}

fn not_for_training() -> ModelError {
    ModelError::Spec("it was laid out for inference, and has no gradients".to_owned())
}

pub(super) fn needed<Memory>(memory: Option<&Memory>) -> Result<&Memory, ModelError> {
    memory.ok_or_else(not_for_training)
}
