//! `glowworm train`: from a folder of pictures to a run folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::{CommandError, DeviceArgs, RunFolder, Settings};
use crate::data::{self, Dataset, DecodeOptions, OpenOptions, Pixels, Region, Sample};
use crate::explain::background_sample;
use crate::gpu::Gpu;
use crate::model::{Metadata, Network, NetworkSpec, Weights, fit};
use crate::report::{Epoch, EpochProgress, History, Output, curves, progress};
use crate::training::{Ended, Images, OptimizerSettings, Schedule, Trainer, answer};

/// The drawn set's place and seed.
const DEFAULT_DATA: &str = "data/insects";
const DRAWN_SEED: u64 = 1;

/// Names of the optimisers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OptimizerName {
    /// Adam, β 0.9 and 0.999
    Adam,
    /// Stochastic gradient descent
    Sgd,
    /// RMSprop, ρ 0.9
    Rmsprop,
}

/// Options of `train`.
#[derive(Args)]
pub struct TrainArgs {
    /// Folder with train/<class>/ and test/<class>/, or with the classes themselves [default: data/insects, drawn at the first run]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Side in pixels that pictures are resized to
    #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=4096))]
    image_size: u32,
    /// Times that every picture is seen
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Pictures in a step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch_size: u32,
    /// Learning rate [default: 0.001; 0.01 for sgd]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Optimiser
    #[arg(long, value_enum, default_value_t = OptimizerName::Adam)]
    optimizer: OptimizerName,
    /// Momentum of sgd
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    momentum: f32,
    /// Nesterov's form of the momentum
    #[arg(long)]
    nesterov: bool,
    /// Seed of the weights, the order, augmentation, dropout and split: the same seed on the same device gives the same bits
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Train on the pictures as they are, without flips and turns
    #[arg(long)]
    no_augment: bool,
    /// Share of the pictures kept for validation when there is no test folder
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, allow_negative_numbers = true)]
    validation_split: f64,
    /// Blank a part of every picture, in shares of its sides, lest the network learn from it (0.8,0.9,1,1 is the lower right
    /// corner); kept with the run, and done whenever it is used. May be given several times
    #[arg(long, value_name = "LEFT,TOP,RIGHT,BOTTOM")]
    mask: Vec<Region>,
    /// Leave out training files whose content also stands in the test folder
    #[arg(long)]
    exclude_duplicates_of_test: bool,
    /// Fail on the first picture that cannot be read, in place of naming and skipping it
    #[arg(long)]
    strict: bool,
    /// Folder for the run [default: runs/<data>-<number>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep pictures on the device only up to this many MiB, and stream them beyond it [default: what the adapter can bind]
    #[arg(long, value_name = "MIB")]
    image_memory: Option<u64>,
    /// Training pictures kept with the run as the background of explanations
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    background: u32,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

impl TrainArgs {
    fn optimizer(&self) -> Result<OptimizerSettings, CommandError> {
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(CommandError::Usage(format!(
                "--momentum {}: it must be at least 0 and below 1",
                self.momentum
            )));
        }
        match self.optimizer {
            OptimizerName::Sgd if self.nesterov && self.momentum == 0.0 => {
                Err(CommandError::Usage("--nesterov needs a --momentum, 0.9 for example".to_owned()))
            }
            OptimizerName::Sgd => Ok(OptimizerSettings::Sgd { momentum: self.momentum, nesterov: self.nesterov }),
            _ if self.momentum != 0.0 || self.nesterov => {
                Err(CommandError::Usage("--momentum and --nesterov belong to --optimizer sgd".to_owned()))
            }
            OptimizerName::Adam => Ok(OptimizerSettings::Adam),
            OptimizerName::Rmsprop => Ok(OptimizerSettings::RmsProp),
        }
    }

    fn learning_rate(&self, optimizer: OptimizerSettings) -> Result<f64, CommandError> {
        let rate = self.learning_rate.unwrap_or(optimizer.default_learning_rate());
        if !(rate.is_finite() && rate > 0.0) {
            return Err(CommandError::Usage(format!("--learning-rate {rate}: it must be a number above 0")));
        }
        Ok(rate)
    }
}

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
    let optimizer = args.optimizer()?;
    let learning_rate = args.learning_rate(optimizer)?;
    // The adapter comes first: without one, nothing else is worth the user's time.
    let gpu = args.device.open()?;
    say.line(format_args!("adapter  {} ({}, {})", gpu.summary().name, gpu.summary().kind, gpu.summary().backend));

    let (folder, dataset) = open_data(args, output, &say)?;
    let spec = NetworkSpec::reference(args.image_size, args.image_size, dataset.classes.len() as u32);
    fit(&gpu, &spec, args.batch_size, true)?;
    let train = decode(&dataset.train, args, output, "training pictures", &say)?;
    let test = decode(&dataset.test, args, output, "test pictures", &say)?;
    say.line(format_args!(
        "data     {}: {} to train, {} to test, {} classes ({})",
        folder.display(),
        train.labels.len(),
        test.labels.len(),
        dataset.classes.len(),
        dataset.classes.join(", "),
    ));

    let run = RunFolder::create(args.out.as_deref(), &run_name(&folder))?;
    run.write_settings(&Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: folder,
        image_size: args.image_size,
        epochs: args.epochs as usize,
        batch_size: args.batch_size,
        learning_rate,
        seed: args.seed,
        augment: !args.no_augment,
        validation_split: args.validation_split,
        masks: args.mask.clone(),
        exclude_duplicates_of_test: args.exclude_duplicates_of_test,
        adapter: gpu.summary().name.clone(),
        driver: gpu.summary().driver.clone(),
        optimizer,
        network: spec.clone(),
    })?;
    say.line(format_args!("run      {}", run.path().display()));

    let metadata = Metadata { classes: dataset.classes, network: spec.clone() };
    let weights = Weights::initial(&spec, args.seed);
    let network = Network::new(&gpu, &spec, args.batch_size, optimizer.purpose(), &weights)?;
    write_background(args, &run, &train)?;
    let budget = args.image_memory.map(|mib| mib << 20);
    let on_device = |p: Pixels| Images::new(&gpu, p.bytes, p.labels, args.batch_size as usize, budget);
    let (mut train, mut test) = (on_device(train)?, on_device(test)?);
    if !train.are_resident() {
        say.line("         the pictures do not fit the device's memory at once and are streamed");
    }
    let stop = stop_on_interrupt();
    let mut trainer = Trainer::new(&gpu, &network, &mut train, optimizer, Schedule { learning_rate })?;
    trainer.seed = args.seed;
    trainer.augment = !args.no_augment;
    let keeper = Keeper { run: &run, metadata: &metadata, network: &network };
    train_epochs(args, &gpu, &mut trainer, &mut test, &keeper, output, &stop)
        .inspect(|history| summarize(history, &run, &say))
        .map(|_| ())
}

