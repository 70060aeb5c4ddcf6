//! Pooling over windows and whole channels.

use glowworm::gpu::Gpu;
use glowworm::kernels::pool::{GlobalAverage, Pool};

use crate::common::Golden;
use crate::harness::*;

/// What windows a layer has, by the definition: for each output the pixels that it covers, in order.
#[derive(Clone, Copy, Debug)]
struct Windows {
    height: usize,
    width: usize,
    size: usize,
    stride: usize,
    same: bool,
}

impl Windows {
    /// For each window along an axis the pixels that are there.
    fn axis(&self, n: usize) -> Vec<Vec<usize>> {
        let (n, size, stride) = (n as i64, self.size as i64, self.stride as i64);
        let out = if self.same { (n + stride - 1) / stride } else { (n - size) / stride + 1 };
        let before = if self.same { ((out - 1) * stride + size - n).max(0) / 2 } else { 0 };
        let pixels = |o: i64| (o * stride - before..o * stride - before + size).filter(|i| (0..n).contains(i));
        (0..out).map(|o| pixels(o).map(|i| i as usize).collect()).collect()
    }

    fn out(&self) -> (usize, usize) {
        (self.axis(self.height).len(), self.axis(self.width).len())
    }

    /// Calls with (output, pixels) of `[N,H,W,C]` tensors for every image, output and channel.
    fn each(&self, images: usize, channels: usize, mut call: impl FnMut(usize, &[usize])) {
        let (rows, columns) = (self.axis(self.height), self.axis(self.width));
        let mut out = 0;
        for image in 0..images {
            for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
                for channel in 0..channels {
                    let at = |y: usize, x: usize| ((image * self.height + y) * self.width + x) * channels + channel;
                    let pixels: Vec<usize> = row.iter().flat_map(|y| column.iter().map(move |x| at(*y, *x))).collect();
                    call(out, &pixels);
                    out += 1;
                }
            }
        }
    }
}

fn winner(x: &[f64], pixels: &[usize]) -> usize {
    pixels.iter().copied().reduce(|best, i| if x[i] > x[best] { i } else { best }).expect("a window has a pixel")
}

fn forward(windows: Windows, images: usize, channels: usize, x: &[f64], is_max: bool) -> Vec<f64> {
    let mut y = Vec::new();
    windows.each(images, channels, |_, pixels| {
        y.push(match is_max {
            true => x[winner(x, pixels)],
            false => pixels.iter().map(|i| x[*i]).sum::<f64>() / pixels.len() as f64,
        });
    });
    y
}

/// The gradient's row r belongs to image r % images.
fn backward(windows: Windows, rows: usize, channels: usize, x: &[f64], d_y: &[f64], is_max: bool) -> Sums {
    let mut d_x = Sums::zeros(rows * windows.height * windows.width * channels);
    windows.each(rows, channels, |out, pixels| match is_max {
        true => {
            let base = pixels[0] / x.len() * x.len();
            let of_image: Vec<usize> = pixels.iter().map(|i| i - base).collect();
            d_x.add(base + winner(x, &of_image), d_y[out]);
        }
        false => pixels.iter().for_each(|i| d_x.add(*i, d_y[out] / pixels.len() as f64)),
    });
    d_x
}

fn all_close(name: &str, got: &[f32], values: Vec<f64>, chain: usize) {
    let magnitude = values.iter().map(|v| v.abs().max(1.0)).collect();
    assert_close(name, got, &Sums { value: values, magnitude }, chain);
}

/// Reads quads, and holds their padding channels against zero.
fn read_plain(memory: &Gpu, quads: &glowworm::gpu::Quads, shape: [usize; 4]) -> Vec<f32> {
    let got = read_quads(memory, quads, quad_len(shape, 0));
    let plain = from_quads(&got, shape, 0);
    let padded = to_quads(&plain.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), shape, 0);
    assert_exact("padding channels", &got, &padded.into_iter().map(f64::from).collect::<Vec<_>>());
    plain
}

