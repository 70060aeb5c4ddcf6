//! Chains of multiply-adds, and a copy.

use glowworm::gpu::Gpu;
use glowworm::kernels::roof::Roof;

use crate::harness::*;

/// y = Σⱼ of what `turns` turns make of x + j.
fn reference(roof: &Roof, x: &[f32]) -> Sums {
    let (factor, term) = (f64::from(roof.factor), f64::from(roof.term));
    let mut sums = Sums::zeros(x.len());
    for (i, x) in x.iter().enumerate() {
        for chain in 0..4 {
            let mut value = f64::from(*x) + f64::from(chain);
            let mut magnitude = f64::from(x.abs()) + f64::from(chain);
            for _ in 0..roof.turns * Roof::STEPS {
                value = factor * value + term;
                magnitude = factor.abs() * magnitude + term.abs();
            }
            sums.value[i] += value;
            sums.magnitude[i] += magnitude;
        }
    }
    sums
}

fn computed(gpu: &Gpu, roof: &Roof, x: &[f32]) -> Vec<f32> {
    let (from, into) = (input(gpu, x), output(gpu, x.len()));
    run(gpu, [roof.multiply_add(gpu, &from, &into).expect("it binds")]);
    read(gpu, &into, x.len())
}

fn check(gpu: &Gpu, quads: usize, turns: u32) {
    let mut random = Random::new(quads as u64);
    let name = format!("{:?} {quads} quads, {turns} turns", gpu.body());
    let x: Vec<f32> = random.floats(quads * 4).into_iter().map(|v| v as f32).collect();
    let roof = Roof { quads: quads as u32, turns, factor: -0.9, term: 0.7 };
    assert_close(&name, &computed(gpu, &roof, &x), &reference(&roof, &x), (turns * Roof::STEPS) as usize + 3);
    let x: Vec<f32> = random.integers(quads * 4, 4).into_iter().map(|v| v as f32).collect();
    let roof = Roof { factor: -1.0, term: 3.0, ..roof };
    assert_exact(&name, &computed(gpu, &roof, &x), &reference(&roof, &x).value);
}

#[test]
fn chains_end_where_they_should() {
    for gpu in bodies() {
        for (quads, turns) in [(1, 0), (1, 1), (63, 2), (64, 3), (65, 5), (1000, 7)] {
            check(&gpu, quads, turns);
        }
        let (x, y) = (input(&gpu, &[0.0; 4]), output(&gpu, 4));
        let roof = Roof { quads: 1, turns: Roof::MOST_TURNS + 1, factor: 1.0, term: 1.0 };
        assert!(roof.multiply_add(&gpu, &x, &y).is_err(), "no driver is asked for more turns than it takes");
        // Whole numbers below 2²⁴: what the longest loop adds up is exact.
        let longest = Roof { turns: Roof::MOST_TURNS, ..roof };
        assert_exact("the longest loop", &computed(&gpu, &longest, &[0.0; 4]), &reference(&longest, &[0.0; 4]).value);
    }
}

#[test]
fn a_copy_is_a_copy() {
    for gpu in bodies() {
        // The last takes more workgroups than an axis of a grid.
        for quads in [1, 63, 64, 65, 65_535 * 64 + 5] {
            let data: Vec<f32> = (0..quads * 4).map(|i| i as f32).collect();
            let (from, into) = (input(&gpu, &data), output(&gpu, quads * 4));
            let roof = Roof { quads: quads as u32, ..Roof::default() };
            run(&gpu, [roof.stream(&gpu, &from, &into).expect("it binds")]);
            assert!(read(&gpu, &into, quads * 4) == data, "{quads} quads");
            let more = Roof { quads: quads as u32 + 1000, ..roof };
            assert!(more.stream(&gpu, &from, &into).is_err(), "no kernel reaches past the end of its memory");
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("mat4x4(b, b, b, b)", "mat4x4(b, b, b + b, b)");
        assert_caught("roof", std::panic::AssertUnwindSafe(|| check(&broken, 20, 2)));
    }
}
