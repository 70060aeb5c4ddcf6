//! Batch normalisation with skip and activation: statistics, gradients, short batches, shared rows.

use glowworm::gpu::{Buffer, Gpu};
use glowworm::kernels::Step;
use glowworm::kernels::activation::Function;
use glowworm::kernels::batch_norm::{BatchNorm, Norm};

use crate::activation::{activate, slope};
use crate::common::Golden;
use crate::harness::*;

const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.9;

/// A layer, and what goes through it: values as `[images, area, channels]`, a value a channel for each parameter.
#[derive(Clone, Debug)]
struct Case {
    images: usize,
    /// Images that are there.
    count: usize,
    /// Rows of the gradient to an image, outside of training.
    shared: usize,
    area: usize,
    channels: usize,
    function: Function,
    has_skip: bool,
    x: Vec<f64>,
    skip: Vec<f64>,
    scale: Vec<f64>,
    offset: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    d_y: Vec<f64>,
}

/// Gradients.
struct Gradients {
    d_x: Sums,
    d_skip: Sums,
    d_scale: Sums,
    d_offset: Sums,
}

impl Case {
    fn new(
        [images, count, shared, area, channels]: [usize; 5],
        function: Function,
        has_skip: bool,
        random: &mut Random,
    ) -> Case {
        let values = images * area * channels;
        Case {
            x: random.floats(values).iter().enumerate().map(|(i, v)| v + (i % channels) as f64 - 1.0).collect(),
            skip: random.floats(values).iter().map(|v| if has_skip { *v } else { 0.0 }).collect(),
            scale: random.floats(channels).iter().map(|v| 1.0 + v / 2.0).collect(),
            offset: random.floats(channels),
            mean: random.floats(channels),
            variance: random.floats(channels).iter().map(|v| 1.0 + v / 2.0).collect(),
            d_y: random.floats(values * shared),
            images,
            count,
            shared,
            area,
            channels,
            function,
            has_skip,
        }
    }

    fn pixels(&self) -> usize {
        self.count * self.area
    }

    /// Values of the images that are there.
    fn there(&self) -> usize {
        self.pixels() * self.channels
    }

    /// Mean and variance of the batch.
    fn moments(&self) -> (Vec<f64>, Vec<f64>) {
        let of = |c: usize| self.x[..self.there()].iter().skip(c).step_by(self.channels);
        let n = self.pixels() as f64;
        let mean: Vec<f64> = (0..self.channels).map(|c| of(c).sum::<f64>() / n).collect();
        let variance = (0..self.channels).map(|c| of(c).map(|x| (x - mean[c]).powi(2)).sum::<f64>() / n).collect();
        (mean, variance)
    }

    /// (normalised x, argument of the function) of value i.
    fn argument(&self, i: usize, (mean, variance): &(Vec<f64>, Vec<f64>)) -> (f64, f64) {
        let c = i % self.channels;
        let normalised = (self.x[i] - mean[c]) / (variance[c] + EPSILON).sqrt();
        (normalised, self.scale[c] * normalised + self.offset[c] + self.skip[i])
    }

    /// The same with every argument of the function away from 0, where the slope of the ReLU jumps: among many, some come so
    /// near to it that rounding decides.
    fn off_the_kink(mut self) -> Case {
        let (moments, running) = (self.moments(), (self.mean.clone(), self.variance.clone()));
        for i in 0..self.skip.len() {
            while [&moments, &running].iter().any(|of| self.argument(i, of).1.abs() < 1e-4) {
                self.skip[i] = f64::from((self.skip[i] + 1e-3) as f32);
            }
        }
        self
    }

    /// What the error of the normalised x is measured by.
    fn size(&self, i: usize, (mean, variance): &(Vec<f64>, Vec<f64>)) -> f64 {
        let c = i % self.channels;
        1.0 + (self.x[i].abs() + mean[c].abs()) / (variance[c] + EPSILON).sqrt()
    }

    fn forward(&self, moments: &(Vec<f64>, Vec<f64>)) -> Sums {
        let mut y = Sums::zeros(self.x.len());
        for i in 0..self.x.len() {
            let c = i % self.channels;
            y.value[i] = activate(self.function, self.argument(i, moments).1);
            y.magnitude[i] = self.scale[c].abs() * self.size(i, moments) + self.offset[c].abs() + self.skip[i].abs();
        }
        y
    }

