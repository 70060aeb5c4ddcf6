//! `glowworm explain`: heatmaps of pictures, or the mean over many of them, which shows where a network looks.

use clap::Args;
use serde_json::json;

use super::CommandError;
use super::heatmaps::{self, DrawingArgs};
use super::mean_maps::{MeanMaps, mask_of, sentence};
use super::pictures::{Answered, PictureArgs, SamplingArgs};
use crate::explain::{Concentration, ExplainOptions, concentration};
use crate::model::Target;
use crate::report::heatmap::{self, Colours, Figure, Panel, Row};
use crate::report::{Output, progress};

/// Options of `explain`.
#[derive(Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pictures: PictureArgs,
    /// Average the magnitudes over all pictures into one map for each class, and say whether a corner, an edge or the frame
    /// holds an outsized share of the evidence
    #[arg(long, conflicts_with_all = ["grid", "overlay"])]
    summary: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    drawing: DrawingArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// Explains.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &ExplainArgs) -> Result<(), CommandError> {
    // A mean over many pictures needs less of each.
    let options = args.sampling.options(if args.summary { 100 } else { 200 })?;
    let asked = Answered::new(&args.pictures, false)?;
    if args.summary {
        return summarize(args, &asked, options);
    }
    let explained = heatmaps::write(&asked, options, &args.drawing, !args.json)?;
    if args.json {
        println!("{:#}", serde_json::Value::Array(explained));
    }
    Ok(())
}

fn means(args: &ExplainArgs, asked: &Answered, options: ExplainOptions) -> Result<MeanMaps, CommandError> {
    let (explainer, _) = asked.explainer(options)?;
    let bar = progress::counter(Output::detect(args.json), "explaining", asked.pixels.paths.len());
    let mut means = MeanMaps::new(asked.size(), asked.metadata.classes.len());
    for (done, image) in asked.pixels.bytes.chunks_exact(asked.size().0 * asked.size().1 * 4).enumerate() {
        let estimate = explainer.explain(image, &asked.probabilities[done], |_, _| {})?;
        means.add(image, &asked.probabilities[done], &estimate);
        bar(done + 1);
    }
    Ok(means)
}

fn summarize(args: &ExplainArgs, asked: &Answered, options: ExplainOptions) -> Result<(), CommandError> {
    let (size, classes) = (asked.size(), &asked.metadata.classes);
    let means = means(args, asked, options)?;
    let maps: Vec<Vec<f64>> = (0..classes.len()).map(|class| means.map(class)).collect();
    let found: Vec<Option<Concentration>> = maps.iter().map(|map| concentration(map, size)).collect();

    let mut ranked: Vec<usize> = (0..classes.len()).collect();
    ranked.sort_by(|&a, &b| means.probability(b).total_cmp(&means.probability(a)));
    ranked.truncate(args.drawing.top as usize);
    let smooth = args.drawing.smooth;
    let panels = ranked.iter().map(|&class| Panel {
        title: classes[class].clone(),
        values: smooth.map_or_else(|| maps[class].clone(), |radius| heatmap::smooth(&maps[class], size, radius)),
        outline: found[class].filter(Concentration::is_outsized).map(|c| c.rectangle),
    });
    let count = asked.pixels.paths.len();
    let row = Row {
        title: "mean picture".to_owned(),
        note: format!(
            "mean of {count} pictures, {} points each; outlined: an outsized share of the evidence",
            options.samples
        ),
        panels: panels.collect(),
        picture: means.picture(),
    };
    let target = if options.target == Target::Logit { "logit" } else { "probability" };
    let foot = format!("the redder, the more a pixel moves the class's {target}{}", heatmaps::smoothing_remark(smooth));
    let figure = Figure { size, rows: vec![row], overlay: false, colours: Colours::Magnitude, foot };
    let folder = args.drawing.out.clone().map_or_else(|| asked.run.heatmaps(), Ok)?;
    heatmaps::make_folder(&folder)?;
    let file = folder.join("summary.png");
    heatmaps::draw(&figure, &file)?;
    if let Some(file) = &args.drawing.save_values {
        let values: Vec<f32> = (0..size.0 * size.1).flat_map(|i| maps.iter().map(move |map| map[i] as f32)).collect();
        heatmaps::save_tensor("mean_magnitudes", &values, vec![size.0, size.1, classes.len()], file)?;
    }

    if args.json {
        let parts = classes.iter().zip(&found).map(|(class, found)| {
            json!({ "class": class, "part": found.map(|c| c.to_string()), "mask": found.and_then(|c| mask_of(&c, size)),
                "share_of_evidence": found.map(|c| c.share), "share_of_picture": found.map(|c| c.area),
                "outsized": found.is_some_and(|c| c.is_outsized()) })
        });
        let parts: Vec<_> = parts.collect();
        println!("{:#}", json!({ "figure": file.display().to_string(), "pictures": count, "classes": parts }));
        return Ok(());
    }
    for (class, found) in classes.iter().zip(&found) {
        match found {
            Some(found) => println!("{class}: {}", sentence(found, size)),
            None => println!("{class}: no pixel moves it"),
        }
    }
    println!("summary  {}", file.display());
    Ok(())
}
