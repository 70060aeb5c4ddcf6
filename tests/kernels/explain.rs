//! Points, outputs' gradients and sums of expected gradients.

use glowworm::gpu::Gpu;
use glowworm::kernels::explain::{Explain, Point};

use crate::harness::*;

/// A random problem: pictures, points, probabilities and gradients.
struct Data {
    shape: Explain,
    classes: usize,
    pictures: Vec<f64>,
    points: Vec<Point>,
    probabilities: Vec<f64>,
    d_x: Vec<f64>,
}

impl Data {
    fn new(random: &mut Random, logit: bool) -> Data {
        let (rows, classes) = (random.size(1, 9), random.size(2, 9));
        let outputs = random.size(1, classes);
        let (height, width, count) = (random.size(1, 12), random.size(1, 12), random.size(2, 5));
        let shape = Explain {
            rows: rows as u32,
            outputs: outputs as u32,
            quads: classes.div_ceil(4) as u32,
            height: height as u32,
            width: width as u32,
            logit: u32::from(logit),
            border: random.size(0, 1) as u32,
        };
        let point = |random: &mut Random| {
            let weights = [random.float() as f32, random.float() as f32];
            Point {
                image: 0,
                background: random.size(1, count - 1) as u32,
                t: random.float().abs() as f32,
                weight: weights[0],
                contrast: weights[1],
            }
        };
        Data {
            shape,
            pictures: (0..count * height * width * 3).map(|_| random.whole(0, 255) as f64).collect(),
            points: (0..rows).map(|_| point(random)).collect(),
            classes,
            probabilities: random.floats(rows * classes),
            d_x: random.floats(outputs * rows * height * width * 3),
        }
    }

    /// Rows, outputs, pixels.
    fn sizes(&self) -> (usize, usize, usize) {
        let s = &self.shape;
        (s.rows as usize, s.outputs as usize, (s.height * s.width) as usize)
    }

    /// Colour of a picture, 0 to 1.
    fn colour(&self, picture: u32, pixel: usize, c: usize) -> f64 {
        self.pictures[(picture as usize * self.sizes().2 + pixel) * 3 + c] / 255.0
    }
}

fn check(gpu: &Gpu, data: &Data) {
    let name = format!("{:?}", data.shape);
    let ((rows, outputs, area), classes) = (data.sizes(), data.classes);
    let bytes: Vec<u32> =
        data.pictures.chunks(3).map(|p| p[0] as u32 | (p[1] as u32) << 8 | (p[2] as u32) << 16 | 0xff00_0000).collect();
    let pixels = words(gpu, &bytes);
    let points = gpu.buffer_with("points", &data.points).expect("room");
    let (height, width) = (data.shape.height as usize, data.shape.width as usize);

    let x_shape = [rows, height, width, 3];
    let border = data.shape.border as usize;
    let x = output(gpu, quad_len(x_shape, border));
    run(gpu, data.shape.interpolate(gpu, &pixels, &points, &x));
    let words_of_x = read_words(gpu, &x, quad_len(x_shape, border));
    let written = words_of_x.iter().filter(|w| **w != POISON).count();
    assert_eq!(written, quad_len(x_shape, 0), "{name}: the border must be left alone, and all else written");
    let floats: Vec<f32> = words_of_x.into_iter().map(f32::from_bits).collect();
    let mut expected = Sums::zeros(rows * area * 3);
    for (i, at) in (0..rows * area * 3).map(|i| (i, (i / (area * 3), i / 3 % area, i % 3))) {
        let (point, (_, pixel, c)) = (data.points[at.0], at);
        expected.add(i, data.colour(point.background, pixel, c) * (1.0 - f64::from(point.t)));
        expected.add(i, data.colour(point.image, pixel, c) * f64::from(point.t));
    }
    assert_close(&format!("{name} interpolate"), &from_quads(&floats, x_shape, border), &expected, 4);

    let p_shape = [rows, 1, 1, classes];
    let probabilities = input(gpu, &to_quads(&data.probabilities, p_shape, 0));
    let d_shape = [outputs * rows, 1, 1, classes];
    let d_logits = output(gpu, quad_len(d_shape, 0));
    run(gpu, data.shape.outputs(gpu, &probabilities, &d_logits));
    let mut expected = Sums::zeros(outputs * rows * classes);
    for i in 0..expected.value.len() {
        let (class, row, j) = (i / (rows * classes), i / classes % rows, i % classes);
        let (own, p) = (f64::from(u8::from(class == j)), &data.probabilities[row * classes..]);
        if data.shape.logit == 1 {
            expected.add(i, own);
        } else {
            expected.add(i, p[class] * own);
            expected.add(i, -p[class] * p[j]);
        }
    }
    let got = from_quads(&read(gpu, &d_logits, quad_len(d_shape, 0)), d_shape, 0);
    assert_close(&format!("{name} outputs"), &got, &expected, 4);

    let g_shape = [outputs * rows, height, width, 3];
    let d_x = input(gpu, &to_quads(&data.d_x, g_shape, 0));
    let v_shape = [2 * outputs, height, width, 3];
    let before: Vec<f64> = (0..2 * outputs * area * 3).map(|i| (i % 7) as f64 / 8.0).collect();
    let values = input(gpu, &to_quads(&before, v_shape, 0));
    run(gpu, data.shape.accumulate(gpu, &pixels, &points, &d_x, &values));
    let mut expected = Sums::zeros(before.len());
    for (i, start) in before.iter().enumerate() {
        let (half, class, pixel, c) = (i / (outputs * area * 3), i / (area * 3) % outputs, i / 3 % area, i % 3);
        expected.add(i, *start);
        for (row, point) in data.points.iter().enumerate() {
            let away = data.colour(point.image, pixel, c) - data.colour(point.background, pixel, c);
            let weight = f64::from(if half == 0 { point.weight } else { point.contrast });
            expected.add(i, weight * away * data.d_x[((class * rows + row) * area + pixel) * 3 + c]);
        }
        expected.magnitude[i] += 1.0;
    }
    let got = from_quads(&read(gpu, &values, quad_len(v_shape, 0)), v_shape, 0);
    assert_close(&format!("{name} accumulate"), &got, &expected, rows + 4);
}

#[test]
fn points_outputs_and_sums() {
    for gpu in bodies() {
        let mut random = Random::new(1);
        for round in 0..10 {
            check(&gpu, &Data::new(&mut random, round % 2 == 1));
        }
    }
}

/// The gradient of softmax's outputs that `outputs` uses, against central differences.
#[test]
fn the_reference_agrees_with_central_differences() {
    let logits = Random::new(2).floats(5);
    let softmax = |z: &[f64]| {
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        z.iter().map(|z| z.exp() / sum).collect::<Vec<f64>>()
    };
    let p = softmax(&logits);
    let cotangent = Random::new(3).floats(5);
    let gradient: Vec<f64> =
        (0..5).map(|j| (0..5).map(|c| cotangent[c] * p[c] * (f64::from(u8::from(c == j)) - p[j])).sum()).collect();
    check_gradient("softmax", softmax, &logits, &cotangent, &gradient);
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("point.contrast * value", "point.weight * value");
        let data = Data::new(&mut Random::new(4), false);
        assert_caught("explain", std::panic::AssertUnwindSafe(|| check(&broken, &data)));
    }
}
