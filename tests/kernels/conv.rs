//! Convolution, ReLU, pooling and their gradients.

use glowworm::gpu::{Body, Buffer, Gpu};
use glowworm::kernels::conv::{Conv, Winograd};
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
    border: usize,
    /// Gradients that share a forward pass.
    shared: usize,
}

impl Problem {
    fn random(random: &mut Random) -> Problem {
        Problem {
            images: random.size(1, 3),
            height: random.size(2, 37),
            width: random.size(2, 37),
            inputs: random.size(1, 41),
            outputs: random.size(1, 41),
            border: random.size(0, 1),
            shared: random.size(1, 3),
        }
    }

    fn edges() -> Vec<Problem> {
        let p = |images, height, width, inputs, outputs| Problem {
            images,
            height,
            width,
            inputs,
            outputs,
            border: 1,
            shared: 1,
        };
        vec![
            p(1, 2, 2, 1, 1),
            p(1, 3, 3, 3, 8),
            p(2, 2, 40, 4, 4),
            p(1, 17, 16, 3, 32),
            p(1, 16, 15, 16, 17),
            p(5, 6, 6, 8, 16),
            p(1, 33, 5, 5, 65),
        ]
    }

    fn x(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.inputs]
    }

    fn y(&self, rows: usize) -> [usize; 4] {
        [rows, self.height / 2, self.width / 2, self.outputs]
    }

    fn rows(&self) -> usize {
        self.images * self.shared
    }

    fn shape(&self) -> Conv {
        let (h, w) = (self.height as u32, self.width as u32);
        let channels = (self.inputs as u32, self.outputs as u32);
        let forward = Conv::new(self.images as u32, h, w, channels, self.border as u32);
        Conv { rows: self.rows() as u32, ..forward }
    }

    fn layout(&self) -> Layout {
        Layout::Convolution { kernel: 3, inputs: self.inputs as u32, outputs: self.outputs as u32 }
    }
}

/// Calls `term(index in z, index in x, index in w)` for every product of the convolution.
fn each_term(p: &Problem, rows: usize, mut term: impl FnMut(usize, usize, usize)) {
    for n in 0..rows {
        for row in 0..p.height {
            for column in 0..p.width {
                for tap in 0..9 {
                    let (r, c) = ((row + tap / 3).wrapping_sub(1), (column + tap % 3).wrapping_sub(1));
                    if r >= p.height || c >= p.width {
                        continue;
                    }
                    for i in 0..p.inputs {
                        let x = ((n * p.height + r) * p.width + c) * p.inputs + i;
                        for o in 0..p.outputs {
                            let z = ((n * p.height + row) * p.width + column) * p.outputs + o;
                            term(z, x, (tap * p.inputs + i) * p.outputs + o);
                        }
                    }
                }
            }
        }
    }
}

fn convolve(p: &Problem, x: &[f64], w: &[f64], b: &[f64]) -> Sums {
    let mut z = Sums::zeros(p.images * p.height * p.width * p.outputs);
    for at in 0..z.value.len() {
        z.add(at, b[at % p.outputs]);
    }
    each_term(p, p.images, |at, i, k| z.add(at, x[i] * w[k]));
    z
}

/// Index in z of pixel `place` of a pool window.
fn pixel(p: &Problem, window: usize, place: usize) -> usize {
    let (o, rest) = (window % p.outputs, window / p.outputs);
    let (column, rest) = (rest % (p.width / 2), rest / (p.width / 2));
    let (row, n) = (rest % (p.height / 2), rest / (p.height / 2));
    ((n * p.height + row * 2 + place / 2) * p.width + column * 2 + place % 2) * p.outputs + o
}

/// ReLU and pooling: values, their magnitudes, and the codes.
fn pool(p: &Problem, z: &Sums) -> (Sums, Vec<u32>) {
    let count = p.y(p.images).iter().product();
    let mut y = Sums::zeros(count);
    let mut codes = vec![4; count];
    for (window, code) in codes.iter_mut().enumerate() {
        let best = (1..4)
            .fold(0, |best, k| if z.value[pixel(p, window, k)] > z.value[pixel(p, window, best)] { k } else { best });
        let at = pixel(p, window, best);
        y.magnitude[window] = (0..4).map(|k| z.magnitude[pixel(p, window, k)]).fold(0.0, f64::max);
        if z.value[at] > 0.0 {
            y.value[window] = z.value[at];
            *code = best as u32;
        }
    }
    (y, codes)
}

