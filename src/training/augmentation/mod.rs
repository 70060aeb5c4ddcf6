//! Which pictures a step sees, and how they are changed: drawn on the host from (seed, epoch, place), applied on the device.

mod color;
mod settings;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

use crate::kernels::augment::{Look, Map, Rectangle, Sample};
use color::Color;
pub use settings::{AugmentationError, AugmentationSettings, Crop, Erase};

/// The least that an erased part is as wide as high, or as high as wide (Zhong et al. 2020).
const NARROWEST: f64 = 0.3;

/// The order of pictures in an epoch, and their flips and turns: two streams an epoch.
const ORDER: u64 = 0;
const TURNS: u64 = 1;
/// Above all of them, a stream for each picture of an epoch, and one for how it is mixed.
const LOOKS: u64 = 1 << 63;
const MIXTURES: u64 = LOOKS | 1 << 62;

/// Random numbers of one epoch; epochs are independent streams of one seed, so that resuming needs no state.
fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number);
    random
}

/// From 0 up to but without 1.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) * 2f64.powi(-32)
}

fn between(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * uniform(random)
}

/// Its logarithm is uniform.
fn aspect_between(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    between(random, low.ln(), high.ln()).exp()
}

/// The order of `count` pictures in an epoch: a full shuffle (Fisher, Yates).
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = stream(seed, 2 * epoch + ORDER);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        let other = (uniform(&mut random) * (i + 1) as f64) as usize;
        order.swap(i, other);
    }
    order
}

/// As many pictures as there are labels, drawn with replacement so that every class comes as often as any other: first a
/// class, then one of its pictures.
pub fn balanced(labels: &[u32], seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = stream(seed, 2 * epoch + ORDER);
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(index);
    }
    let classes: Vec<Vec<usize>> = classes.into_values().collect();
    let mut below = |count: usize| (uniform(&mut random) * count as f64) as usize;
    let mut draw = || {
        let class = &classes[below(classes.len())];
        class[below(class.len())]
    };
    labels.iter().map(|_| draw()).collect()
}

/// How a picture is mixed with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// The other's place in the batch.
    pub partner: usize,
    /// Weight of the other's pixels where both are seen.
    pub weight: f32,
    /// Where the other is seen alone.
    pub pasted: Rectangle,
    /// Share of the other's class in the target: for a pasted part, that of the pixels really covered.
    pub share: f32,
}

/// Draws how the pictures of an epoch are changed, each by its place in the epoch alone: what came before does not count.
///
/// All that is drawn of a picture is drawn whether it is asked for or not, so that switching on one ingredient leaves the
/// others as they were.
pub struct Augmentation {
    settings: AugmentationSettings,
    seed: u64,
    epoch: u64,
    height: u32,
    width: u32,
    turns: ChaCha8Rng,
}

impl Augmentation {
    /// For pictures of this size.
    pub fn new(settings: AugmentationSettings, seed: u64, epoch: u64, height: u32, width: u32) -> Augmentation {
        Augmentation { settings, seed, epoch, height, width, turns: stream(seed, 2 * epoch + TURNS) }
    }

    /// How the picture `image` is to be seen at place `place` of the epoch.
    pub fn look(&self, place: usize, image: u32) -> Look {
        let settings = &self.settings;
        let random = &mut self.own_stream(LOOKS, place);
        let sample = self.sample(place, image, random);
        let mut symmetric = |most: f64| between(random, -most, most);
        let color = Color {
            brightness: symmetric(settings.brightness),
            contrast: 1.0 + symmetric(settings.contrast),
            saturation: 1.0 + symmetric(settings.saturation),
            hue: symmetric(settings.hue),
        };
        let mut look = Look { erased: self.erased(random), noise: random.next_u32(), ..Look::plain(sample) };
        if color != Color::default() {
            look.color = color.matrix();
        }
        look
    }

