//! The weights of a network on the host, in Keras's layouts.

use std::path::Path;

use super::layout::Piece;
use super::model_file::{Metadata, ModelFile};
use super::numbers::{Initial, Numbers, misfit};
use super::spec::ParameterSpec;
use super::{ModelError, NetworkSpec};

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

impl Weights {
    /// Those of `spec` that `numbers` have, whole.
    ///
    /// # Errors
    /// What reading them says.
    pub fn of(spec: &NetworkSpec, numbers: &dyn Numbers) -> Result<Weights, ModelError> {
        let there = spec.parameters().into_iter().filter(|parameter| numbers.shape(&parameter.name).is_some());
        let tensors = there.map(|parameter| {
            let mut data = Vec::with_capacity(parameter.layout.len());
            for piece in parameter.layout.pieces() {
                data.extend(numbers.piece(&parameter, &piece)?);
            }
            Ok(Tensor { name: parameter.name, shape: parameter.layout.shape(), data })
        });
        Ok(Weights(tensors.collect::<Result<_, ModelError>>()?))
    }

    /// The start of a network, as [`Initial`] draws it.
    pub fn initial(spec: &NetworkSpec, seed: u64) -> Weights {
        // Drawing cannot fail.
        Weights::of(spec, &Initial::new(spec, seed)).unwrap_or(Weights(Vec::new()))
    }

    /// Reads the weights of a file that [`Metadata::save`] wrote.
    ///
    /// # Errors
    /// As [`ModelFile::open`].
    pub fn load(path: &Path) -> Result<(Weights, Metadata), ModelError> {
        let file = ModelFile::open(path)?;
        Ok((Weights::of(&file.metadata.network, &file)?, file.metadata))
    }
}

impl Numbers for Weights {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.iter().find(|tensor| tensor.name == name).map(|tensor| tensor.shape.clone())
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let tensor = self.0.iter().find(|tensor| tensor.name == parameter.name);
        let numbers = tensor.and_then(|tensor| tensor.data.get(piece.keras()));
        Ok(numbers.ok_or_else(|| misfit(self, parameter))?.to_vec())
    }
}
