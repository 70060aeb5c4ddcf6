//! A recipe: everything that decides how a network learns, but for the pictures and the seed.
//!
//! A recipe is a TOML file; what it leaves out is as in the reference. Two layers of [`Choices`] lie over the reference,
//! the file's and the command line's, and the effective [`Recipe`] is what they come to.

use std::fmt;
use std::path::Path;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AugmentationSettings, Goal, OptimizerSettings, ScheduleSettings};
use crate::files::read_text_at_most;

/// The recipes that the program brings, by name.
const BUILT_IN: [(&str, &str); 2] =
    [("reference", include_str!("../../recipes/reference.toml")), ("best", include_str!("../../recipes/best.toml"))];

/// The one that is meant if none is named, and what others leave out.
pub const DEFAULT_RECIPE: &str = "reference";

/// A recipe takes a kilobyte.
const MOST_OF_A_RECIPE: u64 = 1 << 20;

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
    fn table(&self) -> toml::Table {
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
    fn recipe(self, name: String) -> Result<Recipe, Wrong> {
        // The file is the program's own, and a test reads it.
        let choices = self.over(toml::from_str(BUILT_IN[0].1).unwrap_or_default());
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

/// How a network learns, with every choice made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What it is called: a built-in name or a file.
    #[serde(rename = "recipe", default = "reference")]
    pub name: String,
    /// The network: a built-in name or a file.
    #[serde(default = "reference")]
    pub model: String,
    /// Side of the pictures, in pixels.
    pub image_size: u32,
    /// Times that every picture is seen.
    pub epochs: usize,
    /// Pictures in a step.
    pub batch_size: u32,
    /// Pictures that the device works on at once, where that is fewer than a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Share of every label that is spread over all classes.
    #[serde(default)]
    pub label_smoothing: f64,
    /// How much the pictures of a class matter.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Which pictures an epoch has.
    #[serde(default)]
    pub sampling: Sampling,
    /// Decay of the moving average of the weights; 0 for none.
    #[serde(default)]
    pub average: f64,
    /// Epochs without a lower test loss after which the training ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<u32>,
    /// Whether answers are the means over a picture and its mirror image.
    #[serde(default)]
    pub flip_average: bool,
    /// How pictures are changed while the network learns.
    #[serde(default = "AugmentationSettings::reference")]
    pub augmentation: AugmentationSettings,
    /// Optimiser and its constants.
    pub optimizer: OptimizerSettings,
    /// How the learning rate goes over the run.
    #[serde(default)]
    pub schedule: ScheduleSettings,
}

fn reference() -> String {
    DEFAULT_RECIPE.to_owned()
}

/// A value that makes no sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    name: &'static str,
    /// The value, where it is one of many under the name.
    member: Option<String>,
    expected: String,
}

impl Wrong {
    fn new(name: &'static str, expected: impl Into<String>) -> Wrong {
        Wrong { name, member: None, expected: expected.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let member = self.member.as_ref().map_or(String::new(), |member| format!(": {member}"));
        write!(f, "{}{member} must be {}", self.name, self.expected)
    }
}

impl Recipe {
    /// What the answers to pictures with these labels are held against.
    pub fn goal(&self, labels: &[u32], classes: u32) -> Goal {
        Goal { smoothing: self.label_smoothing as f32, weights: self.class_weights.of(labels, classes) }
    }

    /// Optimiser, rate and schedule for people.
    pub fn optimizer_in_words(&self) -> String {
        let mut words = match self.optimizer {
            OptimizerSettings::Adam => "Adam".to_owned(),
            OptimizerSettings::AdamW => "AdamW".to_owned(),
            OptimizerSettings::Sgd { momentum: 0.0, .. } => "SGD".to_owned(),
            OptimizerSettings::Sgd { momentum, nesterov } => {
                format!("SGD, momentum {momentum}{}", if nesterov { ", Nesterov" } else { "" })
            }
            OptimizerSettings::RmsProp => "RMSprop".to_owned(),
        };
        words += &format!(", learning rate {}", self.learning_rate);
        match self.schedule {
            ScheduleSettings::Constant => {}
            ScheduleSettings::Cosine { warmup, end } => {
                words += &format!(" with a warm-up over {} % of the steps, then a cosine to {end}", 100.0 * warmup);
            }
            ScheduleSettings::OneCycle { warmup } => {
                words += &format!(" in one cycle, up for {} % of the steps", 100.0 * warmup);
            }
        }
        if self.weight_decay > 0.0 {
            words += &format!(", weight decay {}", self.weight_decay);
        }
        if self.average > 0.0 {
            words += &format!("; moving average of the weights with decay {}", self.average);
        }
        words
    }

