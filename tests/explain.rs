//! Expected gradients against the integral that they estimate, in `tests/golden/expected_gradients.safetensors`.

mod common;

use common::{Golden, bodies, golden_spec};
use glowworm::explain::{Background, ExplainOptions, Explainer};
use glowworm::gpu::Gpu;
use glowworm::model::Target;

const GOLDEN: &[u8] = include_bytes!("golden/expected_gradients.safetensors");
const SIDE: usize = 16;
const CLASSES: usize = 3;

/// The integral of picture `image` as `[classes][H][W][3]`; the file has `[N,H,W,3,class]`.
fn integral(golden: &Golden, image: usize) -> Vec<f64> {
    let all = golden.get("expected_gradients.integral");
    let size = SIDE * SIDE * 3;
    let own = &all[image * size * CLASSES..(image + 1) * size * CLASSES];
    (0..CLASSES).flat_map(|c| (0..size).map(move |i| f64::from(own[i * CLASSES + c]))).collect()
}

fn explainer(gpu: &Gpu, golden: &Golden, options: ExplainOptions) -> Explainer {
    let answers = golden.get("probabilities.background");
    let probabilities: Vec<Vec<f32>> = answers.chunks(CLASSES).map(<[f32]>::to_vec).collect();
    let background = Background { pictures: &golden.pictures("background"), probabilities: &probabilities };
    Explainer::new(gpu, &golden_spec(), &golden.weights("weights"), background, options).expect("it fits")
}

#[test]
fn the_estimate_approaches_the_integral_much_faster_than_random_draws() {
    let golden = Golden::open(GOLDEN);
    let explained = golden.pictures("explained");
    let (p, q) = (golden.get("probabilities.explained"), golden.get("probabilities.background"));
    // shap's own errors: 0.19 to 0.22 with 200 points, 0.035 with 4,000.
    for (samples, most) in [(200, 0.04), (4000, 0.01)] {
        for gpu in bodies() {
            let options =
                ExplainOptions { samples, tolerance: None, most_rounds: 1, target: Target::Probability, seed: 1 };
            let explainer = explainer(&gpu, &golden, options);
            let (mut wrong, mut whole) = (0.0, 0.0);
            for (image, pixels) in explained.chunks(SIDE * SIDE * 4).enumerate() {
                let estimate = explainer.explain(pixels, &p[image * CLASSES..][..CLASSES], |_, _| {}).expect("it runs");
                let exact = integral(&golden, image);
                wrong += estimate.values.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                whole += exact.iter().map(|b| b * b).sum::<f64>();
                for class in 0..CLASSES {
                    let mean = q.iter().skip(class).step_by(CLASSES).map(|v| f64::from(*v)).sum::<f64>() / 12.0;
                    let gap = f64::from(p[image * CLASSES + class]) - mean;
                    let error = (estimate.total(class, CLASSES) - gap).abs();
                    // Completeness: what all pixels add is the output less its mean on the background.
                    let allowed = gap.abs() * if samples == 4000 { 1e-3 } else { 1e-2 };
                    assert!(
                        error <= allowed,
                        "{samples} points: class {class} of picture {image} misses {error} of {gap}"
                    );
                }
                assert!(estimate.standard_error > 0.0 && estimate.points == samples);
            }
            let error = (wrong / whole).sqrt();
            println!("{:?}, {samples} points: relative L2 error {error:.4}", gpu.body());
            assert!(error <= most, "{:?}, {samples} points: relative L2 error {error}", gpu.body());
        }
    }
}

#[test]
fn rounds_go_on_until_the_error_is_small_enough() {
    let golden = Golden::open(GOLDEN);
    let (explained, p) = (golden.pictures("explained"), golden.get("probabilities.explained"));
    for gpu in bodies().into_iter().take(1) {
        let options = ExplainOptions {
            samples: 48,
            tolerance: Some(0.02),
            most_rounds: 50,
            target: Target::Probability,
            seed: 1,
        };
        let explainer = explainer(&gpu, &golden, options);
        let estimate = explainer.explain(&explained[..SIDE * SIDE * 4], &p[..CLASSES], |_, _| {}).expect("it runs");
        assert!(estimate.points > 48 && estimate.standard_error <= 0.02);
        let exact = integral(&golden, 0);
        let wrong: f64 = estimate.values.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f64 = exact.iter().map(|b| b * b).sum();
        let error = (wrong / size).sqrt();
        assert!(error <= 3.0 * 0.02, "said {} but is {error}", estimate.standard_error);
    }
}
