//! Accuracy and loss against epochs, as lines of an SVG with the values of every epoch under the pointer.

use crate::report::curves::{loss_text, tick_step};
use crate::report::{Epoch, History};

/// The drawing's size, and the edges of the plot in it. Texts of 13 are legible where a phone shows 400 units.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = HEIGHT - 38.0;

/// Space that the label of a tick takes along the horizontal axis.
const TICK: f64 = 34.0;

/// A tick: where it is, and its label.
pub type Tick = (f64, String);

/// What stands under the pointer: a strip of the plot, and what to show while it is there.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Left edge and width of the strip.
    pub strip: (f64, f64),
    /// Where the epoch lies.
    pub x: f64,
    /// Training and test value: their heights.
    pub dots: Vec<(&'static str, f64)>,
    /// The values in words.
    pub text: String,
}

/// One chart. All numbers are places in its drawing.
#[derive(Clone, Debug)]
pub struct Chart {
    /// "Accuracy".
    pub title: &'static str,
    /// What can be seen, for those who cannot.
    pub alt: String,
    /// Along the vertical axis.
    pub rows: Vec<Tick>,
    /// Along the horizontal axis.
    pub columns: Vec<Tick>,
    /// Name of the line, its path, and the dots of values that stand alone.
    pub lines: Vec<(&'static str, String)>,
    /// The best test value.
    pub best: Option<(f64, f64)>,
    /// One an epoch.
    pub hits: Vec<Hit>,
}

struct Kind {
    title: &'static str,
    values: fn(&Epoch) -> [Option<f64>; 2],
    tick: fn(f64) -> String,
    exact: fn(f64) -> String,
    /// Range that is always shown.
    floor: (f64, f64),
    rising: bool,
}

const NAMES: [&str; 2] = ["training", "test"];

impl Chart {
    /// Accuracy and loss; nothing without epochs.
    pub fn all(history: &History) -> Vec<Chart> {
        let accuracy = Kind {
            title: "Accuracy",
            values: |e| [Some(e.accuracy), e.val_accuracy],
            tick: |v| format!("{:.0} %", 100.0 * v),
            exact: |v| format!("{:.1} %", 100.0 * v),
            floor: (0.9, 1.0),
            rising: true,
        };
        let loss = Kind {
            title: "Loss",
            values: |e| [Some(e.loss), e.val_loss],
            tick: loss_text,
            exact: |v| if v < 1e5 { format!("{v:.3}") } else { format!("{v:.2e}") },
            floor: (0.0, 0.1),
            rising: false,
        };
        if history.0.is_empty() {
            return Vec::new();
        }
        [accuracy, loss].iter().map(|kind| Chart::new(history, kind)).collect()
    }

