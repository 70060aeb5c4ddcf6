//! How well a classifier did: loss, accuracy, a row for each class, and the confusion matrix.

use std::fmt;

use serde::Serialize;

use super::statistics::{Calibration, Interval, f1_intervals, f1_of, ratio, wilson};

/// The figures of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: String,
    /// Of the pictures said to be of this class, the share that are; 0 if none was.
    pub precision: f64,
    /// Of the pictures of this class, the share that were found; 0 if there are none.
    pub recall: f64,
    /// Harmonic mean of the two; 0 if both are.
    pub f1: f64,
    /// Pictures of this class.
    pub support: usize,
    /// Wilson's interval of 95 % for the precision.
    pub precision_interval: Interval,
    /// The same for the recall.
    pub recall_interval: Interval,
    /// Bootstrap interval of 95 % for F1.
    pub f1_interval: Interval,
}

/// What was measured on a set of pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of pictures.
    pub images: usize,
    /// Mean cross-entropy in nats. Probabilities below 1e-7 count as 1e-7, as in Keras, so that it stays finite.
    pub loss: f64,
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
    /// Wilson's interval of 95 % for the accuracy, were other pictures drawn from the same source (Wilson 1927).
    pub accuracy_interval: Interval,
    /// One row a class.
    pub classes: Vec<ClassMetrics>,
    /// Plain mean of the classes' precision, recall and F1.
    pub macro_average: [f64; 3],
    /// Bootstrap interval of 95 % for the mean F1.
    pub macro_f1_interval: Interval,
    /// The same weighted by support.
    pub weighted_average: [f64; 3],
    /// `[true class][predicted class]`: numbers of pictures.
    pub confusion: Vec<Vec<usize>>,
    /// Whether the network is right as often as it says.
    pub calibration: Calibration,
}

/// Index of the largest value; the first of equals.
pub fn largest(values: &[f32]) -> usize {
    values.iter().enumerate().fold(0, |best, (i, v)| if *v > values[best] { i } else { best })
}

impl Evaluation {
    /// Compares `[N]` true classes with `[N][classes]` probabilities.
    pub fn new(classes: &[String], labels: &[usize], probabilities: &[Vec<f32>]) -> Evaluation {
        let mut confusion = vec![vec![0; classes.len()]; classes.len()];
        let mut loss = 0.0;
        let mut answers = Vec::with_capacity(labels.len());
        for (&label, row) in labels.iter().zip(probabilities) {
            let said = largest(row);
            confusion[label][said] += 1;
            answers.push((f64::from(row[said]), said == label));
            loss -= f64::from(row[label]).max(1e-7).ln();
        }
        let count = labels.len();
        let hits: usize = (0..classes.len()).map(|c| confusion[c][c]).sum();
        let f1 = f1_of(&confusion);
        let (f1_interval, macro_f1_interval) = f1_intervals(&confusion);
        let row = |(c, class): (usize, &String)| {
            let support = confusion[c].iter().sum();
            let said = confusion.iter().map(|row| row[c]).sum::<usize>();
            ClassMetrics {
                class: class.clone(),
                precision: ratio(confusion[c][c], said),
                recall: ratio(confusion[c][c], support),
                f1: f1[c],
                support,
                precision_interval: wilson(confusion[c][c], said),
                recall_interval: wilson(confusion[c][c], support),
                f1_interval: f1_interval[c],
            }
        };
        let rows: Vec<ClassMetrics> = classes.iter().enumerate().map(row).collect();
        let average = |weight: &dyn Fn(&ClassMetrics) -> f64| {
            let total: f64 = rows.iter().map(weight).sum();
            let mean = |value: fn(&ClassMetrics) -> f64| {
                rows.iter().map(|r| weight(r) * value(r)).sum::<f64>() / total.max(1e-12)
            };
            [mean(|r| r.precision), mean(|r| r.recall), mean(|r| r.f1)]
        };
        Evaluation {
            images: count,
            loss: loss / count.max(1) as f64,
            accuracy: ratio(hits, count),
            accuracy_interval: wilson(hits, count),
            macro_average: average(&|_| 1.0),
            macro_f1_interval,
            calibration: Calibration::new(&answers),
            weighted_average: average(&|r| r.support as f64),
            classes: rows,
            confusion,
        }
    }

    /// A cell of the confusion matrix as a share of its row, 0 to 1; 0 for a class without pictures.
    pub fn share(&self, row: usize, column: usize) -> f64 {
        ratio(self.confusion[row][column], self.classes[row].support)
    }

