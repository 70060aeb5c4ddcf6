//! Contact sheets: pairs of pictures side by side, with their names, so that one can see what was found.

use image::{Rgb, RgbImage, imageops};
use plotters::prelude::*;

use super::font::{FONT, fitted, register};

/// A picture has this much room, in pixels.
const WIDTH: u32 = 240;
const HEIGHT: u32 = 160;
const GAP: u32 = 16;
/// Room for two lines of text.
const TEXT: u32 = 44;
const HEAD: u32 = 48;
const COLUMNS: u32 = 2;

/// Pairs that fit on a sheet.
pub const PAIRS: usize = 24;

/// One picture of a pair.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The picture, at any size; none if it could not be read again.
    pub picture: Option<RgbImage>,
    /// Its name.
    pub name: String,
}

/// Two pictures that belong together.
#[derive(Clone, Debug)]
pub struct TilePair {
    /// The pictures.
    pub tiles: [Tile; 2],
    /// What there is to say of them.
    pub remark: String,
}

/// A picture fitted into its room, so that reading a long list of pairs takes no more memory than the sheet.
pub fn fit(picture: &RgbImage) -> RgbImage {
    let (width, height) = (f64::from(picture.width().max(1)), f64::from(picture.height().max(1)));
    let scale = (f64::from(WIDTH) / width).min(f64::from(HEIGHT) / height);
    let side = |v: f64| ((v * scale).round() as u32).max(1);
    imageops::resize(picture, side(width), side(height), imageops::FilterType::Triangle)
}

type Failed = Box<dyn std::error::Error>;

fn draw_pairs(canvas: &mut RgbImage, title: &str, pairs: &[TilePair]) -> Result<(), Failed> {
    let size = canvas.dimensions();
    let corner = |index: usize| {
        let (row, column) = (index as u32 / COLUMNS, index as u32 % COLUMNS);
        (GAP + column * (2 * WIDTH + 3 * GAP), HEAD + row * (HEIGHT + TEXT + GAP))
    };
    for (index, pair) in pairs.iter().enumerate() {
        let (left, top) = corner(index);
        for (tile, x) in pair.tiles.iter().zip([left, left + WIDTH + GAP / 4]) {
            let frame = RgbImage::from_pixel(WIDTH, HEIGHT, Rgb([236; 3]));
            imageops::replace(canvas, &frame, x.into(), top.into());
            if let Some(picture) = tile.picture.as_ref().map(fit) {
                let (dx, dy) = ((WIDTH - picture.width()) / 2, (HEIGHT - picture.height()) / 2);
                imageops::replace(canvas, &picture, (x + dx).into(), (top + dy).into());
            }
        }
    }
    let area = BitMapBackend::with_buffer(canvas, size).into_drawing_area();
    let put = |text: &str, x: u32, y: u32, points: i32, grey: u8, room: u32| -> Result<(), Failed> {
        let style = (FONT, points).into_font().color(&RGBColor(grey, grey, grey));
        Ok(area.draw(&Text::new(fitted(&area, text, points, room), (x as i32, y as i32), style))?)
    };
    put(title, GAP, 12, 22, 40, size.0 - 2 * GAP)?;
    for (index, pair) in pairs.iter().enumerate() {
        let (left, top) = corner(index);
        for (tile, x) in pair.tiles.iter().zip([left, left + WIDTH + GAP / 4]) {
            put(&tile.name, x, top + HEIGHT + 4, 15, 40, WIDTH)?;
            if tile.picture.is_none() {
                put("it cannot be read any more", x + 8, top + HEIGHT / 2 - 8, 15, 100, WIDTH - 16)?;
            }
        }
        put(&pair.remark, left, top + HEIGHT + 22, 15, 110, 2 * WIDTH)?;
    }
    area.present()?;
    Ok(())
}

/// Draws a sheet of up to [`PAIRS`] pairs.
///
/// # Errors
/// The drawing library's message.
pub fn draw(title: &str, pairs: &[TilePair]) -> Result<RgbImage, String> {
    register();
    let rows = (pairs.len() as u32).div_ceil(COLUMNS);
    let size = (COLUMNS * (2 * WIDTH + 3 * GAP), HEAD + rows * (HEIGHT + TEXT + GAP));
    let mut canvas = RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]));
    draw_pairs(&mut canvas, title, pairs).map_err(|e| e.to_string())?;
    Ok(canvas)
}
