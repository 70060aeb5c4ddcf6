//! The plan of an explanation: gradients of every class's output with respect to the input, behind one forward pass.

use clap::ValueEnum;

use super::network::{Laid, needed};
use super::shapes::Stage;
use super::{ModelError, Network, Purpose};
use crate::gpu::{Buffer, Plan};
use crate::kernels::dense::Dense;
use crate::kernels::explain::Explain;
use crate::kernels::relu::Relu;

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
        let d_input = needed(self.input.gradient.as_ref())?;
        let mut plan = Plan::new();
        plan.push(shapes.interpolate(gpu, pixels, points, &self.input.value)?);
        self.forward(&mut plan, false)?;
        plan.push(self.shapes.softmax.evaluate(gpu, &self.step, &self.outputs())?);
        plan.push(shapes.outputs(gpu, &self.probabilities, needed(self.logits.gradient.as_ref())?)?);
        for (shape, laid) in self.shapes.stages.iter().zip(&self.stages).rev() {
            match (shape, laid) {
                (Stage::Conv(conv), Laid::Conv(laid)) => {
                    self.receive_gradient(laid)?.into_iter().for_each(|dispatch| plan.push(dispatch));
                    self.backward_data(conv, laid)?.into_iter().for_each(|dispatch| plan.push(dispatch));
                }
                (Stage::Dense(dense), Laid::Dense { kernel, input, output, .. }) => {
                    let (d_y, d_x) = (needed(output.gradient.as_ref())?, needed(input.gradient.as_ref())?);
                    let rows = dense.rows * shapes.outputs;
                    if dense.relu != 0 {
                        let relu = Relu { images: dense.rows, rows, quads: dense.out_quads };
                        plan.push(relu.backward(gpu, &output.value, d_y)?);
                    }
                    let dense = Dense { rows, ..*dense };
                    plan.push(dense.backward_data(gpu, d_y, &self.learned[*kernel].weights, d_x)?);
                }
                _ => {}
            }
        }
        plan.push(shapes.accumulate(gpu, pixels, points, d_input, values)?);
        Ok(plan)
    }
}
