//! The moving average of a network's weights: it trails them, is smoother than they are, and answers in their place.

use super::{Held, ModelError, Network};
use crate::gpu::{Buffer, Plan};
use crate::kernels::QUAD;
use crate::kernels::average::Average;

impl Network {
    /// The same with an average of its weights, which begins with the weights that it has and moves in every step by
    /// [`StepSettings::average`](super::StepSettings).
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn averaging(mut self) -> Result<Network, ModelError> {
        for bundle in &mut self.bundles {
            bundle.average = Some(self.gpu.buffer("average", bundle.weights.bytes())?);
        }
        if let Some(weights) = self.held(Held::Weights) {
            self.put(Held::Average, &weights)?;
        }
        Ok(self)
    }

    /// Calls `look` while the average stands in the place of the weights, for answers and for reading them; without an
    /// average the weights stand for themselves. No step may be under way.
    ///
    /// # Errors
    /// Those of `look`; [`ModelError::Gpu`].
    pub fn averaged<T, E: From<ModelError>>(&self, look: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.exchange()?;
        let seen = look();
        self.exchange()?;
        seen
    }

    fn averages(&self) -> impl Iterator<Item = (Average, &Buffer, &Buffer)> {
        self.bundles.iter().filter_map(|bundle| {
            let shape = Average { quads: (bundle.weights.bytes() / QUAD) as u32 };
            Some((shape, &bundle.weights, bundle.average.as_ref()?))
        })
    }

    /// Exact: both keep their bits.
    fn exchange(&self) -> Result<(), ModelError> {
        let mut plan = Plan::new();
        for (shape, weights, average) in self.averages() {
            plan.push(shape.exchange(&self.gpu, weights, average)?);
        }
        if !plan.dispatches().is_empty() {
            plan.submit(&self.gpu, &mut [])?;
        }
        Ok(())
    }

    /// The last of a step.
    pub(super) fn move_average(&self, plan: &mut Plan) -> Result<(), ModelError> {
        for (shape, weights, average) in self.averages() {
            plan.push(shape.move_on(&self.gpu, &self.step, weights, average)?);
        }
        Ok(())
    }
}
