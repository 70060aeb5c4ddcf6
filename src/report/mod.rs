//! What a run shows: the progress of an epoch, tables, curves, heatmaps, and a page of all that is known.

pub mod contact_sheet;
mod csv;
pub mod curves;
pub mod dashboard;
mod error;
mod folds;
mod font;
pub mod heatmap;
mod history;
mod leakage;
mod metrics;
mod mislabelled;
mod observer;
pub mod page;
pub mod progress;
pub mod rate_curve;
mod rate_test;
mod statistics;
mod tensorboard;

use csv::CsvRow;
pub use error::{ReportError, write_png};
pub use folds::{FoldScore, OutOfFold, Spread};
pub use history::{Epoch, History};
pub use leakage::Leakage;
pub use metrics::{ClassMetrics, Evaluation, largest};
pub use mislabelled::{Suspect, suspects, suspects_to_csv};
pub use observer::{EpochEnd, Mistake, Moment, Observer};
pub use progress::{EpochProgress, Output};
pub use rate_test::{Descent, RateStep, RateTest};
pub use statistics::{Bin, Calibration, Interval, wilson};
pub use tensorboard::TensorBoard;
