use super::*;

const SIDE: u32 = 64;

fn drawn(settings: AugmentationSettings) -> Augmentation {
    Augmentation::new(settings, 3, 0, SIDE, SIDE)
}

fn off() -> AugmentationSettings {
    AugmentationSettings::default()
}

/// Asserts the mean of numbers that lie in a range, and that they reach nearly to its ends.
fn assert_spread(name: &str, values: &[f64], [low, high]: [f64; 2], expected: f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let (least, most) =
        (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max));
    let margin = 0.03 * (high - low);
    assert!(least >= low - 1e-5 && most <= high + 1e-5, "{name}: {least} to {most}");
    assert!(least < low + margin && most > high - margin, "{name}: {least} to {most} of {low} to {high}");
    assert!((mean - expected).abs() < margin, "{name}: mean {mean}, not {expected}");
}

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
fn the_reference_draws_two_numbers_a_picture_and_turns_as_keras_does() {
    let augmentation = drawn(AugmentationSettings::reference());
    let mut random = stream(3, 1);
    let mut angles = Vec::new();
    let mut flipped = 0;
    for place in 0..4000 {
        let mirror = uniform(&mut random) < 0.5;
        let angle = (2.0 * uniform(&mut random) - 1.0) * 0.1 * std::f64::consts::TAU;
        let look = augmentation.look(place, 5);
        let expected = Sample::turned(5, mirror, angle, SIDE, SIDE);
        assert_eq!(look.sample, expected);
        assert_eq!(Look { noise: 0, ..look }, Look::plain(expected));
        angles.push(f64::from(look.sample.yx).asin());
        flipped += look.sample.mirror;
    }
    assert!((1850..2150).contains(&flipped), "{flipped} of 4000 flipped");
    let most = 0.1 * std::f64::consts::TAU;
    assert_spread("angles", &angles, [-most, most], 0.0);
}

#[test]
fn cut_outs_lie_within_the_picture_and_keep_to_their_areas_and_aspects() {
    let augmentation = drawn(AugmentationSettings { crop: Some(Crop { area: 0.25, aspect: 1.5 }), ..off() });
    let samples: Vec<Sample> = (0..4000).map(|place| augmentation.look(place, 0).sample).collect();
    let area: Vec<f64> = samples.iter().map(|s| f64::from(s.xx * s.yy)).collect();
    assert_spread("areas", &area, [0.25, 1.0], 0.625);
    let aspect: Vec<f64> = samples.iter().map(|s| f64::from(s.xx / s.yy).ln()).collect();
    assert_spread("aspects", &aspect, [-(1.5f64.ln()), 1.5f64.ln()], 0.0);
    let side = SIDE as f32;
    for s in samples {
        assert_eq!((s.xy, s.yx), (0.0, 0.0));
        for (scale, offset) in [(s.xx, s.x0), (s.yy, s.y0)] {
            // From the outer edge of the first pixel to that of the last.
            let edges = [-0.5, side - 0.5].map(|place| scale * place + offset);
            assert!(edges[0] >= -0.501 && edges[1] <= side - 0.499, "{edges:?}");
        }
    }
}

#[test]
fn shifts_and_vertical_flips_keep_to_their_ranges() {
    let augmentation = drawn(AugmentationSettings { translation: 0.25, vertical_flip: 0.3, ..off() });
    let looks: Vec<Look> = (0..4000).map(|place| augmentation.look(place, 0)).collect();
    let across: Vec<f64> = looks.iter().map(|look| f64::from(look.sample.x0)).collect();
    assert_spread("shifts", &across, [-16.0, 16.0], 0.0);
    let flipped = looks.iter().filter(|look| look.sample.yy == -1.0).count();
    assert!((1080..1320).contains(&flipped), "{flipped} of 4000 upside down");
}

#[test]
fn erased_parts_lie_within_the_picture_and_have_their_share() {
    let erase = Some(Erase { probability: 0.5, area: [0.1, 0.3] });
    let augmentation = drawn(AugmentationSettings { erase, ..off() });
    let looks: Vec<Look> = (0..4000).map(|place| augmentation.look(place, 0)).collect();
    let rectangles: Vec<Rectangle> = looks.iter().map(|l| l.erased).filter(|r| *r != Rectangle::default()).collect();
    assert!((1850..2150).contains(&rectangles.len()), "{} of 4000 erased", rectangles.len());
    assert!(rectangles.iter().all(|r| r.right <= SIDE && r.bottom <= SIDE && r.left < r.right && r.top < r.bottom));
    let share = |r: &Rectangle| f64::from((r.right - r.left) * (r.bottom - r.top)) / f64::from(SIDE * SIDE);
    let shares: Vec<f64> = rectangles.iter().map(share).collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    // Whole pixels are off by half of one at each side.
    assert!((mean - 0.2).abs() < 0.01 && shares.iter().all(|s| (0.09..0.31).contains(s)), "mean share {mean}");
}

