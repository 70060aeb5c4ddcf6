//! A run's folder: its settings, history, curves, weights and checkpoints. `settings.toml` is the last file that is
//! written before the first step: where it stands, the run can be resumed.

mod checkpoints;
mod settings;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::CommandError;
use crate::data::ExcludeList;
use crate::files::{read_at_most, read_text_at_most, remove_leftovers, sync_folder_of, write_atomically};
use crate::model::{Metadata, ModelFile, Numbers};

pub use settings::Settings;

/// Settings take two kilobytes.
const MOST_OF_SETTINGS: u64 = 1 << 20;
/// As many pictures as `--background` takes.
const MOST_BACKGROUNDS: u64 = 10_000;
/// What a run began with that goes on from another's weights, lest it need them once more.
const START: &str = "start.safetensors";
const BACKGROUND: &str = "background.safetensors";

const LOCK: &str = "run.lock";
/// The pictures of the data set that the run leaves out.
const EXCLUDED: &str = "excluded.txt";

/// While it lives, no other process trains into the run folder.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

const TAKEN: &str = "it already holds something, and nothing is ever overwritten; give --out a new folder";

fn fail(path: &Path, reason: impl std::fmt::Display) -> CommandError {
    CommandError::File { path: path.to_owned(), reason: reason.to_string() }
}

fn not_made(path: &Path, error: &std::io::Error) -> CommandError {
    fail(path, format!("the folder cannot be made: {error}; --out takes a place that can be written"))
}

fn holds_more_than(folder: &Path, name: &str) -> bool {
    folder.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != name))
}

