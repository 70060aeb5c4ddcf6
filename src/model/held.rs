//! What a network holds of each parameter, read from the device and put there piece by piece.

use super::bundles::Bundle;
use super::layout::Piece;
use super::network::Learned;
use super::numbers::{Numbers, check, misfit};
use super::spec::ParameterSpec;
use super::{ModelError, Network, Weights};
use crate::gpu::{Buffer, MOST_WAITING};

/// What is held of each parameter from step to step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The weights.
    Weights,
    /// The first moment or velocity, by the optimiser's rule.
    First,
    /// The second moment or mean square, by the optimiser's rule.
    Second,
    /// The moving average of the weights.
    Average,
}

impl Held {
    /// All of it.
    pub const ALL: [Held; 4] = [Held::Weights, Held::First, Held::Second, Held::Average];

    /// Whether there is nothing of running statistics, which no optimiser changes.
    pub fn is_of_optimizer(self) -> bool {
        matches!(self, Held::First | Held::Second)
    }

    fn which(self) -> Which {
        match self {
            Held::Weights => |bundle| Some(&bundle.weights),
            Held::First => |bundle| bundle.first.as_ref(),
            Held::Second => |bundle| bundle.second.as_ref(),
            Held::Average => |bundle| bundle.average.as_ref(),
        }
    }
}

type Which = fn(&Bundle) -> Option<&Buffer>;

/// Numbers on the device.
pub struct OnDevice<'a> {
    network: &'a Network,
    which: Which,
}

impl OnDevice<'_> {
    fn find(&self, name: &str) -> Option<(&Learned, Buffer)> {
        let learned = self.network.learned.iter().find(|learned| learned.name == name)?;
        Some((learned, self.network.part_of(learned, self.which)?))
    }
}

impl Numbers for OnDevice<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.find(name).map(|(learned, _)| learned.layout.shape())
    }

    fn piece(&self, parameter: &ParameterSpec, piece: &Piece) -> Result<Vec<f32>, ModelError> {
        let (_, buffer) = self.find(&parameter.name).ok_or_else(|| misfit(self, parameter))?;
        Ok(piece.unpack(&self.network.gpu.read_stretches::<f32>(&buffer, piece.stretches())?))
    }
}

impl Network {
    /// What the network holds, in the layouts of the weights, if it does. No step may be under way while it is read.
    pub fn held(&self, held: Held) -> Option<OnDevice<'_>> {
        let which = held.which();
        self.bundles.iter().any(|bundle| which(bundle).is_some()).then(|| self.those(which))
    }

    /// The weights that are to be kept: their average if there is one, or themselves.
    pub fn result(&self) -> OnDevice<'_> {
        self.held(Held::Average).unwrap_or(self.those(Held::Weights.which()))
    }

    fn those(&self, which: Which) -> OnDevice<'_> {
        OnDevice { network: self, which }
    }

    fn part_of(&self, learned: &Learned, which: Which) -> Option<Buffer> {
        which(self.bundle_of(learned)).map(|whole| learned.place.of(whole))
    }

    /// Replaces what the network holds, if it does.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if the numbers belong to another network; what reading them says.
    pub fn put(&self, held: Held, numbers: &dyn Numbers) -> Result<(), ModelError> {
        check(numbers, &self.spec, held.is_of_optimizer())?;
        let mut waiting = 0;
        for (learned, parameter) in self.learned.iter().zip(&self.shapes.graph.parameters) {
            let Some(buffer) = self.part_of(learned, held.which()) else { continue };
            for piece in learned.layout.pieces() {
                let packed = piece.pack(&numbers.piece(parameter, &piece)?);
                let mut rest: &[u8] = bytemuck::cast_slice(&packed);
                waiting += rest.len();
                for stretch in piece.stretches() {
                    let (bytes, behind) = rest.split_at((stretch.end - stretch.start) as usize);
                    self.gpu.write_at(&buffer, stretch.start, bytes);
                    rest = behind;
                }
                if waiting > MOST_WAITING {
                    self.gpu.flush()?;
                    waiting = 0;
                }
            }
        }
        Ok(())
    }

    /// Replaces the weights.
    ///
    /// # Errors
    /// As [`Network::put`].
    pub fn load(&self, weights: &dyn Numbers) -> Result<(), ModelError> {
        self.put(Held::Weights, weights)
    }

    /// Reads the weights back.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn weights(&self) -> Result<Weights, ModelError> {
        Weights::of(&self.spec, &self.those(Held::Weights.which()))
    }

    /// Reads the gradients of the last batch back, in the layouts of the weights.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn gradients(&self) -> Result<Weights, ModelError> {
        Weights::of(&self.spec, &self.those(|bundle| bundle.total.as_ref().or(bundle.gradient.as_ref())))
    }

    /// Reads the average back, if one is kept.
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn average(&self) -> Result<Option<Weights>, ModelError> {
        self.held(Held::Average).map(|average| Weights::of(&self.spec, &average)).transpose()
    }
}
