//! Sums of chunks.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::reduce::Reduce;

use crate::harness::*;

/// Sums of so many chunks of so many quads, with gaps between them, and totals in another order than the parts.
fn check(gpu: &Gpu, shapes: &[(usize, usize)], random: &mut Random) {
    let (mut parts, mut sums, mut end) = (Vec::new(), Vec::new(), shapes.len() * 4);
    shapes.iter().for_each(|(_, quads)| end += quads * 4);
    let mut expected = vec![None; end];
    for &(chunks, quads) in shapes {
        parts.extend([1000.0; 4]);
        end -= quads * 4 + 4;
        sums.push(Reduce::of(quads as u64 * 16, chunks as u32).at(parts.len() as u64 * 4, end as u64 * 4));
        let own = random.integers(chunks * quads * 4, 4);
        own.iter().enumerate().for_each(|(i, v)| *expected[end + i % (quads * 4)].get_or_insert(0.0) += v);
        parts.extend(own);
    }
    let buffer = input(gpu, &parts.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let total = output(gpu, expected.len());
    run(gpu, [Reduce::sums(gpu, &sums, &buffer, &total).expect("it binds")]);
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for (word, value) in read_words(gpu, &total, expected.len()).into_iter().zip(expected) {
        match value {
            Some(value) => {
                found.push(f32::from_bits(word));
                wanted.push(value);
            }
            None => {
                assert_eq!(word, POISON, "a gap was written");
            }
        }
    }
    assert_exact(&format!("sums of {shapes:?} chunks and quads"), &found, &wanted);
}

#[test]
fn chunks_are_added_up() {
    let mut random = Random::new(1);
    for gpu in bodies() {
        let shapes = [(1, 1), (7, 63), (64, 64), (3, 65), (128, 300)];
        shapes.iter().for_each(|shape| check(&gpu, &[*shape], &mut random));
        check(&gpu, &shapes, &mut random);
        for _ in 0..6 {
            let shapes: Vec<_> = (0..random.size(2, 40)).map(|_| (random.size(1, 20), random.size(1, 200))).collect();
            check(&gpu, &shapes, &mut random);
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
        run(gpu, Reduce::of(quads as u64 * 16, 1).accumulate(gpu, &step, &buffer, &total));
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
        let broken = gpu.with_edit("let whole = at +", "let whole = at + pitch +");
        assert_caught(
            "reduce",
            std::panic::AssertUnwindSafe(|| check(&broken, &[(5, 9), (2, 3)], &mut Random::new(2))),
        );
    }
}