    /// What is learnt, for people.
    pub fn loss_in_words(&self) -> String {
        let mut words = "cross-entropy".to_owned();
        if self.label_smoothing > 0.0 {
            words += &format!(", labels smoothed by {}", self.label_smoothing);
        }
        if self.class_weights == ClassWeights::Balanced {
            words += ", classes weighted to balance";
        }
        if self.sampling == Sampling::Balanced {
            words += ", classes drawn equally often";
        }
        words
    }

    /// Holds every value against what makes sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), Wrong> {
        let share = "at least 0 and below 1";
        let is_share = |value: f64| (0.0..1.0).contains(&value);
        let momentum = if let OptimizerSettings::Sgd { momentum, .. } = self.optimizer { momentum } else { 0.0 };
        let (warmup, end) = match self.schedule {
            ScheduleSettings::Constant => (0.0, 0.0),
            ScheduleSettings::Cosine { warmup, end } => (warmup, end),
            ScheduleSettings::OneCycle { warmup } => (warmup, 0.0),
        };
        let rules = [
            ("image_size", (8..=4096).contains(&self.image_size), "from 8 to 4096"),
            ("epochs", self.epochs > 0, "at least 1"),
            ("batch_size", (1..=65_535).contains(&self.batch_size), "from 1 to 65535"),
            ("part", self.part.is_none_or(|part| (1..=65_535).contains(&part)), "from 1 to 65535"),
            ("learning_rate", self.learning_rate.is_finite() && self.learning_rate > 0.0, "a number above 0"),
            ("momentum", (0.0..1.0).contains(&momentum), share),
            ("weight_decay", (0.0..=100.0).contains(&self.weight_decay), "from 0 to 100"),
            ("warmup", is_share(warmup), share),
            ("final_rate", (0.0..=1.0).contains(&end), "from 0 to 1"),
            ("label_smoothing", is_share(self.label_smoothing), share),
            ("average", is_share(self.average), share),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((name, _, expected)) => Err(Wrong::new(name, expected)),
            None => self.augmentation.check().map_err(|wrong| Wrong {
                member: Some(format!("{} = {}", wrong.name, wrong.value)),
                ..Wrong::new("augmentation", wrong.expected)
            }),
        }
    }
}

/// What is wrong with a recipe, or with what the command line says over it.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// No such recipe.
    #[error("--recipe {name}: there is no such file, and the built-in recipes are {built_in}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        built_in: String,
    },
    /// A file that cannot be read, or is no recipe; the reason has the line.
    #[error("{file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("{place}: it must be {expected}")]
    Value {
        /// An option, or a file with a line, and the value.
        place: String,
        /// What it must be.
        expected: String,
    },
}

/// A recipe file, or a built-in recipe, with its text for messages.
struct Source {
    name: String,
    text: String,
    choices: Choices,
}

impl Source {
    fn open(name: &str) -> Result<Source, RecipeError> {
        let file_error = |reason: String| RecipeError::File { file: name.to_owned(), reason };
        let text = match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => (*text).to_owned(),
            None => match read_text_at_most(Path::new(name), MOST_OF_A_RECIPE) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    let built_in = BUILT_IN.map(|(name, _)| name).join(", ");
                    return Err(RecipeError::Unknown { name: name.to_owned(), built_in });
                }
                text => text.map_err(|e| file_error(format!("it cannot be read: {e}")))?,
            },
        };
        let choices = toml::from_str(&text).map_err(|e| file_error(format!("it is not a recipe: {e}")))?;
        Ok(Source { name: name.to_owned(), text, choices })
    }

    /// The line of a key, from 1.
    fn line_of(&self, key: &str) -> Option<usize> {
        let table = toml::de::DeTable::parse(&self.text).ok()?;
        let span = table.get_ref().keys().find(|name| name.get_ref() == key)?.span();
        Some(1 + self.text[..span.start].matches('\n').count())
    }

    /// Where the value that is wrong was given.
    fn said(&self, wrong: Wrong, options: &Choices) -> RecipeError {
        let Wrong { name, member, expected } = wrong;
        let place = match (options.table().get(name), self.choices.table().get(name)) {
            (Some(value), _) => format!("--{} {value}", name.replace('_', "-")),
            (None, Some(value)) => {
                let line = self.line_of(name).map_or(String::new(), |line| format!(", line {line}"));
                let value = member.map_or(format!(" = {value}"), |member| format!(": {member}"));
                format!("{}{line}: {name}{value}", self.name)
            }
            (None, None) => name.to_owned(),
        };
        RecipeError::Value { place, expected }
    }
}

