//! Files written whole or not at all, and read within bounds.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const PARTIAL: &str = ".partial";

/// What the file system said of a file to be written, and where it helps, what to do.
fn explained(error: Error) -> Error {
    let help = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or use another disk",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => "choose a folder that can be written",
        ErrorKind::NotFound => "its folder has gone; was it deleted or moved?",
        _ => return error,
    };
    Error::new(error.kind(), format!("{error}; {help}"))
}

/// Makes renames in `path`'s folder last through a loss of power, where the system can say so of folders.
pub fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Windows opens no folders; there is nothing else to do then.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// A file under a temporary name, in the making; it is gone again unless it is put in its place.
pub struct Unfinished {
    file: File,
    written: Written,
}

impl Unfinished {
    /// Begins one beside `path`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn begin(path: &Path) -> std::io::Result<Unfinished> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}{PARTIAL}", std::process::id()));
        // Left by a process that had this number before. What a link points to is never written.
        let _ = std::fs::remove_file(&temporary);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(explained)?;
        Ok(Unfinished { file, written: Written { temporary, path: path.to_owned() } })
    }

    /// Makes it last.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> std::io::Result<Written> {
        self.file.sync_all().map_err(explained)?;
        Ok(self.written)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes).map_err(explained)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush().map_err(explained)
    }
}

impl Seek for Unfinished {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to).map_err(explained)
    }
}

/// A file that was written and synced under a temporary name, and is not yet what it is to be.
pub struct Written {
    temporary: PathBuf,
    path: PathBuf,
}

impl Written {
    /// Writes beside `path`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(path: &Path, bytes: &[u8]) -> std::io::Result<Written> {
        let mut file = Unfinished::begin(path)?;
        file.write_all(bytes)?;
        file.finish()
    }

    /// Takes the place of whatever `path` was.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(self) -> std::io::Result<()> {
        std::fs::rename(&self.temporary, &self.path).map_err(explained)?;
        sync_folder_of(&self.path);
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Gone already where the file took its place; otherwise it is ours and of no use.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Writes to a temporary name in the same folder, syncs, then renames: whatever happens, `path` holds either what it
/// held before or all of `bytes`.
///
/// # Errors
/// What the file system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    Written::new(path, bytes)?.put()
}

/// Removes what a killed process left half-written in `folder`. Only for a folder that no other process writes to.
pub fn remove_leftovers(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(PARTIAL) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Opens a file of at most `most` bytes. Pipes and devices, which may have no end or never begin, are refused.
///
/// # Errors
/// What the file system says; [`ErrorKind::FileTooLarge`], [`ErrorKind::InvalidInput`].
pub fn open_at_most(path: &Path, most: u64) -> std::io::Result<File> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    if about.len() > most { Err(too_large(most)) } else { File::open(path) }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} bytes"))
}

/// Reads a file that [`open_at_most`] opens.
///
/// # Errors
/// As [`open_at_most`].
pub fn read_at_most(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = open_at_most(path, most)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(most) as usize);
    // The file may grow meanwhile.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// The same for text.
///
/// # Errors
/// As [`read_at_most`]; [`ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_text_at_most(path: &Path, most: u64) -> std::io::Result<String> {
    String::from_utf8(read_at_most(path, most)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_else() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("a.txt");
        write_atomically(&path, b"before").expect("written");
        // A rename onto a folder that is not empty fails.
        let taken = root.path().join("taken");
        std::fs::create_dir_all(taken.join("inside")).expect("made");
        assert!(write_atomically(&taken, b"after").is_err());
        drop(Written::new(&path, b"after").expect("written"));
        assert_eq!(std::fs::read(&path).expect("read"), b"before");
        assert_eq!(root.path().read_dir().expect("read").count(), 2);
        std::fs::write(root.path().join(".a.txt.77.partial"), "half").expect("written");
        remove_leftovers(root.path());
        assert_eq!(root.path().read_dir().expect("read").count(), 2);
    }

    #[test]
    fn reading_is_bounded() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("a.txt");
        std::fs::write(&path, "12345").expect("written");
        assert_eq!(read_text_at_most(&path, 5).expect("read"), "12345");
        assert_eq!(read_at_most(&path, 4).expect_err("too large").kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_at_most(root.path(), 4).expect_err("a folder").kind(), ErrorKind::InvalidInput);
        #[cfg(unix)]
        assert_eq!(read_at_most(Path::new("/dev/zero"), 4).expect_err("endless").kind(), ErrorKind::InvalidInput);
    }
}
