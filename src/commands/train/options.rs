//! The options of `glowworm train`, and the settings that they make.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::commands::{CommandError, DeviceArgs, Settings};
use crate::data::{Region, Winner};
use crate::files::read_text_at_most;
use crate::gpu::Gpu;
use crate::model::Architecture;
use crate::training::{AugmentationSettings, Choices, Recipe, effective};

/// Settings of augmentation take some lines.
const MOST_OF_SETTINGS: u64 = 1 << 20;

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

/// Options of `train`.
#[derive(Args)]
pub struct TrainArgs {
    /// Folder with train/<class>/ and test/<class>/, or with the classes themselves [default: data/insects, drawn at the first run]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// How to train: a built-in recipe (reference, best), or a TOML file. Options lie over it [default: reference]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Seed of the weights, the order, augmentation, dropout and split: the same seed on the same device gives the same bits
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Train on the pictures as they are
    #[arg(long)]
    no_augment: bool,
    /// Change the pictures as a TOML file says, and not as the recipe does; glowworm preview shows what it does
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
    /// gets a smaller rate; with --early-stopping, one that ended early gets more patience
    #[arg(long, value_name = "RUN", conflicts_with_all = ["data", "recipe", "model", "image_size", "batch_size",
        "part", "optimizer", "momentum", "nesterov", "weight_decay", "schedule", "warmup", "final_rate", "label_smoothing",
        "class_weights", "sampling", "average", "flip_average", "seed", "no_augment", "augmentation", "validation_split",
        "mask", "exclude_leaks", "exclude_list", "folds", "from", "no_check", "strict", "out", "background"])]
    pub(super) resume: Option<PathBuf>,
    /// How often to write a checkpoint that --resume goes on from: every so many steps (500), or seconds (30s)
    #[arg(long, value_name = "STEPS|SECONDSs", default_value = "30s")]
    pub(super) checkpoint_every: Every,
    /// Begin with the weights of another run (of its last epoch; RUN/best.safetensors names those of its best), and with its
    /// network. If the classes differ, the last layer begins anew
    #[arg(long, value_name = "RUN", conflicts_with = "model")]
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
    // Last, since the help's heading holds for all that follow.
    #[command(flatten)]
    pub(super) choices: Choices,
}

impl TrainArgs {
    /// The recipe with what the options say over it, and a line that says so.
    ///
    /// # Errors
    /// [`CommandError::Recipe`]; [`CommandError::Model`] for a network that is none.
    pub(super) fn recipe(&self) -> Result<(Recipe, String), CommandError> {
        let file = self.augmentation.as_deref().map(read_augmentation).transpose()?;
        let augmentation = if self.no_augment { Some(AugmentationSettings::default()) } else { file };
        let choices = Choices { augmentation, ..self.choices.clone() };
        let (recipe, line) = effective(self.recipe.as_deref(), &choices)?;
        Architecture::open(&recipe.model)?.network(recipe.image_size, recipe.image_size, 2)?;
        Ok((recipe, line))
    }

    /// What the run is started with, as its folder keeps it.
    ///
    /// # Errors
    /// [`CommandError::Model`].
    pub(super) fn settings(
        &self,
        recipe: Recipe,
        data: PathBuf,
        gpu: &Gpu,
        classes: u32,
    ) -> Result<Settings, CommandError> {
        let architecture = Architecture::open(&recipe.model)?;
        let network = architecture.network(recipe.image_size, recipe.image_size, classes)?;
        Ok(Settings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data,
            seed: self.seed,
            validation_split: self.validation_split,
            masks: self.mask.clone(),
            exclude_leaks: self.exclude_leaks,
            from: self.from.clone(),
            freeze: self.freeze,
            folds: self.folds,
            fold: None,
            adapter: gpu.summary().name.clone(),
            driver: gpu.summary().driver.clone(),
            // The file may change; its layers are kept.
            recipe: Recipe { model: architecture.name, ..recipe },
            network,
        })
    }
}

/// Reads a TOML file of augmentation's settings.
///
/// # Errors
/// [`CommandError::File`] with the line, or the value, that is wrong.
pub fn read_augmentation(path: &Path) -> Result<AugmentationSettings, CommandError> {
    let fail = |reason: String| CommandError::File { path: path.to_owned(), reason };
    let text = read_text_at_most(path, MOST_OF_SETTINGS).map_err(|e| fail(format!("it cannot be read: {e}")))?;
    let settings: AugmentationSettings = toml::from_str(&text).map_err(|e| fail(e.to_string()))?;
    settings.check().map_err(|e| fail(e.to_string()))?;
    Ok(settings)
}
