//! Scores on test pictures that were learnt from, and on those that were not.

use std::fmt;

use super::Evaluation;

/// One score in two: what a network remembers, and what it can.
#[derive(Clone, Debug, PartialEq)]
pub struct Leakage {
    /// On test pictures that stand among the training pictures too.
    pub leaked: Evaluation,
    /// On the others.
    pub clean: Evaluation,
}

impl Leakage {
    /// Parts `[N]` answers by whether their pictures leak; none if none does.
    pub fn new(classes: &[String], labels: &[usize], probabilities: &[Vec<f32>], leaked: &[bool]) -> Option<Leakage> {
        let part = |of: bool| {
            let chosen = || leaked.iter().enumerate().filter(move |(_, leaks)| **leaks == of).map(|(index, _)| index);
            let labels: Vec<usize> = chosen().map(|index| labels[index]).collect();
            let rows: Vec<Vec<f32>> = chosen().map(|index| probabilities[index].clone()).collect();
            Evaluation::new(classes, &labels, &rows)
        };
        leaked.contains(&true).then(|| Leakage { leaked: part(true), clean: part(false) })
    }

    /// The same for programs.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "leaked": self.leaked.to_json(), "clean": self.clean.to_json() })
    }
}

impl fmt::Display for Leakage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let score = |e: &Evaluation| {
            let (low, high) = e.accuracy_interval;
            let [accuracy, low, high] = [e.accuracy, low, high].map(|v| 100.0 * v);
            format!("{accuracy:.1} % of {} (95 % interval {low:.1} to {high:.1} %)", e.images)
        };
        let leaked = score(&self.leaked);
        writeln!(f, "leaked    {leaked}: pictures that were learnt from too, so this measures memory")?;
        if self.clean.images > 0 {
            return writeln!(f, "clean     {}: pictures that were never seen", score(&self.clean));
        }
        writeln!(f, "clean     there is no test picture that was not learnt from, so nothing here measures skill;")?;
        writeln!(f, "          train --exclude-leaks test-wins leaves the copies out of training, for an honest score")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parted() {
        let names = ["a", "b"].map(String::from);
        let rows = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]].map(Vec::from);
        let parted = |leaked: [bool; 4]| Leakage::new(&names, &[0, 0, 1, 1], &rows, &leaked);
        assert_eq!(parted([false; 4]), None);
        let found = parted([true, true, false, true]).expect("three leak");
        assert_eq!((found.leaked.images, found.clean.images), (3, 1));
        assert!((found.leaked.accuracy - 2.0 / 3.0).abs() < 1e-12 && found.clean.accuracy == 0.0);
        assert!(parted([true; 4]).expect("all leak").to_string().contains("nothing here measures skill"));
    }
}
