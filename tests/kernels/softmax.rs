//! Softmax, cross-entropy and their gradient.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::softmax::{Outputs, Softmax};

use crate::harness::*;

/// Probabilities and loss of a row.
fn reference(logits: &[f64], label: usize) -> (Vec<f64>, f64) {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - top).exp()).sum();
    (logits.iter().map(|z| (z - top).exp() / sum).collect(), sum.ln() - (logits[label] - top))
}

/// `exp` and `log` of a GPU may be off by a few units in the last place, and their error grows with the argument
/// (WGSL allows 3 + 2|x| units for exp).
const ROUNDINGS: usize = 60;

fn check(gpu: &Gpu, rows: usize, classes: usize, count: usize, scale: f64) {
    let mut random = Random::new((rows * 1000 + classes) as u64);
    let name = format!("softmax of {rows} rows, {count} of them counted, {classes} classes, scale {scale}");
    let logits: Vec<f64> = random.floats(rows * classes).iter().map(|z| f64::from((z * scale) as f32)).collect();
    let labels: Vec<u32> = (0..rows).map(|_| random.size(0, classes - 1) as u32).collect();
    let shape = Softmax::new(rows as u32, classes as u32);
    let len = quad_len([rows, 1, 1, classes], 0);
    // The padding of the logits must not matter.
    let mut padded = vec![1e30; len];
    each_quad([rows, 1, 1, classes], 0, |from, to| padded[to] = logits[from] as f32);
    // The rows are a part of a batch that is twice and once more as large.
    let whole = 2 * count + 1;
    let step = gpu.uniform(&Step { count: count as u32, whole: whole as u32, ..Step::default() }).expect("room");
    let (logits_buffer, labels_buffer) = (input(gpu, &padded), words(gpu, &labels));
    let outputs = Outputs {
        logits: &logits_buffer,
        labels: &labels_buffer,
        probabilities: &output(gpu, len),
        results: &output(gpu, rows * 2),
    };
    let d_logits = output(gpu, len);
    run(gpu, shape.train(gpu, &step, &outputs, &d_logits));
    let results = read(gpu, outputs.results, rows * 2);
    let d_got = read(gpu, &d_logits, len);
    let p_got = read(gpu, outputs.probabilities, len);

    let (mut p, mut d, mut loss) = (Sums::zeros(rows * classes), Sums::zeros(rows * classes), Sums::zeros(rows));
    for row in 0..rows {
        let z = &logits[row * classes..(row + 1) * classes];
        let label = labels[row] as usize;
        let (probabilities, value) = reference(z, label);
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (c, q) in probabilities.iter().enumerate() {
            // The error of exp grows with its argument, and the smallest numbers may be flushed to zero.
            let (far, tiny) = (1.0 + (z[c] - top).abs(), 2f64.powi(-100));
            p.value[row * classes + c] = *q;
            p.magnitude[row * classes + c] = q * far + tiny;
            if row < count {
                d.value[row * classes + c] = (q - f64::from(u8::from(c == label))) / whole as f64;
                d.magnitude[row * classes + c] = (q * far + tiny + f64::from(u8::from(c == label))) / whole as f64;
            }
        }
        let best = (1..classes).fold(0, |best, c| if z[c] > z[best] { c } else { best });
        let hit = if row < count { f32::from(u8::from(best == label)) } else { 0.0 };
        assert_eq!(results[row * 2 + 1], hit, "{name}: hit of row {row}");
        if row < count {
            loss.value[row] = value;
            loss.magnitude[row] = value + z[best].abs() + z[label].abs() + 1.0;
        }
    }
    let shape4 = [rows, 1, 1, classes];
    assert_close(&format!("{name}: probabilities"), &from_quads(&p_got, shape4, 0), &p, ROUNDINGS);
    assert_close(&format!("{name}: gradient"), &from_quads(&d_got, shape4, 0), &d, ROUNDINGS);
    let losses: Vec<f32> = results.chunks(2).map(|r| r[0]).collect();
    assert_close(&format!("{name}: loss"), &losses, &loss, ROUNDINGS);

    let again = Outputs { probabilities: &output(gpu, len), results: &output(gpu, rows * 2), ..outputs };
    run(gpu, shape.evaluate(gpu, &step, &again));
    assert_eq!(read(gpu, again.results, rows * 2), results, "{name}: evaluation and training differ");
    assert_eq!(read(gpu, again.probabilities, len), p_got, "{name}: evaluation and training differ");
}

#[test]
fn the_reference_agrees_with_central_differences() {
    let mut random = Random::new(1);
    let (logits, label) = (random.floats(7), 3);
    let (p, _) = reference(&logits, label);
    let gradient: Vec<f64> = p.iter().enumerate().map(|(c, p)| p - f64::from(u8::from(c == label))).collect();
    check_gradient("loss", |z| vec![reference(z, label).1], &logits, &[1.0], &gradient);
}

#[test]
fn probabilities_losses_hits_and_gradients() {
    for gpu in bodies() {
        for (rows, classes, count) in [(1, 2, 1), (6, 3, 6), (32, 3, 11), (9, 12, 9), (17, 4, 16), (5, 1000, 5)] {
            check(&gpu, rows, classes, count, 3.0);
        }
        // Logits far apart: nothing overflows.
        check(&gpu, 8, 5, 8, 80.0);
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("f32(c == labels[id.x])", "f32(c == 0u)");
        assert_caught("softmax", std::panic::AssertUnwindSafe(|| check(&broken, 6, 3, 6, 3.0)));
    }
}
