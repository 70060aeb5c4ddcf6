//! `glowworm report`: everything that is known of a run on one page, `report.html` in its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::heatmaps::masked_picture;
use super::mean_maps::{MeanMaps, sentence};
use super::pictures::{Answered, TestPictures};
use super::train::count_trained;
use super::{CommandError, DeviceArgs, RunFolder, Settings, costs};
use crate::data::check::{self, CheckReport, Severity};
use crate::data::{self, DecodeOptions, Sample};
use crate::explain::{Concentration, ExplainOptions, concentration};
use crate::gpu::Gpu;
use crate::model::Target;
use crate::names::printable;
use crate::report::heatmap::{self, Colours, Figure, Panel, Row};
use crate::report::page::{Chart, ClassMap, Diagram, Example, Fact, Finding, Page, Picture, leakage_in_words, place};
use crate::report::{History, Output, largest, progress};

/// Wrong pictures shown, right ones of each class, and pictures explained for the means, of all classes together.
const WRONG: usize = 6;
const RIGHT: usize = 2;
const MOST_EXPLAINED: usize = 24;

/// Options of `report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Run folder that `train` made
    run: PathBuf,
    /// Take the weights of the epoch that did best on the test pictures (which flatters the score a little), not the last
    #[arg(long)]
    best: bool,
    /// Points at which gradients are taken, for each picture
    #[arg(long, default_value_t = SAMPLES, value_parser = clap::value_parser!(u32).range(2..))]
    samples: u32,
    /// Open the page
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Points of an explanation, if the user names no number.
pub(super) const SAMPLES: u32 = 100;

/// Makes the page.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: &ReportArgs) -> Result<(), CommandError> {
    let run = RunFolder::open(&args.run)?;
    let stop = AtomicBool::new(false);
    let wanted = Wanted { best: args.best, samples: args.samples, output: Output::detect(false), stop: &stop };
    let path = write(run, args.device.open()?, &wanted)?;
    println!("report   {}", printable(&path.display().to_string()));
    if args.open { open(&path) } else { Ok(()) }
}

/// Opens a page in the user's browser.
///
/// # Errors
/// [`CommandError::File`] if the system has nothing to open it with.
pub(super) fn open(path: &Path) -> Result<(), CommandError> {
    open::that_detached(path).map_err(|e| CommandError::File {
        path: path.to_owned(),
        reason: format!("the page is written, but nothing was found to open it with ({e}); open it in any browser"),
    })
}

/// How to make a page.
pub(super) struct Wanted<'a> {
    /// The weights of the best epoch, in place of the last.
    pub best: bool,
    /// Points of each explanation.
    pub samples: u32,
    pub output: Output,
    /// Ends the explaining early; the page is written all the same.
    pub stop: &'a AtomicBool,
}

