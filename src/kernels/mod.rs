//! One file a kernel family, with the stem of its shader: parameters, checks of shapes, and what to dispatch.
//!
//! Families never import one another; only `model` knows the order of layers. Every buffer that is handed over is held
//! against the size that the shapes ask for, so that no shader can reach past its end.

pub mod augment;
pub mod conv;
pub mod copy;
pub mod dense;
pub mod dropout;
pub mod explain;
pub mod optimizer;
pub mod reduce;
pub mod relu;
pub mod softmax;

use crate::gpu::{Bindable, GpuError, uniform_struct};

/// Bytes of a quad: four `f32` channels.
pub const QUAD: u64 = 16;

uniform_struct! {
    /// What changes from step to step, read by every kernel that needs it.
    Step {
        /// Seed of the run.
        seed: u32,
        /// Steps since the start of training.
        step: u32,
        /// Images that the device works on: the last batch of an epoch may be short.
        count: u32,
        /// Learning rate, with the optimiser's corrections of this step.
        rate: f32,
        /// The place of the first of these images in their batch, when it is worked on in parts.
        first: u32,
        /// Images in the whole batch, over which the gradient is the mean.
        whole: u32,
    }
}

/// Memory, by its name in the shader, and the bytes that a kernel will reach.
type Needs<'a> = (&'a str, &'a dyn Bindable, u64);

/// Holds memory against the sizes, in bytes, that a kernel will reach.
fn check_sizes<B: Bindable + ?Sized>(kernel: &str, needs: &[(&str, &B, u64)]) -> Result<(), GpuError> {
    for (name, memory, bytes) in needs {
        if memory.bytes() < *bytes {
            return Err(GpuError::Shader {
                shader: kernel.to_owned(),
                reason: format!("{name} has {} bytes where the shapes ask for {bytes}", memory.bytes()),
            });
        }
    }
    Ok(())
}
