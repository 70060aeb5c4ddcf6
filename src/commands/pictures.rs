//! What `predict`, `explain`, `evaluate` and `report` share: a run, pictures, and the network's answers on them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

use super::{CommandError, DeviceArgs, RunFolder, Settings, findings};
use crate::data::check::CheckReport;
use crate::data::{self, DataError, DecodeOptions, Decoded, OpenOptions, Pixels, Region, Sample};
use crate::explain::{Background, ExplainOptions, Explainer};
use crate::gpu::Gpu;
use crate::model::{Metadata, ModelFile, Network, Numbers, Purpose, Target};
use crate::names::printable;
use crate::report::{Evaluation, Leakage, Output, progress};
use crate::training::{Images, answer};

/// With a tolerance, sampling ends here at the latest.
const MOST_ROUNDS: usize = 100;

/// Which run and which pictures.
#[derive(Args)]
pub struct PictureArgs {
    /// Run folder that `train` made
    pub run: PathBuf,
    /// Pictures, folders of them, or patterns such as "*.jpg"
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// Take the weights of the epoch that did best on the test pictures (which flatters the score a little), not the last
    #[arg(long)]
    pub best: bool,
    /// Blank a part of every picture, in shares of its sides, to see what the network says without it (0.8,0.9,1,1 is the
    /// lower right corner). May be given several times
    #[arg(long, value_name = "LEFT,TOP,RIGHT,BOTTOM")]
    pub mask: Vec<Region>,
    /// Fail on the first picture that cannot be read, in place of naming and skipping it
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// How much work goes into an explanation.
#[derive(Args)]
pub struct SamplingArgs {
    /// Points at which gradients are taken, for each picture [default: 200; 100 for a summary]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    pub samples: Option<u32>,
    /// Go on until the standard error of the values is below this share of them, 0.02 for example
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub tolerance: Option<f64>,
    /// What to explain
    #[arg(long, value_enum, default_value_t = Target::Probability)]
    pub target: Target,
}

impl SamplingArgs {
    /// The options of an estimate, with `samples` points if the user names no number.
    ///
    /// # Errors
    /// [`CommandError::Usage`] for a tolerance that makes no sense.
    pub fn options(&self, samples: u32) -> Result<ExplainOptions, CommandError> {
        if let Some(share) = self.tolerance.filter(|share| !(share.is_finite() && *share > 0.0)) {
            let text = format!("--tolerance {share}: it must be a number above 0, 0.02 for example");
            return Err(CommandError::Usage(text));
        }
        Ok(ExplainOptions {
            samples: self.samples.unwrap_or(samples) as usize,
            tolerance: self.tolerance,
            most_rounds: MOST_ROUNDS,
            target: self.target,
            seed: 1,
        })
    }
}

/// Pictures with the network's answers.
pub struct Answered {
    /// The adapter.
    pub gpu: Gpu,
    /// The run.
    pub run: RunFolder,
    /// The run's weights.
    pub weights: ModelFile,
    /// The run's classes and layers.
    pub metadata: Metadata,
    /// Parts that were blanked.
    pub masks: Vec<Region>,
    /// The pictures.
    pub pixels: Pixels,
    /// `[N][classes]`.
    pub probabilities: Vec<Vec<f32>>,
    /// What the check before the training found, if these are the run's own test pictures.
    pub report: Option<CheckReport>,
}

impl Answered {
    /// Opens the run, reads the pictures and asks the network; with `flip_average`, or if the run was trained for it, about
    /// their mirror images too.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn new(args: &PictureArgs, flip_average: bool) -> Result<Answered, CommandError> {
        let run = RunFolder::open(&args.run)?;
        let weights = run.weights(args.best)?;
        let metadata = weights.metadata.clone();
        let settings = run.settings()?;
        let flip_average = flip_average || settings.recipe.flip_average;
        let mut masks = settings.masks;
        masks.extend(&args.mask);
        let mut samples = Vec::new();
        for path in &args.images {
            samples.extend(data::list_images(path)?.into_iter().map(|path| Sample { path, label: 0 }));
        }
        let gpu = args.device.open()?;
        let (height, width) = (metadata.network.height as usize, metadata.network.width as usize);
        let options = DecodeOptions { height, width, strict: args.strict, masks: masks.clone() };
        let resized = AtomicUsize::new(0);
        let count_resized = |_: usize, decoded: Result<&Decoded, &DataError>| {
            let of_this_size =
                |d: &Decoded| (d.picture.height() as usize, d.picture.width() as usize) == (height, width);
            resized.fetch_add(usize::from(decoded.is_ok_and(|d| !of_this_size(d))), Ordering::Relaxed);
        };
        let pixels = data::decode_before(&samples, &options, &|_| {}, &count_resized)?;
        for (path, reason) in &pixels.skipped {
            eprintln!("{}", printable(&format!("skipped {}: {reason}", path.display())));
        }
        let (resized, all) = (resized.into_inner(), pixels.paths.len());
        if resized > 0 {
            eprintln!("note: {resized} of {all} pictures resized to {width} × {height}, as in training");
        }
        let probabilities = ask(&gpu, &weights, &metadata, pixels.bytes.clone(), 32, flip_average)?;
        Ok(Answered { gpu, run, weights, metadata, masks, pixels, probabilities, report: None })
    }

    /// Height and width of the network's input.
    pub fn size(&self) -> (usize, usize) {
        (self.metadata.network.height as usize, self.metadata.network.width as usize)
    }