/// dz from d_y and the codes of the image that each row belongs to.
fn unpool(p: &Problem, rows: usize, d_y: &[f64], codes: &[u32]) -> Vec<f64> {
    let mut d_z = vec![0.0; rows * p.height * p.width * p.outputs];
    for (window, d) in d_y.iter().enumerate() {
        let code = codes[window % codes.len()];
        if code < 4 {
            d_z[pixel(p, window, code as usize)] = *d;
        }
    }
    d_z
}

fn backward_data(p: &Problem, d_z: &[f64], w: &[f64], rows: usize) -> Sums {
    let mut d_x = Sums::zeros(rows * p.height * p.width * p.inputs);
    each_term(p, rows, |z, x, k| {
        if d_z[z] != 0.0 {
            d_x.add(x, d_z[z] * w[k]);
        }
    });
    d_x
}

fn backward_weights(p: &Problem, x: &[f64], d_z: &[f64]) -> (Sums, Sums) {
    let mut d_w = Sums::zeros(9 * p.inputs * p.outputs);
    each_term(p, p.images, |z, i, k| {
        if d_z[z] != 0.0 {
            d_w.add(k, d_z[z] * x[i]);
        }
    });
    let mut d_b = Sums::zeros(p.outputs);
    d_z.iter().enumerate().for_each(|(z, d)| d_b.add(z % p.outputs, *d));
    (d_w, d_b)
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
            x: draw(p.x().iter().product()),
            w: draw(9 * p.inputs * p.outputs),
            b: draw(p.outputs),
            d_y: draw(p.y(p.rows()).iter().product()),
        }
    }
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

fn packed_codes(p: &Problem, codes: &[u32]) -> Vec<u32> {
    let shape = p.y(p.images);
    // Channels that are padding never win.
    let mut bytes = vec![4u32; quad_len(shape, 0)];
    each_quad(shape, 0, |from, to| bytes[to] = codes[from]);
    bytes.chunks(4).map(|q| q[0] | q[1] << 8 | q[2] << 16 | q[3] << 24).collect()
}

fn check_forward(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let name = format!("{:?} forward {p:?}", gpu.body());
    let shape = p.shape();
    let y_shape = p.y(p.images);
    let x = quads_input(gpu, &to_quads(&data.x, p.x(), 1));
    let weights = quads_input(gpu, &p.layout().pack(&f32s(&data.w)));
    let bias = input(gpu, &Layout::Bias { outputs: p.outputs as u32 }.pack(&f32s(&data.b)));
    let (y_len, code_len) = (quad_len(y_shape, p.border), quad_len(y_shape, 0) / 4);
    let (y, code) = (quads_output(gpu, y_len), output(gpu, code_len));
    run(gpu, shape.forward(gpu, &x, &weights, &bias, &y, &code));

    let words = read_quads_words(gpu, &y, y_len);
    let interior = from_quads(&words.iter().map(|w| f32::from_bits(*w)).collect::<Vec<_>>(), y_shape, p.border);
    // Every channel inside is written, padding too, and nothing of the border is.
    let written = words.iter().filter(|w| **w != POISON).count();
    assert_eq!(written, quad_len(y_shape, 0), "{name}: elements written");
    let (expected, codes) = pool(p, &convolve(p, &data.x, &data.w, &data.b));
    let got_codes = read_words(gpu, &code, code_len);
    if exact {
        assert_exact(&name, &interior, &expected.value);
        let floats = |codes: &[u32]| codes.iter().map(|c| f64::from(*c)).collect::<Vec<_>>();
        let got: Vec<f32> = got_codes.iter().map(|c| *c as f32).collect();
        assert_exact(&format!("{name} codes"), &got, &floats(&packed_codes(p, &codes)));
    } else {
        assert_close(&name, &interior, &expected, 9 * p.inputs + 1);
    }
}

