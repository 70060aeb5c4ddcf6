//! Those who watch a training: the lines of a terminal, its dashboard, TensorBoard's files.

use super::{Epoch, ReportError};

/// Where a training stands within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Steps since the start of training.
    pub step: u64,
    /// Steps of the epoch.
    pub done: usize,
    /// Mean loss of the epoch so far, in nats.
    pub loss: f64,
    /// Share of right answers in the epoch so far, 0 to 1.
    pub accuracy: f64,
}

/// A test picture that was answered wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The file, below the data folder.
    pub file: String,
    /// Index of the class that the network said.
    pub said: usize,
    /// Its probability.
    pub probability: f64,
    /// Index of the class that the picture is of.
    pub label: usize,
}

/// What is known after an epoch.
#[derive(Clone, Copy, Debug)]
pub struct EpochEnd<'a> {
    /// Its figures.
    pub epoch: &'a Epoch,
    /// Steps since the start of training.
    pub step: u64,
    /// The step's learning rate.
    pub learning_rate: f64,
    /// The wrong answers, the surest first.
    pub mistakes: &'a [Mistake],
}

/// Is told of a training as it goes. What fails before the end of an epoch is to be told there.
pub trait Observer {
    /// `epoch` (from 1) begins, or goes on after this many of its steps.
    fn epoch_begins(&mut self, epoch: usize, done: usize);

    /// A step is done.
    fn step(&mut self, moment: &Moment);

    /// The epoch is done, and so is the test after it.
    ///
    /// # Errors
    /// [`ReportError`].
    fn epoch_ends(&mut self, end: &EpochEnd) -> Result<(), ReportError>;

    /// The epoch will not be finished.
    fn epoch_breaks(&mut self) {}

    /// Something to tell the user; gives whether it was told.
    fn note(&mut self, _text: &str) -> bool {
        false
    }
}

/// Any number of them.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn epoch_begins(&mut self, epoch: usize, done: usize) {
        self.iter_mut().for_each(|o| o.epoch_begins(epoch, done));
    }

    fn step(&mut self, moment: &Moment) {
        self.iter_mut().for_each(|o| o.step(moment));
    }

    fn epoch_ends(&mut self, end: &EpochEnd) -> Result<(), ReportError> {
        self.iter_mut().try_for_each(|o| o.epoch_ends(end))
    }

    fn epoch_breaks(&mut self) {
        self.iter_mut().for_each(|o| o.epoch_breaks());
    }

    fn note(&mut self, text: &str) -> bool {
        self.iter_mut().any(|o| o.note(text))
    }
}
