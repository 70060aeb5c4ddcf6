//! What a run was started with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::check::grouped;
use crate::data::{Region, Winner};
use crate::model::NetworkSpec;
use crate::training::{AugmentationSettings, Recipe};

/// What a run was started with, as `settings.toml` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of glowworm.
    pub version: String,
    /// The data set's folder.
    pub data: PathBuf,
    /// Seed of weights, order, augmentation, dropout and split.
    pub seed: u64,
    /// Share of the pictures kept for validation when the data set has no test folder.
    pub validation_split: f64,
    /// Parts of every picture that are blanked, in training and ever after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masks: Vec<Region>,
    /// Whether, and on which side, pictures were left out that stand among the training and the test pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_leaks: Option<Winner>,
    /// The run whose weights it began with, if it did; the run folder holds them in `start.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// So many of the first layers keep the weights that they began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<u32>,
    /// Folds of a cross-validation, where the run is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<u32>,
    /// The fold that is held out, from 1, in the folder of its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
    /// The adapter.
    pub adapter: String,
    /// The adapter's driver.
    pub driver: String,
    /// How it learns, with every choice made.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Input size and layers.
    pub network: NetworkSpec,
}

impl Settings {
    /// The network in a line: its name, and its layers.
    pub fn network_in_a_line(&self) -> String {
        let name = &self.recipe.model;
        let parameters: usize = self.network.parameters().iter().map(|parameter| parameter.layout.len()).sum();
        format!("{name}: {}; {} parameters", self.network.summary(), grouped(parameters))
    }

    /// Reads the text of a `settings.toml`, and checks it as the command line's options are checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Settings, String> {
        let mut settings: Settings = toml::from_str(text).map_err(|e| e.to_string())?;
        // So it was said before there were recipes.
        let before: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        if before.get("augment").and_then(toml::Value::as_bool) == Some(false) {
            settings.recipe.augmentation = AugmentationSettings::default();
        }
        settings.network.check().map_err(|e| e.to_string())?;
        settings.recipe.check().map_err(|e| e.to_string())?;
        let Recipe { image_size: side, batch_size, part, .. } = settings.recipe;
        if (side, side) != (settings.network.height, settings.network.width) {
            return Err(format!("pictures of {side} pixels do not fit its network"));
        }
        if part.is_some_and(|part| part >= batch_size) {
            return Err("parts that are no smaller than the batch".to_owned());
        }
        if settings.folds.is_some_and(|folds| !(2..=20).contains(&folds)) {
            return Err("a number of folds that is not 2 to 20".to_owned());
        }
        Ok(settings)
    }
}
