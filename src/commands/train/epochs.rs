//! The epochs of a run, and what they leave in its folder.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::json;

use super::options::Every;
use super::watch::Watch;
use crate::commands::costs::Costs;
use crate::commands::{CommandError, RunFolder};
use crate::gpu::Gpu;
use crate::model::{Metadata, ModelError, Network, Weights};
use crate::names::printable;
use crate::report::{Epoch, EpochEnd, History, Mistake, Moment, Observer, curves, largest};
use crate::training::{Answers, Checkpoint, Ended, Images, Running, Trainer, answer};

/// What an epoch, a checkpoint and the end leave in the run folder.
pub(super) struct Keeper<'a> {
    pub run: &'a RunFolder,
    pub metadata: &'a Metadata,
    pub network: &'a Network,
    pub costs: &'a Costs,
    pub watch: &'a mut Watch,
}

impl Keeper<'_> {
    fn save(&self, gpu: &Gpu, weights: &Weights, history: &History, kept: Kept) -> Result<(), CommandError> {
        if kept.model {
            weights.save(self.metadata, &self.run.file("model.safetensors"))?;
        }
        if kept.best {
            weights.save(self.metadata, &self.run.file("best.safetensors"))?;
        }
        history.write(&self.run.file("history.csv"))?;
        self.costs.write(self.run, gpu)?;
        Ok(curves::write(history, &self.run.path().display().to_string(), &self.run.file("curves.png"))?)
    }

    /// The weights, or their average where one is kept, and what `look` sees with them in their place.
    fn seen<T>(
        &self,
        trainer: &Trainer,
        look: impl FnOnce() -> Result<T, ModelError>,
    ) -> Result<(Weights, T), CommandError> {
        self.network.averaged(|| Ok((self.weights(trainer)?, look()?)))
    }

    /// The weights, which are worth keeping only if they are finite: they may not be though all losses were, since a step's
    /// loss is that of the weights before it.
    fn weights(&self, trainer: &Trainer) -> Result<Weights, CommandError> {
        let weights = self.network.weights()?;
        match weights.are_finite() {
            true => Ok(weights),
            false => Err(self.diverged(trainer, format!("the weights after step {} are", trainer.position.step))),
        }
    }

    fn checkpoint(&self, trainer: &Trainer, history: &History) -> Result<(), CommandError> {
        let (weights, optimizer) = (self.weights(trainer)?, self.network.optimizer_state()?);
        if ![&optimizer.first, &optimizer.second].into_iter().flatten().all(Weights::are_finite) {
            return Err(self.diverged(trainer, format!("the moments after step {} are", trainer.position.step)));
        }
        let about = json!({ "history": history.0 });
        let average = self.network.average()?;
        let checkpoint = Checkpoint { position: trainer.position.clone(), weights, optimizer, average, about };
        self.run.write_checkpoint(&checkpoint)
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
    let history = serde_json::from_value(checkpoint.about["history"].clone());
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
                    let (weights, ()) = keeper.seen(trainer, || Ok(()))?;
                    // With patience, it is the model of the best epoch that counts, once there is one.
                    let model = course.patience.is_none() || history.0.is_empty();
                    keeper.save(gpu, &weights, &history, Kept { model, best: false })?;
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
        let (weights, answers) = keeper.seen(trainer, || answer(gpu, keeper.network, test, course.flip_average))?;
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
        keeper.save(gpu, &weights, &history, Kept { model, best: is_best })?;
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
