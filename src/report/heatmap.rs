//! Heatmaps as `shap.image_plot` colours them: the picture, then a panel for each class.

use image::{Rgb, RgbImage, imageops};
use plotters::prelude::*;

use super::font::{FONT, fitted, register};

/// Panels of a figure, and tiles of a page, are at least about this wide, in pixels: small pictures are enlarged.
const PANEL: u32 = 288;
const TILE: u32 = 160;
const GAP: u32 = 16;
const TITLE: u32 = 40;
const NOTE: u32 = 34;
const FOOT: u32 = 96;

/// shap's blue and red.
const BLUE: [f64; 3] = [30.0, 136.0, 229.0];
const RED: [f64; 3] = [255.0, 13.0, 87.0];

/// One class's values of a picture.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The class and its probability.
    pub title: String,
    /// `[H,W]`: the sum over the colours of what a pixel adds to the class's output.
    pub values: Vec<f64>,
    /// A rectangle of pixels to outline: rows, columns, from inclusive to exclusive.
    pub outline: Option<[[usize; 2]; 2]>,
}

/// One picture with its panels.
#[derive(Clone, Debug)]
pub struct Row {
    /// The picture, at any size: it is fitted to the panels.
    pub picture: RgbImage,
    /// Its name.
    pub title: String,
    /// How good the values are.
    pub note: String,
    /// The classes.
    pub panels: Vec<Panel>,
}

/// How values become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// shap's: red above zero, blue below.
    Signed,
    /// White to dark red, for values that are never negative.
    Magnitude,
}

/// A figure: rows of pictures on one colour scale.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Height and width of the values, in pixels.
    pub size: (usize, usize),
    /// The pictures.
    pub rows: Vec<Row>,
    /// Lay the colours over the picture itself, not over a faint grey one.
    pub overlay: bool,
    /// How values become colours.
    pub colours: Colours,
    /// What the colours mean, in words.
    pub foot: String,
}

/// The 99.9th percentile of the magnitudes, interpolated linearly as numpy does: the end of the colour scale.
fn scale(figure: &Figure) -> f64 {
    let all = figure.rows.iter().flat_map(|r| &r.panels).flat_map(|p| &p.values);
    let mut sizes: Vec<f64> = all.map(|v| v.abs()).collect();
    if sizes.is_empty() {
        return f64::MIN_POSITIVE;
    }
    sizes.sort_by(f64::total_cmp);
    let place = 0.999 * (sizes.len() - 1) as f64;
    let (low, high) = (sizes[place as usize], sizes[(place as usize + 1).min(sizes.len() - 1)]);
    (low + (high - low) * place.fract()).max(f64::MIN_POSITIVE)
}

/// shap's red_transparent_blue over a colour; `share` is the value over the end of the scale.
fn tint(under: [f64; 3], share: f64) -> Rgb<u8> {
    let colour = if share < 0.0 { BLUE } else { RED };
    let alpha = share.abs().min(1.0);
    Rgb([0, 1, 2].map(|c| (under[c] * (1.0 - alpha) + colour[c] * alpha).round() as u8))
}

/// Spreads each value over its neighbourhood, a bell of this radius in pixels; what all of them add up to stays the same.
pub fn smooth(values: &[f64], (height, width): (usize, usize), radius: usize) -> Vec<f64> {
    let bell = |d: usize| (-2.0 * (d as f64 / (radius as f64 + 0.5)).powi(2)).exp();
    let along = |values: &[f64], lines: usize, length: usize, at: &dyn Fn(usize, usize) -> usize| {
        let mut out = vec![0.0; values.len()];
        for line in 0..lines {
            for from in 0..length {
                // At the edges the part that would fall outside is kept inside.
                let near = from.saturating_sub(radius)..(from + radius + 1).min(length);
                let total: f64 = near.clone().map(|to| bell(to.abs_diff(from))).sum();
                for to in near {
                    out[at(line, to)] += values[at(line, from)] * bell(to.abs_diff(from)) / total;
                }
            }
        }
        out
    };
    let rows = along(values, height, width, &|row, column| row * width + column);
    along(&rows, width, height, &|column, row| row * width + column)
}

