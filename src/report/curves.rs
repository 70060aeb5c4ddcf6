//! Accuracy and loss against epochs, as a picture.

use std::path::Path;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use super::font::{FONT, register};
use super::{Epoch, History, ReportError, write_png};

const SIZE: (u32, u32) = (1500, 640);

/// Blue and orange of Okabe and Ito's palette: told apart with any kind of colour vision.
pub(super) const TRAIN: RGBColor = RGBColor(0, 114, 178);
pub(super) const TEST: RGBColor = RGBColor(213, 94, 0);

/// A step between ticks from 1, 2, 5, 10, … that gives at most `most` of them.
pub(super) fn tick_step(range: f64, most: f64) -> f64 {
    let raw = (range / most).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw).unwrap_or(10.0 * power)
}

/// A loss beside its axis: the losses of a run about to diverge would not fit there with their decimals.
pub(super) fn loss_text(loss: f64) -> String {
    match loss {
        v if v < 100.0 => format!("{v:.2}"),
        v if v < 1e5 => format!("{v:.0}"),
        v => format!("{v:.1e}"),
    }
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Failed = Box<dyn std::error::Error>;

struct Panel<'a> {
    title: &'a str,
    /// Training and test value of an epoch.
    values: fn(&Epoch) -> (f64, Option<f64>),
    /// Text of a tick.
    text: fn(f64) -> String,
    /// Text of a value.
    exact: fn(f64) -> String,
    /// Range that is always shown.
    floor: (f64, f64),
    /// Whether a larger value is better.
    rising: bool,
}

fn draw_panel(area: &Area, history: &History, panel: &Panel) -> Result<(), Failed> {
    let finite = |v: &f64| v.is_finite();
    let all = history.0.iter().flat_map(|e| [Some((panel.values)(e).0), (panel.values)(e).1]).flatten().filter(finite);
    let (low, high) = all.fold(panel.floor, |(low, high), v| (low.min(v), high.max(v)));
    let step = tick_step(high - low, 6.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let better = |a: f64, b: f64| if panel.rising { a > b } else { a < b };
    let test: Vec<(f64, f64)> = history.0.iter().filter_map(|e| Some((e.epoch as f64, (panel.values)(e).1?))).collect();
    let best = test.iter().filter(|p| p.1.is_finite()).fold(None::<(f64, f64)>, |best, p| match best {
        Some(b) if !better(p.1, b.1) => Some(b),
        _ => Some(*p),
    });
    let caption = match best {
        Some(best) => {
            format!("{}: best on the test pictures {} (epoch {})", panel.title, (panel.exact)(best.1), best.0)
        }
        None => panel.title.to_owned(),
    };
    let epochs = history.0.len().max(1) as f64;
    // A lone epoch stands in the middle of its axis.
    let (first, last) = if epochs < 2.0 { (0.0, 2.0) } else { (1.0, epochs) };
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 26))
        .margin(20)
        .x_label_area_size(60)
        .y_label_area_size(80)
        .build_cartesian_2d(
            Axis { from: first, to: last, step: tick_step(last - first, 12.0).max(1.0) },
            Axis { from: low, to: high, step },
        )?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(120, 120, 120))
        .label_style((FONT, 20))
        .axis_desc_style((FONT, 22))
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&|v| (panel.text)(*v))
        .draw()?;
    let train: Vec<(f64, f64)> = history.0.iter().map(|e| (e.epoch as f64, (panel.values)(e).0)).collect();
    for (name, colour, points) in [("training", TRAIN, train), ("test", TEST, test)] {
        let style = colour.stroke_width(3);
        // A value that is no number breaks the line: what stands on either side is drawn apart.
        for (index, part) in points.split(|p| !p.1.is_finite()).filter(|p| !p.is_empty()).enumerate() {
            let series = chart.draw_series(LineSeries::new(part.iter().copied(), style))?;
            if index == 0 {
                series.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], style));
            }
            let size = if points.len() <= 30 { 4 } else { 0 };
            chart.draw_series(part.iter().map(|p| Circle::new(*p, size, colour.filled())))?;
        }
    }
    if let Some(best) = best {
        chart.draw_series([Circle::new(best, 9, TEST.stroke_width(2))])?;
    }
    chart
        .configure_series_labels()
        .position(if panel.rising { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight })
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 20))
        .legend_area_size(36)
        .margin(12)
        .draw()?;
    Ok(())
}

/// A linear axis with a tick at every multiple of `step`.
pub(super) struct Axis {
    pub from: f64,
    pub to: f64,
    pub step: f64,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> std::ops::Range<f64> {
        self.from..self.to
    }

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let first = (self.from / self.step - 1e-9).ceil();
        (0..).map(|i| (first + f64::from(i)) * self.step).take_while(|v| *v <= self.to + 1e-9).collect()
    }
}

