//! What a training needs before its first step: pictures, a network on the device, and for a new run its folder.

use std::path::{Path, PathBuf};

use super::fine_tune::Beginning;
use super::ledger::Ledger;
use super::screening::{Screened, Screening, apply_list, keep, screen};
use super::watch::Watch;
use super::{Say, TrainArgs};
use crate::commands::run_folder::RunLock;
use crate::commands::{CommandError, RunFolder, Settings, findings, run_folder};
use crate::data::check::CheckReport;
use crate::data::{self, Dataset, DecodeOptions, ExcludeList, OpenOptions, Pixels, name_below};
use crate::explain::background_sample;
use crate::gpu::Gpu;
use crate::model::{CompileAhead, Metadata, Network, Numbers, Part, network_for_training};
use crate::report::{Output, progress};

/// The drawn set's place and seed.
const DEFAULT_DATA: &str = "data/insects";
const DRAWN_SEED: u64 = 1;

/// What a training needs before its first step.
pub(super) struct Prepared {
    pub settings: Settings,
    pub classes: Vec<String>,
    /// With the weights of the beginning.
    pub network: Network,
    /// These weights, where they are another run's.
    pub start: Option<Box<dyn Numbers>>,
    pub train: Pixels,
    pub test: Pixels,
    pub watch: Watch,
    /// What the check found, if there was one.
    pub report: Option<CheckReport>,
    /// Pictures that are left out.
    excluded: ExcludeList,
    /// Compiles kernels, while pictures are decoded and the first step begins.
    _ahead: CompileAhead,
}

impl Prepared {
    /// Lays out the network that the settings describe, then decodes and checks the pictures; `excluded` has those that
    /// were left out of the data set before.
    fn new(
        (mut settings, start): (Settings, Option<Box<dyn Numbers>>),
        dataset: Dataset,
        (screening, mut excluded): (Screening, ExcludeList),
        gpu: &Gpu,
        args: &TrainArgs,
        output: Output,
        say: &Say,
    ) -> Result<Prepared, CommandError> {
        let network = lay(gpu, &settings, start.as_deref(), args.fit)?;
        let ahead = CompileAhead::of_training(gpu, &settings.network, settings.recipe.optimizer.purpose());
        say.line(format_args!("network  {}", settings.network_in_a_line()));
        if let Some(last) = network.last_frozen() {
            say.line(format_args!("frozen   all layers up to {last} keep their weights"));
        }
        let recipe = &mut settings.recipe;
        recipe.part = network.accumulates().then_some(network.batch() as u32);
        if let Some(part) = recipe.part {
            let batch = recipe.batch_size;
            say.line(format_args!("batch    {batch} pictures in parts of {part}, whose gradients are added up"));
        }
        let watch = Watch::new(dataset.train.iter().chain(&dataset.test).map(|sample| &sample.path));
        let side = settings.recipe.image_size as usize;
        let options = DecodeOptions { height: side, width: side, strict: args.strict, masks: settings.masks.clone() };
        let Screened { train, test, report } =
            screen(&dataset, &settings.data, &options, screening, &mut excluded, (output, say))?;
        say.line(format_args!(
            "data     {}: {} to train, {} to test, {} classes ({})",
            settings.data.display(),
            train.labels.len(),
            test.labels.len(),
            dataset.classes.len(),
            dataset.classes.join(", "),
        ));
        let classes = dataset.classes;
        Ok(Prepared { settings, classes, network, start, train, test, watch, report, excluded, _ahead: ahead })
    }

    /// The fold, from 0, in which each training picture is held out, where the run is a cross-validation; copies and near
    /// copies, which the check has found, in the same.
    ///
    /// # Errors
    /// [`DataError`](crate::data::DataError) for a class that is too small.
    pub fn fold_of(&self) -> Result<Vec<usize>, CommandError> {
        let Some(count) = self.settings.folds else { return Ok(Vec::new()) };
        let files: Vec<String> = self.train.paths.iter().map(|path| name_below(&self.settings.data, path)).collect();
        let pairs = self.report.as_ref().map_or(&[][..], |report| &report.pairs);
        let groups = data::groups(&files, pairs);
        Ok(data::folds(&self.classes, &self.train.labels, &groups, count as usize, self.settings.seed)?)
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(&self.settings.data, &self.train, &self.test)
    }
}

