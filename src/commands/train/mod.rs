//! `glowworm train`: from a folder of pictures to a run folder, or on with a run that was interrupted.

mod epochs;
mod ledger;
mod options;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use epochs::{Course, Keeper, history_of, train_epochs};
use ledger::Ledger;
pub use options::{OptimizerName, TrainArgs};

use super::{CommandError, RunFolder, Settings};
use crate::data::{self, Dataset, DecodeOptions, OpenOptions, Pixels, Sample};
use crate::explain::background_sample;
use crate::gpu::Gpu;
use crate::model::{Metadata, Network, Weights, fit};
use crate::report::{Epoch, History, Output, progress};
use crate::training::{Checkpoint, Images, Schedule, Trainer};

/// The drawn set's place and seed.
const DEFAULT_DATA: &str = "data/insects";
const DRAWN_SEED: u64 = 1;

/// Prints a line unless `--quiet`.
struct Say(bool);

impl Say {
    fn line(&self, text: impl std::fmt::Display) {
        if !self.0 {
            println!("{text}");
        }
    }
}

/// Trains.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &TrainArgs) -> Result<(), CommandError> {
    let say = Say(args.quiet);
    let output = Output::detect(args.quiet);
    if args.resume.is_none() {
        args.check()?;
    }
    // The adapter comes first: without one, nothing else is worth the user's time.
    let gpu = args.device.open()?;
    say.line(format_args!("adapter  {} ({}, {})", gpu.summary().name, gpu.summary().kind, gpu.summary().backend));
    let (run, prepared) = match &args.resume {
        Some(path) => resume(args, path, &gpu, output, &say)?,
        None => start(args, &gpu, output, &say)?,
    };
    let _lock = run.lock()?;
    say.line(format_args!("run      {}", run.path().display()));
    learn(args, &gpu, &run, prepared, output, &say)
}

/// What a training needs before its first step.
struct Prepared {
    settings: Settings,
    classes: Vec<String>,
    train: Pixels,
    test: Pixels,
}

impl Prepared {
    /// Opens and decodes the pictures that the settings name.
    fn new(
        settings: Settings,
        dataset: Dataset,
        strict: bool,
        output: Output,
        say: &Say,
    ) -> Result<Prepared, CommandError> {
        let side = settings.image_size as usize;
        let options = DecodeOptions { height: side, width: side, strict, masks: settings.masks.clone() };
        let train = decode(&dataset.train, &options, output, "training pictures", say)?;
        let test = decode(&dataset.test, &options, output, "test pictures", say)?;
        say.line(format_args!(
            "data     {}: {} to train, {} to test, {} classes ({})",
            settings.data.display(),
            train.labels.len(),
            test.labels.len(),
            dataset.classes.len(),
            dataset.classes.join(", "),
        ));
        Ok(Prepared { settings, classes: dataset.classes, train, test })
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(&self.settings.data, &self.train, &self.test)
    }
}

/// A new run: its folder, with all that does not change in training.
fn start(args: &TrainArgs, gpu: &Gpu, output: Output, say: &Say) -> Result<(RunFolder, Prepared), CommandError> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => drawn_set(output, say)?,
    };
    let options = OpenOptions {
        validation_split: args.validation_split,
        seed: args.seed,
        exclude_duplicates_of_test: args.exclude_duplicates_of_test,
    };
    let dataset = open_data(&folder, &options, say)?;
    let settings = args.settings(folder, gpu, dataset.classes.len() as u32)?;
    fit(gpu, &settings.network, settings.batch_size, true)?;
    let prepared = Prepared::new(settings, dataset, args.strict, output, say)?;
    let run = RunFolder::create(args.out.as_deref(), &run_name(&prepared.settings.data))?;
    run.write_settings(&prepared.settings)?;
    prepared.ledger().write(&run)?;
    write_background(args, &run, &prepared)?;
    Ok((run, prepared))
}

/// An interrupted run, with the settings and the pictures that it began with.
fn resume(
    args: &TrainArgs,
    path: &Path,
    gpu: &Gpu,
    output: Output,
    say: &Say,
) -> Result<(RunFolder, Prepared), CommandError> {
    let run = RunFolder::open_unfinished(path)?;
    let mut settings = run.settings()?;
    settings.network.check()?;
    if let Some(epochs) = args.epochs {
        settings.epochs = epochs as usize;
    }
    if (&settings.adapter, &settings.driver) != (&gpu.summary().name, &gpu.summary().driver) {
        say.line(format_args!("note     the run began on {}: here its last bits may differ", settings.adapter));
    }
    let options = OpenOptions {
        validation_split: settings.validation_split,
        seed: settings.seed,
        exclude_duplicates_of_test: settings.exclude_duplicates_of_test,
    };
    let dataset = open_data(&settings.data, &options, say)?;
    fit(gpu, &settings.network, settings.batch_size, true)?;
    let prepared = Prepared::new(settings, dataset, false, output, say)?;
    prepared.ledger().check(&run, &prepared.settings.data)?;
    Ok((run, prepared))
}

