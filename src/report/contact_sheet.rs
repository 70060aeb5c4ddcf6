//! Contact sheets: pictures, alone or side by side in pairs, with their names, so that one can see what was found.

use image::{Rgb, RgbImage, imageops};
use plotters::prelude::*;

use super::font::{FONT, fitted, register};

/// A picture has this much room, in pixels.
const WIDTH: u32 = 240;
const HEIGHT: u32 = 160;
const GAP: u32 = 16;
/// Height of a line of text.
const LINE: u32 = 18;
const HEAD: u32 = 48;
/// Pictures side by side.
const ACROSS: u32 = 4;

/// Cells that fit on a sheet.
pub const CELLS: usize = 24;

/// One picture.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The picture, at any size; none if it could not be read again.
    pub picture: Option<RgbImage>,
    /// Its name.
    pub name: String,
}

/// Pictures that belong together.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The pictures: as many in every cell of a sheet, one or two.
    pub tiles: Vec<Tile>,
    /// What there is to say of them, a line each: as many in every cell of a sheet.
    pub remarks: Vec<String>,
}

/// A picture fitted into its room, so that reading a long list of them takes no more memory than the sheet.
pub fn fit(picture: &RgbImage) -> RgbImage {
    let (width, height) = (f64::from(picture.width().max(1)), f64::from(picture.height().max(1)));
    let scale = (f64::from(WIDTH) / width).min(f64::from(HEIGHT) / height);
    let side = |v: f64| ((v * scale).round() as u32).max(1);
    imageops::resize(picture, side(width), side(height), imageops::FilterType::Triangle)
}

type Failed = Box<dyn std::error::Error>;

/// How cells lie on a sheet.
struct Grid {
    columns: u32,
    width: u32,
    height: u32,
}

impl Grid {
    fn of(cells: &[Cell]) -> Grid {
        let (tiles, lines) =
            cells.first().map_or((1, 1), |cell| (cell.tiles.len() as u32, cell.remarks.len() as u32 + 1));
        let width = tiles * (2 * WIDTH + 3 * GAP) / 2;
        Grid { columns: ACROSS / tiles.max(1), width, height: HEIGHT + lines * LINE + 8 + GAP }
    }

    fn corner(&self, index: usize) -> (u32, u32) {
        let (row, column) = (index as u32 / self.columns, index as u32 % self.columns);
        (GAP + column * self.width, HEAD + row * self.height)
    }

    fn size(&self, cells: usize) -> (u32, u32) {
        (self.columns * self.width, HEAD + (cells as u32).div_ceil(self.columns) * self.height)
    }
}

fn draw_cells(canvas: &mut RgbImage, title: &str, cells: &[Cell], grid: &Grid) -> Result<(), Failed> {
    let size = canvas.dimensions();
    let lefts = |left: u32| (0..).map(move |tile| left + tile * (WIDTH + GAP / 4));
    for (index, cell) in cells.iter().enumerate() {
        let (left, top) = grid.corner(index);
        for (tile, x) in cell.tiles.iter().zip(lefts(left)) {
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
    for (index, cell) in cells.iter().enumerate() {
        let (left, top) = grid.corner(index);
        for (tile, x) in cell.tiles.iter().zip(lefts(left)) {
            put(&tile.name, x, top + HEIGHT + 4, 15, 40, WIDTH)?;
            if tile.picture.is_none() {
                put("it cannot be read any more", x + 8, top + HEIGHT / 2 - 8, 15, 100, WIDTH - 16)?;
            }
        }
        for (remark, y) in cell.remarks.iter().zip((top + HEIGHT + 4 + LINE..).step_by(LINE as usize)) {
            put(remark, left, y, 15, 110, WIDTH * cell.tiles.len() as u32)?;
        }
    }
    area.present()?;
    Ok(())
}

/// Draws a sheet of up to [`CELLS`] cells.
///
/// # Errors
/// The drawing library's message.
pub fn draw(title: &str, cells: &[Cell]) -> Result<RgbImage, String> {
    register();
    let grid = Grid::of(cells);
    let size = grid.size(cells.len());
    let mut canvas = RgbImage::from_pixel(size.0, size.1, Rgb([255; 3]));
    draw_cells(&mut canvas, title, cells, &grid).map_err(|e| e.to_string())?;
    Ok(canvas)
}
