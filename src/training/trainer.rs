//! One epoch of training, and a pass of evaluation, over pictures on the device.

use std::sync::atomic::{AtomicBool, Ordering};

use super::augmentation::{Augmentation, shuffled};
use super::{Images, OptimizerSettings, Schedule};
use crate::gpu::{Gpu, Plan, Readback};
use crate::kernels::augment::Sample;
use crate::model::{ModelError, Network, StepSettings};

/// Steps that may be under way at once: enough that the device never waits for the host, few enough to bound memory.
const STEPS_UNDER_WAY: usize = 3;

/// Running means over the pictures seen so far, as Keras shows them: weighted by the size of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// Every picture was seen.
    Whole(Running),
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
    step: u64,
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
        Ok(Trainer { gpu: gpu.clone(), network, images, plan, seed: 0, augment: true, optimizer, schedule, step: 0 })
    }

    /// Steps in an epoch; the last may be short.
    pub fn steps_per_epoch(&self) -> usize {
        self.images.len().div_ceil(self.network.batch())
    }

    /// Trains on every picture once, in an order of the epoch's own; calls `progress(step, running means)` as results
    /// arrive, and ends early when `stop` is set.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn epoch(
        &mut self,
        epoch: u64,
        stop: &AtomicBool,
        mut progress: impl FnMut(usize, &Running),
    ) -> Result<Ended, ModelError> {
        let (height, width) = (self.network.spec().height, self.network.spec().width);
        let order = shuffled(self.images.len(), self.seed, epoch);
        let mut augmentation = Augmentation::new(self.seed, epoch, height, width);
        let bytes = self.network.results().bytes();
        let mut readback = Readback::new(&self.gpu, self.network.results(), bytes, STEPS_UNDER_WAY)?;
        let mut counts = Counted::new(order.len(), self.network.batch());
        let first = self.step;
        let mut stopped = false;
        for batch in order.chunks(self.network.batch()) {
            if stop.load(Ordering::Relaxed) {
                stopped = true;
                break;
            }
            let numbers = self.images.stage(batch);
            let samples: Vec<Sample> = numbers
                .into_iter()
                .map(|n| if self.augment { augmentation.draw(n) } else { Sample::plain(n) })
                .collect();
            let labels: Vec<u32> = batch.iter().map(|&i| self.images.labels()[i]).collect();
            let rate = self.optimizer.rate(self.schedule.at(self.step), self.step);
            // The kernels' seed is 32 bits wide; the step is the counter.
            let seed = (self.seed ^ (self.seed >> 32)) as u32;
            self.network.set_batch(StepSettings { seed, step: self.step as u32, rate }, &samples, &labels);
            self.plan.submit(&self.gpu, &mut [&mut readback])?;
            self.step += 1;
            for results in readback.arrived(&self.gpu)? {
                counts.add(&results);
                progress(counts.steps, &counts.running);
            }
            if !counts.is_finite() {
                break;
            }
        }
        for results in readback.finish(&self.gpu)? {
            counts.add(&results);
            progress(counts.steps, &counts.running);
        }
        Ok(match counts.not_finite {
            Some(step) => Ended::NotFinite(first + step as u64),
            None if stopped => Ended::Stopped,
            None => Ended::Whole(counts.running),
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