    /// Lays out the explanation, and gives the mean output on the background, class by class: what it starts from.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn explainer(&self, options: ExplainOptions) -> Result<(Explainer, Vec<f64>), CommandError> {
        let (height, width) = self.size();
        let mut background = self.run.background(height, width)?;
        for picture in background.chunks_exact_mut(height * width * 4) {
            // Blank here too: what is blank on both ends of a way is the same all along it, and gets no value.
            self.masks.iter().for_each(|mask| mask.blank(picture, (height, width), 4));
        }
        let rows = ask(&self.gpu, &self.weights, &self.metadata, background.clone(), 32, false)?;
        let mean = |class: usize| rows.iter().map(|row| f64::from(row[class])).sum::<f64>() / rows.len() as f64;
        let mean = (0..self.metadata.classes.len()).map(mean).collect();
        let background = Background { pictures: &background, probabilities: &rows };
        let explainer = Explainer::new(&self.gpu, &self.metadata.network, &self.weights, background, options)?;
        Ok((explainer, mean))
    }

    /// How well the answers fit the pictures' classes.
    pub fn evaluation(&self) -> Evaluation {
        let labels: Vec<usize> = self.pixels.labels.iter().map(|&label| label as usize).collect();
        Evaluation::new(&self.metadata.classes, &labels, &self.probabilities)
    }

    /// The same of pictures that were learnt from too, and of the others; none if none was.
    pub fn leakage(&self) -> Option<Leakage> {
        let labels: Vec<usize> = self.pixels.labels.iter().map(|&label| label as usize).collect();
        let leaked = self.report.as_ref()?.leaked(&self.pixels.paths);
        Leakage::new(&self.metadata.classes, &labels, &self.probabilities, &leaked)
    }
}

/// Pictures with classes, to measure a run on.
pub struct TestPictures<'a> {
    /// The pictures of another folder, in place of the run's own test pictures.
    pub folder: Option<&'a Path>,
    /// The weights of the best epoch, in place of the last.
    pub best: bool,
    /// Fail on the first picture that cannot be read.
    pub strict: bool,
    /// Ask about the pictures' mirror images too, even if the run was not trained for it.
    pub flip_average: bool,
    /// Pictures in a batch.
    pub batch_size: u32,
    /// How to show progress.
    pub output: Output,
}

impl TestPictures<'_> {
    /// Reads the pictures and asks the network; gives the folder as well. The pictures' bytes are not kept: a test set may
    /// be large.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn answer(&self, run: RunFolder, gpu: Gpu) -> Result<(Answered, PathBuf), CommandError> {
        let Settings { data, validation_split, seed, masks, fold, recipe, .. } = run.settings()?;
        if let (Some(fold), None) = (fold, self.folder) {
            let reason = format!(
                "it is fold {fold} of a cross-validation: how it does on the pictures held out from it is in folds.csv of the \
                 folder around it; glowworm evaluate --data DIR measures it on others"
            );
            return Err(CommandError::File { path: run.path().to_owned(), reason });
        }
        let weights = run.weights(self.best)?;
        let metadata = weights.metadata.clone();
        let folder = self.folder.map_or(data, Path::to_owned);
        let mut dataset = data::open(&folder, &OpenOptions { validation_split, seed })?;
        // What the run left out, and what leaks, is said of its own pictures alone.
        let mut report = None;
        if self.folder.is_none() {
            run.excluded(&folder)?.leave_out(&mut dataset, &folder);
            report = findings::read(run.path())?;
        }
        // Another folder without a test part is measured whole; the run's own keeps to the split it was trained with.
        let whole = self.folder.is_some() && dataset.test_is_split;
        let chosen = if whole { dataset.train.iter().chain(&dataset.test).cloned().collect() } else { dataset.test };
        let samples = relabel(&chosen, &dataset.classes, &metadata.classes, &folder)?;

        let (height, width) = (metadata.network.height as usize, metadata.network.width as usize);
        let options = DecodeOptions { height, width, strict: self.strict, masks: masks.clone() };
        let mut pixels = data::decode(&samples, &options, &progress::counter(self.output, "pictures", samples.len()))?;
        for (path, reason) in &pixels.skipped {
            eprintln!("{}", printable(&format!("skipped {}: {reason}", path.display())));
        }
        let (bytes, flip_average) = (std::mem::take(&mut pixels.bytes), recipe.flip_average || self.flip_average);
        let probabilities = ask(&gpu, &weights, &metadata, bytes, self.batch_size, flip_average)?;
        Ok((Answered { gpu, run, weights, metadata, masks, pixels, probabilities, report }, folder))
    }
}

/// Probabilities of the pictures `bytes`, `[N,H,W,4]`.
fn ask(
    gpu: &Gpu,
    weights: &dyn Numbers,
    metadata: &Metadata,
    bytes: Vec<u8>,
    batch: u32,
    flip_average: bool,
) -> Result<Vec<Vec<f32>>, CommandError> {
    let spec = &metadata.network;
    let count = bytes.len() / (spec.height as usize * spec.width as usize * 4);
    let batch = batch.min(count as u32);
    let network = Network::new(gpu, spec, batch, Purpose::Infer, weights)?;
    let mut images = Images::new(gpu, bytes, vec![0; count], batch as usize, None)?;
    Ok(answer(gpu, &network, &mut images, flip_average)?.probabilities)
}

/// The folder's class numbers become the model's, by name.
fn relabel(
    samples: &[Sample],
    folder_classes: &[String],
    model_classes: &[String],
    folder: &Path,
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