struct Frame {
    factor: u32,
    width: u32,
    height: u32,
    columns: u32,
}

impl Frame {
    fn new(figure: &Figure, least: u32) -> Frame {
        let (height, width) = (figure.size.0.max(1) as u32, figure.size.1.max(1) as u32);
        let factor = least.div_ceil(width).max(1);
        let columns = figure.rows.iter().map(|r| r.panels.len()).max().unwrap_or(0) as u32 + 1;
        Frame { factor, width: width * factor, height: height * factor, columns }
    }

    fn size(&self, rows: u32) -> (u32, u32) {
        let width = GAP + self.columns * (self.width + GAP);
        (width.max(560), GAP + rows * (TITLE + self.height + NOTE) + FOOT)
    }

    fn corner(&self, row: u32, column: u32) -> (u32, u32) {
        (GAP + column * (self.width + GAP), GAP + row * (TITLE + self.height + NOTE) + TITLE)
    }
}

/// The row's picture at the frame's size, and the panels' colours over it.
fn paint_row(figure: &Figure, row: &Row, frame: &Frame, end: f64) -> (RgbImage, Vec<RgbImage>) {
    let picture = imageops::resize(&row.picture, frame.width, frame.height, imageops::FilterType::Triangle);
    let paint = |panel: &Panel| {
        let mut painted = RgbImage::from_fn(frame.width, frame.height, |x, y| {
            let at = (y / frame.factor) as usize * figure.size.1 + (x / frame.factor) as usize;
            let [r, g, b] = picture.get_pixel(x, y).0.map(f64::from);
            let grey = 0.2989 * r + 0.5870 * g + 0.1140 * b;
            let under = if figure.overlay { [r, g, b] } else { [255.0 * 0.85 + grey * 0.15; 3] };
            tint(under, panel.values.get(at).copied().unwrap_or(0.0) / end)
        });
        if let Some([rows, columns]) = panel.outline {
            let [rows, columns] = [rows, columns].map(|r| r.map(|v| v as u32 * frame.factor));
            outline(&mut painted, [columns[0], rows[0], columns[1], rows[1]]);
        }
        painted
    };
    let panels = row.panels.iter().map(paint).collect();
    (picture, panels)
}

/// Each row's picture and panels by themselves, smaller and without any text: the tiles of a page.
pub fn tiles(figure: &Figure) -> Vec<(RgbImage, Vec<RgbImage>)> {
    let (frame, end) = (Frame::new(figure, TILE), scale(figure));
    figure.rows.iter().map(|row| paint_row(figure, row, &frame, end)).collect()
}

fn draw_row(canvas: &mut RgbImage, figure: &Figure, row: &Row, frame: &Frame, index: u32, end: f64) {
    let (picture, panels) = paint_row(figure, row, frame, end);
    for (column, tile) in std::iter::once(&picture).chain(&panels).enumerate() {
        let (x, y) = frame.corner(index, column as u32);
        imageops::replace(canvas, tile, x.into(), y.into());
    }
}

/// A dark line of two pixels just inside the rectangle: left, top, right, bottom.
fn outline(canvas: &mut RgbImage, [left, top, right, bottom]: [u32; 4]) {
    for y in top..bottom {
        for x in left..right {
            if x < left + 2 || x + 2 >= right || y < top + 2 || y + 2 >= bottom {
                canvas.put_pixel(x, y, Rgb([40; 3]));
            }
        }
    }
}

type Failed = Box<dyn std::error::Error>;

