//! The numbers of a network's parameters, wherever they are: on the host, in a file, on the device, or yet to be drawn. They
//! go from one place to another piece by piece, since the largest parameter may take as much memory as all else.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::layout::Piece;
use super::spec::{ParameterSpec, Start};
use super::{ModelError, NetworkSpec};

/// A number for every weight of some parameters.
pub trait Numbers {
    /// Keras's shape of a parameter, if there is one of that name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// A piece of a parameter, in Keras's order.
    ///
    /// # Errors
    /// What reading says; [`ModelError::Weights`] for a parameter that there is not.
    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError>;
}

/// Holds names and shapes against a network: those of all its parameters, or of those that are `learned` only, as an
/// optimiser has nothing of running statistics.
///
/// # Errors
/// [`ModelError::Weights`] for the first that differs; [`ModelError::Spec`].
pub fn check(numbers: &dyn Numbers, spec: &NetworkSpec, learned: bool) -> Result<(), ModelError> {
    spec.check()?;
    let parameters = spec.parameters();
    let differs = parameters.iter().filter(|p| p.learned || !learned).find(|p| !fits(numbers, p));
    differs.map_or(Ok(()), |parameter| Err(misfit(numbers, parameter)))
}

fn fits(numbers: &dyn Numbers, parameter: &ParameterSpec) -> bool {
    numbers.shape(&parameter.name).is_some_and(|shape| shape == parameter.layout.shape())
}

/// Why numbers are not those of a parameter.
pub(super) fn misfit(numbers: &dyn Numbers, parameter: &ParameterSpec) -> ModelError {
    let found = match numbers.shape(&parameter.name) {
        Some(shape) => format!("it has shape {shape:?}"),
        None => "it is missing".to_owned(),
    };
    ModelError::Weights { name: parameter.name.clone(), expected: parameter.layout.shape(), found }
}

/// Glorot's uniform start: U(−l, l), l = √(6 / (fan in + fan out)); biases zero (Glorot, Bengio 2010; Keras's
/// default). Batch normalisation starts as the identity. The same seed gives the same numbers.
pub struct Initial {
    random: ChaCha8Rng,
    /// The shape of every parameter, and how many numbers are drawn before its own.
    parameters: HashMap<String, (Vec<usize>, u128)>,
}

impl Initial {
    /// The start of `spec`.
    pub fn new(spec: &NetworkSpec, seed: u64) -> Initial {
        let mut drawn = 0;
        let mut parameters = HashMap::new();
        for parameter in spec.parameters() {
            let count = limit(&parameter).map_or(0, |_| parameter.layout.len() as u128);
            parameters.insert(parameter.name, (parameter.layout.shape(), drawn));
            drawn += count;
        }
        Initial { random: ChaCha8Rng::seed_from_u64(seed), parameters }
    }
}

/// Glorot's l, for parameters that are drawn.
fn limit(parameter: &ParameterSpec) -> Option<f64> {
    let (fan_in, fan_out) = parameter.layout.fans().filter(|_| parameter.start == Start::Glorot)?;
    Some((6.0 / (fan_in + fan_out) as f64).sqrt())
}

impl Numbers for Initial {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.parameters.get(name).map(|(shape, _)| shape.clone())
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let (_, drawn) = self.parameters.get(&parameter.name).ok_or_else(|| misfit(self, parameter))?;
        let places = piece.keras();
        let Some(limit) = limit(parameter) else {
            return Ok(vec![if parameter.start == Start::Ones { 1.0 } else { 0.0 }; places.len()]);
        };
        let mut random = self.random.clone();
        // Each number takes a word.
        random.set_word_pos(drawn + places.start as u128);
        // 2⁻³²: a whole u32 becomes a number in [0, 1).
        let uniform = |_| ((f64::from(random.next_u32()) * 2f64.powi(-31) - 1.0) * limit) as f32;
        Ok(places.map(uniform).collect())
    }
}
