//! Networks of every kind of layer: that the layers are joined as they should. The kernels have tests of their own; here
//! the gradients are held against differences of the loss, and explanations against what they must add up to.

mod common;

use common::bodies;
use glowworm::explain::{Background, ExplainOptions, Explainer};
use glowworm::gpu::Gpu;
use glowworm::kernels::augment::Sample;
use glowworm::model::{Layer, Network, NetworkSpec, Padding, Purpose, StepSettings, Target, Weights};
use glowworm::training::OptimizerSettings;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: u32 = 20;
const CLASSES: u32 = 3;
const BATCH: usize = 5;

fn conv(filters: u32, kernel: u32, stride: u32) -> Layer {
    Layer::Conv { filters, kernel, stride, padding: Padding::Same, groups: 1, bias: false }
}

fn norm() -> Layer {
    Layer::BatchNorm { momentum: 0.9, epsilon: 1e-5 }
}

/// Batch normalisation, residual blocks of every form, all activations and pools, depthwise and grouped convolutions.
fn residual() -> NetworkSpec {
    let layers = vec![
        Layer::Conv { filters: 8, kernel: 5, stride: 1, padding: Padding::Valid, groups: 1, bias: true },
        Layer::Gelu,
        conv(8, 3, 2),
        norm(),
        Layer::Silu,
        Layer::Residual { body: vec![conv(8, 3, 1), norm(), Layer::Silu, conv(8, 3, 1), norm()], shortcut: vec![] },
        Layer::Silu,
        Layer::Residual {
            body: vec![norm(), Layer::Gelu, conv(16, 3, 2)],
            shortcut: vec![Layer::AveragePool { size: 2, stride: None, padding: Padding::Same }, conv(16, 1, 1)],
        },
        Layer::Dropout { rate: 0.2 },
        Layer::Conv { filters: 16, kernel: 3, stride: 1, padding: Padding::Same, groups: 16, bias: true },
        Layer::Conv { filters: 16, kernel: 3, stride: 1, padding: Padding::Same, groups: 4, bias: true },
        norm(),
        Layer::MaxPool { size: 3, stride: Some(1), padding: Padding::Same },
        Layer::GlobalAveragePool,
        Layer::Dense { units: 10 },
        Layer::Gelu,
        Layer::Dropout { rate: 0.2 },
        Layer::Softmax,
    ];
    NetworkSpec { layers, ..NetworkSpec::reference(SIDE, SIDE, CLASSES) }
}

/// A batch that is read twice, and a sum that is flattened.
fn twice_read() -> NetworkSpec {
    let layers = vec![
        Layer::Residual { body: vec![conv(4, 3, 2), Layer::Silu], shortcut: vec![conv(4, 1, 2)] },
        Layer::Residual {
            body: vec![Layer::Residual { body: vec![conv(4, 3, 1)], shortcut: vec![] }, Layer::Silu],
            shortcut: vec![],
        },
        Layer::Flatten,
        Layer::Dense { units: 8 },
        Layer::Silu,
        Layer::Softmax,
    ];
    NetworkSpec { layers, ..NetworkSpec::reference(SIDE, SIDE, CLASSES) }
}

/// A block in one kernel before layers that want no border.
fn block_first() -> NetworkSpec {
    let layers = vec![
        Layer::conv(8),
        Layer::Relu,
        Layer::max_pool(),
        Layer::Residual { body: vec![conv(8, 3, 1), norm()], shortcut: vec![] },
        Layer::Gelu,
        Layer::Dropout { rate: 0.3 },
        Layer::Flatten,
        Layer::Softmax,
    ];
    NetworkSpec { layers, ..NetworkSpec::reference(SIDE, SIDE, CLASSES) }
}

fn pictures(count: usize) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut values: Vec<u8> = (0..count * (SIDE * SIDE) as usize * 4).map(|_| random.next_u32() as u8).collect();
    values.iter_mut().skip(3).step_by(4).for_each(|unused| *unused = 0);
    values
}

/// Weights of a beginning, with scales, offsets and running statistics that are not those of a beginning.
fn weights(spec: &NetworkSpec) -> Weights {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let mut weights = Weights::initial(spec, 3);
    for tensor in &mut weights.0 {
        let mut uniform = || f32::from((random.next_u32() >> 16) as u16) / 65_536.0;
        match tensor.name.rsplit('.').next() {
            Some("scale" | "variance") => tensor.data.iter_mut().for_each(|v| *v = 0.5 + uniform()),
            Some("bias" | "offset" | "mean") => tensor.data.iter_mut().for_each(|v| *v = uniform() - 0.5),
            _ => {}
        }
    }
    weights
}

