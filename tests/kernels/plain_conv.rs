//! Convolutions by themselves, of any kernel, stride, padding and groups, and their gradients.

use std::panic::AssertUnwindSafe;

use glowworm::gpu::{Body, Gpu};
use glowworm::kernels::plain_conv::{Padding, PlainConv, Scratch, Window, Winograd};
use glowworm::kernels::reduce::Reduce;
use glowworm::model::Layout;

use crate::harness::*;

/// Shapes of one test, printed when it fails.
#[derive(Clone, Copy, Debug)]
struct Problem {
    images: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    groups: usize,
    bias: bool,
    /// Gradients that share a forward pass.
    shared: usize,
}

const PLAIN: Problem = Problem {
    images: 1,
    height: 8,
    width: 8,
    inputs: 4,
    outputs: 4,
    kernel: 3,
    stride: 1,
    padding: Padding::Same,
    groups: 1,
    bias: true,
    shared: 1,
};

impl Problem {
    fn random(random: &mut Random) -> Problem {
        let kernel = random.size(0, 3) * 2 + 1;
        let padding = if random.size(0, 1) == 0 { Padding::Same } else { Padding::Valid };
        let least = if padding == Padding::Valid { kernel } else { 1 };
        let kind = random.size(0, 5);
        let groups = match kind {
            0 => random.size(2, 21),
            1 => random.size(2, 3),
            _ => 1,
        };
        let (inputs, outputs) = match kind {
            0 => (groups, groups),
            1 => (groups * random.size(1, 3) * 4, groups * random.size(1, 5) * 4),
            _ => (random.size(1, 21), random.size(1, 41)),
        };
        Problem {
            images: random.size(1, 3),
            height: random.size(least, least + 15),
            width: random.size(least, least + 15),
            inputs,
            outputs,
            kernel,
            stride: random.size(1, 3),
            padding,
            groups,
            bias: random.size(0, 1) == 0,
            shared: random.size(1, 3),
        }
    }

    fn edges() -> Vec<Problem> {
        let p = |height, width, inputs, outputs| Problem { height, width, inputs, outputs, ..PLAIN };
        vec![
            // Pictures of a pixel, and kernels larger than the picture.
            p(1, 1, 1, 1),
            Problem { kernel: 7, stride: 2, ..p(1, 1, 3, 5) },
            Problem { kernel: 7, stride: 3, ..p(2, 3, 4, 8) },
            Problem { kernel: 5, images: 9, ..p(2, 2, 5, 9) },
            // Strides that pass over taps and pixels.
            Problem { kernel: 1, stride: 2, ..p(7, 8, 16, 20) },
            Problem { kernel: 1, stride: 3, padding: Padding::Valid, ..p(2, 2, 8, 4) },
            Problem { stride: 2, ..p(8, 8, 3, 32) },
            Problem { stride: 2, images: 3, ..p(9, 7, 20, 36) },
            Problem { kernel: 7, stride: 2, ..p(16, 15, 3, 8) },
            Problem { kernel: 3, padding: Padding::Valid, ..p(3, 20, 17, 65) },
            // More pixels than a workgroup has, and rows longer than it.
            Problem { images: 3, ..p(20, 3, 4, 4) },
            p(3, 300, 4, 4),
            // Pixels enough for blocks of several quads on a large GPU, forward and back.
            Problem { kernel: 1, ..p(256, 256, 8, 20) },
            Problem { kernel: 1, ..p(256, 256, 20, 8) },
            // Groups, and a kernel a channel.
            Problem { groups: 2, ..p(6, 5, 8, 8) },
            Problem { groups: 3, stride: 2, ..p(6, 5, 36, 60) },
            Problem { groups: 7, ..p(9, 6, 7, 7) },
            Problem { groups: 16, stride: 2, kernel: 5, ..p(9, 6, 16, 16) },
            Problem { groups: 5, kernel: 7, padding: Padding::Valid, ..p(7, 7, 5, 5) },
            Problem { groups: 4, images: 3, ..p(30, 30, 4, 4) },
        ]
    }

    fn shape(&self) -> PlainConv {
        let window = Window { kernel: self.kernel as u32, stride: self.stride as u32, padding: self.padding };
        let channels = (self.inputs as u32, self.outputs as u32);
        let forward = PlainConv::new(
            self.images as u32,
            self.height as u32,
            self.width as u32,
            channels,
            window,
            self.groups as u32,
        );
        PlainConv { rows: self.rows() as u32, ..forward }
    }

