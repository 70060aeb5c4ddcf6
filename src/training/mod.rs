//! The training loop and what it needs: settings of the optimisers, the learning rate's schedule, augmentation.

mod optimizer;

pub use optimizer::{OptimizerSettings, Schedule};
