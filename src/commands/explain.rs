//! `glowworm explain`: heatmaps of pictures, or the mean over many of them, which shows where a network looks.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::CommandError;
use super::heatmaps::{self, DrawingArgs};
use super::pictures::{Answered, PictureArgs, SamplingArgs};
use crate::explain::{Concentration, ExplainOptions, Part, concentration};
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
    let asked = Answered::new(&args.pictures)?;
    if args.summary {
        return summarize(args, &asked, options);
    }
    let explained = heatmaps::write(&asked, options, &args.drawing, !args.json)?;
    if args.json {
        println!("{:#}", serde_json::Value::Array(explained));
    }
    Ok(())
}

/// Mean magnitudes over all pictures.
struct Means {
    /// `[classes][H,W]`: of what a pixel adds to each class's output.
    maps: Vec<Vec<f64>>,
    /// Of the probabilities.
    probabilities: Vec<f64>,
    /// `[H,W,3]`: of the pictures.
    picture: image::RgbImage,
}

fn means(args: &ExplainArgs, asked: &Answered, options: ExplainOptions) -> Result<Means, CommandError> {
    let (size, classes) = (asked.size(), asked.metadata.classes.len());
    let (explainer, _) = asked.explainer(options)?;
    let count = asked.pixels.paths.len();
    let bar = progress::counter(Output::detect(args.json), "explaining", count);
    let mut maps = vec![vec![0.0; size.0 * size.1]; classes];
    let mut picture = vec![0.0; size.0 * size.1 * 3];
    for (done, image) in asked.pixels.bytes.chunks_exact(size.0 * size.1 * 4).enumerate() {
        let estimate = explainer.explain(image, &asked.probabilities[done], |_, _| {})?;
        for (class, map) in maps.iter_mut().enumerate() {
            let values = estimate.map_of(class, classes);
            map.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.abs() / count as f64);
        }
        let colours = image.chunks_exact(4).flat_map(|pixel| &pixel[..3]);
        picture.iter_mut().zip(colours).for_each(|(sum, value)| *sum += f64::from(*value) / count as f64);
        bar(done + 1);
    }
    let bytes = picture.into_iter().map(|v| v.round() as u8).collect();
    let mean = |class: usize| asked.probabilities.iter().map(|p| f64::from(p[class])).sum::<f64>() / count as f64;
    Ok(Means {
        maps,
        probabilities: (0..classes).map(mean).collect(),
        picture: image::RgbImage::from_raw(size.1 as u32, size.0 as u32, bytes).unwrap_or_default(),
    })
}

/// What to tell the user of the place where a class's evidence lies.
fn sentence(class: &str, found: &Concentration, size: (usize, usize)) -> String {
    let share = 100.0 * found.share;
    let region = mask_of(found, size).map_or(String::new(), |mask| format!(" (--mask {mask} blanks it)"));
    if found.is_outsized() {
        format!(
            "{class}: {share:.0} % of the evidence lies in {found} of the picture: the network may be reading a label or a \
             frame there{region}"
        )
    } else {
        format!(
            "{class}: no corner, edge or frame holds an outsized share of the evidence (most: {share:.0} % in {found} of the \
             picture)"
        )
    }
}

/// The region as `--mask` takes it; a frame is none.
fn mask_of(found: &Concentration, (height, width): (usize, usize)) -> Option<String> {
    let [[top, bottom], [left, right]] = found.rectangle;
    let share = |v: usize, side: usize| format!("{}", (1e4 * v as f64 / side as f64).round() / 1e4);
    (found.part != Part::Frame)
        .then(|| [share(left, width), share(top, height), share(right, width), share(bottom, height)].join(","))
}

fn summarize(args: &ExplainArgs, asked: &Answered, options: ExplainOptions) -> Result<(), CommandError> {
    let (size, classes) = (asked.size(), &asked.metadata.classes);
    let means = means(args, asked, options)?;
    let found: Vec<Option<Concentration>> = means.maps.iter().map(|map| concentration(map, size)).collect();

    let mut ranked: Vec<usize> = (0..classes.len()).collect();
    ranked.sort_by(|&a, &b| means.probabilities[b].total_cmp(&means.probabilities[a]));
    ranked.truncate(args.drawing.top as usize);
    let smooth = args.drawing.smooth;
    let panels = ranked.iter().map(|&class| Panel {
        title: classes[class].clone(),
        values: smooth
            .map_or_else(|| means.maps[class].clone(), |radius| heatmap::smooth(&means.maps[class], size, radius)),
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
        picture: means.picture.clone(),
    };
    let target = if options.target == Target::Logit { "logit" } else { "probability" };
    let foot = format!("the redder, the more a pixel moves the class's {target}{}", heatmaps::smoothing_remark(smooth));
    let figure = Figure { size, rows: vec![row], overlay: false, colours: Colours::Magnitude, foot };
    let folder: PathBuf = args.drawing.out.clone().unwrap_or_else(|| asked.run.file("heatmaps"));
    heatmaps::make_folder(&folder)?;
    let file = folder.join("summary.png");
    heatmaps::draw(&figure, &file)?;
    if let Some(file) = &args.drawing.save_values {
        let values: Vec<f32> =
            (0..size.0 * size.1).flat_map(|i| means.maps.iter().map(move |map| map[i] as f32)).collect();
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
            Some(found) => println!("{}", sentence(class, found, size)),
            None => println!("{class}: no pixel moves it"),
        }
    }
    println!("summary  {}", file.display());
    Ok(())
}
