//! What a recipe file says, or the command line over it, and how two such layers become a recipe.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::source::reference_choices;
use super::{Recipe, Wrong, reference};
use crate::training::{AugmentationSettings, OptimizerSettings, ScheduleSettings};

/// Names of the optimisers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Adam, β 0.9 and 0.999
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
    /// Stochastic gradient descent
    Sgd,
    /// RMSprop, ρ 0.9
    Rmsprop,
}

/// Names of the schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The same rate throughout
    Constant,
    /// A linear rise, then half a cosine down to nothing
    Cosine,
    /// Half a cosine up, and half a cosine down
    OneCycle,
}

/// How much the pictures of a class matter in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// As much as those of any other
    #[default]
    None,
    /// The more, the fewer there are: pictures / (classes × pictures of the class)
    Balanced,
}

impl ClassWeights {
    /// The weight of each class among these labels.
    pub fn of(self, labels: &[u32], classes: u32) -> Vec<f32> {
        let count = |class: u32| labels.iter().filter(|label| **label == class).count();
        let balanced = |class: u32| labels.len() as f32 / (classes as f32 * count(class).max(1) as f32);
        (0..classes).map(|class| if self == ClassWeights::Balanced { balanced(class) } else { 1.0 }).collect()
    }
}

/// Which pictures an epoch has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Every one once, in a random order
    #[default]
    Shuffled,
    /// Drawn at random, those of every class as often as those of any other
    Balanced,
}

/// What a recipe file says, or the command line over it. The values of the file have the options' names, with underscores.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Recipe (what is left open is as the recipe says)")]
pub struct Choices {
    /// Network: a built-in one (`glowworm model` lists them), or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Side in pixels that pictures are resized to; with --from, by itself that of its network
    #[arg(long, value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u32>,
    /// Times that every picture is seen
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Pictures in a step
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// Pictures that the device works on at once, if that is fewer than a batch: their gradients are added up, which is the
    /// same training up to rounding, in less memory
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Optimiser. One that is chosen over a recipe's comes with its own learning rate, momentum and weight decay
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<OptimizerName>,
    /// Learning rate, the largest of the schedule [default of an optimiser: 0.001; 0.01 for sgd]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Momentum of sgd
    #[arg(long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f32>,
    /// Nesterov's form of the momentum
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<bool>,
    /// Decoupled weight decay: in every step, the kernels of layers lose this share of themselves times the learning rate
    /// [default of an optimiser: 0; 0.01 for adamw]
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// How the learning rate goes over the run
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleName>,
    /// Share of the steps in which it rises [default of a schedule: 0.1 for cosine, 0.3 for one-cycle]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,
    /// Share of it that cosine ends with [default of a schedule: 0]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_rate: Option<f64>,
    /// Share of every label that is spread evenly over all classes
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_smoothing: Option<f64>,
    /// How much the pictures of a class matter
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Which pictures an epoch has
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// Decay of a moving average of the weights, 0.998 for example, which is then tested and kept in their place; 0 for none
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<f64>,
    /// End when the test loss has not fallen for so many epochs, and keep the model of the epoch with the lowest; 0 for never
    #[arg(long, value_name = "EPOCHS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<u32>,
    /// Test pictures, and those that the network is asked about later, are answered together with their mirror images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip_average: Option<bool>,
    /// How pictures are changed while the network learns, as a whole.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<AugmentationSettings>,
}

impl Choices {
    /// These, and where they say nothing, what lies below. What belongs to an optimiser or a schedule goes with it.
    pub fn over(self, below: Choices) -> Choices {
        let mut below = below;
        if self.optimizer.is_some() {
            let rest = Choices { learning_rate: None, momentum: None, nesterov: None, weight_decay: None, ..below };
            below = rest;
        }
        if self.schedule.is_some() {
            below = Choices { warmup: None, final_rate: None, ..below };
        }
        Choices {
            model: self.model.or(below.model),
            image_size: self.image_size.or(below.image_size),
            epochs: self.epochs.or(below.epochs),
            batch_size: self.batch_size.or(below.batch_size),
            part: self.part.or(below.part),
            optimizer: self.optimizer.or(below.optimizer),
            learning_rate: self.learning_rate.or(below.learning_rate),
            momentum: self.momentum.or(below.momentum),
            nesterov: self.nesterov.or(below.nesterov),
            weight_decay: self.weight_decay.or(below.weight_decay),
            schedule: self.schedule.or(below.schedule),
            warmup: self.warmup.or(below.warmup),
            final_rate: self.final_rate.or(below.final_rate),
            label_smoothing: self.label_smoothing.or(below.label_smoothing),
            class_weights: self.class_weights.or(below.class_weights),
            sampling: self.sampling.or(below.sampling),
            average: self.average.or(below.average),
            early_stopping: self.early_stopping.or(below.early_stopping),
            flip_average: self.flip_average.or(below.flip_average),
            augmentation: self.augmentation.or(below.augmentation),
        }
    }

