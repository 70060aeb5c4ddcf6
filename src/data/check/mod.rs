//! What is wrong with a folder of pictures, found before a network learns from it.
//!
//! Every picture is decoded once and looked at ([`look`]); findings are made from what is kept of each: files (unreadable,
//! cut off, mislabelled …), duplicates (copies, near copies, leaks into the test pictures, pictures with two labels), the
//! balance of the classes, and shortcuts that tell the classes apart without a look at what the pictures show.

mod balance;
mod duplicates;
mod files;
mod fingerprint;
mod look;
mod naive_bayes;
mod report;
mod shortcuts;
mod survey;

use std::path::PathBuf;

pub use look::{Look, Looked, look};
pub use report::{CheckReport, ClassCount, Finding, Kind, Leaks, NamedFile, Pair, Severity, grouped};
pub use shortcuts::Shortcut;
pub use survey::Survey;

use duplicates::Duplicates;

/// Which part of a data set a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// To learn from.
    Train,
    /// To measure on.
    Test,
}

/// A picture of a data set.
#[derive(Clone, Debug)]
pub struct Item {
    /// The file.
    pub path: PathBuf,
    /// Its path below the data set's folder.
    pub name: String,
    /// Where it belongs.
    pub split: Split,
    /// Index into the classes; none for a picture that lies in no class's folder.
    pub class: Option<usize>,
}

/// Makes the findings from what was kept of each picture, `[items]`; `progress` is told how many pictures have been
/// compared with all others.
pub fn check(survey: &Survey, looks: &[Looked], progress: &(dyn Fn(usize) + Sync)) -> CheckReport {
    let duplicates = Duplicates::find(&survey.items, looks, progress);
    let shortcuts = shortcuts::shortcuts(&survey.items, looks);
    let mut findings = duplicates.findings(survey);
    findings.extend(files::findings(&survey.items, looks));
    findings.extend(survey.findings.iter().cloned());
    findings.extend(balance::findings(survey));
    findings.extend(shortcuts::finding(&shortcuts));
    // Warnings first; what is of one severity keeps the order above.
    findings.sort_by_key(|finding| finding.severity);
    CheckReport {
        folder: survey.folder.clone(),
        classes: survey.counts(),
        findings,
        pairs: duplicates.pairs(survey),
        leaks: duplicates.leaks(survey),
        shortcuts,
    }
}
