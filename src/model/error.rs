//! What can be wrong with a network or its file.

use std::path::PathBuf;

use thiserror::Error;

use crate::gpu::GpuError;

/// An error of a network's description, its weights or its fit on the adapter.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The list of layers makes no network.
    #[error("the network cannot be built: {0}")]
    Spec(String),
    /// A network's file makes no network.
    #[error("{file}{}: {reason}", line.map_or_else(String::new, |line| format!(", line {line}")))]
    Description {
        /// The file, or the name of a built-in network.
        file: String,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong, and what to write.
        reason: String,
    },
    /// A tensor is larger than the adapter can bind.
    #[error(
        "{tensor} needs {} MiB, but {adapter} binds at most {} MiB at once; {advice}",
        bytes.div_ceil(1 << 20), limit >> 20
    )]
    DoesNotFit {
        /// Which tensor.
        tensor: String,
        /// Its size.
        bytes: u64,
        /// The adapter's limit.
        limit: u64,
        /// The adapter's name.
        adapter: String,
        /// A batch size or an image size that fits.
        advice: String,
    },
    /// The device's memory does not hold the network.
    #[error(
        "training with {batch} pictures at once needs about {} MiB of the memory of {adapter}, which has no room for {tensor}; \
         {advice}", bytes.div_ceil(1 << 20)
    )]
    NoRoom {
        /// The adapter's name.
        adapter: String,
        /// Pictures at once.
        batch: u32,
        /// What they would need.
        bytes: u64,
        /// The tensor that found no room.
        tensor: String,
        /// What fits, by trying.
        advice: String,
    },
    /// A weights file could not be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A weight is missing or has another shape than the network asks for.
    #[error("weights: {name} should have shape {expected:?}, but {found}; they belong to another network")]
    Weights {
        /// The parameter's name.
        name: String,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// What came instead.
        found: String,
    },
    /// A weight, or what an optimiser keeps of one, is infinite or not a number.
    #[error("{tensor} holds numbers that are not finite")]
    NotFinite {
        /// Its name in the file that was to be written.
        tensor: String,
    },
    /// The adapter failed.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}
