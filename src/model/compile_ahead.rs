//! Kernels compiled by two threads in place of one, where the driver compiles them as late as it can.
//!
//! Mesa's software adapter compiles a kernel when it first runs, on the one thread that runs a device's work: a first training
//! would wait for all of them, one after another, with the other cores idle. What it has compiled goes to its cache on disk,
//! which other devices read. So a second device runs a step of the same network over one small picture, beginning with the last
//! kernels, while the first device begins with the first ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{Initial, ModelError, Network, NetworkSpec, Purpose, Shapes, StepSettings};
use crate::gpu::{Body, Gpu};
use crate::kernels::augment::Sample;

/// Sides of the picture, of which the first counts that the network's layers leave something of.
const SIDES: [u32; 4] = [16, 32, 64, 128];

/// The name of the thread: what goes wrong on it is left to the first device, and not worth a word.
pub const COMPILING_AHEAD: &str = "compiling ahead";

/// A thread that compiles, until it is done or this is dropped. It only saves time.
pub struct CompileAhead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CompileAhead {
    /// Begins, where the adapter compiles late and there is a core and a cache for it.
    pub fn of_training(gpu: &Gpu, spec: &NetworkSpec, purpose: Purpose) -> CompileAhead {
        let stop = Arc::new(AtomicBool::new(false));
        let small = SIDES.map(|side| NetworkSpec { height: side, width: side, ..spec.clone() });
        let small = small.into_iter().find(|spec| Shapes::new(spec, 1).is_ok());
        let worth = gpu.body() == Body::Lanes
            && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
            && std::env::var_os("MESA_SHADER_CACHE_DISABLE").is_none();
        let Some(small) = small.filter(|_| worth) else {
            return CompileAhead { stop, thread: None };
        };
        let (name, stopped) = (gpu.summary().name.clone(), stop.clone());
        let compile = move || {
            if let Ok(gpu) = Gpu::open(Some(&name)) {
                // Nobody needs to hear of a failure.
                let _ = run(&gpu, &small, purpose, &stopped);
            }
        };
        let thread = std::thread::Builder::new().name(COMPILING_AHEAD.to_owned()).spawn(compile);
        CompileAhead { stop, thread: thread.ok() }
    }
}

impl Drop for CompileAhead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A driver that is still compiling had better not see the process end.
            let _ = thread.join();
        }
    }
}

/// Runs every kernel of a step once, the last first.
fn run(gpu: &Gpu, spec: &NetworkSpec, purpose: Purpose, stop: &AtomicBool) -> Result<(), ModelError> {
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let network = Network::stepping_in_slabs(gpu, spec, 1, purpose, &Initial::new(spec, 0))?;
    let pixels = gpu.buffer("a picture", u64::from(spec.height * spec.width * 4))?;
    network.set_batch(StepSettings::default(), &[Sample::plain(0)], &[0u32]);
    let plan = network.training_plan(&pixels)?;
    for places in plan.by_kernel().iter().rev() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        plan.only(&places[..1]).submit(gpu, &mut [])?;
        gpu.wait()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::kernels::optimizer::{Optimizer, Rule};

    #[test]
    fn a_step_over_a_small_picture_has_the_kernels_of_a_large_one() {
        let Ok(gpu) = Gpu::open(None) else { return };
        let purpose = Purpose::Train(Rule::Adam, Optimizer::zeroed());
        let kernels = |side| {
            let spec = NetworkSpec::reference(side, side, 3);
            let network =
                Network::stepping_in_slabs(&gpu, &spec, 1, purpose, &Initial::new(&spec, 0)).expect("it fits");
            let pixels = gpu.buffer("a picture", u64::from(side * side * 4)).expect("room");
            let plan = network.training_plan(&pixels).expect("it is for training");
            plan.dispatches().iter().map(|d| d.label().to_owned()).collect::<Vec<_>>()
        };
        let (small, large) = (kernels(SIDES[0]), kernels(64));
        // So few terms need no partial sums; the kernel that adds them up is short.
        let missing = large.iter().find(|label| !small.contains(label) && *label != "reduce.wgsl:sum");
        assert_eq!(missing, None);
    }
}
