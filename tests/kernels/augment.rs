//! Gathering, moving about, colours, erasing and mixing, against a plain reference; flips and turns against Keras's own
//! pictures too.

use glowworm::gpu::{Buffer, Dispatch, Gpu, GpuError};
use glowworm::kernels::augment::{Augment, Look, Rectangle, Sample, Varied};

use crate::common::Golden;
use crate::harness::*;

/// The pixels of the f64 reference: mirrored outside, dcba|abcd|dcba, and bilinear.
fn reference(image: &[f64], height: usize, width: usize, sample: &Sample) -> Vec<f64> {
    let mirrored = |place: f64, size: usize| {
        let (size, turn) = (size as f64, 2.0 * size as f64);
        let p = (place + 0.5).rem_euclid(turn);
        (p.min(turn - p) - 0.5).clamp(0.0, size - 1.0)
    };
    let [xx, xy, x0, yx, yy, y0] = [sample.xx, sample.xy, sample.x0, sample.yx, sample.yy, sample.y0].map(f64::from);
    let mut out = Vec::new();
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64, row as f64);
            let (x, y) = (mirrored(xx * x + xy * y + x0, width), mirrored(yx * x + yy * y + y0, height));
            let (left, top) = (x.floor() as usize, y.floor() as usize);
            let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
            let at = |r: usize, c: usize, k: usize| {
                let c = if sample.mirror == 1 { width - 1 - c } else { c };
                image[(r * width + c) * 3 + k]
            };
            for k in 0..3 {
                let upper = at(top, left, k) * (1.0 - x.fract()) + at(top, right, k) * x.fract();
                let lower = at(bottom, left, k) * (1.0 - x.fract()) + at(bottom, right, k) * x.fract();
                out.push((upper * (1.0 - y.fract()) + lower * y.fract()) / 255.0);
            }
        }
    }
    out
}

fn holds(rectangle: &Rectangle, column: u32, row: u32) -> bool {
    (rectangle.left..rectangle.right).contains(&column) && (rectangle.top..rectangle.bottom).contains(&row)
}

/// Jarzynski and Olano's pcg3d.
fn pcg3d(mut v: [u32; 3]) -> [u32; 3] {
    let stir = |v: &mut [u32; 3]| {
        for (to, one, other) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
            v[to] = v[to].wrapping_add(v[one].wrapping_mul(v[other]));
        }
    };
    v = v.map(|word| word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    stir(&mut v);
    v = v.map(|word| word ^ (word >> 16));
    stir(&mut v);
    v
}

/// A picture as it is seen alone.
fn shown(image: &[f64], height: usize, width: usize, look: &Look) -> Vec<f64> {
    let mut pixels = reference(image, height, width, &look.sample);
    for (i, rgb) in pixels.chunks_mut(3).enumerate() {
        let (row, column) = ((i / width) as u32, (i % width) as u32);
        let old = [rgb[0], rgb[1], rgb[2]];
        let noise = pcg3d([column, row, look.noise]).map(|word| f64::from(word >> 8) / 16_777_216.0);
        for (k, new) in rgb.iter_mut().enumerate() {
            let shares = &look.color[4 * k..4 * k + 4];
            let sum: f64 = old.iter().zip(shares).map(|(v, share)| v * f64::from(*share)).sum();
            let colored = (sum + f64::from(shares[3])).clamp(0.0, 1.0);
            *new = if holds(&look.erased, column, row) { noise[k] } else { colored };
        }
    }
    pixels
}

fn mixed(images: &[f64], height: usize, width: usize, row: &Varied) -> Vec<f64> {
    let size = height * width * 3;
    let [first, second] = [row.first, row.second].map(|look| {
        let image = &images[look.sample.image as usize * size..][..size];
        shown(image, height, width, &look)
    });
    let both = first.into_iter().zip(second).enumerate();
    both.map(|(i, (first, second))| {
        let (column, line) = ((i / 3 % width) as u32, (i / 3 / width) as u32);
        let weight = if holds(&row.pasted, column, line) { 1.0 } else { f64::from(row.weight) };
        (1.0 - weight) * first + weight * second
    })
    .collect()
}

/// Runs an entry point over whole-numbered images `[N,H,W,3]`; gives `[rows,H,W,3]`.
fn gather_by(
    gpu: &Gpu,
    images: &[f64],
    shape: &Augment,
    rows: &Buffer,
    entry: impl Fn(&Augment, &Gpu, &Buffer, &Buffer, &Buffer) -> Result<Dispatch, GpuError>,
) -> Vec<f32> {
    let bytes: Vec<u32> =
        images.chunks(3).map(|p| p[0] as u32 | (p[1] as u32) << 8 | (p[2] as u32) << 16 | 0xff00_0000).collect();
    let plain = [shape.rows as usize, shape.height as usize, shape.width as usize, 4];
    let border = shape.border as usize;
    assert_eq!(shape.x_bytes(), quad_len(plain, border) as u64 * 4);
    let x = output(gpu, quad_len(plain, border));
    run(gpu, entry(shape, gpu, &words(gpu, &bytes), rows, &x));
    let words = read_words(gpu, &x, quad_len(plain, border));
    let written = words.iter().filter(|w| **w != POISON).count();
    assert_eq!(written, quad_len(plain, 0), "the border must be left alone, and all else written");
    let floats: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
    let quads = from_quads(&floats, plain, border);
    assert!(quads.chunks(4).all(|q| q[3] == 0.0), "the fourth channel is padding");
    quads.chunks(4).flat_map(|q| [q[0], q[1], q[2]]).collect()
}

