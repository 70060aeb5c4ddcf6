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

use crate::gpu::{Bindable, GpuError, Quads, Source, uniform_struct};

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

/// A family whose kernels reach [`Quads`] in either kind of memory: one text behind two sets of accessors.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "the families that use it are to come")]
struct QuadsSource {
    buffers: Source,
    textures: Source,
}

#[allow(dead_code, reason = "the families that use it are to come")]
impl QuadsSource {
    /// The source for memory of this kind; all that a kernel binds is of the same.
    fn of(&self, quads: &Quads) -> Source {
        match quads {
            Quads::Buffer(_) => self.buffers,
            Quads::Texture(_) => self.textures,
        }
    }
}

/// The [`QuadsSource`] of a shader, by its path below `shaders/`.
#[allow(unused_macros, reason = "the families that use it are to come")]
macro_rules! quads_source {
    ($path:literal) => {
        $crate::kernels::QuadsSource {
            buffers: $crate::gpu::Source {
                name: concat!($path, " (buffers)"),
                parts: &[
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/quads/buffers.wgsl")),
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
                ],
            },
            textures: $crate::gpu::Source {
                name: concat!($path, " (textures)"),
                parts: &[
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/quads/textures.wgsl")),
                    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $path)),
                ],
            },
        }
    };
}
#[allow(unused_imports, reason = "the families that use it are to come")]
use quads_source;

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
