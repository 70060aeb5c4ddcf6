//! The heatmaps of `predict`: explains each picture, draws the figures, keeps the values.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};

use super::{CommandError, RunFolder};
use crate::data;
use crate::explain::{Estimate, ExplainOptions, Explainer};
use crate::files::write_atomically;
use crate::gpu::Gpu;
use crate::model::{Metadata, Network, Purpose, Weights};
use crate::report::heatmap::{self, Figure, Panel, Row};
use crate::report::{Output, ReportError, progress, write_png};
use crate::training::{Images, answer};

/// What to draw and where to put it.
pub(super) struct HeatmapSettings {
    /// Panels for this many of the most probable classes.
    pub top: usize,
    /// Radius of smoothing, in pixels.
    pub smooth: Option<usize>,
    /// Full-colour pictures beneath.
    pub overlay: bool,
    /// Folder for one figure a picture.
    pub out: Option<PathBuf>,
    /// File for one figure of all.
    pub grid: Option<PathBuf>,
    /// File for the values.
    pub save_values: Option<PathBuf>,
    /// Whether to say on the terminal what was written.
    pub say: bool,
}

/// The mean output on the background, class by class: what an explanation starts from.
fn mean_probabilities(
    gpu: &Gpu,
    (weights, metadata): (&Weights, &Metadata),
    background: &[u8],
) -> Result<Vec<f64>, CommandError> {
    let spec = &metadata.network;
    let count = background.len() / (spec.height as usize * spec.width as usize * 4);
    let batch = count.min(32);
    let network = Network::new(gpu, spec, batch as u32, Purpose::Infer, weights)?;
    let mut images = Images::new(gpu, background.to_vec(), vec![0; count], batch, None)?;
    let rows = answer(gpu, &network, &mut images)?.probabilities;
    let mean = |class: usize| rows.iter().map(|row| f64::from(row[class])).sum::<f64>() / count as f64;
    Ok((0..spec.classes as usize).map(mean).collect())
}

/// Explains the pictures (`bytes` `[N,H,W,4]`) and writes figures and values.
///
/// # Errors
/// [`CommandError`].
#[expect(clippy::too_many_arguments, reason = "a command's last step: everything it has found out so far")]
pub(super) fn write(
    gpu: &Gpu,
    run: &RunFolder,
    model: (&Weights, &Metadata),
    bytes: &[u8],
    paths: &[PathBuf],
    probabilities: &[Vec<f32>],
    options: ExplainOptions,
    settings: &HeatmapSettings,
) -> Result<(), CommandError> {
    let spec = &model.1.network;
    let size = (spec.height as usize, spec.width as usize);
    let background = run.background(size.0, size.1)?;
    let mean = mean_probabilities(gpu, model, &background)?;
    let explainer = Explainer::new(gpu, spec, model.0, &background, options)?;
    let output = if settings.say { Output::detect(false) } else { Output::Quiet };
    let bar = progress::counter(output, "explaining", paths.len() * options.samples);
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for (index, ((path, image), p)) in
        paths.iter().zip(bytes.chunks(size.0 * size.1 * 4)).zip(probabilities).enumerate()
    {
        let estimate =
            explainer.explain(image, |points, _| bar(index * options.samples + points.min(options.samples)))?;
        if let Some(wanted) = options.tolerance.filter(|wanted| estimate.standard_error > *wanted) {
            eprintln!(
                "{}: after {} points the standard error is {:.1} %, not yet {:.1} %",
                path.display(),
                estimate.points,
                100.0 * estimate.standard_error,
                100.0 * wanted,
            );
        }
        let row = make_row(path, &estimate, p, &mean, &model.1.classes, size, &options, settings)?;
        if settings.grid.is_none() {
            let folder = settings.out.clone().unwrap_or_else(|| run.file("heatmaps"));
            let file = figure_path(paths, index, &folder)?;
            write_figure(vec![row], size, &options, settings, &file)?;
        } else {
            rows.push(row);
        }
        if settings.save_values.is_some() {
            kept.push(estimate);
        }
    }
    bar(paths.len() * options.samples);
    if let Some(grid) = &settings.grid {
        write_figure(rows, size, &options, settings, grid)?;
    }
    if let Some(file) = &settings.save_values {
        save_values(&kept, size, model.1.classes.len(), file)?;
        if settings.say {
            println!("values   {}", file.display());
        }
    }
    Ok(())
}

