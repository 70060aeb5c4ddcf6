//! One epoch of training, and a pass of evaluation, over pictures on the device.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::augmentation::{Augmentation, shuffled};
use super::{Images, OptimizerSettings, Schedule};
use crate::gpu::{Gpu, Plan, Readback};
use crate::kernels::augment::Sample;
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
    plan: Plan,
    /// Seed of shuffling, augmentation and dropout.
    pub seed: u64,
    /// Whether pictures are flipped and turned.
    pub augment: bool,
    /// Which optimiser.
    pub optimizer: OptimizerSettings,
    /// Its learning rate.
    pub schedule: Schedule,
    /// Where the training stands. No step is under way between calls.
    pub position: Position,
}

impl<'a> Trainer<'a> {
    /// Prepares the plan of a step.
    ///
    /// # Errors
    /// [`ModelError`] if the network was not laid out for training.
    pub fn new(
        gpu: &Gpu,
        network: &'a Network,
        images: &'a mut Images,
        optimizer: OptimizerSettings,
        schedule: Schedule,
    ) -> Result<Trainer<'a>, ModelError> {
        let plan = network.training_plan(images.buffer())?;
        Ok(Trainer {
            gpu: gpu.clone(),
            network,
            images,
            plan,
            seed: 0,
            augment: true,
            optimizer,
            schedule,
            position: Position::default(),
        })
    }

    /// Steps in an epoch; the last may be short.
    pub fn steps_per_epoch(&self) -> usize {
        self.images.len().div_ceil(self.network.batch())
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
        let order = shuffled(self.images.len(), self.seed, epoch);
        let mut augmentation = Augmentation::new(self.seed, epoch, height, width);
        let done = (batches * self.network.batch()).min(order.len());
        // What the batches before this place have drawn.
        for _ in 0..done {
            augmentation.draw(0);
        }
        let bytes = self.network.results().bytes();
        let mut readback = Readback::new(&self.gpu, self.network.results(), bytes, STEPS_UNDER_WAY)?;
        let mut counts = Counted::new(order.len() - done, self.network.batch());
        (counts.steps, counts.running) = (batches, self.position.running);
        let first = self.position.step - batches as u64;
        let mut early = None;
        for batch in order[done..].chunks(self.network.batch()) {
            if stop.load(Ordering::Relaxed) {
                early = Some(Ended::Stopped);
                break;
            }
            let numbers = self.images.stage(batch);
            let samples: Vec<Sample> = numbers
                .into_iter()
                .map(|n| if self.augment { augmentation.draw(n) } else { Sample::plain(n) })
                .collect();
            let labels: Vec<u32> = batch.iter().map(|&i| self.images.labels()[i]).collect();
            let rate = self.optimizer.rate(self.schedule.at(self.position.step), self.position.step);
            // The kernels' seed is 32 bits wide; the step is the counter.
            let seed = (self.seed ^ (self.seed >> 32)) as u32;
            self.network.set_batch(StepSettings { seed, step: self.position.step as u32, rate }, &samples, &labels);
            self.plan.submit(&self.gpu, &mut [&mut readback])?;
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

/// Results as they arrive, batch by batch.
struct Counted {
    left: usize,
    batch: usize,
    steps: usize,
    running: Running,
    not_finite: Option<usize>,
}

impl Counted {
    fn new(images: usize, batch: usize) -> Counted {
        Counted { left: images, batch, steps: 0, running: Running::default(), not_finite: None }
    }

    fn add(&mut self, results: &[u8]) {
        let count = self.left.min(self.batch);
        self.running.add(results, count);
        if !self.running.loss.is_finite() {
            self.not_finite.get_or_insert(self.steps);
        }
        self.left -= count;
        self.steps += 1;
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

/// Runs every picture through the network, without augmentation or dropout.
///
/// # Errors
/// [`ModelError::Gpu`].
pub fn answer(gpu: &Gpu, network: &Network, images: &mut Images) -> Result<Answers, ModelError> {
    let plan = network.inference_plan(images.buffer())?;
    let classes = network.spec().classes as usize;
    let ring = |buffer: &crate::gpu::Buffer| Readback::new(gpu, buffer, buffer.bytes(), STEPS_UNDER_WAY);
    let (mut results, mut rows) = (ring(network.results())?, ring(network.probabilities())?);
    let mut counts = Counted::new(images.len(), network.batch());
    let mut probabilities = Vec::with_capacity(images.len());
    let mut take = |results: Vec<Vec<u8>>, rows: Vec<Vec<u8>>| {
        for (result, row) in results.into_iter().zip(rows) {
            let count = counts.left.min(counts.batch);
            counts.add(&result);
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&row);
            let padded = classes.next_multiple_of(4);
            probabilities.extend(values.chunks_exact(padded).take(count).map(|p| p[..classes].to_vec()));
        }
    };
    let order: Vec<usize> = (0..images.len()).collect();
    for batch in order.chunks(network.batch()) {
        let samples: Vec<Sample> = images.stage(batch).into_iter().map(Sample::plain).collect();
        let labels: Vec<u32> = batch.iter().map(|&i| images.labels()[i]).collect();
        network.set_batch(StepSettings::default(), &samples, &labels);
        plan.submit(gpu, &mut [&mut results, &mut rows])?;
    }
    take(results.finish(gpu)?, rows.finish(gpu)?);
    Ok(Answers { probabilities, running: counts.running })
}
