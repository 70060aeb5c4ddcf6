//! The file of a trained network: its weights in Keras's layouts, with all that prediction needs in the header.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::Piece;
use super::numbers::{Numbers, check};
use super::spec::ParameterSpec;
use super::tensor_file::{Entry, TensorFile, Tensors};
use super::{ModelError, NetworkSpec};
use crate::files::open_at_most;
use crate::names::{printable, unfit_name};

/// A model of a billion parameters; no adapter known trains a larger one.
const MOST_BYTES: u64 = 4 << 30;

/// What the file says besides the weights: all that prediction needs.
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

impl Metadata {
    /// Writes a safetensors file with these weights, whole or not at all.
    ///
    /// # Errors
    /// [`ModelError::File`]; [`ModelError::NotFinite`]; what reading the weights says.
    pub fn save(&self, weights: &dyn Numbers, path: &Path) -> Result<(), ModelError> {
        check(weights, &self.network, false)?;
        let about = About { format: 2, layout: LAYOUT.to_owned(), metadata: self.clone() };
        let text = |_| serde_json::to_string(&about);
        let written = Tensors::new(&self.network, vec![("", weights)])
            .write(path, &Entry { key: HEADER, summed: &[], text: &text });
        let fail = |e| ModelError::File { path: path.to_owned(), reason: format!("it cannot be written: {e}") };
        written?.put().map_err(fail)
    }

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

/// An open file that [`Metadata::save`] wrote: it has all weights of the network that it names, and they are finite.
pub struct ModelFile {
    /// What it says of itself.
    pub metadata: Metadata,
    file: TensorFile,
}

impl ModelFile {
    /// Opens it.
    ///
    /// # Errors
    /// [`ModelError::File`].
    pub fn open(path: &Path) -> Result<ModelFile, ModelError> {
        let fail = |reason: String| ModelError::File { path: path.to_owned(), reason };
        let file = open_at_most(path, MOST_BYTES).map_err(|e| fail(format!("it could not be read: {e}")))?;
        let file = TensorFile::new(file, path).map_err(|e| e.to_string()).and_then(ModelFile::of);
        file.map_err(|e| fail(format!("it is not a model that glowworm wrote: {e}")))
    }

    /// The same from the file's bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of_bytes(bytes: &[u8]) -> Result<ModelFile, String> {
        ModelFile::of(TensorFile::of_bytes(bytes).map_err(|e| e.to_string())?)
    }

    /// Class names that could not be those of folders are refused, whatever wrote them.
    fn of(file: TensorFile) -> Result<ModelFile, String> {
        let about = file.about(HEADER).ok_or_else(|| format!("its header has no \"{HEADER}\""))?;
        let About { metadata, .. } = serde_json::from_str(about).map_err(|e| e.to_string())?;
        metadata.check()?;
        let weights = file.part("");
        check(&weights, &metadata.network, false).map_err(|e| e.to_string())?;
        for parameter in metadata.network.parameters() {
            for piece in parameter.layout.pieces() {
                let numbers = weights.piece(&parameter, &piece).map_err(|e| e.to_string())?;
                if !numbers.iter().all(|number| number.is_finite()) {
                    return Err("some of its weights are not finite numbers".to_owned());
                }
            }
        }
        Ok(ModelFile { metadata, file })
    }
}

impl Numbers for ModelFile {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.file.part("").shape(name)
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        self.file.part("").piece(parameter, piece)
    }
}
