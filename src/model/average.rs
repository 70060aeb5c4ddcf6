//! The moving average of a network's weights: it trails them, is smoother than they are, and answers in their place.

use super::network::Learned;
use super::{Held, ModelError, Network};
use crate::gpu::{Buffer, Plan};
use crate::kernels::average::Average;

impl Network {
    /// The same with an average of its weights, which begins with the weights that it has and moves in every step by
    /// [`StepSettings::average`](super::StepSettings).
    ///
    /// # Errors
    /// [`ModelError::Gpu`].
    pub fn averaging(mut self) -> Result<Network, ModelError> {
        for learned in &mut self.learned {
            learned.average = Some(self.gpu.buffer("average", learned.weights.bytes())?);
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
        let shape = |learned: &Learned| Average { quads: learned.quads() };
        self.learned.iter().filter_map(move |l| Some((shape(l), &l.weights, l.average.as_ref()?)))
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