/// Holds gradients against expected ones, where `chain` is the longest chain of additions.
fn compare(gpu: &Gpu, what: &str, p: &Problem, exact: bool, got: &[f32], expected: &Sums, chain: usize) {
    let name = format!("{:?} {what} {p:?}", gpu.body());
    if exact { assert_exact(&name, got, &expected.value) } else { assert_close(&name, got, expected, chain) }
}

fn check_backward_data(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let shape = p.shape();
    let (_, codes) = pool(p, &convolve(p, &data.x, &data.w, &data.b));
    let code = words(gpu, &packed_codes(p, &codes));
    let weights = quads_input(gpu, &p.layout().pack(&f32s(&data.w)));
    let d_y = quads_input(gpu, &to_quads(&data.d_y, p.y(p.rows()), 0));
    let d_z = unpool(p, p.rows(), &data.d_y, &codes);

    let x_shape = [p.rows(), p.height, p.width, p.inputs];
    let d_x = quads_output(gpu, quad_len(x_shape, 0));
    run(gpu, shape.backward_data(gpu, &d_y, &code, &weights, &d_x));
    let got = from_quads(&read_quads(gpu, &d_x, quad_len(x_shape, 0)), x_shape, 0);
    let expected = backward_data(p, &d_z, &data.w, p.rows());
    compare(gpu, "backward data", p, exact, &got, &expected, 9 * p.outputs);
}