/// The recipe that `name` names, a built-in one or a file, under what the command line says; and a line that says so.
///
/// # Errors
/// [`RecipeError`].
pub fn effective(name: Option<&str>, options: &Choices) -> Result<(Recipe, String), RecipeError> {
    let source = Source::open(name.unwrap_or(DEFAULT_RECIPE))?;
    let choices = options.clone().over(source.choices.clone());
    let recipe = choices.recipe(source.name.clone()).map_err(|wrong| source.said(wrong, options))?;
    let say = |(name, value): (&String, &toml::Value)| match value {
        toml::Value::Table(_) => name.clone(),
        value => format!("{name} {value}"),
    };
    let over: Vec<String> = options.table().iter().map(say).collect();
    let line = match over.is_empty() {
        true => source.name,
        false => format!("{}, but {}", source.name, over.join(", ")),
    };
    Ok((recipe, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, options: Choices) -> Result<Recipe, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, text).expect("written");
        effective(file.to_str(), &options).map(|(recipe, _)| recipe).map_err(|e| e.to_string())
    }

    #[test]
    fn built_in_recipes_make_sense_and_the_reference_says_everything() {
        for (name, text) in BUILT_IN {
            assert!(effective(Some(name), &Choices::default()).is_ok(), "{name}");
            assert!(toml::from_str::<Choices>(text).is_ok(), "{name}");
        }
        let said = Source::open("reference").expect("it is there").choices.table();
        let all = Choices::default().over(Source::open("reference").expect("it is there").choices).recipe(reference());
        let all = toml::Table::try_from(all.expect("a recipe")).expect("TOML");
        for name in all.keys().filter(|name| *name != "recipe") {
            // No patience is written as 0 there, and as nothing in a run's settings.
            assert!(said.contains_key(name), "{name}");
        }
        assert!(said.contains_key("early_stopping"));
    }

    #[test]
    fn options_lie_over_the_file_and_the_file_over_the_reference() {
        let recipe = of("epochs = 7\nlabel_smoothing = 0.1", Choices { epochs: Some(3), ..Choices::default() });
        let recipe = recipe.expect("a recipe");
        assert_eq!((recipe.epochs, recipe.label_smoothing, recipe.image_size), (3, 0.1, 64));
        let (recipe, line) = effective(None, &Choices { epochs: Some(3), ..Choices::default() }).expect("a recipe");
        assert_eq!((recipe.learning_rate, line.as_str()), (0.001, "reference, but epochs 3"));
    }

    #[test]
    fn what_belongs_to_an_optimizer_or_a_schedule_goes_with_it() {
        let file = "optimizer = \"sgd\"\nlearning_rate = 0.5\nmomentum = 0.9\nschedule = \"cosine\"\nwarmup = 0.5";
        let options = Choices {
            optimizer: Some(OptimizerName::Adamw),
            schedule: Some(ScheduleName::OneCycle),
            ..Choices::default()
        };
        let recipe = of(file, options).expect("a recipe");
        assert_eq!((recipe.optimizer, recipe.learning_rate), (OptimizerSettings::AdamW, 0.001));
        assert_eq!((recipe.weight_decay, recipe.schedule), (0.01, ScheduleSettings::OneCycle { warmup: 0.3 }));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        let none = Choices::default;
        for (text, expected) in [
            ("epochs = 3\nlabel_smothing = 0.1", "line 2"),
            ("epochs = 3\nlabel_smothing = 0.1", "label_smothing"),
            ("\nepochs = \"three\"", "line 2"),
            (
                "\n\nlabel_smoothing = 1.5",
                "mine.toml, line 3: label_smoothing = 1.5: it must be at least 0 and below 1",
            ),
            ("average = nan", "average"),
            ("image_size = 7", "line 1: image_size = 7"),
            ("learning_rate = 0.0", "a number above 0"),
            ("momentum = 0.9", "belongs to sgd"),
            ("optimizer = \"sgd\"\nnesterov = true", "line 2: nesterov = true"),
            ("warmup = 0.1", "Constant has none"),
            ("schedule = \"cosine\"\nwarmup = 1.0", "line 2: warmup = 1.0"),
            ("optimizer = \"adma\"", "adma"),
            ("\n[augmentation]\nflip = 1.5", "line 2: augmentation: flip = 1.5: it must be between 0 and 1"),
            ("[augmentation]\nflop = 0.5", "flop"),
        ] {
            let error = of(text, none()).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let options = Choices { weight_decay: Some(-1.0), ..none() };
        assert!(of("", options).is_err_and(|e| e.contains("--weight-decay -1.0: it must be from 0 to 100")));
        assert!(effective(Some("nope"), &none()).is_err_and(|e| e.to_string().contains("reference")));
    }

    #[test]
    fn balanced_weights_give_every_class_the_same_sum() {
        let labels = [0, 0, 0, 1];
        let weights = ClassWeights::Balanced.of(&labels, 2);
        assert_eq!(weights, [4.0 / 6.0, 2.0]);
        assert_eq!(labels.iter().map(|l| weights[*l as usize]).sum::<f32>(), 4.0);
        assert_eq!(ClassWeights::None.of(&labels, 2), [1.0, 1.0]);
    }
}
