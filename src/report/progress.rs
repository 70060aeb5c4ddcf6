//! The progress of an epoch as people know it from Keras, and of other long work.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{EpochEnd, Moment, Observer, ReportError};

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A bar that moves: for terminals.
    Bar,
    /// One line an epoch: for files and pipes.
    Plain,
    /// Nothing.
    Quiet,
}

impl Output {
    /// A bar on a terminal, lines elsewhere, nothing if `quiet`.
    pub fn detect(quiet: bool) -> Output {
        match (quiet, std::io::stdout().is_terminal()) {
            (true, _) => Output::Quiet,
            (false, true) => Output::Bar,
            (false, false) => Output::Plain,
        }
    }
}

fn bar(length: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stdout_with_hz(10));
    // The templates below are valid; the default style would do as well.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// The lines of a training's epochs.
pub struct EpochProgress {
    output: Output,
    epochs: usize,
    steps: usize,
    /// When the epoch began here, and after how many of its steps.
    start: (Instant, usize),
    bar: Option<ProgressBar>,
}

impl EpochProgress {
    /// For a training of so many epochs, each of so many steps.
    pub fn new(output: Output, epochs: usize, steps: usize) -> EpochProgress {
        EpochProgress { output, epochs, steps, start: (Instant::now(), 0), bar: None }
    }
}

impl Observer for EpochProgress {
    fn epoch_begins(&mut self, epoch: usize, done: usize) {
        self.start = (Instant::now(), done);
        self.bar = (self.output == Output::Bar).then(|| {
            println!("Epoch {epoch}/{}", self.epochs);
            bar(self.steps, "{pos}/{len} {bar:20.green/dim} {msg}")
        });
    }

    fn step(&mut self, moment: &Moment) {
        let Some(bar) = &self.bar else { return };
        let (start, before) = self.start;
        let each = start.elapsed().as_secs_f64() / moment.done.saturating_sub(before).max(1) as f64;
        let left = each * self.steps.saturating_sub(moment.done) as f64;
        bar.set_message(format!(
            "{left:.0}s left  {:.1}ms/step  loss: {:.4}  accuracy: {:.4}",
            1e3 * each,
            moment.loss,
            moment.accuracy
        ));
        bar.set_position(moment.done as u64);
    }

    /// Ends the line with the epoch's figures.
    fn epoch_ends(&mut self, end: &EpochEnd) -> Result<(), ReportError> {
        let epoch = end.epoch;
        let value = |name: &str, v: Option<f64>| v.map_or(String::new(), |v| format!("  {name}: {v:.4}"));
        let figures = format!(
            "loss: {:.4}  accuracy: {:.4}{}{}",
            epoch.loss,
            epoch.accuracy,
            value("val_loss", epoch.val_loss),
            value("val_accuracy", epoch.val_accuracy)
        );
        match (self.bar.take(), self.output) {
            (Some(bar), _) => {
                // The last line is printed rather than drawn, so that a narrow terminal wraps it in place of cutting it.
                let each = 1e3 * epoch.seconds / self.steps.max(1) as f64;
                bar.finish_and_clear();
                println!("{0}/{0} {1} {2:.2}s  {each:.1}ms/step  {figures}", self.steps, "━".repeat(20), epoch.seconds);
            }
            (None, Output::Plain) => {
                println!("epoch {}/{}  {:.2}s  {figures}", epoch.epoch, self.epochs, epoch.seconds)
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves the line as it is.
    fn epoch_breaks(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

/// Progress of counted work: call it with the number done. It appears on terminals, when the work lasts.
pub fn counter(output: Output, label: &str, total: usize) -> impl Fn(usize) + Sync {
    let bar = (output == Output::Bar)
        .then(|| bar(total, &format!("{label} {{pos}}/{{len}} {{bar:30.green/dim}} {{eta}} left")));
    let start = Instant::now();
    move |done| {
        let Some(bar) = &bar else { return };
        if done >= total {
            bar.finish_and_clear();
        } else if start.elapsed() > Duration::from_millis(400) {
            bar.set_position(done as u64);
        }
    }
}