fn loss(gpu: &Gpu, network: &Network, plan: &glowworm::gpu::Plan, count: usize) -> f64 {
    plan.submit(gpu, &mut []).expect("it runs");
    let results: Vec<f32> = gpu.read(network.results()).expect("read");
    results.chunks(2).take(count).map(|r| f64::from(r[0])).sum::<f64>() / count as f64
}

#[test]
fn gradients_are_those_of_the_loss() {
    for gpu in bodies() {
        for (name, spec) in [("residual", residual()), ("twice read", twice_read()), ("block first", block_first())] {
            // A short batch: the last of an epoch.
            for count in [BATCH, BATCH - 2] {
                check_gradients(&gpu, &format!("{:?} {name}, {count} of {BATCH}", gpu.body()), &spec, count);
            }
        }
    }
}

fn check_gradients(gpu: &Gpu, name: &str, spec: &NetworkSpec, count: usize) {
    let start = weights(spec);
    let purpose = OptimizerSettings::Adam.purpose();
    let network = Network::new(gpu, spec, BATCH as u32, purpose, &start).expect("it fits");
    let pixels = gpu.buffer_with("pixels", &pictures(BATCH)).expect("room");
    let plan = network.gradient_plan(&pixels).expect("it is for training");
    let samples: Vec<Sample> = (0..count as u32).map(Sample::plain).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| i % CLASSES).collect();
    network.set_batch(StepSettings { seed: 1, step: 2, ..Default::default() }, &samples, &labels);
    loss(gpu, &network, &plan, count);
    let gradients = network.gradients().expect("read");
    let learned = spec.parameters().iter().filter(|p| p.learned).count();
    assert_eq!(gradients.0.len(), learned, "{name}: a gradient for everything that is learned");
    for gradient in &gradients.0 {
        let size = gradient.data.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        // A bias before batch normalisation changes nothing.
        if size < 1e-4 {
            continue;
        }
        // A step along the gradient that changes the loss by a thousandth: far above rounding, near enough to be straight.
        let step = 1e-3 / size;
        let at = |sign: f64| {
            let mut moved = start.clone();
            let tensor = moved.0.iter_mut().find(|t| t.name == gradient.name).expect("it is a parameter");
            for (value, g) in tensor.data.iter_mut().zip(&gradient.data) {
                *value += (sign * step * f64::from(*g) / size) as f32;
            }
            network.load(&moved).expect("the same network");
            loss(gpu, &network, &plan, count)
        };
        let difference = (at(1.0) - at(-1.0)) / (2.0 * step);
        let error = (difference / size - 1.0).abs();
        assert!(error < 0.02, "{name}: {} has a slope of {difference}, its gradient says {size}", gradient.name);
    }
}

#[test]
fn explanations_add_up_to_what_they_explain() {
    const BACKGROUNDS: usize = 6;
    for gpu in bodies() {
        for (name, spec) in [("residual", residual()), ("twice read", twice_read()), ("block first", block_first())] {
            let weights = weights(&spec);
            let network = Network::new(&gpu, &spec, 7, Purpose::Infer, &weights).expect("it fits");
            let all = pictures(BACKGROUNDS + 1);
            let pixels = gpu.buffer_with("pixels", &all).expect("room");
            let samples: Vec<Sample> = (0..=BACKGROUNDS as u32).map(Sample::plain).collect();
            network.set_batch(StepSettings::default(), &samples, &[0; BACKGROUNDS + 1]);
            network.inference_plan(&pixels).and_then(|p| Ok(p.submit(&gpu, &mut [])?)).expect("it runs");
            let rows: Vec<f32> = gpu.read(network.probabilities()).expect("read");
            let rows: Vec<Vec<f32>> = rows.chunks(4).map(|row| row[..CLASSES as usize].to_vec()).collect();
            let size = (SIDE * SIDE * 4) as usize;
            let background = Background { pictures: &all[..BACKGROUNDS * size], probabilities: &rows[..BACKGROUNDS] };
            let options =
                ExplainOptions { samples: 1200, tolerance: None, most_rounds: 1, target: Target::Probability, seed: 1 };
            let explainer = Explainer::new(&gpu, &spec, &weights, background, options).expect("it fits");
            let estimate =
                explainer.explain(&all[BACKGROUNDS * size..], &rows[BACKGROUNDS], |_, _| {}).expect("it runs");
            for class in 0..CLASSES as usize {
                let mean =
                    rows[..BACKGROUNDS].iter().map(|row| f64::from(row[class])).sum::<f64>() / BACKGROUNDS as f64;
                let gap = f64::from(rows[BACKGROUNDS][class]) - mean;
                let error = (estimate.total(class, CLASSES as usize) - gap).abs();
                let name = format!("{:?} {name}, class {class}", gpu.body());
                assert!(error <= 0.01 * gap.abs() + 1e-4, "{name}: it misses {error} of {gap}");
            }
        }
    }
}