fn gather(gpu: &Gpu, images: &[f64], height: usize, width: usize, samples: &[Sample]) -> Vec<f32> {
    let shape = Augment { rows: samples.len() as u32, height: height as u32, width: width as u32, border: 1 };
    let rows = gpu.buffer_with("samples", samples).expect("room");
    gather_by(gpu, images, &shape, &rows, Augment::gather)
}

fn gather_varied(gpu: &Gpu, images: &[f64], shape: &Augment, rows: &[Varied]) -> Vec<f32> {
    let shape = Augment { rows: rows.len() as u32, ..*shape };
    let rows = gpu.buffer_with("rows", rows).expect("room");
    gather_by(gpu, images, &shape, &rows, Augment::gather_varied)
}

fn check(gpu: &Gpu, height: usize, width: usize, random: &mut Random) {
    let count = 3;
    let images: Vec<f64> = (0..count * height * width * 3).map(|_| random.whole(0, 255) as f64).collect();
    let (h, w) = (height as u32, width as u32);
    let samples = [
        Sample::plain(2),
        Sample::turned(0, true, 0.0, h, w),
        Sample::turned(1, false, 0.5, h, w),
        Sample::turned(2, true, -0.6, h, w),
        Sample::turned(2, true, 2.9, h, w),
    ];
    let got = gather(gpu, &images, height, width, &samples);
    let size = height * width * 3;
    for (sample, got) in samples.iter().zip(got.chunks(size)) {
        let image = &images[sample.image as usize * size..][..size];
        let mut expected = Sums::zeros(size);
        for (i, v) in reference(image, height, width, sample).into_iter().enumerate() {
            expected.value[i] = v;
            // A place is off by a rounding of the coordinate, and the value by that times the slope between pixels.
            expected.magnitude[i] = (height + width) as f64;
        }
        assert_close(&format!("{height}x{width} {sample:?}"), got, &expected, 6);
    }
}

#[test]
fn pictures_are_gathered_flipped_and_turned() {
    for gpu in bodies() {
        let mut random = Random::new(1);
        for (height, width) in [(1, 1), (2, 3), (8, 8), (17, 9), (33, 40)] {
            check(&gpu, height, width, &mut random);
        }
    }
}

fn random_rectangle(random: &mut Random, height: usize, width: usize) -> Rectangle {
    let (left, top) = (random.size(0, width) as u32, random.size(0, height) as u32);
    let (right, bottom) = (random.size(left as usize, width) as u32, random.size(top as usize, height) as u32);
    Rectangle { left, top, right, bottom }
}

/// Anything at all: maps that shrink, stretch and shear, colours beyond what is clamped.
fn random_look(random: &mut Random, images: usize, height: usize, width: usize) -> Look {
    let mut number = |scale: f64| (random.float() * scale) as f32;
    let sample = Sample {
        xx: number(2.0),
        xy: number(1.0),
        x0: number(2.0 * width as f64),
        yx: number(1.0),
        yy: number(2.0),
        y0: number(2.0 * height as f64),
        ..Sample::default()
    };
    let color = std::array::from_fn(|_| number(1.0));
    let (image, mirror) = (random.size(0, images - 1) as u32, random.size(0, 1) as u32);
    let sample = Sample { image, mirror, ..sample };
    let noise = random.whole(0, i64::from(u32::MAX)) as u32;
    Look { sample, color, erased: random_rectangle(random, height, width), noise }
}

fn check_varied(gpu: &Gpu, height: usize, width: usize, random: &mut Random) {
    let count = 3;
    let images: Vec<f64> = (0..count * height * width * 3).map(|_| random.whole(0, 255) as f64).collect();
    let mut rows = vec![Varied::alone(Look::plain(Sample::plain(1)))];
    for i in 0..9 {
        let mut look = || random_look(random, count, height, width);
        let (first, second) = (look(), look());
        // Mixup alone, CutMix alone, and both at once.
        let weight = if i % 3 == 1 { 0.0 } else { (random.float().abs()) as f32 };
        let pasted = if i % 3 == 0 { Rectangle::default() } else { random_rectangle(random, height, width) };
        rows.push(Varied { first, second, weight, pasted });
    }
    let border = u32::from(height % 2 == 1);
    let shape = Augment { rows: 0, height: height as u32, width: width as u32, border };
    let got = gather_varied(gpu, &images, &shape, &rows);
    for (row, got) in rows.iter().zip(got.chunks(height * width * 3)) {
        let mut expected = Sums::zeros(got.len());
        expected.value = mixed(&images, height, width, row);
        // As above; the map may be steep, and the colours add three channels.
        expected.magnitude = vec![12.0 * (height + width) as f64; got.len()];
        assert_close(&format!("{height}x{width} {row:?}"), got, &expected, 12);
    }
}

