//! Expected gradients against the integral that they estimate, in `tests/golden/expected_gradients.safetensors`.

use glowworm::explain::{ExplainOptions, Explainer};
use glowworm::gpu::{Body, Gpu};
use glowworm::model::{Layer, NetworkSpec, Tensor, Weights};
use safetensors::SafeTensors;

const SIDE: usize = 16;
const CLASSES: usize = 3;

fn bodies() -> Vec<Gpu> {
    match Gpu::open(None) {
        Ok(gpu) if gpu.body() == Body::Lanes => vec![gpu.with_body(Body::Tiles), gpu],
        Ok(gpu) => vec![gpu],
        Err(error) if std::env::var_os("GLOWWORM_ALLOW_NO_ADAPTER").is_some() => {
            println!("skipped: {error}");
            Vec::new()
        }
        Err(error) => panic!("{error}"),
    }
}

fn spec() -> NetworkSpec {
    let mut spec = NetworkSpec::reference(SIDE as u32, SIDE as u32, CLASSES as u32);
    spec.layers = vec![
        Layer::ConvReluPool { filters: 8 },
        Layer::ConvReluPool { filters: 16 },
        Layer::ConvReluPool { filters: 16 },
        Layer::Flatten,
        Layer::Dense { units: 32 },
        Layer::Softmax,
    ];
    spec
}

struct Golden(SafeTensors<'static>);

impl Golden {
    fn get(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(self.0.tensor(name).expect(name).data())
    }

    /// Pictures of whole numbers, as bytes.
    fn pictures(&self, name: &str) -> Vec<u8> {
        self.get(name).chunks(3).flat_map(|p| [p[0] as u8, p[1] as u8, p[2] as u8, 255]).collect()
    }

    fn weights(&self) -> Weights {
        let tensor = |p: Tensor| Tensor { data: self.get(&format!("weights.{}", p.name)), ..p };
        Weights(Weights::initial(&spec(), 0).0.into_iter().map(tensor).collect())
    }

    /// The integral of picture `image` as `[classes][H][W][3]`; the file has `[N,H,W,3,class]`.
    fn integral(&self, image: usize) -> Vec<f64> {
        let all = self.get("expected_gradients.integral");
        let size = SIDE * SIDE * 3;
        let own = &all[image * size * CLASSES..(image + 1) * size * CLASSES];
        (0..CLASSES).flat_map(|c| (0..size).map(move |i| f64::from(own[i * CLASSES + c]))).collect()
    }
}

#[test]
fn the_estimate_approaches_the_integral_much_faster_than_random_draws() {
    let golden = SafeTensors::deserialize(include_bytes!("golden/expected_gradients.safetensors"));
    let golden = Golden(golden.expect("the golden file is whole"));
    let (explained, background) = (golden.pictures("explained"), golden.pictures("background"));
    let (p, q) = (golden.get("probabilities.explained"), golden.get("probabilities.background"));
    // shap's own errors: 0.19 to 0.22 with 200 points, 0.035 with 4,000.
    for (samples, most) in [(200, 0.04), (4000, 0.01)] {
        for gpu in bodies() {
            let options = ExplainOptions { samples, tolerance: None, most_rounds: 1, logit: false, seed: 1 };
            let explainer = Explainer::new(&gpu, &spec(), &golden.weights(), &background, options).expect("it fits");
            let (mut wrong, mut whole) = (0.0, 0.0);
            for (image, pixels) in explained.chunks(SIDE * SIDE * 4).enumerate() {
                let estimate = explainer.explain(pixels, |_, _| {}).expect("it runs");
                let integral = golden.integral(image);
                wrong += estimate.values.iter().zip(&integral).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                whole += integral.iter().map(|b| b * b).sum::<f64>();
                for class in 0..CLASSES {
                    let mean = q.iter().skip(class).step_by(CLASSES).map(|v| f64::from(*v)).sum::<f64>() / 12.0;
                    let gap = f64::from(p[image * CLASSES + class]) - mean;
                    let error = (estimate.total(class, CLASSES) - gap).abs();
                    // Completeness: what all pixels add is the output less its mean on the background.
                    let allowed = if samples == 4000 { 1e-3 } else { 5e-3 };
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
    let golden = SafeTensors::deserialize(include_bytes!("golden/expected_gradients.safetensors"));
    let golden = Golden(golden.expect("the golden file is whole"));
    let (explained, background) = (golden.pictures("explained"), golden.pictures("background"));
    for gpu in bodies().into_iter().take(1) {
        let options = ExplainOptions { samples: 48, tolerance: Some(0.02), most_rounds: 50, logit: false, seed: 1 };
        let explainer = Explainer::new(&gpu, &spec(), &golden.weights(), &background, options).expect("it fits");
        let estimate = explainer.explain(&explained[..SIDE * SIDE * 4], |_, _| {}).expect("it runs");
        assert!(estimate.points > 48 && estimate.standard_error <= 0.02);
        let integral = golden.integral(0);
        let wrong: f64 = estimate.values.iter().zip(&integral).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f64 = integral.iter().map(|b| b * b).sum();
        let error = (wrong / size).sqrt();
        assert!(error <= 3.0 * 0.02, "said {} but is {error}", estimate.standard_error);
    }
}
