//! A network as a list of layers.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::graph::Graph;
use super::{Architecture, Layout, ModelError};
use crate::kernels::plain_conv::Padding;

/// One layer. Pictures are `[N,H,W,C]` until [`Layer::Flatten`] or [`Layer::GlobalAveragePool`] makes rows `[N,C]` of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution.
    Conv {
        /// Output channels.
        filters: u32,
        /// Side of the kernel: odd.
        #[serde(default = "three")]
        kernel: u32,
        /// Pixels from one place of the kernel to the next.
        #[serde(default = "one")]
        stride: u32,
        /// What happens at the edges.
        #[serde(default)]
        padding: Padding,
        /// Groups of channels that do not see each other; as many as there are input channels: a depthwise convolution.
        #[serde(default = "one")]
        groups: u32,
        /// Whether a bias is added: of no use before batch normalisation.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Batch normalisation of every channel of pictures (Ioffe, Szegedy 2015).
    BatchNorm {
        /// Share of the running statistics that a step keeps.
        #[serde(default = "momentum")]
        momentum: f32,
        /// Added to the variance.
        #[serde(default = "epsilon")]
        epsilon: f32,
    },
    /// max(x, 0).
    Relu,
    /// x·Φ(x), Φ the normal distribution's (Hendrycks, Gimpel 2016).
    Gelu,
    /// x·σ(x), σ the logistic function (Elfwing et al. 2017).
    Silu,
    /// The largest of each square of pixels.
    MaxPool {
        /// Side of the square.
        #[serde(default = "two")]
        size: u32,
        /// Pixels from one square to the next; by itself, the side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<u32>,
        /// What happens at the edges.
        #[serde(default = "valid")]
        padding: Padding,
    },
    /// The mean of each square of pixels, of those inside the picture.
    AveragePool {
        /// Side of the square.
        #[serde(default = "two")]
        size: u32,
        /// Pixels from one square to the next; by itself, the side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<u32>,
        /// What happens at the edges.
        #[serde(default = "valid")]
        padding: Padding,
    },
    /// Pictures become rows: the mean of every channel.
    GlobalAveragePool,
    /// Drops elements with this probability while training.
    Dropout {
        /// In [0, 1).
        rate: f32,
    },
    /// Pictures become rows, in height, width, channel order.
    Flatten,
    /// Dense layer, of rows.
    Dense {
        /// Outputs.
        units: u32,
    },
    /// The sum of what two lists of layers make of the same pictures (He et al. 2015).
    Residual {
        /// The layers.
        body: Vec<Layer>,
        /// The other layers; none is the picture as it is.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<Layer>,
    },
    /// Dense layer to the classes, with softmax: always the last.
    Softmax,
}

fn one() -> u32 {
    1
}
fn two() -> u32 {
    2
}
fn three() -> u32 {
    3
}
fn yes() -> bool {
    true
}
fn valid() -> Padding {
    Padding::Valid
}
fn momentum() -> f32 {
    0.9
}
fn epsilon() -> f32 {
    1e-5
}

impl Layer {
    /// Convolution 3×3 "same" with a bias.
    pub fn conv(filters: u32) -> Layer {
        Layer::Conv { filters, kernel: 3, stride: 1, padding: Padding::Same, groups: 1, bias: true }
    }

    /// Max pooling of 2×2 pixels.
    pub fn max_pool() -> Layer {
        Layer::MaxPool { size: 2, stride: None, padding: Padding::Valid }
    }
}

/// Input size, layers and number of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Height of the pictures.
    pub height: u32,
    /// Width of the pictures.
    pub width: u32,
    /// Classes.
    pub classes: u32,
    /// The layers, first to last; rescaling of 0..255 to 0..1 comes before them.
    #[serde(deserialize_with = "layers")]
    pub layers: Vec<Layer>,
}

/// Layers of a run. The first version of the program had one layer for convolution, ReLU and pooling, and a ReLU in every
/// dense one.
fn layers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Layer>, D::Error> {
    let written = Vec::<serde_json::Map<String, Value>>::deserialize(deserializer)?;
    let is = |layer: &serde_json::Map<String, Value>, kind: &str| layer.get("layer").is_some_and(|name| name == kind);
    let early = written.iter().any(|layer| is(layer, "conv_relu_pool"));
    let mut layers = Vec::new();
    for mut layer in written {
        let (block, dense) = (is(&layer, "conv_relu_pool"), early && is(&layer, "dense"));
        if block {
            layer.insert("layer".to_owned(), "conv".into());
        }
        layers.push(Layer::deserialize(Value::Object(layer)).map_err(D::Error::custom)?);
        layers.extend((block || dense).then_some(Layer::Relu));
        layers.extend(block.then(Layer::max_pool));
    }
    Ok(layers)
}

