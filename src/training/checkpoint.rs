//! Everything that the next step of a training depends on, as one file: weights, their average, the optimiser's states, the
//! place in the epoch. Order, augmentation and dropout are drawn from (seed, epoch, step), and so need no state of their own.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Position;
use crate::files::Written;
use crate::model::{
    Entry, FilePart, Held, ModelError, Network, NetworkSpec, Numbers, TensorFile, Tensors, Untaken, check,
};

/// What a checkpoint says besides its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The place.
    pub position: Position,
    /// What else the caller wants back.
    pub about: serde_json::Value,
}

const HEADER: &str = "glowworm checkpoint";

/// The header's one entry. The state is a text within it, so that its checksum is that of the very bytes.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    state: std::borrow::Cow<'a, str>,
    crc32: u32,
}

/// How the names of its tensors begin.
fn prefix(held: Held) -> &'static str {
    match held {
        Held::Weights => "weights/",
        Held::First => "first/",
        Held::Second => "second/",
        Held::Average => "average/",
    }
}

impl State {
    /// Writes a checkpoint of a network of this description beside `path`: safetensors, with a checksum in the header.
    ///
    /// # Errors
    /// [`ModelError::File`]; [`ModelError::NotFinite`]; what reading the numbers says.
    pub fn write(
        &self,
        spec: &NetworkSpec,
        parts: &[(Held, &dyn Numbers)],
        path: &Path,
    ) -> Result<Written, ModelError> {
        let fail = |e: serde_json::Error| ModelError::File { path: path.to_owned(), reason: e.to_string() };
        let state = serde_json::to_string(self).map_err(fail)?;
        let text = |crc32| serde_json::to_string(&Envelope { format: 1, state: state.as_str().into(), crc32 });
        let parts = parts.iter().map(|(held, numbers)| (prefix(*held), *numbers)).collect();
        Tensors::new(spec, parts).write(path, &Entry { key: HEADER, summed: state.as_bytes(), text: &text })
    }
}

/// An open checkpoint, whole: a training can go on from it, and ends with the same bits as one that was never interrupted.
pub struct Checkpoint {
    /// What it says besides its numbers.
    pub state: State,
    file: TensorFile,
}

impl Checkpoint {
    /// Takes an open file that [`State::write`] wrote for a network of this description; `path` is for messages.
    ///
    /// # Errors
    /// [`Untaken::Damaged`] if the file is torn, changed, foreign, or of another network; [`Untaken::Unread`].
    pub fn read(file: File, path: &Path, spec: &NetworkSpec) -> Result<Checkpoint, Untaken> {
        Checkpoint::of(TensorFile::new(file, path).map_err(foreign)?, spec)
    }

    /// The same from the file's bytes.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn of_bytes(bytes: &[u8], spec: &NetworkSpec) -> Result<Checkpoint, Untaken> {
        Checkpoint::of(TensorFile::of_bytes(bytes).map_err(foreign)?, spec)
    }

    fn of(file: TensorFile, spec: &NetworkSpec) -> Result<Checkpoint, Untaken> {
        let envelope = file.about(HEADER).ok_or("it is a safetensors file, but not a checkpoint")?;
        let Envelope { format, state, crc32 } =
            serde_json::from_str(envelope).map_err(|e| Untaken::Damaged(e.to_string()))?;
        if format != 1 {
            return Err(Untaken::Damaged(format!("its format is {format}, and this version of glowworm knows 1")));
        }
        // Over the state and all tensors with their names, in the order of the names.
        let mut sum = crc32fast::Hasher::new();
        sum.update(state.as_bytes());
        for name in file.names() {
            sum.update(name.as_bytes());
            file.read(&name, |bytes| sum.update(bytes))?;
        }
        let found = sum.finalize();
        // A fuzzer would never get past it.
        if found != crc32 && !cfg!(fuzzing) {
            return Err(Untaken::Damaged(format!("it is damaged: its checksum is {found:08x}, not {crc32:08x}")));
        }
        let state = serde_json::from_str(&state).map_err(|e| Untaken::Damaged(e.to_string()))?;
        let checkpoint = Checkpoint { state, file };
        checkpoint.part(Held::Weights).ok_or("it holds no weights")?;
        for (held, part) in checkpoint.parts() {
            check(&part, spec, held.is_of_optimizer()).map_err(|e| Untaken::Damaged(e.to_string()))?;
        }
        Ok(checkpoint)
    }

    /// What it holds of each parameter, if it does.
    pub fn part(&self, held: Held) -> Option<FilePart<'_>> {
        Some(self.file.part(prefix(held))).filter(|part| !part.is_empty())
    }

    /// All that it holds.
    pub fn parts(&self) -> impl Iterator<Item = (Held, FilePart<'_>)> {
        Held::ALL.into_iter().filter_map(|held| Some((held, self.part(held)?)))
    }

    /// Puts all of it into a network.
    ///
    /// # Errors
    /// As [`Network::put`].
    pub fn load_into(&self, network: &Network) -> Result<(), ModelError> {
        self.parts().try_for_each(|(held, part)| network.put(held, &part))
    }
}

