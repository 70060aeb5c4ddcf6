//! The results of a cross-validation.

use serde::Serialize;

use super::{CsvRow, Evaluation, largest};

/// One network's score on the pictures that were held out from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FoldScore {
    /// From 1.
    pub fold: usize,
    /// Pictures held out.
    pub pictures: usize,
    /// Mean loss on them, in nats.
    pub loss: f64,
    /// Share of right answers, 0 to 1.
    pub accuracy: f64,
}

/// A mean, and the standard deviation of what it is the mean of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Plain mean.
    pub mean: f64,
    /// With n − 1 in the denominator; 0 of a single value.
    pub deviation: f64,
}

impl Spread {
    /// Of these values.
    pub fn of(values: &[f64]) -> Spread {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Spread { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() }
    }
}

/// What every picture is said to be by the network that has not learnt from it.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// The classes.
    pub classes: Vec<String>,
    /// Files below the data set's folder, `[N]`.
    pub files: Vec<String>,
    /// The fold, from 0, that held the picture out, `[N]`.
    pub folds: Vec<usize>,
    /// `[N]`.
    pub labels: Vec<usize>,
    /// `[N][classes]`.
    pub probabilities: Vec<Vec<f32>>,
    /// One a fold.
    pub scores: Vec<FoldScore>,
}

impl OutOfFold {
    /// Accuracy over the folds.
    pub fn accuracy(&self) -> Spread {
        Spread::of(&self.scores.iter().map(|score| score.accuracy).collect::<Vec<f64>>())
    }

    /// Loss over the folds.
    pub fn loss(&self) -> Spread {
        Spread::of(&self.scores.iter().map(|score| score.loss).collect::<Vec<f64>>())
    }

    /// All answers together.
    pub fn evaluation(&self) -> Evaluation {
        Evaluation::new(&self.classes, &self.labels, &self.probabilities)
    }

    /// `fold,pictures,loss,accuracy`, with two more lines for the mean and the deviation.
    pub fn folds_csv(&self) -> String {
        let mut table = "fold,pictures,loss,accuracy\n".to_owned();
        for FoldScore { fold, pictures, loss, accuracy } in &self.scores {
            table += &format!("{fold},{pictures},{loss:.6},{accuracy:.6}\n");
        }
        let (loss, accuracy) = (self.loss(), self.accuracy());
        table += &format!("mean,,{:.6},{:.6}\n", loss.mean, accuracy.mean);
        table + &format!("deviation,,{:.6},{:.6}\n", loss.deviation, accuracy.deviation)
    }

    /// The same for programs, with the figures of all answers together.
    pub fn folds_json(&self) -> serde_json::Value {
        serde_json::json!({
            "folds": self.scores, "accuracy": self.accuracy(), "loss": self.loss(),
            "out_of_fold": self.evaluation().to_json(),
        })
    }

    /// `file,fold,label,said,probability`, and a column of probabilities for each class.
    pub fn to_csv(&self) -> String {
        let mut head = CsvRow::default();
        ["file", "fold", "label", "said", "probability"].iter().for_each(|name| _ = head.text(name));
        self.classes.iter().for_each(|class| _ = head.text(class));
        let mut table = head.line();
        for (index, row) in self.probabilities.iter().enumerate() {
            let said = largest(row);
            let mut line = CsvRow::default();
            line.text(&self.files[index]).text(&(self.folds[index] + 1).to_string());
            line.text(&self.classes[self.labels[index]]).text(&self.classes[said]).number(f64::from(row[said]));
            row.iter().for_each(|probability| _ = line.number(f64::from(*probability)));
            table += &line.line();
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `statistics.mean` and `statistics.stdev` of Python.
    #[test]
    fn means_have_the_deviation_of_a_sample() {
        let spread = Spread::of(&[0.7, 0.8, 0.65, 0.75]);
        assert!((spread.mean - 0.725).abs() < 1e-12 && (spread.deviation - 0.064_549_722_436_79).abs() < 1e-12);
        assert_eq!(Spread::of(&[0.5]).deviation, 0.0);
    }

    #[test]
    fn tables_have_a_line_for_each_picture_and_each_fold() {
        let score = |fold, accuracy| FoldScore { fold, pictures: 1, loss: 0.5, accuracy };
        let result = OutOfFold {
            classes: ["a", "b,c"].map(String::from).to_vec(),
            files: ["a/1.png", "b,c/2.png"].map(String::from).to_vec(),
            folds: vec![1, 0],
            labels: vec![0, 1],
            probabilities: vec![vec![0.25, 0.75], vec![0.125, 0.875]],
            scores: vec![score(1, 1.0), score(2, 0.0)],
        };
        let expected = "file,fold,label,said,probability,a,\"b,c\"\na/1.png,2,a,\"b,c\",0.750000,0.250000,0.750000\n\
                        \"b,c/2.png\",1,\"b,c\",\"b,c\",0.875000,0.125000,0.875000\n";
        assert_eq!(result.to_csv(), expected);
        assert!(result.folds_csv().ends_with("mean,,0.500000,0.500000\ndeviation,,0.000000,0.707107\n"));
        assert_eq!(result.folds_json()["out_of_fold"]["accuracy"], 0.5);
    }
}
