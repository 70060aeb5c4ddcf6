//! The figures of every epoch, and their table.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ReportError;
use crate::files::{read_text_at_most, write_atomically};

/// Some hundred bytes an epoch, for more epochs than anyone has trained.
const MOST_OF_HISTORY: u64 = 64 << 20;

/// One epoch. Loss is the mean cross-entropy in nats; accuracy a share, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// While training: with dropout and augmentation, averaged over the epoch.
    pub loss: f64,
    /// While training.
    pub accuracy: f64,
    /// On the test pictures, after the epoch.
    pub val_loss: Option<f64>,
    /// On the test pictures, after the epoch.
    pub val_accuracy: Option<f64>,
    /// Wall time of training and testing.
    pub seconds: f64,
    /// Learning rate of the last step.
    #[serde(default)]
    pub learning_rate: Option<f64>,
}

/// The epochs of a run so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(pub Vec<Epoch>);

impl History {
    /// The epoch with the lowest test loss; of equals, the first.
    pub fn lowest_loss(&self) -> Option<&Epoch> {
        let tested = self.0.iter().filter_map(|epoch| Some((epoch.val_loss?, epoch)));
        tested.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, epoch)| epoch)
    }

    /// Whether the last `patience` epochs have brought no lower test loss.
    pub fn has_lost_patience(&self, patience: Option<u32>) -> bool {
        let (Some(patience), Some(lowest)) = (patience, self.lowest_loss()) else { return false };
        self.0.last().is_some_and(|last| last.epoch >= lowest.epoch + patience as usize)
    }

    /// The table: `epoch,loss,accuracy,val_loss,val_accuracy,seconds,learning_rate`, one line an epoch.
    pub fn to_csv(&self) -> String {
        let mut text = "epoch,loss,accuracy,val_loss,val_accuracy,seconds,learning_rate\n".to_owned();
        let optional = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.6}"));
        for e in &self.0 {
            text += &format!(
                "{},{:.6},{:.6},{},{},{:.3},{}\n",
                e.epoch,
                e.loss,
                e.accuracy,
                optional(e.val_loss),
                optional(e.val_accuracy),
                e.seconds,
                e.learning_rate.map_or(String::new(), |rate| format!("{rate:.6e}")),
            );
        }
        text
    }

    /// Reads the table that [`History::write`] wrote. None is as good as one without epochs.
    ///
    /// # Errors
    /// [`ReportError::Read`].
    pub fn read(path: &Path) -> Result<History, ReportError> {
        let fail = |reason: String| ReportError::Read { path: path.to_owned(), reason };
        match read_text_at_most(path, MOST_OF_HISTORY) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(History::default()),
            text => History::parse(&text.map_err(|e| fail(e.to_string()))?).map_err(fail),
        }
    }

    /// The same from the table's text. All figures are finite.
    ///
    /// # Errors
    /// Which line is no epoch.
    pub fn parse(text: &str) -> Result<History, String> {
        let epoch = |(line, text): (usize, &str)| {
            let number = |column: usize| {
                let field = text.split(',').nth(column)?;
                field.trim().parse::<f64>().ok().filter(|number| number.is_finite())
            };
            let epoch = || {
                Some(Epoch {
                    epoch: number(0).filter(|epoch| (1.0..=1e9).contains(epoch))? as usize,
                    loss: number(1)?,
                    accuracy: number(2)?,
                    val_loss: number(3),
                    val_accuracy: number(4),
                    seconds: number(5)?,
                    learning_rate: number(6),
                })
            };
            epoch().ok_or_else(|| format!("line {} is not an epoch of a run", line + 1))
        };
        text.lines().enumerate().skip(1).map(epoch).collect::<Result<_, _>>().map(History)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_an_epoch_and_leaves_out_what_is_missing() {
        let epoch = |n, val: Option<f64>| Epoch {
            epoch: n,
            loss: 1.5,
            accuracy: 0.25,
            val_loss: val,
            val_accuracy: val,
            seconds: 2.0,
            learning_rate: val.map(|_| 1e-3),
        };
        let table = History(vec![epoch(1, None), epoch(2, Some(0.5))]).to_csv();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "epoch,loss,accuracy,val_loss,val_accuracy,seconds,learning_rate");
        assert_eq!(lines[1], "1,1.500000,0.250000,,,2.000,");
        assert_eq!(lines[2], "2,1.500000,0.250000,0.500000,0.500000,2.000,1.000000e-3");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("history.csv");
        assert_eq!(History::read(&path).expect("none is none"), History::default());
        std::fs::write(&path, &table).expect("written");
        assert_eq!(History::read(&path).expect("read").to_csv(), table);
        std::fs::write(&path, "epoch\n1,x").expect("written");
        assert!(History::read(&path).is_err_and(|e| e.to_string().contains("line 2")));
    }

    #[test]
    fn patience_is_lost_when_the_test_loss_has_not_fallen_for_so_long() {
        let of = |losses: &[f64]| {
            let epoch = |(i, loss): (usize, &f64)| Epoch {
                epoch: i + 1,
                loss: 1.0,
                accuracy: 0.5,
                val_loss: Some(*loss),
                val_accuracy: Some(0.5),
                seconds: 1.0,
                learning_rate: None,
            };
            History(losses.iter().enumerate().map(epoch).collect())
        };
        let lost = |losses: &[f64]| of(losses).has_lost_patience(Some(2));
        assert!(!lost(&[]) && !lost(&[1.0, 2.0]) && !lost(&[1.0, 2.0, 0.5]));
        // What is as low is not lower.
        assert!(lost(&[1.0, 2.0, 1.5]) && lost(&[3.0, 1.0, 1.0, 1.0]));
        assert!(!of(&[1.0, 2.0, 3.0]).has_lost_patience(None));
        assert_eq!(of(&[3.0, 1.0, 1.0]).lowest_loss().map(|epoch| epoch.epoch), Some(2));
    }
}
