//! The page of a cross-validation.

use std::path::Path;

use askama::Template;

use super::{Diagram, Example, Fact, Finding, percent, reliability, write};
use crate::report::{Evaluation, FoldScore, ReportError, Spread};

/// What stands on the page.
#[derive(Template)]
#[template(path = "folds.html")]
pub struct FoldsPage {
    /// The run.
    pub name: String,
    /// One a fold.
    pub scores: Vec<FoldScore>,
    /// Over the folds.
    pub accuracy: Spread,
    /// Over the folds.
    pub loss: Spread,
    /// Of all answers together.
    pub evaluation: Evaluation,
    /// How probabilities and accuracy go together.
    pub diagram: Diagram,
    /// Pictures whose labels are doubted, the most doubtful first.
    pub suspects: Vec<Example>,
    /// How many there are in all.
    pub doubted: usize,
    /// What the check of the pictures found.
    pub findings: Option<Vec<Finding>>,
    /// The run's settings and adapter.
    pub settings: Vec<Fact>,
    /// All of them, as the run folder keeps them.
    pub all_settings: String,
    /// Time and memory.
    pub costs: Vec<Fact>,
    /// Version of glowworm.
    pub version: String,
}

impl FoldsPage {
    /// A cell of the confusion matrix as a share of its row, 0 to 1.
    fn share(&self, row: &usize, column: &usize) -> f64 {
        self.evaluation.share(*row, *column)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write(self, path)
    }
}
