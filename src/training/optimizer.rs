//! The optimisers' constants and the learning rate of each step.

use serde::{Deserialize, Serialize};

use crate::kernels::optimizer::{Optimizer, Rule};
use crate::model::Purpose;

/// Which optimiser, with Keras's constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerSettings {
    /// Adam: β 0.9 and 0.999, ε 1e-7.
    Adam,
    /// Stochastic gradient descent; Nesterov's look ahead needs a momentum.
    Sgd {
        /// Share of the last step's velocity that is kept.
        momentum: f32,
        /// Whether to look one step ahead.
        nesterov: bool,
    },
    /// RMSprop: ρ 0.9, ε 1e-7.
    RmsProp,
}

impl OptimizerSettings {
    /// Keras's default: 0.001, for SGD 0.01.
    pub fn default_learning_rate(self) -> f64 {
        if matches!(self, OptimizerSettings::Sgd { .. }) { 0.01 } else { 0.001 }
    }

    /// What the network has to be laid out for.
    pub fn purpose(self) -> Purpose {
        let constants = Optimizer { quads: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, nesterov: 0 };
        match self {
            OptimizerSettings::Adam => Purpose::Train(Rule::Adam, constants),
            OptimizerSettings::Sgd { momentum: 0.0, .. } => Purpose::Train(Rule::Sgd, constants),
            OptimizerSettings::Sgd { momentum, nesterov } => {
                let constants = Optimizer { beta1: momentum, nesterov: u32::from(nesterov), ..constants };
                Purpose::Train(Rule::Momentum, constants)
            }
            OptimizerSettings::RmsProp => Purpose::Train(Rule::RmsProp, Optimizer { beta2: 0.9, ..constants }),
        }
    }

    /// The rate that the kernel multiplies with in step `step` (from 0): for Adam with the bias corrections of its
    /// moments, α·√(1−β₂ᵗ)/(1−β₁ᵗ), t = step + 1 (Kingma, Ba 2015, section 2).
    pub fn rate(self, learning_rate: f64, step: u64) -> f32 {
        match self {
            OptimizerSettings::Adam => {
                let t = (step + 1) as f64;
                (learning_rate * (1.0 - 0.999f64.powf(t)).sqrt() / (1.0 - 0.9f64.powf(t))) as f32
            }
            _ => learning_rate as f32,
        }
    }
}

/// The learning rate over the steps of a run: constant, so far.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The rate.
    pub learning_rate: f64,
}

impl Schedule {
    /// The learning rate of step `step`, from 0.
    pub fn at(&self, _step: u64) -> f64 {
        self.learning_rate
    }
}
