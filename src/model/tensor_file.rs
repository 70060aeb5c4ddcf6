//! Safetensors files, read and written piece by piece.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::layout::Piece;
use super::numbers::{Numbers, misfit};
use super::spec::ParameterSpec;
use super::{ModelError, NetworkSpec};
use crate::files::{Unfinished, Written};

/// Bytes of the length that begins the file; the header ends at a multiple of it.
const LENGTH: u64 = 8;
/// As safetensors itself has it.
const MOST_OF_HEADER: u64 = 100_000_000;
/// Bytes that are read at once where all are read.
const CHUNK: usize = 1 << 20;

/// Why a file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// It could not be read now; it may be whole.
    #[error("it cannot be read: {0}")]
    Unread(Error),
    /// It is torn, changed or foreign.
    #[error("{0}")]
    Damaged(String),
}

impl From<Error> for Untaken {
    fn from(error: Error) -> Untaken {
        match error.kind() {
            ErrorKind::UnexpectedEof => Untaken::Damaged("it ends before its tensors do".to_owned()),
            _ => Untaken::Unread(error),
        }
    }
}

impl From<&str> for Untaken {
    fn from(reason: &str) -> Untaken {
        Untaken::Damaged(reason.to_owned())
    }
}

trait Source: Read + Seek {}
impl<S: Read + Seek> Source for S {}

/// An open file whose header is whole and fits its size.
pub struct TensorFile {
    path: PathBuf,
    source: RefCell<Box<dyn Source>>,
    header: Metadata,
    /// Where the tensors begin.
    data: u64,
}

impl TensorFile {
    /// Takes an open file; `path` is for messages.
    ///
    /// # Errors
    /// [`Untaken`].
    pub fn new(file: File, path: &Path) -> Result<TensorFile, Untaken> {
        TensorFile::of(Box::new(file), path)
    }

    /// The same of the file's bytes.
    ///
    /// # Errors
    /// As [`TensorFile::new`].
    pub fn of_bytes(bytes: &[u8]) -> Result<TensorFile, Untaken> {
        TensorFile::of(Box::new(Cursor::new(bytes.to_vec())), Path::new("the file"))
    }

    fn of(mut source: Box<dyn Source>, path: &Path) -> Result<TensorFile, Untaken> {
        let size = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let rest = size.checked_sub(LENGTH).ok_or("it is too short for a header")?;
        let mut length = [0; LENGTH as usize];
        source.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MOST_OF_HEADER.min(rest) {
            return Err(Untaken::Damaged(format!("it claims a header of {length} bytes")));
        }
        let mut header = vec![0; length as usize];
        source.read_exact(&mut header)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|e| Untaken::Damaged(format!("its header makes no sense: {e}")))?;
        let expected = header.data_len() as u64;
        if expected != rest - length {
            let takes = rest - length;
            return Err(Untaken::Damaged(format!("its tensors take {takes} bytes, where its header says {expected}")));
        }
        Ok(TensorFile { path: path.to_owned(), source: RefCell::new(source), header, data: LENGTH + length })
    }

    /// What the header says under `key`.
    pub fn about(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The tensors whose names begin with `prefix`.
    pub fn part(&self, prefix: &'static str) -> Part<'_> {
        Part { file: self, prefix }
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort();
        names
    }

    /// Calls `look` with all bytes of a tensor, some at a time.
    ///
    /// # Errors
    /// [`Untaken`].
    pub fn read(&self, name: &str, mut look: impl FnMut(&[u8])) -> Result<(), Untaken> {
        let (from, to) = self.header.info(name).map_or((0, 0), |info| info.data_offsets);
        let mut bytes = vec![0; CHUNK.min(to - from)];
        for at in (from..to).step_by(CHUNK) {
            let some = CHUNK.min(to - at);
            self.read_at(at, &mut bytes[..some])?;
            look(&bytes[..some]);
        }
        Ok(())
    }

    fn read_at(&self, at: usize, bytes: &mut [u8]) -> std::io::Result<()> {
        let mut source = self.source.borrow_mut();
        source.seek(SeekFrom::Start(self.data + at as u64))?;
        source.read_exact(bytes)
    }

    fn floats(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name).filter(|info| info.dtype == Dtype::F32)
    }
}

/// Some tensors of a file, without the beginning of their names.
pub struct Part<'a> {
    file: &'a TensorFile,
    prefix: &'static str,
}

impl Part<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        !self.file.header.offset_keys().iter().any(|name| name.starts_with(self.prefix))
    }
}

