//! What a plan takes, whole and kernel by kernel.

use std::time::Instant;

use super::super::CommandError;
use super::{BenchArgs, Task};
use crate::gpu::{Gpu, Plan, Work};
use crate::model::{CompileAhead, NetworkSpec};
use crate::training::OptimizerSettings;

/// A plan's time, whole and kernel by kernel.
pub struct Timed {
    /// What it is for.
    pub name: &'static str,
    /// Pictures or points.
    pub images: u32,
    /// Median seconds of the plan, from submission to the end.
    pub seconds: f64,
    /// Each dispatch, in order.
    pub dispatches: Vec<Kernel>,
    /// The same added up kernel by kernel: layers and chunks of a batch repeat them.
    pub kernels: Vec<Kernel>,
}

/// A dispatch, or all those of one kernel.
pub struct Kernel {
    /// `file:entry point`.
    pub label: String,
    /// Dispatches.
    pub count: usize,
    /// Median seconds: between timestamps where the device has them. Else alone, where each pays for a submission, so that
    /// small ones add up to more than the whole.
    pub seconds: f64,
    /// What they have to do.
    pub work: Work,
}

impl Kernel {
    /// Thousands of millions of floating-point operations, and of bytes, a second.
    pub fn rates(&self) -> (f64, f64) {
        let rate = |count: u64| count as f64 / self.seconds / 1e9;
        (rate(2 * self.work.multiply_adds), rate(self.work.bytes))
    }
}

/// Median seconds of the plan, from submission to the end.
fn median(gpu: &Gpu, plan: &Plan, repeats: u32) -> Result<f64, CommandError> {
    let mut times = Vec::new();
    for _ in 0..repeats {
        let start = Instant::now();
        plan.submit(gpu, &mut [])?;
        gpu.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Median seconds of each dispatch.
pub fn each(gpu: &Gpu, plan: &Plan, repeats: u32) -> Result<Vec<f64>, CommandError> {
    let mut times = vec![Vec::new(); plan.dispatches().len()];
    for _ in 0..repeats {
        let Some(seconds) = plan.time(gpu)? else { break };
        times.iter_mut().zip(seconds).for_each(|(times, seconds)| times.push(seconds));
    }
    let medians = times.into_iter().enumerate().map(|(place, mut times)| {
        if times.is_empty() {
            return median(gpu, &plan.only(&[place]), repeats);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    });
    medians.collect()
}

/// Lays a task's plan and measures it, with its kernels or without.
pub fn time(args: &BenchArgs, gpu: &Gpu, spec: &NetworkSpec, task: Task) -> Result<Timed, CommandError> {
    let ahead =
        (task == Task::TrainingStep).then(|| CompileAhead::of_training(gpu, spec, OptimizerSettings::Adam.purpose()));
    let (plan, images) = task.lay(gpu, spec, args.batch_size)?;
    for _ in 0..args.warmup {
        median(gpu, &plan, 1)?;
    }
    // Without unmeasured runs, what is measured is a start.
    let _ahead = ahead.filter(|_| args.warmup == 0);
    let seconds = median(gpu, &plan, args.repeats)?;
    let mut timed = Timed { name: task.name(), images, seconds, dispatches: Vec::new(), kernels: Vec::new() };
    if !args.steps_only {
        let seconds = each(gpu, &plan, args.repeats)?;
        let kernel = |places: &[usize]| Kernel {
            label: plan.dispatches()[places[0]].label().to_owned(),
            count: places.len(),
            seconds: places.iter().map(|&place| seconds[place]).sum(),
            work: plan.only(places).work(),
        };
        timed.dispatches = (0..seconds.len()).map(|place| kernel(&[place])).collect();
        timed.kernels = plan.by_kernel().iter().map(|places| kernel(places)).collect();
    }
    Ok(timed)
}
