//! The options of `glowworm train`, and the settings that they make.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::commands::preview::read_augmentation;
use crate::commands::{CommandError, DeviceArgs, Settings};
use crate::data::{Region, Winner};
use crate::gpu::Gpu;
use crate::model::Architecture;
use crate::training::OptimizerSettings;

const DEFAULT_EPOCHS: u32 = 25;
const DEFAULT_IMAGE_SIZE: u32 = 64;

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After so many seconds.
    Seconds(u64),
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let (number, of): (&str, fn(u64) -> Every) = match text.strip_suffix('s') {
            Some(number) => (number, Every::Seconds),
            None => (text, Every::Steps),
        };
        match number.parse() {
            Ok(count) if count > 0 => Ok(of(count)),
            _ => Err("it must be a whole number of steps, 500, or of seconds, 30s".to_owned()),
        }
    }
}

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
    pub(super) data: Option<PathBuf>,
    /// Side in pixels that pictures are resized to [default: 64; with --from that of its network]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub(super) image_size: Option<u32>,
    /// Network to train: a built-in one (`glowworm model` lists them), or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "reference", conflicts_with = "from")]
    model: String,
    /// Times that every picture is seen [default: 25]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) epochs: Option<u32>,
    /// Pictures in a step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch_size: u32,
    /// Learning rate [default: 0.001; 0.01 for sgd]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(super) learning_rate: Option<f64>,
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
    pub(super) seed: u64,
    /// Train on the pictures as they are, without flips and turns
    #[arg(long)]
    no_augment: bool,
    /// Change the pictures as a TOML file says, in place of flips and turns; glowworm preview shows what it does
    #[arg(long, value_name = "FILE", conflicts_with = "no_augment")]
    augmentation: Option<PathBuf>,
    /// Share of the pictures kept for validation when there is no test folder
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, allow_negative_numbers = true)]
    pub(super) validation_split: f64,
    /// Blank a part of every picture, in shares of its sides, lest the network learn from it (0.8,0.9,1,1 is the lower right
    /// corner); kept with the run, and done whenever it is used. May be given several times
    #[arg(long, value_name = "LEFT,TOP,RIGHT,BOTTOM")]
    mask: Vec<Region>,
    /// Leave out pictures that stand, exactly or nearly, among the training and the test pictures, so that the score is an
    /// honest one
    #[arg(long, value_name = "WHO", conflicts_with = "no_check")]
    pub(super) exclude_leaks: Option<Winner>,
    /// Leave out the pictures that a text file names, a path a line
    #[arg(long, value_name = "FILE")]
    pub(super) exclude_list: Option<PathBuf>,
    /// Do not check the pictures before training
    #[arg(long)]
    pub(super) no_check: bool,
    /// Take warnings of the check as errors, a picture that cannot be read among them, in place of going on without it
    #[arg(long)]
    pub(super) strict: bool,
    /// Folder for the run [default: runs/<data>-<number>]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Keep pictures on the device only up to this many MiB, and stream them beyond it [default: what the adapter can bind]
    #[arg(long, value_name = "MIB")]
    pub(super) image_memory: Option<u64>,
    /// Training pictures kept with the run as the background of explanations
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) background: u32,
    /// If the batch does not fit the device, work on it in parts and add up their gradients: the same training up to
    /// rounding, in less memory
    #[arg(long)]
    pub(super) fit: bool,
    /// Go on with a run that was interrupted, from its last checkpoint and with its own settings: it ends with the bits that
    /// it would have ended with. With --epochs, a finished run goes on to more; with --learning-rate, one that diverged
    /// gets a smaller rate
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "image_size", "model", "batch_size", "optimizer", "momentum", "nesterov", "seed", "no_augment", "augmentation", "validation_split", "mask", "exclude_leaks", "exclude_list",
        "folds", "from", "no_check", "strict", "out", "background"])]
    pub(super) resume: Option<PathBuf>,
    /// How often to write a checkpoint that --resume goes on from: every so many steps (500), or seconds (30s)
    #[arg(long, value_name = "STEPS|SECONDSs", default_value = "30s")]
    pub(super) checkpoint_every: Every,
    /// Begin with the weights of another run (of its last epoch; RUN/best.safetensors names those of its best), and with its
    /// network. If the classes differ, the last layer begins anew
    #[arg(long, value_name = "RUN")]
    pub(super) from: Option<PathBuf>,
    /// Let the first so many layers with weights keep them, and train the others: much faster, and often better when there are
    /// few pictures
    #[arg(long, value_name = "COUNT", requires = "from", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) freeze: Option<u32>,
    /// Cross-validate: train so many networks, 2 to 20, each on the training pictures without one part (fold) of them, and
    /// measure it on that part after its last epoch. Leaves the scores with mean and deviation (folds.csv), what every
    /// picture is said to be by the network that has not seen it (out_of_fold.csv), labels that are likely wrong
    /// (mislabelled.csv, with contact sheets), and the networks in fold-1, fold-2 …; none that has learnt from all pictures.
    /// Classes are spread evenly, and copies and near copies stay in one fold. Test pictures play no part; where there is no
    /// test folder, all pictures are training pictures
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=20), conflicts_with = "no_check")]
    pub(super) folds: Option<u32>,
    /// Train for 150 steps while the learning rate grows from 1e-6 to 1, and draw the loss against it (lr.png, lr.csv): the
    /// rates that it suggests are printed, and nothing else is kept
    #[arg(long, conflicts_with_all = ["resume", "folds", "learning_rate", "epochs", "tui", "tensorboard", "open"])]
    pub(super) find_lr: bool,
    /// Watch the training on the whole terminal: curves, throughput, time left, what was answered wrong
    #[arg(long, conflicts_with = "quiet")]
    pub(super) tui: bool,
    /// Write event files for TensorBoard into the run folder: tensorboard --logdir runs shows them
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// Write no report.html at the end: it takes a while to explain some pictures for it
    #[arg(long)]
    pub(super) no_report: bool,
    /// Open the report when it is written
    #[arg(long, conflicts_with = "no_report")]
    pub(super) open: bool,
    /// Print nothing but errors
    #[arg(long)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

