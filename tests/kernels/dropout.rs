//! Dropout: the mask is that of the hash on the host, bit for bit, and has the statistics it should.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::dropout::Dropout;

use crate::harness::*;

/// pcg4d (Jarzynski, Olano 2020), as the shader has it.
fn pcg4d(key: [u32; 4]) -> [u32; 4] {
    let mut v = key.map(|k| k.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        for (to, a, b) in [(0, 1, 3), (1, 2, 0), (2, 0, 1), (3, 1, 2)] {
            v[to] = v[to].wrapping_add(v[a].wrapping_mul(v[b]));
        }
    };
    mix(&mut v);
    v = v.map(|k| k ^ (k >> 16));
    mix(&mut v);
    v
}

fn apply(gpu: &Gpu, dropout: Dropout, step: Step, values: &[f64]) -> Vec<f32> {
    let buffer = input(gpu, &values.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let step = gpu.uniform(&step).expect("room");
    run(gpu, dropout.apply(gpu, &step, &buffer));
    read(gpu, &buffer, values.len())
}

fn check(gpu: &Gpu, quads: usize, rate: f32, first: u32) {
    let dropout = Dropout { layer: 2, quads: quads as u32, rate, row_quads: 3 };
    let step = Step { seed: 77, step: 5, count: 1, first, ..Step::default() };
    let values = Random::new(quads as u64).floats(quads * 4);
    let mut expected = Sums::zeros(values.len());
    for (i, value) in values.iter().enumerate() {
        let random = (pcg4d([77, 5, 2, i as u32 / 4 + 3 * first])[i % 4] >> 8) as f32 * 2f32.powi(-24);
        if random >= rate {
            expected.add(i, value / (1.0 - f64::from(rate)));
        }
    }
    assert_close(&format!("dropout of {quads} quads at {rate}"), &apply(gpu, dropout, step, &values), &expected, 2);
}

#[test]
fn the_mask_is_that_of_the_hash() {
    for gpu in bodies() {
        for (quads, rate) in [(1, 0.5), (63, 0.2), (65, 0.4), (1000, 0.9), (40, 0.0)] {
            check(&gpu, quads, rate, 0);
            // A part of a batch draws what the whole would draw there.
            check(&gpu, quads, rate, 7);
        }
    }
}

#[test]
fn from_one_memory_to_another_the_mask_is_the_same() {
    for (gpu, memory) in bodies_and_memories() {
        let dropout = Dropout { layer: 1, quads: 130, rate: 0.3, row_quads: 13 };
        let step = Step { seed: 4, step: 9, count: 10, first: 20, ..Step::default() };
        let values = Random::new(3).floats(520);
        let x = quads_input(&memory, &values.iter().map(|v| *v as f32).collect::<Vec<_>>());
        let y = quads_output(&memory, values.len());
        run(&gpu, dropout.apply_to(&gpu, &gpu.uniform(&step).expect("room"), &x, &y));
        let expected: Vec<f64> = apply(&gpu, dropout, step, &values).into_iter().map(f64::from).collect();
        assert_exact("dropout", &read_quads(&memory, &y, values.len()), &expected);
    }
}

#[test]
fn masks_keep_their_share_and_differ_between_seeds_steps_and_layers() {
    for gpu in bodies().into_iter().take(1) {
        let count = 40_000;
        let mask = |seed, step, layer| -> Vec<f64> {
            let dropout = Dropout { layer, quads: count / 4, rate: 0.4, row_quads: 1 };
            let step = Step { seed, step, count: 1, ..Step::default() };
            apply(&gpu, dropout, step, &vec![1.0; count as usize]).iter().map(|v| f64::from(*v > 0.0)).collect()
        };
        let base = mask(1, 1, 1);
        let others = [mask(2, 1, 1), mask(1, 2, 1), mask(1, 1, 2)];
        for other in others.iter().chain([&base]) {
            let kept = other.iter().sum::<f64>() / f64::from(count);
            // Five standard deviations of a mean of 40,000 draws.
            assert!((kept - 0.6).abs() < 5.0 * (0.24 / f64::from(count)).sqrt(), "kept {kept}");
        }
        for other in others {
            let both = base.iter().zip(&other).map(|(a, b)| (a - 0.6) * (b - 0.6)).sum::<f64>();
            let correlation = both / (0.24 * f64::from(count));
            assert!(correlation.abs() < 5.0 / f64::from(count).sqrt(), "correlation {correlation}");
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("1.0 / (1.0 - dropout.rate)", "1.0");
        assert_caught("dropout", std::panic::AssertUnwindSafe(|| check(&broken, 100, 0.4, 0)));
    }
}
