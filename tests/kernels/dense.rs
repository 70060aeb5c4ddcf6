//! Dense layers and their gradients.

use glowworm::gpu::{Body, Buffer, Gpu};
use glowworm::kernels::dense::Dense;
use glowworm::model::Layout;

use crate::harness::*;

#[derive(Clone, Copy, Debug)]
struct Problem {
    rows: usize,
    inputs: usize,
    outputs: usize,
    relu: bool,
}

impl Problem {
    fn random(random: &mut Random) -> Problem {
        Problem {
            rows: random.size(1, 70),
            inputs: random.size(1, 300),
            outputs: random.size(1, 90),
            relu: random.size(0, 1) == 1,
        }
    }

    fn edges() -> Vec<Problem> {
        let p = |rows, inputs, outputs| Problem { rows, inputs, outputs, relu: true };
        vec![p(1, 1, 1), p(32, 32, 64), p(33, 31, 65), p(31, 33, 63), p(8, 4, 4), p(2, 2048, 3)]
    }

    fn shape(&self) -> Dense {
        Dense::new(self.rows as u32, self.inputs as u32, self.outputs as u32, self.relu)
    }

    fn layout(&self) -> Layout {
        Layout::Dense { area: 1, channels: self.inputs as u32, outputs: self.outputs as u32 }
    }
}

struct Data {
    x: Vec<f64>,
    w: Vec<f64>,
    b: Vec<f64>,
    d_y: Vec<f64>,
}

impl Data {
    fn new(p: &Problem, random: &mut Random, most: Option<i64>) -> Data {
        let mut draw = |count: usize| match most {
            Some(most) => random.integers(count, most),
            None => random.floats(count),
        };
        Data {
            x: draw(p.rows * p.inputs),
            w: draw(p.inputs * p.outputs),
            b: draw(p.outputs),
            d_y: draw(p.rows * p.outputs),
        }
    }
}

fn forward(p: &Problem, x: &[f64], w: &[f64], b: &[f64]) -> Sums {
    let mut y = Sums::zeros(p.rows * p.outputs);
    for n in 0..p.rows {
        for o in 0..p.outputs {
            let at = n * p.outputs + o;
            y.add(at, b[o]);
            (0..p.inputs).for_each(|i| y.add(at, x[n * p.inputs + i] * w[i * p.outputs + o]));
            if p.relu {
                y.value[at] = y.value[at].max(0.0);
            }
        }
    }
    y
}

