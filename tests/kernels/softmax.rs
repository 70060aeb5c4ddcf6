//! Softmax, cross-entropy and their gradient.

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::softmax::{Label, Outputs, Softmax};

use crate::common::Golden;
use crate::harness::*;

/// What a row should answer.
fn targets(label: &Label, classes: usize) -> Vec<f64> {
    let (share, smoothing) = (f64::from(label.share), f64::from(label.smoothing));
    let mut targets = vec![smoothing / classes as f64; classes];
    targets[label.first as usize] += (1.0 - smoothing) * (1.0 - share);
    targets[label.second as usize] += (1.0 - smoothing) * share;
    targets
}

/// Probabilities and loss of a row.
fn reference(logits: &[f64], label: &Label) -> (Vec<f64>, f64) {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - top).exp()).sum();
    let meant = logits.iter().zip(targets(label, logits.len())).map(|(z, t)| t * (z - top));
    let loss = f64::from(label.weight) * (sum.ln() - meant.sum::<f64>());
    (logits.iter().map(|z| (z - top).exp() / sum).collect(), loss)
}

/// Labels of one class only, or of every kind.
fn draw(random: &mut Random, classes: usize, soft: bool) -> Label {
    let mut class = || random.size(0, classes - 1) as u32;
    let (label, second) = (Label::from(class()), class());
    if !soft {
        return label;
    }
    let mut share = || random.float().abs() as f32;
    Label { second, share: share(), smoothing: share(), weight: 4.0 * share(), ..label }
}

/// `exp` and `log` of a GPU may be off by a few units in the last place, and their error grows with the argument
/// (WGSL allows 3 + 2|x| units for exp).
const ROUNDINGS: usize = 60;

