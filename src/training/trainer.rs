//! One epoch of training, and a pass of evaluation, over pictures on the device.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::augmentation::{Augmentation, AugmentationSettings, balanced, shuffled};
use super::batch::Batch;
use super::{Images, OptimizerSettings, Schedule, average_share};
use crate::gpu::{Gpu, Plan, Readback};
use crate::kernels::augment::Sample;
use crate::kernels::softmax::Label;
use crate::model::{ModelError, Network, StepSettings};

/// Steps that may be under way at once: enough that the device never waits for the host, few enough to bound memory.
const STEPS_UNDER_WAY: usize = 3;

/// Running means over the pictures seen so far, as Keras shows them: weighted by the size of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Pictures counted.
    pub count: usize,
    loss: f64,
    hits: f64,
}

impl Running {
    /// Of probabilities, a row each, and the right classes. Probabilities below 1e-7 count as 1e-7, as in Keras.
    fn of(probabilities: &[Vec<f32>], labels: &[u32]) -> Running {
        let mut running = Running { count: labels.len(), ..Running::default() };
        for (row, &label) in probabilities.iter().zip(labels) {
            let right = row[label as usize];
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // Of equals the first counts.
            let is_first = row.iter().position(|p| *p == largest) == Some(label as usize);
            running.loss -= f64::from(right).max(1e-7).ln();
            running.hits += f64::from(u8::from(is_first));
        }
        running
    }

    fn add(&mut self, results: &[u8], count: usize) {
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(results);
        for result in values.chunks_exact(2).take(count) {
            self.loss += f64::from(result[0]);
            self.hits += f64::from(result[1]);
        }
        self.count += count;
    }

    /// Mean cross-entropy, in nats.
    pub fn loss(&self) -> f64 {
        self.loss / self.count as f64
    }

    /// Share of right answers, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.hits / self.count as f64
    }
}

/// Where a training stands: before batch `batches` of epoch `epoch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// From 1.
    pub epoch: u64,
    /// Batches of the epoch that are done.
    pub batches: usize,
    /// Steps since the start of training.
    pub step: u64,
    /// Means over the batches done.
    pub running: Running,
}

impl Default for Position {
    fn default() -> Position {
        Position { epoch: 1, batches: 0, step: 0, running: Running::default() }
    }
}

/// What the answers are held against while training.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// Share of every label that is spread evenly over all classes.
    pub smoothing: f32,
    /// What the loss of each class is multiplied with; nothing if there are none.
    pub weights: Vec<f32>,
}

impl Goal {
    /// What rows of these labels are held against.
    fn of<L: Into<Label> + Copy>(&self, labels: &[L]) -> Vec<Label> {
        let weight = |class: u32| self.weights.get(class as usize).copied().unwrap_or(1.0);
        let of = |label: Label| {
            let weight = (1.0 - label.share) * weight(label.first) + label.share * weight(label.second);
            Label { smoothing: self.smoothing, weight, ..label }
        };
        labels.iter().map(|label| of((*label).into())).collect()
    }
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// Every picture was seen.
    Whole(Running),
    /// The caller wanted to stand still for a moment; call again to go on.
    Paused,
    /// The user asked to stop; the step under way was finished.
    Stopped,
    /// The loss of this step (from 0, over the whole run) was not a number, or infinite.
    NotFinite(u64),
}

/// A network in training on one set of pictures.
pub struct Trainer<'a> {
    gpu: Gpu,
    network: &'a Network,
    images: &'a mut Images,
    /// Gradients of a batch, or of a part of one.
    plan: Plan,
    /// The optimiser, where it does not follow at once.
    update: Option<Plan>,
    batch: usize,
    /// Seed of shuffling, augmentation and dropout.
    pub seed: u64,
    augmentation: AugmentationSettings,
    /// Which optimiser.
    pub optimizer: OptimizerSettings,
    /// Its learning rate.
    pub schedule: Schedule,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the moving average of the weights, where the network keeps one.
    pub average: f64,
    /// What the answers are held against.
    pub goal: Goal,
    /// Whether every class is drawn as often as any other, in place of every picture once.
    pub balance: bool,
    /// Where the training stands. No step is under way between calls.
    pub position: Position,
}

