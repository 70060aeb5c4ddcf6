//! The estimate of a picture's expected gradients, and how good it is.

use super::Round;
use crate::gpu::{Buffer, Gpu, Plan};
use crate::kernels::explain::{Explain, Point};
use crate::model::{ModelError, Network, NetworkSpec, Numbers, Purpose, Target, fitting_points};

/// Points in a batch, where they fit.
const BATCH: u32 = 32;

/// How much work to do.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// Points at which gradients are taken, in each round.
    pub samples: usize,
    /// Rounds go on until the standard error, relative to the values, is below this; `None` for a single round.
    pub tolerance: Option<f64>,
    /// Most rounds.
    pub most_rounds: usize,
    /// Whether to explain probabilities or logits.
    pub target: Target,
    /// Seed of the points.
    pub seed: u64,
}

/// The values of one picture.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// `[classes][height][width][3]`: what each pixel's red, green and blue add to the output.
    pub values: Vec<f64>,
    /// Standard error of the values, as a share of them (both as L2 norms over pixels and classes). From the spread of
    /// independent rounds, or, with a single one, from its two halves, which says rather too much.
    pub standard_error: f64,
    /// Points used.
    pub points: usize,
}

impl Estimate {
    /// Sum of a class's values: to be held against its output less the mean output on the background.
    pub fn total(&self, class: usize, classes: usize) -> f64 {
        let size = self.values.len() / classes;
        self.values[class * size..(class + 1) * size].iter().sum()
    }

    /// `[H,W]`: a class's values, summed over the colours.
    pub fn map_of(&self, class: usize, classes: usize) -> Vec<f64> {
        let size = self.values.len() / classes;
        self.values[class * size..(class + 1) * size].chunks_exact(3).map(|colours| colours.iter().sum()).collect()
    }
}

/// Where the ways to a picture begin.
#[derive(Clone, Copy, Debug)]
pub struct Background<'a> {
    /// `[K,H,W,4]` bytes.
    pub pictures: &'a [u8],
    /// `[K][classes]`: the network's answers to them.
    pub probabilities: &'a [Vec<f32>],
}

/// A network laid out for explaining, with its background.
pub struct Explainer {
    gpu: Gpu,
    pixels: Buffer,
    points: Buffer,
    values: Buffer,
    shapes: Explain,
    plan: Plan,
    image_bytes: usize,
    background_probabilities: Vec<Vec<f32>>,
    options: ExplainOptions,
}

impl Explainer {
    /// Lays the network out.
    ///
    /// # Errors
    /// [`ModelError`] if it does not fit the adapter, or the weights belong to another network.
    pub fn new(
        gpu: &Gpu,
        spec: &NetworkSpec,
        weights: &dyn Numbers,
        background: Background,
        options: ExplainOptions,
    ) -> Result<Explainer, ModelError> {
        let image_bytes = spec.height as usize * spec.width as usize * 4;
        let backgrounds = background.pictures.len() / image_bytes;
        if backgrounds == 0 || background.probabilities.len() != backgrounds {
            let text = "an explanation needs at least one background picture, and the network's answer to each";
            return Err(ModelError::Spec(text.to_owned()));
        }
        let batch = fitting_points(gpu, spec, options.target, BATCH.min(options.samples.max(1) as u32))?;
        let network = Network::new(gpu, spec, batch, Purpose::Explain(options.target), weights)?;
        let shapes = network.explain_shapes()?;
        // The picture stands first, the backgrounds after it.
        let pixels = gpu.buffer_with("pictures", &[&vec![0; image_bytes], background.pictures].concat())?;
        let points = gpu.buffer("points", shapes.points_bytes())?;
        let values = gpu.buffer("values", shapes.values_bytes())?;
        let plan = network.explanation_plan(&shapes, &pixels, &points, &values)?;
        let background_probabilities = background.probabilities.to_vec();
        Ok(Explainer {
            gpu: gpu.clone(),
            pixels,
            points,
            values,
            shapes,
            plan,
            image_bytes,
            background_probabilities,
            options,
        })
    }

