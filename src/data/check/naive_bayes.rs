//! Gaussian naive Bayes: the trivial model that shortcuts are looked for with.

/// Added to every variance, where the variances of the features themselves are 1: figures that never vary within a class
/// must not decide alone.
const SMOOTHING: f64 = 1e-3;

/// For each class the features' means and variances; the classes count as equally frequent. On standardised features it is
/// scikit-learn's `GaussianNB(priors=[1/K]*K, var_smoothing=1e-3)`.
pub(super) struct NaiveBayes {
    /// `[classes][features]`: mean, 1 / (2 variance).
    classes: Vec<Vec<(f64, f64)>>,
    /// `[classes]`: the density's constant.
    constants: Vec<f64>,
}

impl NaiveBayes {
    /// Learns from rows of features `[rows][features]` and their classes.
    pub fn fit(rows: &[&[f64]], labels: &[usize], classes: usize) -> NaiveBayes {
        let features = rows.first().map_or(0, |row| row.len());
        let mut sums = vec![vec![(0.0, 0.0); features]; classes];
        let mut counts = vec![0.0; classes];
        for (row, &label) in rows.iter().zip(labels) {
            counts[label] += 1.0;
            for ((sum, squares), value) in sums[label].iter_mut().zip(*row) {
                *sum += value;
                *squares += value * value;
            }
        }
        let mut constants = vec![0.0; classes];
        for (label, sums) in sums.iter_mut().enumerate() {
            let count = f64::max(counts[label], 1.0);
            for (sum, squares) in sums {
                let mean = *sum / count;
                let variance = (*squares / count - mean * mean).max(0.0) + SMOOTHING;
                constants[label] -= 0.5 * variance.ln();
                (*sum, *squares) = (mean, 0.5 / variance);
            }
        }
        NaiveBayes { classes: sums, constants }
    }

    /// Logarithms of the classes' densities, less what is common to all of them.
    fn densities(&self, row: &[f64]) -> impl Iterator<Item = f64> {
        self.classes.iter().zip(&self.constants).map(move |(class, constant)| {
            let distance = class.iter().zip(row).map(|((mean, scale), value)| (value - mean).powi(2) * scale);
            constant - distance.sum::<f64>()
        })
    }

    /// The class of the highest density; the first of equals.
    pub fn predict(&self, row: &[f64]) -> usize {
        self.densities(row).enumerate().fold((0, f64::NEG_INFINITY), |best, d| if d.1 > best.1 { d } else { best }).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of scikit-learn 1.9.1:
    ///
    /// ```python
    /// X = np.array([[(i * 7 % 11) - 5, (i * i % 13) - 6, (i * 5 % 17) - 8] for i in range(18)], float) / 5
    /// y = np.arange(18) % 3
    /// X[y == 2, 1] = 0.25
    /// X[y == 1] += 0.6
    /// train, rest = X[:15], X[15:]
    /// model = GaussianNB(priors=[1 / 3] * 3, var_smoothing=1e-3 / train.var(0).max()).fit(train, y[:15])
    /// joint = model.predict_joint_log_proba(rest)
    /// model.predict(X), joint - joint[:, :1]
    /// ```
    #[test]
    fn densities_are_scikit_learns() {
        let row = |i: usize| {
            let values = [(i * 7 % 11) as f64 - 5.0, (i * i % 13) as f64 - 6.0, (i * 5 % 17) as f64 - 8.0];
            let mut row = values.map(|v| v / 5.0);
            row[1] = if i % 3 == 2 { 0.25 } else { row[1] };
            row.map(|v| if i % 3 == 1 { v + 0.6 } else { v })
        };
        let rows: Vec<[f64; 3]> = (0..18).map(row).collect();
        let labels: Vec<usize> = (0..15).map(|i| i % 3).collect();
        let train: Vec<&[f64]> = rows[..15].iter().map(|row| row.as_slice()).collect();
        let model = NaiveBayes::fit(&train, &labels, 3);
        let said: Vec<usize> = rows.iter().map(|row| model.predict(row)).collect();
        assert_eq!(said, SAID);
        for (row, expected) in rows[15..].iter().zip(DENSITIES) {
            let densities: Vec<f64> = model.densities(row).collect();
            for (density, expected) in densities.iter().zip(expected) {
                let got = density - densities[0];
                assert!((got - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{got} is not {expected}");
            }
        }
    }

    const SAID: [usize; 18] = [0, 0, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 0, 0, 2, 0, 1, 2];
    const DENSITIES: [[f64; 3]; 3] =
        [[0.0, -0.6410985, -207.5921333], [0.0, 0.0041033, -450.2827779], [0.0, 1.0187885, 2.3919097]];
}