    /// The same for programs.
    pub fn to_json(&self) -> serde_json::Value {
        // Plain numbers and strings: there is nothing in it that JSON cannot hold.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A name cut to `width` characters, padded on the right.
fn fitted(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return format!("{name:width$}");
    }
    let cut: String = name.chars().take(width - 1).collect();
    format!("{cut}…")
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.accuracy_interval;
        writeln!(f, "loss      {:.4}", self.loss)?;
        let percent = |v: f64| 100.0 * v;
        writeln!(
            f,
            "accuracy  {:.1} %   (95 % interval for {} pictures: {:.1} to {:.1} %)\n",
            percent(self.accuracy),
            self.images,
            percent(low),
            percent(high)
        )?;
        let longest = self.classes.iter().map(|c| c.class.chars().count()).max().unwrap_or(0);
        let width = longest.clamp(16, 28);
        writeln!(f, "{}  precision     recall         F1   pictures", fitted("", width))?;
        for c in &self.classes {
            writeln!(
                f,
                "{}  {:9.3}  {:9.3}  {:9.3}  {:9}",
                fitted(&c.class, width),
                c.precision,
                c.recall,
                c.f1,
                c.support
            )?;
        }
        for (name, [p, r, f1]) in [("mean of classes", self.macro_average), ("weighted mean", self.weighted_average)] {
            writeln!(f, "{}  {p:9.3}  {r:9.3}  {f1:9.3}  {:9}", fitted(name, width), self.images)?;
        }
        writeln!(f, "\nconfusion matrix: rows are what the pictures show, columns what the network said")?;
        let column = longest.clamp(6, 12);
        let heads: Vec<String> = self.classes.iter().map(|c| fitted(&c.class, column)).collect();
        writeln!(f, "{}  {}", fitted("", width), heads.join("  "))?;
        for (class, row) in self.classes.iter().zip(&self.confusion) {
            let cells: Vec<String> = row.iter().map(|n| format!("{n:<column$}")).collect();
            writeln!(f, "{}  {}", fitted(&class.class, width), cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
    }

    /// The figures of scikit-learn 1.7:
    ///
    /// ```python
    /// y, p = [0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 0, 1, 1, 2, 0, 2, 1]
    /// precision_recall_fscore_support(y, p); precision_recall_fscore_support(y, p, average="weighted")
    /// ```
    #[test]
    fn classes_and_averages_agree_with_scikit_learn() {
        let labels = [0, 0, 0, 1, 1, 2, 2, 2, 2];
        let said = [0, 1, 0, 1, 1, 2, 0, 2, 1];
        let row = |&c: &usize| (0..3).map(|k| if k == c { 0.8 } else { 0.1 }).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = said.iter().map(row).collect();
        let names: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let e = Evaluation::new(&names, &labels, &rows);
        assert_eq!(e.confusion, [[2, 1, 0], [0, 2, 0], [1, 1, 2]]);
        let expected = [(2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0), (0.5, 1.0, 2.0 / 3.0), (1.0, 0.5, 2.0 / 3.0)];
        for (c, (p, r, f1)) in e.classes.iter().zip(expected) {
            close(c.precision, p);
            close(c.recall, r);
            close(c.f1, f1);
        }
        close(e.accuracy, 6.0 / 9.0);
        close(e.weighted_average[0], 0.777_777_778);
        close(e.weighted_average[1], 0.666_666_667);
        close(e.loss, -(6.0 * f64::from(0.8f32).ln() + 3.0 * f64::from(0.1f32).ln()) / 9.0);
    }

    /// The figures of scikit-learn 1.9.1, with a class that is neither seen nor said:
    ///
    /// ```python
    /// y, p = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2], [0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 0, 1]
    /// for average in (None, "macro", "weighted"):
    ///     precision_recall_fscore_support(y, p, labels=[0, 1, 2, 3], average=average, zero_division=0)
    /// ```
    #[test]
    fn averages_over_an_empty_class_agree_with_scikit_learn() {
        let labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2];
        let said = [0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 0, 1];
        let row = |&c: &usize| (0..4).map(|k| if k == c { 0.7 } else { 0.1 }).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = said.iter().map(row).collect();
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let e = Evaluation::new(&names, &labels, &rows);
        let pairs = |got: [f64; 3], expected: [f64; 3]| got.into_iter().zip(expected).for_each(|(g, x)| close(g, x));
        pairs(e.macro_average, [0.4375, 0.441_666_667, 0.434_523_810]);
        pairs(e.weighted_average, [0.604_166_667, 0.583_333_333, 0.587_301_587]);
        let f1 = [0.5, 0.571_428_571, 0.666_666_667, 0.0];
        e.classes.iter().zip(f1).for_each(|(c, x)| close(c.f1, x));
    }

    #[test]
    fn a_class_never_seen_nor_said_counts_as_zero_and_the_interval_is_wilsons() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let e = Evaluation::new(&names, &[0; 10], &vec![vec![0.9, 0.1]; 10]);
        assert_eq!((e.classes[1].precision, e.classes[1].recall, e.classes[1].f1), (0.0, 0.0, 0.0));
        // statsmodels.stats.proportion.proportion_confint(10, 10, method="wilson")
        close(e.accuracy_interval.0, 0.722_467_2);
        close(e.accuracy_interval.1, 1.0);
        assert!(e.to_string().contains("confusion matrix"));
    }
}
