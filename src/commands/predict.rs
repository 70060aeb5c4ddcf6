//! `glowworm predict`: what is on a picture, with a percentage for each class and a heatmap that says why.

use clap::Args;

use super::CommandError;
use super::heatmaps::{self, DrawingArgs};
use super::pictures::{Answered, PictureArgs, SamplingArgs};
use crate::names::printable;

/// Options of `predict`.
#[derive(Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// Average the percentages over each picture and its mirror image; heatmaps stay those of the picture itself
    #[arg(long)]
    flip_average: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Percentages only, without heatmaps
    #[arg(long)]
    no_shap: bool,
    #[command(flatten)]
    drawing: DrawingArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// Predicts.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &PredictArgs) -> Result<(), CommandError> {
    let options = args.sampling.options(200)?;
    let asked = Answered::new(&args.pictures, args.flip_average)?;
    let mut all = Vec::new();
    for (path, probabilities) in asked.pixels.paths.iter().zip(&asked.probabilities) {
        let classes = asked.metadata.classes.iter();
        let mut ranked: Vec<(&String, f32)> = classes.zip(probabilities.iter().copied()).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        if args.json {
            let classes: serde_json::Map<_, _> = ranked.iter().map(|(c, p)| ((*c).clone(), (*p).into())).collect();
            all.push(serde_json::json!({ "image": path.display().to_string(), "probabilities": classes }));
        } else {
            let list: Vec<String> = ranked.iter().map(|(c, p)| format!("{:.1} % {c}", 100.0 * p)).collect();
            println!("{}: {}", printable(&path.display().to_string()), list.join(", "));
        }
    }
    if !args.no_shap {
        let explained = heatmaps::write(&asked, options, &args.drawing, !args.json)?;
        for (entry, explained) in all.iter_mut().zip(explained) {
            entry["explanation"] = explained;
        }
    }
    if args.json {
        println!("{:#}", serde_json::Value::Array(all));
    }
    Ok(())
}