/// A network for the settings, with the weights of the beginning.
///
/// # Errors
/// [`CommandError::Model`].
pub(super) fn lay_network(
    gpu: &Gpu,
    settings: &Settings,
    start: Option<&dyn Numbers>,
) -> Result<Network, CommandError> {
    lay(gpu, settings, start, false)
}

fn lay(gpu: &Gpu, settings: &Settings, start: Option<&dyn Numbers>, fit: bool) -> Result<Network, CommandError> {
    let recipe = &settings.recipe;
    let batch = recipe.batch_size;
    let part = recipe.part.unwrap_or(batch).min(batch);
    let part = if fit { Part::Fitting(part) } else { Part::Exactly(part) };
    let purpose = recipe.optimizer.purpose();
    let mut network = network_for_training(gpu, &settings.network, batch, part, purpose, settings.seed)?;
    network.freeze(settings.freeze.unwrap_or(0) as usize)?;
    if let Some(start) = start {
        network.load(start)?;
    }
    Ok(if recipe.average > 0.0 { network.averaging()? } else { network })
}

/// What a new run begins with; nothing is written yet.
pub(super) fn prepare(args: &TrainArgs, gpu: &Gpu, output: Output, say: &Say) -> Result<Prepared, CommandError> {
    let folder = match &args.data {
        Some(folder) => folder.clone(),
        None => drawn_set(output, say)?,
    };
    let options = OpenOptions { validation_split: args.validation_split, seed: args.seed };
    let mut dataset = open_data(&folder, &options, args.folds.is_some(), say)?;
    let mut excluded = ExcludeList::default();
    if let Some(file) = &args.exclude_list {
        excluded = ExcludeList::read(file, &folder)?;
        apply_list(&excluded, &file.display().to_string(), &mut dataset, &folder, say)?;
    }
    let (recipe, line) = args.recipe()?;
    say.line(format_args!("recipe   {line}"));
    let mut settings = args.settings(recipe, folder, gpu, dataset.classes.len() as u32)?;
    let mut start = None;
    if let Some(from) = &args.from {
        let begun = Beginning::read(from, args.choices.image_size, &dataset.classes, args.seed, say)?;
        settings.recipe.model = begun.model.unwrap_or_else(|| from.display().to_string());
        settings.recipe.image_size = begun.network.height;
        (settings.network, start) = (begun.network, Some(Box::new(begun.weights) as Box<dyn Numbers>));
    }
    let screening = Screening { strict: args.strict, check: !args.no_check, exclude_leaks: args.exclude_leaks };
    Prepared::new((settings, start), dataset, (screening, excluded), gpu, args, output, say)
}

/// A new run: its folder, with all that does not change in training; the settings last.
pub(super) fn start(
    args: &TrainArgs,
    gpu: &Gpu,
    output: Output,
    say: &Say,
) -> Result<(RunFolder, RunLock, Prepared), CommandError> {
    let prepared = prepare(args, gpu, output, say)?;
    // Before there is a folder.
    prepared.fold_of()?;
    let (run, lock) = RunFolder::create(args.out.as_deref(), &run_folder::name_of(&prepared.settings.data))?;
    keep(&run, prepared.report.as_ref(), &prepared.excluded, say)?;
    prepared.ledger().write(&run)?;
    write_background(args, &run, &prepared)?;
    if let Some(start) = &prepared.start {
        let metadata = Metadata { classes: prepared.classes.clone(), network: prepared.settings.network.clone() };
        run.write_start(start.as_ref(), &metadata)?;
    }
    run.write_settings(&prepared.settings)?;
    Ok((run, lock, prepared))
}

