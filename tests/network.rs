//! The whole network against the figures of Keras in `tests/golden/network.safetensors`: every activation, the loss,
//! every gradient, and the weights after one and five steps of every optimiser; and the losses of twenty steps in
//! `tests/golden/training.safetensors`; on every body that the adapter runs.

mod common;

use common::{Golden, bodies, golden_spec as spec};
use glowworm::kernels::augment::Sample;
use glowworm::model::{Initial, Layer, Network, NetworkSpec, StepSettings, Weights};
use glowworm::training::{OptimizerSettings, Schedule, average_share};

const GOLDEN: &[u8] = include_bytes!("golden/network.safetensors");
const TRAINING: &[u8] = include_bytes!("golden/training.safetensors");
const BATCH: usize = 6;

/// f32 against f32: both round, in different orders; 1e-5 relative is some hundred roundings.
const TOLERANCE: f64 = 1e-5;

fn assert_close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    let difference = got.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let size = expected.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
    let error = difference / size;
    assert!(error <= TOLERANCE, "{name}: relative L2 error {error:.1e}");
}

struct Batch {
    pixels: Vec<u8>,
    samples: Vec<Sample>,
    labels: Vec<u32>,
}

fn batch(golden: &Golden) -> Batch {
    let pixels = golden.pictures("input.images");
    let hot = |row: &[f32]| row.iter().position(|&v| v == 1.0).expect("one-hot") as u32;
    let labels = golden.get("input.labels").chunks(3).map(hot).collect();
    Batch { pixels, samples: (0..BATCH as u32).map(Sample::plain).collect(), labels }
}

#[test]
fn activations_loss_and_gradients_agree_with_keras() {
    let golden = Golden::open(GOLDEN);
    let batch = batch(&golden);
    for gpu in bodies() {
        let purpose = OptimizerSettings::Adam.purpose();
        let network = Network::new(&gpu, &spec(), BATCH as u32, purpose, &golden.weights("weights")).expect("it fits");
        let pixels = gpu.buffer_with("pixels", &batch.pixels).expect("room");
        network.set_batch(Default::default(), &batch.samples, &batch.labels);
        network.inference_plan(&pixels).and_then(|p| Ok(p.submit(&gpu, &mut [])?)).expect("it runs");
        let names = ["max_pooling2d", "max_pooling2d_1", "max_pooling2d_2", "dense1"];
        for (tensor, name) in network.activations().expect("read").iter().zip(names) {
            assert_close(
                &format!("{:?} activation {name}", gpu.body()),
                &tensor.data,
                &golden.get(&format!("activation.{name}")),
            );
        }
        // Twice, since the first leaves gradients in the places of values.
        let plan = network.gradient_plan(&pixels).expect("it is for training");
        [(); 2].iter().for_each(|()| plan.submit(&gpu, &mut []).expect("it runs"));
        let probabilities: Vec<f32> = gpu.read(network.probabilities()).expect("read");
        let probabilities: Vec<f32> = probabilities.chunks(4).flat_map(|row| row[..3].to_vec()).collect();
        assert_close("probabilities", &probabilities, &golden.get("activation.dense2"));
        let results: Vec<f32> = gpu.read(network.results()).expect("read");
        let loss: f32 = results.chunks(2).take(BATCH).map(|r| r[0]).sum::<f32>() / BATCH as f32;
        assert_close("loss", &[loss], &golden.get("loss"));
        for tensor in network.gradients().expect("read").0 {
            let name = format!("gradient.{}", tensor.name);
            assert_close(&format!("{:?} {name}", gpu.body()), &tensor.data, &golden.get(&name));
        }
    }
}