fn check(gpu: &Gpu, rows: usize, classes: usize, count: usize, scale: f64, soft: bool) {
    let mut random = Random::new((rows * 1000 + classes) as u64);
    let name =
        format!("softmax of {rows} rows, {count} of them counted, {classes} classes, scale {scale}, soft {soft}");
    let logits: Vec<f64> = random.floats(rows * classes).iter().map(|z| f64::from((z * scale) as f32)).collect();
    let labels: Vec<Label> = (0..rows).map(|_| draw(&mut random, classes, soft)).collect();
    let shape = Softmax::new(rows as u32, classes as u32);
    let len = quad_len([rows, 1, 1, classes], 0);
    // The padding of the logits must not matter.
    let mut padded = vec![1e30; len];
    each_quad([rows, 1, 1, classes], 0, |from, to| padded[to] = logits[from] as f32);
    // The rows are a part of a batch that is twice and once more as large.
    let whole = 2 * count + 1;
    let step = gpu.uniform(&Step { count: count as u32, whole: whole as u32, ..Step::default() }).expect("room");
    let (logits_buffer, labels_buffer) = (input(gpu, &padded), words(gpu, bytemuck::cast_slice(&labels)));
    let outputs = Outputs {
        logits: &logits_buffer,
        labels: &labels_buffer,
        probabilities: &output(gpu, len),
        results: &output(gpu, rows * 2),
    };
    let d_logits = output(gpu, len);
    run(gpu, [shape.train(gpu, &step, &outputs, &d_logits).expect("it binds")]);
    let results = read(gpu, outputs.results, rows * 2);
    let d_got = read(gpu, &d_logits, len);
    let p_got = read(gpu, outputs.probabilities, len);

    let (mut p, mut d, mut loss) = (Sums::zeros(rows * classes), Sums::zeros(rows * classes), Sums::zeros(rows));
    for row in 0..rows {
        let z = &logits[row * classes..(row + 1) * classes];
        let label = &labels[row];
        let targets = targets(label, classes);
        let (probabilities, value) = reference(z, label);
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (c, q) in probabilities.iter().enumerate() {
            // The error of exp grows with its argument, and the smallest numbers may be flushed to zero.
            let (far, tiny) = (1.0 + (z[c] - top).abs(), 2f64.powi(-100));
            p.value[row * classes + c] = *q;
            p.magnitude[row * classes + c] = q * far + tiny;
            if row < count {
                let scale = f64::from(label.weight) / whole as f64;
                d.value[row * classes + c] = (q - targets[c]) * scale;
                d.magnitude[row * classes + c] = (q * far + tiny + targets[c]) * scale;
            }
        }
        let best = (1..classes).fold(0, |best, c| if z[c] > z[best] { c } else { best });
        let larger = if label.share > 0.5 { label.second } else { label.first };
        let hit = if row < count { f32::from(u8::from(best == larger as usize)) } else { 0.0 };
        assert_eq!(results[row * 2 + 1], hit, "{name}: hit of row {row}");
        if row < count {
            loss.value[row] = value;
            let meant: f64 = z.iter().zip(&targets).map(|(z, t)| t * (z.abs() + top.abs())).sum();
            loss.magnitude[row] = f64::from(label.weight) * (value.abs() + meant + z[best].abs() + 1.0);
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
    for soft in [false, true] {
        let (logits, label) = (random.floats(7), draw(&mut random, 7, soft));
        let weight = f64::from(label.weight);
        let (p, _) = reference(&logits, &label);
        let gradient: Vec<f64> = p.iter().zip(targets(&label, 7)).map(|(p, t)| weight * (p - t)).collect();
        check_gradient("loss", |z| vec![reference(z, &label).1], &logits, &[1.0], &gradient);
    }
}

#[test]
fn probabilities_losses_hits_and_gradients() {
    for gpu in bodies() {
        for soft in [false, true] {
            for (rows, classes, count) in [(1, 2, 1), (6, 3, 6), (32, 3, 11), (9, 12, 9), (17, 4, 16), (5, 1000, 5)] {
                check(&gpu, rows, classes, count, 3.0, soft);
            }
            // Logits far apart: nothing overflows.
            check(&gpu, 8, 5, 8, 80.0, soft);
        }
    }
}

#[test]
fn losses_and_gradients_of_soft_targets_agree_with_keras() {
    let golden = Golden::open(include_bytes!("../golden/soft_targets.safetensors"));
    let (rows, classes) = (6, 5);
    let whole = |name: &str| golden.get(name).into_iter().map(|v| v as u32).collect::<Vec<_>>();
    let (class, second) = (whole("class"), whole("second"));
    let (logits, share, weight) = (golden.get("logits"), golden.get("share"), golden.get("weight"));
    for (name, smoothing) in [("plain", 0.0), ("smooth", 0.1)] {
        let label =
            |i: usize| Label { first: class[i], second: second[i], share: share[i], smoothing, weight: weight[i] };
        let labels: Vec<Label> = (0..rows).map(label).collect();
        for gpu in bodies() {
            let len = quad_len([rows, 1, 1, classes], 0);
            let mut padded = vec![0.0; len];
            each_quad([rows, 1, 1, classes], 0, |from, to| padded[to] = logits[from]);
            let counts = Step { count: rows as u32, whole: rows as u32, ..Step::default() };
            let step = gpu.uniform(&counts).expect("room");
            let (results, d_logits) = (output(&gpu, rows * 2), output(&gpu, len));
            let outputs = Outputs {
                logits: &input(&gpu, &padded),
                labels: &words(&gpu, bytemuck::cast_slice(&labels)),
                probabilities: &output(&gpu, len),
                results: &results,
            };
            let softmax = Softmax::new(rows as u32, classes as u32);
            run(&gpu, [softmax.train(&gpu, &step, &outputs, &d_logits).expect("it binds")]);
            let loss = read(&gpu, &results, rows * 2).chunks(2).map(|r| r[0]).sum::<f32>() / rows as f32;
            let expected = golden.get(&format!("{name}.loss"))[0];
            assert!((loss - expected).abs() < 1e-5 * expected, "{name}: loss {loss}, Keras says {expected}");
            let gradient = from_quads(&read(&gpu, &d_logits, len), [rows, 1, 1, classes], 0);
            for (got, expected) in gradient.iter().zip(golden.get(&format!("{name}.gradient"))) {
                assert!((got - expected).abs() < 1e-6, "{name}: gradient {got}, Keras says {expected}");
            }
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("f32(c == label.first)", "f32(c == 0u)");
        assert_caught("softmax", std::panic::AssertUnwindSafe(|| check(&broken, 6, 3, 6, 3.0, false)));
    }
}
