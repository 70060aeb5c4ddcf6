//! Which pictures a step sees, and how they are flipped and turned: drawn on the host from (seed, epoch), applied on the
//! device.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::kernels::augment::Sample;

/// Keras's `RandomRotation(0.1)`: up to a tenth of a turn either way.
const LARGEST_TURN: f64 = 0.1 * std::f64::consts::TAU;

/// Random numbers of one epoch; epochs are independent streams of one seed, so that resuming needs no state.
fn stream(seed: u64, epoch: u64, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(2 * epoch + purpose);
    random
}

fn uniform(random: &mut ChaCha8Rng) -> f64 {
    f64::from(random.next_u32()) * 2f64.powi(-32)
}

/// The order of `count` pictures in an epoch: a full shuffle (Fisher, Yates).
pub fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = stream(seed, epoch, 0);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        let other = (uniform(&mut random) * (i + 1) as f64) as usize;
        order.swap(i, other);
    }
    order
}

/// Draws the flips and turns of an epoch, one a picture, in order.
pub struct Augmentation {
    random: ChaCha8Rng,
    height: u32,
    width: u32,
}

impl Augmentation {
    /// For pictures of this size.
    pub fn new(seed: u64, epoch: u64, height: u32, width: u32) -> Augmentation {
        Augmentation { random: stream(seed, epoch, 1), height, width }
    }

    /// Flips with probability ½, then turns by an angle uniform in ±0.1 turn.
    pub fn draw(&mut self, image: u32) -> Sample {
        let mirror = uniform(&mut self.random) < 0.5;
        let angle = (2.0 * uniform(&mut self.random) - 1.0) * LARGEST_TURN;
        Sample::turned(image, mirror, angle, self.height, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_holds_every_picture_once_in_an_order_of_its_own() {
        let first = shuffled(1000, 7, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, shuffled(1000, 7, 0));
        assert_ne!(first, shuffled(1000, 7, 1));
        assert_ne!(first, shuffled(1000, 8, 0));
    }

    #[test]
    fn flips_are_even_and_turns_stay_in_their_range() {
        let mut augmentation = Augmentation::new(3, 0, 64, 64);
        let samples: Vec<Sample> = (0..4000).map(|i| augmentation.draw(i)).collect();
        let flipped = samples.iter().filter(|s| s.mirror == 1).count();
        assert!((1850..2150).contains(&flipped), "{flipped} of 4000 flipped");
        let angles: Vec<f64> = samples.iter().map(|s| f64::from(s.yx).asin()).collect();
        assert!(angles.iter().all(|a| a.abs() <= LARGEST_TURN + 1e-6));
        let mean = angles.iter().sum::<f64>() / 4000.0;
        assert!(mean.abs() < 0.03, "mean angle {mean}");
        assert!(angles.iter().any(|a| *a > 0.6) && angles.iter().any(|a| *a < -0.6));
    }
}
