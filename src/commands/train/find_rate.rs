//! `train --find-lr`: a learning-rate range test with the settings of a run.

use super::Asked;
use super::prepare::Prepared;
use crate::commands::{CommandError, run_folder};
use crate::gpu::Gpu;
use crate::report::rate_curve::rate_text;
use crate::report::{RateTest, progress, rate_curve};
use crate::training::{Ended, Images, Running, Sampling, Schedule, Trainer};

const STEPS: usize = 150;
const SLOWEST: f64 = 1e-6;
const FASTEST: f64 = 1.0;

/// The rate of a step: each is larger than the one before by the same factor.
fn rate_of(step: usize) -> f64 {
    SLOWEST * (FASTEST / SLOWEST).powf(step as f64 / (STEPS - 1) as f64)
}

/// Sum of the losses of the pictures counted.
fn sum(running: &Running) -> f64 {
    if running.count == 0 { 0.0 } else { running.loss() * running.count as f64 }
}

/// Tests, writes `lr.csv` and `lr.png` into a folder of their own, and says which rates they suggest.
///
/// # Errors
/// [`CommandError`].
pub(super) fn run(asked: &Asked, gpu: &Gpu, prepared: Prepared) -> Result<(), CommandError> {
    let Asked { args, output, say, stop } = *asked;
    let Prepared { settings, network, train, .. } = prepared;
    let name = format!("{}-lr", run_folder::name_of(&settings.data));
    let folder = run_folder::new_folder(args.out.as_deref(), "runs", &name)?;
    let staged = network.batch() * settings.recipe.augmentation.pictures_in_a_row();
    let budget = args.image_memory.map(|mib| mib << 20);
    let mut images = Images::new(gpu, train.bytes, train.labels, staged, budget)?;
    let recipe = &settings.recipe;
    let goal = recipe.goal(images.labels(), settings.network.classes);
    let (batch, schedule) = (recipe.batch_size as usize, Schedule::constant(SLOWEST));
    let mut trainer = Trainer::new(gpu, &network, &mut images, batch, recipe.augmentation, recipe.optimizer, schedule)?;
    trainer.seed = settings.seed;
    trainer.weight_decay = recipe.weight_decay;
    trainer.goal = goal;
    trainer.balance = recipe.sampling == Sampling::Balanced;
    let mut test = RateTest::default();
    let counter = progress::counter(output, "learning rates", STEPS);
    let mut stopped = false;
    for step in 0..STEPS {
        trainer.schedule = Schedule::constant(rate_of(step));
        let before = trainer.position.running;
        let after = match trainer.epoch(stop, |_| true, |_, _| ())? {
            Ended::Paused => trainer.position.running,
            Ended::Whole(running) => running,
            Ended::NotFinite(_) => break,
            Ended::Stopped => {
                stopped = true;
                break;
            }
        };
        let loss = (sum(&after) - sum(&before)) / (after.count - before.count) as f64;
        counter(step + 1);
        if test.add(rate_of(step), loss) {
            break;
        }
    }
    counter(STEPS);
    let [table, picture] = ["lr.csv", "lr.png"].map(|name| folder.join(name));
    test.write(&table)?;
    let title = format!("{}, {}", settings.data.display(), words(&test));
    rate_curve::write(&test, &title, &picture)?;
    say.line(format_args!("tested   {}", words(&test)));
    match (test.steepest(), test.tenth_of_least()) {
        (Some(descent), Some(tenth)) => {
            let hardly = if descent.is_clear { "" } else { ", though hardly by more than it wavers" };
            say.line(format_args!("         {} is where the loss falls steepest{hardly}", rate_text(descent.rate)));
            say.line(format_args!("         {} is a tenth of the rate at which it is least", rate_text(tenth)));
            say.line("         either is a --learning-rate to begin with");
        }
        _ => say.line("         the loss falls nowhere, so no rate can be suggested; try a larger --batch-size"),
    }
    say.line(format_args!("look at {} ({})", picture.display(), table.display()));
    if stopped { Err(CommandError::Stopped) } else { Ok(()) }
}

/// How far the test came.
fn words(test: &RateTest) -> String {
    let last = test.steps.last().map_or(SLOWEST, |step| step.rate);
    format!("{} steps with learning rates from {} to {}", test.steps.len(), rate_text(SLOWEST), rate_text(last))
}
