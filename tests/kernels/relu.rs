//! The gradient of ReLU, in place.

use glowworm::gpu::Gpu;
use glowworm::kernels::relu::Relu;

use crate::harness::*;

fn check(gpu: &Gpu, images: usize, shared: usize, quads: usize, random: &mut Random) {
    let shape = Relu { images: images as u32, rows: (images * shared) as u32, quads: quads as u32 };
    let y = random.integers(images * quads * 4, 2);
    let d = random.floats(images * shared * quads * 4);
    let as_f32 = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let (y_buffer, d_buffer) = (input(gpu, &as_f32(&y)), input(gpu, &as_f32(&d)));
    run(gpu, shape.backward(gpu, &y_buffer, &d_buffer));
    let expected: Vec<f64> = d.iter().enumerate().map(|(i, d)| if y[i % y.len()] > 0.0 { *d } else { 0.0 }).collect();
    let name = format!("relu of {images} images, {shared} gradients, {quads} quads");
    assert_exact(&name, &read(gpu, &d_buffer, d.len()), &expected);
}

#[test]
fn the_reference_agrees_with_central_differences() {
    let mut random = Random::new(5);
    let (x, cotangent) = (random.floats(40), random.floats(40));
    let relu = |x: &[f64]| x.iter().map(|x| x.max(0.0)).collect::<Vec<f64>>();
    let gradient: Vec<f64> = relu(&x).iter().zip(&cotangent).map(|(y, d)| if *y > 0.0 { *d } else { 0.0 }).collect();
    check_gradient("relu", relu, &x, &cotangent, &gradient);
}

#[test]
fn only_what_was_positive_has_a_gradient() {
    let mut random = Random::new(1);
    for gpu in bodies() {
        for (images, shared, quads) in [(1, 1, 1), (3, 1, 21), (2, 3, 16), (1, 2, 65), (63, 1, 1)] {
            check(&gpu, images, shared, quads, &mut random);
        }
    }
}

/// One axis of a grid ends at 65,535 workgroups of 64: this takes two.
#[test]
fn more_workgroups_than_an_axis_holds() {
    for gpu in bodies().into_iter().take(1) {
        check(&gpu, 1, 1, 65_535 * 64 + 77, &mut Random::new(2));
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("> vec4(0.0)", ">= vec4(0.0)");
        assert_caught("relu", std::panic::AssertUnwindSafe(|| check(&broken, 2, 1, 40, &mut Random::new(3))));
    }
}
