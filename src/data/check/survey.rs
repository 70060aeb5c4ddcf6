//! Which pictures there are to check: all of them, also where training would refuse the folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::report::count;
use super::{ClassCount, Finding, Item, Kind, NamedFile, Severity, Split};
use crate::data::folder::{class_folders, entries, files_below, is_hidden, is_image, name_below};
use crate::data::{DataError, Dataset};

/// The pictures of a folder with their classes.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The data set's folder.
    pub folder: PathBuf,
    /// The classes' names.
    pub classes: Vec<String>,
    /// The pictures, those to learn from first.
    pub items: Vec<Item>,
    /// What was found on the way to them.
    pub(super) findings: Vec<Finding>,
}

impl Survey {
    /// Everything below `folder`: `train/<class>/…` and `test/<class>/…`, or `<class>/…`, or pictures without classes.
    ///
    /// # Errors
    /// [`DataError`] for a path that is no folder, that cannot be read or that holds no pictures.
    pub fn open(folder: &Path) -> Result<Survey, DataError> {
        let train = folder.join("train");
        let parted = train.is_dir();
        let mut splits = vec![(Split::Train, if parted { train } else { folder.to_owned() })];
        if parted && folder.join("test").is_dir() {
            splits.push((Split::Test, folder.join("test")));
        }
        let mut classes = Vec::new();
        for (_, part) in &splits {
            match class_folders(part) {
                Ok(names) => classes.extend(names),
                Err(DataError::NoClasses(_)) => {}
                Err(error) => return Err(error),
            }
        }
        classes.sort();
        classes.dedup();
        let mut survey = Survey { folder: folder.to_owned(), classes, items: Vec::new(), findings: Vec::new() };
        let (mut loose, mut others) = (Vec::new(), Vec::new());
        for (split, part) in &splits {
            for (class, name) in survey.classes.iter().enumerate() {
                let class_folder = part.join(name);
                if class_folder.is_dir() {
                    let (images, rest) = files_below(&class_folder)?;
                    let item = |path: PathBuf| Item {
                        name: name_below(folder, &path),
                        path,
                        split: *split,
                        class: Some(class),
                    };
                    survey.items.extend(images.into_iter().map(item));
                    others.extend(rest);
                }
            }
            for path in entries(part)?.into_iter().filter(|path| is_image(path) && !path.is_dir() && !is_hidden(path)) {
                loose.push(NamedFile { file: name_below(folder, &path), note: None });
                survey.items.push(Item { name: name_below(folder, &path), path, split: *split, class: None });
            }
        }
        if survey.items.is_empty() {
            return Err(DataError::NoImages(folder.to_owned()));
        }
        if parted {
            survey.note_folders_beside()?;
        }
        survey.note_ignored(loose, &others);
        Ok(survey)
    }

    /// The pictures that a training takes.
    pub fn of(dataset: &Dataset, folder: &Path) -> Survey {
        let parts = [(Split::Train, &dataset.train), (Split::Test, &dataset.test)];
        let item = |split, sample: &crate::data::Sample| Item {
            path: sample.path.clone(),
            name: name_below(folder, &sample.path),
            split,
            class: Some(sample.label),
        };
        let items =
            parts.into_iter().flat_map(|(split, samples)| samples.iter().map(move |sample| item(split, sample)));
        let items = items.collect();
        Survey { folder: folder.to_owned(), classes: dataset.classes.clone(), items, findings: Vec::new() }
    }

    /// Pictures of each class.
    pub(super) fn counts(&self) -> Vec<ClassCount> {
        let counted =
            |class: usize, split| self.items.iter().filter(|i| i.class == Some(class) && i.split == split).count();
        let class = |(index, name): (usize, &String)| ClassCount {
            class: name.clone(),
            train: counted(index, Split::Train),
            test: counted(index, Split::Test),
        };
        self.classes.iter().enumerate().map(class).collect()
    }

    fn note_folders_beside(&mut self) -> Result<(), DataError> {
        for path in entries(&self.folder)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path)) {
            let name = name_below(&self.folder, &path);
            if name != "train" && name != "test" {
                let text = format!("the folder {name} beside train and test is not read");
                let advice = "pictures are taken from train/<class>/ and test/<class>/ alone";
                self.findings.push(Finding::new(Kind::Ignored, Severity::Note, text, advice));
            }
        }
        Ok(())
    }

    fn note_ignored(&mut self, loose: Vec<NamedFile>, others: &[PathBuf]) {
        if !loose.is_empty() {
            let text = format!("{} in no class's folder: nothing is learnt from them", count(loose.len(), "picture"));
            let advice = "put each into the folder of its class";
            let finding = Finding::new(Kind::Ignored, Severity::Warning, text, advice);
            self.findings.push(Finding { files: loose, ..finding });
        }
        let mut by_extension: BTreeMap<String, usize> = BTreeMap::new();
        for path in others {
            let extension =
                path.extension().map_or("without extension".to_owned(), |e| format!(".{}", e.to_string_lossy()));
            *by_extension.entry(extension.to_lowercase()).or_default() += 1;
        }
        if !by_extension.is_empty() {
            let kinds: Vec<String> = by_extension.iter().map(|(extension, n)| format!("{n} {extension}")).collect();
            let text =
                format!("{} not read, no pictures by their names: {}", count(others.len(), "file"), kinds.join(", "));
            let advice =
                "files are read as .bmp .gif .jpeg .jpg .png .tif .tiff .webp; convert others that are pictures";
            let finding = Finding::new(Kind::Ignored, Severity::Note, text, advice);
            let file = |path: &PathBuf| NamedFile { file: name_below(&self.folder, path), note: None };
            self.findings.push(Finding { files: others.iter().map(file).collect(), ..finding });
        }
    }
}