impl TrainArgs {
    /// Holds the options against each other before any work is done.
    ///
    /// # Errors
    /// [`CommandError::Usage`]; [`CommandError::Model`] for a network that is none.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let image_size = self.image_size.unwrap_or(DEFAULT_IMAGE_SIZE);
        Architecture::open(&self.model)?.network(image_size, image_size, 2)?;
        self.learning_rate(self.optimizer()?).map(|_| ())
    }

    /// What the run is started with, as its folder keeps it.
    ///
    /// # Errors
    /// [`CommandError::Usage`] for values that make no sense; [`CommandError::Model`].
    pub(super) fn settings(&self, data: PathBuf, gpu: &Gpu, classes: u32) -> Result<Settings, CommandError> {
        let optimizer = self.optimizer()?;
        let architecture = Architecture::open(&self.model)?;
        let image_size = self.image_size.unwrap_or(DEFAULT_IMAGE_SIZE);
        Ok(Settings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data,
            image_size,
            epochs: self.epochs.unwrap_or(DEFAULT_EPOCHS) as usize,
            batch_size: self.batch_size,
            part: None,
            learning_rate: self.learning_rate(optimizer)?,
            seed: self.seed,
            augment: !self.no_augment,
            augmentation: self.augmentation.as_deref().map(read_augmentation).transpose()?,
            flip_average: false,
            validation_split: self.validation_split,
            masks: self.mask.clone(),
            exclude_leaks: self.exclude_leaks,
            from: self.from.clone(),
            freeze: self.freeze,
            folds: self.folds,
            fold: None,
            adapter: gpu.summary().name.clone(),
            driver: gpu.summary().driver.clone(),
            optimizer,
            network: architecture.network(image_size, image_size, classes)?,
            model: Some(architecture.name),
        })
    }

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
