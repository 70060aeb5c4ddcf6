//! The checkpoints of a run: the last one, and the one before it, in case the last is found damaged.

use std::path::PathBuf;

use super::{RunFolder, fail};
use crate::commands::CommandError;
use crate::files::{Written, read_at_most, sync_folder_of};
use crate::model::NetworkSpec;
use crate::training::Checkpoint;

const NAMES: [&str; 2] = ["checkpoint.safetensors", "checkpoint-before.safetensors"];

/// A checkpoint holds three numbers for each parameter, and history; what is much larger is not read at all.
const MOST_OF_THE_REST: u64 = 256 << 20;

impl RunFolder {
    fn checkpoints(&self) -> [PathBuf; 2] {
        NAMES.map(|name| self.file(name))
    }

    /// Whether there is something to go on from.
    pub fn has_checkpoint(&self) -> bool {
        self.checkpoints().iter().any(|path| path.exists())
    }

    /// Writes a checkpoint; the last one is kept as the one before. The new one is whole on the disk before either is
    /// touched, so that a full disk costs nothing, and wherever a kill falls between the two renames, one of them is found.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), CommandError> {
        let [path, before] = self.checkpoints();
        let bytes = checkpoint.encode().map_err(|e| fail(&path, e))?;
        let refused = |e: std::io::Error| fail(&path, format!("the checkpoint cannot be written: {e}"));
        let new = Written::new(&path, &bytes).map_err(refused)?;
        if path.exists() {
            std::fs::rename(&path, &before).map_err(refused)?;
        }
        new.put().map_err(refused)
    }

    /// The last checkpoint that is whole, if the run came to write one, and what to tell the user of one that is not and was
    /// put aside. Only for the holder of the lock.
    ///
    /// # Errors
    /// [`CommandError::File`] if a file cannot be read, or none of those there is whole: the run would begin anew, over a
    /// model that may have learnt for hours.
    pub fn checkpoint(&self, spec: &NetworkSpec) -> Result<(Option<Checkpoint>, Vec<String>), CommandError> {
        let parameters: u64 = spec.parameters().iter().map(|p| p.layout.len() as u64).sum();
        let most = 3 * 4 * parameters + MOST_OF_THE_REST;
        let mut damaged: Vec<(PathBuf, String)> = Vec::new();
        for path in self.checkpoints() {
            let found = match read_at_most(&path, most) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == std::io::ErrorKind::FileTooLarge => Err(format!("it is foreign: {e}")),
                Err(e) => return Err(fail(&path, format!("it cannot be read: {e}"))),
                Ok(bytes) => Checkpoint::decode(&bytes, spec),
            };
            match found {
                Ok(checkpoint) => return Ok((Some(checkpoint), put_aside(damaged)?)),
                Err(reason) => damaged.push((path, reason)),
            }
        }
        match damaged.first() {
            None => Ok((None, Vec::new())),
            Some((path, reason)) => {
                let help = "no other checkpoint is whole. The models of this run are as they were; train anew, or put back \
                            a copy of a checkpoint";
                Err(fail(path, format!("{reason}; {help}")))
            }
        }
    }
}

/// Renames damaged checkpoints, lest they take the place of a whole one when the next is written.
fn put_aside(damaged: Vec<(PathBuf, String)>) -> Result<Vec<String>, CommandError> {
    let mut notes = Vec::new();
    for (path, reason) in damaged {
        let aside = path.with_extension("damaged");
        std::fs::rename(&path, &aside).map_err(|e| fail(&path, format!("it cannot be renamed: {e}")))?;
        sync_folder_of(&path);
        let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
        notes.push(format!("{}: {reason}; it is now called {name}, and what came before it is used", path.display()));
    }
    Ok(notes)
}
