//! What a check found, for people and for programs.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Shortcut;
use crate::data::name_below;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A score will be wrong, or pictures are lost.
    Warning,
    /// Worth knowing.
    Note,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Test pictures that stand among the training pictures too.
    Leak,
    /// One picture in two classes.
    Conflict,
    /// One picture twice in a class.
    Repeat,
    /// Files that cannot be read.
    Unreadable,
    /// Files that end before the picture does.
    Truncated,
    /// Files whose name says another format than their content.
    Mislabelled,
    /// Pictures of very few pixels.
    Tiny,
    /// Pictures of very many pixels.
    Huge,
    /// Pictures that their EXIF orientation turns.
    Turned,
    /// Pictures much longer than wide, or wider than long.
    Elongated,
    /// Pictures that show next to nothing.
    Uniform,
    /// Files and folders that are not read.
    Ignored,
    /// Classes without pictures, or without the others of which nothing can be told apart.
    Classes,
    /// Classes of very few pictures.
    SmallClass,
    /// Classes of very different sizes.
    Imbalance,
    /// Classes that only one of training and test has.
    OneSplit,
    /// Figures that tell classes apart without a look at what pictures show.
    Shortcut,
}

/// A file, and what there is to say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedFile {
    /// Path below the data set's folder.
    pub file: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// In a sentence.
    pub text: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The files in question; pairs are in [`CheckReport::pairs`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<NamedFile>,
}

impl Finding {
    pub(super) fn new(kind: Kind, severity: Severity, text: String, advice: &str) -> Finding {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        Finding { kind, severity, text, advice, files: Vec::new() }
    }
}

/// Two files that show the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Paths below the data set's folder.
    pub files: [String; 2],
    /// Correlation of their details; none if all of their pixels are equal.
    pub similarity: Option<f32>,
    /// Whether one is to be learnt from and the other to be measured on.
    pub leak: bool,
    /// Whether they are of different classes.
    pub conflict: bool,
}

/// The pictures that leak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaks {
    /// Test files that stand among the training files too, exactly or nearly.
    pub test: Vec<String>,
    /// The training files that are the same.
    pub train: Vec<String>,
}

/// A class and its pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub class: String,
    /// Pictures to learn from.
    pub train: usize,
    /// Pictures to measure on.
    pub test: usize,
}

/// Everything that a check found: `check.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The data set's folder.
    pub folder: PathBuf,
    /// The classes.
    pub classes: Vec<ClassCount>,
    /// The findings, the gravest first.
    pub findings: Vec<Finding>,
    /// Files that show the same; a picture that stands more than twice is paired with one of the others.
    pub pairs: Vec<Pair>,
    /// What leaks.
    pub leaks: Leaks,
    /// What trivial models know; worth a finding or not.
    pub shortcuts: Vec<Shortcut>,
}

/// Files and pairs that are named in a terminal.
const EXAMPLES: usize = 3;

/// A number with its thousands apart: `1,019`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

impl CheckReport {
    /// The findings that a score should not be trusted with.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning)
    }

    /// A finding in the lines of a terminal, with some examples.
    pub fn lines(&self, finding: &Finding) -> Vec<String> {
        let mut lines = vec![finding.text.clone()];
        lines.extend(finding.advice.clone());
        let pairs: Vec<&Pair> = self.pairs.iter().filter(|pair| pair.is(finding.kind)).collect();
        for pair in pairs.iter().take(EXAMPLES) {
            let [a, b] = &pair.files;
            lines.push(format!("    {a} {} {b}", if pair.similarity.is_some() { "≈" } else { "=" }));
        }
        for file in finding.files.iter().take(EXAMPLES) {
            let note = file.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
            lines.push(format!("    {}{note}", file.file));
        }
        let more = (pairs.len() + finding.files.len()).saturating_sub(EXAMPLES);
        if more > 0 {
            lines.push(format!("    … and {more} more"));
        }
        lines
    }

    /// Which of the test pictures at `paths` leak.
    pub fn leaked(&self, paths: &[PathBuf]) -> Vec<bool> {
        let leaked: HashSet<&String> = self.leaks.test.iter().collect();
        paths.iter().map(|path| leaked.contains(&name_below(&self.folder, path))).collect()
    }

    /// Takes the leaks as dealt with: so many files, of the training or the test pictures, were left out.
    pub fn leaks_left_out(&mut self, text: String) {
        self.leaks = Leaks::default();
        if let Some(index) = self.findings.iter().position(|finding| finding.kind == Kind::Leak) {
            self.findings.remove(index);
            self.findings.push(Finding::new(Kind::Leak, Severity::Note, text, ""));
        }
    }
}

impl Pair {
    /// Whether it belongs to findings of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        match kind {
            Kind::Leak => self.leak,
            Kind::Conflict => self.conflict,
            Kind::Repeat => !self.leak && !self.conflict,
            _ => false,
        }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (train, test) = self.classes.iter().fold((0, 0), |(a, b), class| (a + class.train, b + class.test));
        let parts = match test {
            0 => count(train, "picture"),
            _ => format!("{} to train, {} to test", count(train, "picture"), grouped(test)),
        };
        writeln!(f, "checked  {}: {parts}", self.folder.display())?;
        for class in &self.classes {
            let test = if test > 0 { format!(" + {}", class.test) } else { String::new() };
            writeln!(f, "         {}{test} {}", class.train, class.class)?;
        }
        for finding in &self.findings {
            let head = if finding.severity == Severity::Warning { "warning" } else { "note" };
            writeln!(f)?;
            for (index, line) in self.lines(finding).iter().enumerate() {
                writeln!(f, "{:9}{line}", if index == 0 { head } else { "" })?;
            }
        }
        if self.findings.is_empty() {
            writeln!(f, "\nnothing to say against them")?;
        }
        Ok(())
    }
}
