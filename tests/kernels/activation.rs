//! Activation functions, their gradients, and sums with a skip.

use glowworm::gpu::Gpu;
use glowworm::kernels::activation::{Activation, Function};

use crate::common::Golden;
use crate::harness::*;

const FUNCTIONS: [Function; 4] = [Function::Identity, Function::Relu, Function::Gelu, Function::Silu];

/// Φ by the series of erf whose terms all have one sign (Abramowitz, Stegun 7.1.6), good to f64.
fn normal(z: f64) -> f64 {
    let (mut term, mut sum) = (z, z);
    for n in 1..300 {
        term *= z * z / (2 * n + 1) as f64;
        sum += term;
    }
    if z.abs() > 12.0 { f64::from(z > 0.0) } else { 0.5 + density(z) * sum }
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

pub fn activate(function: Function, z: f64) -> f64 {
    match function {
        Function::Identity => z,
        Function::Relu => z.max(0.0),
        Function::Gelu => z * normal(z),
        Function::Silu => z / (1.0 + (-z).exp()),
    }
}

pub fn slope(function: Function, z: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-z).exp());
    match function {
        Function::Identity => 1.0,
        Function::Relu => f64::from(z > 0.0),
        Function::Gelu => normal(z) + z * density(z),
        Function::Silu => sigmoid * (1.0 + z * (1.0 - sigmoid)),
    }
}

fn as_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Values with the magnitudes that their errors are measured by: the size of what went in, at least 1, in which the error
/// of erf's approximation, 7.5e-8 of Φ, is 1.3 units of 2⁻²⁴.
fn sums(terms: impl Iterator<Item = (f64, f64)>) -> Sums {
    let (value, magnitude) = terms.unzip();
    Sums { value, magnitude }
}

fn check(
    (gpu, memory): &(Gpu, Gpu),
    function: Function,
    (images, shared, quads): (usize, usize, usize),
    has_skip: bool,
    random: &mut Random,
) {
    let rows = images * shared;
    let shape = Activation { rows: rows as u32, ..Activation::new(images as u32, quads as u32, function) };
    let count = images * quads * 4;
    let x: Vec<f64> = random.floats(count).iter().map(|v| v * 4.0).collect();
    let skip: Vec<f64> = random.floats(count).iter().map(|v| if has_skip { v * 4.0 } else { 0.0 }).collect();
    let d_y = random.floats(rows * quads * 4);
    let put = |values: &[f64]| quads_input(memory, &as_f32(values));
    let (x_quads, skip_quads, d_y_quads) = (put(&x), put(&skip), put(&d_y));
    let (y, d_x) = (quads_output(memory, count), quads_output(memory, d_y.len()));
    let skip_quads = has_skip.then_some(&skip_quads);
    let dispatches = [
        shape.forward(gpu, &x_quads, skip_quads, &y).expect("it binds"),
        shape.backward(gpu, &x_quads, skip_quads, &d_y_quads, &d_x).expect("it binds"),
    ];
    run(gpu, dispatches);

    let name = format!("{function:?} of {images} images, {shared} gradients, {quads} quads, skip {has_skip}");
    let sizes = || x.iter().zip(&skip).map(|(x, skip)| x.abs() + skip.abs() + 1.0);
    let expected = x.iter().zip(&skip).map(|(x, skip)| activate(function, x + skip)).zip(sizes());
    assert_close(&format!("{name}: y"), &read_quads(memory, &y, count), &sums(expected), 2);
    let slopes: Vec<f64> = x.iter().zip(&skip).map(|(x, skip)| slope(function, x + skip)).collect();
    let sizes: Vec<f64> = sizes().collect();
    let expected = d_y.iter().enumerate().map(|(i, d)| (d * slopes[i % count], d.abs() * sizes[i % count]));
    assert_close(&format!("{name}: d_x"), &read_quads(memory, &d_x, d_y.len()), &sums(expected), 4);
}

#[test]
fn the_references_agree_with_central_differences() {
    let mut random = Random::new(5);
    let x: Vec<f64> = random.floats(40).iter().map(|v| v * 4.0).collect();
    let cotangent = random.floats(40);
    for function in FUNCTIONS {
        let gradient: Vec<f64> = x.iter().zip(&cotangent).map(|(x, d)| slope(function, *x) * d).collect();
        let f = |x: &[f64]| x.iter().map(|x| activate(function, *x)).collect();
        check_gradient(&format!("{function:?}"), f, &x, &cotangent, &gradient);
    }
}

#[test]
fn functions_and_gradients_are_those_of_the_reference() {
    let mut random = Random::new(1);
    for places in bodies_and_memories() {
        for function in FUNCTIONS {
            for shape in [(1, 1, 1), (3, 1, 21), (2, 3, 16), (1, 2, 65), (63, 1, 1)] {
                check(&places, function, shape, false, &mut random);
                check(&places, function, shape, true, &mut random);
            }
        }
    }
}

/// One axis of a grid ends at 65,535 workgroups of 64: this takes two.
#[test]
fn more_workgroups_than_an_axis_holds() {
    for places in bodies_and_memories().into_iter().take(1) {
        check(&places, Function::Relu, (1, 1, 65_535 * 64 + 77), false, &mut Random::new(2));
    }
}

/// Also where erf has long been 1 and e⁻ᶻ overflows.
#[test]
fn figures_of_keras() {
    let golden = Golden::open(include_bytes!("../golden/kernels.safetensors"));
    for (gpu, memory) in bodies_and_memories() {
        for (name, function) in [("gelu", Function::Gelu), ("silu", Function::Silu)] {
            let get = |tensor: &str| {
                let mut values = golden.get(&format!("{name}.{tensor}"));
                values.resize(values.len().next_multiple_of(4), 0.0);
                values
            };
            let (x, d_y) = (get("x"), get("d_y"));
            let shape = Activation::new(1, x.len() as u32 / 4, function);
            let (y, d_x) = (quads_output(&memory, x.len()), quads_output(&memory, x.len()));
            let (x_quads, d_y_quads) = (quads_input(&memory, &x), quads_input(&memory, &d_y));
            run(&gpu, shape.forward(&gpu, &x_quads, None, &y));
            run(&gpu, shape.backward(&gpu, &x_quads, None, &d_y_quads, &d_x));
            let size = |i: usize| f64::from(x[i].abs().min(6.0) + 1.0);
            let expected = get("y").into_iter().enumerate().map(|(i, y)| (f64::from(y), size(i).max(f64::from(y))));
            assert_close(name, &read_quads(&memory, &y, x.len()), &sums(expected), 4);
            let expected = get("d_x").into_iter().enumerate();
            let expected = expected.map(|(i, d)| (f64::from(d), size(i) * f64::from(d_y[i].abs())));
            assert_close(&format!("{name}: d_x"), &read_quads(&memory, &d_x, x.len()), &sums(expected), 4);
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for (gpu, memory) in bodies_and_memories() {
        for (function, from, to) in [
            (Function::Gelu, "1.061405429", "1.061"),
            (Function::Silu, "(1.0 + z * (1.0 - s))", "1.0"),
            (Function::Relu, "x_at(at) + skip_at(at)", "x_at(at) - skip_at(at)"),
        ] {
            let broken = (gpu.with_edit(from, to), memory.clone());
            let test = || check(&broken, function, (2, 2, 40), true, &mut Random::new(3));
            assert_caught(from, std::panic::AssertUnwindSafe(test));
        }
    }
}
