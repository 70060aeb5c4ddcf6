//! What is measured: the plans of a network's tasks, with a batch of made-up pictures in place.

use super::super::CommandError;
use crate::gpu::{Gpu, Plan};
use crate::kernels::augment::Sample;
use crate::kernels::explain::Point;
use crate::model::{Initial, Network, NetworkSpec, Purpose, StepSettings, Target, fit, fitting_points};
use crate::training::OptimizerSettings;

/// What a network is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// A step of training with Adam, augmentation and all.
    #[value(name = "training")]
    TrainingStep,
    /// The classes of a batch.
    Inference,
    /// Points of an explanation, between two pictures.
    Explanation,
}

impl Task {
    /// Every task.
    pub const ALL: [Task; 3] = [Task::TrainingStep, Task::Inference, Task::Explanation];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Task::TrainingStep => "training step",
            Task::Inference => "inference",
            Task::Explanation => "explanation points",
        }
    }

    /// The plan for `batch` pictures, or so many of them as fit into one plan of an explanation, and their number. The plan
    /// holds all that it needs, and can be submitted again and again.
    ///
    /// # Errors
    /// [`CommandError`] if the batch does not fit.
    pub fn lay(self, gpu: &Gpu, spec: &NetworkSpec, batch: u32) -> Result<(Plan, u32), CommandError> {
        let weights = Initial::new(spec, 1);
        if self == Task::Explanation {
            return explanation(gpu, spec, &weights, batch);
        }
        let (width, height) = (spec.width, spec.height);
        fit(gpu, spec, batch, self == Task::TrainingStep)?;
        let pixels =
            gpu.buffer_with("pictures", &noise(u64::from(batch) * u64::from(width) * u64::from(height) * 4))?;
        let turned = |i| Sample::turned(i, i % 2 == 0, f64::from(i) * 0.01 - 0.16, width, height);
        let samples: Vec<Sample> = (0..batch).map(turned).collect();
        let labels: Vec<u32> = (0..batch).map(|i| i % spec.classes).collect();
        let settings = StepSettings { seed: 1, step: 1, rate: 1e-3, ..Default::default() };
        let purpose = match self {
            Task::TrainingStep => OptimizerSettings::Adam.purpose(),
            _ => Purpose::Infer,
        };
        let network = Network::stepping_in_slabs(gpu, spec, batch, purpose, &weights)?;
        network.set_batch(settings, &samples, &labels);
        let plan = match self {
            Task::TrainingStep => network.training_plan(&pixels)?,
            _ => network.inference_plan(&pixels)?,
        };
        Ok((plan, batch))
    }
}

fn explanation(gpu: &Gpu, spec: &NetworkSpec, weights: &Initial, batch: u32) -> Result<(Plan, u32), CommandError> {
    let batch = fitting_points(gpu, spec, Target::Probability, batch)?;
    let network = Network::new(gpu, spec, batch, Purpose::Explain(Target::Probability), weights)?;
    let shapes = network.explain_shapes()?;
    let pixels = gpu.buffer_with("pictures", &noise(2 * u64::from(spec.width) * u64::from(spec.height) * 4))?;
    let point = |i| Point { image: 0, background: 1, t: i as f32 / batch as f32, weight: 1.0, contrast: 0.0 };
    let points = gpu.buffer_with("points", &(0..batch).map(point).collect::<Vec<_>>())?;
    let values = gpu.buffer("values", shapes.values_bytes())?;
    Ok((network.explanation_plan(&shapes, &pixels, &points, &values)?, batch))
}

/// Bytes that look like noise, the same every time.
pub(super) fn noise(count: u64) -> Vec<u8> {
    (0..count).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
