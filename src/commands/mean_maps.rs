//! Where a network looks, on the mean of many pictures: for `explain --summary` and the report.

use image::RgbImage;

use crate::explain::{Concentration, Estimate, Part};

/// Means over explained pictures.
pub(super) struct MeanMaps {
    size: (usize, usize),
    count: usize,
    /// `[classes][H,W]`: sums of the magnitudes of what a pixel adds to each class's output.
    maps: Vec<Vec<f64>>,
    probabilities: Vec<f64>,
    /// `[H,W,3]`.
    colours: Vec<f64>,
}

impl MeanMaps {
    /// Of no pictures yet, of this height and width.
    pub fn new(size: (usize, usize), classes: usize) -> MeanMaps {
        let pixels = size.0 * size.1;
        let (maps, probabilities) = (vec![vec![0.0; pixels]; classes], vec![0.0; classes]);
        MeanMaps { size, count: 0, maps, probabilities, colours: vec![0.0; pixels * 3] }
    }

    /// Adds a picture, `[H,W,4]` bytes.
    pub fn add(&mut self, image: &[u8], probabilities: &[f32], estimate: &Estimate) {
        let classes = self.maps.len();
        for (class, map) in self.maps.iter_mut().enumerate() {
            let values = estimate.map_of(class, classes);
            map.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.abs());
        }
        let colours = image.chunks_exact(4).flat_map(|pixel| &pixel[..3]);
        self.colours.iter_mut().zip(colours).for_each(|(sum, value)| *sum += f64::from(*value));
        self.probabilities.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += f64::from(*p));
        self.count += 1;
    }

    /// Pictures so far.
    pub fn count(&self) -> usize {
        self.count
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.count.max(1) as f64
    }

    /// `[H,W]`: how much a pixel moves the class's output.
    pub fn map(&self, class: usize) -> Vec<f64> {
        self.maps[class].iter().map(|sum| self.mean(*sum)).collect()
    }

    /// Of the class.
    pub fn probability(&self, class: usize) -> f64 {
        self.mean(self.probabilities[class])
    }

    /// The pictures laid over each other.
    pub fn picture(&self) -> RgbImage {
        let bytes = self.colours.iter().map(|sum| self.mean(*sum).round() as u8).collect();
        RgbImage::from_raw(self.size.1 as u32, self.size.0 as u32, bytes).unwrap_or_default()
    }
}

/// What to tell the user of the place where a class's evidence lies.
pub(super) fn sentence(found: &Concentration, size: (usize, usize)) -> String {
    let share = 100.0 * found.share;
    let region = mask_of(found, size).map_or(String::new(), |mask| format!(" (--mask {mask} blanks it)"));
    if found.is_outsized() {
        format!(
            "{share:.0} % of the evidence lies in {found} of the picture: the network may be reading a label or a frame \
             there{region}"
        )
    } else {
        format!(
            "no corner, edge or frame holds an outsized share of the evidence (most: {share:.0} % in {found} of the \
             picture)"
        )
    }
}

/// The region as `--mask` takes it; a frame is none.
pub(super) fn mask_of(found: &Concentration, (height, width): (usize, usize)) -> Option<String> {
    let [[top, bottom], [left, right]] = found.rectangle;
    let share = |v: usize, side: usize| format!("{}", (1e4 * v as f64 / side as f64).round() / 1e4);
    (found.part != Part::Frame)
        .then(|| [share(left, width), share(top, height), share(right, width), share(bottom, height)].join(","))
}
