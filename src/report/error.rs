//! Writing a report's pictures, and what can go wrong with it.

use std::path::{Path, PathBuf};

use image::RgbImage;
use thiserror::Error;

use crate::files::write_atomically;

/// An error of a table or a picture of results.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file could not be read.
    #[error("{path} could not be read: {reason}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The terminal cannot be drawn on.
    #[error("the terminal cannot be drawn on ({0}); leave --tui away")]
    Terminal(std::io::Error),
    /// A file could not be written.
    #[error("{path} could not be written: {reason}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Writes a picture as PNG, whole or not at all.
///
/// # Errors
/// [`ReportError::Write`].
pub fn write_png(picture: &RgbImage, path: &Path) -> Result<(), ReportError> {
    let fail = |reason: String| ReportError::Write { path: path.to_owned(), reason };
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| fail(e.to_string()))?;
    write_atomically(path, bytes.get_ref()).map_err(|e| fail(e.to_string()))
}
