//! The training loop and what it needs: pictures within the device's reach, settings of the optimisers, augmentation.

mod augmentation;
mod batch;
mod checkpoint;
mod images;
mod optimizer;
mod preview;
mod trainer;

pub use augmentation::{AugmentationError, AugmentationSettings, Crop, Erase, shuffled};
pub use checkpoint::Checkpoint;
pub use images::Images;
pub use optimizer::{OptimizerSettings, Schedule};
pub use preview::preview;
pub use trainer::{Answers, Ended, Position, Running, Trainer, answer};