/// Measures the run on its test pictures, explains some of them, and writes `report.html`.
///
/// # Errors
/// [`CommandError`].
pub(super) fn write(run: RunFolder, gpu: Gpu, wanted: &Wanted) -> Result<PathBuf, CommandError> {
    let settings = run.settings()?;
    let history = History::read(&run.file("history.csv"))?;
    let pictures = TestPictures {
        folder: None,
        best: wanted.best,
        flip_average: false,
        strict: false,
        batch_size: settings.recipe.part.unwrap_or(settings.recipe.batch_size),
        output: wanted.output,
    };
    let (asked, folder) = pictures.answer(run, gpu)?;
    let evaluation = asked.evaluation();
    let choice = Choice::new(&asked);
    let explained = explain(&asked, &choice, wanted)?;
    let example = |index: &usize| example(&asked, &folder, *index, &explained);
    let classes = asked.metadata.classes.iter().zip(&choice.right);
    let path = asked.run.file("report.html");
    let trained = count_trained(&asked.run).map_or(String::new(), |count| format!("{count} to train, "));
    let pictures = format!("{trained}{} to test, {} classes", evaluation.images, asked.metadata.classes.len());
    let epochs = match history.0.len() {
        done if history.has_lost_patience(settings.recipe.early_stopping) => {
            let lowest = history.lowest_loss().map_or(done, |epoch| epoch.epoch);
            format!("{done} of {}; ended early, the model is that of epoch {lowest}", settings.recipe.epochs)
        }
        done if done < settings.recipe.epochs => {
            format!("{done} of {}; glowworm train --resume goes on", settings.recipe.epochs)
        }
        done => done.to_string(),
    };
    let page = Page {
        name: asked.run.path().file_name().unwrap_or(asked.run.path().as_os_str()).to_string_lossy().into_owned(),
        weights: match wanted.best {
            true => "of the epoch that did best on these very pictures, which flatters the score a little",
            false => "after the last epoch",
        }
        .to_owned(),
        charts: Chart::all(&history),
        findings: asked.report.as_ref().map(findings),
        leakage: asked.leakage().map(|leakage| leakage_in_words(&leakage)).unwrap_or_default(),
        diagram: Diagram::new(&evaluation.calibration),
        wrong: choice.wrong.iter().map(example).collect::<Result<_, _>>()?,
        right: classes
            .map(|(class, right)| Ok((class.clone(), right.iter().map(example).collect::<Result<_, _>>()?)))
            .collect::<Result<_, CommandError>>()?,
        maps: class_maps(&asked, &explained.means),
        explained: explained.remark(&choice, asked.run.path(), wanted.samples),
        settings: facts(&settings, pictures, epochs),
        all_settings: asked.run.settings_text()?,
        costs: costs::facts(&asked.run),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        evaluation,
        history,
    };
    page.write(&path)?;
    Ok(path)
}

/// Which test pictures are shown and explained, by their numbers.
struct Choice {
    /// The most confidently wrong ones, the surest first.
    wrong: Vec<usize>,
    /// Of each class, some right ones.
    right: Vec<Vec<usize>>,
    /// For the mean maps: some of each class, right or not, spread evenly over its files.
    sample: BTreeSet<usize>,
}

/// At most `count` of the items, spread evenly.
fn spread(items: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(items.len());
    (0..count).map(|i| items[i * items.len() / count]).collect()
}

impl Choice {
    fn new(asked: &Answered) -> Choice {
        let said: Vec<usize> = asked.probabilities.iter().map(|row| largest(row)).collect();
        let is = |index: &usize| asked.pixels.labels[*index] as usize;
        let sure = |index: &usize| asked.probabilities[*index][said[*index]];
        let mut wrong: Vec<usize> = (0..said.len()).filter(|i| said[*i] != is(i)).collect();
        wrong.sort_by(|a, b| sure(b).total_cmp(&sure(a)));
        wrong.truncate(WRONG);
        let classes = asked.metadata.classes.len();
        let of_class = |class: usize| (0..said.len()).filter(|i| is(i) == class).collect::<Vec<usize>>();
        let each = (MOST_EXPLAINED / classes).max(1);
        let sample: Vec<usize> = (0..classes).flat_map(|class| spread(&of_class(class), each)).collect();
        let sample: BTreeSet<usize> = spread(&sample, MOST_EXPLAINED).into_iter().collect();
        let right = (0..classes).map(|class| {
            // Those that are explained anyway come first.
            let mut right: Vec<usize> = of_class(class).into_iter().filter(|i| said[*i] == class).collect();
            right.sort_by_key(|i| !sample.contains(i));
            right.truncate(RIGHT);
            right
        });
        Choice { wrong, right: right.collect(), sample }
    }

    /// What is to be explained, the pictures that are shown first.
    fn order(&self) -> Vec<usize> {
        let shown: Vec<usize> =
            self.wrong.iter().chain(self.right.iter().flatten().take(MOST_EXPLAINED)).copied().collect();
        let rest = self.sample.iter().copied().filter(|i| !shown.contains(i));
        shown.iter().copied().chain(rest).collect()
    }
}

/// What explaining has given.
struct Explained {
    /// Picture number → the classes of interest with their heatmaps.
    heatmaps: BTreeMap<usize, Vec<(String, Picture)>>,
    means: MeanMaps,
    stopped: bool,
}

