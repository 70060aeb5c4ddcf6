//! Pictures that differ.

use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Ellipses of many sizes and colours over each other: another picture for each seed.
pub fn scene(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut between = |low: f32, high: f32| random.random_range(low..high);
    let ellipses: Vec<[f32; 7]> = (0..40)
        .map(|i| {
            let reach = 0.5 / (1.0 + i as f32 * 0.2);
            let (a, b) = (reach * between(0.3, 1.0), reach * between(0.3, 1.0));
            let [r, g, b2] = [0; 3].map(|_| between(20.0, 220.0));
            [between(0.0, 1.0), between(0.0, 1.0), a, b, r, g, b2]
        })
        .collect();
    RgbImage::from_fn(width, height, |px, py| {
        let (x, y) = ((px as f32 + 0.5) / width as f32, (py as f32 + 0.5) / height as f32);
        let inside = |e: &&[f32; 7]| ((x - e[0]) / e[2]).powi(2) + ((y - e[1]) / e[3]).powi(2) < 1.0;
        let top = ellipses.iter().rev().find(inside);
        Rgb(top.map_or([90, 120, 70], |e| [e[4], e[5], e[6]].map(|v| v as u8)))
    })
}
