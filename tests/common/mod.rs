//! What several test binaries share: adapters, and the network of the golden figures.

#![allow(dead_code, reason = "each binary uses its part")]

use glowworm::gpu::{Body, Gpu};
use glowworm::model::{Layer, NetworkSpec, Tensor, Weights};
use safetensors::SafeTensors;

/// The adapter, once with each body that it can run; none if a missing adapter is allowed.
pub fn bodies() -> Vec<Gpu> {
    match Gpu::open(None) {
        Ok(gpu) if gpu.body() == Body::Lanes => vec![gpu.with_body(Body::Tiles), gpu],
        Ok(gpu) => vec![gpu],
        Err(error) if std::env::var_os("GLOWWORM_ALLOW_NO_ADAPTER").is_some() => {
            println!("skipped: {error}");
            Vec::new()
        }
        Err(error) => panic!("{error}"),
    }
}

/// The network that Keras's figures were made with: the reference network at a small size, without dropout.
pub fn golden_spec() -> NetworkSpec {
    let mut layers = Vec::new();
    for filters in [8, 16, 16] {
        layers.extend([Layer::conv(filters), Layer::Relu, Layer::max_pool()]);
    }
    layers.extend([Layer::Flatten, Layer::Dense { units: 32 }, Layer::Relu, Layer::Softmax]);
    NetworkSpec { layers, ..NetworkSpec::reference(16, 16, 3) }
}

/// A file of recorded figures.
pub struct Golden(SafeTensors<'static>);

impl Golden {
    pub fn open(bytes: &'static [u8]) -> Golden {
        Golden(SafeTensors::deserialize(bytes).expect("the golden file is whole"))
    }

    pub fn get(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(self.0.tensor(name).expect(name).data())
    }

    /// Pictures of whole numbers `[N,H,W,3]`, as bytes `[N,H,W,4]`.
    pub fn pictures(&self, name: &str) -> Vec<u8> {
        self.get(name).chunks(3).flat_map(|p| [p[0] as u8, p[1] as u8, p[2] as u8, 255]).collect()
    }

    pub fn weights(&self, prefix: &str) -> Weights {
        self.weights_of(&golden_spec(), prefix)
    }

    pub fn weights_of(&self, spec: &NetworkSpec, prefix: &str) -> Weights {
        let tensor = |p: Tensor| Tensor { data: self.get(&format!("{prefix}.{}", p.name)), ..p };
        Weights(Weights::initial(spec, 0).0.into_iter().map(tensor).collect())
    }
}
