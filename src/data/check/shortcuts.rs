//! Shortcuts: what tells the classes apart without a look at what the pictures show. A network finds them too, and then
//! knows nothing of the rest.
//!
//! A trivial model is cross-validated on a few figures of each picture. Chance is what the same model reaches when the
//! classes are dealt out anew at random (a permutation test; Ojala and Garriga, "Permutation Tests for Studying Classifier
//! Performance", 2010), so that a few pictures, or many features, raise no alarm.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::look::{BORDER, FIGURES, place};
use super::naive_bayes::NaiveBayes;
use super::{Finding, Item, Kind, Look, Looked, Severity, Split};

const FOLDS: usize = 5;
const SHUFFLES: u64 = 100;
/// More pictures tell little more.
const MOST_PICTURES: usize = 1000;
/// How far towards certainty, from guessing, a shortcut must lead to be worth a note, and a warning.
const NOTE: f64 = 0.3;
const WARNING: f64 = 0.6;
const COLOUR: &str = "the mean colour";

/// How well figures that say nothing of what pictures show tell the classes apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortcut {
    /// Which figures.
    pub figures: String,
    /// Mean over the classes of the share that is found, cross-validated, 0 to 1.
    pub accuracy: f64,
    /// What guessing finds.
    pub guessing: f64,
    /// What the model finds at most, in a hundred times, when the classes are dealt out at random.
    pub chance: f64,
    /// The part of the pictures, if it is one: left, top, right, bottom in shares of the sides.
    pub region: Option<[f64; 4]>,
    /// How much there is to say of it.
    pub severity: Option<Severity>,
}

impl Shortcut {
    /// The share of the way from guessing to certainty.
    fn excess(&self) -> f64 {
        (self.accuracy - self.guessing) / (1.0 - self.guessing)
    }

    /// `expected` is what may well belong to what the pictures show: red and green apples differ in colour everywhere.
    fn judge(&mut self, may_be_meant: bool, expected: f64) {
        let lucky = self.accuracy <= self.chance;
        self.severity = match self.excess() {
            excess if lucky || excess < NOTE => None,
            excess if may_be_meant || excess < WARNING || excess - expected < NOTE => Some(Severity::Note),
            _ => Some(Severity::Warning),
        };
    }

