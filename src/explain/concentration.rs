//! Whether a map of attributions is concentrated in a corner or along an edge, where labels, dates and frames stand.

use std::fmt;

/// Corner rectangles reach at most this far, edge strips and frames this far, in shares of the sides.
const CORNER: f64 = 1.0 / 3.0;
const STRIP: f64 = 0.2;
const FRAME: f64 = 0.1;

/// A part counts as outsized if it holds at least this share of the evidence …
const LEAST_SHARE: f64 = 0.1;
/// … and at least this many times its share of the picture.
const LEAST_LIFT: f64 = 3.0;

/// A corner, an edge or the frame of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Rows and columns from a corner; lower, right.
    Corner(bool, bool),
    /// Rows along the upper (`false`) or lower (`true`) edge.
    Rows(bool),
    /// Columns along the left (`false`) or right (`true`) edge.
    Columns(bool),
    /// All four edges.
    Frame,
}

/// A part of a map and what it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Concentration {
    /// Where.
    pub part: Part,
    /// Its extent `[height, width]` as shares of the picture's sides; of a frame, its thickness.
    pub extent: [f64; 2],
    /// Its rectangle, (rows, columns) from inclusive to exclusive; of a frame, the whole picture.
    pub rectangle: [[usize; 2]; 2],
    /// Its share of the sum of the map.
    pub share: f64,
    /// Its share of the picture.
    pub area: f64,
}

impl Concentration {
    /// Whether the part holds more than a natural picture's would: a tenth of all and three times its due.
    pub fn is_outsized(&self) -> bool {
        self.share >= LEAST_SHARE && self.share >= LEAST_LIFT * self.area
    }

    /// How surprising the share is where evidence falls anywhere alike: the Kullback–Leibler divergence of (share, rest) from
    /// (area, rest), as in the spatial scan statistic (Kulldorff 1997).
    fn surprise(&self) -> f64 {
        let (p, q) = (self.share, self.area);
        let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        if p <= q { 0.0 } else { term(p, q) + term(1.0 - p, 1.0 - q) }
    }
}

impl fmt::Display for Concentration {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [height, width] = self.extent.map(|e| 100.0 * e);
        let vertical = |lower: bool| if lower { "lower" } else { "upper" };
        let horizontal = |right: bool| if right { "right" } else { "left" };
        match self.part {
            Part::Corner(lower, right) => {
                write!(f, "the {} {} {width:.0} % × {height:.0} %", vertical(lower), horizontal(right))
            }
            Part::Rows(lower) => write!(f, "the {} {height:.0} %", vertical(lower)),
            Part::Columns(right) => write!(f, "the {} {width:.0} %", horizontal(right)),
            Part::Frame => write!(f, "the outer {height:.0} %"),
        }
    }
}