/// Trains from the run's last checkpoint, or from the beginning.
fn learn(
    args: &TrainArgs,
    gpu: &Gpu,
    run: &RunFolder,
    prepared: Prepared,
    output: Output,
    say: &Say,
) -> Result<(), CommandError> {
    let Prepared { settings, classes, train, test } = prepared;
    let spec = &settings.network;
    let (checkpoint, notes) = run.checkpoint(spec)?;
    notes.iter().for_each(|note| say.line(format_args!("note     {note}")));
    let metadata = Metadata { classes, network: spec.clone() };
    let weights = checkpoint.as_ref().map_or_else(|| Weights::initial(spec, settings.seed), |c| c.weights.clone());
    let network = Network::new(gpu, spec, settings.batch_size, settings.optimizer.purpose(), &weights)?;
    let history = match &checkpoint {
        Some(checkpoint) => go_on(args, run, &settings, checkpoint, &network, say)?,
        None => History::default(),
    };
    let budget = args.image_memory.map(|mib| mib << 20);
    let on_device = |p: Pixels| Images::new(gpu, p.bytes, p.labels, settings.batch_size as usize, budget);
    let (mut train, mut test) = (on_device(train)?, on_device(test)?);
    if !train.are_resident() {
        say.line("         the pictures do not fit the device's memory at once and are streamed");
    }
    let stop = stop_on_interrupt();
    let schedule = Schedule { learning_rate: settings.learning_rate };
    let mut trainer = Trainer::new(gpu, &network, &mut train, settings.optimizer, schedule)?;
    trainer.seed = settings.seed;
    trainer.augment = settings.augment;
    trainer.position = checkpoint.map(|c| c.position).unwrap_or_default();
    let keeper = Keeper { run, metadata: &metadata, network: &network };
    let course = Course { epochs: settings.epochs, checkpoint_every: args.checkpoint_every, output, stop: &stop };
    let history = train_epochs(gpu, &mut trainer, &mut test, &keeper, history, &course)?;
    summarize(&history, run, say);
    Ok(())
}

/// Takes up what a checkpoint holds besides the weights, and gives the epochs so far.
fn go_on(
    args: &TrainArgs,
    run: &RunFolder,
    settings: &Settings,
    checkpoint: &Checkpoint,
    network: &Network,
    say: &Say,
) -> Result<History, CommandError> {
    network.load_optimizer_state(&checkpoint.optimizer)?;
    let position = &checkpoint.position;
    if position.epoch as usize > settings.epochs {
        return Err(CommandError::Usage(format!(
            "{} has done its {} epochs; --epochs {} would go on to more",
            run.path().display(),
            position.epoch - 1,
            2 * (position.epoch - 1),
        )));
    }
    if args.epochs.is_some() {
        run.write_settings(settings)?;
    }
    say.line(format_args!("resumed  in epoch {}, after {} steps", position.epoch, position.step));
    Ok(history_of(checkpoint))
}

/// Keeps some training pictures with the run, so that its answers can be explained without the training folder.
fn write_background(args: &TrainArgs, run: &RunFolder, prepared: &Prepared) -> Result<(), CommandError> {
    let train = &prepared.train;
    let chosen = background_sample(&train.labels, args.background as usize, prepared.settings.seed);
    let size = train.bytes.len() / train.labels.len();
    let pictures: Vec<u8> = chosen.into_iter().flat_map(|i| &train.bytes[i * size..(i + 1) * size]).copied().collect();
    let side = prepared.settings.image_size as usize;
    run.write_background(&pictures, side, side)
}

/// The set that the program draws itself, drawn if it is not there yet.
fn drawn_set(output: Output, say: &Say) -> Result<PathBuf, CommandError> {
    let folder = PathBuf::from(DEFAULT_DATA);
    let counter = progress::counter(output, "drawing the default pictures", data::drawn_count());
    if data::draw_default_set(&folder, DRAWN_SEED, &counter)? {
        say.line(format_args!("drawn    {} pictures of insects in {}", data::drawn_count(), folder.display()));
    }
    Ok(folder)
}

fn open_data(folder: &Path, options: &OpenOptions, say: &Say) -> Result<Dataset, CommandError> {
    let dataset = data::open(folder, options)?;
    dataset.notes.iter().for_each(|note| say.line(format_args!("note     {note}")));
    Ok(dataset)
}

fn decode(
    samples: &[Sample],
    options: &DecodeOptions,
    output: Output,
    label: &str,
    say: &Say,
) -> Result<Pixels, CommandError> {
    let pixels = data::decode(samples, options, &progress::counter(output, label, samples.len()))?;
    for (path, reason) in &pixels.skipped {
        say.line(format_args!("skipped  {}: {reason}", path.display()));
    }
    Ok(pixels)
}

/// The data folder's own name, for the run.
fn run_name(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn summarize(history: &History, run: &RunFolder, say: &Say) {
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
        let run = run.path().display();
        say.line(format_args!(
            "look at {run}/curves.png; next: glowworm evaluate {run}, glowworm predict {run} PICTURE"
        ));
    }
}

/// Ctrl-C sets the flag; a second one ends the program at once.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let set = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nending after this step; press Ctrl-C again to end at once");
    });
    if let Err(error) = set {
        eprintln!("Ctrl-C will end the program at once, without saving: {error}");
    }
    stop
}
