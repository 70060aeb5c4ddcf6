//! The optimisers' constants, and what each step multiplies with.

use serde::{Deserialize, Serialize};

use crate::kernels::optimizer::{Optimizer, Rule};
use crate::model::Purpose;

/// Which optimiser, with Keras's constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerSettings {
    /// Adam: β 0.9 and 0.999, ε 1e-7.
    Adam,
    /// Adam as PyTorch's `AdamW` has it: ε 1e-8, and a weight decay of 0.01 unless the recipe says another.
    AdamW,
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

    /// The weight decay that is usual with it: PyTorch's 0.01 for AdamW, otherwise none.
    pub fn default_weight_decay(self) -> f64 {
        if self == OptimizerSettings::AdamW { 0.01 } else { 0.0 }
    }

    /// What the network has to be laid out for.
    pub fn purpose(self) -> Purpose {
        let constants = Optimizer { quads: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, nesterov: 0, decaying: 0 };
        match self {
            OptimizerSettings::Adam => Purpose::Train(Rule::Adam, constants),
            OptimizerSettings::AdamW => Purpose::Train(Rule::Adam, Optimizer { epsilon: 1e-8, ..constants }),
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
            OptimizerSettings::Adam | OptimizerSettings::AdamW => {
                let t = (step + 1) as f64;
                (learning_rate * (1.0 - 0.999f64.powf(t)).sqrt() / (1.0 - 0.9f64.powf(t))) as f32
            }
            _ => learning_rate as f32,
        }
    }
}

/// How far the average of the weights moves towards them in step `step` (from 0): one minus its decay, which is smaller
/// in the beginning, so that the average forgets the initial weights: min(decay, (1+t)/(10+t)), t = step, as TensorFlow's
/// `ExponentialMovingAverage` has it with `num_updates`.
pub fn average_share(decay: f64, step: u64) -> f32 {
    let t = step as f64;
    (1.0 - decay.min((1.0 + t) / (10.0 + t))) as f32
}