/// What the device makes of x and d_y: (y, d_x).
fn on_device(
    (gpu, memory): &(Gpu, Gpu),
    windows: Windows,
    [images, shared, channels]: [usize; 3],
    (x, d_y): (&[f64], &[f64]),
    is_max: bool,
) -> (Vec<f32>, Vec<f32>) {
    let Windows { height, width, size, stride, same } = windows;
    let rows = images * shared;
    let whole = |n: usize| n as u32;
    let pool = Pool::new(whole(images), whole(height), whole(width), whole(channels), whole(size), whole(stride), same);
    let pool = Pool { rows: whole(rows), ..pool };
    let (out_height, out_width) = windows.out();
    assert_eq!((pool.out_height, pool.out_width), (whole(out_height), whole(out_width)));
    let x_quads = quads_input(memory, &to_quads(x, [images, height, width, channels], 0));
    let d_y_quads = quads_input(memory, &to_quads(d_y, [rows, out_height, out_width, channels], 0));
    let y_shape = [images, out_height, out_width, channels];
    let d_x_shape = [rows, height, width, channels];
    let y = quads_output(memory, quad_len(y_shape, 0));
    let d_x = quads_output(memory, quad_len(d_x_shape, 0));
    let dispatches = match is_max {
        true => [pool.max_forward(gpu, &x_quads, &y), pool.max_backward(gpu, &x_quads, &d_y_quads, &d_x)],
        false => [pool.average_forward(gpu, &x_quads, &y), pool.average_backward(gpu, &d_y_quads, &d_x)],
    };
    run(gpu, dispatches.into_iter().map(|dispatch| dispatch.expect("it binds")));
    (read_plain(memory, &y, y_shape), read_plain(memory, &d_x, d_x_shape))
}

fn check(places: &(Gpu, Gpu), windows: Windows, shape: [usize; 3], random: &mut Random) {
    let [images, shared, channels] = shape;
    let (out_height, out_width) = windows.out();
    // Whole numbers, many of them equal: the first of equal ones wins.
    let x = random.integers(images * windows.height * windows.width * channels, 3);
    let d_y = random.integers(images * shared * out_height * out_width * channels, 4);
    for is_max in [true, false] {
        let name =
            format!("{windows:?} of {images} images, {shared} gradients each, {channels} channels, max {is_max}");
        let (y, d_x) = on_device(places, windows, shape, (&x, &d_y), is_max);
        let expected = forward(windows, images, channels, &x, is_max);
        let gradient = backward(windows, images * shared, channels, &x, &d_y, is_max);
        if is_max {
            assert_exact(&format!("{name}: y"), &y, &expected);
            assert_exact(&format!("{name}: d_x"), &d_x, &gradient.value);
        } else {
            all_close(&format!("{name}: y"), &y, expected, 2);
            assert_close(&format!("{name}: d_x"), &d_x, &gradient, windows.size * windows.size);
        }
    }
}

#[test]
fn the_references_agree_with_central_differences() {
    let mut random = Random::new(5);
    for same in [false, true] {
        let windows = Windows { height: 6, width: 5, size: 3, stride: 2, same };
        let (height, width) = windows.out();
        let (x, d_y) = (random.floats(2 * 30 * 2), random.floats(2 * height * width * 2));
        for is_max in [false, true] {
            let gradient = backward(windows, 2, 2, &x, &d_y, is_max).value;
            check_gradient("pool", |x| forward(windows, 2, 2, x, is_max), &x, &d_y, &gradient);
        }
    }
}

#[test]
fn windows_of_every_kind() {
    let mut random = Random::new(1);
    for places in bodies_and_memories() {
        for (height, width, size, stride, same) in [
            (1, 1, 1, 1, false),
            (1, 1, 3, 2, true),
            (2, 2, 2, 2, false),
            (7, 9, 2, 2, false),
            (7, 9, 2, 2, true),
            (8, 5, 3, 2, true),
            (8, 5, 3, 2, false),
            (6, 6, 3, 1, true),
            (9, 7, 2, 3, true),
            (9, 7, 2, 3, false),
            (11, 13, 5, 2, true),
            (10, 10, 4, 4, false),
        ] {
            let windows = Windows { height, width, size, stride, same };
            check(&places, windows, [1, 1, 1], &mut random);
            check(&places, windows, [2, 3, 5], &mut random);
        }
    }
}