    fn rows(&self) -> usize {
        self.images * self.shared
    }

    fn depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }

    fn x(&self, rows: usize) -> [usize; 4] {
        [rows, self.height, self.width, self.inputs]
    }

    /// Pixels of the output along an axis, and zeros before it: TensorFlow's rule, told apart from the code's.
    fn along(&self, size: usize) -> (usize, usize) {
        match self.padding {
            Padding::Valid => ((size - self.kernel + self.stride) / self.stride, 0),
            Padding::Same => {
                let last = if size.is_multiple_of(self.stride) { self.stride } else { size % self.stride };
                (size.div_ceil(self.stride), self.kernel.saturating_sub(last) / 2)
            }
        }
    }

    fn y(&self, rows: usize) -> [usize; 4] {
        [rows, self.along(self.height).0, self.along(self.width).0, self.outputs]
    }

    fn layout(&self) -> Layout {
        let (kernel, outputs) = (self.kernel as u32, self.outputs as u32);
        match self.depthwise() {
            true => Layout::Depthwise { kernel, channels: outputs },
            false => Layout::Convolution { kernel, inputs: (self.inputs / self.groups) as u32, outputs },
        }
    }
}

/// Calls `term(index in y, index in x, index in w)` for every product of the convolution.
fn each_term(p: &Problem, rows: usize, mut term: impl FnMut(usize, usize, usize)) {
    let ([_, out_height, out_width, _], k) = (p.y(1), p.kernel);
    let (top, left) = (p.along(p.height).1, p.along(p.width).1);
    let (inputs, outputs) = (p.inputs / p.groups, p.outputs / p.groups);
    for n in 0..rows {
        for row in 0..out_height {
            for column in 0..out_width {
                for tap in 0..k * k {
                    let r = (row * p.stride + tap / k).wrapping_sub(top);
                    let c = (column * p.stride + tap % k).wrapping_sub(left);
                    if r >= p.height || c >= p.width {
                        continue;
                    }
                    for o in 0..p.outputs {
                        let y = ((n * out_height + row) * out_width + column) * p.outputs + o;
                        for i in 0..inputs {
                            let x = ((n * p.height + r) * p.width + c) * p.inputs + o / outputs * inputs + i;
                            term(y, x, (tap * inputs + i) * p.outputs + o);
                        }
                    }
                }
            }
        }
    }
}

/// Random tensors of a problem.
struct Data {
    x: Vec<f64>,
    w: Vec<f64>,
    b: Vec<f64>,
    d_y: Vec<f64>,
}

impl Data {
    fn new(p: &Problem, random: &mut Random, exact: bool) -> Data {
        let mut draw = |count: usize| if exact { random.integers(count, 4) } else { random.floats(count) };
        Data {
            x: draw(p.x(p.images).iter().product()),
            w: draw(p.layout().len()),
            b: draw(p.outputs),
            d_y: draw(p.y(p.rows()).iter().product()),
        }
    }
}

fn forward(p: &Problem, x: &[f64], w: &[f64], b: &[f64]) -> Sums {
    let mut y = Sums::zeros(p.y(p.images).iter().product());
    for at in 0..y.value.len() {
        y.add(at, if p.bias { b[at % p.outputs] } else { 0.0 });
    }
    each_term(p, p.images, |y_at, x_at, w_at| y.add(y_at, x[x_at] * w[w_at]));
    y
}

fn backward_data(p: &Problem, rows: usize, d_y: &[f64], w: &[f64]) -> Sums {
    let mut d_x = Sums::zeros(p.x(rows).iter().product());
    each_term(p, rows, |y_at, x_at, w_at| d_x.add(x_at, d_y[y_at] * w[w_at]));
    d_x
}

