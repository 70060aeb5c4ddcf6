//! What a run shows: the progress of an epoch, tables, curves.

pub mod curves;
mod error;
mod history;
mod metrics;
pub mod progress;

pub use error::ReportError;
pub use history::{Epoch, History};
pub use metrics::{ClassMetrics, Evaluation};
pub use progress::{EpochProgress, Output};