fn write_texts(canvas: &mut RgbImage, figure: &Figure, frame: &Frame, end: f64) -> Result<(), Failed> {
    let (width, height) = canvas.dimensions();
    let area = BitMapBackend::with_buffer(canvas, (width, height)).into_drawing_area();
    let put = |text: &str, x: u32, y: u32, size: i32, room: u32| -> Result<(), Failed> {
        let style = (FONT, size).into_font().color(&RGBColor(40, 40, 40));
        let text = fitted(&area, text, size, room);
        Ok(area.draw(&Text::new(text, (x as i32, y as i32), style))?)
    };
    for (index, row) in figure.rows.iter().enumerate() {
        let titles = std::iter::once(&row.title).chain(row.panels.iter().map(|p| &p.title));
        for (column, title) in titles.enumerate() {
            let (x, y) = frame.corner(index as u32, column as u32);
            put(title, x, y - 30, 22, frame.width)?;
        }
        let (x, y) = frame.corner(index as u32, 0);
        put(&row.note, x, y + frame.height + 6, 16, width - 2 * GAP)?;
    }
    let (left, right, top) = (GAP, width - GAP, height - FOOT + 16);
    let (first, name) = match figure.colours {
        Colours::Signed => (format!("−{end:.2e}"), "SHAP value"),
        Colours::Magnitude => ("0".to_owned(), "mean |SHAP value|"),
    };
    put(&first, left, top + 18, 16, width / 4)?;
    let style = (FONT, 16).into_font().into_text_style(&area);
    let last = format!("{end:.2e}");
    let (w, _) = area.estimate_text_size(&last, &style)?;
    put(&last, right - w, top + 18, 16, width / 4)?;
    let (w, _) = area.estimate_text_size(name, &style)?;
    put(name, (width - w) / 2, top + 18, 16, width / 2)?;
    put(&figure.foot, left, top + 44, 18, width - 2 * GAP)?;
    area.present()?;
    Ok(())
}

/// Draws the figure.
///
/// # Errors
/// The drawing library's message.
pub fn draw(figure: &Figure) -> Result<RgbImage, String> {
    register();
    let frame = Frame::new(figure, PANEL);
    let (width, height) = frame.size(figure.rows.len() as u32);
    let mut canvas = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let end = scale(figure);
    for (index, row) in figure.rows.iter().enumerate() {
        draw_row(&mut canvas, figure, row, &frame, index as u32, end);
    }
    let top = height - FOOT + 16;
    for x in GAP..width - GAP {
        let along = f64::from(x - GAP) / f64::from(width - 2 * GAP - 1);
        let share = if figure.colours == Colours::Signed { 2.0 * along - 1.0 } else { along };
        (top..top + 14).for_each(|y| canvas.put_pixel(x, y, tint([255.0; 3], share)));
    }
    write_texts(&mut canvas, figure, &frame, end).map_err(|e| e.to_string())?;
    Ok(canvas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_the_total_and_spreads_a_point() {
        let mut values = vec![0.0; 12 * 9];
        values[0] = 2.0;
        values[5 * 9 + 4] = -1.0;
        let smoothed = smooth(&values, (12, 9), 2);
        assert!((smoothed.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(smoothed[5 * 9 + 4] > -0.5 && smoothed[5 * 9 + 5] < -0.01);
    }

    /// `numpy.nanpercentile(numpy.arange(1001), 99.9)` is 999.
    #[test]
    fn the_scale_ends_at_numpys_percentile() {
        let values = (0..=1000).map(|v| -f64::from(v)).collect();
        let row = Row {
            picture: RgbImage::new(3, 3),
            title: String::new(),
            note: String::new(),
            panels: vec![Panel { title: String::new(), values, outline: None }],
        };
        let figure =
            Figure { size: (1, 1001), rows: vec![row], overlay: false, colours: Colours::Signed, foot: String::new() };
        assert!((scale(&figure) - 999.0).abs() < 1e-9);
    }

    #[test]
    fn colours_are_shaps_at_the_ends_and_clear_in_the_middle() {
        assert_eq!(tint([255.0; 3], 1.5), Rgb([255, 13, 87]));
        assert_eq!(tint([255.0; 3], -1.0), Rgb([30, 136, 229]));
        assert_eq!(tint([200.0; 3], 0.0), Rgb([200; 3]));
    }
}
