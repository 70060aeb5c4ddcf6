//! Everything that the next step of a training depends on, as one file: weights, their average, the optimiser's states, the
//! place in the epoch. Order, augmentation and dropout are drawn from (seed, epoch, step), and so need no state of their own.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::Position;
use crate::model::{NetworkSpec, OptimizerState, Tensor, Weights};

/// A training that can go on from here, and ends with the same bits as one that was never interrupted.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The place.
    pub position: Position,
    /// The parameters.
    pub weights: Weights,
    /// What the optimiser keeps of each parameter.
    pub optimizer: OptimizerState,
    /// The moving average of the parameters, where one is kept.
    pub average: Option<Weights>,
    /// What else the caller wants back.
    pub about: serde_json::Value,
}

const HEADER: &str = "glowworm checkpoint";

#[derive(Serialize, Deserialize)]
struct State {
    position: Position,
    about: serde_json::Value,
}

/// The header's one entry. The state is a text within it, so that its checksum is that of the very bytes.
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u32,
    state: String,
    crc32: u32,
}

/// Over the state and all tensors with their names, in the order of the names.
fn checksum(state: &str, mut tensors: Vec<(String, &[u8])>) -> u32 {
    tensors.sort();
    let mut sum = crc32fast::Hasher::new();
    sum.update(state.as_bytes());
    for (name, bytes) in tensors {
        sum.update(name.as_bytes());
        sum.update(bytes);
    }
    sum.finalize()
}

impl Checkpoint {
    /// The file's bytes: safetensors, with a checksum in the header.
    ///
    /// # Errors
    /// What the encoders say; there is no such case for a checkpoint of a network.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut views = Vec::new();
        for (part, weights) in self.parts() {
            for tensor in &weights.0 {
                let bytes = bytemuck::cast_slice(&tensor.data);
                let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map_err(|e| e.to_string())?;
                views.push((format!("{part}/{}", tensor.name), view));
            }
        }
        let state = State { position: self.position.clone(), about: self.about.clone() };
        let state = serde_json::to_string(&state).map_err(|e| e.to_string())?;
        let crc32 = checksum(&state, views.iter().map(|(name, view)| (name.clone(), view.data())).collect());
        let envelope = serde_json::to_string(&Envelope { format: 1, state, crc32 }).map_err(|e| e.to_string())?;
        let header = HashMap::from([(HEADER.to_owned(), envelope)]);
        safetensors::serialize(views, Some(header)).map_err(|e| e.to_string())
    }

    fn parts(&self) -> Vec<(&'static str, &Weights)> {
        let states = [("first", &self.optimizer.first), ("second", &self.optimizer.second), ("average", &self.average)];
        let states = states.into_iter().filter_map(|(part, weights)| Some((part, weights.as_ref()?)));
        [("weights", &self.weights)].into_iter().chain(states).collect()
    }

    /// Reads what [`Checkpoint::encode`] wrote for a network of this description.
    ///
    /// # Errors
    /// What is wrong with the file: torn, changed, foreign, or of another network.
    pub fn decode(bytes: &[u8], spec: &NetworkSpec) -> Result<Checkpoint, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| format!("it is torn or foreign: {e}"))?;
        let envelope = header.metadata().as_ref().and_then(|m| m.get(HEADER));
        let envelope = envelope.ok_or("it is a safetensors file, but not a checkpoint")?;
        let Envelope { format, state, crc32 } = serde_json::from_str(envelope).map_err(|e| e.to_string())?;
        if format != 1 {
            return Err(format!("its format is {format}, and this version of glowworm knows 1"));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("it is torn: {e}"))?;
        let tensors = file.tensors();
        let found = checksum(&state, tensors.iter().map(|(name, view)| (name.clone(), view.data())).collect());
        // A fuzzer would never get past it.
        if found != crc32 && !cfg!(fuzzing) {
            return Err(format!("it is damaged: its checksum is {found:08x}, not {crc32:08x}"));
        }
        let State { position, about } = serde_json::from_str(&state).map_err(|e| e.to_string())?;
        let part = |part: &str| {
            let own = tensors.iter().filter_map(|(name, view)| {
                let name = name.strip_prefix(part)?.strip_prefix('/')?.to_owned();
                let data = (view.dtype() == Dtype::F32).then(|| bytemuck::pod_collect_to_vec(view.data()))?;
                Some(Tensor { name, shape: view.shape().to_vec(), data })
            });
            let weights = Weights(own.collect());
            let checked = match part {
                _ if weights.0.is_empty() => return Ok(None),
                "first" | "second" => weights.check_state(spec),
                _ => weights.check(spec),
            };
            checked.map(|()| Some(weights)).map_err(|e| e.to_string())
        };
        let weights = part("weights")?.ok_or("it holds no weights")?;
        Ok(Checkpoint {
            position,
            weights,
            optimizer: OptimizerState { first: part("first")?, second: part("second")? },
            average: part("average")?,
            about,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (NetworkSpec, Checkpoint) {
        let spec = NetworkSpec::reference(8, 8, 2);
        let weights = Weights::initial(&spec, 3);
        let optimizer = OptimizerState { first: Some(Weights::initial(&spec, 4)), second: None };
        let about = serde_json::json!({ "history": [0.1f64, 1.0 / 3.0] });
        let average = Some(Weights::initial(&spec, 5));
        (spec, Checkpoint { position: Position::default(), weights, optimizer, average, about })
    }

    #[test]
    fn what_was_written_comes_back_whole() {
        let (spec, mut checkpoint) = sample();
        let back = Checkpoint::decode(&checkpoint.encode().expect("encoded"), &spec).expect("decoded");
        // The file's order of tensors is its own.
        let sorted = |weights: &mut Weights| weights.0.sort_by(|a, b| a.name.cmp(&b.name));
        let mut back = back;
        for c in [&mut back, &mut checkpoint] {
            sorted(&mut c.weights);
            c.optimizer.first.iter_mut().chain(&mut c.average).for_each(sorted);
        }
        assert_eq!(back, checkpoint);
    }

    #[test]
    fn every_kind_of_damage_is_recognised() {
        let (spec, checkpoint) = sample();
        let whole = checkpoint.encode().expect("encoded");
        for length in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
            assert!(Checkpoint::decode(&whole[..length], &spec).is_err(), "cut to {length} bytes");
        }
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight")) as usize;
        for place in [0, 3, 8, 20, header / 2, header - 30, header, header + 1, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            assert!(Checkpoint::decode(&changed, &spec).is_err(), "byte {place} of {} changed", whole.len());
        }
        let other = NetworkSpec::reference(16, 16, 2);
        assert!(Checkpoint::decode(&whole, &other).is_err_and(|e| e.contains("dense1")));
        let claim = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
        assert!(Checkpoint::decode(&claim, &spec).is_err());
    }
}
