//! A recipe: everything that decides how a network learns, but for the pictures and the seed.
//!
//! A recipe is a TOML file; what it leaves out is as in the reference. Two layers of [`Choices`] lie over the reference,
//! the file's and the command line's, and the effective [`Recipe`] is what they come to.

mod choices;
mod source;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AugmentationSettings, Goal, OptimizerSettings, ScheduleSettings};
pub use choices::{Choices, ClassWeights, OptimizerName, Sampling, ScheduleName};
pub use source::{DEFAULT_RECIPE, RecipeError, effective};

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

#[cfg(test)]
mod tests;
