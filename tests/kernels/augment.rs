//! Gathering, flipping and turning, against a plain reference and against Keras's own pictures.

use glowworm::gpu::Gpu;
use glowworm::kernels::augment::{Augment, Sample};

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

/// Runs the kernel over whole-numbered images `[N,H,W,3]`; gives `[rows,H,W,3]`.
fn gather(gpu: &Gpu, images: &[f64], height: usize, width: usize, samples: &[Sample]) -> Vec<f32> {
    let bytes: Vec<u32> =
        images.chunks(3).map(|p| p[0] as u32 | (p[1] as u32) << 8 | (p[2] as u32) << 16 | 0xff00_0000).collect();
    let shape = Augment { rows: samples.len() as u32, height: height as u32, width: width as u32 };
    let plain = [samples.len(), height, width, 4];
    let x = output(gpu, quad_len(plain, 1));
    let samples_buffer = gpu.buffer_with("samples", samples).expect("room");
    run(gpu, shape.gather(gpu, &words(gpu, &bytes), &samples_buffer, &x));
    let words = read_words(gpu, &x, quad_len(plain, 1));
    let written = words.iter().filter(|w| **w != POISON).count();
    assert_eq!(written, quad_len(plain, 0), "the border must be left alone, and all else written");
    let floats: Vec<f32> = words.into_iter().map(f32::from_bits).collect();
    let quads = from_quads(&floats, plain, 1);
    assert!(quads.chunks(4).all(|q| q[3] == 0.0), "the fourth channel is padding");
    quads.chunks(4).flat_map(|q| [q[0], q[1], q[2]]).collect()
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
    }
}
