//! `train --folds K`: a network for each fold of the training pictures, measured on the pictures held out from it. Each has
//! a folder within the run's, with its own checkpoints; a cross-validation goes on where it was interrupted.

use super::epochs::history_of;
use super::ledger::Ledger;
use super::prepare::{Prepared, lay_network};
use super::{Asked, Lesson, doubts, teach};
use crate::commands::costs::Costs;
use crate::commands::{CommandError, RunFolder, Settings};
use crate::data::{Pixels, name_below};
use crate::files::write_atomically;
use crate::gpu::Gpu;
use crate::report::{FoldScore, OutOfFold, suspects, suspects_to_csv};
use crate::training::{Images, answer};

/// Trains what is left to train of `count` networks, and writes what all of them say.
///
/// # Errors
/// [`CommandError`].
pub(super) fn learn(
    asked: &Asked,
    gpu: &Gpu,
    run: &RunFolder,
    costs: &Costs,
    prepared: Prepared,
    count: u32,
) -> Result<(), CommandError> {
    let folds = prepared.fold_of()?;
    let Prepared { settings, classes, network, start, train, mut watch, report, .. } = prepared;
    // It has shown that such a network fits; each fold begins with one of its own.
    drop(network);
    let pictures = train.labels.len();
    let mut result = OutOfFold {
        classes,
        files: train.paths.iter().map(|path| name_below(&settings.data, path)).collect(),
        folds,
        labels: train.labels.iter().map(|label| *label as usize).collect(),
        probabilities: vec![Vec::new(); pictures],
        scores: Vec::new(),
    };
    for number in 1..=count {
        let is_held_out: Vec<bool> = result.folds.iter().map(|fold| *fold + 1 == number as usize).collect();
        let learnt: Vec<bool> = is_held_out.iter().map(|held_out| !held_out).collect();
        let parts = [train.part(&learnt), train.part(&is_held_out)];
        let settings = Settings { fold: Some(number), ..settings.clone() };
        let [learnt, held_out] = parts.each_ref().map(|part| part.labels.len());
        asked.say.line(format_args!("\nfold {number}/{count}: {learnt} pictures to learn from, {held_out} held out"));
        let own = run.fold(number)?;
        begin(run, &own, &settings, &parts)?;
        let network = lay_network(gpu, &settings, start.as_deref())?;
        let mut held_out = match has_finished(&own, &settings)? {
            true => {
                asked.say.line("         it has done its epochs");
                let [_, held_out] = parts;
                Images::new(gpu, held_out.bytes, held_out.labels, network.batch(), None)?
            }
            false => {
                let [train, test] = parts;
                let (classes, watch) = (&result.classes, &mut watch);
                let lesson = Lesson { settings: &settings, classes, network: &network, train, test, watch };
                let costs_of_fold = Costs::start(&own);
                teach(asked, gpu, &own, &costs_of_fold, lesson).map_err(|error| of_fold(error, number))?.1
            }
        };
        // The weights as they are kept, so that what is said here can be found again.
        network.load(&own.weights(false)?)?;
        let answers = answer(gpu, &network, &mut held_out, settings.recipe.flip_average)?;
        let (loss, accuracy) = (answers.running.loss(), answers.running.accuracy());
        let places = (0..pictures).filter(|picture| is_held_out[*picture]);
        places.zip(answers.probabilities).for_each(|(picture, row)| result.probabilities[picture] = row);
        result.scores.push(FoldScore { fold: number as usize, pictures: held_out.len(), loss, accuracy });
        asked.say.line(format_args!("fold {number}/{count}: accuracy {:.1} %, loss {loss:.4}", 100.0 * accuracy));
        costs.write(run, gpu)?;
    }
    let (accuracy, loss) = (result.accuracy(), result.loss());
    asked.say.line(format_args!(
        "\naccuracy {:.1} ± {:.1} %, loss {:.4} ± {:.4}: mean and standard deviation of {count} folds",
        100.0 * accuracy.mean,
        100.0 * accuracy.deviation,
        loss.mean,
        loss.deviation,
    ));
    let suspects = suspects(&result.labels, &result.probabilities);
    let json = format!("{:#}\n", result.folds_json());
    let doubted = suspects_to_csv(&suspects, &result.files, &result.classes);
    let tables = [
        ("folds.csv", result.folds_csv()),
        ("folds.json", json),
        ("out_of_fold.csv", result.to_csv()),
        (doubts::TABLE, doubted),
    ];
    for (name, text) in tables {
        let path = run.file(name);
        let fail = |e| CommandError::File { path: path.clone(), reason: format!("it cannot be written: {e}") };
        write_atomically(&path, text.as_bytes()).map_err(fail)?;
    }
    doubts::tell(asked, run, &settings, &result, &suspects, report.as_ref())?;
    let (path, data) = (run.path().display(), settings.data.display());
    asked.say.line(format_args!(
        "look at {path}/folds.csv, {path}/out_of_fold.csv; next: glowworm train --data {data} trains a network on all of them,\n\
         glowworm predict {path}/fold-1 PICTURE asks one of these"
    ));
    Ok(())
}

/// What does not change in the training of a fold's network, the settings last; where they are there already, the pictures
/// are held against those of then.
fn begin(
    run: &RunFolder,
    own: &RunFolder,
    settings: &Settings,
    [train, test]: &[Pixels; 2],
) -> Result<(), CommandError> {
    let ledger = Ledger::new(&settings.data, train, test);
    if own.file("settings.toml").exists() {
        ledger.check(own, &settings.data)?;
    } else {
        ledger.write(own)?;
        let side = settings.recipe.image_size as usize;
        own.write_background(&run.background(side, side)?, side, side)?;
    }
    own.write_settings(settings)
}

/// Whether the network of a fold has done its epochs.
fn has_finished(own: &RunFolder, settings: &Settings) -> Result<bool, CommandError> {
    // What there is to say of damaged ones is said when it goes on from them.
    let (checkpoint, _) = own.checkpoint(&settings.network)?;
    let Some(checkpoint) = checkpoint else { return Ok(false) };
    let done = checkpoint.state.position.epoch as usize > settings.recipe.epochs;
    Ok(done || history_of(&checkpoint)?.has_lost_patience(settings.recipe.early_stopping))
}

/// A cross-validation has one learning rate: a fold that diverged is not to go on with another.
fn of_fold(error: CommandError, number: u32) -> CommandError {
    match error {
        CommandError::Diverged { what, learning_rate, .. } => CommandError::Diverged {
            what: format!("in fold {number}, {what}"),
            learning_rate,
            kept: "All folds need the same: begin anew with it".to_owned(),
        },
        other => other,
    }
}
