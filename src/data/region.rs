//! Rectangles of a picture, in shares of its sides, that are blanked so that a network cannot read them.

use std::fmt;
use std::str::FromStr;

use image::RgbImage;
use serde::{Deserialize, Serialize};

/// What blanked pixels become: grey, neither dark nor bright.
const BLANK: u8 = 128;

/// A rectangle in shares of a picture's width (`left`, `right`) and height (`top`, `bottom`), each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 4]", into = "[f64; 4]")]
pub struct Region {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl TryFrom<[f64; 4]> for Region {
    type Error = String;

    fn try_from([left, top, right, bottom]: [f64; 4]) -> Result<Region, String> {
        let inside = [left, top, right, bottom].iter().all(|v| (0.0..=1.0).contains(v));
        if inside && left < right && top < bottom {
            return Ok(Region { left, top, right, bottom });
        }
        Err("left, top, right, bottom must lie between 0 and 1, left before right and top before bottom; \
             0.8,0.9,1,1 is the lower right corner"
            .to_owned())
    }
}

impl From<Region> for [f64; 4] {
    fn from(r: Region) -> [f64; 4] {
        [r.left, r.top, r.right, r.bottom]
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Region, String> {
        let numbers: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
        match <[f64; 4]>::try_from(numbers) {
            Ok(four) if text.split(',').count() == 4 => Region::try_from(four),
            _ => Err("four numbers with commas between them are needed: left,top,right,bottom".to_owned()),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{},{},{},{}", self.left, self.top, self.right, self.bottom)
    }
}

impl Region {
    /// Makes the region of a `[height, width, channels]` picture grey, and every pixel that it touches; a fourth channel
    /// stays as it is.
    pub fn blank(&self, bytes: &mut [u8], (height, width): (usize, usize), channels: usize) {
        let span = |from: f64, to: f64, side: usize| {
            let end = ((to * side as f64).ceil() as usize).min(side);
            ((from * side as f64).floor() as usize).min(end)..end
        };
        for row in span(self.top, self.bottom, height) {
            for column in span(self.left, self.right, width) {
                let at = (row * width + column) * channels;
                bytes[at..at + channels.min(3)].fill(BLANK);
            }
        }
    }

    /// Makes the region of a picture grey.
    pub fn blank_picture(&self, picture: &mut RgbImage) {
        let size = (picture.height() as usize, picture.width() as usize);
        self.blank(picture, size, 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_and_refused() {
        let corner: Region = "0.5, 0.75,1,1".parse().expect("a region");
        assert_eq!(<[f64; 4]>::from(corner), [0.5, 0.75, 1.0, 1.0]);
        assert_eq!(corner.to_string().parse(), Ok(corner));
        for wrong in ["", "0,0,1", "0,0,1,1,1", "0,0,x,1", "0.5,0,0.5,1", "0,0,1,1.1", "-0.1,0,1,1", "nan,0,1,1"] {
            assert!(wrong.parse::<Region>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn blanking_covers_every_pixel_touched_and_no_other() {
        let mut bytes: Vec<u8> = [1, 2, 3, 255].repeat(4 * 6);
        "0.5,0.3,0.9,0.6".parse::<Region>().expect("a region").blank(&mut bytes, (4, 6), 4);
        for (index, pixel) in bytes.chunks(4).enumerate() {
            let (row, column) = (index / 6, index % 6);
            let blank = (1..3).contains(&row) && column >= 3;
            assert_eq!(pixel, if blank { [128, 128, 128, 255] } else { [1, 2, 3, 255] }, "{row} {column}");
        }
    }
}
