//! `glowworm predict`: what is on a picture, with a percentage for each class.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, DeviceArgs, RunFolder};
use crate::data::{self, DecodeOptions, Sample};
use crate::model::{Network, Purpose};
use crate::training::{Images, answer};

/// Options of `predict`.
#[derive(Args)]
pub struct PredictArgs {
    /// Run folder that `train` made
    run: PathBuf,
    /// Pictures, or folders of them
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Take the weights of the epoch that did best on the test pictures (which flatters the score a little), not the last
    #[arg(long)]
    best: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Fail on the first picture that cannot be read, in place of naming and skipping it
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Predicts.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &PredictArgs) -> Result<(), CommandError> {
    let run = RunFolder::open(&args.run)?;
    let (weights, metadata) = run.weights(args.best)?;
    let mut samples = Vec::new();
    for path in &args.images {
        samples.extend(data::list_images(path)?.into_iter().map(|path| Sample { path, label: 0 }));
    }
    let gpu = args.device.open()?;
    let spec = &metadata.network;
    let options = DecodeOptions { height: spec.height as usize, width: spec.width as usize, strict: args.strict };
    let pixels = data::decode(&samples, &options, &|_| {})?;
    for (path, reason) in &pixels.skipped {
        eprintln!("skipped {}: {reason}", path.display());
    }
    let batch = pixels.labels.len().min(32);
    let network = Network::new(&gpu, spec, batch as u32, Purpose::Infer, &weights)?;
    let mut images = Images::new(&gpu, pixels.bytes, pixels.labels, batch, None)?;
    let answers = answer(&gpu, &network, &mut images)?;

    let mut all = Vec::new();
    for (path, probabilities) in pixels.paths.iter().zip(&answers.probabilities) {
        let mut ranked: Vec<(&String, f32)> = metadata.classes.iter().zip(probabilities.iter().copied()).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        if args.json {
            let classes: serde_json::Map<_, _> = ranked.iter().map(|(c, p)| ((*c).clone(), (*p).into())).collect();
            all.push(serde_json::json!({ "image": path.display().to_string(), "probabilities": classes }));
        } else {
            let list: Vec<String> = ranked.iter().map(|(c, p)| format!("{:.1} % {c}", 100.0 * p)).collect();
            println!("{}: {}", path.display(), list.join(", "));
        }
    }
    if args.json {
        println!("{:#}", serde_json::Value::Array(all));
    }
    Ok(())
}