#[test]
fn weights_after_one_and_five_steps_agree_with_keras() {
    let golden = Golden::open(GOLDEN);
    let batch = batch(&golden);
    let all = [
        ("adam", OptimizerSettings::Adam),
        ("sgd", OptimizerSettings::Sgd { momentum: 0.0, nesterov: false }),
        ("sgd_momentum", OptimizerSettings::Sgd { momentum: 0.9, nesterov: false }),
        ("sgd_nesterov", OptimizerSettings::Sgd { momentum: 0.9, nesterov: true }),
        ("rmsprop", OptimizerSettings::RmsProp),
    ];
    for gpu in bodies() {
        let pixels = gpu.buffer_with("pixels", &batch.pixels).expect("room");
        for (name, settings) in all {
            let network = Network::new(&gpu, &spec(), BATCH as u32, settings.purpose(), &golden.weights("weights"));
            let network = network.expect("it fits");
            let plan = network.training_plan(&pixels).expect("it is for training");
            let schedule = Schedule::constant(settings.default_learning_rate());
            let mut losses = Vec::new();
            for step in 0..5 {
                let rate = settings.rate(schedule.at(step), step);
                let step_settings = StepSettings { step: step as u32, rate, ..Default::default() };
                network.set_batch(step_settings, &batch.samples, &batch.labels);
                plan.submit(&gpu, &mut []).expect("it runs");
                let results: Vec<f32> = gpu.read(network.results()).expect("read");
                losses.push(results.chunks(2).take(BATCH).map(|r| r[0]).sum::<f32>() / BATCH as f32);
                if step == 0 || step == 4 {
                    for tensor in network.weights().expect("read").0 {
                        let key = format!("{name}.after{}.{}", step + 1, tensor.name);
                        assert_close(&format!("{:?} {key}", gpu.body()), &tensor.data, &golden.get(&key));
                    }
                }
            }
            assert_close(&format!("{name} losses"), &losses, &golden.get(&format!("{name}.losses")));
        }
    }
}

/// Twenty steps of Adam over four batches: the network of the mission at a small size, and bugnet with batch normalisation.
#[test]
fn losses_of_twenty_steps_agree_with_keras() {
    let golden = Golden::open(TRAINING);
    let mut layers: Vec<Layer> = Vec::new();
    for filters in [8, 12, 16] {
        layers.extend([Layer::conv(filters), Layer::Relu, Layer::max_pool()]);
    }
    layers.extend([Layer::Flatten, Layer::Dense { units: 24 }, Layer::Relu, Layer::Softmax]);
    let reference = NetworkSpec { height: 20, width: 20, classes: 3, layers };
    let bugnet = NetworkSpec::builtin("bugnet", 20, 20, 3).expect("it is built in");
    let labels: Vec<u32> = golden.get("labels").iter().map(|label| *label as u32).collect();
    for gpu in bodies() {
        let pixels = gpu.buffer_with("pixels", &golden.pictures("images")).expect("room");
        for (name, spec) in [("reference", &reference), ("bugnet", &bugnet)] {
            let weights = golden.weights_of(spec, &format!("{name}.weights"));
            let settings = OptimizerSettings::Adam;
            let network = Network::new(&gpu, spec, BATCH as u32, settings.purpose(), &weights).expect("it fits");
            let plan = network.training_plan(&pixels).expect("it is for training");
            for (step, expected) in golden.get(&format!("{name}.losses")).into_iter().enumerate() {
                let first = step % 4 * BATCH;
                let samples: Vec<Sample> = (first..first + BATCH).map(|i| Sample::plain(i as u32)).collect();
                let rate = settings.rate(1e-3, step as u64);
                let settings = StepSettings { step: step as u32, rate, ..Default::default() };
                network.set_batch(settings, &samples, &labels[first..first + BATCH]);
                plan.submit(&gpu, &mut []).expect("it runs");
                let results: Vec<f32> = gpu.read(network.results()).expect("read");
                let loss = results.chunks(2).take(BATCH).map(|r| r[0]).sum::<f32>() / BATCH as f32;
                let error = (loss - expected).abs() / expected;
                println!("{:?} {name}, step {step}: {loss} of {expected}, {error:.1e}", gpu.body());
                assert!(error <= 1e-4, "{:?} {name}, step {step}: {loss}, Keras {expected}", gpu.body());
            }
        }
    }
}

#[test]
fn decay_leaves_biases_alone_and_the_average_trails_as_keras_and_tensorflow_have_it() {
    const DECAY: f64 = 1.0;
    let golden = Golden::open(GOLDEN);
    let decayed = Golden::open(include_bytes!("golden/decay.safetensors"));
    let batch = batch(&golden);
    for gpu in bodies() {
        let pixels = gpu.buffer_with("pixels", &batch.pixels).expect("room");
        for (name, settings) in [
            ("adamw", OptimizerSettings::AdamW),
            ("sgd_momentum", OptimizerSettings::Sgd { momentum: 0.9, nesterov: false }),
        ] {
            let network = Network::new(&gpu, &spec(), BATCH as u32, settings.purpose(), &golden.weights("weights"));
            let network = network.and_then(Network::averaging).expect("it fits");
            let plan = network.training_plan(&pixels).expect("it is for training");
            let learning_rate = settings.default_learning_rate();
            for step in 0..5 {
                let step_settings = StepSettings {
                    step: step as u32,
                    rate: settings.rate(learning_rate, step),
                    decay: (learning_rate * DECAY) as f32,
                    average: average_share(0.3, step),
                    ..Default::default()
                };
                network.set_batch(step_settings, &batch.samples, &batch.labels);
                plan.submit(&gpu, &mut []).expect("it runs");
            }
            let weights = network.weights().expect("read");
            let compare = |weights: &Weights, which: &str| {
                for tensor in &weights.0 {
                    let key = format!("{name}.{which}5.{}", tensor.name);
                    assert_close(&format!("{:?} {key}", gpu.body()), &tensor.data, &decayed.get(&key));
                }
            };
            compare(&weights, "after");
            let average = network.average().expect("read").expect("it keeps one");
            if name == "adamw" {
                compare(&average, "average");
            }
            // What answers is the average, and afterwards everything is as it was.
            let seen = network.averaged(|| network.weights()).expect("read");
            assert_eq!(seen, average);
            assert_eq!(network.weights().expect("read"), weights);
        }
    }
}

