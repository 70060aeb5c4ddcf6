//! `glowworm train`: from a folder of pictures to a run folder, or on with a run that was interrupted.

mod doubts;
mod epochs;
mod find_rate;
mod fine_tune;
mod folds;
mod ledger;
mod options;
mod prepare;
mod screening;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use epochs::{Course, Keeper, history_of, train_epochs};
pub(super) use ledger::count_trained;
pub use options::{TrainArgs, read_augmentation};
use prepare::{Prepared, prepare, start, take_up};
use watch::Watch;

use super::costs::Costs;
use super::{CommandError, RunFolder, Settings, report};
use crate::data::Pixels;
use crate::gpu::{Gpu, GpuError};
use crate::model::{Metadata, Network};
use crate::names::printable;
use crate::report::dashboard::{self, About, Dashboard};
use crate::report::{Epoch, EpochProgress, History, Leakage, Observer, Output, TensorBoard};
use crate::training::{Checkpoint, Images, Recipe, Sampling, Schedule, Trainer, answer};

/// A device that is lost more often than this in one run will not carry it to its end.
const MOST_LOSSES: u32 = 3;

/// Prints a line unless `--quiet`.
struct Say(bool);

impl Say {
    fn line(&self, text: impl std::fmt::Display) {
        if !self.0 {
            println!("{}", printable(&text.to_string()));
        }
    }
}

/// What the user asked for, and how to tell and be told.
#[derive(Clone, Copy)]
struct Asked<'a> {
    args: &'a TrainArgs,
    output: Output,
    say: &'a Say,
    stop: &'static AtomicBool,
}

/// The folder of the set that the program draws itself, drawn if it is not there yet.
///
/// # Errors
/// [`CommandError::Data`].
pub(super) fn default_pictures() -> Result<PathBuf, CommandError> {
    prepare::drawn_set(Output::detect(false), &Say(false))
}

/// Trains.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &TrainArgs) -> Result<(), CommandError> {
    run_on(args, &|| args.device.open())
}

/// Trains on the device that `open` gives, and asks it for another when that is lost.
///
/// # Errors
/// [`CommandError`].
#[doc(hidden)]
pub fn run_on(args: &TrainArgs, open: &dyn Fn() -> Result<Gpu, GpuError>) -> Result<(), CommandError> {
    let say = Say(args.quiet);
    let output = Output::detect(args.quiet);
    if args.tui && !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        let text =
            "--tui draws on a terminal, and there is none here: leave it away, and follow the lines that are printed";
        return Err(CommandError::Usage(text.to_owned()));
    }
    if args.resume.is_none() {
        args.recipe()?;
    }
    // The adapter comes first: without one, nothing else is worth the user's time.
    let mut gpu = open()?;
    say.line(format_args!("adapter  {} ({}, {})", gpu.summary().name, gpu.summary().kind, gpu.summary().backend));
    if args.find_lr {
        let prepared = prepare(args, &gpu, output, &say)?;
        return find_rate::run(&Asked { args, output, say: &say, stop: stop_on_interrupt() }, &gpu, prepared);
    }
    let (run, _lock, mut prepared) = match &args.resume {
        Some(path) => {
            let run = RunFolder::open_unfinished(path)?;
            let lock = run.lock()?;
            let prepared = take_up(args, &run, &gpu, output, &say)?;
            (run, lock, prepared)
        }
        None => start(args, &gpu, output, &say)?,
    };
    say.line(format_args!("run      {}", run.path().display()));
    let asked = Asked { args, output, say: &say, stop: stop_on_interrupt() };
    let costs = Costs::start(&run);
    let in_folds = prepared.settings.folds.is_some();
    for loss in 1.. {
        let error = match learn(&asked, &gpu, &run, &costs, prepared) {
            // A cross-validation has a page of its own.
            Ok(()) if in_folds => return Ok(()),
            Ok(()) => return make_report(&asked, run, gpu),
            Err(error) => error,
        };
        if matches!(error, CommandError::Stopped) {
            let path = run.path().display();
            let holds = if in_folds { "the folds" } else { "the model" };
            say.line(format_args!("stopped; {path} holds {holds} so far, and glowworm train --resume {path} goes on"));
            if in_folds {
                return Err(error);
            }
            make_report(&asked, run, gpu)?;
            return Err(error);
        }
        if !error.is_lost_device() || loss > MOST_LOSSES {
            return Err(error.of_run(&run));
        }
        // A run whose device was lost is a run that was interrupted: it is taken up in the same way.
        say.line(format_args!("note     {error}; it is opened again (loss {loss}, of {MOST_LOSSES} at most)"));
        // What the lost one still holds may be what the next lacks.
        drop(gpu);
        std::thread::sleep(Duration::from_secs(1));
        gpu = open().map_err(|e| CommandError::from(e).of_run(&run))?;
        prepared = take_up(args, &run, &gpu, output, &say)?;
    }
    Ok(())
}

