//! The plan of an explanation: gradients of every class's output with respect to the input, behind one forward pass.

use clap::ValueEnum;

use super::network::needed;
use super::passes::Mode;
use super::{ModelError, Network, Purpose};
use crate::gpu::{Buffer, Plan};
use crate::kernels::explain::Explain;

/// What an explanation takes the gradients of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Each class's probability
    Probability,
    /// Each class's logit: what the last layer gives, before softmax
    Logit,
}

impl Target {
    /// Outputs whose gradients are computed. Probabilities add up to 1, so their gradients to 0: the last class's are those
    /// of the others, negated.
    pub fn outputs(self, classes: u32) -> u32 {
        match self {
            Target::Probability => classes - 1,
            Target::Logit => classes,
        }
    }
}

impl Network {
    /// The shapes of the explanation's own kernels.
    ///
    /// # Errors
    /// [`ModelError::Spec`] if the network was not laid for explaining.
    pub fn explain_shapes(&self) -> Result<Explain, ModelError> {
        let Purpose::Explain(target) = self.purpose else {
            return Err(ModelError::Spec("it was not laid out for explaining".to_owned()));
        };
        let softmax = &self.shapes.softmax;
        Ok(Explain {
            rows: softmax.rows,
            outputs: target.outputs(softmax.classes),
            quads: softmax.quads,
            height: self.spec.height,
            width: self.spec.width,
            logit: u32::from(target == Target::Logit),
            border: self.shapes.augment.border,
        })
    }

    /// One batch of points of an explanation: interpolate between the pictures of `pixels`, one forward pass, the
    /// gradients of all outputs at once, and their values added to `values`.
    ///
    /// # Errors
    /// [`ModelError::Gpu`]; [`ModelError::Spec`] if the network was not laid for explaining.
    pub fn explanation_plan(
        &self,
        shapes: &Explain,
        pixels: &Buffer,
        points: &Buffer,
        values: &Buffer,
    ) -> Result<Plan, ModelError> {
        let gpu = &self.gpu;
        let d_input = needed(self.values.d_input.as_ref())?;
        let mut plan = Plan::new();
        plan.push(shapes.interpolate(gpu, pixels, points, &self.values.batch)?);
        self.forward(&mut plan, Mode::Inference)?;
        plan.push(self.shapes.softmax.evaluate(gpu, &self.step, &self.outputs()?)?);
        plan.push(shapes.outputs(gpu, &self.probabilities, needed(self.logits()?.1)?)?);
        self.backward(&mut plan, Mode::Inference)?;
        plan.push(shapes.accumulate(gpu, pixels, points, d_input, values)?);
        Ok(plan)
    }
}
