//! Where recipes come from: files and built-in ones, under the command line; and what to say when they are wrong.

use std::path::Path;

use thiserror::Error;

use super::{Choices, Recipe, Wrong};
use crate::files::read_text_at_most;
use crate::model::Architecture;

/// The recipes that the program brings, by name.
pub(super) const BUILT_IN: [(&str, &str); 2] = [
    ("reference", include_str!("../../../recipes/reference.toml")),
    ("best", include_str!("../../../recipes/best.toml")),
];

/// The one that is meant if none is named, and what others leave out.
pub const DEFAULT_RECIPE: &str = "reference";

/// A recipe takes a kilobyte.
const MOST_OF_A_RECIPE: u64 = 1 << 20;

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

/// What every recipe lies over.
pub(super) fn reference_choices() -> Choices {
    // The file is the program's own, and a test reads it.
    toml::from_str(BUILT_IN[0].1).unwrap_or_default()
}

/// A network's file is looked for from the recipe's own folder, wherever the program is started.
fn model_beside(recipe: &str, model: String) -> String {
    match Path::new(recipe).parent() {
        Some(folder) if !Architecture::names().any(|name| name == model) => folder.join(model).display().to_string(),
        _ => model,
    }
}

/// A recipe file, or a built-in recipe, with its text for messages.
pub(super) struct Source {
    name: String,
    text: String,
    pub(super) choices: Choices,
}

impl Source {
    pub(super) fn open(name: &str) -> Result<Source, RecipeError> {
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
        let mut choices: Choices = toml::from_str(&text).map_err(|e| file_error(format!("it is not a recipe: {e}")))?;
        choices.model = choices.model.map(|model| model_beside(name, model));
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
