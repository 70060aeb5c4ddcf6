//! `glowworm evaluate`: how well a trained network does on the test pictures.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, DeviceArgs, RunFolder};
use crate::data::{self, DecodeOptions, OpenOptions, Sample};
use crate::model::{Network, Purpose};
use crate::report::{Evaluation, Output, progress};
use crate::training::{Images, answer};

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
    let settings = run.settings()?;
    let (weights, metadata) = run.weights(args.best)?;
    let gpu = args.device.open()?;
    let folder = args.data.as_ref().unwrap_or(&settings.data);
    let options = OpenOptions {
        validation_split: settings.validation_split,
        seed: settings.seed,
        exclude_duplicates_of_test: false,
    };
    let dataset = data::open(folder, &options)?;
    // Another folder without a test part is measured whole; the run's own keeps to the split it was trained with.
    let whole = args.data.is_some() && dataset.test_is_split;
    let chosen = if whole { dataset.train.iter().chain(&dataset.test).cloned().collect() } else { dataset.test };
    let samples = relabel(&chosen, &dataset.classes, &metadata.classes, folder)?;

    let spec = &metadata.network;
    let options = DecodeOptions {
        height: spec.height as usize,
        width: spec.width as usize,
        strict: args.strict,
        masks: settings.masks,
    };
    let output = Output::detect(args.json);
    let pixels = data::decode(&samples, &options, &progress::counter(output, "pictures", samples.len()))?;
    for (path, reason) in &pixels.skipped {
        eprintln!("skipped {}: {reason}", path.display());
    }
    let labels: Vec<usize> = pixels.labels.iter().map(|&l| l as usize).collect();
    let network = Network::new(&gpu, spec, args.batch_size, Purpose::Infer, &weights)?;
    let mut images = Images::new(&gpu, pixels.bytes, pixels.labels, args.batch_size as usize, None)?;
    let answers = answer(&gpu, &network, &mut images)?;
    let evaluation = Evaluation::new(&metadata.classes, &labels, &answers.probabilities);
    if args.json {
        println!("{:#}", evaluation.to_json());
    } else {
        println!("{} pictures of {}, on {}\n\n{evaluation}", labels.len(), folder.display(), gpu.summary().name);
    }
    Ok(())
}

/// The folder's class numbers become the model's, by name.
fn relabel(
    samples: &[Sample],
    folder_classes: &[String],
    model_classes: &[String],
    folder: &std::path::Path,
) -> Result<Vec<Sample>, CommandError> {
    let numbers: Vec<Option<usize>> =
        folder_classes.iter().map(|name| model_classes.iter().position(|m| m == name)).collect();
    samples
        .iter()
        .map(|sample| match numbers.get(sample.label).copied().flatten() {
            Some(label) => Ok(Sample { path: sample.path.clone(), label }),
            None => Err(CommandError::File {
                path: folder.to_owned(),
                reason: format!(
                    "it has the class \"{}\", which the model does not know; it knows: {}",
                    folder_classes.get(sample.label).map_or("?", String::as_str),
                    model_classes.join(", "),
                ),
            }),
        })
        .collect()
}
