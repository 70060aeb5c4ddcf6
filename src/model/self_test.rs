//! A few kernels on values whose results are known, before anything is computed for the user: some drivers compute wrongly,
//! and would do so in silence.
//!
//! Every answer follows from a formula of one line. Loops of 65,535 turns, which some drivers end without a word, are not
//! tried: [`super::NetworkSpec::check`] keeps every kernel below them.

use crate::gpu::{Dispatch, Gpu, GpuError, Plan, Quads};
use crate::kernels::Step;
use crate::kernels::conv::Conv;
use crate::kernels::dense::Dense;
use crate::kernels::optimizer::{Optimizer, Parameter, Rule};
use crate::kernels::reduce::Reduce;
use crate::kernels::softmax::{Label, Outputs, Softmax};

/// Kernels with what they should leave in a buffer.
pub struct Case {
    name: &'static str,
    dispatches: Vec<Dispatch>,
    output: Quads,
    expected: Vec<f32>,
    /// Relative; without any, bits are compared.
    tolerance: f32,
}

/// Lays a case out on the device.
pub type LayCase = fn(&Gpu) -> Result<Case, GpuError>;

/// The cases of the self-test.
pub const CASES: [LayCase; 5] = [convolution, dense, softmax, sum, first_step];

/// Holds the adapter against all [`CASES`].
///
/// # Errors
/// [`GpuError::Wrong`] for the first value that is wrong.
pub fn self_test(gpu: &Gpu) -> Result<(), GpuError> {
    check_cases(gpu, &CASES)
}

/// Holds the adapter against some cases, in one submission.
///
/// # Errors
/// [`GpuError::Wrong`] for the first value that is wrong.
pub fn check_cases(gpu: &Gpu, cases: &[LayCase]) -> Result<(), GpuError> {
    let cases: Vec<Case> = cases.iter().map(|case| case(gpu)).collect::<Result<_, _>>()?;
    let mut plan = Plan::new();
    cases.iter().flat_map(|case| &case.dispatches).for_each(|dispatch| plan.push(dispatch.clone()));
    plan.submit(gpu, &mut [])?;
    for case in &cases {
        let values: Vec<f32> = gpu.read_quads(&case.output)?;
        let wrong = |(got, right): &(&f32, &f32)| match case.tolerance {
            0.0 => got.to_bits() != right.to_bits(),
            share => got.is_nan() || (*got - *right).abs() > share * right.abs(),
        };
        if let Some((got, right)) = values.iter().zip(&case.expected).find(wrong) {
            let about = gpu.summary();
            let what = format!("{} gave {got} where {right} is right", case.name);
            return Err(GpuError::Wrong { adapter: about.name.clone(), driver: about.driver.clone(), what });
        }
    }
    Ok(())
}

/// A convolution of ones: 27 products of 1 and ±(o+1), and a bias of o, at every pixel that has all its neighbours, of which
/// each pool window of a picture of 4×4 has one. Outputs with odd numbers are negative, and end at the ReLU.
fn convolution(gpu: &Gpu) -> Result<Case, GpuError> {
    let conv = Conv::new(1, 4, 4, (3, 8), 0);
    let is_inside = |i: usize| (1..5).contains(&(i / 6)) && (1..5).contains(&(i % 6));
    let x: Vec<[f32; 4]> = (0..36).map(|i| if is_inside(i) { [1.0, 1.0, 1.0, 0.0] } else { [0.0; 4] }).collect();
    let weight = |o: usize| (o as f32 + 1.0) * if o.is_multiple_of(2) { 1.0 } else { -1.0 };
    let weights: Vec<[f32; 4]> = (0..9 * 8).map(|i| [weight(i % 8), weight(i % 8), weight(i % 8), 0.0]).collect();
    let bias: Vec<f32> = (0..8).map(|o| o as f32).collect();
    let (input, output) = (gpu.quads("self-test", conv.x_bytes())?, gpu.quads("self-test", conv.y_bytes())?);
    let weight_quads = gpu.quads("self-test", conv.weights_bytes())?;
    gpu.write_quads(&input, bytemuck::cast_slice(&x));
    gpu.write_quads(&weight_quads, bytemuck::cast_slice(&weights));
    let dispatch = conv.forward(
        gpu,
        &input,
        &weight_quads,
        &gpu.buffer_with("self-test", &bias)?,
        &output,
        &gpu.buffer("self-test", conv.code_bytes())?,
    )?;
    // [quad][2×2 windows] vec4.
    let outputs = (0..32).map(|i| i / 16 * 4 + i % 4);
    let expected = outputs.map(|o| (27.0 * weight(o) + o as f32).max(0.0)).collect();
    Ok(Case { name: "a convolution", dispatches: vec![dispatch], output, expected, tolerance: 0.0 })
}