impl Numbers for Part<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.file.floats(&format!("{}{name}", self.prefix)).map(|info| info.shape.clone())
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let name = format!("{}{}", self.prefix, parameter.name);
        let info = self.file.floats(&name).filter(|info| info.shape == parameter.layout.shape());
        let info = info.ok_or_else(|| misfit(self, parameter))?;
        let mut numbers = vec![0.0f32; piece.keras().len()];
        let at = info.data_offsets.0 + 4 * piece.keras().start;
        self.file.read_at(at, bytemuck::cast_slice_mut(&mut numbers)).map_err(|e| ModelError::File {
            path: self.file.path.clone(),
            reason: format!("it cannot be read: {e}"),
        })?;
        Ok(numbers)
    }
}

/// Tensors to be written.
pub struct Tensors<'a> {
    network: &'a NetworkSpec,
    /// The beginning of their names, and their numbers.
    parts: Vec<(&'static str, &'a dyn Numbers)>,
}

/// The header's one entry: several would stand in another order from run to run.
pub struct Entry<'a> {
    /// Its key.
    pub key: &'static str,
    /// What the checksum begins with, before the names and bytes of all tensors, in the order of the names.
    pub summed: &'a [u8],
    /// Its text, with that checksum.
    pub text: &'a dyn Fn(u32) -> Result<String, serde_json::Error>,
}

impl<'a> Tensors<'a> {
    /// What `parts` have of the parameters of a network, each under its own beginning of names.
    pub fn new(network: &'a NetworkSpec, parts: Vec<(&'static str, &'a dyn Numbers)>) -> Tensors<'a> {
        Tensors { network, parts }
    }

    /// Writes a file beside `path`, whole and synced.
    ///
    /// # Errors
    /// [`ModelError::File`]; [`ModelError::NotFinite`]; what reading the numbers says.
    pub fn write(&self, path: &Path, entry: &Entry) -> Result<Written, ModelError> {
        let refused = |reason: String| ModelError::File { path: path.to_owned(), reason };
        let unwritten = |e: Error| refused(format!("it cannot be written: {e}"));
        let mut tensors: Vec<(String, ParameterSpec, &dyn Numbers)> = Vec::new();
        for (prefix, numbers) in &self.parts {
            let those = self.network.parameters().into_iter().filter(|p| numbers.shape(&p.name).is_some());
            tensors.extend(those.map(|p| (format!("{prefix}{}", p.name), p, *numbers)));
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let header =
            |sum: u32| header(&tensors, entry, sum).map_err(|e| refused(format!("its header cannot be written: {e}")));
        // The checksum is known at the end only; spaces stand for the digits that it may lack.
        let length = (header(u32::MAX)?.len() as u64).next_multiple_of(LENGTH);
        let mut file = Unfinished::begin(path).map_err(unwritten)?;
        file.seek(SeekFrom::Start(LENGTH + length)).map_err(unwritten)?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(entry.summed);
        for (name, parameter, numbers) in &tensors {
            sum.update(name.as_bytes());
            for piece in parameter.layout.pieces() {
                let numbers = numbers.piece(parameter, &piece)?;
                if !numbers.iter().all(|number| number.is_finite()) {
                    return Err(ModelError::NotFinite { tensor: name.clone() });
                }
                let bytes: &[u8] = bytemuck::cast_slice(&numbers);
                sum.update(bytes);
                file.write_all(bytes).map_err(unwritten)?;
            }
        }
        let mut header = header(sum.finalize())?;
        header.resize(length as usize, b' ');
        let begin = [&length.to_le_bytes()[..], &header].concat();
        file.rewind().and_then(|()| file.write_all(&begin)).and_then(|()| file.finish()).map_err(unwritten)
    }
}

fn header(
    tensors: &[(String, ParameterSpec, &dyn Numbers)],
    entry: &Entry,
    sum: u32,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut at = 0;
    let infos = tensors.iter().map(|(name, parameter, _)| {
        let (from, to) = (at, at + 4 * parameter.layout.len());
        at = to;
        let shape = parameter.layout.shape();
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape, data_offsets: (from, to) })
    });
    let about = HashMap::from([(entry.key.to_owned(), (entry.text)(sum)?)]);
    Ok(serde_json::to_vec(&Metadata::new(Some(about), infos.collect())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many reads, then only this error.
    struct Failing(Cursor<Vec<u8>>, u32, ErrorKind);

    impl Read for Failing {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or(self.2)?;
            self.0.read(bytes)
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn read_after(reads: u32, error: ErrorKind) -> Result<(), Untaken> {
        let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
        let source = Box::new(Failing(Cursor::new(bytes), reads, error));
        TensorFile::of(source, Path::new("file"))?.read("a", |_| ())
    }

    #[test]
    fn a_disk_that_fails_is_not_taken_for_a_damaged_file() {
        assert!(read_after(3, ErrorKind::Other).is_ok());
        for reads in 0..3 {
            assert!(matches!(read_after(reads, ErrorKind::Other), Err(Untaken::Unread(_))), "after {reads} reads");
            assert!(matches!(read_after(reads, ErrorKind::UnexpectedEof), Err(Untaken::Damaged(_))));
        }
    }
}