fn backward_weights(p: &Problem, x: &[f64], d_y: &[f64]) -> (Sums, Sums) {
    let mut d_w = Sums::zeros(p.layout().len());
    each_term(p, p.images, |y_at, x_at, w_at| d_w.add(w_at, d_y[y_at] * x[x_at]));
    let mut d_b = Sums::zeros(p.outputs);
    d_y.iter().enumerate().for_each(|(y_at, d)| d_b.add(y_at % p.outputs, *d));
    (d_w, d_b)
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Holds quads against a reference, exactly or closely; channels that are padding must be zero.
fn compare(name: &str, quads: &[f32], shape: [usize; 4], expected: &Sums, chain: usize, exact: bool) {
    let got = from_quads(quads, shape, 0);
    match exact {
        true => assert_exact(name, &got, &expected.value),
        false => assert_close(name, &got, expected, chain),
    }
    let sum = |values: &[f32]| values.iter().filter(|v| **v != 0.0).count();
    assert_eq!(sum(quads), sum(&got), "{name}: padding channels are not zero");
}

fn check_forward(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let x = quads_input(gpu, &to_quads(&data.x, p.x(p.images), 0));
    let weights = input(gpu, &p.layout().pack(&f32s(&data.w)));
    let bias = input(gpu, &Layout::Bias { outputs: p.outputs as u32 }.pack(&f32s(&data.b)));
    let y = quads_output(gpu, quad_len(p.y(p.images), 0));
    run(gpu, p.shape().forward(gpu, &x, &weights, p.bias.then_some(&bias), &y).expect("sizes fit"));
    let got = read_quads(gpu, &y, quad_len(p.y(p.images), 0));
    let expected = forward(p, &data.x, &data.w, &data.b);
    let chain = p.kernel * p.kernel * p.inputs / p.groups + 1;
    compare(&format!("{:?} forward {p:?}", gpu.body()), &got, p.y(p.images), &expected, chain, exact);
}

fn check_backward(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let name = |what: &str| format!("{:?} {what} {p:?}", gpu.body());
    let weights = input(gpu, &p.layout().pack(&f32s(&data.w)));
    let d_y = quads_input(gpu, &to_quads(&data.d_y, p.y(p.rows()), 0));
    let d_x = quads_output(gpu, quad_len(p.x(p.rows()), 0));
    run(gpu, p.shape().backward_data(gpu, &d_y, &weights, &d_x).expect("sizes fit"));
    let got = read_quads(gpu, &d_x, quad_len(p.x(p.rows()), 0));
    let expected = backward_data(p, p.rows(), &data.d_y, &data.w);
    let chain = p.kernel * p.kernel * p.outputs / p.groups;
    compare(&name("backward data"), &got, p.x(p.rows()), &expected, chain, exact);

    // The gradients of the weights are those of the first of the rows that share a forward pass.
    let shape = PlainConv { rows: p.images as u32, ..p.shape() }.for_gpu(gpu);
    let (layout, bias_layout) = (p.layout(), Layout::Bias { outputs: p.outputs as u32 });
    let (w_len, b_len) = (layout.device_len(), bias_layout.device_len());
    let chunks = shape.chunks as usize;
    let x = quads_input(gpu, &to_quads(&data.x, p.x(p.images), 0));
    let (w_parts, b_parts) = (output(gpu, w_len * chunks), output(gpu, b_len * chunks));
    let (d_w, d_b) = (output(gpu, w_len), output(gpu, b_len));
    run(gpu, shape.backward_weights(gpu, &x, &d_y, &w_parts, p.bias.then_some(&b_parts)).expect("sizes fit"));
    read(gpu, &w_parts, w_len * chunks);
    // A test may have broken this family's shaders on purpose: not the sum's.
    let whole = gpu.with_body(gpu.body());
    let sum = |len: usize| Reduce::of(len as u64 * 4, shape.chunks);
    run(gpu, sum(w_len).sum(&whole, &w_parts, &d_w));
    let own: usize = p.y(p.images).iter().product();
    let (expected_w, expected_b) = backward_weights(p, &data.x, &data.d_y[..own]);
    let chain = own / p.outputs;
    let check = |name: &str, layout: &Layout, device: &[f32], expected: &Sums| {
        let got = layout.unpack(device);
        match exact {
            true => assert_exact(name, &got, &expected.value),
            false => assert_close(name, &got, expected, chain),
        }
    };
    check(&name("backward weights"), &layout, &read(gpu, &d_w, w_len), &expected_w);
    if p.bias {
        run(gpu, sum(b_len).sum(&whole, &b_parts, &d_b));
        check(&name("backward bias"), &bias_layout, &read(gpu, &d_b, b_len), &expected_b);
    }
}

/// The convolution is linear in each of its arguments, so that its gradients are its adjoints: ⟨f(x), d⟩ = ⟨x, f'(d)⟩.
#[test]
fn the_references_are_adjoint() {
    let mut random = Random::new(1);
    for p in Problem::edges() {
        let data = Data::new(&p, &mut random, true);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let own: usize = p.y(p.images).iter().product();
        let d_y = &data.d_y[..own];
        let y = forward(&p, &data.x, &data.w, &vec![0.0; p.outputs]).value;
        let (d_w, _) = backward_weights(&p, &data.x, d_y);
        assert_eq!(dot(&y, d_y), dot(&data.x, &backward_data(&p, p.images, d_y, &data.w).value), "{p:?}");
        assert_eq!(dot(&y, d_y), dot(&data.w, &d_w.value), "{p:?}");
    }
}

#[test]
fn sizes_of_outputs_are_those_of_keras() {
    let mut random = Random::new(2);
    for p in (0..200).map(|_| Problem::random(&mut random)) {
        let shape = p.shape();
        let [rows, columns] = [(p.height, shape.out_height, shape.pad_top), (p.width, shape.out_width, shape.pad_left)]
            .map(|(size, out, pad)| (p.along(size) == (out as usize, pad as usize), out));
        assert!(rows.0 && columns.0, "{p:?}: {rows:?} {columns:?}");
    }
}

#[test]
fn forward_and_gradients_are_exact_on_whole_numbers_and_close_on_others() {
    for gpu in bodies() {
        let mut random = Random::new(3);
        let mut problems = Problem::edges();
        problems.extend((0..24).map(|_| Problem::random(&mut random)));
        for p in problems {
            for exact in [true, false] {
                let data = Data::new(&p, &mut random, exact);
                check_forward(&gpu, &p, &data, exact);
                check_backward(&gpu, &p, &data, exact);
            }
        }
    }
}

/// Winograd's errors go by the largest terms of a tile and its surroundings, not by each element's own.
fn even(mut sums: Sums) -> Sums {
    let most = sums.magnitude.iter().copied().fold(0.0, f64::max);
    sums.magnitude.fill(most);
    sums
}

/// Winograd's sums cancel more than direct ones: some times the tolerance.
fn check_winograd(gpu: &Gpu, p: &Problem, data: &Data) {
    let shape = PlainConv { rows: p.rows() as u32, ..p.shape().for_gpu(gpu) };
    let Some(fast) = Winograd::of(gpu, &shape) else { return };
    let name = |what: &str| format!("winograd {what} {p:?}");
    let scratch = Scratch::new(gpu, &[fast], true).expect("room for scratch");
    let weights = input(gpu, &p.layout().pack(&f32s(&data.w)));
    let bias = input(gpu, &Layout::Bias { outputs: p.outputs as u32 }.pack(&f32s(&data.b)));
    let x = quads_input(gpu, &to_quads(&data.x, p.x(p.images), 0));
    let y = quads_output(gpu, quad_len(p.y(p.images), 0));
    run(gpu, fast.forward(gpu, &x, &weights, p.bias.then_some(&bias), &y, &scratch).expect("sizes fit"));
    let got = read_quads(gpu, &y, quad_len(p.y(p.images), 0));
    let expected = even(forward(p, &data.x, &data.w, &data.b));
    compare(&name("forward"), &got, p.y(p.images), &expected, 36 * p.inputs, false);

    let d_y = quads_input(gpu, &to_quads(&data.d_y, p.y(p.rows()), 0));
    let d_x = quads_output(gpu, quad_len(p.x(p.rows()), 0));
    run(gpu, fast.backward_data(gpu, &d_y, &weights, &d_x, &scratch).expect("sizes fit"));
    let got = read_quads(gpu, &d_x, quad_len(p.x(p.rows()), 0));
    let expected = even(backward_data(p, p.rows(), &data.d_y, &data.w));
    compare(&name("backward data"), &got, p.x(p.rows()), &expected, 36 * p.outputs, false);

    // One sum where it is done in this way, and as many as before where it is not.
    let (layout, bias_layout) = (p.layout(), Layout::Bias { outputs: p.outputs as u32 });
    let (w_len, b_len, chunks) = (layout.device_len(), bias_layout.device_len(), fast.shapes().chunks);
    let (w_parts, b_parts) = (output(gpu, w_len * chunks as usize), output(gpu, b_len * chunks as usize));
    let (d_w, d_b) = (output(gpu, w_len), output(gpu, b_len));
    let d_bias = p.bias.then_some(&b_parts);
    run(gpu, fast.backward_weights(gpu, &x, &d_y, &w_parts, d_bias, &scratch).expect("sizes fit"));
    let whole = gpu.with_body(gpu.body());
    let sum = |len: usize| Reduce::of(len as u64 * 4, chunks);
    run(gpu, sum(w_len).sum(&whole, &w_parts, &d_w));
    let own: usize = p.y(p.images).iter().product();
    let (expected_w, expected_b) = backward_weights(p, &data.x, &data.d_y[..own]);
    let got = layout.unpack(&read(gpu, &d_w, w_len));
    assert_close(&name("backward weights"), &got, &even(expected_w), 36 * p.height * p.width);
    if p.bias {
        run(gpu, sum(b_len).sum(&whole, &b_parts, &d_b));
        let got = bias_layout.unpack(&read(gpu, &d_b, b_len));
        assert_close(&name("backward bias"), &got, &expected_b, own / p.outputs);
    }
}

fn winograd_problems() -> Vec<Problem> {
    let p = |images, height, width, inputs, outputs| Problem { images, height, width, inputs, outputs, ..PLAIN };
    vec![
        p(1, 4, 4, 32, 36),
        p(2, 8, 8, 64, 68),
        Problem { shared: 3, ..p(1, 1, 3, 33, 48) },
        Problem { shared: 2, bias: false, ..p(3, 7, 10, 100, 64) },
        p(2, 13, 5, 65, 97),
        // More planes than a chunk holds.
        p(5, 24, 20, 64, 64),
    ]
}

#[test]
fn winograd_agrees_with_the_direct_sum() {
    for gpu in bodies() {
        let mut random = Random::new(5);
        for p in winograd_problems() {
            check_winograd(&gpu, &p, &Data::new(&p, &mut random, false));
        }
    }
}

#[test]
fn broken_winograd_is_caught() {
    let p = Problem { inputs: 64, outputs: 64, ..PLAIN };
    let data = Data::new(&p, &mut Random::new(6), false);
    for gpu in bodies().into_iter().filter(|gpu| gpu.body() == Body::Lanes) {
        for edit in [
            ("x_or_zero(plane, row, column + 3u), x_or_zero", "x_or_zero(plane, row, column + 2u), x_or_zero"),
            ("- 5.0 * s.d + s.f", "- 5.0 * s.d + s.e"),
            ("(s.c - s.b) / 6.0", "(s.b - s.c) / 6.0"),
        ] {
            let broken = gpu.with_edit(edit.0, edit.1);
            assert_caught("winograd", AssertUnwindSafe(|| check_winograd(&broken, &p, &data)));
        }
    }
}

#[test]
fn broken_kernels_are_caught() {
    let p = Problem { height: 7, width: 7, inputs: 8, outputs: 32, stride: 2, ..PLAIN };
    let depthwise = Problem { groups: 8, inputs: 8, outputs: 8, ..p };
    let mut random = Random::new(4);
    let (data, depthwise_data) = (Data::new(&p, &mut random, true), Data::new(&depthwise, &mut random, true));
    let wide = Problem { kernel: 1, height: 256, width: 256, inputs: 8, outputs: 20, ..PLAIN };
    let wide_data = Data::new(&wide, &mut random, true);
    for gpu in bodies() {
        if gpu.body() == Body::Tiles {
            let broken = gpu.with_edit("columns(k * 16u + 8u", "columns(k * 16u + 4u");
            assert_caught("wide", AssertUnwindSafe(|| check_forward(&broken, &wide, &wide_data, true)));
        }
        // A tap that reads the wrong column, a phase that reads elsewhere, and a pixel that another stands in for.
        let broken = gpu.with_edit("w.width + tap.y, inside", "w.width + max(tap.y, 1u), inside");
        assert_caught("forward", AssertUnwindSafe(|| check_forward(&broken, &p, &data, true)));
        assert_caught("depthwise", AssertUnwindSafe(|| check_forward(&broken, &depthwise, &depthwise_data, true)));
        let broken = gpu.with_edit("vec2<i32>((to + pad) / s)", "vec2<i32>(to / s)");
        assert_caught("backward data", AssertUnwindSafe(|| check_backward(&broken, &p, &data, true)));
        let edit = match gpu.body() {
            Body::Tiles => ("seen[x + 6u]", "seen[x + 5u]"),
            Body::Lanes => ("subgroupBroadcast(seen, 6u)", "subgroupBroadcast(seen, 5u)"),
        };
        let broken = gpu.with_edit(edit.0, edit.1);
        assert_caught("backward weights", AssertUnwindSafe(|| check_backward(&broken, &p, &data, true)));
    }
}
