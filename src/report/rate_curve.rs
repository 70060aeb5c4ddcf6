//! The loss against the learning rate of a range test, as a picture.

use std::path::Path;

use image::RgbImage;
use plotters::prelude::*;

use super::curves::{Axis, TEST, TRAIN, loss_text, tick_step};
use super::font::{FONT, register};
use super::{RateStep, RateTest, ReportError, write_png};

const SIZE: (u32, u32) = (1000, 640);
const GREY: RGBColor = RGBColor(120, 120, 120);

type Failed = Box<dyn std::error::Error>;

/// A rate in as few digits as tell it: `0.0012`, `3.5e-6`.
pub fn rate_text(rate: f64) -> String {
    let short: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
    if short < 1e-4 { format!("{short:e}") } else { format!("{short}") }
}

fn draw_into(bytes: &mut [u8], test: &RateTest, title: &str) -> Result<(), Failed> {
    let root = BitMapBackend::with_buffer(bytes, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 22).into_font().color(&RGBColor(90, 90, 90)))?;
    let points = |value: fn(&RateStep) -> f64| -> Vec<(f64, f64)> {
        test.steps.iter().map(|s| (s.rate.log10(), value(s))).filter(|p| p.1.is_finite()).collect()
    };
    let (losses, smoothed) = (points(|s| s.loss), points(|s| s.smoothed));
    // The axis is that of the smoothed loss: single steps far beyond it tell nothing but that the test is over.
    let (low, high) = smoothed.iter().fold((f64::MAX, f64::MIN), |(low, high), p| (low.min(p.1), high.max(p.1)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (0.9 * low, high.max(0.9 * low + 0.1)) };
    let step = tick_step(high - low, 6.0);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let (from, to) = match (losses.first(), losses.last()) {
        (Some(first), Some(last)) => (first.0.floor(), last.0.ceil().max(first.0.floor() + 1.0)),
        _ => (-1.0, 0.0),
    };
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(60)
        .y_label_area_size(80)
        .build_cartesian_2d(Axis { from, to, step: 1.0 }, Axis { from: low, to: high, step })?;
    chart
        .configure_mesh()
        .x_desc("learning rate")
        .y_desc("loss")
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(GREY)
        .label_style((FONT, 20))
        .axis_desc_style((FONT, 22))
        .x_label_formatter(&|v| format!("1e{v:.0}"))
        .y_label_formatter(&|v| loss_text(*v))
        .draw()?;
    let inside = losses.iter().filter(|p| (low..=high).contains(&p.1));
    let dot = RGBColor(170, 200, 222);
    chart
        .draw_series(inside.map(|p| Circle::new(*p, 3, dot.filled())))?
        .label("each step")
        .legend(move |(x, y)| Circle::new((x + 15, y), 3, dot.filled()));
    let line = TRAIN.stroke_width(3);
    chart
        .draw_series(LineSeries::new(smoothed, line))?
        .label("smoothed")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], line));
    let rules = [
        (test.steepest().map(|descent| descent.rate), "steepest descent", TEST),
        (test.tenth_of_least(), "a tenth of the least loss's rate", GREY),
    ];
    for (rate, name, colour) in rules {
        let Some(rate) = rate else { continue };
        let (at, style) = (rate.log10(), colour.stroke_width(2));
        if (from..=to).contains(&at) {
            chart
                .draw_series([PathElement::new([(at, low), (at, high)], style)])?
                .label(format!("{name}: {}", rate_text(rate)))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 20))
        .legend_area_size(36)
        .margin(12)
        .draw()?;
    root.present()?;
    Ok(())
}

/// Draws the losses of the steps, their smoothed course and the suggested rates, on an axis of the rate's logarithm.
///
/// # Errors
/// The drawing library's message.
pub fn draw(test: &RateTest, title: &str) -> Result<RgbImage, String> {
    register();
    let mut bytes = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
    draw_into(&mut bytes, test, title).map_err(|e| e.to_string())?;
    RgbImage::from_raw(SIZE.0, SIZE.1, bytes).ok_or_else(|| "the picture has the wrong size".to_owned())
}

/// Writes [`draw`]'s picture as a PNG.
///
/// # Errors
/// [`ReportError::Write`].
pub fn write(test: &RateTest, title: &str, path: &Path) -> Result<(), ReportError> {
    let fail = |reason: String| ReportError::Write { path: path.to_owned(), reason };
    write_png(&draw(test, title).map_err(fail)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_any_length_can_be_drawn() {
        for count in [0, 1, 2, 150] {
            let mut test = RateTest::default();
            (0..count).for_each(|i| _ = test.add(1e-6 * 1.1f64.powi(i), if i == 149 { f64::NAN } else { 1.0 }));
            draw(&test, "a test").unwrap_or_else(|e| panic!("{count} steps: {e}"));
        }
    }

    #[test]
    fn rates_are_short() {
        assert_eq!([0.001_234, 3.456e-6, 0.1].map(rate_text), ["0.0012", "3.5e-6", "0.1"]);
    }
}
