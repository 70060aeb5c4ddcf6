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
}

/// The epochs of a run so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(pub Vec<Epoch>);

impl History {
    /// The table: `epoch,loss,accuracy,val_loss,val_accuracy,seconds`, one line an epoch.
    pub fn to_csv(&self) -> String {
        let mut text = "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n".to_owned();
        let optional = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.6}"));
        for e in &self.0 {
            text += &format!(
                "{},{:.6},{:.6},{},{},{:.3}\n",
                e.epoch,
                e.loss,
                e.accuracy,
                optional(e.val_loss),
                optional(e.val_accuracy),
                e.seconds
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
        let epoch =
            |n, val| Epoch { epoch: n, loss: 1.5, accuracy: 0.25, val_loss: val, val_accuracy: val, seconds: 2.0 };
        let table = History(vec![epoch(1, None), epoch(2, Some(0.5))]).to_csv();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "epoch,loss,accuracy,val_loss,val_accuracy,seconds");
        assert_eq!(lines[1], "1,1.500000,0.250000,,,2.000");
        assert_eq!(lines[2], "2,1.500000,0.250000,0.500000,0.500000,2.000");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("history.csv");
        assert_eq!(History::read(&path).expect("none is none"), History::default());
        std::fs::write(&path, &table).expect("written");
        assert_eq!(History::read(&path).expect("read").to_csv(), table);
        std::fs::write(&path, "epoch\n1,x").expect("written");
        assert!(History::read(&path).is_err_and(|e| e.to_string().contains("line 2")));
    }
}