fn foreign(error: Untaken) -> Untaken {
    match error {
        Untaken::Damaged(reason) => Untaken::Damaged(format!("it is torn or foreign: {reason}")),
        unread => unread,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;
    use crate::model::Weights;

    fn spec() -> NetworkSpec {
        NetworkSpec::reference(8, 8, 2)
    }

    fn state() -> State {
        State { position: Position::default(), about: serde_json::json!({ "history": [0.1f64, 1.0 / 3.0] }) }
    }

    fn parts() -> [(Held, Weights); 3] {
        [(Held::Weights, 3), (Held::First, 4), (Held::Average, 5)]
            .map(|(held, seed)| (held, Weights::initial(&spec(), seed)))
    }

    /// The bytes of a checkpoint.
    fn sample() -> Vec<u8> {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("checkpoint");
        let parts = parts();
        let parts: Vec<(Held, &dyn Numbers)> = parts.iter().map(|(held, numbers)| (*held, numbers as _)).collect();
        state().write(&spec(), &parts, &path).expect("written").put().expect("renamed");
        std::fs::read(&path).expect("read")
    }

    #[test]
    fn what_was_written_comes_back_whole() {
        let bytes = sample();
        let back = Checkpoint::of_bytes(&bytes, &spec()).expect("read");
        assert_eq!(back.state, state());
        let held: Vec<_> =
            back.parts().map(|(held, part)| (held, Weights::of(&spec(), &part).expect("read"))).collect();
        assert_eq!(held, parts());
        // Any reader of such files takes it.
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        assert_eq!(file.len(), 3 * spec().parameters().len());
    }

    #[test]
    fn numbers_that_are_not_finite_are_not_written() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut weights = Weights::initial(&spec(), 3);
        weights.0[4].data[7] = f32::NAN;
        let written = state().write(&spec(), &[(Held::First, &weights)], &root.path().join("checkpoint"));
        let error = written.err().expect("refused").to_string();
        assert!(error.contains("first/conv3.kernel holds numbers that are not finite"), "{error}");
        assert_eq!(root.path().read_dir().expect("read").count(), 0);
    }

    #[test]
    fn every_kind_of_damage_is_recognised() {
        let (whole, spec) = (sample(), spec());
        for length in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
            assert!(Checkpoint::of_bytes(&whole[..length], &spec).is_err(), "cut to {length} bytes");
        }
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight")) as usize;
        for place in [0, 3, 8, 20, header / 2, header - 30, header, header + 1, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            assert!(Checkpoint::of_bytes(&changed, &spec).is_err(), "byte {place} of {} changed", whole.len());
        }
        let other = NetworkSpec::reference(16, 16, 2);
        assert!(Checkpoint::of_bytes(&whole, &other).is_err_and(|e| e.to_string().contains("dense1")));
        let claim = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
        assert!(Checkpoint::of_bytes(&claim, &spec).is_err());
    }
}
