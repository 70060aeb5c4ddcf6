//! `report.html`: everything that is known of a run, on one page that needs neither a network nor scripts.
//!
//! Values appear under the pointer by style sheets alone, and the page's own security policy forbids all that is not part of
//! it. The templates escape every text; only what this folder draws itself is taken as it is.

mod chart;
mod diagram;
mod folds;
mod picture;
mod words;

use std::path::Path;

use askama::Template;

use super::{Evaluation, History, ReportError};
use crate::files::write_atomically;

pub use chart::Chart;
pub use diagram::Diagram;
pub use folds::FoldsPage;
pub use picture::Picture;
pub use words::{how_little, leakage_in_words, place, reliability};

/// A name and what it stands for.
pub type Fact = (String, String);

/// One test picture with its answer and the reasons for it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The file, within the data folder.
    pub file: String,
    /// What the network said, with its probability.
    pub said: String,
    /// What it should have said, with that class's probability, if it was wrong.
    pub truth: Option<String>,
    /// The picture.
    pub picture: Picture,
    /// Classes with their heatmaps.
    pub heatmaps: Vec<(String, Picture)>,
}

/// Where the network looks for a class.
#[derive(Clone, Debug)]
pub struct ClassMap {
    /// The class.
    pub class: String,
    /// Mean of the magnitudes over many pictures.
    pub map: Picture,
    /// Where the evidence lies, in words.
    pub words: String,
    /// Whether that is a warning.
    pub outsized: bool,
}

/// Something that the check of the pictures has found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Whether it spoils the score.
    pub warning: bool,
    /// In a sentence.
    pub text: String,
    /// What to do.
    pub advice: Option<String>,
    /// Some of the files in question.
    pub examples: Vec<String>,
}

/// What stands on the page.
#[derive(Template)]
#[template(path = "report.html")]
pub struct Page {
    /// The run.
    pub name: String,
    /// Which weights were measured.
    pub weights: String,
    /// How well they did.
    pub evaluation: Evaluation,
    /// Accuracy and loss against epochs; none if no epoch was finished.
    pub charts: Vec<Chart>,
    /// The epochs.
    pub history: History,
    /// What the check of the pictures found; `None` if there was none.
    pub findings: Option<Vec<Finding>>,
    /// The scores on test pictures that were learnt from too, and on the others; none if none was.
    pub leakage: Vec<String>,
    /// How probabilities and accuracy go together.
    pub diagram: Diagram,
    /// The most confidently wrong pictures, and how many were wrong in all.
    pub wrong: Vec<Example>,
    /// Right ones of each class.
    pub right: Vec<(String, Vec<Example>)>,
    /// Of each class.
    pub maps: Vec<ClassMap>,
    /// How the explanations were made, or why there are none.
    pub explained: String,
    /// The run's settings and adapter.
    pub settings: Vec<Fact>,
    /// All of them, as the run folder keeps them.
    pub all_settings: String,
    /// Time and memory.
    pub costs: Vec<Fact>,
    /// Version of glowworm.
    pub version: String,
}

impl Page {
    /// The number of wrong answers.
    fn mistakes(&self) -> usize {
        self.evaluation.images
            - self.evaluation.classes.iter().enumerate().map(|(c, _)| self.evaluation.confusion[c][c]).sum::<usize>()
    }

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

fn write(page: &impl Template, path: &Path) -> Result<(), ReportError> {
    let fail = |reason: String| ReportError::Write { path: path.to_owned(), reason };
    let text = page.render().map_err(|e| fail(e.to_string()))?;
    write_atomically(path, text.as_bytes()).map_err(|e| fail(e.to_string()))
}

/// A share as a percentage, with one decimal, and a space at which no line is broken.
fn percent(share: impl std::borrow::Borrow<f64>) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share.borrow())
}
