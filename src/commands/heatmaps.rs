//! The heatmaps of `predict`: explains each picture, draws the figures, keeps the values.

use std::path::{Path, PathBuf};

use clap::Args;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::CommandError;
use super::pictures::Answered;
use crate::data;
use crate::explain::{Estimate, ExplainOptions};
use crate::files::write_atomically;
use crate::model::Target;
use crate::names::printable;
use crate::report::heatmap::{self, Colours, Figure, Panel, Row};
use crate::report::{Output, ReportError, progress, write_png};

/// What to draw and where to put it.
#[derive(Args)]
pub struct DrawingArgs {
    /// Write heatmaps into this folder, as <image>_shap.png [default: heatmaps/ in the run folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One figure of all pictures, in place of one each
    #[arg(long, value_name = "FILE")]
    pub grid: Option<PathBuf>,
    /// Heatmaps for the most probable classes only
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Sum the values over neighbourhoods of this radius in pixels, for a map that is easier to read [default without a number: 2]
    #[arg(long, value_name = "PIXELS", num_args = 0..=1, default_missing_value = "2")]
    pub smooth: Option<usize>,
    /// Lay the heatmap over the picture in full colour
    #[arg(long)]
    pub overlay: bool,
    /// Also write the values, [N,H,W,3,class], as safetensors
    #[arg(long, value_name = "FILE")]
    pub save_values: Option<PathBuf>,
}

/// How well an explanation adds up: what its pixels sum to, and what they should.
struct Completeness {
    class: usize,
    total: f64,
    gap: f64,
}

/// Explains the pictures, writes figures and values, and says of each picture what was found, as JSON.
///
/// # Errors
/// [`CommandError`].
pub(super) fn write(
    asked: &Answered,
    options: ExplainOptions,
    args: &DrawingArgs,
    say: bool,
) -> Result<Vec<Value>, CommandError> {
    let size = asked.size();
    let classes = &asked.metadata.classes;
    let paths = &asked.pixels.paths;
    let (explainer, mean) = asked.explainer(options)?;
    let bar = progress::counter(
        if say { Output::detect(false) } else { Output::Quiet },
        "explaining",
        paths.len() * options.samples,
    );
    let (mut rows, mut kept, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (path, image)) in paths.iter().zip(asked.pixels.bytes.chunks(size.0 * size.1 * 4)).enumerate() {
        let before = index * options.samples;
        let estimate = explainer
            .explain(image, &asked.probabilities[index], |points, _| bar(before + points.min(options.samples)))?;
        if let Some(wanted) = options.tolerance.filter(|wanted| estimate.standard_error > *wanted) {
            eprintln!(
                "{}: after {} points the standard error is {:.1} %, not yet {:.1} %",
                path.display(),
                estimate.points,
                100.0 * estimate.standard_error,
                100.0 * wanted,
            );
        }
        let probabilities = &asked.probabilities[index];
        let mut ranked: Vec<usize> = (0..classes.len()).collect();
        ranked.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        ranked.truncate(args.top as usize);
        // A logit's mean on the background is not at hand.
        let completeness =
            ranked.first().filter(|_| options.target == Target::Probability).map(|&class| Completeness {
                class,
                total: estimate.total(class, classes.len()),
                gap: f64::from(probabilities[class]) - mean[class],
            });
        let row = Row {
            picture: masked_picture(asked, path)?,
            title: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            note: note(&estimate, completeness.as_ref(), classes, &options),
            panels: ranked.iter().map(|&class| panel(asked, index, class, &estimate, args.smooth)).collect(),
        };
        let figure = match &args.grid {
            Some(grid) => {
                rows.push(row);
                grid.clone()
            }
            None => {
                let folder = args.out.clone().map_or_else(|| asked.run.heatmaps(), Ok)?;
                let file = figure_path(paths, index, &folder)?;
                write_figure(vec![row], size, &options, args, &file, say)?;
                file
            }
        };
        said.push(json!({
            "figure": figure.display().to_string(),
            "points": estimate.points,
            "standard_error": estimate.standard_error,
            "completeness": completeness.map(|c| json!({ "class": classes[c.class], "sum_of_values": c.total,
                "probability_less_mean_of_background": c.gap })),
        }));
        if args.save_values.is_some() {
            kept.push(estimate);
        }
    }
    bar(paths.len() * options.samples);
    if let Some(grid) = &args.grid {
        write_figure(rows, size, &options, args, grid, say)?;
    }
    if let Some(file) = &args.save_values {
        save_values(&kept, size, classes.len(), file)?;
        if say {
            println!("values   {}", file.display());
        }
    }
    Ok(said)
}

