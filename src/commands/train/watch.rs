//! Whether the pictures on disk are still those that the run has read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// When and how large a file is; a folder changes when files come and go.
type Stamp = Option<(u64, SystemTime)>;

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?))
}

/// The pictures and their folders, as they were when the run began to read them.
pub(super) struct Watch(Vec<(PathBuf, Stamp)>);

impl Watch {
    /// Notes what they are like.
    pub fn new<'a>(pictures: impl Iterator<Item = &'a PathBuf>) -> Watch {
        let mut all = BTreeSet::new();
        for path in pictures {
            all.extend(path.parent().map(Path::to_owned));
            all.insert(path.clone());
        }
        Watch(all.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }

    /// What to tell the user of those that have changed since, or since the last call.
    pub fn changes(&mut self) -> Option<String> {
        let mut changed = Vec::new();
        for (path, then) in &mut self.0 {
            let now = stamp(path);
            if now != *then {
                changed.push((path.display().to_string(), if now.is_some() { "has changed" } else { "has gone" }));
                *then = now;
            }
        }
        // A folder changes with its files: they say more.
        let (first, what) = changed.iter().max_by_key(|(path, _)| path.len())?;
        let others = if changed.len() > 1 { " (and more)" } else { "" };
        Some(format!(
            "{first} {what} on disk{others}. This run keeps to the pictures as it read them; --resume would compare them, and \
             refuse others"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_added_and_removed_pictures_are_named_once() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let files = ["a.png", "b.png"].map(|name| root.path().join(name));
        files.iter().for_each(|path| std::fs::write(path, "picture").expect("written"));
        let mut watch = Watch::new(files.iter());
        assert_eq!(watch.changes(), None);
        std::fs::write(&files[0], "another").expect("written");
        std::fs::File::open(&files[0]).and_then(|f| f.set_modified(SystemTime::UNIX_EPOCH)).expect("set");
        assert!(watch.changes().is_some_and(|text| text.contains("a.png has changed")));
        assert_eq!(watch.changes(), None);
        std::fs::remove_file(&files[1]).expect("removed");
        assert!(watch.changes().is_some_and(|text| text.contains("b.png has gone")));
    }
}
