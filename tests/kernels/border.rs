//! The zero border around pictures.

use glowworm::gpu::Gpu;
use glowworm::kernels::border::Border;

use crate::harness::*;

fn check(gpu: &Gpu, planes: usize, height: usize, width: usize) {
    let (rows, columns) = (height + 2, width + 2);
    let data: Vec<f32> = (1..=planes * rows * columns * 4).map(|i| (i % 1000 + 1) as f32).collect();
    let y = quads_input(gpu, &data);
    let shape = Border { planes: planes as u32, height: height as u32, width: width as u32 };
    run(gpu, shape.clear(gpu, &y));
    let is_border = |quad: usize| {
        let (row, column) = (quad / columns % rows, quad % columns);
        row == 0 || row == rows - 1 || column == 0 || column == columns - 1
    };
    let expected: Vec<f64> =
        data.iter().enumerate().map(|(i, v)| if is_border(i / 4) { 0.0 } else { f64::from(*v) }).collect();
    assert_exact(&format!("border of {planes} × {height} × {width}"), &read_quads(gpu, &y, data.len()), &expected);
}

#[test]
fn the_border_is_zero_and_nothing_else_is_touched() {
    for (_, memory) in bodies_and_memories() {
        for (planes, height, width) in [(1, 1, 1), (3, 2, 5), (2, 7, 1), (5, 16, 16), (1, 40, 63)] {
            check(&memory, planes, height, width);
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("between % 2u", "0u");
        assert_caught("border", std::panic::AssertUnwindSafe(|| check(&broken, 2, 3, 3)));
    }
}
