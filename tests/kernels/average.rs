//! The moving average of a parameter.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::average::Average;

use crate::harness::*;

fn check(gpu: &Gpu, quads: usize) {
    let mut random = Random::new(quads as u64);
    let mut draw = || random.floats(quads * 4);
    let (w, a) = (draw(), draw());
    let share = 0.03f32;
    let step = gpu.uniform(&Step { average: share, ..Step::default() }).expect("room");
    let buffer = |values: &[f64]| input(gpu, &values.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let (weights, average) = (buffer(&w), buffer(&a));
    let shape = Average { quads: quads as u32 };
    run(gpu, [shape.move_on(gpu, &step, &weights, &average).expect("it binds")]);
    let mut expected = Sums::zeros(quads * 4);
    for i in 0..quads * 4 {
        expected.value[i] = a[i] + (w[i] - a[i]) * f64::from(share);
        expected.magnitude[i] = a[i].abs() + w[i].abs();
    }
    let moved = read(gpu, &average, quads * 4);
    assert_close(&format!("average of {quads} quads"), &moved, &expected, 4);
    assert_exact("the weights are left as they are", &read(gpu, &weights, quads * 4), &w);
    run(gpu, [shape.exchange(gpu, &weights, &average).expect("it binds")]);
    assert_eq!(read(gpu, &weights, quads * 4), moved);
    assert_exact("the weights stand where the average was", &read(gpu, &average, quads * 4), &w);
}

#[test]
fn an_average_moves_and_changes_places() {
    for gpu in bodies() {
        for quads in [1, 63, 64, 65, 1000] {
            check(&gpu, quads);
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("* step.average", "* step.decay");
        assert_caught("average", std::panic::AssertUnwindSafe(|| check(&broken, 20)));
    }
}