/// `<image>_shap.png` in `folder`; pictures of the same name are told apart by their number. Heatmaps never go beside the
/// pictures: there they would become pictures of the class themselves.
fn figure_path(paths: &[PathBuf], index: usize, folder: &Path) -> Result<PathBuf, CommandError> {
    let fail =
        |e: std::io::Error| CommandError::File { path: folder.to_owned(), reason: format!("it cannot be made: {e}") };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let own = stem(&paths[index]);
    let alone = paths.iter().filter(|path| stem(path) == own).count() == 1;
    Ok(folder.join(if alone { format!("{own}_shap.png") } else { format!("{own}_{}_shap.png", index + 1) }))
}

#[expect(clippy::too_many_arguments, reason = "a row of the figure brings together what all steps before it gave")]
fn make_row(
    path: &Path,
    estimate: &Estimate,
    probabilities: &[f32],
    mean: &[f64],
    classes: &[String],
    size: (usize, usize),
    options: &ExplainOptions,
    settings: &HeatmapSettings,
) -> Result<Row, CommandError> {
    let mut ranked: Vec<usize> = (0..classes.len()).collect();
    ranked.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    ranked.truncate(settings.top);
    let pixels = size.0 * size.1;
    let panels = ranked.iter().map(|&class| {
        let own = &estimate.values[class * pixels * 3..(class + 1) * pixels * 3];
        let sums: Vec<f64> = own.chunks_exact(3).map(|c| c.iter().sum()).collect();
        let values = settings.smooth.map_or_else(|| sums.clone(), |radius| heatmap::smooth(&sums, size, radius));
        Panel { title: format!("{:.1} % {}", 100.0 * probabilities[class], classes[class]), values }
    });
    let first = ranked.first().copied().unwrap_or(0);
    let total = estimate.total(first, classes.len());
    let gap = f64::from(probabilities[first]) - mean[first];
    let complete = if options.logit {
        String::new()
    } else {
        format!(
            "; {}: pixels add up to {total:+.3}, probability less its mean on the background is {gap:+.3}",
            classes[first]
        )
    };
    Ok(Row {
        picture: data::decode_file(path)?,
        title: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        note: format!(
            "{} points, standard error {}{:.1} %{complete}",
            estimate.points,
            if estimate.points <= options.samples { "at most " } else { "" },
            100.0 * estimate.standard_error,
        ),
        panels: panels.collect(),
    })
}

fn write_figure(
    rows: Vec<Row>,
    size: (usize, usize),
    options: &ExplainOptions,
    settings: &HeatmapSettings,
    file: &Path,
) -> Result<(), CommandError> {
    let remark = settings
        .smooth
        .map_or(String::new(), |radius| format!("; values summed over neighbourhoods of {radius} pixels"));
    let target = if options.logit { "logit" } else { "probability" };
    let figure = Figure { size, rows, overlay: settings.overlay, target, remark };
    let picture = heatmap::draw(&figure).map_err(|reason| ReportError::Write { path: file.to_owned(), reason })?;
    write_png(&picture, file)?;
    if settings.say {
        println!("heatmap  {}", file.display());
    }
    Ok(())
}

/// `values` `[N,H,W,3,class]`, as shap gives them.
fn save_values(estimates: &[Estimate], size: (usize, usize), classes: usize, file: &Path) -> Result<(), CommandError> {
    let fail = |reason: String| CommandError::File { path: file.to_owned(), reason };
    let plane = size.0 * size.1 * 3;
    let mut values: Vec<f32> = Vec::with_capacity(estimates.len() * plane * classes);
    for estimate in estimates {
        for i in 0..plane {
            values.extend((0..classes).map(|class| estimate.values[class * plane + i] as f32));
        }
    }
    let shape = vec![estimates.len(), size.0, size.1, 3, classes];
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&values)).map_err(|e| fail(e.to_string()))?;
    let bytes = safetensors::serialize([("values", view)], None).map_err(|e| fail(e.to_string()))?;
    write_atomically(file, &bytes).map_err(|e| fail(format!("it cannot be written: {e}")))
}
