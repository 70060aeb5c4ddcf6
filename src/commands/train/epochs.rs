//! The epochs of a run, and what they leave in its folder.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::json;

use super::options::Every;
use super::watch::Watch;
use crate::commands::costs::Costs;
use crate::commands::{CommandError, RunFolder};
use crate::gpu::Gpu;
use crate::model::{Held, Metadata, ModelError, Network, Numbers};
use crate::names::printable;
use crate::report::{Epoch, EpochEnd, History, Mistake, Moment, Observer, curves, largest};
use crate::training::{Answers, Checkpoint, Ended, Images, Running, State, Trainer, answer};

/// What an epoch, a checkpoint and the end leave in the run folder.
pub(super) struct Keeper<'a> {
    pub run: &'a RunFolder,
    pub metadata: &'a Metadata,
    pub network: &'a Network,
    pub costs: &'a Costs,
    pub watch: &'a mut Watch,
}

impl Keeper<'_> {
    /// Writes the weights, or their average where one is kept, and what has been told of the epochs.
    fn save(&self, gpu: &Gpu, trainer: &Trainer, history: &History, kept: Kept) -> Result<(), CommandError> {
        let names = [(kept.model, "model.safetensors"), (kept.best, "best.safetensors")];
        for (_, name) in names.into_iter().filter(|(wanted, _)| *wanted) {
            let saved = self.metadata.save(&self.network.result(), &self.run.file(name));
            saved.map_err(|error| self.named(trainer, error.into()))?;
        }
        history.write(&self.run.file("history.csv"))?;
        self.costs.write(self.run, gpu)?;
        Ok(curves::write(history, &self.run.path().display().to_string(), &self.run.file("curves.png"))?)
    }

    fn checkpoint(&self, trainer: &Trainer, history: &History) -> Result<(), CommandError> {
        let state = State { position: trainer.position.clone(), about: json!({ "history": history.0 }) };
        let all = Held::ALL.into_iter().filter_map(|held| Some((held, self.network.held(held)?)));
        let all: Vec<_> = all.collect();
        let parts: Vec<(Held, &dyn Numbers)> = all.iter().map(|(held, numbers)| (*held, numbers as _)).collect();
        let written = self.run.write_checkpoint(&self.metadata.network, &state, &parts);
        written.map_err(|error| self.named(trainer, error))
    }

    /// Numbers that are not finite are not worth keeping, and may have come though all losses were finite, since a step's
    /// loss is that of the weights before it.
    fn named(&self, trainer: &Trainer, error: CommandError) -> CommandError {
        match error {
            CommandError::Model(ModelError::NotFinite { tensor }) => {
                self.diverged(trainer, format!("after step {}, numbers of {tensor} are", trainer.position.step))
            }
            other => other,
        }
    }

    fn diverged(&self, trainer: &Trainer, what: String) -> CommandError {
        let run = self.run.path().display();
        let learning_rate = trainer.schedule.learning_rate;
        let kept = match self.run.has_checkpoint() {
            true => format!(
                "The last good checkpoint is kept: glowworm train --resume {run} --learning-rate {} goes on from it",
                learning_rate / 10.0
            ),
            false => "It happened before the first checkpoint, so there is nothing to keep".to_owned(),
        };
        CommandError::Diverged { what, learning_rate, kept }
    }
}

/// Which models to write.
#[derive(Clone, Copy)]
struct Kept {
    /// `model.safetensors`.
    model: bool,
    /// `best.safetensors`.
    best: bool,
}

/// The history that [`Keeper`] put into a checkpoint.
///
/// # Errors
/// [`CommandError::Usage`] for a checkpoint that something else has written.
pub(super) fn history_of(checkpoint: &Checkpoint) -> Result<History, CommandError> {
    let history = serde_json::from_value(checkpoint.state.about["history"].clone());
    history.map(History).map_err(|e| CommandError::Usage(format!("the checkpoint's history cannot be read: {e}")))
}

/// When the next checkpoint is due.
struct Due {
    every: Every,
    last_step: u64,
    last_time: Instant,
}

impl Due {
    fn is_now(&self, step: u64) -> bool {
        match self.every {
            Every::Steps(count) => step - self.last_step >= count,
            Every::Seconds(count) => self.last_time.elapsed().as_secs() >= count,
        }
    }
}

/// How the epochs are to go.
pub(super) struct Course<'a> {
    pub epochs: usize,
    /// Whether test pictures are answered together with their mirror images.
    pub flip_average: bool,
    /// Epochs without a lower test loss after which to end.
    pub patience: Option<u32>,
    pub checkpoint_every: Every,
    pub stop: &'a AtomicBool,
    /// The test pictures' files, below the data folder.
    pub test_files: &'a [String],
    pub observer: &'a mut dyn Observer,
}