/// An interrupted run, with the settings and the pictures that it began with. Only for the holder of its lock.
pub(super) fn take_up(
    args: &TrainArgs,
    run: &RunFolder,
    gpu: &Gpu,
    output: Output,
    say: &Say,
) -> Result<Prepared, CommandError> {
    let kept = run.settings()?;
    if let Some(fold) = kept.fold {
        let text = format!(
            "{} is fold {fold} of a cross-validation, which --resume goes on with as a whole: name the folder around it",
            run.path().display()
        );
        return Err(CommandError::Usage(text));
    }
    if kept.folds.is_some() && args.choices.learning_rate.is_some() {
        let text = "all folds of a cross-validation need the same --learning-rate: begin anew with another";
        return Err(CommandError::Usage(text.to_owned()));
    }
    let mut settings = kept.clone();
    let recipe = &mut settings.recipe;
    recipe.epochs = args.choices.epochs.map_or(recipe.epochs, |epochs| epochs as usize);
    recipe.learning_rate = args.choices.learning_rate.unwrap_or(recipe.learning_rate);
    recipe.early_stopping = args.choices.early_stopping.or(recipe.early_stopping).filter(|patience| *patience > 0);
    recipe.check().map_err(|wrong| CommandError::Usage(format!("of the run to resume, {wrong}")))?;
    if (&settings.adapter, &settings.driver) != (&gpu.summary().name, &gpu.summary().driver) {
        say.line(format_args!("note     the run began on {}: here its last bits may differ", settings.adapter));
    }
    let options = OpenOptions { validation_split: settings.validation_split, seed: settings.seed };
    let mut dataset = open_data(&settings.data, &options, settings.folds.is_some(), say)?;
    let excluded = run.excluded(&settings.data)?;
    if !excluded.is_empty() {
        apply_list(&excluded, "the run", &mut dataset, &settings.data, say)?;
    }
    // It was checked when it began.
    let screening = Screening { strict: false, check: false, exclude_leaks: None };
    let report = findings::read(run.path())?;
    let start = settings.from.is_some().then(|| run.start()).transpose()?;
    let start = start.map(|file| Box::new(file) as Box<dyn Numbers>);
    let prepared = Prepared::new((settings, start), dataset, (screening, excluded), gpu, args, output, say)?;
    let prepared = Prepared { report, ..prepared };
    prepared.ledger().check(run, &prepared.settings.data)?;
    if prepared.settings != kept {
        run.write_settings(&prepared.settings)?;
    }
    Ok(prepared)
}

/// Keeps some training pictures with the run, so that its answers can be explained without the training folder.
fn write_background(args: &TrainArgs, run: &RunFolder, prepared: &Prepared) -> Result<(), CommandError> {
    let train = &prepared.train;
    let chosen = background_sample(&train.labels, args.background as usize, prepared.settings.seed);
    let size = train.bytes.len() / train.labels.len();
    let pictures: Vec<u8> = chosen.into_iter().flat_map(|i| &train.bytes[i * size..(i + 1) * size]).copied().collect();
    let side = prepared.settings.recipe.image_size as usize;
    run.write_background(&pictures, side, side)
}

/// The set that the program draws itself, drawn if it is not there yet.
pub(super) fn drawn_set(output: Output, say: &Say) -> Result<PathBuf, CommandError> {
    let folder = PathBuf::from(DEFAULT_DATA);
    let counter = progress::counter(output, "drawing the default pictures", data::drawn_count());
    if data::draw_default_set(&folder, DRAWN_SEED, &counter)? {
        say.line(format_args!("drawn    {} pictures of insects in {}", data::drawn_count(), folder.display()));
    }
    Ok(folder)
}

/// Opens the data set; in a cross-validation, nothing is split off for testing.
fn open_data(folder: &Path, options: &OpenOptions, in_folds: bool, say: &Say) -> Result<Dataset, CommandError> {
    let mut dataset = data::open(folder, options)?;
    if in_folds {
        dataset.rejoin();
    }
    dataset.notes.iter().for_each(|note| say.line(format_args!("note     {note}")));
    Ok(dataset)
}