/// The most surprising part of a `[height, width]` map of magnitudes; `None` if the map is empty or zero.
pub fn concentration(map: &[f64], (height, width): (usize, usize)) -> Option<Concentration> {
    // Sums over all rectangles from the upper left corner.
    let mut sums = vec![0.0; (height + 1) * (width + 1)];
    let at = |row: usize, column: usize| row * (width + 1) + column;
    for row in 0..height {
        for column in 0..width {
            sums[at(row + 1, column + 1)] = map.get(row * width + column).copied().unwrap_or(0.0)
                + sums[at(row, column + 1)]
                + sums[at(row + 1, column)]
                - sums[at(row, column)];
        }
    }
    let sum = |[[top, bottom], [left, right]]: [[usize; 2]; 2]| {
        sums[at(bottom, right)] - sums[at(top, right)] - sums[at(bottom, left)] + sums[at(top, left)]
    };
    let whole = [[0, height], [0, width]];
    let total = sum(whole);
    if !(total.is_finite() && total > 0.0) {
        return None;
    }
    let pixels = (height * width) as f64;
    let of = |part: Part, rows: [usize; 2], columns: [usize; 2]| Concentration {
        part,
        extent: [(rows[1] - rows[0]) as f64 / height as f64, (columns[1] - columns[0]) as f64 / width as f64],
        rectangle: [rows, columns],
        share: sum([rows, columns]) / total,
        area: ((rows[1] - rows[0]) * (columns[1] - columns[0])) as f64 / pixels,
    };
    let reach =
        |share: f64, side: usize| 1..=((share * side as f64) as usize).max(1).min(side.saturating_sub(1).max(1));
    let span = |far: bool, length: usize, side: usize| if far { [side - length, side] } else { [0, length] };
    let both = [false, true];
    let mut parts = Vec::new();
    for far in both {
        parts.extend(reach(STRIP, height).map(|h| of(Part::Rows(far), span(far, h, height), [0, width])));
        parts.extend(reach(STRIP, width).map(|w| of(Part::Columns(far), [0, height], span(far, w, width))));
        for right in both {
            for h in reach(CORNER, height) {
                let rows = span(far, h, height);
                let corner = |w| of(Part::Corner(far, right), rows, span(right, w, width));
                parts.extend(reach(CORNER, width).map(corner));
            }
        }
    }
    let thick = height.min(width);
    for t in reach(FRAME, thick).filter(|t| 2 * t < thick) {
        let inside = of(Part::Frame, [t, height - t], [t, width - t]);
        parts.push(Concentration {
            extent: [t as f64 / height as f64; 2],
            rectangle: whole,
            share: 1.0 - inside.share,
            area: 1.0 - inside.area,
            ..inside
        });
    }
    parts.into_iter().max_by(|a, b| a.surprise().total_cmp(&b.surprise()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(size: (usize, usize), value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..size.0 * size.1).map(|i| value(i / size.1, i % size.1)).collect()
    }

    #[test]
    fn a_tag_in_a_corner_is_found_and_said() {
        let map = filled((50, 100), |row, column| if row >= 47 && column >= 88 { 80.0 } else { 1.0 });
        let found = concentration(&map, (50, 100)).expect("it is not zero");
        assert_eq!((found.part, found.rectangle), (Part::Corner(true, true), [[47, 50], [88, 100]]));
        assert!(found.is_outsized() && (found.share - 2880.0 / (2880.0 + 4964.0)).abs() < 1e-12);
        assert_eq!(found.to_string(), "the lower right 12 % × 6 %");
    }

    #[test]
    fn strips_and_frames_are_told_apart() {
        let strip = filled((40, 40), |row, _| if row < 4 { 20.0 } else { 1.0 });
        assert_eq!(concentration(&strip, (40, 40)).map(|c| c.to_string()), Some("the upper 10 %".to_owned()));
        let edge = |i: usize| !(2..38).contains(&i);
        let frame = filled((40, 40), |row, column| if edge(row) || edge(column) { 20.0 } else { 1.0 });
        let found = concentration(&frame, (40, 40)).expect("it is not zero");
        assert!(found.part == Part::Frame && found.is_outsized(), "{found:?}");
        assert_eq!(found.to_string(), "the outer 5 %");
    }

    #[test]
    fn evidence_in_the_middle_or_everywhere_is_natural() {
        let bell =
            |row: usize, column: usize| (-((row as f64 - 20.0).powi(2) + (column as f64 - 20.0).powi(2)) / 90.0).exp();
        for map in [filled((40, 40), bell), filled((40, 40), |_, _| 1.0), filled((3, 1), |row, _| row as f64)] {
            let size = if map.len() == 3 { (3, 1) } else { (40, 40) };
            assert!(!concentration(&map, size).is_some_and(|c| size.0 == 40 && c.is_outsized()));
        }
        assert_eq!(concentration(&[0.0; 16], (4, 4)), None);
        assert_eq!(concentration(&[f64::NAN; 16], (4, 4)), None);
    }
}
