//! `glowworm predict`: what is on a picture, with a percentage for each class and a heatmap that says why.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, DeviceArgs, RunFolder, heatmaps};
use crate::data::{self, DecodeOptions, Sample};
use crate::explain::ExplainOptions;
use crate::model::{Network, Purpose};
use crate::training::{Images, answer};

/// With a tolerance, sampling ends here at the latest.
const MOST_ROUNDS: usize = 100;

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
    /// Percentages only, without heatmaps
    #[arg(long)]
    no_shap: bool,
    /// Write heatmaps into this folder, as <image>_shap.png [default: heatmaps/ in the run folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One figure of all pictures, in place of one each
    #[arg(long, value_name = "FILE")]
    grid: Option<PathBuf>,
    /// Heatmaps for the most probable classes only [default: 4]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Points at which gradients are taken, for each picture
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    samples: u32,
    /// Go on until the standard error of the values is below this share of them, 0.02 for example
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    tolerance: Option<f64>,
    /// Explain the logits in place of the probabilities
    #[arg(long)]
    logit: bool,
    /// Sum the values over neighbourhoods of this radius in pixels, for a map that is easier to read
    #[arg(long, value_name = "PIXELS", num_args = 0..=1, default_missing_value = "2")]
    smooth: Option<usize>,
    /// Lay the heatmap over the picture in full colour
    #[arg(long)]
    overlay: bool,
    /// Also write the values, [N,H,W,3,class], as safetensors
    #[arg(long, value_name = "FILE")]
    save_values: Option<PathBuf>,
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
    if let Some(share) = args.tolerance.filter(|share| !(share.is_finite() && *share > 0.0)) {
        return Err(CommandError::Usage(format!("--tolerance {share}: it must be a number above 0, 0.02 for example")));
    }
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
    let mut images = Images::new(&gpu, pixels.bytes.clone(), pixels.labels, batch, None)?;
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
    if args.no_shap {
        return Ok(());
    }
    let options = ExplainOptions {
        samples: args.samples as usize,
        tolerance: args.tolerance,
        most_rounds: MOST_ROUNDS,
        logit: args.logit,
        seed: 1,
    };
    let settings = heatmaps::HeatmapSettings {
        top: args.top.map_or(4, |k| k as usize),
        smooth: args.smooth,
        overlay: args.overlay,
        out: args.out.clone(),
        grid: args.grid.clone(),
        save_values: args.save_values.clone(),
        say: !args.json,
    };
    heatmaps::write(
        &gpu,
        &run,
        (&weights, &metadata),
        &pixels.bytes,
        &pixels.paths,
        &answers.probabilities,
        options,
        &settings,
    )
}