#[test]
fn colors_erased_parts_and_mixtures_agree_with_the_reference() {
    for gpu in bodies() {
        let mut random = Random::new(2);
        for (height, width) in [(1, 1), (2, 3), (8, 8), (17, 9), (33, 40)] {
            check_varied(&gpu, height, width, &mut random);
        }
    }
}

#[test]
fn one_picture_alone_has_the_bits_of_the_plain_kernel() {
    for gpu in bodies() {
        let mut random = Random::new(3);
        let images: Vec<f64> = (0..2 * 16 * 12 * 3).map(|_| random.whole(0, 255) as f64).collect();
        let samples = [Sample::plain(1), Sample::turned(0, true, 0.4, 16, 12), Sample::turned(1, false, -0.6, 16, 12)];
        let rows = samples.map(|sample| Varied::alone(Look::plain(sample)));
        let shape = Augment { rows: 0, height: 16, width: 12, border: 1 };
        let plain: Vec<f64> = gather(&gpu, &images, 16, 12, &samples).into_iter().map(f64::from).collect();
        assert_exact("alone", &gather_varied(&gpu, &images, &shape, &rows), &plain);
    }
}

#[test]
fn a_picture_left_as_it_is_keeps_its_values_exactly() {
    for gpu in bodies() {
        let images: Vec<f64> = (0..256).flat_map(|v| [f64::from(v); 3]).collect();
        let got = gather(&gpu, &images, 16, 16, &[Sample::plain(0)]);
        for (i, v) in got.iter().enumerate() {
            let expected = (i / 3) as f32 / 255.0;
            assert!((v - expected).abs() <= f32::EPSILON * expected, "{v} for {expected}");
        }
    }
}

/// Keras's RandomFlip and RandomRotation at given angles. The kernel takes bytes: the first picture is whole-numbered and
/// compares directly; the second holds fractions, which only the reference can take. Bounds in steps of 255: Keras makes
/// its coordinates in f32, and what that rounds off is multiplied by the slope between neighbours.
#[test]
fn flips_and_turns_agree_with_keras() {
    let golden = Golden::open(include_bytes!("../golden/augment.safetensors"));
    for (picture, height, width) in [(0, 16, 16), (1, 24, 20)] {
        let image: Vec<f64> = golden.get(&format!("{picture}.input")).iter().map(|v| f64::from(*v)).collect();
        assert_eq!((image.len(), picture == 0), (height * width * 3, image.iter().all(|v| v.fract() == 0.0)));
        let (h, w) = (height as u32, width as u32);
        let mut cases = vec![("flip_horizontal".to_owned(), Sample::turned(0, true, 0.0, h, w))];
        for degrees in [-36.0f64, -10.0, 3.0, 17.5, 36.0] {
            let name = format!("rotate_{degrees:+.1}deg");
            cases.push((name, Sample::turned(0, false, degrees.to_radians(), h, w)));
        }
        for (name, sample) in cases {
            let expected = golden.get(&format!("{picture}.{name}"));
            let compare = |who: &str, got: Vec<f64>| {
                let errors = got.iter().zip(&expected).map(|(g, e)| (g * 255.0 - f64::from(*e)).abs());
                let largest = errors.fold(0.0, f64::max);
                assert!(largest <= 3e-3, "{who}, {picture}.{name}: off by {largest} of 255");
            };
            compare("the reference", reference(&image, height, width, &sample));
            for gpu in bodies().into_iter().filter(|_| picture == 0) {
                let got = gather(&gpu, &image, height, width, &[sample]);
                compare("the kernel", got.into_iter().map(f64::from).collect());
            }
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("min(p, turn - p)", "min(p, size)");
        assert_caught("augment", std::panic::AssertUnwindSafe(|| check(&broken, 17, 9, &mut Random::new(5))));
        for (right, wrong) in [
            ("look.noise", "0u"),
            ("shares + shifted", "shares - shifted"),
            ("c[2], c[6], c[10]", "c[2], c[5], c[10]"),
            ("(1.0 - weight) * shown", "shown"),
            ("column < rectangle.right", "column <= rectangle.right"),
        ] {
            let broken = gpu.with_edit(right, wrong);
            assert_caught(
                "augment",
                std::panic::AssertUnwindSafe(|| check_varied(&broken, 17, 9, &mut Random::new(5))),
            );
        }
    }
}