/// Σ over k of (row + 1)(k − o), with k below 40, plus o: (row + 1)(780 − 40·o) + o.
fn dense(gpu: &Gpu) -> Result<Case, GpuError> {
    let dense = Dense::new(3, 40, 8, false);
    let x: Vec<f32> = (0..3 * 40).map(|i| (i / 40 + 1) as f32).collect();
    let weights: Vec<f32> = (0..40 * 8).map(|i| (i / 8) as f32 - (i % 8) as f32).collect();
    let bias: Vec<f32> = (0..8).map(|o| o as f32).collect();
    let output = gpu.buffer("self-test", dense.y_bytes())?;
    let dispatches = dense.forward(
        gpu,
        &gpu.buffer_with("self-test", &x)?,
        &gpu.buffer_with("self-test", &weights)?,
        &gpu.buffer_with("self-test", &bias)?,
        &gpu.buffer("self-test", dense.partial_bytes())?,
        &output,
    )?;
    let value = |row: f32, o: f32| (row + 1.0) * (780.0 - 40.0 * o) + o;
    let expected = (0..24).map(|i| value((i / 8) as f32, (i % 8) as f32)).collect();
    Ok(Case {
        name: "a dense layer",
        dispatches: dispatches.into(),
        output: Quads::Buffer(output),
        expected,
        tolerance: 0.0,
    })
}

/// Logits ln 1, ln 2, ln 4 have the probabilities 1/7, 2/7, 4/7; the gradient is less 1 at the label, over the two rows.
fn softmax(gpu: &Gpu) -> Result<Case, GpuError> {
    let softmax = Softmax::new(2, 3);
    let row = [0.0, std::f32::consts::LN_2, 2.0 * std::f32::consts::LN_2, 0.0];
    let step = gpu.uniform(&Step { count: 2, whole: 2, ..Step::default() })?;
    let outputs = Outputs {
        logits: &gpu.buffer_with("self-test", &[row, row])?,
        labels: &gpu.buffer_with("self-test", &[Label::from(0), Label::from(2)])?,
        probabilities: &gpu.buffer("self-test", softmax.bytes())?,
        results: &gpu.buffer("self-test", 16)?,
    };
    let output = gpu.buffer("self-test", softmax.bytes())?;
    let dispatch = softmax.train(gpu, &step, &outputs, &output)?;
    let expected = [-6.0, 2.0, 4.0, 0.0, 1.0, 2.0, -3.0, 0.0].map(|sevenths: f32| sevenths / 14.0).into();
    Ok(Case { name: "softmax", dispatches: vec![dispatch], output: Quads::Buffer(output), expected, tolerance: 1e-4 })
}

/// Σ over c of (c + i), with c below 1,000: 499,500 + 1,000·i.
fn sum(gpu: &Gpu) -> Result<Case, GpuError> {
    let parts: Vec<f32> = (0..1000 * 8).map(|at| (at / 8 + at % 8) as f32).collect();
    let output = gpu.buffer("self-test", 32)?;
    let dispatch = Reduce::of(32, 1000).sum(gpu, &gpu.buffer_with("self-test", &parts)?, &output)?;
    let expected = (0..8).map(|i| 499_500.0 + 1000.0 * i as f32).collect();
    Ok(Case { name: "a sum", dispatches: vec![dispatch], output: Quads::Buffer(output), expected, tolerance: 0.0 })
}

/// The first step of Adam is as long as the learning rate, whatever the gradient.
fn first_step(gpu: &Gpu) -> Result<Case, GpuError> {
    let optimizer = Optimizer { quads: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, nesterov: 0, decaying: 0 };
    // Kingma, Ba 2015, section 2: the corrections of both moments, at a learning rate of 1/4.
    let step = gpu.uniform(&Step { rate: 0.25 * 0.001f32.sqrt() / 0.1, ..Step::default() })?;
    let output = gpu.buffer_with("self-test", &[1.0f32; 4])?;
    let parameter = Parameter {
        weights: output.clone(),
        gradient: gpu.buffer_with("self-test", &[3.0f32, -0.5, 100.0, -0.01])?,
        first: Some(gpu.buffer("self-test", 16)?),
        second: Some(gpu.buffer("self-test", 16)?),
    };
    let dispatch = optimizer.step(gpu, Rule::Adam, &step, &parameter)?;
    let expected = vec![0.75, 1.25, 0.75, 1.25];
    Ok(Case {
        name: "a step of Adam",
        dispatches: vec![dispatch],
        output: Quads::Buffer(output),
        expected,
        tolerance: 1e-3,
    })
}