impl Explained {
    fn remark(&self, choice: &Choice, run: &Path, samples: u32) -> String {
        let again = format!("glowworm report {} makes the page with all of them", run.display());
        let mean = format!(
            "How much each pixel moves the class's probability, on the mean of {} test pictures{} (expected gradients, SHAP \
             values, {samples} points for each). Outlined: an outsized share of the evidence.",
            self.means.count(),
            if self.stopped {
                format!(" of {}, since explaining was stopped: {again}", choice.sample.len())
            } else {
                String::new()
            },
        );
        if self.means.count() > 0 {
            mean
        } else {
            format!("The heatmaps are missing, since the run was stopped: {again}.")
        }
    }
}

fn explain(asked: &Answered, choice: &Choice, wanted: &Wanted) -> Result<Explained, CommandError> {
    let (size, classes) = (asked.size(), &asked.metadata.classes);
    let mut explained = Explained {
        heatmaps: BTreeMap::new(),
        means: MeanMaps::new(size, classes.len()),
        stopped: wanted.stop.load(Ordering::Relaxed),
    };
    let order = choice.order();
    if explained.stopped || order.is_empty() {
        return Ok(explained);
    }
    let samples = wanted.samples as usize;
    let options = ExplainOptions { samples, tolerance: None, most_rounds: 1, target: Target::Probability, seed: 1 };
    let (explainer, _) = asked.explainer(options)?;
    let bar = progress::counter(wanted.output, "explaining for the report", order.len() * samples);
    for (done, &index) in order.iter().enumerate() {
        explained.stopped = wanted.stop.load(Ordering::Relaxed);
        if explained.stopped {
            break;
        }
        let probabilities = &asked.probabilities[index];
        let label = asked.pixels.labels[index] as usize;
        let image = network_picture(asked, index)?;
        let estimate = explainer.explain(&image, probabilities, |points, _| bar(done * samples + points))?;
        if choice.sample.contains(&index) {
            explained.means.add(&image, probabilities, &estimate);
        }
        let said = largest(probabilities);
        let of_interest = if said == label { vec![said] } else { vec![said, label] };
        let maps = of_interest.iter().map(|class| (classes[*class].clone(), estimate.map_of(*class, classes.len())));
        explained.heatmaps.insert(index, heatmaps(asked, index, maps.collect())?);
    }
    bar(order.len() * samples);
    Ok(explained)
}

/// The picture as the network sees it, `[H,W,4]` bytes.
fn network_picture(asked: &Answered, index: usize) -> Result<Vec<u8>, CommandError> {
    let (height, width) = asked.size();
    let sample = Sample { path: asked.pixels.paths[index].clone(), label: 0 };
    let options = DecodeOptions { height, width, strict: true, masks: asked.masks.clone() };
    Ok(data::decode(&[sample], &options, &|_| {})?.bytes)
}

/// A figure of one picture, for its tiles.
fn figure(picture: image::RgbImage, maps: &[(String, Vec<f64>)], size: (usize, usize), colours: Colours) -> Figure {
    let panel =
        |(title, values): &(String, Vec<f64>)| Panel { title: title.clone(), values: values.clone(), outline: None };
    let row = Row { picture, title: String::new(), note: String::new(), panels: maps.iter().map(panel).collect() };
    Figure { size, rows: vec![row], overlay: false, colours, foot: String::new() }
}

fn heatmaps(
    asked: &Answered,
    index: usize,
    maps: Vec<(String, Vec<f64>)>,
) -> Result<Vec<(String, Picture)>, CommandError> {
    let size = asked.size();
    let picture = masked_picture(asked, &asked.pixels.paths[index])?;
    let tiles = heatmap::tiles(&figure(picture, &maps, size, Colours::Signed)).remove(0).1;
    let alt = |class: &str, values: &[f64]| {
        let against: Vec<f64> = values.iter().map(|v| -v).collect();
        let part = |what: &str, values: &[f64]| place(values, size).map(|place| format!("; {what} it most {place}"));
        let [for_it, against] = [part("for", values), part("against", &against)].map(Option::unwrap_or_default);
        format!("Heatmap of what speaks for and against {class}{for_it}{against}")
    };
    let tiles = maps.into_iter().zip(tiles).map(|((class, values), tile)| {
        let alt = alt(&class, &values);
        (class, Picture::map(&tile, alt))
    });
    Ok(tiles.collect())
}