#[test]
fn a_batch_in_parts_has_the_gradient_of_the_whole() {
    let golden = Golden::open(GOLDEN);
    let batch = batch(&golden);
    // With dropout, so that the parts have to draw what the whole draws.
    let mut spec = spec();
    spec.layers.insert(9, Layer::Dropout { rate: 0.4 });
    let settings = StepSettings { seed: 3, step: 9, rate: 1e-3, ..Default::default() };
    for gpu in bodies() {
        let pixels = gpu.buffer_with("pixels", &batch.pixels).expect("room");
        let purpose = OptimizerSettings::Adam.purpose();
        let lay = |size: u32| Network::new(&gpu, &spec, size, purpose, &golden.weights("weights")).expect("it fits");
        let whole = lay(BATCH as u32);
        whole.set_batch(settings, &batch.samples, &batch.labels);
        whole.training_plan(&pixels).and_then(|p| Ok(p.submit(&gpu, &mut [])?)).expect("it runs");
        for size in [1, 2, 4, 5] {
            let network = lay(size as u32).accumulating().expect("room");
            let plan = network.gradient_plan(&pixels).expect("it is for training");
            let parts = batch.samples.chunks(size).zip(batch.labels.chunks(size));
            for (index, (samples, labels)) in parts.enumerate() {
                network.set_part(settings, samples, labels, (index * size) as u32..BATCH as u32);
                plan.submit(&gpu, &mut []).expect("it runs");
            }
            let compare = |what: &str, got: Weights, expected: Weights| {
                for (got, expected) in got.0.iter().zip(&expected.0) {
                    let name = format!("{:?}, parts of {size}: {what} {}", gpu.body(), got.name);
                    assert_close(&name, &got.data, &expected.data);
                }
            };
            compare("gradient", network.gradients().expect("read"), whole.gradients().expect("read"));
            network.update_plan().and_then(|p| Ok(p.submit(&gpu, &mut [])?)).expect("it runs");
            compare("updated", network.weights().expect("read"), whole.weights().expect("read"));
        }
    }
}

/// A dense kernel of 64 MiB, over which the optimiser steps slab by slab where the gradients are not asked for.
#[test]
fn a_step_in_slabs_is_the_same_to_the_bit() {
    let layers = vec![
        Layer::conv(8),
        Layer::Relu,
        Layer::max_pool(),
        Layer::Flatten,
        Layer::Dense { units: 2048 },
        Layer::Relu,
        Layer::Dropout { rate: 0.2 },
        Layer::Softmax,
    ];
    let spec = NetworkSpec { height: 64, width: 64, classes: 3, layers };
    let settings = StepSettings { seed: 3, step: 1, rate: 1e-3, ..Default::default() };
    let bytes: Vec<u8> = (0..2 * 64 * 64 * 4).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let start = Initial::new(&spec, 5);
    for gpu in bodies() {
        let pixels = gpu.buffer_with("pixels", &bytes).expect("room");
        let purpose = OptimizerSettings::Adam.purpose();
        let whole = Network::new(&gpu, &spec, 2, purpose, &start).expect("it fits");
        let slabs = Network::stepping_in_slabs(&gpu, &spec, 2, purpose, &start).expect("it fits");
        let [whole, slabs] = [whole, slabs].map(|network| {
            network.set_batch(settings, &[Sample::plain(0), Sample::plain(1)], &[0u32, 2]);
            let plan = network.training_plan(&pixels).expect("it is for training");
            [(); 2].iter().for_each(|()| plan.submit(&gpu, &mut []).expect("it runs"));
            network.weights().expect("read")
        });
        assert!(whole == slabs, "{:?}: the weights differ", gpu.body());
        assert!(whole != Weights::initial(&spec, 5), "{:?}: nothing was learnt", gpu.body());
    }
}