#[test]
fn means_of_whole_channels() {
    let mut random = Random::new(2);
    for (gpu, memory) in bodies_and_memories() {
        for [images, shared, area, channels] in [[1, 1, 1, 1], [2, 3, 7, 5], [3, 1, 64, 8], [1, 2, 130, 130]] {
            let rows = images * shared;
            let shape = GlobalAverage::new(images as u32, area as u32, channels as u32);
            let shape = GlobalAverage { rows: rows as u32, ..shape };
            let (x, d_y) = (random.floats(images * area * channels), random.floats(rows * channels));
            let x_quads = quads_input(&memory, &to_quads(&x, [images, 1, area, channels], 0));
            let d_y_rows = input(&gpu, &to_quads(&d_y, [rows, 1, 1, channels], 0));
            let y_shape = [images, 1, 1, channels];
            let d_x_shape = [rows, 1, area, channels];
            let y = output(&gpu, quad_len(y_shape, 0));
            let d_x = quads_output(&memory, quad_len(d_x_shape, 0));
            run(&gpu, shape.forward(&gpu, &x_quads, &y));
            run(&gpu, shape.backward(&gpu, &d_y_rows, &d_x));
            let mut means = Sums::zeros(images * channels);
            for (i, x) in x.iter().enumerate() {
                means.add(i / (area * channels) * channels + i % channels, x / area as f64);
            }
            let got = read(&gpu, &y, quad_len(y_shape, 0));
            assert!(channels % 4 == 0 || got[quad_len(y_shape, 0) - 1] == 0.0, "a padding channel is not zero");
            assert_close("mean", &from_quads(&got, y_shape, 0), &means, area / 4 + 4);
            let share = |i: usize| d_y[i / (area * channels) * channels + i % channels] / area as f64;
            all_close(
                "d_x",
                &read_plain(&memory, &d_x, d_x_shape),
                (0..rows * area * channels).map(share).collect(),
                1,
            );
        }
    }
}

#[test]
fn figures_of_keras() {
    let golden = Golden::open(include_bytes!("../golden/kernels.safetensors"));
    let get = |name: &str| golden.get(name).into_iter().map(f64::from).collect::<Vec<_>>();
    for places in bodies_and_memories() {
        for (size, stride) in [(2, 2), (3, 2), (3, 1), (2, 3), (5, 3)] {
            for (padding, same) in [("same", true), ("valid", false)] {
                for (kind, is_max) in [("max", true), ("average", false)] {
                    let name = format!("{kind}.{size}.{stride}.{padding}");
                    let tensor = |key: &str| get(&format!("{name}.{key}"));
                    let windows = Windows { height: 7, width: 10, size, stride, same };
                    let (y, d_x) = on_device(&places, windows, [1, 1, 5], (&tensor("x"), &tensor("d_y")), is_max);
                    all_close(&format!("{name}: y"), &y, tensor("y"), 16);
                    all_close(&format!("{name}: d_x"), &d_x, tensor("d_x"), 16);
                }
            }
        }
        let (gpu, memory) = &places;
        let x = quads_input(memory, &to_quads(&get("global_average.x"), [2, 5, 3, 6], 0));
        let y = output(gpu, quad_len([2, 1, 1, 6], 0));
        run(gpu, GlobalAverage::new(2, 15, 6).forward(gpu, &x, &y));
        let y = from_quads(&read(gpu, &y, quad_len([2, 1, 1, 6], 0)), [2, 1, 1, 6], 0);
        all_close("global average", &y, get("global_average.y"), 16);
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for (gpu, memory) in bodies_and_memories() {
        for (from, to) in [
            ("vec4(mine <= at)", "vec4(mine < at)"),
            ("mine.plane % (pool.images * pool.quads)", "mine.plane / 2u"),
            ("at / pool.stride + 1u", "at / pool.stride"),
            ("f32(size.x * size.y)", "f32(pool.size * pool.size)"),
        ] {
            let broken = (gpu.with_edit(from, to), memory.clone());
            let windows = Windows { height: 7, width: 6, size: 3, stride: 2, same: true };
            let test = || check(&broken, windows, [2, 2, 5], &mut Random::new(3));
            assert_caught(from, std::panic::AssertUnwindSafe(test));
        }
    }
}
