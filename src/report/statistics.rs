//! How much measured figures mean: intervals of shares and of F1, and whether probabilities can be believed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Bounds that hold the figure with 95 %, were other pictures drawn from the same source.
pub type Interval = (f64, f64);

/// Resamples of a bootstrap, and of a calibration by chance.
const RESAMPLES: usize = 2000;
const SEED: u64 = 1;

/// Bins of a reliability diagram.
const BINS: usize = 10;

/// The standard normal distribution's 97.5th percentile.
const Z: f64 = 1.959_964;

/// `part / whole`; 0 of nothing.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Wilson's interval of 95 % for a share of `hits` in `count` (Wilson 1927); of nothing, all of 0 to 1.
pub fn wilson(hits: usize, count: usize) -> Interval {
    if count == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (count as f64, ratio(hits, count));
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The value below which this share of the sorted values lies, interpolated linearly as numpy does.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place as usize], sorted[(place as usize + 1).min(sorted.len() - 1)]);
    low + (high - low) * place.fract()
}

fn middle_95(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    (quantile(&values, 0.025), quantile(&values, 0.975))
}

/// F1 of each class, 2·TP / (2·TP + FP + FN); 0 where a class is neither there nor said.
pub(super) fn f1_of(confusion: &[Vec<usize>]) -> Vec<f64> {
    let said = |c: usize| confusion.iter().map(|row| row[c]).sum::<usize>();
    (0..confusion.len()).map(|c| ratio(2 * confusion[c][c], confusion[c].iter().sum::<usize>() + said(c))).collect()
}

/// Intervals of the F1 of each class and of their mean, by the bootstrap: the pictures behind the confusion matrix
/// `[true][said]` are drawn anew, with replacement, and the middle 95 % of what comes out is kept (Efron 1979).
///
/// A class without errors, or without hits, gives every resample the same F1, as if it were certain; there Wilson's
/// interval of the recall stands in.
pub fn f1_intervals(confusion: &[Vec<usize>]) -> (Vec<Interval>, Interval) {
    let classes = confusion.len();
    let cells = (0..classes).flat_map(|t| (0..classes).map(move |s| (t, s)));
    let pictures: Vec<(usize, usize)> = cells.flat_map(|(t, s)| vec![(t, s); confusion[t][s]]).collect();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![Vec::with_capacity(RESAMPLES); classes];
    let mut means = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let mut again = vec![vec![0; classes]; classes];
        for _ in 0..pictures.len() {
            let index = (u64::from(random.next_u32()) * pictures.len() as u64) >> 32;
            let (t, s) = pictures[index as usize];
            again[t][s] += 1;
        }
        let f1 = f1_of(&again);
        means.push(f1.iter().sum::<f64>() / classes.max(1) as f64);
        drawn.iter_mut().zip(f1).for_each(|(values, f1)| values.push(f1));
    }
    let interval = |(c, values): (usize, Vec<f64>)| {
        let (hits, support) = (confusion[c][c], confusion[c].iter().sum());
        let said = confusion.iter().map(|row| row[c]).sum::<usize>();
        let certain = hits == 0 || hits == support && hits == said;
        if certain { wilson(hits, support) } else { middle_95(values) }
    };
    let hits = (0..classes).map(|c| confusion[c][c]).sum();
    let certain = hits == 0 || hits == pictures.len();
    let mean = if certain { wilson(hits, pictures.len()) } else { middle_95(means) };
    (drawn.into_iter().enumerate().map(interval).collect(), mean)
}

/// The answers of one range of confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Confidences above this …
    pub from: f64,
    /// … up to this.
    pub to: f64,
    /// Pictures.
    pub count: usize,
    /// Share of right answers; 0 without pictures.
    pub accuracy: f64,
    /// Wilson's interval of it.
    pub interval: Interval,
    /// Mean confidence; 0 without pictures.
    pub confidence: f64,
}

/// Whether a network is right as often as it says: a reliability diagram's bins, and what they add up to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Ten, of equal width.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the bins' |accuracy − confidence|, weighted by their pictures (Guo et al. 2017).
    pub error: f64,
    /// The error that a perfectly calibrated network would show on so many pictures: in the mean, and in 95 of 100 cases at
    /// most. Drawn from the confidences themselves (consistency resampling, Bröcker and Smith 2007).
    pub by_chance: (f64, f64),
    /// Mean confidence of all answers.
    pub confidence: f64,
}

