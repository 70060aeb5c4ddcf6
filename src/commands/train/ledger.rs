//! Which pictures a run learns from and is measured on: noted at its start, held against what a resumed run finds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::commands::{CommandError, RunFolder};
use crate::data::Pixels;
use crate::files::{read_text_at_most, write_atomically};

const FILE: &str = "pictures.json";
/// Some hundred bytes a picture.
const MOST: u64 = 1 << 30;

/// One picture: its file, and a checksum of what the network sees of it, so that a change is found whatever its date says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    file: String,
    label: u32,
    crc32: u32,
}

/// All pictures of a run, in order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    train: Vec<Entry>,
    test: Vec<Entry>,
}

fn entries(folder: &Path, pixels: &Pixels) -> Vec<Entry> {
    let size = pixels.bytes.len() / pixels.labels.len().max(1);
    let pictures = pixels.paths.iter().zip(&pixels.labels).zip(pixels.bytes.chunks_exact(size.max(1)));
    pictures
        .map(|((path, label), bytes)| Entry {
            file: path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned(),
            label: *label,
            crc32: crc32fast::hash(bytes),
        })
        .collect()
}

impl Ledger {
    pub fn new(folder: &Path, train: &Pixels, test: &Pixels) -> Ledger {
        Ledger { train: entries(folder, train), test: entries(folder, test) }
    }

    pub fn write(&self, run: &RunFolder) -> Result<(), CommandError> {
        let path = run.file(FILE);
        let fail = |e: &dyn std::fmt::Display| CommandError::File {
            path: path.clone(),
            reason: format!("it cannot be written: {e}"),
        };
        let text = serde_json::to_string(self).map_err(|e| fail(&e))?;
        write_atomically(&path, text.as_bytes()).map_err(|e| fail(&e))
    }

    /// Holds the pictures of today against those of the run's start.
    ///
    /// # Errors
    /// [`CommandError::File`] that names the first picture that differs.
    pub fn check(&self, run: &RunFolder, folder: &Path) -> Result<(), CommandError> {
        let path = run.file(FILE);
        let text = read_text_at_most(&path, MOST);
        let then: Ledger = text
            .map_err(|e| e.to_string())
            .and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()))
            .map_err(|e| CommandError::File { path, reason: format!("it is not a run's list of pictures: {e}") })?;
        for (then, now) in [(&then.train, &self.train), (&then.test, &self.test)] {
            if let Some((file, what)) = difference(then, now) {
                let reason = format!(
                    "it {what} since the run began; a resumed run would end with other weights. Put the picture back, or \
                     train anew"
                );
                return Err(CommandError::File { path: folder.join(file), reason });
            }
        }
        Ok(())
    }
}

/// Pictures that the run learns from, if its list of them can be read.
pub(in crate::commands) fn count_trained(run: &RunFolder) -> Option<usize> {
    let text = read_text_at_most(&run.file(FILE), MOST).ok()?;
    serde_json::from_str::<Ledger>(&text).ok().map(|ledger| ledger.train.len())
}

/// The first file that differs, and how.
fn difference<'a>(then: &'a [Entry], now: &'a [Entry]) -> Option<(&'a str, &'static str)> {
    let find = |list: &'a [Entry], file: &str| list.iter().find(|e| e.file == file);
    if then == now {
        return None;
    }
    let gone = then.iter().find(|e| find(now, &e.file).is_none()).map(|e| (e.file.as_str(), "has gone"));
    let added = || now.iter().find(|e| find(then, &e.file).is_none()).map(|e| (e.file.as_str(), "was added"));
    let changed = || then.iter().zip(now).find(|(a, b)| a != b).map(|(a, _)| (a.file.as_str(), "has changed"));
    gone.or_else(added).or_else(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let list = |files: &[(&str, u32)]| -> Vec<Entry> {
            files.iter().map(|(file, crc32)| Entry { file: (*file).to_owned(), label: 0, crc32: *crc32 }).collect()
        };
        let then = list(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&then, &list(&[("a", 1), ("b", 2)])), None);
        assert_eq!(difference(&then, &list(&[("a", 1)])), Some(("b", "has gone")));
        assert_eq!(difference(&then, &list(&[("a", 1), ("aa", 1), ("b", 2)])), Some(("aa", "was added")));
        assert_eq!(difference(&then, &list(&[("a", 1), ("b", 3)])), Some(("b", "has changed")));
    }
}
