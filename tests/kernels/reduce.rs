//! Sums of chunks.

use glowworm::gpu::Gpu;
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

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("var c = 0u", "var c = 1u");
        assert_caught("reduce", std::panic::AssertUnwindSafe(|| check(&broken, 5, 9, &mut Random::new(2))));
    }
}
