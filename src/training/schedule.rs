//! The learning rate over the steps of a run.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum ScheduleSettings {
    /// The same rate throughout.
    #[default]
    Constant,
    /// A linear rise to the rate, then half a cosine down (Loshchilov, Hutter 2017, "SGDR", without restarts).
    Cosine {
        /// Share of the steps in which the rate rises, 0 to 1 without 1.
        warmup: f64,
        /// Share of the rate that it ends with.
        end: f64,
    },
    /// Half a cosine up to the rate and half a cosine down to nearly nothing (Smith 2018, "A disciplined approach to neural
    /// network hyper-parameters"; PyTorch's `OneCycleLR` with its defaults: from 1/25 of the rate to 1/250,000; the momentum
    /// stays as it is).
    OneCycle {
        /// Share of the steps in which the rate rises.
        warmup: f64,
    },
}

/// The learning rate of every step of a run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The largest rate.
    pub learning_rate: f64,
    shape: ScheduleSettings,
    steps: u64,
}

/// Half a cosine from `from` to `to`, for `share` from 0 to 1.
fn anneal(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share.clamp(0.0, 1.0)).cos()) / 2.0
}

impl Schedule {
    /// Of this shape over a run of `steps`.
    pub fn new(learning_rate: f64, shape: ScheduleSettings, steps: u64) -> Schedule {
        Schedule { learning_rate, shape, steps }
    }

    /// The same rate throughout.
    pub fn constant(learning_rate: f64) -> Schedule {
        Schedule { learning_rate, shape: ScheduleSettings::Constant, steps: 0 }
    }

    /// The learning rate of step t = `step`, from 0, of T = `steps` in the run; beyond them it stays what it is in the end.
    ///
    /// - Cosine, with W = warmup·T: rate·(t+1)/W while t+1 ≤ W; then end·rate + (1−end)·rate·(1+cos(π·(t−W)/(T−W)))/2.
    /// - One cycle, with P = warmup·T − 1, as in PyTorch: half a cosine from rate/25 to the rate at t = P, then another from
    ///   there to rate/250,000 at t = T − 1.
    pub fn at(&self, step: u64) -> f64 {
        let (rate, t, all) = (self.learning_rate, step as f64, self.steps as f64);
        match self.shape {
            ScheduleSettings::Constant => rate,
            ScheduleSettings::Cosine { warmup, end } => {
                let rise = warmup * all;
                if t + 1.0 <= rise {
                    return rate * (t + 1.0) / rise;
                }
                anneal(rate, end * rate, (t - rise) / (all - rise).max(1.0))
            }
            ScheduleSettings::OneCycle { warmup } => {
                let (start, end, peak) = (rate / 25.0, rate / 250_000.0, warmup * all - 1.0);
                match t <= peak {
                    true => anneal(start, rate, if peak > 0.0 { t / peak } else { 1.0 }),
                    false => anneal(rate, end, (t - peak) / (all - 1.0 - peak).max(1.0)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: ScheduleSettings, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| Schedule::new(0.1, shape, steps).at(step)).collect()
    }

    fn assert_rates(shape: ScheduleSettings, expected: &[f64]) {
        for (step, (got, expected)) in rates(shape, expected.len() as u64).iter().zip(expected).enumerate() {
            assert!((got - expected).abs() < 1e-12, "{shape:?}, step {step}: {got}, not {expected}");
        }
    }

    #[test]
    fn a_constant_rate_is_constant() {
        assert_rates(ScheduleSettings::Constant, &[0.1; 3]);
    }

    #[test]
    fn a_cosine_rises_falls_and_stays() {
        let half = |share: f64| 0.1 * (1.0 + (PI * share).cos()) / 2.0;
        let shape = ScheduleSettings::Cosine { warmup: 0.2, end: 0.0 };
        let fall: Vec<f64> = (0..8).map(|t| half(f64::from(t) / 8.0)).collect();
        assert_rates(shape, &[vec![0.05, 0.1], fall].concat());
        let kept = Schedule::new(0.1, ScheduleSettings::Cosine { warmup: 0.0, end: 0.25 }, 4);
        assert!((kept.at(0) - 0.1).abs() < 1e-12 && (kept.at(4) - 0.025).abs() < 1e-12);
        assert!((kept.at(1000) - 0.025).abs() < 1e-12, "beyond the end");
        // Too short for a warm-up.
        assert_rates(shape, &[0.1]);
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10), PyTorch 1.13.1.
        let expected = [
            0.0040000000000000036,
            0.052000000000000005,
            0.1,
            0.09504846320134738,
            0.0811745653949763,
            0.06112620219362893,
            0.03887419780637107,
            0.0188258346050237,
            0.004951936798652629,
            4e-07,
        ];
        assert_rates(ScheduleSettings::OneCycle { warmup: 0.3 }, &expected);
    }
}
