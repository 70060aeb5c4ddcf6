//! What can go wrong between the program and an adapter.

use thiserror::Error;

/// An error of the adapter, the device or a shader.
#[derive(Debug, Error)]
pub enum GpuError {
    /// No adapter of any kind answered.
    #[error(
        "no graphics adapter was found: no Vulkan, Metal or DirectX 12 driver answered.\n\
         On a Linux machine without a GPU, install Mesa's software Vulkan and try again:\n\
         \n    {install}\n\n\
         On a machine with a GPU, install its vendor's driver (on Linux `vulkaninfo --summary` should list it)."
    )]
    NoAdapter {
        /// The command that brings the software adapter on this system.
        install: &'static str,
    },
    /// `--device` named none of the adapters.
    #[error("no adapter's name contains \"{wanted}\"; there are: {found}. `glowworm devices` lists them")]
    NoSuchAdapter {
        /// What was asked for.
        wanted: String,
        /// The names there are.
        found: String,
    },
    /// The adapter refused a device.
    #[error("{adapter} gave no device: {reason}. Try another adapter with --device (`glowworm devices` lists them)")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
    /// A buffer is larger than the adapter can bind.
    #[error(
        "{label} needs {bytes} bytes, but {adapter} binds at most {limit} bytes at once; use a smaller image or batch"
    )]
    TooLarge {
        /// What the buffer is for.
        label: String,
        /// Its size.
        bytes: u64,
        /// The adapter's limit.
        limit: u64,
        /// The adapter's name.
        adapter: String,
    },
    /// The device has no room for a buffer.
    #[error(
        "{adapter} has no room for {label} ({bytes} bytes): use a smaller --batch-size or --image-size, or free its memory"
    )]
    OutOfMemory {
        /// What the buffer is for.
        label: String,
        /// Its size.
        bytes: u64,
        /// The adapter's name.
        adapter: String,
    },
    /// A shader is not valid WGSL, or does not fit its host code.
    #[error("shader {shader}: {reason}")]
    Shader {
        /// File and entry point.
        shader: String,
        /// What naga or the binding found.
        reason: String,
    },
    /// The device went away while work was under way; opened again, it may work.
    #[error("{adapter} was lost: {reason}")]
    Lost {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
    /// The self-test found that the adapter does not compute what it should.
    #[error(
        "{adapter} computes wrongly: {what}. Its driver ({driver}) is at fault, and nothing that it computes can be \
         trusted; update it, or choose another adapter with --device (`glowworm devices` lists them)"
    )]
    Wrong {
        /// The adapter's name.
        adapter: String,
        /// Its driver.
        driver: String,
        /// Which kernel, what it gave and what is right.
        what: String,
    },
    /// The driver reported a fault while work was under way.
    #[error("{adapter} reported a fault: {reason}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// The driver's words.
        reason: String,
    },
}
