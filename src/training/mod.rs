//! The training loop and what it needs: pictures within the device's reach, recipes and their settings, augmentation.

mod augmentation;
mod batch;
mod checkpoint;
mod images;
mod optimizer;
mod preview;
mod recipe;
mod schedule;
mod trainer;

pub use augmentation::{AugmentationError, AugmentationSettings, Crop, Erase, shuffled};
pub use checkpoint::{Checkpoint, State};
pub use images::Images;
pub use optimizer::{OptimizerSettings, average_share};
pub use preview::preview;
pub use recipe::{
    Choices, ClassWeights, DEFAULT_RECIPE, OptimizerName, Recipe, RecipeError, Sampling, ScheduleName, effective,
};
pub use schedule::{Schedule, ScheduleSettings};
pub use trainer::{Answers, Ended, Goal, Position, Running, Trainer, answer};
