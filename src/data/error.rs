//! What can be wrong with pictures and their folders.

use std::path::PathBuf;

use thiserror::Error;

/// An error of a data set.
#[derive(Debug, Error)]
pub enum DataError {
    /// The path is not there.
    #[error("{0}: there is no such file or folder")]
    Missing(PathBuf),
    /// A pattern without matches.
    #[error("{0}: no file matches")]
    NoMatch(PathBuf),
    /// A folder was expected.
    #[error("{0} is a file; a folder with one sub-folder for each class is needed")]
    NotAFolder(PathBuf),
    /// The folder has no classes.
    #[error("{0} has no class folders: put the pictures of each class into a sub-folder of its own, {0}/<class>/")]
    NoClasses(PathBuf),
    /// There is nothing to tell apart.
    #[error("{folder} has a single class, \"{class}\": at least two are needed to tell anything apart")]
    SingleClass {
        /// Where.
        folder: PathBuf,
        /// Which.
        class: String,
    },
    /// A class without pictures.
    #[error("{folder}: the class \"{class}\" has no pictures ({EXTENSIONS}); remove its folder or add some")]
    EmptyClass {
        /// Where.
        folder: PathBuf,
        /// Which.
        class: String,
    },
    /// A class that has nothing left to learn from.
    #[error(
        "{folder}: every training picture of the class \"{class}\" was left out ({by}), so none is left to learn from; add others"
    )]
    NothingToLearn {
        /// The data set's folder.
        folder: PathBuf,
        /// Which.
        class: String,
        /// By which option.
        by: String,
    },
    /// A class that cannot be spread over so many folds.
    #[error(
        "the class \"{class}\" has {different} different training pictures (copies of each other stay in one fold), too few for \
         {folds} folds; {}", if *different < 2 { "add others".to_owned() } else { format!("--folds {different} is the most, or add others") }
    )]
    TooFewForFolds {
        /// Which.
        class: String,
        /// Its pictures, those that show the same counted once.
        different: usize,
        /// Folds asked for.
        folds: usize,
    },
    /// No test picture is left.
    #[error(
        "{folder}: every test picture was left out ({by}), so none is left to measure on; with --exclude-leaks test-wins they stay"
    )]
    NothingToMeasure {
        /// The data set's folder.
        folder: PathBuf,
        /// By which option.
        by: String,
    },
    /// A class that can be tested but not learnt.
    #[error("{folder} has the class \"{class}\", which {train} lacks: a network cannot learn what it never sees")]
    UnknownClass {
        /// The test folder.
        folder: PathBuf,
        /// Which.
        class: String,
        /// The training folder.
        train: PathBuf,
    },
    /// No pictures.
    #[error("{0} holds no pictures ({EXTENSIONS})")]
    NoImages(PathBuf),
    /// A picture that cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Every picture was unreadable.
    #[error("no picture could be read ({count} tried); the first was {path}: {reason}")]
    NothingReadable {
        /// How many there were.
        count: usize,
        /// The first.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A class lost all of its pictures to errors.
    #[error("no picture of {folder} could be read; the first was {path}: {reason}")]
    ClassUnreadable {
        /// The class's folder.
        folder: PathBuf,
        /// The first picture.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The split's share is out of range.
    #[error("--validation-split {0}: it must lie between 0 and 1, 0.15 for example")]
    Split(f64),
    /// A class too small to be split.
    #[error(
        "the class \"{class}\" has {count} picture: two are needed to keep one for validation; add some, or a test/ folder"
    )]
    TooSmall {
        /// Which.
        class: String,
        /// Its pictures.
        count: usize,
    },
    /// The drawn set could not be written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

const EXTENSIONS: &str = ".bmp .gif .jpeg .jpg .png .tif .tiff .webp";
