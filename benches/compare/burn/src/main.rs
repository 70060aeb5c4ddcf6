//! The reference network in burn: prints a JSON line of the median milliseconds of a training step and of an inference batch.
//!
//!     glowworm-burn IMAGE_SIZE [STEPS]
//!
//! Batch 32, 3 classes, f32, Adam; flips and rotations are not part of the step. The backend is the feature it was built with.
#![recursion_limit = "256"]

use std::time::Instant;

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{relu, softmax};

const BATCH: usize = 32;
const CLASSES: usize = 3;
/// Steps before the measured ones: compiling, and on a GPU the choice among kernels.
const WARM_UP: usize = 3;

#[derive(Module, Debug)]
struct Net {
    convolutions: Vec<Conv2d>,
    pool: MaxPool2d,
    dropout1: Dropout,
    dense1: Linear,
    dropout2: Dropout,
    dense2: Linear,
}

impl Net {
    fn new(side: usize, device: &Device) -> Net {
        let conv = |inputs, filters| {
            Conv2dConfig::new([inputs, filters], [3, 3]).with_padding(PaddingConfig2d::Same).init(device)
        };
        Net {
            convolutions: vec![conv(3, 32), conv(32, 64), conv(64, 128)],
            pool: MaxPool2dConfig::new([2, 2]).init(),
            dropout1: DropoutConfig::new(0.4).init(),
            dense1: LinearConfig::new((side / 8) * (side / 8) * 128, 256).init(device),
            dropout2: DropoutConfig::new(0.2).init(),
            dense2: LinearConfig::new(256, CLASSES).init(device),
        }
    }

    /// Pictures [batch, 3, side, side] to logits [batch, classes].
    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for convolution in &self.convolutions {
            x = self.pool.forward(relu(convolution.forward(x)));
        }
        let x = relu(self.dense1.forward(self.dropout1.forward(x.flatten(1, 3))));
        self.dense2.forward(self.dropout2.forward(x))
    }
}

fn device() -> Device {
    #[cfg(all(feature = "flex", not(feature = "wgpu")))]
    return Device::flex();
    #[cfg(all(feature = "wgpu", not(feature = "flex")))]
    return Device::wgpu(Default::default());
    #[cfg(not(any(all(feature = "flex", not(feature = "wgpu")), all(feature = "wgpu", not(feature = "flex")))))]
    compile_error!("build with one backend: --features flex or --features wgpu");
}

/// The median of some steps, in milliseconds, after those that warm up.
fn milliseconds(count: usize, mut step: impl FnMut()) -> f64 {
    (0..WARM_UP).for_each(|_| step());
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let side: usize = arguments.first().ok_or("usage: glowworm-burn IMAGE_SIZE [STEPS]")?.parse()?;
    let steps: usize = arguments.get(1).map_or(Ok(9), |steps| steps.parse())?;

    let device = device().autodiff();
    let mut net = Net::new(side, &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-7).init();
    let x: Tensor<4> = Tensor::random([BATCH, 3, side, side], Distribution::Uniform(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..BATCH).map(|i| (i % CLASSES) as i32).collect();
    let y: Tensor<1, Int> = Tensor::from_data(labels.as_slice(), &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let training = milliseconds(steps.max(1), || {
        let loss = cross_entropy.forward(net.forward(x.clone()), y.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = adam.step(1e-3, net.clone(), gradients);
        // Reading the loss waits for the forward pass only.
        loss.into_data();
        device.sync().expect("the device answers");
    });

    let (net, x) = (net.valid(), x.inner());
    let inference = milliseconds(steps.max(1), || {
        softmax(net.forward(x.clone()), 1).into_data();
    });
    println!("{{\"training step\": {training:.3}, \"inference\": {inference:.3}}}");
    Ok(())
}
