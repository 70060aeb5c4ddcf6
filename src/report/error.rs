//! What can go wrong with a report.

use std::path::PathBuf;

use thiserror::Error;

/// An error of a table or a picture of results.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file could not be written.
    #[error("{path} could not be written: {reason}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