/// The data folder's own name, for what is made of it.
pub(super) fn name_of(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Makes a new folder: `out`, or the first free `<parent>/<name>-<number>`.
///
/// # Errors
/// [`CommandError::File`] if `out` already holds something, or the folder cannot be made.
pub(super) fn new_folder(out: Option<&Path>, parent: &str, name: &str) -> Result<PathBuf, CommandError> {
    if let Some(out) = out {
        if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(fail(out, TAKEN));
        }
        std::fs::create_dir_all(out).map_err(|e| not_made(out, &e))?;
        return Ok(out.to_owned());
    }
    let parent = Path::new(parent);
    std::fs::create_dir_all(parent).map_err(|e| not_made(parent, &e))?;
    for number in 1.. {
        let path = parent.join(format!("{name}-{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(not_made(&path, &e)),
        }
    }
    Err(fail(parent, "no free name is left"))
}

impl RunFolder {
    /// Makes a folder for a new run, `out` or the first free `runs/<name>-<number>`, and keeps others out of it.
    ///
    /// # Errors
    /// [`CommandError::File`] if `out` already holds something, or the folder cannot be made.
    pub fn create(out: Option<&Path>, name: &str) -> Result<(RunFolder, RunLock), CommandError> {
        let made = RunFolder(new_folder(out, "runs", name)?);
        let lock = made.lock()?;
        // Two that began at the same time may both have found it empty; one has the lock, the other has this.
        if let Some(out) = out.filter(|out| holds_more_than(out, LOCK)) {
            return Err(fail(out, TAKEN));
        }
        sync_folder_of(&made.0);
        Ok((made, lock))
    }

    /// An existing run's folder.
    ///
    /// # Errors
    /// [`CommandError::File`] if it is none.
    pub fn open(path: &Path) -> Result<RunFolder, CommandError> {
        if !path.is_dir() {
            return Err(fail(path, "there is no such run folder; `glowworm train` makes one under runs/"));
        }
        let run = RunFolder(path.to_owned());
        if !run.file("model.safetensors").exists() {
            if let Ok(Settings { folds: Some(folds), data, .. }) = run.settings() {
                return Err(fail(
                    path,
                    format!(
                        "it is a cross-validation, whose {folds} networks are in fold-1 to fold-{folds}: name one of these \
                         folders, or train a network on all pictures with glowworm train --data {}",
                        data.display(),
                    ),
                ));
            }
            return Err(fail(
                path,
                "it holds no model.safetensors: it is not a run folder, or the run never finished an epoch",
            ));
        }
        Ok(run)
    }

    /// The folder of a run that may not have finished an epoch.
    ///
    /// # Errors
    /// [`CommandError::File`] if it is none.
    pub fn open_unfinished(path: &Path) -> Result<RunFolder, CommandError> {
        let run = RunFolder(path.to_owned());
        if !run.file("settings.toml").exists() {
            return Err(fail(
                path,
                "it holds no settings.toml: it is not a run folder, or its run ended before the first step; train anew",
            ));
        }
        Ok(run)
    }

    /// The folder of the network of a fold, from 1, made if it is not there yet. Only for the holder of the run's lock.
    ///
    /// # Errors
    /// [`CommandError::File`] if it cannot be made, or leads elsewhere.
    pub fn fold(&self, number: u32) -> Result<RunFolder, CommandError> {
        let path = self.file(&format!("fold-{number}"));
        if path.is_symlink() {
            return Err(fail(&path, "it leads out of the run folder; remove it"));
        }
        std::fs::create_dir_all(&path).map_err(|e| not_made(&path, &e))?;
        remove_leftovers(&path);
        Ok(RunFolder(path))
    }

    /// Keeps other trainings out of the folder, until the lock is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`CommandError::File`] if another training holds it.
    pub fn lock(&self) -> Result<RunLock, CommandError> {
        let path = self.file(LOCK);
        // Nothing is written to it: were it a link, what it leads to stays as it is.
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file =
            file.map_err(|e| fail(&path, format!("it cannot be made: {e}; choose a folder that can be written")))?;
        match file.try_lock() {
            Ok(()) => {
                remove_leftovers(&self.0);
                Ok(RunLock(file))
            }
            Err(TryLockError::WouldBlock) => {
                Err(fail(&self.0, "another glowworm is training into this run folder; wait for it to end"))
            }
            Err(TryLockError::Error(e)) => Err(fail(&path, format!("it cannot be locked: {e}"))),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where heatmaps go unless the user names another place. A run folder may come from others: a link there could lead
    /// anywhere.
    ///
    /// # Errors
    /// [`CommandError::File`] if it is a link.
    pub fn heatmaps(&self) -> Result<PathBuf, CommandError> {
        let path = self.file("heatmaps");
        if path.is_symlink() {
            return Err(fail(&path, "it leads out of the run folder; name a folder with --out, or remove it"));
        }
        Ok(path)
    }

    /// Writes `settings.toml`.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn write_settings(&self, settings: &Settings) -> Result<(), CommandError> {
        let path = self.file("settings.toml");
        let text = toml::to_string(settings).map_err(|e| fail(&path, e))?;
        write_atomically(&path, text.as_bytes()).map_err(|e| fail(&path, format!("it cannot be written: {e}")))
    }

    /// Reads `settings.toml`.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn settings(&self) -> Result<Settings, CommandError> {
        let path = self.file("settings.toml");
        Settings::parse(&self.settings_text()?)
            .map_err(|e| fail(&path, format!("it is not the settings of a run: {e}")))
    }

    /// The text of `settings.toml`.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn settings_text(&self) -> Result<String, CommandError> {
        let path = self.file("settings.toml");
        read_text_at_most(&path, MOST_OF_SETTINGS).map_err(|e| fail(&path, format!("it cannot be read: {e}")))
    }

    /// Writes `excluded.txt`.
    ///
    /// # Errors
    /// [`CommandError::Data`].
    pub fn write_excluded(&self, excluded: &ExcludeList) -> Result<(), CommandError> {
        Ok(excluded.write(&self.file(EXCLUDED))?)
    }

    /// Reads `excluded.txt`; nothing is excluded if there is none.
    ///
    /// # Errors
    /// [`CommandError::Data`].
    pub fn excluded(&self, data: &Path) -> Result<ExcludeList, CommandError> {
        let path = self.file(EXCLUDED);
        Ok(if path.exists() { ExcludeList::read(&path, data)? } else { ExcludeList::default() })
    }

    /// Writes `background.safetensors`: training pictures that explanations start from, `[K,H,W,4]` bytes.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn write_background(&self, pictures: &[u8], height: usize, width: usize) -> Result<(), CommandError> {
        let path = self.file(BACKGROUND);
        let shape = vec![pictures.len() / (height * width * 4), height, width, 4];
        let view = TensorView::new(Dtype::U8, shape, pictures).map_err(|e| fail(&path, e))?;
        let bytes = safetensors::serialize([("background", view)], None).map_err(|e| fail(&path, e))?;
        write_atomically(&path, &bytes).map_err(|e| fail(&path, format!("it cannot be written: {e}")))
    }

    /// Reads `background.safetensors`, and holds its size against the network's input.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn background(&self, height: usize, width: usize) -> Result<Vec<u8>, CommandError> {
        let path = self.file(BACKGROUND);
        let help = "explanations start from it; --no-shap does without";
        let most = MOST_BACKGROUNDS * (height * width * 4) as u64 + (1 << 20);
        let bytes = read_at_most(&path, most).map_err(|e| fail(&path, format!("it cannot be read ({e}); {help}")))?;
        parse_background(&bytes, height, width)
            .map_err(|e| fail(&path, format!("it is not a run's background ({e}); {help}")))
    }

    /// Writes `start.safetensors`.
    ///
    /// # Errors
    /// [`CommandError::Model`].
    pub fn write_start(&self, weights: &dyn Numbers, metadata: &Metadata) -> Result<(), CommandError> {
        Ok(metadata.save(weights, &self.file(START))?)
    }

    /// Reads `start.safetensors`.
    ///
    /// # Errors
    /// [`CommandError::Model`].
    pub fn start(&self) -> Result<ModelFile, CommandError> {
        Ok(ModelFile::open(&self.file(START))?)
    }

    /// The weights after the last epoch, or after the one that did best on the test pictures.
    ///
    /// # Errors
    /// [`CommandError::Model`].
    pub fn weights(&self, best: bool) -> Result<ModelFile, CommandError> {
        let path = self.file(if best { "best.safetensors" } else { "model.safetensors" });
        if best && !path.exists() {
            return Err(fail(&path, "there is none, since the run ended in its first epoch; leave --best away"));
        }
        Ok(ModelFile::open(&path)?)
    }
}

/// The pictures, `[K,H,W,4]`, of a file that [`RunFolder::write_background`] wrote.
///
/// # Errors
/// What is wrong with it.
pub fn parse_background(bytes: &[u8], height: usize, width: usize) -> Result<Vec<u8>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let tensor = file.tensor("background").map_err(|e| e.to_string())?;
    match tensor.shape() {
        [count, h, w, 4] if *count > 0 && (*h, *w) == (height, width) && tensor.dtype() == Dtype::U8 => {
            Ok(tensor.data().to_vec())
        }
        other => Err(format!("its shape is {other:?}, not [K, {height}, {width}, 4]")),
    }
}