    /// With the magnitudes of d_z, that a wrong argument of the function changes in proportion.
    fn backward(&self, moments: &(Vec<f64>, Vec<f64>), training: bool) -> Gradients {
        let rows = if training { self.there() } else { self.d_y.len() };
        let y = self.forward(moments);
        let mut all = Gradients {
            d_x: Sums::zeros(self.d_y.len()),
            d_skip: Sums::zeros(self.d_y.len()),
            d_scale: Sums::zeros(self.channels),
            d_offset: Sums::zeros(self.channels),
        };
        for d in 0..rows {
            let (i, c) = (d % self.x.len(), d % self.channels);
            let (normalised, argument) = self.argument(i, moments);
            all.d_skip.value[d] = self.d_y[d] * slope(self.function, argument);
            all.d_skip.magnitude[d] = self.d_y[d].abs() * (1.0 + y.magnitude[i]);
            all.d_offset.value[c] += all.d_skip.value[d];
            all.d_offset.magnitude[c] += all.d_skip.magnitude[d];
            all.d_scale.value[c] += all.d_skip.value[d] * normalised;
            all.d_scale.magnitude[c] += all.d_skip.magnitude[d] * self.size(i, moments);
        }
        let n = self.pixels() as f64;
        for d in 0..rows {
            let (i, c) = (d % self.x.len(), d % self.channels);
            let factor = self.scale[c] / (moments.1[c] + EPSILON).sqrt();
            let mean = |sums: &Sums| if training { (sums.value[c] / n, sums.magnitude[c] / n) } else { (0.0, 0.0) };
            let (offset, scale) = (mean(&all.d_offset), mean(&all.d_scale));
            let normalised = self.argument(i, moments).0;
            all.d_x.value[d] = factor * (all.d_skip.value[d] - offset.0 - normalised * scale.0);
            let size = all.d_skip.magnitude[d] + offset.1 + self.size(i, moments) * scale.1;
            all.d_x.magnitude[d] = factor.abs() * size;
        }
        all
    }

    fn name(&self) -> String {
        format!(
            "{:?} of {} channels of {} pixels, {} of {} images, {} rows each, skip {}",
            self.function, self.channels, self.area, self.count, self.images, self.shared, self.has_skip
        )
    }
}

/// The device's memory for a case, in the layout of the kernels.
struct Device<'a> {
    case: &'a Case,
    gpu: &'a Gpu,
    memory: &'a Gpu,
    shape: BatchNorm,
    parameters: [Buffer; 4],
}

/// Roundings that `assert_close` allows, of values whose magnitudes already stand for all that goes into them.
const ROUNDINGS: usize = 8;