fn check_backward_weights(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    let (_, codes) = pool(p, &convolve(p, &data.x, &data.w, &data.b));
    let code = words(gpu, &packed_codes(p, &codes));
    let d_y = quads_input(gpu, &to_quads(&data.d_y, p.y(p.rows()), 0));
    // The gradients of the weights are those of the first of the rows that share a forward pass.
    let shape = Conv { rows: p.images as u32, ..p.shape() }.for_gpu(gpu);
    let own: usize = p.y(p.images).iter().product();
    let d_z = unpool(p, p.images, &data.d_y[..own], &codes);
    let (layout, bias_layout) = (p.layout(), Layout::Bias { outputs: p.outputs as u32 });
    let (w_len, b_len) = (layout.device_len(), bias_layout.device_len());
    let chunks = shape.chunks as usize;
    let x = quads_input(gpu, &to_quads(&data.x, p.x(), 1));
    let (w_parts, b_parts) = (output(gpu, w_len * chunks), output(gpu, b_len * chunks));
    run(gpu, shape.backward_weights(gpu, &x, &d_y, &code, &w_parts, &b_parts));
    let total = |parts: &Buffer, len: usize| {
        let mut sum = vec![0.0; len];
        for part in read(gpu, parts, len * chunks).chunks(len) {
            sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        sum
    };
    let (expected_w, expected_b) = backward_weights(p, &data.x, &d_z);
    let chain = p.images * p.height * p.width / 4 + 1;
    let (d_w, d_b) = (layout.unpack(&total(&w_parts, w_len)), bias_layout.unpack(&total(&b_parts, b_len)));
    compare(gpu, "backward weights", p, exact, &d_w, &expected_w, chain);
    compare(gpu, "backward bias", p, exact, &d_b, &expected_b, chain);
}

fn check_backward(gpu: &Gpu, p: &Problem, data: &Data, exact: bool) {
    check_backward_data(gpu, p, data, exact);
    check_backward_weights(gpu, p, data, exact);
}

#[test]
fn the_reference_agrees_with_central_differences() {
    let mut random = Random::new(1);
    let p = Problem { images: 2, height: 5, width: 6, inputs: 3, outputs: 4, border: 0, shared: 1 };
    let data = Data::new(&p, &mut random, false);
    let forward = |x: &[f64], w: &[f64], b: &[f64]| pool(&p, &convolve(&p, x, w, b)).0.value;
    let (_, codes) = pool(&p, &convolve(&p, &data.x, &data.w, &data.b));
    let d_z = unpool(&p, p.images, &data.d_y, &codes);
    let (d_w, d_b) = backward_weights(&p, &data.x, &d_z);
    let d_x = backward_data(&p, &d_z, &data.w, p.images);
    check_gradient("x", |x| forward(x, &data.w, &data.b), &data.x, &data.d_y, &d_x.value);
    check_gradient("w", |w| forward(&data.x, w, &data.b), &data.w, &data.d_y, &d_w.value);
    check_gradient("b", |b| forward(&data.x, &data.w, b), &data.b, &data.d_y, &d_b.value);
}

#[test]
fn forward_and_gradients_are_exact_on_whole_numbers_and_close_on_others() {
    for gpu in bodies() {
        let mut random = Random::new(2);
        let mut problems = Problem::edges();
        problems.extend((0..12).map(|_| Problem::random(&mut random)));
        for p in problems {
            for exact in [true, false] {
                let data = Data::new(&p, &mut random, exact);
                check_forward(&gpu, &p, &data, exact);
                check_backward(&gpu, &p, &data, exact);
                if gpu.body() == Body::Tiles {
                    check_backward_weights(&gpu.with_workgroup_memory(16 << 10), &p, &data, exact);
                }
            }
        }
    }
}

/// Winograd's sums cancel more than direct ones: some times the tolerance, and near ties may go to either pixel.
fn check_winograd(gpu: &Gpu, p: &Problem, data: &Data) {
    let shape = p.shape();
    let Some(winograd) = Winograd::of(gpu, &shape) else { return };
    let name = format!("winograd {p:?}");
    let filters = gpu.texture("filters", winograd.filters_bytes()).expect("room for scratch");
    let tiles = gpu.texture("tiles", winograd.tiles_bytes()).expect("room for scratch");
    let weights = input(gpu, &p.layout().pack(&f32s(&data.w)));
    let bias = input(gpu, &Layout::Bias { outputs: p.outputs as u32 }.pack(&f32s(&data.b)));
    let x = quads_input(gpu, &to_quads(&data.x, p.x(), 1));
    let y_shape = p.y(p.images);
    let (y_len, code_len) = (quad_len(y_shape, p.border), quad_len(y_shape, 0) / 4);
    let (y, code) = (quads_output(gpu, y_len), output(gpu, code_len));
    run(gpu, winograd.forward(gpu, &x, [&weights, &bias], (&y, &code), [&filters, &tiles]).expect("sizes fit"));
    let got: Vec<f32> = read_quads_words(gpu, &y, y_len).into_iter().map(f32::from_bits).collect();
    let z = convolve(p, &data.x, &data.w, &data.b);
    let (expected, codes) = pool(p, &z);
    assert_close(&name, &from_quads(&got, y_shape, p.border), &expected, 36 * p.inputs);
    let differ = read_words(gpu, &code, code_len).iter().zip(packed_codes(p, &codes)).filter(|(a, b)| *a != b).count();
    assert!(differ * 1000 <= code_len, "{name}: {differ} of {code_len} codes differ");

    let packed = words(gpu, &packed_codes(p, &codes));
    let d_y = quads_input(gpu, &to_quads(&data.d_y, p.y(p.rows()), 0));
    let x_shape = [p.rows(), p.height, p.width, p.inputs];
    let d_x = quads_output(gpu, quad_len(x_shape, 0));
    run(gpu, winograd.backward_data(gpu, &d_y, [&packed, &weights], &d_x, [&filters, &tiles]).expect("sizes fit"));
    let got = from_quads(&read_quads(gpu, &d_x, quad_len(x_shape, 0)), x_shape, 0);
    let d_z = unpool(p, p.rows(), &data.d_y, &codes);
    assert_close(
        &format!("{name} backward"),
        &got,
        &within_tiles(p, backward_data(p, &d_z, &data.w, p.rows())),
        36 * p.outputs,
    );
}

/// Winograd's errors go by the largest terms of a tile of 4x4 pixels and its surroundings, not by each pixel's own.
fn within_tiles(p: &Problem, mut sums: Sums) -> Sums {
    let size = p.height * p.width * p.inputs;
    for plane in sums.magnitude.chunks_mut(size) {
        let most = plane.iter().copied().fold(0.0, f64::max);
        plane.fill(most);
    }
    sums
}

#[test]
fn winograd_agrees_with_the_direct_sum() {
    for gpu in bodies() {
        let mut random = Random::new(5);
        let problem = |images, height, width, inputs, outputs, border, shared| Problem {
            images,
            height,
            width,
            inputs,
            outputs,
            border,
            shared,
        };
        let problems = [
            problem(1, 4, 4, 16, 16, 0, 1),
            problem(2, 8, 8, 16, 20, 1, 1),
            problem(1, 2, 3, 17, 33, 1, 3),
            problem(3, 7, 10, 20, 36, 0, 2),
            problem(2, 13, 5, 36, 17, 1, 1),
            // More planes than a chunk holds, and wide enough to fill several groups.
            problem(15, 40, 36, 24, 16, 1, 1),
        ];
        for p in problems {
            check_winograd(&gpu, &p, &Data::new(&p, &mut random, false));
        }
    }
}

#[test]
fn broken_winograd_is_caught() {
    let p = Problem { images: 1, height: 8, width: 8, inputs: 16, outputs: 16, border: 0, shared: 1 };
    let data = Data::new(&p, &mut Random::new(6), false);
    for gpu in bodies().into_iter().filter(|gpu| gpu.body() == Body::Lanes) {
        for edit in
            [("- 5.0 * s.d + s.f", "- 5.0 * s.d + s.e"), ("vec4(1.0, -2.0, 4.0, -8.0)", "vec4(1.0, -2.0, 4.0, 8.0)")]
        {
            let broken = gpu.with_edit(edit.0, edit.1);
            assert_caught("winograd", std::panic::AssertUnwindSafe(|| check_winograd(&broken, &p, &data)));
        }
    }
}

/// Some drivers end a shader after 65,535 turns of its loops: the sums over this many windows must be whole.
#[test]
fn gradients_sum_more_windows_than_a_loop_may_turn() {
    let p = Problem { images: 2, height: 600, width: 520, inputs: 1, outputs: 1, border: 0, shared: 1 };
    let mut random = Random::new(3);
    let mut draw = |count: usize| random.integers(count, 1);
    let data = Data { x: draw(2 * 600 * 520), w: draw(9), b: vec![1.0], d_y: draw(2 * 300 * 260) };
    for gpu in bodies() {
        check_backward(&gpu, &p, &data, true);
    }
}

#[test]
fn broken_kernels_are_caught() {
    // A tap read in the wrong place, weights that are not turned, and a row of the filter over the wrong pixels; of one quad of
    // inputs, rows in the wrong place.
    let tiles = (
        ("slot(local.y * 2u + row, column + 1u)", "slot(local.y * 2u + row, column + 2u)"),
        ("+ 8u - index", "+ index"),
        ("(row + filter_row) * row_pitch", "row * row_pitch"),
    );
    let picked = ("let right = left + 2u;", "let right = left + 1u;");
    let lanes =
        (("v.b, v.c, v.d, v.e, low + pitch", "v.b, v.c, v.d, v.d, low + pitch"), ("low + 6u", "low + 3u"), picked);
    let narrow = (("weigh(s[5], ", "weigh(s[4], "), ("narrow_row(z.r5, ", "narrow_row(z.r4, "), picked);
    for gpu in bodies() {
        let edits = match gpu.body() {
            Body::Tiles => [(4, tiles), (16, tiles)],
            Body::Lanes => [(4, narrow), (8, lanes)],
        };
        for (inputs, (forward, data_edit, weights)) in edits {
            let p = Problem { images: 1, height: 8, width: 8, inputs, outputs: 8, border: 0, shared: 1 };
            let data = Data::new(&p, &mut Random::new(4), true);
            let caught = |what: &str, edit: (&'static str, &'static str), check: fn(&Gpu, &Problem, &Data, bool)| {
                let broken = gpu.with_edit(edit.0, edit.1);
                assert_caught(what, std::panic::AssertUnwindSafe(|| check(&broken, &p, &data, true)));
            };
            caught("forward", forward, check_forward);
            caught("backward data", data_edit, check_backward_data);
            caught("backward weights", weights, check_backward_weights);
        }
    }
}
