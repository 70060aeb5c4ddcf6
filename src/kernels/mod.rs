//! One file a kernel family, with the stem of its shader: parameters, checks of shapes, and what to dispatch.
//!
//! Families never import one another; only `model` knows the order of layers. Every buffer that is handed over is held
//! against the size that the shapes ask for, so that no shader can reach past its end.

pub mod activation;
pub mod augment;
pub mod average;
pub mod batch_norm;
pub mod border;
pub mod conv;
pub mod copy;
pub mod dense;
pub mod dropout;
pub mod explain;
pub mod optimizer;
pub mod plain_conv;
pub mod pool;
pub mod reduce;
pub mod relu;
pub mod roof;
pub mod softmax;
mod winograd;

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
        /// The share that weight decay takes off in this step: learning rate times decay.
        decay: f32,
        /// How far the average of the weights moves towards them in this step, 0 to 1.
        average: f32,
    }
}

/// An activation function, as shaders/functions.wgsl numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Function {
    /// z.
    #[default]
    Identity = 0,
    /// max(z, 0), whose slope at 0 is 0.
    Relu = 1,
    /// z·Φ(z), with the normal distribution's Φ itself, not its approximation by tanh (Hendrycks, Gimpel 2016).
    Gelu = 2,
    /// z / (1 + e⁻ᶻ), also called swish (Elfwing, Uchibe, Doya 2018).
    Silu = 3,
}

/// A family whose kernels reach [`Quads`] in either kind of memory: one text behind two sets of accessors.
#[derive(Clone, Copy)]
struct QuadsSource {
    buffers: Source,
    textures: Source,
}

impl QuadsSource {
    /// The source for memory of this kind; all that a kernel binds is of the same.
    fn of(&self, quads: &Quads) -> Source {
        match quads {
            Quads::Buffer(_) => self.buffers,
            Quads::Texture(_) => self.textures,
        }
    }
}

/// The [`QuadsSource`] of a shader and of the texts that it shares with others, by their paths below `shaders/`.
macro_rules! quads_source {
    ($path:literal $(, $shared:literal)*) => {
        $crate::kernels::QuadsSource {
            buffers: $crate::kernels::quads_source!(@joined "buffers", $path $(, $shared)*),
            textures: $crate::kernels::quads_source!(@joined "textures", $path $(, $shared)*),
        }
    };
    (@joined $memory:literal, $path:literal $(, $shared:literal)*) => {
        $crate::gpu::Source {
            name: concat!($path, " (", $memory, ")"),
            parts: &[
                $crate::kernels::quads_source!(@text "quads/", $memory, ".wgsl"),
                $($crate::kernels::quads_source!(@text $shared),)*
                $crate::kernels::quads_source!(@text $path),
            ],
        }
    };
    (@text $($path:literal),+) => { include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $($path),+)) };
}
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