/// The picture as the network saw it, at its full size.
pub(super) fn masked_picture(asked: &Answered, path: &Path) -> Result<image::RgbImage, CommandError> {
    let mut picture = data::decode_file(path)?;
    asked.masks.iter().for_each(|mask| mask.blank_picture(&mut picture));
    Ok(picture)
}

fn note(estimate: &Estimate, whole: Option<&Completeness>, classes: &[String], options: &ExplainOptions) -> String {
    let complete = whole.map_or(String::new(), |c| {
        format!(
            "; {}: pixels add up to {:+.3}, probability less its mean on the background is {:+.3}",
            classes[c.class], c.total, c.gap
        )
    });
    // The two halves of a single round say rather too much.
    let most = if estimate.points <= options.samples { "at most " } else { "" };
    format!("{} points, standard error {most}{:.1} %{complete}", estimate.points, 100.0 * estimate.standard_error)
}

/// What each pixel adds to a class's output: the sum over its colours.
fn panel(asked: &Answered, index: usize, class: usize, estimate: &Estimate, smooth: Option<usize>) -> Panel {
    let values = estimate.map_of(class, asked.metadata.classes.len());
    Panel {
        title: format!("{:.1} % {}", 100.0 * asked.probabilities[index][class], asked.metadata.classes[class]),
        values: smooth.map_or_else(|| values.clone(), |radius| heatmap::smooth(&values, asked.size(), radius)),
        outline: None,
    }
}

/// `<image>_shap.png` in `folder`; pictures of the same name are told apart by their number. Heatmaps never go beside the
/// pictures: there they would become pictures of the class themselves.
fn figure_path(paths: &[PathBuf], index: usize, folder: &Path) -> Result<PathBuf, CommandError> {
    make_folder(folder)?;
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let own = stem(&paths[index]);
    let alone = paths.iter().filter(|path| stem(path) == own).count() == 1;
    Ok(folder.join(if alone { format!("{own}_shap.png") } else { format!("{own}_{}_shap.png", index + 1) }))
}

pub(super) fn make_folder(folder: &Path) -> Result<(), CommandError> {
    let fail =
        |e: std::io::Error| CommandError::File { path: folder.to_owned(), reason: format!("it cannot be made: {e}") };
    std::fs::create_dir_all(folder).map_err(fail)
}

fn write_figure(
    rows: Vec<Row>,
    size: (usize, usize),
    options: &ExplainOptions,
    args: &DrawingArgs,
    file: &Path,
    say: bool,
) -> Result<(), CommandError> {
    let target = if options.target == Target::Logit { "logit" } else { "probability" };
    let smoothed = smoothing_remark(args.smooth);
    let foot = format!("red raises the class's {target}, blue lowers it{smoothed}");
    let figure = Figure { size, rows, overlay: args.overlay, colours: Colours::Signed, foot };
    draw(&figure, file)?;
    if say {
        println!("heatmap  {}", printable(&file.display().to_string()));
    }
    Ok(())
}

/// For the figure's foot: smoothed values are not what each pixel adds.
pub(super) fn smoothing_remark(smooth: Option<usize>) -> String {
    smooth.map_or(String::new(), |radius| format!("; values summed over neighbourhoods of {radius} pixels"))
}

pub(super) fn draw(figure: &Figure, file: &Path) -> Result<(), CommandError> {
    let picture = heatmap::draw(figure).map_err(|reason| ReportError::Write { path: file.to_owned(), reason })?;
    Ok(write_png(&picture, file)?)
}

/// `values` `[N,H,W,3,class]`, as shap gives them.
fn save_values(estimates: &[Estimate], size: (usize, usize), classes: usize, file: &Path) -> Result<(), CommandError> {
    let plane = size.0 * size.1 * 3;
    let mut values: Vec<f32> = Vec::with_capacity(estimates.len() * plane * classes);
    for estimate in estimates {
        for i in 0..plane {
            values.extend((0..classes).map(|class| estimate.values[class * plane + i] as f32));
        }
    }
    save_tensor("values", &values, vec![estimates.len(), size.0, size.1, 3, classes], file)
}

pub(super) fn save_tensor(name: &str, values: &[f32], shape: Vec<usize>, file: &Path) -> Result<(), CommandError> {
    let fail = |reason: String| CommandError::File { path: file.to_owned(), reason };
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map_err(|e| fail(e.to_string()))?;
    let bytes = safetensors::serialize([(name, view)], None).map_err(|e| fail(e.to_string()))?;
    write_atomically(file, &bytes).map_err(|e| fail(format!("it cannot be written: {e}")))
}
