//! One file a subcommand.

pub mod bench;
pub mod check;
pub mod devices;
pub mod evaluate;
pub mod explain;
pub mod model;
pub mod predict;
pub mod preview;
pub mod report;
pub mod train;

mod costs;
mod findings;
mod heatmaps;
mod mean_maps;
mod pictures;
mod run_folder;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use thiserror::Error;

use crate::data::DataError;
use crate::gpu::{Gpu, GpuError};
use crate::model::{ModelError, self_test};
use crate::report::ReportError;
use crate::training::RecipeError;

pub use run_folder::{RunFolder, Settings, parse_background};

/// Trains image classifiers on any GPU with WGSL shaders, and says how well they do.
#[derive(Parser)]
#[command(name = "glowworm", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Train a network on a folder of pictures (without options: on the drawn set in data/insects)
    Train(Box<train::TrainArgs>),
    /// Look through a folder of pictures before training: broken files, copies, test pictures that leak, wrong labels, shortcuts
    Check(check::CheckArgs),
    /// Draw what augmentation makes of some training pictures
    Preview(preview::PreviewArgs),
    /// Measure a trained network on the test pictures
    Evaluate(evaluate::EvaluateArgs),
    /// Say what is on pictures, with percentages, and draw SHAP heatmaps that show why
    Predict(predict::PredictArgs),
    /// Draw SHAP heatmaps, or with --summary the mean over many pictures, which shows where the network looks
    Explain(explain::ExplainArgs),
    /// Write report.html into a run folder once more: curves, confusions, calibration, heatmaps on one page
    Report(report::ReportArgs),
    /// Show a network's layers, parameters, multiply-adds and memory, or list the built-in networks
    Model(model::ModelArgs),
    /// Measure how long steps take on this adapter, kernel by kernel, and how near each is to the most that the adapter reaches
    Bench(bench::BenchArgs),
    /// List the graphics adapters of this machine
    Devices(devices::DevicesArgs),
}

/// What every command that computes takes.
#[derive(Args, Clone)]
pub struct DeviceArgs {
    /// Adapter to use: a part of its name, as `glowworm devices` lists it
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
}

impl DeviceArgs {
    /// Opens the adapter, and holds it against the self-test.
    ///
    /// # Errors
    /// [`GpuError`].
    pub fn open(&self) -> Result<Gpu, GpuError> {
        let gpu = Gpu::open(self.device.as_deref())?;
        self_test(&gpu)?;
        Ok(gpu)
    }
}

/// Everything that a command can fail with.
#[derive(Debug, Error)]
pub enum CommandError {
    /// Pictures and folders.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The adapter.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The network or its weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Tables and pictures of results.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// How to train.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A file of a run.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The training went astray.
    #[error(
        "{what} not finite: training has diverged and was stopped. A smaller --learning-rate usually helps (it was \
         {learning_rate}). {kept}"
    )]
    Diverged {
        /// The loss of which step, or what else.
        what: String,
        /// Its learning rate.
        learning_rate: f64,
        /// What was kept of the run.
        kept: String,
    },
    /// Something that a run may survive, with what is left of it.
    #[error("{cause}\nThe last checkpoint of the run is kept: glowworm train --resume {} goes on from it", run.display())]
    Resumable {
        /// What went wrong.
        cause: Box<CommandError>,
        /// The run's folder.
        run: PathBuf,
    },
    /// The pictures have warnings, and `--strict` was asked for.
    #[error("--strict takes warnings as errors:\n  - {}", warnings.join("\n  - "))]
    Strict {
        /// Each with its examples.
        warnings: Vec<String>,
    },
    /// An option's value makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
}

impl CommandError {
    /// Whether the device went away, and may work once it is opened again.
    fn is_lost_device(&self) -> bool {
        let gpu = match self {
            CommandError::Gpu(error) | CommandError::Model(ModelError::Gpu(error)) => error,
            _ => return false,
        };
        matches!(gpu, GpuError::Lost { .. })
    }

    /// The same, with the advice to go on with `run` where that is possible.
    fn of_run(self, run: &RunFolder) -> CommandError {
        let own_advice = matches!(self, CommandError::Stopped | CommandError::Diverged { .. } | CommandError::Usage(_));
        if own_advice || !run.has_checkpoint() {
            return self;
        }
        CommandError::Resumable { cause: Box::new(self), run: run.path().to_owned() }
    }
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`].
pub fn run(cli: Cli) -> Result<(), CommandError> {
    match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Devices(args) => devices::run(&args),
    }
}