#[test]
fn colors_keep_to_their_ranges() {
    let none = drawn(off()).look(9, 4);
    assert_eq!(Look { noise: 0, ..none }, Look::plain(Sample::plain(4)));
    let brighter = drawn(AugmentationSettings { brightness: 0.2, ..off() });
    let added: Vec<f64> = (0..4000).map(|place| f64::from(brighter.look(place, 0).color[3])).collect();
    assert_spread("brightness", &added, [-0.2, 0.2], 0.0);
    let contrasty = drawn(AugmentationSettings { contrast: 0.4, ..off() });
    // Greys are what all three shares of a row add up to.
    let factors = |place| contrasty.look(place, 0).color[..3].iter().map(|v| f64::from(*v)).sum();
    assert_spread("contrast", &(0..4000).map(factors).collect::<Vec<f64>>(), [0.6, 1.4], 1.0);
}

#[test]
fn one_ingredient_leaves_the_others_as_they_were() {
    let one = AugmentationSettings { translation: 0.2, ..AugmentationSettings::reference() };
    let all =
        AugmentationSettings { erase: Some(Erase { probability: 0.5, area: [0.1, 0.2] }), hue: 0.1, mixup: 0.3, ..one };
    for place in [0, 1, 77] {
        assert_eq!(drawn(one).look(place, 0).sample, drawn(all).look(place, 0).sample);
    }
}

#[test]
fn partners_are_others_of_the_batch_and_weights_are_beta() {
    let (first, length) = (10, 7);
    let mixup = drawn(AugmentationSettings { mixup: 0.4, mix_probability: 0.5, ..off() });
    let mut weights = Vec::new();
    let mut partners = [0; 7];
    for round in 0..4000 {
        let place = first + round % length;
        let augmentation = Augmentation { epoch: round as u64, ..drawn(mixup.settings) };
        if let Some(mixture) = augmentation.mixture(place, (first, length)) {
            assert!(mixture.partner != place - first && mixture.partner < length);
            assert_eq!((mixture.weight, mixture.pasted), (mixture.share, Rectangle::default()));
            weights.push(f64::from(mixture.weight));
            partners[mixture.partner] += 1;
        }
    }
    assert!((1850..2150).contains(&weights.len()), "{} of 4000 mixed", weights.len());
    assert_spread("weights", &weights, [0.0, 1.0], 0.5);
    // The variance of Beta(α, α) is 1 / (4 (2α + 1)).
    let variance = weights.iter().map(|w| (w - 0.5).powi(2)).sum::<f64>() / weights.len() as f64;
    assert!((variance - 1.0 / 7.2).abs() < 0.01, "variance {variance}");
    assert!(partners.iter().all(|count| (220..360).contains(count)), "{partners:?}");
    assert_eq!(mixup.mixture(10, (10, 1)), None);
}

#[test]
fn pasted_parts_say_what_they_cover() {
    let cutmix = drawn(AugmentationSettings { cutmix: 1.0, ..off() });
    let mut shares = Vec::new();
    for place in 0..2000 {
        let mixture = cutmix.mixture(place, (place / 20 * 20, 20)).expect("all are mixed");
        let r = mixture.pasted;
        assert!(r.left <= r.right && r.right <= SIDE && r.top <= r.bottom && r.bottom <= SIDE);
        let covered = f64::from((r.right - r.left) * (r.bottom - r.top)) / f64::from(SIDE * SIDE);
        assert!((f64::from(mixture.share) - covered).abs() < 1e-6 && mixture.weight == 0.0);
        shares.push(covered);
    }
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    // Uniform before the part is cut at the edges, which takes away a third or so.
    assert!((0.28..0.42).contains(&mean), "mean share {mean}");
    let both = drawn(AugmentationSettings { cutmix: 1.0, mixup: 0.2, ..off() });
    let pasted = (0..2000).filter_map(|place| both.mixture(place, (0, 2000))).filter(|m| m.weight == 0.0).count();
    assert!((900..1100).contains(&pasted), "{pasted} of 2000 pasted");
}

#[test]
fn a_balanced_epoch_draws_small_classes_as_often_as_large_ones() {
    let labels: Vec<u32> = (0..3000).map(|i| if i % 100 == 0 { 2 } else { i % 2 }).collect();
    let order = balanced(&labels, 7, 1);
    assert_eq!((order.len(), &order), (3000, &balanced(&labels, 7, 1)));
    assert_ne!(order, balanced(&labels, 7, 2));
    for class in 0..3 {
        let drawn = order.iter().filter(|&&index| labels[index] == class).count();
        assert!((900..1100).contains(&drawn), "{drawn} of class {class}");
    }
}