impl<'a> Device<'a> {
    fn new(case: &'a Case, (gpu, memory): &'a (Gpu, Gpu)) -> Device<'a> {
        let (images, area, channels) = (case.images as u32, case.area as u32, case.channels as u32);
        let shape = BatchNorm::new(images, area, channels, case.function, EPSILON as f32, MOMENTUM as f32);
        let shape = BatchNorm { rows: (case.images * case.shared) as u32, ..shape };
        let parameters = [&case.scale, &case.offset, &case.mean, &case.variance];
        let parameters = parameters.map(|values| input(gpu, &to_quads(values, [1, 1, 1, case.channels], 0)));
        Device { case, gpu, memory, shape, parameters }
    }

    fn norm(&self) -> Norm<'_> {
        let [scale, offset, mean, variance] = &self.parameters;
        Norm { scale, offset, mean, variance }
    }

    fn plane(&self, rows: usize) -> [usize; 4] {
        [rows, 1, self.case.area, self.case.channels]
    }

    fn quads(&self, values: &[f64]) -> glowworm::gpu::Quads {
        let rows = values.len() / self.case.area / self.case.channels;
        quads_input(self.memory, &to_quads(values, self.plane(rows), 0))
    }

    fn quads_output(&self, rows: usize) -> glowworm::gpu::Quads {
        quads_output(self.memory, quad_len(self.plane(rows), 0))
    }

    /// Reads a tensor, and holds its padding channels against zero.
    fn check_quads(&self, name: &str, quads: &glowworm::gpu::Quads, expected: &Sums, chain: usize) {
        let plane = self.plane(expected.value.len() / self.case.area / self.case.channels);
        let got = read_quads(self.memory, quads, quad_len(plane, 0));
        let plain = from_quads(&got, plane, 0);
        let as_f64: Vec<f64> = plain.iter().map(|v| f64::from(*v)).collect();
        assert_exact(
            &format!("{name}: padding"),
            &got,
            &to_quads(&as_f64, plane, 0).iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
        );
        assert_close(name, &plain, expected, chain);
    }

    fn parameter(&self, buffer: &Buffer) -> Vec<f32> {
        let mut values = read(self.gpu, buffer, self.shape.parameter_bytes() as usize / 4);
        values.truncate(self.case.channels);
        values
    }

    fn check_training(&self) {
        let (case, gpu, shape) = (self.case, self.gpu, &self.shape);
        let step = Step { count: case.count as u32, ..Step::default() };
        let step = gpu.uniform(&step).expect("room");
        let (x, d_y) = (self.quads(&case.x), self.quads(&case.d_y));
        let (skip, d_skip) = (self.quads(&case.skip), self.quads_output(case.images));
        let (y, d_x) = (self.quads_output(case.images), self.quads_output(case.images));
        let skip = case.has_skip.then_some(&skip);
        let d_skip_out = case.has_skip.then_some(&d_skip);
        let words = |bytes: u64| output(gpu, bytes as usize / 4);
        let (statistics, partial) = (words(shape.statistics_bytes()), words(shape.partial_bytes()));
        let (d_scale, d_offset) = (words(shape.parameter_bytes()), words(shape.parameter_bytes()));
        let norm = self.norm();
        run(gpu, shape.train_forward(gpu, &step, &x, skip, norm, &statistics, &partial, &y).expect("it binds"));
        let backward = shape.train_backward(
            gpu,
            &step,
            &x,
            skip,
            norm,
            &statistics,
            &partial,
            &d_y,
            &d_x,
            d_skip_out,
            &d_scale,
            &d_offset,
        );
        run(gpu, backward.expect("it binds"));

        let name = case.name();
        let moments = case.moments();
        self.check_quads(&format!("{name}: y"), &y, &case.forward(&moments), ROUNDINGS);
        let n = case.pixels() as f64;
        let kept = |running: &[f64], batch: &[f64], factor: f64| {
            let mut kept = Sums::zeros(case.channels);
            for c in 0..case.channels {
                kept.add(c, MOMENTUM * running[c]);
                kept.add(c, (1.0 - MOMENTUM) * batch[c] * factor);
                kept.magnitude[c] += 1.0;
            }
            kept
        };
        let mean = kept(&case.mean, &moments.0, 1.0);
        assert_close(&format!("{name}: running mean"), &self.parameter(norm.mean), &mean, ROUNDINGS);
        let variance = kept(&case.variance, &moments.1, n / (n - 1.0).max(1.0));
        assert_close(&format!("{name}: running variance"), &self.parameter(norm.variance), &variance, ROUNDINGS);
        let expected = case.backward(&moments, true);
        assert_close(&format!("{name}: d_offset"), &self.parameter(&d_offset), &expected.d_offset, ROUNDINGS);
        assert_close(&format!("{name}: d_scale"), &self.parameter(&d_scale), &expected.d_scale, ROUNDINGS);
        self.check_quads(&format!("{name}: d_x"), &d_x, &expected.d_x, ROUNDINGS);
        if case.has_skip {
            self.check_quads(&format!("{name}: d_skip"), &d_skip, &expected.d_skip, ROUNDINGS);
        }
    }

    fn check_inference(&self) {
        let (case, gpu, shape) = (self.case, self.gpu, &self.shape);
        let rows = case.images * case.shared;
        let (x, d_y) = (self.quads(&case.x), self.quads(&case.d_y));
        let (skip, d_skip) = (self.quads(&case.skip), self.quads_output(rows));
        let (y, d_x) = (self.quads_output(case.images), self.quads_output(rows));
        let skip = case.has_skip.then_some(&skip);
        let d_skip_out = case.has_skip.then_some(&d_skip);
        let norm = self.norm();
        run(gpu, shape.infer_forward(gpu, &x, skip, norm, &y));
        run(gpu, shape.infer_backward(gpu, &x, skip, norm, &d_y, &d_x, d_skip_out));

        let name = format!("{}, inference", case.name());
        let running = (case.mean.clone(), case.variance.clone());
        self.check_quads(&format!("{name}: y"), &y, &case.forward(&running), ROUNDINGS);
        let expected = case.backward(&running, false);
        self.check_quads(&format!("{name}: d_x"), &d_x, &expected.d_x, ROUNDINGS);
        if case.has_skip {
            self.check_quads(&format!("{name}: d_skip"), &d_skip, &expected.d_skip, ROUNDINGS);
        }
    }
}

fn check(case: &Case, places: &(Gpu, Gpu)) {
    if case.shared == 1 {
        Device::new(case, places).check_training();
    }
    Device::new(case, places).check_inference();
}