/// The wrong answers, the surest first.
fn mistakes(answers: &Answers, labels: &[u32], files: &[String]) -> Vec<Mistake> {
    let all = answers.probabilities.iter().zip(labels).zip(files);
    let answered = all.map(|((row, label), file)| {
        let said = largest(row);
        Mistake { file: file.clone(), said, probability: f64::from(row[said]), label: *label as usize }
    });
    let mut wrong: Vec<Mistake> = answered.filter(|m| m.said != m.label).collect();
    wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    wrong
}

/// Trains from where `trainer` stands to the end of the last epoch; `history` holds the epochs before.
pub(super) fn train_epochs(
    gpu: &Gpu,
    trainer: &mut Trainer,
    test: &mut Images,
    keeper: &mut Keeper,
    mut history: History,
    course: &mut Course,
) -> Result<History, CommandError> {
    let accuracies = history.0.iter().filter_map(|e| e.val_accuracy);
    let mut best = accuracies.fold(f64::NEG_INFINITY, f64::max);
    let mut due = Due { every: course.checkpoint_every, last_step: trainer.position.step, last_time: Instant::now() };
    while trainer.position.epoch as usize <= course.epochs && !history.has_lost_patience(course.patience) {
        let epoch = trainer.position.epoch as usize;
        let start = Instant::now();
        course.observer.epoch_begins(epoch, trainer.position.batches);
        let first = trainer.position.step - trainer.position.batches as u64;
        let running = loop {
            let pause = |step| due.is_now(step);
            let tell = |done: usize, means: &Running| {
                let (loss, accuracy) = (means.loss(), means.accuracy());
                course.observer.step(&Moment { step: first + done as u64, done, loss, accuracy });
            };
            match trainer.epoch(course.stop, pause, tell)? {
                Ended::Whole(running) => break running,
                Ended::Paused => {
                    keeper.checkpoint(trainer, &history)?;
                    (due.last_step, due.last_time) = (trainer.position.step, Instant::now());
                }
                Ended::Stopped => {
                    course.observer.epoch_breaks();
                    // What the unfinished epoch has learnt is kept as the last model; history holds whole epochs only.
                    keeper.checkpoint(trainer, &history)?;
                    // With patience, it is the model of the best epoch that counts, once there is one.
                    let model = course.patience.is_none() || history.0.is_empty();
                    keeper.save(gpu, trainer, &history, Kept { model, best: false })?;
                    return Err(CommandError::Stopped);
                }
                Ended::NotFinite(step) => {
                    course.observer.epoch_breaks();
                    if due.last_step == step {
                        keeper.run.reject_last_checkpoint()?;
                    }
                    return Err(keeper.diverged(trainer, format!("the loss of step {} is", step + 1)));
                }
            }
        };
        let answers = keeper.network.averaged(|| answer(gpu, keeper.network, test, course.flip_average))?;
        if !answers.running.loss().is_finite() {
            return Err(keeper.diverged(trainer, format!("the test loss of epoch {epoch} is")));
        }
        let learning_rate = trainer.schedule.at(trainer.position.step.saturating_sub(1));
        let entry = Epoch {
            epoch,
            loss: running.loss(),
            accuracy: running.accuracy(),
            val_loss: Some(answers.running.loss()),
            val_accuracy: Some(answers.running.accuracy()),
            seconds: start.elapsed().as_secs_f64(),
            learning_rate: Some(learning_rate),
        };
        let mistakes = mistakes(&answers, test.labels(), course.test_files);
        let end = EpochEnd { epoch: &entry, step: trainer.position.step, learning_rate, mistakes: &mistakes };
        course.observer.epoch_ends(&end)?;
        history.0.push(entry);
        // The best epoch is the one with the highest accuracy on the test pictures; of equals, the first.
        let is_best = answers.running.accuracy() > best;
        best = best.max(answers.running.accuracy());
        let is_lowest = history.lowest_loss().is_some_and(|lowest| lowest.epoch == epoch);
        let model = course.patience.is_none() || is_lowest;
        keeper.save(gpu, trainer, &history, Kept { model, best: is_best })?;
        let is_last = epoch == course.epochs || history.has_lost_patience(course.patience);
        if due.is_now(trainer.position.step) || is_last {
            keeper.checkpoint(trainer, &history)?;
            (due.last_step, due.last_time) = (trainer.position.step, Instant::now());
        }
        if let Some(changes) = keeper.watch.changes() {
            let changes = printable(&changes);
            if !course.observer.note(&changes) {
                eprintln!("note     {changes}");
            }
        }
    }
    Ok(history)
}