    /// Explains one picture, `[H,W,4]` bytes, to which the network answers `probabilities`; `progress` is told the points
    /// done and the error so far.
    ///
    /// # Errors
    /// [`ModelError::Gpu`]; [`ModelError::Spec`] if the values are not finite.
    pub fn explain(
        &self,
        image: &[u8],
        probabilities: &[f32],
        mut progress: impl FnMut(usize, Option<f64>),
    ) -> Result<Estimate, ModelError> {
        let moves: Vec<f64> =
            self.background_probabilities.iter().map(|b| self.move_between(b, probabilities)).collect();
        self.gpu.write(&self.pixels, &image[..self.image_bytes.min(image.len())]);
        let mut rounds: Vec<Vec<f64>> = Vec::new();
        let mut points = 0;
        loop {
            let round = Round::new(&moves, self.options.samples, self.options.seed, rounds.len() as u64);
            let [estimate, difference] = self.run(&round, |done| progress(points + done, None))?;
            points += round.points.len();
            if !estimate.iter().all(|v| v.is_finite()) {
                let text = "the explanation's values are not finite: the network's weights have overflowed".to_owned();
                return Err(ModelError::Spec(text));
            }
            let halves = norm(&difference) / norm(&estimate).max(f64::MIN_POSITIVE);
            rounds.push(estimate);
            let error = if rounds.len() == 1 { halves } else { relative_error(&rounds) };
            progress(points, Some(error));
            let enough = self.options.tolerance.is_none_or(|tolerance| error <= tolerance);
            if enough || rounds.len() >= self.options.most_rounds {
                return Ok(Estimate { values: mean_of(&rounds), standard_error: error, points });
            }
        }
    }

    /// How far the answer moves from a background to a picture. Probabilities do not say it of logits: all move alike.
    fn move_between(&self, background: &[f32], picture: &[f32]) -> f64 {
        match self.options.target {
            Target::Probability => background.iter().zip(picture).map(|(b, p)| f64::from((b - p).abs())).sum(),
            Target::Logit => 1.0,
        }
    }

    /// Runs the points in batches; gives the estimate and half the difference between its two
    /// halves, `[classes][H][W][3]` each.
    fn run(&self, round: &Round, mut progress: impl FnMut(usize)) -> Result<[Vec<f64>; 2], ModelError> {
        self.gpu.write(&self.values, &vec![0; self.shapes.values_bytes() as usize]);
        let batch = self.shapes.rows as usize;
        for (index, chunk) in round.points.chunks(batch).enumerate() {
            let mut points: Vec<Point> = chunk.iter().map(|p| Point { background: p.background + 1, ..*p }).collect();
            // Padding weighs nothing.
            points.resize(batch, Point::default());
            self.gpu.write(&self.points, bytemuck::cast_slice(&points));
            self.plan.submit(&self.gpu, &mut [])?;
            // Waiting bounds what is under way, and keeps the progress honest.
            self.gpu.wait()?;
            progress((index * batch + chunk.len()).min(round.points.len()));
        }
        let all: Vec<f32> = self.gpu.read(&self.values)?;
        let plain = |quads: &[f32]| {
            let values = quads.chunks_exact(4).flat_map(|q| [q[0], q[1], q[2]].map(f64::from)).collect();
            with_last(values, self.image_bytes / 4 * 3, self.options.target)
        };
        let (estimate, difference) = all.split_at(self.shapes.values_bytes() as usize / 8);
        Ok([plain(estimate), plain(difference)])
    }
}

/// Appends the class that an explanation of probabilities leaves out: all classes' values add up to 0.
fn with_last(mut values: Vec<f64>, size: usize, target: Target) -> Vec<f64> {
    if target == Target::Probability {
        let last = (0..size).map(|i| -values[i..].iter().step_by(size).sum::<f64>());
        values.extend(last.collect::<Vec<f64>>());
    }
    values
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn mean_of(estimates: &[Vec<f64>]) -> Vec<f64> {
    let count = estimates.len() as f64;
    (0..estimates[0].len()).map(|i| estimates.iter().map(|e| e[i]).sum::<f64>() / count).collect()
}

/// Standard error of the mean of independent estimates, √(Σ‖e − mean‖² / (n(n−1))), over the norm of the mean.
fn relative_error(estimates: &[Vec<f64>]) -> f64 {
    let mean = mean_of(estimates);
    let count = estimates.len() as f64;
    let spread: f64 = estimates.iter().map(|e| e.iter().zip(&mean).map(|(v, m)| (v - m).powi(2)).sum::<f64>()).sum();
    (spread / (count * (count - 1.0))).sqrt() / norm(&mean).max(f64::MIN_POSITIVE)
}