impl<'a> Trainer<'a> {
    /// Prepares the plan of a step of `batch` pictures, which are worked on in parts if the network was laid out for fewer.
    ///
    /// # Errors
    /// [`ModelError`] if the network was not laid out for training, or for parts if it has to.
    pub fn new(
        gpu: &Gpu,
        network: &'a Network,
        images: &'a mut Images,
        batch: usize,
        augmentation: AugmentationSettings,
        optimizer: OptimizerSettings,
        schedule: Schedule,
    ) -> Result<Trainer<'a>, ModelError> {
        if batch > network.batch() && !network.accumulates() {
            return Err(ModelError::Spec(format!("it was laid out for batches of {}", network.batch())));
        }
        let mut plan = match augmentation.varies() {
            true => network.varied_gradient_plan(images.buffer())?,
            false => network.gradient_plan(images.buffer())?,
        };
        let mut update = Some(network.update_plan()?);
        if !network.accumulates()
            && let Some(update) = update.take()
        {
            plan.extend(&update);
        }
        Ok(Trainer {
            gpu: gpu.clone(),
            network,
            images,
            plan,
            update,
            batch,
            seed: 0,
            augmentation,
            optimizer,
            schedule,
            weight_decay: 0.0,
            average: 0.0,
            goal: Goal::default(),
            balance: false,
            position: Position::default(),
        })
    }

    /// Pictures in an epoch.
    pub fn pictures(&self) -> usize {
        self.images.len()
    }

    /// Steps in an epoch; the last may be short.
    pub fn steps_per_epoch(&self) -> usize {
        self.images.len().div_ceil(self.batch)
    }

    fn step_settings(&self) -> StepSettings {
        let step = self.position.step;
        let learning_rate = self.schedule.at(step);
        StepSettings {
            // The kernels' seed is 32 bits wide; the step is the counter.
            seed: (self.seed ^ (self.seed >> 32)) as u32,
            step: step as u32,
            rate: self.optimizer.rate(learning_rate, step),
            decay: (learning_rate * self.weight_decay) as f32,
            average: average_share(self.average, step),
        }
    }

    /// Trains on every picture that is left of the epoch, in an order of the epoch's own; calls `progress(step, running
    /// means)` as results arrive, ends early when `stop` is set, and pauses after a step when `pause(its number)` says so.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn epoch(
        &mut self,
        stop: &AtomicBool,
        mut pause: impl FnMut(u64) -> bool,
        mut progress: impl FnMut(usize, &Running),
    ) -> Result<Ended, ModelError> {
        let (height, width) = (self.network.spec().height, self.network.spec().width);
        let Position { epoch, batches, .. } = self.position;
        let order = match self.balance {
            true => balanced(self.images.labels(), self.seed, epoch),
            false => shuffled(self.images.len(), self.seed, epoch),
        };
        let augmentation = Augmentation::new(self.augmentation, self.seed, epoch, height, width);
        let bytes = self.network.results().bytes();
        let mut readback = Readback::new(&self.gpu, self.network.results(), bytes, STEPS_UNDER_WAY)?;
        let mut counts = Counted { steps: batches, running: self.position.running, ..Counted::default() };
        let first = self.position.step - batches as u64;
        let mut early = None;
        for (number, batch) in order.chunks(self.batch).enumerate().skip(batches) {
            if stop.load(Ordering::Relaxed) {
                early = Some(Ended::Stopped);
                break;
            }
            let settings = self.step_settings();
            let whole = batch.len();
            let batch = Batch { first: number * self.batch, pictures: batch };
            for start in (0..whole).step_by(self.network.batch()) {
                let part = start..whole.min(start + self.network.batch());
                let place = start as u32..whole as u32;
                if self.augmentation.varies() {
                    let (rows, labels) = batch.varied(part.clone(), self.images, &augmentation);
                    self.network.set_part(settings, &rows, &self.goal.of(&labels), place);
                } else {
                    let labels = batch.labels(part.clone(), self.images);
                    let samples = batch.samples(part.clone(), self.images, &augmentation);
                    self.network.set_part(settings, &samples, &self.goal.of(&labels), place);
                }
                self.plan.submit(&self.gpu, &mut [&mut readback])?;
                counts.expect(part.len(), part.end == whole);
            }
            if let Some(update) = &self.update {
                update.submit(&self.gpu, &mut [])?;
            }
            self.position.step += 1;
            self.position.batches += 1;
            for results in readback.arrived(&self.gpu)? {
                counts.add(&results);
                progress(counts.steps, &counts.running);
            }
            if !counts.is_finite() {
                break;
            }
            if pause(self.position.step) && self.position.batches < self.steps_per_epoch() {
                early = Some(Ended::Paused);
                break;
            }
        }
        for results in readback.finish(&self.gpu)? {
            counts.add(&results);
            progress(counts.steps, &counts.running);
        }
        self.position.running = counts.running;
        Ok(match (counts.not_finite, early) {
            (Some(step), _) => Ended::NotFinite(first + step as u64),
            (None, Some(early)) => early,
            (None, None) => {
                self.position = Position { epoch: epoch + 1, step: self.position.step, ..Position::default() };
                Ended::Whole(counts.running)
            }
        })
    }
}