#[test]
fn the_references_agree_with_central_differences() {
    let random = &mut Random::new(5);
    for function in [Function::Identity, Function::Gelu, Function::Silu] {
        let case = Case::new([3, 2, 1, 5, 2], function, true, random);
        let (moments, running) = (case.moments(), (case.mean.clone(), case.variance.clone()));
        let (there, cotangent) = (case.there(), &case.d_y[..case.there()]);
        let gradients = case.backward(&moments, true);
        let of_x = |x: &[f64]| {
            let case = Case { x: x.to_vec(), ..case.clone() };
            case.forward(&case.moments()).value[..there].to_vec()
        };
        let of_skip =
            |skip: &[f64]| Case { skip: skip.to_vec(), ..case.clone() }.forward(&moments).value[..there].to_vec();
        let of_scale =
            |scale: &[f64]| Case { scale: scale.to_vec(), ..case.clone() }.forward(&moments).value[..there].to_vec();
        let of_offset =
            |offset: &[f64]| Case { offset: offset.to_vec(), ..case.clone() }.forward(&moments).value[..there].to_vec();
        check_gradient("x", of_x, &case.x, cotangent, &gradients.d_x.value);
        check_gradient("skip", of_skip, &case.skip, cotangent, &gradients.d_skip.value);
        check_gradient("scale", of_scale, &case.scale, cotangent, &gradients.d_scale.value);
        check_gradient("offset", of_offset, &case.offset, cotangent, &gradients.d_offset.value);
        let of_x = |x: &[f64]| Case { x: x.to_vec(), ..case.clone() }.forward(&running).value;
        check_gradient("x", of_x, &case.x, &case.d_y, &case.backward(&running, false).d_x.value);
    }
}

#[test]
fn training_and_inference_are_those_of_the_reference() {
    let random = &mut Random::new(1);
    for places in bodies_and_memories() {
        for (shape, function) in [
            ([1, 1, 1, 1, 1], Function::Identity),
            ([2, 2, 1, 1, 5], Function::Relu),
            ([9, 9, 1, 30, 6], Function::Relu),
            ([10, 7, 1, 65, 3], Function::Silu),
            ([17, 1, 1, 4, 8], Function::Gelu),
            ([3, 3, 4, 7, 9], Function::Gelu),
            ([5, 5, 3, 1, 130], Function::Relu),
        ] {
            check(&Case::new(shape, function, false, random), &places);
            check(&Case::new(shape, function, true, random), &places);
        }
    }
}

/// All chunks, more than one group of them, and chunks of several turns.
#[test]
fn large_batches() {
    for places in bodies_and_memories() {
        let case = Case::new([4, 3, 1, 20_000, 2], Function::Relu, true, &mut Random::new(2));
        check(&case.off_the_kink(), &places);
    }
}

/// Where the mean is a thousand deviations, sums of squares would lose the variance: its relative error would be some
/// 1000² · 2⁻²⁴, 6 %.
#[test]
fn a_mean_far_from_zero() {
    for places in bodies_and_memories() {
        let mut case = Case::new([8, 8, 1, 500, 4], Function::Identity, false, &mut Random::new(4));
        for (i, x) in case.x.iter_mut().enumerate() {
            *x = f64::from((*x + [1000.0, -1000.0, 100.0, 0.0][i % 4]) as f32);
        }
        let device = Device::new(&case, &places);
        let (gpu, memory) = &places;
        let step = gpu.uniform(&Step { count: 8, ..Step::default() }).expect("room");
        let statistics = output(gpu, 8);
        let partial = output(gpu, device.shape.partial_bytes() as usize / 4);
        let (x, y) = (device.quads(&case.x), device.quads_output(8));
        let forward = device.shape.train_forward(gpu, &step, &x, None, device.norm(), &statistics, &partial, &y);
        run(gpu, forward.expect("it binds"));
        let (mean, variance) = case.moments();
        for (c, inverse) in read(gpu, &statistics, 8)[4..].iter().enumerate() {
            let expected = 1.0 / (variance[c] + EPSILON).sqrt();
            assert!((f64::from(*inverse) / expected - 1.0).abs() < 1e-5, "channel {c}: {inverse}, expected {expected}");
        }
        // Half a unit in the last place of a value near 1000 is 3e-5 by itself.
        let y = from_quads(&read_quads(memory, &y, quad_len(device.plane(8), 0)), device.plane(8), 0);
        for (i, (got, expected)) in y.iter().zip(case.forward(&(mean, variance)).value).enumerate() {
            assert!((f64::from(*got) - expected).abs() < 1e-3, "value {i}: {got}, expected {expected}");
        }
    }
}