/// Writes the report. Of a run that was stopped it does without heatmaps, which take time.
fn make_report(asked: &Asked, run: RunFolder, gpu: Gpu) -> Result<(), CommandError> {
    let Asked { args, output, say, stop } = *asked;
    if args.no_report {
        return Ok(());
    }
    let path = report::write(run, gpu, &report::Wanted { best: false, samples: report::SAMPLES, output, stop })?;
    say.line(format_args!("report   {}", path.display()));
    if args.open { report::open(&path) } else { Ok(()) }
}

/// Trains what the run is to train, and sums it up.
fn learn(asked: &Asked, gpu: &Gpu, run: &RunFolder, costs: &Costs, prepared: Prepared) -> Result<(), CommandError> {
    if let Some(count) = prepared.settings.folds {
        return folds::learn(asked, gpu, run, costs, prepared, count);
    }
    let leaked = prepared.report.as_ref().map_or_else(Vec::new, |report| report.leaked(&prepared.test.paths));
    let Prepared { settings, classes, network, train, test, mut watch, .. } = prepared;
    let (classes, watch) = (&classes, &mut watch);
    let lesson = Lesson { settings: &settings, classes, network: &network, train, test, watch };
    let (history, mut test) = teach(asked, gpu, run, costs, lesson)?;
    summarize(&history, &settings.recipe, run, asked.say);
    if leaked.contains(&true) {
        // What is kept may be an average, or of an earlier epoch.
        network.load(&run.weights(false)?)?;
        let labels: Vec<usize> = test.labels().iter().map(|label| *label as usize).collect();
        let answers = answer(gpu, &network, &mut test, settings.recipe.flip_average)?;
        if let Some(leakage) = Leakage::new(classes, &labels, &answers.probabilities, &leaked) {
            asked.say.line(format_args!("\n{leakage}"));
        }
    }
    Ok(())
}

/// A network with the weights of the beginning, the pictures that it is to learn from, and those to measure it on.
struct Lesson<'a> {
    settings: &'a Settings,
    classes: &'a [String],
    network: &'a Network,
    train: Pixels,
    test: Pixels,
    watch: &'a mut Watch,
}

/// Trains from the folder's last checkpoint, or from the beginning; gives the epochs, and the pictures to measure on.
fn teach(
    asked: &Asked,
    gpu: &Gpu,
    run: &RunFolder,
    costs: &Costs,
    lesson: Lesson,
) -> Result<(History, Images), CommandError> {
    let Asked { args, say, stop, .. } = *asked;
    let Lesson { settings, classes, network, train, test, watch } = lesson;
    let spec = &settings.network;
    let (checkpoint, notes) = run.checkpoint(spec)?;
    notes.iter().for_each(|note| say.line(format_args!("note     {note}")));
    let metadata = Metadata { classes: classes.to_vec(), network: spec.clone() };
    let history = match &checkpoint {
        Some(checkpoint) => go_on(run, &settings.recipe, checkpoint, network, say)?,
        None => History::default(),
    };
    let below = |path: &PathBuf| printable(&path.strip_prefix(&settings.data).unwrap_or(path).display().to_string());
    let test_files: Vec<String> = test.paths.iter().map(below).collect();
    let budget = args.image_memory.map(|mib| mib << 20);
    let on_device = |p: Pixels, batch: usize| Images::new(gpu, p.bytes, p.labels, batch, budget);
    let staged = network.batch() * settings.recipe.augmentation.pictures_in_a_row();
    let (mut train, mut test) = (on_device(train, staged)?, on_device(test, network.batch())?);
    if !train.are_resident() {
        say.line("         the pictures do not fit the device's memory at once and are streamed");
    }
    let recipe = &settings.recipe;
    let batch = recipe.batch_size as usize;
    let steps = recipe.epochs * train.len().div_ceil(batch);
    let schedule = Schedule::new(recipe.learning_rate, recipe.schedule, steps as u64);
    let goal = recipe.goal(train.labels(), spec.classes);
    let mut trainer = Trainer::new(gpu, network, &mut train, batch, recipe.augmentation, recipe.optimizer, schedule)?;
    trainer.seed = settings.seed;
    trainer.weight_decay = recipe.weight_decay;
    trainer.average = recipe.average;
    trainer.goal = goal;
    trainer.balance = recipe.sampling == Sampling::Balanced;
    trainer.position = checkpoint.map(|c| c.state.position).unwrap_or_default();
    let mut keeper = Keeper { run, metadata: &metadata, network, costs, watch };
    let about = About {
        title: printable(&run.path().display().to_string()),
        adapter: gpu.summary().name.clone(),
        classes: metadata.classes.clone(),
        epochs: recipe.epochs,
        steps: trainer.steps_per_epoch(),
        pictures: trainer.pictures(),
    };
    let mut observers = observers(asked, run, about, &history, trainer.position.step)?;
    let mut course = Course {
        epochs: recipe.epochs,
        flip_average: recipe.flip_average,
        patience: recipe.early_stopping,
        checkpoint_every: args.checkpoint_every,
        stop,
        test_files: &test_files,
        observer: &mut observers,
    };
    let history = train_epochs(gpu, &mut trainer, &mut test, &mut keeper, history, &mut course)?;
    // A dashboard gives the terminal back.
    drop(observers);
    Ok((history, test))
}

