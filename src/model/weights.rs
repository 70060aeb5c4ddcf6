//! The weights of a network on the host, in Keras's layouts, and their safetensors file.

use std::collections::HashMap;
use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::spec::{ParameterSpec, Start};
use super::{ModelError, NetworkSpec};
use crate::files::read_at_most;
use crate::names::{printable, unfit_name};

/// A model of a billion parameters; no adapter known trains a larger one.
const MOST_BYTES: u64 = 4 << 30;

/// One parameter: `f32`s in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `conv1.kernel`, `dense2.bias`…
    pub name: String,
    /// Keras's shape.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

/// All parameters of a network, in the order of its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(pub Vec<Tensor>);

/// What a weights file says besides the weights: all that prediction needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The classes, in the order of the outputs.
    pub classes: Vec<String>,
    /// Input size and layers.
    pub network: NetworkSpec,
}

/// The key of the file's header under which all of it stands, as JSON.
const HEADER: &str = "glowworm";

#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    layout: String,
    #[serde(flatten)]
    metadata: Metadata,
}

/// The layouts of the tensors, said in the file for those who read it elsewhere.
const LAYOUT: &str = "Keras: convolution kernels [h,w,in,out], dense kernels [in,out], flatten in height, width, \
                      channel order; input RGB in 0..255, divided by 255";

impl Weights {
    /// Glorot's uniform start: U(−l, l), l = √(6 / (fan in + fan out)); biases zero (Glorot, Bengio 2010; Keras's
    /// default). Batch normalisation starts as the identity. The same seed gives the same weights.
    pub fn initial(spec: &NetworkSpec, seed: u64) -> Weights {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let tensors = spec.parameters().into_iter().map(|p| {
            let data = match (p.start, p.layout.fans()) {
                (Start::Glorot, Some((fan_in, fan_out))) => {
                    let limit = (6.0 / (fan_in + fan_out) as f64).sqrt();
                    // 2⁻³²: a whole u32 becomes a number in [0, 1).
                    let mut uniform = || (f64::from(random.next_u32()) * 2f64.powi(-31) - 1.0) * limit;
                    (0..p.layout.len()).map(|_| uniform() as f32).collect()
                }
                (start, _) => vec![if start == Start::Ones { 1.0 } else { 0.0 }; p.layout.len()],
            };
            Tensor { name: p.name, shape: p.layout.shape(), data }
        });
        Weights(tensors.collect())
    }

    /// Whether every number is finite.
    pub fn are_finite(&self) -> bool {
        self.0.iter().all(|tensor| tensor.data.iter().all(|value| value.is_finite()))
    }

    /// Holds names and shapes against a network.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first that differs.
    pub fn check(&self, spec: &NetworkSpec) -> Result<(), ModelError> {
        self.check_those(spec, |_| true)
    }

    /// The same for what an optimiser keeps of the parameters that it changes: there is nothing of running statistics.
    ///
    /// # Errors
    /// As [`Weights::check`].
    pub fn check_state(&self, spec: &NetworkSpec) -> Result<(), ModelError> {
        self.check_those(spec, |parameter| parameter.learned)
    }

    fn check_those(&self, spec: &NetworkSpec, which: impl Fn(&ParameterSpec) -> bool) -> Result<(), ModelError> {
        spec.check()?;
        for parameter in spec.parameters().into_iter().filter(which) {
            let expected = parameter.layout.shape();
            let found = match self.0.iter().find(|t| t.name == parameter.name) {
                Some(tensor) if tensor.shape == expected && tensor.data.len() == parameter.layout.len() => continue,
                Some(tensor) => format!("it has shape {:?}", tensor.shape),
                None => "it is missing".to_owned(),
            };
            return Err(ModelError::Weights { name: parameter.name, expected, found });
        }
        Ok(())
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// [`ModelError::File`].
    pub fn save(&self, metadata: &Metadata, path: &Path) -> Result<(), ModelError> {
        let fail = |reason: String| ModelError::File { path: path.to_owned(), reason };
        let views = self.0.iter().map(|t| {
            TensorView::new(Dtype::F32, t.shape.clone(), bytemuck::cast_slice(&t.data)).map(|v| (t.name.clone(), v))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| fail(e.to_string()))?;
        // One entry, for the order of several would differ from run to run and with it the file's bytes.
        let about = About { format: 2, layout: LAYOUT.to_owned(), metadata: metadata.clone() };
        let about = serde_json::to_string(&about).map_err(|e| fail(e.to_string()))?;
        let header = HashMap::from([(HEADER.to_owned(), about)]);
        let bytes = safetensors::serialize(views, Some(header)).map_err(|e| fail(e.to_string()))?;
        crate::files::write_atomically(path, &bytes).map_err(|e| fail(format!("it could not be written: {e}")))
    }

    /// Reads a file that [`Weights::save`] wrote, and checks it against the network that it names.
    ///
    /// # Errors
    /// [`ModelError::File`], [`ModelError::Spec`], [`ModelError::Weights`].
    pub fn load(path: &Path) -> Result<(Weights, Metadata), ModelError> {
        let fail = |reason: String| ModelError::File { path: path.to_owned(), reason };
        let bytes = read_at_most(path, MOST_BYTES).map_err(|e| fail(format!("it could not be read: {e}")))?;
        Weights::decode(&bytes).map_err(|e| fail(format!("it is not a model that glowworm wrote: {e}")))
    }

    /// The same from the file's bytes. Class names that could not be those of folders are refused, whatever wrote them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<(Weights, Metadata), String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let about = header.metadata().as_ref().and_then(|m| m.get(HEADER));
        let about = about.ok_or_else(|| format!("its header has no \"{HEADER}\""))?;
        let About { metadata, .. } = serde_json::from_str(about).map_err(|e| e.to_string())?;
        metadata.check()?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut tensors = Vec::new();
        for (name, view) in file.tensors() {
            if view.dtype() == Dtype::F32 {
                let data = bytemuck::pod_collect_to_vec(view.data());
                tensors.push(Tensor { name, shape: view.shape().to_vec(), data });
            }
        }
        let weights = Weights(tensors);
        weights.check(&metadata.network).map_err(|e| e.to_string())?;
        if !weights.are_finite() {
            return Err("some of its weights are not finite numbers".to_owned());
        }
        Ok((weights, metadata))
    }
}

impl Metadata {
    fn check(&self) -> Result<(), String> {
        self.network.check().map_err(|e| e.to_string())?;
        if self.classes.len() != self.network.classes as usize {
            return Err("the number of class names differs from the number of outputs".to_owned());
        }
        match self.classes.iter().find_map(|name| Some((name, unfit_name(name)?))) {
            Some((name, reason)) => Err(format!("it calls a class \"{}\": {reason}", printable(name))),
            None => Ok(()),
        }
    }
}