/// A parameter of the network: its name, and how it lies in Keras's files and on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// `conv1.kernel`, `dense2.bias`…
    pub name: String,
    /// Shapes and order.
    pub layout: Layout,
    /// What it starts from.
    pub start: Start,
    /// Whether an optimiser changes it; running statistics it does not.
    pub learned: bool,
}

/// What a parameter starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Glorot's uniform distribution.
    Glorot,
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
}

impl NetworkSpec {
    /// The mission's network: three blocks of convolution, ReLU and pooling with 32, 64 and 128 filters, dropout 0.4,
    /// a dense layer of 256, dropout 0.2, softmax.
    pub fn reference(height: u32, width: u32, classes: u32) -> NetworkSpec {
        let mut layers = Vec::new();
        for filters in [32, 64, 128] {
            layers.extend([Layer::conv(filters), Layer::Relu, Layer::max_pool()]);
        }
        layers.extend([
            Layer::Dropout { rate: 0.4 },
            Layer::Flatten,
            Layer::Dense { units: 256 },
            Layer::Relu,
            Layer::Dropout { rate: 0.2 },
            Layer::Softmax,
        ]);
        NetworkSpec { height, width, classes, layers }
    }

    /// The built-in network called `name`.
    ///
    /// # Errors
    /// As [`Architecture::open`] and [`Architecture::network`].
    pub fn builtin(name: &str, height: u32, width: u32, classes: u32) -> Result<NetworkSpec, ModelError> {
        Architecture::builtin(name)?.network(height, width, classes)
    }

    /// Checks that every layer can do its work on what the one before it gives.
    ///
    /// # Errors
    /// [`ModelError::Spec`] with the layer's place.
    pub fn check(&self) -> Result<(), ModelError> {
        Ok(Graph::new(self).map(|_| ())?)
    }

    /// The parameters in order: a kernel and mostly a bias for every convolution and every dense layer; scale, offset and
    /// running statistics for every batch normalisation. None for a network that [`NetworkSpec::check`] refuses.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        Graph::new(self).map(|graph| graph.parameters).unwrap_or_default()
    }

    /// The layers with parameters in one line; only their number if there are many.
    pub fn summary(&self) -> String {
        let rows = Graph::new(self).map(|graph| graph.rows).unwrap_or_default();
        let kinds = rows.iter().filter(|row| row.parameters > 0 || row.name == "dropout");
        let list: Vec<String> =
            kinds.map(|row| format!("{} {}", row.name, row.description).trim().to_owned()).collect();
        match list.len() {
            0..=10 => list.join(", "),
            many => format!("{many} layers with parameters, from {} to {}", list[0], list[many - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_the_first_version_are_read() {
        let early = "height = 64\nwidth = 64\nclasses = 3\n\
                     layers = [{ layer = 'conv_relu_pool', filters = 32 }, { layer = 'conv_relu_pool', filters = 64 }, \
                     { layer = 'conv_relu_pool', filters = 128 }, { layer = 'dropout', rate = 0.4000000059604645 }, \
                     { layer = 'flatten' }, \
                     { layer = 'dense', units = 256 }, { layer = 'dropout', rate = 0.2 }, { layer = 'softmax' }]";
        let spec: NetworkSpec = toml::from_str(early).expect("a network");
        let reference = NetworkSpec::reference(64, 64, 3);
        assert_eq!(spec, reference);
        // And what is written today.
        assert_eq!(toml::from_str::<NetworkSpec>(&toml::to_string(&reference).expect("text")), Ok(spec));
        let resnet = NetworkSpec::builtin("resnet-small", 64, 64, 3).expect("built in");
        let json = serde_json::to_string(&resnet).expect("text");
        assert_eq!(serde_json::from_str::<NetworkSpec>(&json).expect("a network"), resnet);
        let error = toml::from_str::<NetworkSpec>(&early.replace("'flatten'", "'flat'")).expect_err("no layer");
        assert!(error.message().contains("unknown variant `flat`"), "{error}");
    }
}
