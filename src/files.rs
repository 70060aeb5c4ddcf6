//! Writing files whole or not at all.

use std::io::Write;
use std::path::Path;

/// Makes a rename in `path`'s folder last through a loss of power, where the system can say so of folders.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Windows opens no folders; there is nothing else to do then.
    let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
}

/// Writes to a temporary name in the same folder, syncs, then renames: whatever happens, `path` holds either what it
/// held before or all of `bytes`.
///
/// # Errors
/// What the file system says.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&temporary, path)).map(|()| sync_folder(path));
    if done.is_err() {
        // The temporary file is ours; that it cannot be removed either matters less than the first error.
        let _ = std::fs::remove_file(&temporary);
    }
    done
}