fn draw_into(bytes: &mut [u8], history: &History, title: &str) -> Result<(), Failed> {
    let root = BitMapBackend::with_buffer(bytes, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 22).into_font().color(&RGBColor(90, 90, 90)))?;
    let (left, right) = root.split_horizontally((SIZE.0 / 2) as i32);
    let accuracy = Panel {
        title: "Accuracy",
        values: |e| (e.accuracy, e.val_accuracy),
        text: |v| format!("{:.0} %", 100.0 * v),
        exact: |v| format!("{:.1} %", 100.0 * v),
        // Never a range of nothing: a run can be right from its first epoch on.
        floor: (0.9, 1.0),
        rising: true,
    };
    let loss = Panel {
        title: "Loss",
        values: |e| (e.loss, e.val_loss),
        text: loss_text,
        exact: |v| format!("{v:.3}"),
        floor: (0.0, 0.1),
        rising: false,
    };
    draw_panel(&left, history, &accuracy)?;
    draw_panel(&right, history, &loss)?;
    root.present()?;
    Ok(())
}

/// Draws two panels, accuracy and loss, with a line for training and one for the test pictures, and a ring around the
/// best test value.
///
/// # Errors
/// The drawing library's message.
pub fn draw(history: &History, title: &str) -> Result<RgbImage, String> {
    register();
    let mut bytes = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
    draw_into(&mut bytes, history, title).map_err(|e| e.to_string())?;
    RgbImage::from_raw(SIZE.0, SIZE.1, bytes).ok_or_else(|| "the picture has the wrong size".to_owned())
}

/// Writes [`draw`]'s picture as a PNG.
///
/// # Errors
/// [`ReportError::Write`].
pub fn write(history: &History, title: &str, path: &Path) -> Result<(), ReportError> {
    let fail = |reason: String| ReportError::Write { path: path.to_owned(), reason };
    write_png(&draw(history, title).map_err(fail)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: usize, hole: bool) -> History {
        let value = |n: usize| if hole && n == 2 { f64::NAN } else { 1.0 / n as f64 };
        let epoch = |n| Epoch {
            epoch: n,
            loss: value(n),
            accuracy: 1.0 - value(n) / 2.0,
            val_loss: (!hole).then(|| 1.1 * value(n)),
            val_accuracy: (!hole).then(|| 0.9 - value(n) / 2.0),
            seconds: 1.0,
            learning_rate: None,
        };
        History((1..=epochs).map(epoch).collect())
    }

    #[test]
    fn any_number_of_epochs_can_be_drawn_and_leaves_ink_of_both_colours() {
        for epochs in [0, 1, 2, 25, 500] {
            let picture = draw(&history(epochs, false), "a run").expect("it draws");
            let has = |c: RGBColor| picture.pixels().any(|p| p.0 == [c.0, c.1, c.2]);
            assert_eq!((has(TRAIN), has(TEST)), (epochs > 0, epochs > 0), "{epochs} epochs");
        }
    }

    #[test]
    fn what_is_no_number_or_missing_leaves_a_gap() {
        draw(&history(5, true), "a run").expect("it draws");
    }

    /// How many of the picture's rows hold grid lines, in the panel that spans these columns.
    fn grid_lines(picture: &RgbImage, columns: std::ops::Range<u32>) -> usize {
        let drawn = |y| columns.clone().filter(|x| picture.get_pixel(*x, y).0 == [225; 3]).count();
        (0..SIZE.1).filter(|y| drawn(*y) > columns.len() / 2).count()
    }

    #[test]
    fn a_run_that_is_perfect_from_the_first_epoch_has_axes_with_several_ticks() {
        let epoch = |n| Epoch {
            epoch: n,
            loss: 0.0,
            accuracy: 1.0,
            val_loss: Some(0.001),
            val_accuracy: Some(1.0),
            seconds: 1.0,
            learning_rate: None,
        };
        let picture = draw(&History((1..=10).map(epoch).collect()), "a run").expect("it draws");
        for columns in [100..SIZE.0 / 2, SIZE.0 / 2 + 100..SIZE.0] {
            assert!(grid_lines(&picture, columns.clone()) >= 4, "{columns:?}");
        }
    }

    #[test]
    fn losses_beside_the_axis_stay_short() {
        assert_eq!([0.02, 1.5, 250.0, 2.5e6].map(loss_text), ["0.02", "1.50", "250", "2.5e6"]);
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(tick_step(1.0, 6.0), 0.2);
        assert_eq!(tick_step(24.0, 12.0), 2.0);
        assert_eq!(tick_step(0.07, 6.0), 0.02);
    }
}
