//! The training loop and what it needs: pictures within the device's reach, settings of the optimisers, augmentation.

mod augmentation;
mod checkpoint;
mod images;
mod optimizer;
mod trainer;

pub use checkpoint::Checkpoint;
pub use images::Images;
pub use optimizer::{OptimizerSettings, Schedule};
pub use trainer::{Answers, Ended, Position, Running, Trainer, answer};
