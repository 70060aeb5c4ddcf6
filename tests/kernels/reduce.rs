//! Sums of chunks.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::reduce::Reduce;

use crate::harness::*;

fn check(gpu: &Gpu, chunks: usize, quads: usize, random: &mut Random) {
    let parts = random.integers(chunks * quads * 4, 4);
    let mut expected = vec![0.0; quads * 4];
    parts.iter().enumerate().for_each(|(i, v)| expected[i % (quads * 4)] += v);
    let buffer = input(gpu, &parts.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let total = output(gpu, quads * 4);
    run(gpu, Reduce { chunks: chunks as u32, quads: quads as u32 }.sum(gpu, &buffer, &total));
    assert_exact(&format!("{chunks} chunks of {quads} quads"), &read(gpu, &total, quads * 4), &expected);
}

#[test]
fn chunks_are_added_up() {
    let mut random = Random::new(1);
    for gpu in bodies() {
        for (chunks, quads) in [(1, 1), (7, 63), (64, 64), (3, 65), (128, 300)] {
            check(&gpu, chunks, quads, &mut random);
        }
    }
}

/// Parts 0 to 2 of a batch, as the step's `first` counts them.
fn check_accumulation(gpu: &Gpu, quads: usize, random: &mut Random) {
    let total = output(gpu, quads * 4);
    let mut expected = vec![0.0; quads * 4];
    for first in 0..3 {
        let part = random.integers(quads * 4, 4);
        expected.iter_mut().zip(&part).for_each(|(sum, v)| *sum += v);
        let buffer = input(gpu, &part.iter().map(|v| *v as f32).collect::<Vec<_>>());
        let step = gpu.uniform(&Step { first, ..Step::default() }).expect("room");
        run(gpu, Reduce { chunks: 1, quads: quads as u32 }.accumulate(gpu, &step, &buffer, &total));
    }
    assert_exact(&format!("three parts of {quads} quads"), &read(gpu, &total, quads * 4), &expected);
}

#[test]
fn parts_of_a_batch_are_added_up_and_the_first_begins_anew() {
    let mut random = Random::new(3);
    for gpu in bodies() {
        [1, 63, 64, 300].into_iter().for_each(|quads| check_accumulation(&gpu, quads, &mut random));
        let broken = gpu.with_edit("vec4(0.0), step.first", "vec4(1.0), step.first");
        assert_caught(
            "accumulate",
            std::panic::AssertUnwindSafe(|| check_accumulation(&broken, 9, &mut Random::new(2))),
        );
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("var c = 0u", "var c = 1u");
        assert_caught("reduce", std::panic::AssertUnwindSafe(|| check(&broken, 5, 9, &mut Random::new(2))));
    }
}
