//! One step of every optimiser over random parameters. (`tests/network.rs` holds five steps against Keras's figures.)

use glowworm::gpu::Gpu;
use glowworm::kernels::Step;
use glowworm::kernels::optimizer::{Optimizer, Parameter, Rule};

use crate::harness::*;

/// New weight and states of one element.
fn reference(rule: Rule, o: &Optimizer, step: &Step, w: f64, g: f64, m: f64, v: f64) -> [f64; 3] {
    let rate = f64::from(step.rate);
    let w = w - f64::from(step.decay) * w;
    let (beta1, beta2, epsilon) = (f64::from(o.beta1), f64::from(o.beta2), f64::from(o.epsilon));
    match rule {
        Rule::Sgd => [w - rate * g, m, v],
        Rule::Momentum => {
            let velocity = beta1 * m - rate * g;
            [w + if o.nesterov == 1 { beta1 * velocity - rate * g } else { velocity }, velocity, v]
        }
        Rule::RmsProp => {
            let second = beta2 * v + (1.0 - beta2) * g * g;
            [w - rate * g / (second + epsilon).sqrt(), m, second]
        }
        Rule::Adam => {
            let (first, second) = (m + (g - m) * (1.0 - beta1), v + (g * g - v) * (1.0 - beta2));
            [w - rate * first / (second.sqrt() + epsilon), first, second]
        }
    }
}

fn check(gpu: &Gpu, rule: Rule, nesterov: bool, decaying: usize, quads: usize) {
    let mut random = Random::new(quads as u64);
    let mut draw = || [random.floats(quads * 4 - 4), vec![0.0; 4]].concat();
    let (w, g, m) = (draw(), draw(), draw());
    let v: Vec<f64> = draw().iter().map(|v| v.abs()).collect();
    let optimizer = Optimizer {
        quads: quads as u32,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-7,
        nesterov: u32::from(nesterov),
        decaying: decaying as u32,
    };
    let settings = Step { rate: 0.01, decay: 0.125, ..Step::default() };
    let step = gpu.uniform(&settings).expect("room");
    let buffer = |values: &[f64]| input(gpu, &values.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let buffers = [buffer(&w), buffer(&g), buffer(&m), buffer(&v)];
    let (first, second) = rule.states();
    let parameter = Parameter {
        weights: buffers[0].clone(),
        gradient: buffers[1].clone(),
        first: first.then(|| buffers[2].clone()),
        second: second.then(|| buffers[3].clone()),
    };
    run(gpu, optimizer.step(gpu, rule, &step, &parameter));
    for (which, buffer) in [(0, &buffers[0]), (1, &buffers[2]), (2, &buffers[3])] {
        let mut expected = Sums::zeros(quads * 4);
        for i in 0..quads * 4 {
            // The inputs are f32s already.
            let (decay, v) = (if i < decaying * 4 { settings.decay } else { 0.0 }, f64::from(v[i] as f32));
            expected.value[i] = reference(rule, &optimizer, &Step { decay, ..settings }, w[i], g[i], m[i], v)[which];
            expected.magnitude[i] = w[i].abs() + g[i].abs() + m[i].abs() + v + f64::from(settings.rate);
        }
        let name = format!("{rule:?} nesterov {nesterov}, {decaying} of {quads} quads decay, output {which}");
        let found = read(gpu, buffer, quads * 4);
        assert_close(&name, &found, &expected, 8);
        assert_eq!(found[quads * 4 - 4..], [0.0; 4], "{name}: what lies between parameters stays zero");
    }
    assert_exact("the gradient is left as it is", &read(gpu, &buffers[1], quads * 4), &g);
}

#[test]
fn steps_follow_the_formulas() {
    for gpu in bodies() {
        for quads in [1, 2, 63, 64, 65, 1000] {
            for decays in [0, quads / 3, quads] {
                check(&gpu, Rule::Adam, false, decays, quads);
                check(&gpu, Rule::Sgd, false, decays, quads);
                check(&gpu, Rule::Momentum, false, decays, quads);
                check(&gpu, Rule::Momentum, true, decays, quads);
                check(&gpu, Rule::RmsProp, false, decays, quads);
            }
        }
    }
}

#[test]
fn a_broken_kernel_is_caught() {
    for gpu in bodies() {
        let broken = gpu.with_edit("first * step.rate", "gradient * step.rate");
        assert_caught("adam", std::panic::AssertUnwindSafe(|| check(&broken, Rule::Adam, false, 0, 20)));
    }
}
