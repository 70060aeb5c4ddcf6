//! A run's folder: its settings, history, curves and weights.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::CommandError;
use crate::data::Region;
use crate::files::write_atomically;
use crate::model::{Metadata, NetworkSpec, Weights};
use crate::training::{Checkpoint, OptimizerSettings};

/// What a run was started with, as `settings.toml` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of glowworm.
    pub version: String,
    /// The data set's folder.
    pub data: PathBuf,
    /// Side of the pictures, in pixels.
    pub image_size: u32,
    /// Epochs asked for.
    pub epochs: usize,
    /// Pictures in a batch.
    pub batch_size: u32,
    /// Learning rate.
    pub learning_rate: f64,
    /// Seed of weights, order, augmentation, dropout and split.
    pub seed: u64,
    /// Whether pictures were flipped and turned.
    pub augment: bool,
    /// Share of the pictures kept for validation when the data set has no test folder.
    pub validation_split: f64,
    /// Parts of every picture that are blanked, in training and ever after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<Region>,
    /// Whether training files that also stand in the test folder were left out.
    pub exclude_duplicates_of_test: bool,
    /// The adapter.
    pub adapter: String,
    /// The adapter's driver.
    pub driver: String,
    /// Optimiser and its constants.
    pub optimizer: OptimizerSettings,
    /// Input size and layers.
    pub network: NetworkSpec,
}

const BACKGROUND: &str = "background.safetensors";

/// The last checkpoint, and the one before it, in case the last is found damaged.
const CHECKPOINTS: [&str; 2] = ["checkpoint.safetensors", "checkpoint-before.safetensors"];
const LOCK: &str = "run.lock";

/// A checkpoint holds three numbers for each parameter and some text; what is much larger is not read at all.
const MOST_OF_A_CHECKPOINT: u64 = 256 << 20;

/// While it lives, no other process trains into the run folder.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

fn fail(path: &Path, reason: impl std::fmt::Display) -> CommandError {
    CommandError::File { path: path.to_owned(), reason: reason.to_string() }
}

impl RunFolder {
    /// Makes a folder for a new run: `out`, or the first free `runs/<name>-<number>`.
    ///
    /// # Errors
    /// [`CommandError::File`] if `out` already holds something, or the folder cannot be made.
    pub fn create(out: Option<&Path>, name: &str) -> Result<RunFolder, CommandError> {
        if let Some(out) = out {
            if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(fail(
                    out,
                    "it already holds something, and nothing is ever overwritten; give --out a new folder",
                ));
            }
            std::fs::create_dir_all(out).map_err(|e| fail(out, format!("the folder cannot be made: {e}")))?;
            return Ok(RunFolder(out.to_owned()));
        }
        let runs = Path::new("runs");
        std::fs::create_dir_all(runs).map_err(|e| fail(runs, format!("the folder cannot be made: {e}")))?;
        for number in 1.. {
            let path = runs.join(format!("{name}-{number}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(RunFolder(path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(fail(&path, format!("the folder cannot be made: {e}"))),
            }
        }
        Err(fail(runs, "no free name is left"))
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
            return Err(fail(path, "it holds no settings.toml: it is not a run folder; `glowworm train` makes one"));
        }
        Ok(run)
    }

    /// Keeps other trainings out of the folder, until the lock is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`CommandError::File`] if another training holds it.
    pub fn lock(&self) -> Result<RunLock, CommandError> {
        let path = self.file(LOCK);
        let file = File::create(&path).map_err(|e| fail(&path, format!("it cannot be made: {e}")))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock(file)),
            Err(TryLockError::WouldBlock) => {
                Err(fail(&self.0, "another glowworm is training into this run folder; wait for it to end"))
            }
            Err(TryLockError::Error(e)) => Err(fail(&path, format!("it cannot be locked: {e}"))),
        }
    }

    /// Writes a checkpoint; the last one is kept as the one before.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), CommandError> {
        let [path, before] = CHECKPOINTS.map(|name| self.file(name));
        let bytes = checkpoint.encode().map_err(|e| fail(&path, e))?;
        let refused = |e: std::io::Error| fail(&path, format!("the checkpoint cannot be written: {e}"));
        if path.exists() {
            std::fs::rename(&path, &before).map_err(refused)?;
        }
        write_atomically(&path, &bytes).map_err(refused)
    }

    /// The last checkpoint that is whole, if there is one, and what to tell the user of those that are not and were put
    /// aside. Only for the holder of the lock.
    ///
    /// # Errors
    /// [`CommandError::File`] if a file cannot be read at all.
    pub fn checkpoint(&self, spec: &NetworkSpec) -> Result<(Option<Checkpoint>, Vec<String>), CommandError> {
        let parameters: u64 = spec.parameters().iter().map(|p| p.layout.len() as u64).sum();
        let most = 3 * 4 * parameters + MOST_OF_A_CHECKPOINT;
        let mut notes = Vec::new();
        for path in CHECKPOINTS.map(|name| self.file(name)) {
            let unreadable = |e: std::io::Error| fail(&path, format!("it cannot be read: {e}"));
            let found = match std::fs::metadata(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(unreadable(e)),
                Ok(about) if about.len() > most => Err(format!("it is foreign: {} bytes are too many", about.len())),
                Ok(_) => Checkpoint::decode(&std::fs::read(&path).map_err(unreadable)?, spec),
            };
            match found {
                Ok(checkpoint) => return Ok((Some(checkpoint), notes)),
                Err(reason) => {
                    // Out of the way, lest it take the place of a whole one when the next is written.
                    let aside = path.with_extension("damaged");
                    std::fs::rename(&path, &aside).map_err(unreadable)?;
                    notes.push(format!(
                        "{}: {reason}; it is now called {}, and what came before it is used",
                        path.display(),
                        aside.file_name().unwrap_or_default().to_string_lossy(),
                    ));
                }
            }
        }
        Ok((None, notes))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
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
        let text = std::fs::read_to_string(&path).map_err(|e| fail(&path, format!("it cannot be read: {e}")))?;
        toml::from_str(&text).map_err(|e| fail(&path, format!("it is not the settings of a run: {e}")))
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
        let bytes = std::fs::read(&path).map_err(|e| fail(&path, format!("it cannot be read ({e}); {help}")))?;
        let broken = |e: &dyn std::fmt::Display| fail(&path, format!("it is not a run's background ({e}); {help}"));
        let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(&e))?;
        let tensor = file.tensor("background").map_err(|e| broken(&e))?;
        match tensor.shape() {
            [count, h, w, 4] if *count > 0 && (*h, *w) == (height, width) && tensor.dtype() == Dtype::U8 => {
                Ok(tensor.data().to_vec())
            }
            other => Err(broken(&format!("its shape is {other:?}, not [K, {height}, {width}, 4]"))),
        }
    }

    /// The weights after the last epoch, or after the one that did best on the test pictures.
    ///
    /// # Errors
    /// [`CommandError::Model`].
    pub fn weights(&self, best: bool) -> Result<(Weights, Metadata), CommandError> {
        let path = self.file(if best { "best.safetensors" } else { "model.safetensors" });
        if best && !path.exists() {
            return Err(fail(&path, "there is none, since the run ended in its first epoch; leave --best away"));
        }
        Ok(Weights::load(&path)?)
    }
}
