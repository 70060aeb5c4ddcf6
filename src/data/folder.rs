//! Folders as data sets: one sub-folder for each class, as Keras's `image_dataset_from_directory` reads them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::DataError;
use crate::names::unfit_name;

const EXTENSIONS: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// A picture and its class's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Index into the classes.
    pub label: usize,
}

/// Training and test pictures with their classes.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The classes' names, in code-point order.
    pub classes: Vec<String>,
    /// Pictures to learn from, class by class, sorted by path.
    pub train: Vec<Sample>,
    /// Pictures to measure on.
    pub test: Vec<Sample>,
    /// Whether the test pictures were split off from the others, for want of a test folder.
    pub test_is_split: bool,
    /// Sentences that the user should read.
    pub notes: Vec<String>,
}

/// How to open a data set.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Share of each class kept for testing when there is no test folder, between 0 and 1.
    pub validation_split: f64,
    /// Seed of the split.
    pub seed: u64,
}

/// Opens `root`: `train/<class>/…` with or without `test/<class>/…`, or the classes themselves.
///
/// # Errors
/// [`DataError`] for a path that is not there, no or a single class, an empty class, a test class without training or a
/// class too small to be split.
pub fn open(root: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
    let train_folder = if root.join("train").is_dir() { root.join("train") } else { root.to_owned() };
    let test_folder = root.join("test");
    let has_test = train_folder != root && test_folder.is_dir();
    let classes = class_folders(&train_folder)?;
    if let [class] = &classes[..] {
        return Err(DataError::SingleClass { folder: train_folder, class: class.clone() });
    }
    let mut train = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let images = images_below(&train_folder.join(class))?;
        if images.is_empty() {
            return Err(DataError::EmptyClass { folder: train_folder, class: class.clone() });
        }
        train.extend(images.into_iter().map(|path| Sample { path, label }));
    }
    let mut notes = Vec::new();
    let test;
    if has_test {
        test = test_samples(&test_folder, &train_folder, &classes, &mut notes)?;
    } else {
        (train, test) = split(&train, &classes, options)?;
        notes.push(format!(
            "there is no test folder: {} of {} pictures, {} of each class, are kept for testing (seed {})",
            test.len(),
            train.len() + test.len(),
            percent(options.validation_split),
            options.seed,
        ));
    }
    Ok(Dataset { classes, train, test, test_is_split: !has_test, notes })
}

impl Dataset {
    /// Puts pictures that were split off for testing back among the others.
    pub fn rejoin(&mut self) {
        if self.test_is_split {
            self.train.append(&mut self.test);
            self.train.sort_by(|a, b| (a.label, &a.path).cmp(&(b.label, &b.path)));
            self.notes.clear();
        }
    }
}

/// The test folder's pictures; a class that it lacks is worth a note, one that only it has is an error.
fn test_samples(
    test_folder: &Path,
    train_folder: &Path,
    classes: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<Sample>, DataError> {
    let tested = class_folders(test_folder)?;
    if let Some(class) = tested.iter().find(|c| !classes.contains(c)) {
        let (folder, train) = (test_folder.to_owned(), train_folder.to_owned());
        return Err(DataError::UnknownClass { folder, class: class.clone(), train });
    }
    let mut test = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let images = if tested.contains(class) { images_below(&test_folder.join(class))? } else { Vec::new() };
        if images.is_empty() {
            notes.push(format!("{} has no pictures of the class \"{class}\"", test_folder.display()));
        }
        test.extend(images.into_iter().map(|path| Sample { path, label }));
    }
    if test.is_empty() { Err(DataError::NoImages(test_folder.to_owned())) } else { Ok(test) }
}

/// A file as it is, the pictures of a folder, or the files that a pattern such as `*.jpg` or `**/*.png` matches (for shells
/// that leave patterns to the program); sorted.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::NoImages`], [`DataError::Unreadable`].
pub fn list_images(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    if path.is_dir() {
        let images = images_below(path)?;
        return if images.is_empty() { Err(DataError::NoImages(path.to_owned())) } else { Ok(images) };
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
    let matches = pattern.and_then(|text| glob::glob(text).ok()).ok_or_else(|| DataError::Missing(path.to_owned()))?;
    let images: Vec<PathBuf> = matches.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    if images.is_empty() { Err(DataError::NoMatch(path.to_owned())) } else { Ok(images) }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |e: std::io::Error| DataError::Unreadable { path: folder.to_owned(), reason: e.to_string() };
    let mut all = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        all.push(entry.map_err(unreadable)?.path());
    }
    all.sort();
    Ok(all)
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

pub(super) fn class_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    if !folder.exists() {
        return Err(DataError::Missing(folder.to_owned()));
    }
    if !folder.is_dir() {
        return Err(DataError::NotAFolder(folder.to_owned()));
    }
    let mut classes = Vec::new();
    for path in entries(folder)? {
        if !path.is_dir() || is_hidden(&path) {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        match name.map_or(Some("it is not UTF-8"), unfit_name) {
            None => classes.extend(name.map(str::to_owned)),
            Some(what) => {
                let reason = format!("the folder's name cannot name a class, for {what}; rename it");
                return Err(DataError::Unreadable { path, reason });
            }
        }
    }
    // Rust compares strings by UTF-8 bytes, which is code-point order.
    classes.sort();
    if classes.is_empty() { Err(DataError::NoClasses(folder.to_owned())) } else { Ok(classes) }
}

/// Whether a file's name is that of a picture.
pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    EXTENSIONS.contains(&extension.as_str())
}

fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(files_below(folder)?.0)
}

/// The pictures in a folder and the folders below it, and the other files; sorted. A folder that links back to itself is
/// entered once.
pub(super) fn files_below(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let (mut images, mut others) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
            continue;
        }
        for path in entries(&folder)?.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() {
                waiting.push(path);
            } else if is_image(&path) {
                images.push(path);
            } else {
                others.push(path);
            }
        }
    }
    images.sort();
    others.sort();
    Ok((images, others))
}

/// A file's path below the data set's folder, as lists and reports name it.
pub fn name_below(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

fn split(all: &[Sample], classes: &[String], options: &OpenOptions) -> Result<(Vec<Sample>, Vec<Sample>), DataError> {
    let share = options.validation_split;
    if !(share > 0.0 && share < 1.0) {
        return Err(DataError::Split(share));
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let mut members: Vec<&Sample> = all.iter().filter(|s| s.label == label).collect();
        if members.len() < 2 {
            return Err(DataError::TooSmall { class: class.clone(), count: members.len() });
        }
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        random.set_stream(label as u64);
        members.shuffle(&mut random);
        let kept = ((members.len() as f64 * share).round() as usize).clamp(1, members.len() - 1);
        test.extend(members[..kept].iter().map(|s| (*s).clone()));
        train.extend(members[kept..].iter().map(|s| (*s).clone()));
    }
    let by_path = |a: &Sample, b: &Sample| (a.label, &a.path).cmp(&(b.label, &b.path));
    train.sort_by(by_path);
    test.sort_by(by_path);
    Ok((train, test))
}
