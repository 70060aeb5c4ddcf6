//! glowworm trains image classifiers with WGSL compute shaders, on any adapter that wgpu reaches.
//!
//! # The layers
//!
//! `main` → [`commands`] → {[`training`], [`explain`], [`report`], [`data`]} → [`model`] → [`kernels`] → [`gpu`] → wgpu; none knows those
//! to its left, and a test holds it so.
//!
//! - [`gpu`]: adapters, buffers, kernels with their bindings read from the WGSL, plans. The only folder that names wgpu.
//! - [`kernels`]: a file for each family, with the stem of its shader in `shaders/`: shapes, checks, what to dispatch.
//! - [`model`]: the list of layers and its file, the graph of operations that it comes to, their shapes and memory on the device, the
//!   weights in Keras's layouts, and the plans laid from all of it.
//! - [`data`]: folders of pictures, decoding, resizing, folds, and the set that the program draws itself.
//! - [`training`]: pictures on the device, shuffling and augmentation, the loop, recipes and the settings that they are made of.
//! - [`explain`]: expected gradients: which pixels speak for which class.
//! - [`files`], [`names`]: for every layer: files written whole and read within bounds, names that others have made.
//! - [`report`]: progress, a dashboard, TensorBoard's files, tables, curves, heatmaps, and the page that holds them all (its templates are in `templates/`).
//!
//! # A training step
//!
//! 1. The host draws which pictures come next and how each is changed (augmentation), and writes some kilobytes.
//! 2. One submission replays the plan that was laid before the first step; no pipeline or bind group is made in it.
//! 3. `augment` gathers the batch from the pictures' bytes on the device, changes it and rescales it.
//! 4. The operations run forward. Convolution, ReLU and pooling at the beginning of a network are one kernel, `conv`, which keeps
//!    of each pool only the largest value and a byte saying where it stood; elsewhere `plain_conv`, `batch_norm` with the sum and
//!    the activation behind it, `pool` and the others leave their values for the way back.
//! 5. `softmax` gives loss, hits and the gradient of the logits; the layers' gradients follow in reverse order, each
//!    element gathered by one invocation and written once, so that equal seeds give equal bits.
//! 6. `optimizer` updates each parameter, and `average` its average, if one is kept; losses come back through a ring of mapped buffers, some steps later.
//!
//! ```no_run
//! use glowworm::{gpu::Gpu, model::{Network, NetworkSpec, Weights}, training::OptimizerSettings};
//!
//! let gpu = Gpu::open(None)?;
//! let spec = NetworkSpec::reference(64, 64, 3);
//! let network = Network::new(&gpu, &spec, 32, OptimizerSettings::Adam.purpose(), &Weights::initial(&spec, 1))?;
//! let pixels = gpu.buffer("pictures", 1000 * 64 * 64 * 4)?;
//! let step = network.training_plan(&pixels)?;
//! step.submit(&gpu, &mut [])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Only `gpu` has a line that the compiler cannot vouch for: shaders without bounds checks.
#[forbid(unsafe_code)]
pub mod commands;
#[forbid(unsafe_code)]
pub mod data;
#[forbid(unsafe_code)]
pub mod explain;
#[forbid(unsafe_code)]
pub mod files;
pub mod gpu;
#[forbid(unsafe_code)]
pub mod kernels;
#[forbid(unsafe_code)]
pub mod model;
#[forbid(unsafe_code)]
pub mod names;
#[forbid(unsafe_code)]
pub mod report;
#[forbid(unsafe_code)]
pub mod training;