/// Keeps some training pictures with the run, so that its answers can be explained without the training folder.
fn write_background(args: &TrainArgs, run: &RunFolder, train: &Pixels) -> Result<(), CommandError> {
    let chosen = background_sample(&train.labels, args.background as usize, args.seed);
    let size = train.bytes.len() / train.labels.len();
    let pictures: Vec<u8> = chosen.into_iter().flat_map(|i| &train.bytes[i * size..(i + 1) * size]).copied().collect();
    run.write_background(&pictures, args.image_size as usize, args.image_size as usize)
}

/// What an epoch leaves in the run folder.
struct Keeper<'a> {
    run: &'a RunFolder,
    metadata: &'a Metadata,
    network: &'a Network,
}

impl Keeper<'_> {
    fn save(&self, history: &History, is_best: bool) -> Result<(), CommandError> {
        let weights = self.network.weights()?;
        weights.save(self.metadata, &self.run.file("model.safetensors"))?;
        if is_best {
            weights.save(self.metadata, &self.run.file("best.safetensors"))?;
        }
        history.write(&self.run.file("history.csv"))?;
        Ok(curves::write(history, &self.run.path().display().to_string(), &self.run.file("curves.png"))?)
    }
}

fn train_epochs(
    args: &TrainArgs,
    gpu: &Gpu,
    trainer: &mut Trainer,
    test: &mut Images,
    keeper: &Keeper,
    output: Output,
    stop: &AtomicBool,
) -> Result<History, CommandError> {
    let mut history = History(Vec::new());
    let mut best = f64::NEG_INFINITY;
    for epoch in 1..=args.epochs as usize {
        let start = Instant::now();
        let mut bar = EpochProgress::new(output, epoch, args.epochs as usize, trainer.steps_per_epoch());
        let ended = trainer.epoch(epoch as u64, stop, |step, r| bar.step(step, r.loss(), r.accuracy()))?;
        let running = match ended {
            Ended::Whole(running) => running,
            Ended::Stopped => {
                bar.abandon();
                // What the unfinished epoch has learnt is kept as the last model; history holds whole epochs only.
                keeper.save(&history, false)?;
                if !args.quiet {
                    println!("stopped in epoch {epoch}; {} holds the model so far", keeper.run.path().display());
                }
                return Err(CommandError::Stopped);
            }
            Ended::NotFinite(step) => {
                bar.abandon();
                let kept = match history.0.len() {
                    0 => "No epoch was finished, so no model was kept.".to_owned(),
                    n => format!("The model of epoch {n} is kept in {}.", keeper.run.path().display()),
                };
                let learning_rate = trainer.schedule.learning_rate;
                return Err(CommandError::Diverged { step: step + 1, learning_rate, kept });
            }
        };
        let answers = answer(gpu, keeper.network, test)?;
        let entry = Epoch {
            epoch,
            loss: running.loss(),
            accuracy: running.accuracy(),
            val_loss: Some(answers.running.loss()),
            val_accuracy: Some(answers.running.accuracy()),
            seconds: start.elapsed().as_secs_f64(),
        };
        bar.finish(&entry);
        history.0.push(entry);
        // The best epoch is the one with the highest accuracy on the test pictures; of equals, the first.
        let is_best = answers.running.accuracy() > best;
        best = best.max(answers.running.accuracy());
        keeper.save(&history, is_best)?;
    }
    Ok(history)
}

fn open_data(args: &TrainArgs, output: Output, say: &Say) -> Result<(PathBuf, Dataset), CommandError> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => {
            let folder = PathBuf::from(DEFAULT_DATA);
            let counter = progress::counter(output, "drawing the default pictures", data::drawn_count());
            if data::draw_default_set(&folder, DRAWN_SEED, &counter)? {
                say.line(format_args!("drawn    {} pictures of insects in {}", data::drawn_count(), folder.display()));
            }
            folder
        }
    };
    let options = OpenOptions {
        validation_split: args.validation_split,
        seed: args.seed,
        exclude_duplicates_of_test: args.exclude_duplicates_of_test,
    };
    let dataset = data::open(&folder, &options)?;
    for note in &dataset.notes {
        say.line(format_args!("note     {note}"));
    }
    Ok((folder, dataset))
}

fn decode(
    samples: &[Sample],
    args: &TrainArgs,
    output: Output,
    label: &str,
    say: &Say,
) -> Result<Pixels, CommandError> {
    let side = args.image_size as usize;
    let options = DecodeOptions { height: side, width: side, strict: args.strict, masks: args.mask.clone() };
    let pixels = data::decode(samples, &options, &progress::counter(output, label, samples.len()))?;
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
