//! Folders as data sets: one sub-folder for each class, as Keras's `image_dataset_from_directory` reads them.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
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
    /// Leave out training files whose bytes equal those of a test file, be it in the test folder or split off.
    pub exclude_duplicates_of_test: bool,
}

/// Opens `root`: `train/<class>/…` with or without `test/<class>/…`, or the classes themselves.
///
/// # Errors
/// [`DataError`] for a path that is not there, no or a single class, an empty class, a test class without training, a
/// class too small to be split or of which only copies of test files are left.
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
    if options.exclude_duplicates_of_test {
        let before = train.len();
        train = without_copies(train, &test)?;
        notes.push(match before - train.len() {
            0 => "no training file is a copy of a test file".to_owned(),
            1 => "1 training file was left out: a copy of it stands among the test files".to_owned(),
            count => format!("{count} training files were left out: copies of them stand among the test files"),
        });
        let lost = (0..classes.len()).find(|label| !train.iter().any(|s| s.label == *label));
        if let Some(class) = lost.map(|label| classes[label].clone()) {
            return Err(DataError::OnlyCopies { folder: train_folder, class });
        }
    }
    Ok(Dataset { classes, train, test, test_is_split: !has_test, notes })
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

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |e: std::io::Error| DataError::Unreadable { path: folder.to_owned(), reason: e.to_string() };
    let mut all = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        all.push(entry.map_err(unreadable)?.path());
    }
    all.sort();
    Ok(all)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn class_folders(folder: &Path) -> Result<Vec<String>, DataError> {
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

/// The pictures in a folder and the folders below it, sorted; a folder that links back to itself is entered once.
fn images_below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut images = Vec::new();
    let mut seen = HashSet::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
            continue;
        }
        for path in entries(&folder)? {
            if is_hidden(&path) {
                continue;
            }
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
            if path.is_dir() {
                waiting.push(path);
            } else if EXTENSIONS.contains(&extension.as_str()) {
                images.push(path);
            }
        }
    }
    images.sort();
    Ok(images)
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

/// The samples whose bytes equal those of no file in `others`: found by a hash of the content, then compared, so that
/// each file is read once and a few twice.
fn without_copies(samples: Vec<Sample>, others: &[Sample]) -> Result<Vec<Sample>, DataError> {
    let read = |path: &Path| {
        let unreadable = |e: std::io::Error| DataError::Unreadable { path: path.to_owned(), reason: e.to_string() };
        std::fs::read(path).map_err(unreadable)
    };
    let hash = |bytes: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        hasher.finish()
    };
    let mut by_hash: HashMap<u64, Vec<&Path>> = HashMap::new();
    for other in others {
        by_hash.entry(hash(&read(&other.path)?)).or_default().push(&other.path);
    }
    let mut kept = Vec::new();
    for sample in samples {
        let bytes = read(&sample.path)?;
        let mut is_copy = false;
        for candidate in by_hash.get(&hash(&bytes)).into_iter().flatten() {
            is_copy = is_copy || read(candidate)? == bytes;
        }
        if !is_copy {
            kept.push(sample);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder holding these files, each with this content.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (name, content) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
            std::fs::write(path, content).expect("it can be written");
        }
        root
    }

    fn without_duplicates() -> OpenOptions {
        OpenOptions { validation_split: 0.25, seed: 3, exclude_duplicates_of_test: true }
    }

    #[test]
    fn copies_are_left_out_of_a_split_too() {
        let names: Vec<(String, String)> = (0..24)
            .map(|i| {
                (format!("{}/{i}.png", ["a", "b"][i % 2]), ["one", "two", "three", "four"][i % 4].repeat(1 + i / 12))
            })
            .collect();
        let files: Vec<(&str, &str)> = names.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        let root = folder(&files);
        let plain = OpenOptions { exclude_duplicates_of_test: false, ..without_duplicates() };
        let (all, set) = (open(root.path(), &plain), open(root.path(), &without_duplicates()));
        let (all, set) = (all.expect("it opens"), set.expect("it opens"));
        assert_eq!(all.test, set.test, "the split itself stays");
        let contents = |samples: &[Sample]| -> HashSet<Vec<u8>> {
            samples.iter().map(|s| std::fs::read(&s.path).expect("read")).collect()
        };
        assert!(!contents(&all.train).is_disjoint(&contents(&all.test)), "the set has copies to find");
        assert!(contents(&set.train).is_disjoint(&contents(&set.test)));
        assert!(set.notes[1].starts_with(&format!("{} training file", all.train.len() - set.train.len())));
    }

    #[test]
    fn a_class_of_copies_alone_is_an_error_that_names_it() {
        let root =
            folder(&[("train/a/1.png", "x"), ("train/b/1.png", "y"), ("test/a/1.png", "z"), ("test/b/9.png", "y")]);
        let error = open(root.path(), &without_duplicates()).expect_err("b has nothing left");
        assert!(matches!(&error, DataError::OnlyCopies { class, .. } if class == "b"), "{error}");
    }
}
