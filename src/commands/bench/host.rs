//! What the host's own thread does in a training step: the rest of a step is the device's.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::super::CommandError;
use super::{BenchArgs, tasks::noise};
use crate::gpu::Gpu;
use crate::model::{Initial, Network, NetworkSpec};
use crate::training::{AugmentationSettings, Images, OptimizerSettings, Schedule, Trainer};

/// Most bytes of pictures that are made up.
const MOST_BYTES: u64 = 256 << 20;

/// A training step as `train` runs it, with several under way: drawing the order, how each picture is turned, writing that and
/// the labels to the device, encoding and submitting, and collecting the loss.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Seconds that the thread computes in a step. Waiting for the device is not counted, nor is the time in which others
    /// have the core.
    pub seconds: f64,
    /// Seconds from one step to the next.
    pub whole: f64,
}

impl Host {
    /// Trains over as many batches as figures are repeated, or as pictures fit a quarter of a GiB. `None` where the system
    /// does not say what a thread has computed.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn measure(args: &BenchArgs, gpu: &Gpu, spec: &NetworkSpec) -> Result<Option<Host>, CommandError> {
        let batch = u64::from(args.batch_size);
        let batch_bytes = batch * u64::from(spec.width) * u64::from(spec.height) * 4;
        let steps = (MOST_BYTES / batch_bytes).clamp(1, u64::from(args.repeats));
        let labels = (0..(steps * batch) as u32).map(|i| i % args.classes).collect();
        let mut images = Images::new(gpu, noise(steps * batch_bytes), labels, batch as usize, None)?;
        let adam = OptimizerSettings::Adam;
        let network = Network::stepping_in_slabs(gpu, spec, args.batch_size, adam.purpose(), &Initial::new(spec, 1))?;
        // As in the reference recipe.
        let augmentation = AugmentationSettings { flip: 0.5, rotation: 0.1, ..Default::default() };
        let (batch, schedule) = (batch as usize, Schedule::constant(1e-3));
        let mut trainer = Trainer::new(gpu, &network, &mut images, batch, augmentation, adam, schedule)?;
        let mut epoch = || trainer.epoch(&AtomicBool::new(false), |_| false, |_, _| ());
        epoch()?;
        let (start, Some(before)) = (Instant::now(), thread_seconds()) else { return Ok(None) };
        epoch()?;
        let whole = start.elapsed().as_secs_f64() / steps as f64;
        Ok(thread_seconds().map(|after| Host { seconds: (after - before) / steps as f64, whole }))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (own, step, share) = (1e3 * self.seconds, 1e3 * self.whole, 100.0 * self.seconds / self.whole);
        write!(f, "The host's own thread computes for {own:.2} ms of a training step's {step:.2} ms: {share:.1} %")
    }
}

/// What this thread has computed so far.
#[cfg(unix)]
fn thread_seconds() -> Option<f64> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
    Some(std::time::Duration::from(time).as_secs_f64())
}

#[cfg(not(unix))]
fn thread_seconds() -> Option<f64> {
    None
}
