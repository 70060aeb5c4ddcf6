//! What is kept of a picture that was looked at: a few kilobytes, from which every finding is made.

use std::hash::{DefaultHasher, Hasher};

use image::{ImageFormat, RgbImage, imageops};

use super::fingerprint::{Fingerprint, SIDE};
use crate::data::{DataError, Decoded};

/// The border is the outermost ring of a grid of so many cells a side.
const GRID: usize = 16;
/// Cells of the border.
pub(super) const BORDER: usize = 4 * (GRID - 1);
/// Figures of a cell: mean red, green and blue, and the deviation of the brightness.
pub(super) const FIGURES: usize = 4;

/// What is known of one picture.
#[derive(Clone, Debug)]
pub struct Look {
    /// Length of the file in bytes.
    pub(super) bytes: u64,
    /// Format of the content.
    pub(super) format: ImageFormat,
    /// Whether an EXIF orientation turned it.
    pub(super) turned: bool,
    /// Whether the file goes on to its end.
    pub(super) complete: bool,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Hash of size and pixels. 64 bits: among a million pictures, two that differ share one with a chance of 3e-8.
    pub(super) pixels: u64,
    /// Means of red, green and blue, 0 to 255.
    pub(super) mean: [f32; 3],
    /// Standard deviation of the brightness, 0 to 255, of what is left when the picture is scaled down.
    pub(super) deviation: f32,
    /// `[BORDER][FIGURES]`, clockwise from the upper left corner.
    pub(super) border: Vec<f32>,
    /// What stays alike when the picture is scaled, recompressed, mirrored, cropped or lit otherwise.
    pub(super) fingerprint: Fingerprint,
}

/// A picture looked at, or why it could not be read.
pub type Looked = Result<Look, String>;

/// Looks at a picture that was read, or that could not be.
pub fn look(decoded: Result<&Decoded, &DataError>) -> Looked {
    match decoded {
        Ok(decoded) => Ok(Look::new(decoded)),
        Err(DataError::Unreadable { reason, .. }) => Err(reason.clone()),
        Err(error) => Err(error.to_string()),
    }
}

/// Means of red, green and blue over equal parts of the picture, which is at least as large, `[SIDE,SIDE]`.
fn cells(picture: &RgbImage) -> Vec<[f32; 3]> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut cells = Vec::with_capacity(SIDE * SIDE);
    let mut columns = vec![0_u32; width * 3];
    for band in 0..SIDE {
        let (top, bottom) = (band * height / SIDE, (band + 1) * height / SIDE);
        columns.fill(0);
        // Down the columns first: neighbours in memory are added to neighbours, many at once.
        for row in picture.as_raw()[top * width * 3..bottom * width * 3].chunks_exact(width * 3) {
            columns.iter_mut().zip(row).for_each(|(sum, value)| *sum += u32::from(*value));
        }
        for cell in 0..SIDE {
            let (left, right) = (cell * width / SIDE, (cell + 1) * width / SIDE);
            let mut sums = [0_u64; 3];
            for pixel in columns[left * 3..right * 3].chunks_exact(3) {
                (0..3).for_each(|c| sums[c] += u64::from(pixel[c]));
            }
            let count = ((right - left) * (bottom - top)) as f32;
            cells.push(sums.map(|sum| sum as f32 / count));
        }
    }
    cells
}

/// As grey pictures are made of coloured ones (ITU-R BT.601).
fn brightness([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Means of the colours, and the standard deviation of the brightness.
fn figures<'a>(cells: impl Iterator<Item = &'a [f32; 3]> + Clone) -> ([f32; 3], f32) {
    let count = cells.clone().count().max(1) as f32;
    let mut mean = [0.0; 3];
    cells.clone().for_each(|cell| (0..3).for_each(|c| mean[c] += cell[c] / count));
    let middle = brightness(mean);
    let variance = cells.map(|cell| (brightness(*cell) - middle).powi(2)).sum::<f32>() / count;
    (mean, variance.sqrt())
}

/// The ring's cells: their rows and columns in the grid, clockwise from the upper left corner.
pub(super) fn ring() -> impl Iterator<Item = (usize, usize)> {
    let last = GRID - 1;
    let side = 0..last;
    let top = side.clone().map(|i| (0, i));
    let right = side.clone().map(move |i| (i, last));
    let bottom = side.clone().map(move |i| (last, last - i));
    top.chain(right).chain(bottom).chain(side.map(move |i| (last - i, 0)))
}

/// The part of a picture that a cell of the ring covers: left, top, right, bottom, in shares of the sides.
pub(super) fn place(cell: usize) -> [f64; 4] {
    let (row, column) = ring().nth(cell).unwrap_or_default();
    [column, row, column + 1, row + 1].map(|v| v as f64 / GRID as f64)
}

fn hash(picture: &RgbImage) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(picture.width());
    hasher.write_u32(picture.height());
    hasher.write(picture.as_raw());
    hasher.finish()
}

impl Look {
    fn new(decoded: &Decoded) -> Look {
        let picture = &decoded.picture;
        let (width, height) = picture.dimensions();
        let least = SIDE as u32;
        let cells = if width < least || height < least {
            let (width, height) = (width.max(least), height.max(least));
            cells(&imageops::resize(picture, width, height, imageops::FilterType::Triangle))
        } else {
            cells(picture)
        };
        let step = SIDE / GRID;
        let border = ring().flat_map(|(row, column)| {
            let lines = cells.chunks_exact(SIDE).skip(row * step).take(step);
            let ([r, g, b], deviation) = figures(lines.flat_map(|line| &line[column * step..(column + 1) * step]));
            [r, g, b, deviation]
        });
        let (mean, deviation) = figures(cells.iter());
        Look {
            bytes: decoded.bytes,
            format: decoded.format,
            turned: decoded.turned,
            complete: decoded.complete,
            size: (width, height),
            pixels: hash(picture),
            mean,
            deviation,
            border: border.collect(),
            fingerprint: Fingerprint::new(cells.iter().map(|cell| brightness(*cell).round() as u8).collect()),
        }
    }
}