fn example(asked: &Answered, folder: &Path, index: usize, explained: &Explained) -> Result<Example, CommandError> {
    let (probabilities, classes) = (&asked.probabilities[index], &asked.metadata.classes);
    let (said, label) = (largest(probabilities), asked.pixels.labels[index] as usize);
    let path = &asked.pixels.paths[index];
    let file = printable(&path.strip_prefix(folder).unwrap_or(path).display().to_string());
    let words = |class: usize| format!("{} {:.1}\u{a0}%", classes[class], 100.0 * probabilities[class]);
    let shown = heatmap::tiles(&figure(masked_picture(asked, path)?, &[], asked.size(), Colours::Signed)).remove(0).0;
    let picture = Picture::photograph(&shown, format!("The test picture {file}, of the class {}", classes[label]));
    Ok(Example {
        said: words(said),
        truth: (said != label).then(|| words(label)),
        picture,
        heatmaps: explained.heatmaps.get(&index).cloned().unwrap_or_default(),
        file,
    })
}

/// What the check of the pictures found, with some of the files.
pub(super) fn findings(report: &CheckReport) -> Vec<Finding> {
    let finding = |found: &check::Finding| {
        let lines = report.lines(found).into_iter().map(|line| printable(line.trim()));
        Finding {
            warning: found.severity == Severity::Warning,
            text: printable(&found.text),
            advice: found.advice.clone(),
            examples: lines.skip(1 + usize::from(found.advice.is_some())).collect(),
        }
    };
    report.findings.iter().map(finding).collect()
}

/// The mean maps on one scale of colours, and in words.
fn class_maps(asked: &Answered, means: &MeanMaps) -> Vec<ClassMap> {
    let (size, classes) = (asked.size(), &asked.metadata.classes);
    if means.count() == 0 {
        return Vec::new();
    }
    let maps: Vec<(String, Vec<f64>)> =
        classes.iter().enumerate().map(|(class, name)| (name.clone(), means.map(class))).collect();
    let found: Vec<Option<Concentration>> = maps.iter().map(|(_, map)| concentration(map, size)).collect();
    let mut figure = figure(means.picture(), &maps, size, Colours::Magnitude);
    for (panel, found) in figure.rows[0].panels.iter_mut().zip(&found) {
        panel.outline = found.filter(Concentration::is_outsized).map(|c| c.rectangle);
    }
    let tiles = heatmap::tiles(&figure).remove(0).1;
    let mut shown = Vec::with_capacity(maps.len());
    for (((class, values), found), tile) in maps.into_iter().zip(found).zip(tiles) {
        let most = place(&values, size).map_or(String::new(), |place| format!("; most of it {place}"));
        shown.push(ClassMap {
            map: Picture::map(&tile, format!("Map of what moves the class {class}{most}")),
            words: found.map_or_else(|| "No pixel moves it.".to_owned(), |found| whole(&sentence(&found, size))),
            outsized: found.is_some_and(|found| found.is_outsized()),
            class,
        });
    }
    shown
}

/// A sentence with its capital letter and its stop.
fn whole(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).chain(['.']).collect()
}

/// The settings that matter most, in words.
pub(super) fn facts(settings: &Settings, pictures: String, epochs: String) -> Vec<Fact> {
    let spec = &settings.network;
    let recipe = &settings.recipe;
    let masks = settings.masks.iter().map(|mask| format!("; blanked: {mask}")).collect::<String>();
    [
        ("adapter", format!("{} ({})", settings.adapter, settings.driver)),
        ("data", printable(&settings.data.display().to_string())),
        ("pictures", pictures),
        ("size of the pictures", format!("{} × {} pixels{masks}", spec.width, spec.height)),
        ("epochs", epochs),
        ("recipe", printable(&recipe.name)),
        ("batch size", recipe.batch_size.to_string()),
        ("optimiser", recipe.optimizer_in_words()),
        ("loss", recipe.loss_in_words()),
        ("augmentation", recipe.augmentation.to_string()),
        ("network", settings.network_in_a_line()),
        ("seed", settings.seed.to_string()),
        ("version", format!("glowworm {}", settings.version)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