/// Gradients of x, w and b from d_y, the gradient before the ReLU.
fn backward(p: &Problem, data: &Data, d_y: &[f64]) -> [Sums; 3] {
    let mut d = [Sums::zeros(data.x.len()), Sums::zeros(data.w.len()), Sums::zeros(data.b.len())];
    for n in 0..p.rows {
        for o in 0..p.outputs {
            let g = d_y[n * p.outputs + o];
            for i in 0..p.inputs {
                d[0].add(n * p.inputs + i, g * data.w[i * p.outputs + o]);
                d[1].add(i * p.outputs + o, g * data.x[n * p.inputs + i]);
            }
            d[2].add(o, g);
        }
    }
    d
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn check(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let compare = |what: &str, got: &[f32], expected: &Sums, chain: usize| {
        let name = format!("{:?} {what} {p:?}", gpu.body());
        if exact { assert_exact(&name, got, &expected.value) } else { assert_close(&name, got, expected, chain) }
    };
    let shape = p.shape();
    let (x_shape, y_shape) = ([p.rows, 1, 1, p.inputs], [p.rows, 1, 1, p.outputs]);
    let (x_len, y_len) = (quad_len(x_shape, 0), quad_len(y_shape, 0));
    let bias_layout = Layout::Bias { outputs: p.outputs as u32 };
    let (w_len, b_len) = (p.layout().device_len(), bias_layout.device_len());

    let x = input(gpu, &to_quads(&data.x, x_shape, 0));
    let weights = input(gpu, &p.layout().pack(&f32s(&data.w)));
    let bias = input(gpu, &bias_layout.pack(&f32s(&data.b)));
    let (partial, y) = (output(gpu, y_len * shape.slices as usize), output(gpu, y_len));
    run(gpu, shape.forward(gpu, &x, &weights, &bias, &partial, &y).expect("sizes fit"));
    read(gpu, &partial, y_len * shape.slices as usize);
    let got = from_quads(&read(gpu, &y, y_len), y_shape, 0);
    compare("forward", &got, &forward(p, &data.x, &data.w, &data.b), p.inputs + 1);

    let d_y = input(gpu, &to_quads(&data.d_y, y_shape, 0));
    let (d_x, d_w, d_b) = (output(gpu, x_len), output(gpu, w_len), output(gpu, b_len));
    run(gpu, shape.backward_data(gpu, &d_y, &weights, &d_x));
    run(gpu, [shape.backward_weights(gpu, &x, &d_y, &d_w, &d_b).expect("sizes fit")]);
    let [expected_x, expected_w, expected_b] = backward(p, data, &data.d_y);
    compare("backward data", &from_quads(&read(gpu, &d_x, x_len), x_shape, 0), &expected_x, p.outputs);
    compare("backward weights", &p.layout().unpack(&read(gpu, &d_w, w_len)), &expected_w, p.rows);
    compare("backward bias", &bias_layout.unpack(&read(gpu, &d_b, b_len)), &expected_b, p.rows);
    in_slabs(gpu, shape, [&x, &d_y, &weights], [&d_x, &d_w, &d_b]);
}

/// The same gradients slab by slab, those of x in the place of x; they are the same to the bit.
fn in_slabs(gpu: &Gpu, whole: Dense, [x, d_y, weights]: [&Buffer; 3], [d_x, d_w, d_b]: [&Buffer; 3]) {
    let expected = [d_x, d_w, d_b].map(|buffer| gpu.read::<u32>(buffer).expect("read"));
    let [len_x, len_w] = [whole.x_bytes() as usize / 4, whole.weights_bytes() as usize / 4];
    let again = output(gpu, len_w);
    let copy = gpu.buffer_with("x", &gpu.read::<u32>(x).expect("read")).expect("room");
    for first in (0..whole.in_quads).step_by(16) {
        let part = whole.of_inputs(16.min(whole.in_quads - first));
        let at = u64::from(first) * 4 * whole.bias_bytes();
        let columns = copy.part(u64::from(first) * 16, part.x_bytes());
        let [of_w, into] = [weights, &again].map(|buffer| buffer.part(at, part.weights_bytes()));
        run(gpu, [part.backward_weights(gpu, &columns, d_y, &into, d_b).expect("sizes fit")]);
        run(gpu, part.backward_data(gpu, d_y, &of_w, &columns));
    }
    let name = format!("{:?} in slabs of {whole:?}", gpu.body());
    assert!(gpu.read::<u32>(&copy).expect("read")[..len_x] == expected[0][..len_x], "{name}: x");
    assert!(gpu.read::<u32>(d_b).expect("read") == expected[2], "{name}: every slab has the whole bias");
    assert!(gpu.read::<u32>(&again).expect("read")[..len_w] == expected[1][..len_w], "{name}: weights");
}

#[test]
fn the_reference_agrees_with_central_differences() {
    let p = Problem { rows: 4, inputs: 7, outputs: 5, relu: true };
    let data = Data::new(&p, &mut Random::new(1), None);
    let y = forward(&p, &data.x, &data.w, &data.b).value;
    let d_z: Vec<f64> = data.d_y.iter().zip(&y).map(|(d, y)| if *y > 0.0 { *d } else { 0.0 }).collect();
    let [d_x, d_w, d_b] = backward(&p, &data, &d_z);
    check_gradient("x", |x| forward(&p, x, &data.w, &data.b).value, &data.x, &data.d_y, &d_x.value);
    check_gradient("w", |w| forward(&p, &data.x, w, &data.b).value, &data.w, &data.d_y, &d_w.value);
    check_gradient("b", |b| forward(&p, &data.x, &data.w, b).value, &data.b, &data.d_y, &d_b.value);
}

#[test]
fn forward_and_gradients_are_exact_on_whole_numbers_and_close_on_others() {
    for gpu in bodies() {
        let mut random = Random::new(2);
        let mut problems = Problem::edges();
        problems.extend((0..12).map(|_| Problem::random(&mut random)));
        for p in problems {
            for most in [Some(4), None] {
                let data = Data::new(&p, &mut random, most);
                check(&gpu, &p, &data, most.is_some());
            }
        }
    }
}

/// Some drivers end a shader after 65,535 turns of its loops.
#[test]
fn sums_longer_than_a_loop_may_turn_are_whole() {
    let p = Problem { rows: 2, inputs: 300_000, outputs: 3, relu: false };
    let data = Data::new(&p, &mut Random::new(3), Some(2));
    for gpu in bodies() {
        check(&gpu, &p, &data, true);
    }
}

#[test]
fn more_inputs_than_a_row_of_workgroups_takes_are_all_reached() {
    let p = Problem { rows: 1, inputs: 4 * 16 * 65_535 + 5, outputs: 1, relu: false };
    let data = Data::new(&p, &mut Random::new(5), Some(1));
    for gpu in bodies() {
        check(&gpu, &p, &data, true);
    }
}

#[test]
fn broken_kernels_are_caught() {
    let p = Problem { rows: 9, inputs: 40, outputs: 12, relu: false };
    let data = Data::new(&p, &mut Random::new(4), Some(4));
    for gpu in bodies() {
        let mutants = match gpu.body() {
            Body::Tiles => [("q < 8u; q++", "q < 7u; q++"), ("var row = 0u; row < 32u", "var row = 1u; row < 32u")],
            Body::Lanes => {
                [("s.b + m * next_four(r0)", "s.b + m * four(r0)"), ("(sum, g.a), g.b)", "(sum, g.a), g.a)")]
            }
        };
        for (from, to) in mutants {
            let broken = gpu.with_edit(from, to);
            assert_caught("dense", std::panic::AssertUnwindSafe(|| check(&broken, &p, &data, true)));
        }
    }
}