    /// Which part of the border it is.
    fn place(&self) -> String {
        let Some([left, top, ..]) = self.region else { return String::new() };
        let third = |at: f64, names: [&'static str; 3]| names[((at * 3.0) as usize).min(2)];
        let (row, column) = (third(top, ["upper", "", "lower"]), third(left, ["left", "", "right"]));
        let gap = if row.is_empty() || column.is_empty() { "" } else { " " };
        format!(" ({row}{gap}{column})")
    }
}

/// All shortcuts that are worth it, in a sentence.
pub(super) fn finding(shortcuts: &[Shortcut]) -> Option<Finding> {
    let mut worth: Vec<&Shortcut> = shortcuts.iter().filter(|shortcut| shortcut.severity.is_some()).collect();
    worth.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
    let severity = worth.iter().filter_map(|shortcut| shortcut.severity).min()?;
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let part = |s: &&Shortcut| format!("{} by {}{}", percent(s.accuracy), s.figures, s.place());
    let parts: Vec<String> = worth.iter().map(part).collect();
    let text = format!(
        "the classes can be told apart without a look at what the pictures show: of each class a trivial model \
         finds {}, where guessing finds {} (and luck {} at most)",
        parts.join(", "),
        percent(worth[0].guessing),
        percent(worth.iter().map(|shortcut| shortcut.chance).fold(0.0, f64::max)),
    );
    let mut advice = "collect the classes in the same way, or expect a network to learn this first".to_owned();
    if let Some(region) = worth.iter().find_map(|shortcut| shortcut.region) {
        let region = region.map(|v| v.to_string()).join(",");
        advice += &format!("; train --mask {region} blanks the place, explain --summary shows whether it is used");
    }
    Some(Finding::new(Kind::Shortcut, severity, text, &advice))
}

/// One kind of figures of all pictures.
struct Figures {
    name: &'static str,
    /// Models, of which the best counts: each `[pictures][features]`.
    models: Vec<Vec<Vec<f64>>>,
    /// Whether the models are those of the border's cells.
    by_cell: bool,
    /// Whether the figures may be what tells the classes apart by right.
    may_be_meant: bool,
}

fn figures(looks: &[&Look]) -> Vec<Figures> {
    let all = |of: &dyn Fn(&Look) -> Vec<f64>| looks.iter().map(|look| of(look)).collect::<Vec<_>>();
    let one = |name, of: &dyn Fn(&Look) -> Vec<f64>, may_be_meant| Figures {
        name,
        models: vec![all(of)],
        by_cell: false,
        may_be_meant,
    };
    let area = |look: &Look| f64::from(look.size.0) * f64::from(look.size.1);
    let floats = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let cell = |cell: usize| all(&|look| floats(&look.border[cell * FIGURES..(cell + 1) * FIGURES]));
    vec![
        one(COLOUR, &|look| floats(&look.mean), true),
        one("the border alone", &|look| floats(&look.border), true),
        one("the file size", &|look| vec![(look.bytes as f64).ln(), (look.bytes as f64 / area(look)).ln()], false),
        one("width and height", &|look| vec![f64::from(look.size.0).ln(), f64::from(look.size.1).ln()], false),
        Figures {
            name: "one place at the border",
            models: (0..BORDER).map(cell).collect(),
            by_cell: true,
            may_be_meant: false,
        },
    ]
}

/// Each feature less its mean, over its deviation; features that never vary are dropped.
fn standardise(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let count = rows.len() as f64;
    let features = rows.first().map_or(0, Vec::len);
    let mut out = vec![Vec::new(); rows.len()];
    for feature in 0..features {
        let mean = rows.iter().map(|row| row[feature]).sum::<f64>() / count;
        let variance = rows.iter().map(|row| (row[feature] - mean).powi(2)).sum::<f64>() / count;
        if variance > 1e-9 {
            for (to, row) in out.iter_mut().zip(rows) {
                to.push((row[feature] - mean) / variance.sqrt());
            }
        }
    }
    out
}

/// Mean over the classes of the share that is found. `labels` come in an order in which every fifth picture makes a fold.
fn cross_validate(rows: &[Vec<f64>], labels: &[usize], classes: usize) -> f64 {
    let (mut hits, mut counts) = (vec![0.0; classes], vec![0.0; classes]);
    for fold in 0..FOLDS {
        let others = (0..rows.len()).filter(|i| i % FOLDS != fold);
        let (train, known): (Vec<&[f64]>, Vec<usize>) = others.map(|i| (rows[i].as_slice(), labels[i])).unzip();
        let model = NaiveBayes::fit(&train, &known, classes);
        for i in (fold..rows.len()).step_by(FOLDS) {
            counts[labels[i]] += 1.0;
            hits[labels[i]] += f64::from(u8::from(model.predict(&rows[i]) == labels[i]));
        }
    }
    hits.iter().zip(&counts).map(|(hits, count): (&f64, &f64)| hits / count.max(1.0)).sum::<f64>() / classes as f64
}

/// The best of several models, and which it is.
fn best(models: &[Vec<Vec<f64>>], labels: &[usize], classes: usize) -> (f64, usize) {
    let scores = models.iter().enumerate().map(|(index, rows)| (cross_validate(rows, labels, classes), index));
    scores.fold((0.0, 0), |best, score| if score.0 > best.0 { score } else { best })
}

/// Training pictures of classes large enough, at most [`MOST_PICTURES`], with class numbers without gaps; class after
/// class, so that folds hold each in proportion.
fn sample(items: &[Item], looks: &[Looked]) -> (Vec<usize>, Vec<usize>, usize) {
    let mut by_class: std::collections::BTreeMap<usize, Vec<usize>> = Default::default();
    for (index, item) in items.iter().enumerate() {
        if let (Split::Train, Some(class), Ok(_)) = (item.split, item.class, &looks[index]) {
            by_class.entry(class).or_default().push(index);
        }
    }
    let total: usize = by_class.values().map(Vec::len).sum();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut chosen, mut labels, mut classes) = (Vec::new(), Vec::new(), 0);
    for mut members in by_class.into_values().filter(|members| members.len() >= FOLDS) {
        members.shuffle(&mut random);
        members.truncate((members.len() * MOST_PICTURES / total.max(MOST_PICTURES)).max(FOLDS));
        labels.extend(vec![classes; members.len()]);
        chosen.extend(members);
        classes += 1;
    }
    (chosen, labels, classes)
}

/// How well each kind of figures tells the classes of the training pictures apart.
pub(super) fn shortcuts(items: &[Item], looks: &[Looked]) -> Vec<Shortcut> {
    let (chosen, labels, classes) = sample(items, looks);
    if classes < 2 {
        return Vec::new();
    }
    let chosen: Vec<&Look> = chosen.into_iter().filter_map(|index| looks[index].as_ref().ok()).collect();
    let mut found: Vec<Shortcut> = Vec::new();
    let mut colour = 0.0;
    for figures in figures(&chosen) {
        let models: Vec<_> = figures.models.iter().map(|rows| standardise(rows)).collect();
        if models.iter().all(|rows| rows[0].is_empty()) {
            continue;
        }
        let (accuracy, cell) = best(&models, &labels, classes);
        let shuffled = |seed| {
            let mut labels = labels.clone();
            labels.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            best(&models, &labels, classes).0
        };
        let mut shortcut = Shortcut {
            figures: figures.name.to_owned(),
            accuracy,
            guessing: 1.0 / classes as f64,
            chance: (0..SHUFFLES).into_par_iter().map(shuffled).reduce(|| 0.0, f64::max),
            region: figures.by_cell.then(|| place(cell)),
            severity: None,
        };
        // What the colour of the whole picture tells is no secret of a single place.
        shortcut.judge(figures.may_be_meant, if figures.by_cell { colour } else { 0.0 });
        if figures.name == COLOUR {
            colour = shortcut.excess().max(0.0);
        }
        found.push(shortcut);
    }
    found
}
