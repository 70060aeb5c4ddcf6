//! `glowworm bench`: how long a network's steps take on this adapter, and which kernels take it.

mod host;
mod measure;
mod peak;
mod tasks;

use clap::Args;
use serde_json::json;

use super::{CommandError, DeviceArgs};
use crate::gpu::Gpu;
use crate::model::Architecture;
use host::Host;
use measure::{Kernel, Timed, time};
use peak::{Bound, Peak};

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
    /// Runs before those, unmeasured: they compile shaders and touch memory
    #[arg(long, default_value_t = 2)]
    warmup: u32,
    /// Measure only this; may be given several times
    #[arg(long = "task", value_name = "TASK", value_enum)]
    tasks: Vec<Task>,
    /// Measure whole steps only, neither kernels nor the roof
    #[arg(long)]
    steps_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Measures.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &BenchArgs) -> Result<(), CommandError> {
    let gpu = args.device.open()?;
    let architecture = Architecture::open(&args.model)?;
    let spec = architecture.network(args.image_size, args.image_size, args.classes)?;
    let peak = if args.steps_only { None } else { Some(Peak::measure(&gpu, args.repeats)?) };
    let tasks = if args.tasks.is_empty() { &Task::ALL[..] } else { &args.tasks };
    let all = tasks.iter().map(|&task| time(args, &gpu, &spec, task)).collect::<Result<Vec<_>, _>>()?;
    let trains = tasks.contains(&Task::TrainingStep);
    let host = if trains && !args.steps_only { Host::measure(args, &gpu, &spec)? } else { None };
    if args.json {
        print_json(args, &gpu, &architecture.name, (peak, host), &all);
    } else {
        print_tables(args, &gpu, &architecture.name, peak, &all);
        if let Some(host) = host {
            println!("{host}");
        }
    }
    Ok(())
}

fn print_json(args: &BenchArgs, gpu: &Gpu, model: &str, (peak, host): (Option<Peak>, Option<Host>), all: &[Timed]) {
    let kernel = |k: &Kernel| {
        let (share, bound) = peak.map(|peak| peak.share(k.work, k.seconds)).unzip();
        json!({ "kernel": k.label, "seconds": k.seconds, "multiply_adds": k.work.multiply_adds, "bytes": k.work.bytes,
            "share_of_roof": share, "bound": bound.map(Bound::name) })
    };
    let plan = |t: &Timed| {
        json!({ "plan": t.name, "images": t.images, "seconds": t.seconds,
            "kernels": t.dispatches.iter().map(kernel).collect::<Vec<_>>() })
    };
    let roof = peak.map(|peak| json!({ "operations_per_second": peak.operations, "bytes_per_second": peak.bytes }));
    let adapter = gpu.summary();
    let about = json!({ "adapter": adapter.name, "driver": adapter.driver, "version": env!("CARGO_PKG_VERSION"),
        "model": model, "image_size": args.image_size, "classes": args.classes, "repeats": args.repeats, "roof": roof,
        "plans": all.iter().map(plan).collect::<Vec<_>>(),
        "host": host.map(|host| json!({ "seconds": host.seconds, "step_seconds": host.whole })) });
    println!("{about:#}");
}

fn print_tables(args: &BenchArgs, gpu: &Gpu, model: &str, peak: Option<Peak>, all: &[Timed]) {
    let adapter = gpu.summary();
    println!("{}, driver {}; {model}; median of {}", adapter.name, adapter.driver, args.repeats);
    if let Some(peak) = peak {
        let clock = if gpu.has_timestamps() { "the device's clock, one after another" } else { "each alone" };
        println!("Kernels by {clock}; operations and bytes as the direct sums need them, counted once");
        println!("Roof measured here: {:.1} GFLOP/s, {:.1} GB/s", peak.operations / 1e9, peak.bytes / 1e9);
        println!(
            "(multiply-adds in registers, and a copy of what no cache holds: what multiplies less, as Winograd's way"
        );
        println!("does, or finds its memory in caches, may be above)");
    }
    println!();
    for timed in all {
        println!(
            "{} of {} at {side} × {side}, {} classes: {:.2} ms, {:.0} a second",
            timed.name,
            timed.images,
            args.classes,
            1e3 * timed.seconds,
            f64::from(timed.images) / timed.seconds,
            side = args.image_size,
        );
        if let Some(peak) = peak {
            print_kernels(&timed.kernels, peak);
        }
    }
}

/// Those that take a hundredth of the time or more, and the sum of the others.
fn print_kernels(kernels: &[Kernel], peak: Peak) {
    let total: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
    println!("    {:44} {:>12} {:>7} {:>9} {:>7} {:>10}", "", "ms", "%", "GFLOP/s", "GB/s", "% of roof");
    for kernel in kernels.iter().filter(|kernel| kernel.seconds >= 0.01 * total) {
        let (operations, bytes) = kernel.rates();
        let operations = if kernel.work.multiply_adds > 0 { format!("{operations:.1}") } else { String::new() };
        let label = format!("{} × {}", kernel.label, kernel.count);
        let (milliseconds, share) = (1e3 * kernel.seconds, 100.0 * kernel.seconds / total);
        let (of_roof, bound) = peak.share(kernel.work, kernel.seconds);
        let (of_roof, bound) = (100.0 * of_roof, bound.name());
        println!("    {label:44} {milliseconds:12.2} {share:7.1} {operations:>9} {bytes:7.1} {of_roof:10.1} {bound}");
    }
    let small = kernels.iter().filter(|kernel| kernel.seconds < 0.01 * total);
    let (count, rest) = small.fold((0, 0.0), |(count, sum), kernel| (count + 1, sum + kernel.seconds));
    println!("    {:44} {:12.2} {:7.1}\n", format!("{count} smaller ones"), 1e3 * rest, 100.0 * rest / total);
}
