//! The checkpoints of a run: the last one, and the one before it, in case the last is found damaged.

use std::path::{Path, PathBuf};

use super::{RunFolder, fail};
use crate::commands::CommandError;
use crate::files::{open_at_most, sync_folder_of};
use crate::model::{Held, NetworkSpec, Numbers, Untaken};
use crate::training::{Checkpoint, State};

const NAMES: [&str; 2] = ["checkpoint.safetensors", "checkpoint-before.safetensors"];

/// A checkpoint holds four numbers for each parameter, and history; what is much larger is not read at all.
const MOST_OF_THE_REST: u64 = 256 << 20;

impl RunFolder {
    fn checkpoints(&self) -> [PathBuf; 2] {
        NAMES.map(|name| self.file(name))
    }

    /// Whether there is something to go on from: of a cross-validation, in its first fold.
    pub fn has_checkpoint(&self) -> bool {
        let in_fold = NAMES.map(|name| self.file("fold-1").join(name));
        self.checkpoints().iter().chain(&in_fold).any(|path| path.exists())
    }

    /// Writes a checkpoint; the last one is kept as the one before. The new one is whole on the disk before either is
    /// touched, so that a full disk costs nothing, and wherever a kill falls between the two renames, one of them is found.
    ///
    /// # Errors
    /// As [`State::write`]; [`CommandError::File`].
    pub fn write_checkpoint(
        &self,
        spec: &NetworkSpec,
        state: &State,
        parts: &[(Held, &dyn Numbers)],
    ) -> Result<(), CommandError> {
        let [path, before] = self.checkpoints();
        let new = state.write(spec, parts, &path)?;
        let refused = |e: std::io::Error| fail(&path, format!("the checkpoint cannot be written: {e}"));
        if path.exists() {
            std::fs::rename(&path, &before).map_err(refused)?;
        }
        new.put().map_err(refused)
    }

    /// Puts the last checkpoint out of the way, since the very next step showed that it was no good; the one before it is
    /// then the last.
    ///
    /// # Errors
    /// [`CommandError::File`].
    pub fn reject_last_checkpoint(&self) -> Result<(), CommandError> {
        let [path, _] = self.checkpoints();
        if path.exists() { put_aside(&path, "diverged").map(|_| ()) } else { Ok(()) }
    }

    /// The last checkpoint that is whole, if the run came to write one, and what to tell the user of one that is not and was
    /// put aside. Only for the holder of the lock.
    ///
    /// # Errors
    /// [`CommandError::File`] if a file cannot be read, or none of those there is whole: the run would begin anew, over a
    /// model that may have learnt for hours.
    pub fn checkpoint(&self, spec: &NetworkSpec) -> Result<(Option<Checkpoint>, Vec<String>), CommandError> {
        let parameters: u64 = spec.parameters().iter().map(|p| p.layout.len() as u64).sum();
        let most = 4 * 4 * parameters + MOST_OF_THE_REST;
        let mut damaged: Vec<(PathBuf, String)> = Vec::new();
        for path in self.checkpoints() {
            let found = match open_at_most(&path, most) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == std::io::ErrorKind::FileTooLarge => Err(format!("it is foreign: {e}")),
                Err(e) => return Err(fail(&path, format!("it cannot be read: {e}"))),
                // A disk that fails now may give it later: it stays where it is.
                Ok(file) => match Checkpoint::read(file, &path, spec) {
                    Err(unread @ Untaken::Unread(_)) => return Err(fail(&path, unread.to_string())),
                    Err(Untaken::Damaged(reason)) => Err(reason),
                    Ok(checkpoint) => Ok(checkpoint),
                },
            };
            match found {
                Ok(checkpoint) => {
                    let note = |(path, reason): (PathBuf, String)| {
                        let name = put_aside(&path, "damaged")?;
                        let path = path.display();
                        Ok(format!("{path}: {reason}; it is now called {name}, and what came before it is used"))
                    };
                    return Ok((Some(checkpoint), damaged.into_iter().map(note).collect::<Result<_, CommandError>>()?));
                }
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

/// Renames a checkpoint, lest it take the place of a good one when the next is written; gives its new name.
fn put_aside(path: &Path, extension: &str) -> Result<String, CommandError> {
    let aside = path.with_extension(extension);
    std::fs::rename(path, &aside).map_err(|e| fail(path, format!("it cannot be renamed: {e}")))?;
    sync_folder_of(path);
    Ok(aside.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layer, Weights};
    use crate::training::Position;

    fn spec() -> NetworkSpec {
        let layers = vec![Layer::conv(2), Layer::Relu, Layer::max_pool(), Layer::Flatten, Layer::Softmax];
        NetworkSpec { height: 2, width: 2, classes: 2, layers }
    }

    fn write(run: &RunFolder, step: u64) {
        let weights = Weights::initial(&spec(), step);
        let position = Position { step, ..Position::default() };
        let state = State { position, about: serde_json::json!({ "history": [] }) };
        run.write_checkpoint(&spec(), &state, &[(Held::Weights, &weights), (Held::First, &weights)]).expect("written");
    }

    /// A run folder with checkpoints of steps 1 and 2.
    fn run() -> (tempfile::TempDir, RunFolder) {
        let root = tempfile::tempdir().expect("a temporary folder");
        let run = RunFolder(root.path().to_owned());
        [1, 2].into_iter().for_each(|step| write(&run, step));
        (root, run)
    }

    fn found(run: &RunFolder) -> Result<Option<u64>, CommandError> {
        Ok(run.checkpoint(&spec())?.0.map(|c| c.state.position.step))
    }

    #[test]
    fn wherever_the_last_is_torn_the_one_before_is_found() {
        let (_root, sample) = run();
        let length = std::fs::read(&sample.checkpoints()[0]).expect("read").len();
        let mut places: Vec<usize> = (0..length).step_by(length / 60).collect();
        places.extend([1, 7, 8, 9, length - 1]);
        for place in places {
            for tear in [|bytes: &mut Vec<u8>, at| bytes.truncate(at), |bytes: &mut Vec<u8>, at| bytes[at..].fill(0xff)]
            {
                let (_root, run) = run();
                let [path, before] = run.checkpoints();
                let mut bytes = std::fs::read(&path).expect("read");
                tear(&mut bytes, place);
                std::fs::write(&path, bytes).expect("written");
                assert_eq!(found(&run).expect("the one before"), Some(1), "torn at {place} of {length}");
                // The next does not put the torn one in the place of the whole one.
                write(&run, 3);
                assert_eq!(found(&run).expect("the new one"), Some(3));
                assert!(before.exists() && path.with_extension("damaged").exists());
            }
        }
    }

    #[test]
    fn a_kill_between_two_renames_and_a_loss_of_either_leave_one() {
        let (_root, folder) = run();
        let [path, before] = folder.checkpoints();
        std::fs::rename(&path, &before).expect("renamed");
        std::fs::write(folder.file(".checkpoint.safetensors.77.partial"), "half").expect("written");
        assert_eq!(found(&folder).expect("the one before"), Some(2));
        let (_root, folder) = run();
        let [path, before] = folder.checkpoints();
        std::fs::write(&before, "torn").expect("written");
        assert_eq!(found(&folder).expect("the last"), Some(2));
        folder.reject_last_checkpoint().expect("renamed");
        assert!(found(&folder).is_err(), "nothing whole is left");
        assert!(before.exists(), "what is damaged stays where it is unless something better is found");
        std::fs::write(&before, "").expect("written");
        std::fs::write(&path, "").expect("written");
        assert!(found(&folder).is_err());
    }
}
