//! A learning-rate range test: the loss of each step while the rate grows, and the rates that it suggests.

use std::path::Path;

use super::ReportError;
use crate::files::write_atomically;

/// Share of the smoothed loss that a step keeps.
const KEPT: f64 = 0.9;
/// The test is over where the smoothed loss exceeds its least by this factor: fastai's rule.
const OVER: f64 = 4.0;
/// Steps over which a slope is taken.
const SLOPE_STEPS: usize = 25;
/// Steps before the smoothed loss is worth something: the first is a single batch's.
const SETTLED: usize = 10;
/// A slope of so many standard errors is hardly chance, the steepest of many windows though it is.
const CLEAR: f64 = 4.0;

/// A step of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStep {
    /// Its learning rate.
    pub rate: f64,
    /// Its mean loss, in nats.
    pub loss: f64,
    /// Exponential mean of the losses so far, free of its start at zero as Adam's moments are.
    pub smoothed: f64,
}

/// Where the loss falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// The learning rate.
    pub rate: f64,
    /// Whether it falls by more than it wavers.
    pub is_clear: bool,
}

/// The steps of a test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3), as fastai's
/// `lr_find` takes them: the rate grows by a constant factor from step to step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateTest {
    /// In order.
    pub steps: Vec<RateStep>,
    mean: f64,
}

impl RateTest {
    /// Adds a step; gives whether the test is over.
    pub fn add(&mut self, rate: f64, loss: f64) -> bool {
        self.mean = KEPT * self.mean + (1.0 - KEPT) * loss;
        let smoothed = self.mean / (1.0 - KEPT.powi(self.steps.len() as i32 + 1));
        self.steps.push(RateStep { rate, loss, smoothed });
        !smoothed.is_finite() || self.least().is_some_and(|least| smoothed > OVER * least.smoothed)
    }

    /// The step with the least smoothed loss, once the mean has settled; the first of equals.
    pub fn least(&self) -> Option<&RateStep> {
        let settled = self.steps.get(SETTLED..).filter(|steps| !steps.is_empty()).unwrap_or(&self.steps);
        settled.iter().filter(|s| s.smoothed.is_finite()).min_by(|a, b| a.smoothed.total_cmp(&b.smoothed))
    }

    /// A tenth of the rate at which the smoothed loss is least.
    pub fn tenth_of_least(&self) -> Option<f64> {
        self.least().map(|least| least.rate / 10.0)
    }

    /// Where, up to the rate of the least loss, the loss falls steepest against the rate's logarithm, by least squares over
    /// 25 steps; none if it falls nowhere. The losses are taken as they are, since smoothed ones lag behind.
    pub fn steepest(&self) -> Option<Descent> {
        let last = self.least()?.rate;
        let windows = self.steps.windows(SLOPE_STEPS).filter_map(|window| {
            let middle = window[SLOPE_STEPS / 2].rate;
            let (slope, error) = slope(window);
            let descent = Descent { rate: middle, is_clear: -slope > CLEAR * error };
            (middle <= last && slope < 0.0).then_some((descent, slope))
        });
        windows.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(descent, _)| descent)
    }

    /// `step,learning_rate,loss,smoothed_loss`.
    pub fn to_csv(&self) -> String {
        let mut table = "step,learning_rate,loss,smoothed_loss\n".to_owned();
        for (index, RateStep { rate, loss, smoothed }) in self.steps.iter().enumerate() {
            table += &format!("{},{rate:.6e},{loss:.6},{smoothed:.6}\n", index + 1);
        }
        table
    }

    /// Writes the table.
    ///
    /// # Errors
    /// [`ReportError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_atomically(path, self.to_csv().as_bytes())
            .map_err(|e| ReportError::Write { path: path.to_owned(), reason: e.to_string() })
    }
}

/// Least squares of the loss against the logarithm of the rate: the slope, and its standard error.
fn slope(steps: &[RateStep]) -> (f64, f64) {
    let count = steps.len() as f64;
    let mean = |value: &dyn Fn(&RateStep) -> f64| steps.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(&|s| s.rate.ln()), mean(&|s| s.loss));
    let spread = steps.iter().map(|s| (s.rate.ln() - x).powi(2)).sum::<f64>();
    let slope = steps.iter().map(|s| (s.rate.ln() - x) * (s.loss - y)).sum::<f64>() / spread;
    let rest = steps.iter().map(|s| (s.loss - y - slope * (s.rate.ln() - x)).powi(2)).sum::<f64>();
    (slope, (rest / (count - 2.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flat at 1.1 up to 1e-4, falling to 0.3 at 1e-2, then rising without end; every other step 0.1 higher.
    fn test() -> (RateTest, usize) {
        let mut test = RateTest::default();
        for step in 0..150 {
            let decades = -6.0 + 6.0 * f64::from(step) / 149.0;
            let bowl = if decades < -2.0 { 1.1 - 0.4 * (decades + 4.0).max(0.0) } else { 0.3 + 8.0 * (decades + 2.0) };
            if test.add(10f64.powf(decades), bowl + 0.1 * f64::from(step % 2)) {
                return (test, step as usize + 1);
            }
        }
        panic!("it is never over");
    }

    #[test]
    fn a_test_ends_where_the_loss_has_risen_and_suggests_rates_of_its_descent() {
        let (test, steps) = test();
        assert!((100..130).contains(&steps), "{steps} steps");
        let (steepest, tenth) = (test.steepest().expect("it falls"), test.tenth_of_least().expect("steps"));
        assert!((2e-4..5e-3).contains(&steepest.rate) && steepest.is_clear, "{steepest:?}");
        assert!((8e-4..2e-3).contains(&tenth), "{tenth}");
        assert_eq!(test.to_csv().lines().count(), steps + 1);
    }

    #[test]
    fn a_loss_that_never_falls_and_tests_of_a_step_or_none_suggest_no_descent() {
        let mut rising = RateTest::default();
        assert_eq!((rising.least(), rising.steepest()), (None, None));
        (1..60).for_each(|step| _ = rising.add(1e-6 * f64::from(step), 1.0 + 0.01 * f64::from(step)));
        assert_eq!(rising.steepest(), None);
        let mut wavering = RateTest::default();
        (1..60).for_each(|step| _ = wavering.add(1e-6 * f64::from(step), 1.0 + 0.01 * f64::from(step * 7919 % 13)));
        assert!(wavering.steepest().is_none_or(|descent| !descent.is_clear));
        assert!(rising.add(1e-3, f64::NAN) && rising.least().is_some());
    }
}