/// Results as they arrive, submission by submission.
#[derive(Default)]
struct Counted {
    /// Of the submissions under way: pictures, and whether a step ends with them.
    expected: VecDeque<(usize, bool)>,
    steps: usize,
    running: Running,
    not_finite: Option<usize>,
}

impl Counted {
    fn expect(&mut self, count: usize, ends_step: bool) {
        self.expected.push_back((count, ends_step));
    }

    /// Gives the number of pictures.
    fn add(&mut self, results: &[u8]) -> usize {
        let (count, ends_step) = self.expected.pop_front().unwrap_or_default();
        self.running.add(results, count);
        if !self.running.loss.is_finite() {
            self.not_finite.get_or_insert(self.steps);
        }
        self.steps += usize::from(ends_step);
        count
    }

    fn is_finite(&self) -> bool {
        self.not_finite.is_none()
    }
}

/// What a network answers to a set of pictures.
#[derive(Clone, Debug)]
pub struct Answers {
    /// One row of probabilities a picture.
    pub probabilities: Vec<Vec<f32>>,
    /// Mean loss and accuracy against the labels.
    pub running: Running,
}

/// Runs every picture through the network, without augmentation or dropout. With `flip_average`, the probabilities are the
/// means over the picture and its mirror image (Krizhevsky, Sutskever, Hinton 2012, section 4.1), and loss and accuracy
/// are theirs.
///
/// # Errors
/// [`ModelError::Gpu`].
pub fn answer(gpu: &Gpu, network: &Network, images: &mut Images, flip_average: bool) -> Result<Answers, ModelError> {
    let mut answers = answer_as_seen(gpu, network, images, Sample::plain)?;
    if flip_average {
        let mirrored = |image| Sample { mirror: 1, ..Sample::plain(image) };
        let flipped = answer_as_seen(gpu, network, images, mirrored)?;
        for (row, other) in answers.probabilities.iter_mut().zip(&flipped.probabilities) {
            row.iter_mut().zip(other).for_each(|(p, other)| *p = f32::midpoint(*p, *other));
        }
        answers.running = Running::of(&answers.probabilities, images.labels());
    }
    Ok(answers)
}

/// Runs every picture through the network, each as `seen` says of its number.
fn answer_as_seen(
    gpu: &Gpu,
    network: &Network,
    images: &mut Images,
    seen: impl Fn(u32) -> Sample,
) -> Result<Answers, ModelError> {
    let plan = network.inference_plan(images.buffer())?;
    let classes = network.spec().classes as usize;
    let ring = |buffer: &crate::gpu::Buffer| Readback::new(gpu, buffer, buffer.bytes(), STEPS_UNDER_WAY);
    let (mut results, mut rows) = (ring(network.results())?, ring(network.probabilities())?);
    let mut counts = Counted::default();
    let mut probabilities = Vec::with_capacity(images.len());
    let order: Vec<usize> = (0..images.len()).collect();
    for batch in order.chunks(network.batch()) {
        let samples: Vec<Sample> = images.stage(batch).into_iter().map(&seen).collect();
        let labels: Vec<u32> = batch.iter().map(|&i| images.labels()[i]).collect();
        network.set_batch(StepSettings::default(), &samples, &labels);
        plan.submit(gpu, &mut [&mut results, &mut rows])?;
        counts.expect(batch.len(), true);
    }
    for (result, row) in results.finish(gpu)?.into_iter().zip(rows.finish(gpu)?) {
        let count = counts.add(&result);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&row);
        let padded = classes.next_multiple_of(4);
        probabilities.extend(values.chunks_exact(padded).take(count).map(|p| p[..classes].to_vec()));
    }
    Ok(Answers { probabilities, running: counts.running })
}
