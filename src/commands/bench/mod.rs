//! `glowworm bench`: how long a network's steps take on this adapter, and which kernels take it.

mod tasks;

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{CommandError, DeviceArgs};
use crate::gpu::{Gpu, Plan, Work};
use crate::model::{Architecture, NetworkSpec};

pub use tasks::Task;

/// Options of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Side of the pictures in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=4096))]
    image_size: u32,
    /// Network to measure: a built-in one (`glowworm model` lists them), or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "reference")]
    model: String,
    /// Pictures in a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch_size: u32,
    /// Classes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    classes: u32,
    /// Times that each figure is measured; the median counts
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Measure whole steps only, not their kernels
    #[arg(long)]
    steps_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// A plan's time, whole and kernel by kernel.
struct Timed {
    name: &'static str,
    images: u32,
    /// Median seconds of the plan, from submission to the end.
    seconds: f64,
    /// Each dispatch, in order.
    dispatches: Vec<Kernel>,
    /// The same added up kernel by kernel: layers and chunks of a batch repeat them.
    kernels: Vec<Kernel>,
}

/// A dispatch, or all those of one kernel.
struct Kernel {
    label: String,
    count: usize,
    /// Median seconds: between timestamps where the device has them. Else alone, where each pays for a submission, so that
    /// small ones add up to more than the whole.
    seconds: f64,
    work: Work,
}

impl Kernel {
    /// Thousands of millions of floating-point operations, and of bytes, a second.
    fn rates(&self) -> (f64, f64) {
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
fn each(gpu: &Gpu, plan: &Plan, repeats: u32) -> Result<Vec<f64>, CommandError> {
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

fn time(args: &BenchArgs, gpu: &Gpu, spec: &NetworkSpec, task: Task) -> Result<Timed, CommandError> {
    let (plan, images) = task.lay(gpu, spec, args.batch_size)?;
    // The first runs compile shaders and touch memory.
    median(gpu, &plan, 2)?;
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

/// Measures.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let gpu = args.device.open()?;
    let architecture = Architecture::open(&args.model)?;
    let spec = architecture.network(args.image_size, args.image_size, args.classes)?;
    let all = Task::ALL.into_iter().map(|task| time(args, &gpu, &spec, task)).collect::<Result<Vec<_>, _>>()?;
    let adapter = gpu.summary();
    if args.json {
        let plans = all.iter().map(|t| {
            let kernels = t.dispatches.iter().map(|k| {
                json!({ "kernel": k.label, "seconds": k.seconds, "multiply_adds": k.work.multiply_adds, "bytes": k.work.bytes })
            });
            json!({ "plan": t.name, "images": t.images, "seconds": t.seconds, "kernels": kernels.collect::<Vec<_>>() })
        });
        let plans: Vec<_> = plans.collect();
        let about = json!({ "adapter": adapter.name, "driver": adapter.driver, "version": env!("CARGO_PKG_VERSION"),
            "model": architecture.name, "image_size": args.image_size, "classes": args.classes, "repeats": args.repeats, "plans": plans });
        println!("{about:#}");
        return Ok(());
    }
    println!("{}, driver {}; {}; median of {}", adapter.name, adapter.driver, architecture.name, args.repeats);
    if !args.steps_only {
        let clock = if gpu.has_timestamps() { "the device's clock, one after another" } else { "each alone" };
        println!("Kernels by {clock}; operations and bytes as the direct sums need them, counted once");
    }
    println!();
    for timed in &all {
        println!(
            "{} of {} at {side} × {side}, {} classes: {:.2} ms, {:.0} a second",
            timed.name,
            timed.images,
            args.classes,
            1e3 * timed.seconds,
            f64::from(timed.images) / timed.seconds,
            side = args.image_size,
        );
        if args.steps_only {
            continue;
        }
        let kernels = &timed.kernels;
        let total: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
        println!("    {:44} {:>12} {:>7} {:>9} {:>7}", "", "ms", "%", "GFLOP/s", "GB/s");
        for kernel in kernels.iter().filter(|kernel| kernel.seconds >= 0.01 * total) {
            let (operations, bytes) = kernel.rates();
            let operations = if kernel.work.multiply_adds > 0 { format!("{operations:.1}") } else { String::new() };
            let label = format!("{} × {}", kernel.label, kernel.count);
            let (milliseconds, share) = (1e3 * kernel.seconds, 100.0 * kernel.seconds / total);
            println!("    {label:44} {milliseconds:12.2} {share:7.1} {operations:>9} {bytes:7.1}");
        }
        let small = kernels.iter().filter(|kernel| kernel.seconds < 0.01 * total);
        let (count, rest) = small.fold((0, 0.0), |(count, sum), kernel| (count + 1, sum + kernel.seconds));
        println!("    {:44} {:12.2} {:7.1}\n", format!("{count} smaller ones"), 1e3 * rest, 100.0 * rest / total);
    }
    Ok(())
}