    fn new(history: &History, kind: &Kind) -> Chart {
        let epochs = &history.0;
        let finite = |v: &f64| v.is_finite();
        let (low, high) = epochs
            .iter()
            .flat_map(|e| (kind.values)(e))
            .flatten()
            .filter(finite)
            .fold(kind.floor, |(low, high), v| (low.min(v), high.max(v)));
        let step = tick_step(high - low, 5.0);
        let (low, high) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        let y = |v: f64| round(BOTTOM - (v - low) / (high - low) * (BOTTOM - TOP));
        let (first, last) = (epochs[0].epoch as f64, epochs[epochs.len() - 1].epoch as f64);
        // A lone epoch stands in the middle of its axis.
        let (from, to) = if first < last { (first, last) } else { (first - 1.0, last + 1.0) };
        let x = |epoch: f64| round(LEFT + (epoch - from) / (to - from) * (RIGHT - LEFT));

        let every = tick_step(to - from, (RIGHT - LEFT) / TICK).max(1.0);
        let columns = epochs.iter().map(|e| e.epoch as f64).filter(|e| e % every == 0.0 || epochs.len() == 1);
        let rows = (0..=((high - low) / step).round() as usize).map(|i| low + i as f64 * step);
        let points = |line: usize| {
            epochs.iter().map(move |e| (e.epoch as f64, (kind.values)(e)[line].filter(|v| v.is_finite())))
        };
        let better = |a: f64, b: f64| if kind.rising { a > b } else { a < b };
        let best =
            points(1).filter_map(|(epoch, v)| Some((epoch, v?))).fold(None::<(f64, f64)>, |best, p| match best {
                Some(b) if !better(p.1, b.1) => Some(b),
                _ => Some(p),
            });
        let half = (x(from + 1.0) - x(from)) / 2.0;
        let hit = |e: &Epoch| {
            let found: Vec<(&'static str, f64)> =
                NAMES.into_iter().zip((kind.values)(e)).filter_map(|(name, v)| Some((name, v?))).collect();
            let words: Vec<String> = found.iter().map(|(name, v)| format!("{name} {}", (kind.exact)(*v))).collect();
            Hit {
                strip: strip(x(e.epoch as f64), half),
                x: x(e.epoch as f64),
                dots: found.iter().filter(|(_, v)| v.is_finite()).map(|(name, v)| (*name, y(*v))).collect(),
                text: format!("epoch {}: {}", e.epoch, words.join(", ")),
            }
        };
        let end = (kind.values)(&epochs[epochs.len() - 1]);
        let last_words = NAMES.into_iter().zip(end).filter_map(|(n, v)| Some(format!("{n} {}", (kind.exact)(v?))));
        let best_words = best.map_or(String::new(), |(epoch, v)| {
            format!("; the best test value is {} after epoch {epoch}", (kind.exact)(v))
        });
        Chart {
            title: kind.title,
            alt: format!(
                "{} against epochs {first} to {last}. At the end: {}{best_words}.",
                kind.title,
                last_words.collect::<Vec<_>>().join(", "),
            ),
            rows: rows.map(|v| (y(v), (kind.tick)(v))).collect(),
            columns: columns.map(|e| (x(e), format!("{e:.0}"))).collect(),
            lines: [0, 1].map(|line| (NAMES[line], path(points(line).map(|(e, v)| v.map(|v| (x(e), y(v))))))).into(),
            best: best.map(|(epoch, v)| (x(epoch), y(v))),
            hits: epochs.iter().map(hit).collect(),
        }
    }
}

/// Left edge and width of what lies nearer to `x` than to the next epoch, and not far beyond the plot.
fn strip(x: f64, half: f64) -> (f64, f64) {
    let (left, right) = ((x - half).max(LEFT - 8.0), (x + half).min(RIGHT + 8.0));
    (round(left), round(right - left))
}

/// Two decimals are more than a screen shows.
fn round(v: f64) -> f64 {
    (100.0 * v).round() / 100.0
}

/// A line through the points; where one is missing it is broken, and a point by itself is a dot (a line of no length with
/// round ends).
fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let mut text = String::new();
    let mut broken = true;
    for point in points {
        if let Some((x, y)) = point {
            text += &if broken { format!("M{x} {y}h0") } else { format!("L{x} {y}") };
        }
        broken = point.is_none();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: usize) -> History {
        let epoch = |n| Epoch {
            epoch: n,
            loss: if n == 2 { f64::NAN } else { 1.0 / n as f64 },
            accuracy: 0.5,
            val_loss: Some(1.0),
            val_accuracy: Some(if n == 2 { 0.8 } else { 0.25 }),
            seconds: 1.0,
            learning_rate: None,
        };
        History((1..=epochs).map(epoch).collect())
    }

    #[test]
    fn every_epoch_has_a_strip_and_all_lies_within_the_plot() {
        for epochs in [1, 2, 3, 25, 700] {
            for chart in Chart::all(&history(epochs)) {
                assert_eq!(chart.hits.len(), epochs);
                let inside = |x: f64, y: f64| (LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y);
                assert!(chart.hits.iter().all(|h| h.dots.iter().all(|d| inside(h.x, d.1))), "{epochs}: {chart:?}");
                assert!(chart.columns.len() <= 12 && !chart.columns.is_empty() && (3..=8).contains(&chart.rows.len()));
            }
        }
        assert!(Chart::all(&History::default()).is_empty());
    }

    #[test]
    fn a_missing_value_breaks_the_line_and_the_best_is_said() {
        let [accuracy, loss] = &Chart::all(&history(4))[..] else { panic!("two charts") };
        assert_eq!(loss.lines[0].1.matches('M').count(), 2);
        assert_eq!(loss.hits[1].text, "epoch 2: training NaN, test 1.000");
        assert_eq!(accuracy.best, Some((accuracy.hits[1].x, accuracy.hits[1].dots[1].1)));
        assert!(accuracy.alt.contains("best test value is 80.0 % after epoch 2"), "{}", accuracy.alt);
    }
}
