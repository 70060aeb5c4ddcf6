//! `glowworm evaluate`: how well a trained network does on the test pictures.

use std::path::PathBuf;

use clap::Args;

use super::pictures::TestPictures;
use super::{CommandError, DeviceArgs, RunFolder};
use crate::report::Output;

/// Options of `evaluate`.
#[derive(Args)]
pub struct EvaluateArgs {
    /// Run folder that `train` made
    run: PathBuf,
    /// Measure on the pictures of another folder [default: the test pictures of the run]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Take the weights of the epoch that did best on the test pictures (which flatters the score a little), not the last
    #[arg(long)]
    best: bool,
    /// Average the probabilities over each picture and its mirror image, in twice the time [default: as in training]
    #[arg(long)]
    flip_average: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Fail on the first picture that cannot be read, in place of naming and skipping it
    #[arg(long)]
    strict: bool,
    /// Pictures in a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    batch_size: u32,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Evaluates.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &EvaluateArgs) -> Result<(), CommandError> {
    let run = RunFolder::open(&args.run)?;
    let gpu = args.device.open()?;
    let choice = TestPictures {
        folder: args.data.as_deref(),
        best: args.best,
        strict: args.strict,
        flip_average: args.flip_average,
        batch_size: args.batch_size,
        output: Output::detect(args.json),
    };
    let (answered, folder) = choice.answer(run, gpu)?;
    let (evaluation, leakage) = (answered.evaluation(), answered.leakage());
    if args.json {
        let mut json = evaluation.to_json();
        if let Some(leakage) = leakage {
            json["leakage"] = leakage.to_json();
        }
        println!("{json:#}");
        return Ok(());
    }
    let adapter = &answered.gpu.summary().name;
    println!("{} pictures of {}, on {adapter}\n\n{evaluation}", evaluation.images, folder.display());
    if let Some(leakage) = leakage {
        print!("\n{leakage}");
    }
    Ok(())
}