impl Calibration {
    /// From each answer's confidence, the probability of the class that was said, and whether it was right.
    pub fn new(answers: &[(f64, bool)]) -> Calibration {
        // (from, to] as in scikit-learn's calibration_curve: what lies on an edge belongs below it.
        let bin_of = |confidence: f64| (1..BINS).filter(|k| *k as f64 / BINS as f64 + 1e-12 < confidence).count();
        let places: Vec<usize> = answers.iter().map(|(confidence, _)| bin_of(*confidence)).collect();
        let mut sums = vec![(0, 0, 0.0); BINS];
        for (&place, &(confidence, right)) in places.iter().zip(answers) {
            let (count, hits, total) = &mut sums[place];
            (*count, *hits, *total) = (*count + 1, *hits + usize::from(right), *total + confidence);
        }
        let bin = |(k, &(count, hits, total)): (usize, &(usize, usize, f64))| Bin {
            from: k as f64 / BINS as f64,
            to: (k + 1) as f64 / BINS as f64,
            count,
            accuracy: ratio(hits, count),
            interval: wilson(hits, count),
            confidence: if count == 0 { 0.0 } else { total / count as f64 },
        };
        // |hits − total| / N is the bin's part of the error.
        let error_of = |hits: &[usize]| {
            let off = hits.iter().zip(&sums).map(|(hits, (_, _, total))| (*hits as f64 - total).abs()).sum::<f64>();
            off / answers.len().max(1) as f64
        };
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut by_chance: Vec<f64> = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let mut hits = vec![0; BINS];
            for (&place, &(confidence, _)) in places.iter().zip(answers) {
                hits[place] += usize::from(f64::from(random.next_u32()) * 2f64.powi(-32) < confidence);
            }
            by_chance.push(error_of(&hits));
        }
        by_chance.sort_by(f64::total_cmp);
        let hits: Vec<usize> = sums.iter().map(|s| s.1).collect();
        Calibration {
            bins: sums.iter().enumerate().map(bin).collect(),
            error: error_of(&hits),
            by_chance: (by_chance.iter().sum::<f64>() / RESAMPLES as f64, quantile(&by_chance, 0.95)),
            confidence: answers.iter().map(|a| a.0).sum::<f64>() / answers.len().max(1) as f64,
        }
    }

    /// Whether the error is larger than chance alone makes it.
    pub fn is_off(&self) -> bool {
        self.error > self.by_chance.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_is_not_claimed_where_resampling_cannot_doubt() {
        let (classes, mean) = f1_intervals(&[vec![10, 0, 0], vec![0, 10, 0], vec![0, 0, 0]]);
        assert_eq!(classes[0], wilson(10, 10));
        assert_eq!((classes[2], mean), ((0.0, 1.0), wilson(20, 20)));
        let (classes, _) = f1_intervals(&[vec![0, 5], vec![0, 5]]);
        assert_eq!(classes[0], wilson(0, 5));
        assert!(classes[1].0 < 2.0 / 3.0 && classes[1].1 > 2.0 / 3.0);
        assert_eq!(f1_intervals(&[vec![0]]).1, (0.0, 1.0));
    }

    #[test]
    fn what_is_said_by_chance_is_no_miscalibration_and_boasting_is() {
        // Right in 7 of 10, and 70 % sure; then 95 % sure.
        let answers = |confidence: f64| (0..200).map(|i| (confidence, i % 10 < 7)).collect::<Vec<_>>();
        let honest = Calibration::new(&answers(0.7));
        assert!(!honest.is_off() && honest.error < 1e-9 && honest.by_chance.0 > 0.01);
        assert_eq!((honest.bins[6].count, honest.bins[7].count), (200, 0), "an edge belongs to the bin below it");
        let boasting = Calibration::new(&answers(0.95));
        assert!(boasting.is_off() && (boasting.error - 0.25).abs() < 1e-9);
        assert_eq!(Calibration::new(&[]).error, 0.0);
    }
}
