//! Adam, SGD with and without momentum, RMSprop: one step over parameters, with Keras's formulas; and for each of
//! them decoupled weight decay (Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization").

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SOURCE: Source = Source { name: "optimizer.wgsl", parts: &[include_str!("../../shaders/optimizer.wgsl")] };

uniform_struct! {
    /// The parameters' size and the optimiser's constants.
    Optimizer {
        /// Quads of the parameters.
        quads: u32,
        /// Adam's first decay; the momentum of SGD.
        beta1: f32,
        /// Adam's second decay; RMSprop's ρ.
        beta2: f32,
        /// Added to the root of the second moment.
        epsilon: f32,
        /// 1 for Nesterov momentum.
        nesterov: u32,
        /// So many quads, the first, are shrunk by weight decay.
        decaying: u32,
    }
}

/// Which formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// First and second moments.
    Adam,
    /// No state.
    Sgd,
    /// A velocity, in the first state.
    Momentum,
    /// A second moment.
    RmsProp,
}

impl Rule {
    /// Whether the rule keeps a first and a second state.
    pub fn states(self) -> (bool, bool) {
        match self {
            Rule::Adam => (true, true),
            Rule::Sgd => (false, false),
            Rule::Momentum => (true, false),
            Rule::RmsProp => (false, true),
        }
    }
}

/// One parameter, or several behind one another, on the device.
pub struct Parameter {
    /// The weights, updated in place.
    pub weights: Buffer,
    /// Their gradient.
    pub gradient: Buffer,
    /// First state, where the rule keeps one.
    pub first: Option<Buffer>,
    /// Second state, where the rule keeps one.
    pub second: Option<Buffer>,
}

impl Optimizer {
    /// One step, at the rate that the [`Step`] uniform holds.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes, or a state is missing.
    pub fn step(&self, gpu: &Gpu, rule: Rule, step: &Buffer, parameter: &Parameter) -> Result<Dispatch, GpuError> {
        let bytes = u64::from(self.quads) * QUAD;
        let mut buffers = vec![("step", step), ("w", &parameter.weights), ("g", &parameter.gradient)];
        buffers.extend(parameter.first.as_ref().map(|b| ("m", b)));
        buffers.extend(parameter.second.as_ref().map(|b| ("v", b)));
        for (name, buffer) in &buffers[1..] {
            check_sizes("optimizer", &[(name, *buffer, bytes)])?;
        }
        let entry = match rule {
            Rule::Adam => "adam",
            Rule::Sgd => "sgd",
            Rule::Momentum => "momentum",
            Rule::RmsProp => "rmsprop",
        };
        let kernel = gpu.kernel(SOURCE, entry)?;
        kernel.check_members::<Step>("step")?;
        let buffers: Vec<Bound> = buffers.into_iter().map(|(name, buffer)| -> Bound { (name, buffer) }).collect();
        kernel.bind(gpu, ("optimizer", self), &buffers, linear_grid(u64::from(self.quads), 64))
    }
}