    /// Where the picture lies: flips, a cut-out, a turn, a shift.
    fn sample(&self, place: usize, image: u32, random: &mut ChaCha8Rng) -> Sample {
        let settings = &self.settings;
        let mut turns = self.turns.clone();
        turns.set_word_pos(2 * place as u128);
        let mirror = uniform(&mut turns) < settings.flip;
        let angle = (2.0 * uniform(&mut turns) - 1.0) * (settings.rotation * std::f64::consts::TAU);
        let (height, width) = (f64::from(self.height), f64::from(self.width));

        let is_upside_down = uniform(random) < settings.vertical_flip;
        let (least, aspect) = settings.crop.map_or((1.0, 1.0), |crop| (crop.area, crop.aspect));
        let area = between(random, least, 1.0);
        // Beyond these aspects the part would not fit into the picture.
        let aspect = aspect_between(random, area.max(1.0 / aspect), aspect.min(1.0 / area));
        let (crop_width, crop_height) = ((area * aspect).sqrt().min(1.0), (area / aspect).sqrt().min(1.0));
        let crop_left = between(random, 0.0, 1.0 - crop_width) * width;
        let crop_top = between(random, 0.0, 1.0 - crop_height) * height;
        let across = between(random, -settings.translation, settings.translation) * width;
        let down = between(random, -settings.translation, settings.translation) * height;

        // From the output to the picture.
        Map::shift(across, down)
            .then(Map::turn(angle, self.height, self.width))
            .then(Map::part(crop_left, crop_top, crop_width, crop_height))
            .then(if is_upside_down { Map::upside_down(self.height) } else { Map::default() })
            .sample(image, mirror)
    }

    fn erased(&self, random: &mut ChaCha8Rng) -> Rectangle {
        let is_erased = uniform(random);
        let [least, most] = self.settings.erase.map_or([0.0; 2], |erase| erase.area);
        let area = between(random, least, most);
        let aspect = aspect_between(random, NARROWEST, 1.0 / NARROWEST);
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let across = ((area * aspect).sqrt() * width).min(width).round();
        let down = ((area / aspect).sqrt() * height).min(height).round();
        let left = (uniform(random) * (width - across + 1.0)).floor();
        let top = (uniform(random) * (height - down + 1.0)).floor();
        match self.settings.erase {
            Some(erase) if is_erased < erase.probability => rectangle(left, top, left + across, top + down),
            _ => Rectangle::default(),
        }
    }

    /// With which other of its batch, which stands at `batch` (its first place and length), a picture is mixed and how;
    /// none if it stays alone.
    pub fn mixture(&self, place: usize, batch: (usize, usize)) -> Option<Mixture> {
        let settings = &self.settings;
        let (first, length) = batch;
        if !settings.mixes() || length < 2 {
            return None;
        }
        let random = &mut self.own_stream(MIXTURES, place);
        if uniform(random) >= settings.mix_probability {
            return None;
        }
        // Any but itself.
        let steps = 1 + (uniform(random) * (length - 1) as f64) as usize;
        let partner = (place - first + steps) % length;
        let even = uniform(random) < 0.5;
        let pastes = settings.cutmix > 0.0 && (even || settings.mixup == 0.0);
        let alpha = if pastes { settings.cutmix } else { settings.mixup };
        let share = Beta::new(alpha, alpha).map_or(0.5, |beta| beta.sample(random));
        if !pastes {
            let weight = share as f32;
            return Some(Mixture { partner, weight, pasted: Rectangle::default(), share: weight });
        }
        // A rectangle of the picture's own aspect, about a point anywhere; what lies outside is lost.
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        let side = share.sqrt();
        let (x, y) = (uniform(random) * width, uniform(random) * height);
        let [left, right] = [-0.5, 0.5].map(|half| (x + half * side * width).round().clamp(0.0, width));
        let [top, bottom] = [-0.5, 0.5].map(|half| (y + half * side * height).round().clamp(0.0, height));
        let share = ((right - left) * (bottom - top) / (width * height)) as f32;
        Some(Mixture { partner, weight: 0.0, pasted: rectangle(left, top, right, bottom), share })
    }

    fn own_stream(&self, purpose: u64, place: usize) -> ChaCha8Rng {
        stream(self.seed, purpose | self.epoch << 32 | place as u64)
    }
}

fn rectangle(left: f64, top: f64, right: f64, bottom: f64) -> Rectangle {
    Rectangle { left: left as u32, top: top as u32, right: right as u32, bottom: bottom as u32 }
}

#[cfg(test)]
mod tests;
