//! Pictures that a run leaves out: by a list, or because they leak. Files are never touched.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::check::Leaks;
use super::folder::name_below;
use super::{DataError, Dataset, Pixels};
use crate::files::{read_text_at_most, write_atomically};

/// Lists of a million names fit.
const MOST_BYTES: u64 = 1 << 28;

/// Who keeps a picture that stands among the training and the test pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Winner {
    /// The test pictures stay; their copies and near copies are not learnt from
    TestWins,
    /// The training pictures stay; their copies and near copies are not measured on
    TrainWins,
}

impl Winner {
    /// The files that go.
    pub fn losers(self, leaks: &Leaks) -> &[String] {
        match self {
            Winner::TestWins => &leaks.train,
            Winner::TrainWins => &leaks.test,
        }
    }
}

/// Paths below a data set's folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExcludeList(BTreeSet<String>);

impl ExcludeList {
    /// Reads a list: a path a line, below the data set's folder or as it leads there from the working folder; empty lines
    /// and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`DataError::Unreadable`].
    pub fn read(file: &Path, folder: &Path) -> Result<ExcludeList, DataError> {
        let text = read_text_at_most(file, MOST_BYTES);
        let text = text.map_err(|e| DataError::Unreadable { path: file.to_owned(), reason: e.to_string() })?;
        let lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim_end_matches('\r'));
        let named = lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        Ok(ExcludeList(named.map(|line| name_below(folder, Path::new(line))).collect()))
    }

    /// Writes a list that [`ExcludeList::read`] reads.
    ///
    /// # Errors
    /// [`DataError::Unwritable`].
    pub fn write(&self, file: &Path) -> Result<(), DataError> {
        let text: String = self.0.iter().map(|name| format!("{name}\n")).collect();
        let unwritable = |e: std::io::Error| DataError::Unwritable { path: file.to_owned(), reason: e.to_string() };
        write_atomically(file, text.as_bytes()).map_err(unwritable)
    }

    /// Adds files.
    pub fn extend(&mut self, names: &[String]) {
        self.0.extend(names.iter().cloned());
    }

    /// Whether it names no file.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves the files out of a data set; gives how many there were, and the names that no picture bears.
    pub fn leave_out(&self, dataset: &mut Dataset, folder: &Path) -> (usize, Vec<String>) {
        let mut unknown = self.0.clone();
        let before = dataset.train.len() + dataset.test.len();
        for samples in [&mut dataset.train, &mut dataset.test] {
            samples.retain(|sample| {
                let name = name_below(folder, &sample.path);
                unknown.remove(&name);
                !self.0.contains(&name)
            });
        }
        (before - dataset.train.len() - dataset.test.len(), unknown.into_iter().collect())
    }

    /// Leaves the files out of decoded pictures.
    pub fn leave_out_pixels(&self, pixels: &mut Pixels, folder: &Path) {
        let keep: Vec<bool> = pixels.paths.iter().map(|path| !self.0.contains(&name_below(folder, path))).collect();
        pixels.retain(&keep);
    }
}

/// Holds what is left of a data set, class by class, against what a training needs; `tested` is none if nothing is
/// to be measured, `by` the option that left out.
///
/// # Errors
/// [`DataError::NothingToLearn`], [`DataError::NothingToMeasure`].
pub fn enough_left(
    folder: &Path,
    classes: &[String],
    train: impl Iterator<Item = usize>,
    tested: Option<usize>,
    by: &str,
) -> Result<(), DataError> {
    let left: BTreeSet<usize> = train.collect();
    if let Some((_, class)) = classes.iter().enumerate().find(|(label, _)| !left.contains(label)) {
        return Err(DataError::NothingToLearn { folder: folder.to_owned(), class: class.clone(), by: by.to_owned() });
    }
    if tested == Some(0) {
        return Err(DataError::NothingToMeasure { folder: folder.to_owned(), by: by.to_owned() });
    }
    Ok(())
}
