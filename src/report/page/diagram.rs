//! The reliability diagram: how often the network is right where it is so and so sure.

use crate::report::Calibration;

const SIZE: f64 = 300.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 26.0;

/// One range of confidence.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Left edge and width.
    pub strip: (f64, f64),
    /// Upper edge of the bar, where the share of right answers is; `None` without pictures.
    pub top: Option<f64>,
    /// Where the mean confidence lies on both axes.
    pub expected: (f64, f64),
    /// Ends of the interval.
    pub interval: (f64, f64),
    /// The bin in words.
    pub text: String,
}

/// All numbers are places in its drawing.
#[derive(Clone, Debug)]
pub struct Diagram {
    /// The bins.
    pub bars: Vec<Bar>,
    /// Ticks of the confidence: where, and the label.
    pub columns: Vec<(f64, String)>,
    /// Ticks of the share of right answers.
    pub rows: Vec<(f64, String)>,
}

impl Diagram {
    /// Draws the bins.
    pub fn new(calibration: &Calibration) -> Diagram {
        let x = |share: f64| (100.0 * (LEFT + share * SIZE)).round() / 100.0;
        let y = |share: f64| (100.0 * (TOP + (1.0 - share) * SIZE)).round() / 100.0;
        let bar = |bin: &crate::report::Bin| {
            let percent = |v: f64| format!("{:.0} %", 100.0 * v);
            let range = format!("{} to {} sure", percent(bin.from), percent(bin.to));
            let text = match bin.count {
                0 => format!("{range}: no pictures"),
                1 => format!("{range}: 1 picture, {}", if bin.accuracy > 0.0 { "right" } else { "wrong" }),
                count => format!("{range}: {count} pictures, {} right", percent(bin.accuracy)),
            };
            Bar {
                strip: (x(bin.from), x(bin.to) - x(bin.from)),
                top: (bin.count > 0).then(|| y(bin.accuracy)),
                expected: (x(bin.confidence), y(bin.confidence)),
                interval: (y(bin.interval.0), y(bin.interval.1)),
                text,
            }
        };
        let ticks = || [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].into_iter();
        let label = |v: f64| format!("{:.0} %", 100.0 * v);
        Diagram {
            bars: calibration.bins.iter().map(bar).collect(),
            columns: ticks().map(|v| (x(v), label(v))).collect(),
            rows: ticks().map(|v| (y(v), label(v))).collect(),
        }
    }
}
