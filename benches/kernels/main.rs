//! `cargo bench`: how fast each kernel is, in operations and bytes a second of the device's own clock.
//!
//! The kernels are those of the reference network's plans (64×64 pixels, batch 32) and of `every_layer.toml`, which has
//! what the reference lacks. A benchmark is all of a plan's dispatches of one kernel, run by themselves over the memory that
//! the whole plan has left, and its time is the sum of theirs between timestamps; `glowworm bench` measures them in their
//! places. Operations and bytes are counted as the direct sums need them ([`glowworm::gpu::Work`]).
//!
//! An adapter without timestamps cannot tell one kernel from another: there, whole plans are measured by the wall clock.

mod clock;

use std::cell::LazyCell;
use std::error::Error;
use std::time::{Duration, Instant};

use clock::DeviceClock;
use criterion::{Criterion, SamplingMode, Throughput};
use glowworm::commands::bench::Task;
use glowworm::gpu::{Gpu, Plan, Work};
use glowworm::model::{Architecture, NetworkSpec};

const SIDE: u32 = 64;
const BATCH: u32 = 32;
const CLASSES: u32 = 3;
const NETWORKS: [&str; 2] = ["reference", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kernels/every_layer.toml")];

fn main() -> Result<(), Box<dyn Error>> {
    let gpu = Gpu::open(None)?;
    let about = gpu.summary();
    println!("{}, driver {}; {SIDE} × {SIDE} pixels, batch {BATCH}", about.name, about.driver);
    if !gpu.has_timestamps() {
        println!("This adapter has no timestamps: whole plans by the wall clock, in place of their kernels.");
    }
    // Short, since there are some hundred and sixty.
    let mut criterion = Criterion::default()
        .with_measurement(DeviceClock)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    for network in NETWORKS {
        let architecture = Architecture::open(network)?;
        let spec = architecture.network(SIDE, SIDE, CLASSES)?;
        for task in Task::ALL {
            let name = format!("{}, {}", architecture.name, task.name());
            measure(&mut criterion, &gpu, &spec, task, &name)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

/// The kernels of one plan, or all of it.
fn measure(
    criterion: &mut Criterion<DeviceClock>,
    gpu: &Gpu,
    spec: &NetworkSpec,
    task: Task,
    name: &str,
) -> Result<(), Box<dyn Error>> {
    let (plan, _) = task.lay(gpu, spec, BATCH)?;
    // Nothing runs, and no shader is compiled, where a filter leaves all kernels of a plan out.
    let once = LazyCell::new(|| wall_seconds(gpu, &plan));
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    if !gpu.has_timestamps() {
        group.throughput(throughput(plan.work()));
        group.bench_function("whole plan", |b| {
            LazyCell::force(&once);
            b.iter_custom(|times| summed(times, || wall_seconds(gpu, &plan)));
        });
    }
    let kernels = if gpu.has_timestamps() { plan.by_kernel() } else { Vec::new() };
    for places in kernels {
        let kernel = plan.only(&places);
        group.throughput(throughput(kernel.work()));
        group.bench_function(plan.dispatches()[places[0]].label(), |b| {
            LazyCell::force(&once);
            b.iter_custom(|times| summed(times, || device_seconds(gpu, &kernel)));
        });
    }
    group.finish();
    Ok(())
}

/// Floating-point operations as criterion's elements, and bytes.
fn throughput(Work { multiply_adds, bytes }: Work) -> Throughput {
    match multiply_adds {
        0 => Throughput::Bytes(bytes),
        _ => Throughput::ElementsAndBytes { elements: 2 * multiply_adds, bytes },
    }
}

/// The sum of so many runs; never zero, which criterion refuses and a coarse clock may say.
fn summed(times: u64, seconds: impl Fn() -> f64) -> Duration {
    let sum = (0..times).map(|_| seconds()).sum();
    Duration::from_secs_f64(sum).max(Duration::from_nanos(times))
}

fn device_seconds(gpu: &Gpu, plan: &Plan) -> f64 {
    let seconds = plan.time(gpu).expect("the device works").expect("it has timestamps, and enough for one kernel");
    seconds.iter().sum()
}

fn wall_seconds(gpu: &Gpu, plan: &Plan) -> f64 {
    let start = Instant::now();
    plan.submit(gpu, &mut []).and_then(|()| gpu.wait()).expect("the device works");
    start.elapsed().as_secs_f64()
}
