//! `glowworm bench`: how long a network's steps take on this adapter, and which kernels take it.

use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{CommandError, DeviceArgs};
use crate::gpu::{Gpu, Plan, Work};
use crate::kernels::augment::Sample;
use crate::kernels::explain::Point;
use crate::model::{Architecture, Network, NetworkSpec, Purpose, StepSettings, Target, Weights, fit, fitting_points};
use crate::training::OptimizerSettings;

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
    kernels: Vec<Kernel>,
}

/// A dispatch, or all those of one kernel.
#[derive(Clone)]
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
    let medians = plan.dispatches().iter().zip(times).map(|(dispatch, mut times)| {
        if times.is_empty() {
            let mut alone = Plan::new();
            alone.push(dispatch.clone());
            return median(gpu, &alone, repeats);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    });
    medians.collect()
}

fn time(args: &BenchArgs, gpu: &Gpu, name: &'static str, images: u32, plan: &Plan) -> Result<Timed, CommandError> {
    // The first runs compile shaders and touch memory.
    median(gpu, plan, 2)?;
    let seconds = median(gpu, plan, args.repeats)?;
    let seconds_of = if args.steps_only { Vec::new() } else { each(gpu, plan, args.repeats)? };
    let kernels = plan.dispatches().iter().zip(seconds_of).map(|(dispatch, seconds)| Kernel {
        label: dispatch.label().to_owned(),
        count: 1,
        seconds,
        work: dispatch.work(),
    });
    let kernels = kernels.collect();
    Ok(Timed { name, images, seconds, kernels })
}

/// Bytes that look like noise, the same every time.
fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Times of the same kernel added up, in the order of their first places; layers and chunks of a batch repeat them.
fn merged(kernels: &[Kernel]) -> Vec<Kernel> {
    let mut all: Vec<Kernel> = Vec::new();
    for kernel in kernels {
        match all.iter_mut().find(|other| other.label == kernel.label) {
            Some(sum) => {
                (sum.count, sum.seconds) = (sum.count + 1, sum.seconds + kernel.seconds);
                sum.work.multiply_adds += kernel.work.multiply_adds;
                sum.work.bytes += kernel.work.bytes;
            }
            None => all.push(kernel.clone()),
        }
    }
    all
}

fn steps(args: &BenchArgs, gpu: &Gpu, spec: &NetworkSpec) -> Result<Vec<Timed>, CommandError> {
    let (batch, side) = (args.batch_size, args.image_size);
    fit(gpu, spec, batch, true)?;
    let weights = Weights::initial(spec, 1);
    let pixels = gpu.buffer_with("pictures", &noise(batch as usize * (side * side) as usize * 4))?;
    let samples: Vec<Sample> =
        (0..batch).map(|i| Sample::turned(i, i % 2 == 0, f64::from(i) * 0.01 - 0.16, side, side)).collect();
    let labels: Vec<u32> = (0..batch).map(|i| i % args.classes).collect();
    let mut all = Vec::new();
    {
        let network = Network::new(gpu, spec, batch, OptimizerSettings::Adam.purpose(), &weights)?;
        network.set_batch(StepSettings { seed: 1, step: 1, rate: 1e-3, ..Default::default() }, &samples, &labels);
        all.push(time(args, gpu, "training step", batch, &network.training_plan(&pixels)?)?);
    }
    let network = Network::new(gpu, spec, batch, Purpose::Infer, &weights)?;
    network.set_batch(StepSettings::default(), &samples, &labels);
    all.push(time(args, gpu, "inference", batch, &network.inference_plan(&pixels)?)?);
    Ok(all)
}

/// A batch of points of an explanation, between the first two pictures.
fn explanation(args: &BenchArgs, gpu: &Gpu, spec: &NetworkSpec) -> Result<Timed, CommandError> {
    let batch = fitting_points(gpu, spec, Target::Probability, args.batch_size)?;
    let network = Network::new(gpu, spec, batch, Purpose::Explain(Target::Probability), &Weights::initial(spec, 1))?;
    let shapes = network.explain_shapes()?;
    let pixels = gpu.buffer_with("pictures", &noise(2 * (spec.height * spec.width) as usize * 4))?;
    let points: Vec<Point> = (0..batch)
        .map(|i| Point { image: 0, background: 1, t: i as f32 / batch as f32, weight: 1.0, contrast: 0.0 })
        .collect();
    let points = gpu.buffer_with("points", &points)?;
    let values = gpu.buffer("values", shapes.values_bytes())?;
    let plan = network.explanation_plan(&shapes, &pixels, &points, &values)?;
    time(args, gpu, "explanation points", batch, &plan)
}

/// Measures.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let gpu = args.device.open()?;
    let architecture = Architecture::open(&args.model)?;
    let spec = architecture.network(args.image_size, args.image_size, args.classes)?;
    let mut all = steps(args, &gpu, &spec)?;
    all.push(explanation(args, &gpu, &spec)?);
    let adapter = gpu.summary();
    if args.json {
        let plans = all.iter().map(|t| {
            let kernels = t.kernels.iter().map(|k| {
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
        let kernels = merged(&timed.kernels);
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