/// No image at all leaves the running statistics as they are, and no NaN anywhere.
#[test]
fn an_empty_batch_changes_nothing() {
    for places in bodies_and_memories() {
        let case = Case::new([2, 0, 1, 3, 4], Function::Relu, false, &mut Random::new(6));
        let device = Device::new(&case, &places);
        let (gpu, memory) = &places;
        let step = gpu.uniform(&Step::default()).expect("room");
        let (statistics, partial) = (output(gpu, 8), output(gpu, device.shape.partial_bytes() as usize / 4));
        let (x, y, d_x) = (device.quads(&case.x), device.quads_output(2), device.quads_output(2));
        let (norm, sums) = (device.norm(), [output(gpu, 4), output(gpu, 4)]);
        let [d_scale, d_offset] = &sums;
        let shape = &device.shape;
        run(gpu, shape.train_forward(gpu, &step, &x, None, norm, &statistics, &partial, &y).expect("it binds"));
        let backward =
            shape.train_backward(gpu, &step, &x, None, norm, &statistics, &partial, &x, &d_x, None, d_scale, d_offset);
        run(gpu, backward.expect("it binds"));
        assert_exact("running mean", &device.parameter(norm.mean), &case.mean);
        assert_exact("running variance", &device.parameter(norm.variance), &case.variance);
        assert!(read_quads(memory, &y, 24).iter().all(|v| v.is_finite()));
        assert_exact("d_x", &read_quads(memory, &d_x, 24), &[0.0; 24]);
        assert_exact("d_scale", &device.parameter(d_scale), &[0.0; 4]);
    }
}

/// Keras keeps the variance that divides by the count: ours is greater by n / (n - 1), in the share that is new.
#[test]
fn figures_of_keras() {
    let golden = Golden::open(include_bytes!("../golden/kernels.safetensors"));
    let get = |name: &str| golden.get(&format!("batch_norm.{name}")).into_iter().map(f64::from).collect::<Vec<_>>();
    let (area, channels) = (42, 6);
    let of = |kind: &str| Case {
        images: 5,
        count: 5,
        shared: 1,
        area,
        channels,
        function: Function::Identity,
        has_skip: false,
        x: get(&format!("{kind}.x")),
        skip: vec![0.0; 5 * area * channels],
        scale: get("scale"),
        offset: get("offset"),
        mean: get("mean"),
        variance: get("variance"),
        d_y: get(&format!("{kind}.d_y")),
    };
    // Keras computes in f32 as well, and in another order.
    let near = |name: &str, got: &[f64], expected: Vec<f64>| {
        assert_eq!(got.len(), expected.len());
        for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
            let error = (got - expected).abs();
            assert!(error <= 3e-4 * (1.0 + expected.abs()), "{name} [{i}]: {got}, Keras has {expected}");
        }
    };
    let (train, infer) = (of("train"), of("infer"));
    for places in bodies_and_memories() {
        check(&train, &places);
        check(&infer, &places);
    }
    // The device was held against the reference; here the reference is held against Keras.
    let (moments, running) = (train.moments(), (infer.mean.clone(), infer.variance.clone()));
    for (kind, case, moments, training) in [("train", &train, &moments, true), ("infer", &infer, &running, false)] {
        let gradients = case.backward(moments, training);
        near(kind, &case.forward(moments).value, get(&format!("{kind}.y")));
        near(kind, &gradients.d_x.value, get(&format!("{kind}.d_x")));
        near(kind, &gradients.d_scale.value, get(&format!("{kind}.d_scale")));
        near(kind, &gradients.d_offset.value, get(&format!("{kind}.d_offset")));
    }
    let kept = |old: &[f64], new: &[f64]| {
        old.iter().zip(new).map(|(o, n)| MOMENTUM * o + (1.0 - MOMENTUM) * n).collect::<Vec<_>>()
    };
    near("mean", &kept(&train.mean, &moments.0), get("mean.after"));
    near("variance", &kept(&train.variance, &moments.1), get("variance.after"));
}

#[test]
fn a_broken_kernel_is_caught() {
    for (gpu, memory) in bodies_and_memories() {
        for (from, to) in [
            ("all.count - 1.0", "all.count"),
            ("apart * apart * (all.count * count / total)", "vec4(0.0)"),
            ("normalised(map, x_at(i)) * mean_product", "mean_product"),
            ("- mean_d_z", ""),
            ("select(vec4(0.0), d_x, is_there)", "d_x"),
            ("min(step.count, batch_norm.images)", "max(step.count, batch_norm.images)"),
        ] {
            let broken = (gpu.with_edit(from, to), memory.clone());
            let case = Case::new([9, 8, 1, 20, 6], Function::Relu, true, &mut Random::new(3));
            assert_caught(from, std::panic::AssertUnwindSafe(|| check(&case, &broken)));
        }
    }
}