    /// What is said, by name.
    pub(super) fn table(&self) -> toml::Table {
        toml::Table::try_from(self).unwrap_or_default()
    }

    fn optimizer(&self) -> Result<OptimizerSettings, Wrong> {
        let (momentum, nesterov) = (self.momentum.unwrap_or(0.0), self.nesterov.unwrap_or(false));
        let name = self.optimizer.unwrap_or(OptimizerName::Adam);
        if name != OptimizerName::Sgd && (momentum != 0.0 || nesterov) {
            let which = if momentum != 0.0 { "momentum" } else { "nesterov" };
            return Err(Wrong::new(which, format!("0 or false: it belongs to sgd, and the optimiser is {name:?}")));
        }
        if nesterov && momentum == 0.0 {
            return Err(Wrong::new("nesterov", "false without a momentum (--momentum 0.9)"));
        }
        Ok(match name {
            OptimizerName::Adam => OptimizerSettings::Adam,
            OptimizerName::Adamw => OptimizerSettings::AdamW,
            OptimizerName::Sgd => OptimizerSettings::Sgd { momentum, nesterov },
            OptimizerName::Rmsprop => OptimizerSettings::RmsProp,
        })
    }

    fn schedule(&self) -> Result<ScheduleSettings, Wrong> {
        let name = self.schedule.unwrap_or(ScheduleName::Constant);
        let lacks = |which: &'static str, value: Option<f64>| match value {
            Some(value) if value != 0.0 => Err(Wrong::new(which, format!("left away: {name:?} has none"))),
            _ => Ok(()),
        };
        if name != ScheduleName::Cosine {
            lacks("final_rate", self.final_rate)?;
        }
        Ok(match name {
            ScheduleName::Constant => {
                lacks("warmup", self.warmup)?;
                ScheduleSettings::Constant
            }
            ScheduleName::Cosine => {
                ScheduleSettings::Cosine { warmup: self.warmup.unwrap_or(0.1), end: self.final_rate.unwrap_or(0.0) }
            }
            ScheduleName::OneCycle => ScheduleSettings::OneCycle { warmup: self.warmup.unwrap_or(0.3) },
        })
    }

    /// The recipe that these come to, over the reference.
    pub(super) fn recipe(self, name: String) -> Result<Recipe, Wrong> {
        let choices = self.over(reference_choices());
        let (optimizer, schedule) = (choices.optimizer()?, choices.schedule()?);
        let some = |number: u32| (number > 0).then_some(number);
        let recipe = Recipe {
            name,
            model: choices.model.unwrap_or_else(reference),
            image_size: choices.image_size.unwrap_or(64),
            epochs: choices.epochs.unwrap_or(25) as usize,
            batch_size: choices.batch_size.unwrap_or(32),
            part: choices.part,
            learning_rate: choices.learning_rate.unwrap_or(optimizer.default_learning_rate()),
            weight_decay: choices.weight_decay.unwrap_or(optimizer.default_weight_decay()),
            label_smoothing: choices.label_smoothing.unwrap_or(0.0),
            class_weights: choices.class_weights.unwrap_or_default(),
            sampling: choices.sampling.unwrap_or_default(),
            average: choices.average.unwrap_or(0.0),
            early_stopping: choices.early_stopping.and_then(some),
            flip_average: choices.flip_average.unwrap_or(false),
            augmentation: choices.augmentation.unwrap_or_else(AugmentationSettings::reference),
            optimizer,
            schedule,
        };
        recipe.check()?;
        Ok(recipe)
    }
}