/// Those whom the user wants to be told of the training.
fn observers(
    asked: &Asked,
    run: &RunFolder,
    about: About,
    history: &History,
    step: u64,
) -> Result<Vec<Box<dyn Observer>>, CommandError> {
    let mut observers: Vec<Box<dyn Observer>> = Vec::new();
    if asked.args.tensorboard {
        observers.push(Box::new(TensorBoard::create(&run.file("tensorboard"), step)?));
    }
    observers.push(match asked.args.tui {
        true => Box::new(Dashboard::open(about, history, asked.stop)?),
        false => Box::new(EpochProgress::new(asked.output, about.epochs, about.steps)),
    });
    Ok(observers)
}

/// Loads what a checkpoint holds, and gives the epochs so far.
fn go_on(
    run: &RunFolder,
    recipe: &Recipe,
    checkpoint: &Checkpoint,
    network: &Network,
    say: &Say,
) -> Result<History, CommandError> {
    let position = &checkpoint.state.position;
    let history = history_of(checkpoint)?;
    if let Some(patience) = recipe.early_stopping.filter(|_| history.has_lost_patience(recipe.early_stopping)) {
        return Err(CommandError::Usage(format!(
            "{} has ended early: its test loss has not fallen for {patience} epochs; --early-stopping {} would go on",
            run.path().display(),
            2 * patience,
        )));
    }
    if position.epoch as usize > recipe.epochs {
        return Err(CommandError::Usage(format!(
            "{} has done its {} epochs; --epochs {} would go on to more",
            run.path().display(),
            position.epoch - 1,
            2 * (position.epoch - 1),
        )));
    }
    checkpoint.load_into(network)?;
    say.line(format_args!("resumed  in epoch {}, after {} steps", position.epoch, position.step));
    Ok(history)
}

fn summarize(history: &History, recipe: &Recipe, run: &RunFolder, say: &Say) {
    let best = history.0.iter().fold(None::<&Epoch>, |best, e| match best {
        Some(b) if b.val_accuracy >= e.val_accuracy => Some(b),
        _ => Some(e),
    });
    if let (Some(best), Some(last)) = (best, history.0.last()) {
        let percent = |v: Option<f64>| 100.0 * v.unwrap_or(0.0);
        say.line(format_args!(
            "\ntest accuracy {:.1} % after the last epoch; the best was epoch {} with {:.1} %",
            percent(last.val_accuracy),
            best.epoch,
            percent(best.val_accuracy),
        ));
        if let (Some(_), Some(lowest)) = (recipe.early_stopping, history.lowest_loss()) {
            let early = if history.0.len() < recipe.epochs { "ended early; " } else { "" };
            say.line(format_args!(
                "{early}the model kept is that of epoch {}, whose test loss is the lowest, with {:.1} %",
                lowest.epoch,
                percent(lowest.val_accuracy),
            ));
        }
        let run = run.path().display();
        say.line(format_args!(
            "look at {run}/curves.png; next: glowworm evaluate {run}, glowworm predict {run} PICTURE"
        ));
    }
}

/// Ctrl-C sets the flag, as do SIGTERM and SIGHUP; a second one ends the program at once.
fn stop_on_interrupt() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    STOP.store(false, Ordering::Relaxed);
    let set = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            dashboard::leave();
            std::process::exit(130);
        }
        // A dashboard says it itself.
        if !dashboard::is_open() {
            eprintln!("\nending after what is under way; press Ctrl-C again to end at once");
        }
    });
    // A process that trains twice has set it before.
    if let Err(error) = set.or_else(|e| if matches!(e, ctrlc::Error::MultipleHandlers) { Ok(()) } else { Err(e) }) {
        eprintln!("Ctrl-C will end the program at once, without saving: {error}");
    }
    &STOP
}
