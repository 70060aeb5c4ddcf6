//! A network as a list of layers.

use serde::{Deserialize, Serialize};

use super::{Layout, ModelError};

/// No description asks for more than this, whoever wrote it: sizes in bytes stay far below 2⁶⁴ and numbers of quads below
/// 2³², and no loop of a kernel runs 65,535 turns, after which some drivers end it in silence.
const MOST_PIXELS: u32 = 4096;
const MOST_CLASSES: u32 = 10_000;
const MOST_UNITS: u32 = 16_384;
const MOST_INPUTS: u64 = 1 << 26;
const MOST_LAYERS: usize = 100;

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution 3×3 "same" with this many filters, ReLU, max pooling 2×2 (an odd last row or column is dropped).
    ConvReluPool {
        /// Output channels.
        filters: u32,
    },
    /// Drops elements with this probability while training.
    Dropout {
        /// In [0, 1).
        rate: f32,
    },
    /// Pictures become rows, in height, width, channel order.
    Flatten,
    /// Dense layer with ReLU.
    Dense {
        /// Outputs.
        units: u32,
    },
    /// Dense layer to the classes, with softmax: always the last.
    Softmax,
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
    pub layers: Vec<Layer>,
}

/// A parameter of the network: its name, and how it lies in Keras's files and on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// `conv1.kernel`, `dense2.bias`…
    pub name: String,
    /// Shapes and order.
    pub layout: Layout,
}

impl NetworkSpec {
    /// The mission's network: three blocks of convolution, ReLU and pooling with 32, 64 and 128 filters, dropout 0.4,
    /// a dense layer of 256, dropout 0.2, softmax.
    pub fn reference(height: u32, width: u32, classes: u32) -> NetworkSpec {
        let layers = vec![
            Layer::ConvReluPool { filters: 32 },
            Layer::ConvReluPool { filters: 64 },
            Layer::ConvReluPool { filters: 128 },
            Layer::Dropout { rate: 0.4 },
            Layer::Flatten,
            Layer::Dense { units: 256 },
            Layer::Dropout { rate: 0.2 },
            Layer::Softmax,
        ];
        NetworkSpec { height, width, classes, layers }
    }

    /// Checks the order of the layers and that every pool has something to pool.
    ///
    /// # Errors
    /// [`ModelError::Spec`] with the layer's number.
    pub fn check(&self) -> Result<(), ModelError> {
        let fail = |index: usize, text: String| Err(ModelError::Spec(format!("layer {}: {text}", index + 1)));
        if !(2..=MOST_CLASSES).contains(&self.classes) {
            return Err(ModelError::Spec(format!("it needs 2 to {MOST_CLASSES} classes, not {}", self.classes)));
        }
        if self.height.max(self.width) > MOST_PIXELS {
            let text = format!("{}×{} pixels, where sides end at {MOST_PIXELS}", self.height, self.width);
            return Err(ModelError::Spec(text));
        }
        if self.layers.len() > MOST_LAYERS {
            return Err(ModelError::Spec(format!("{} layers, where {MOST_LAYERS} is the most", self.layers.len())));
        }
        let (mut height, mut width, mut flat) = (self.height, self.width, false);
        let mut channels = 3;
        for (index, layer) in self.layers.iter().enumerate() {
            match layer {
                Layer::ConvReluPool { filters } => {
                    if flat {
                        return fail(index, "a convolution after Flatten".to_owned());
                    }
                    if height < 2 || width < 2 {
                        let text = format!("pooling of {height}×{width} pixels leaves nothing; use a larger image");
                        return fail(index, text);
                    }
                    if !(1..=MOST_UNITS).contains(filters) {
                        return fail(index, format!("{filters} filters, where 1 to {MOST_UNITS} are possible"));
                    }
                    (height, width, channels) = (height / 2, width / 2, *filters);
                }
                Layer::Dropout { rate } => {
                    if !(0.0..1.0).contains(rate) {
                        return fail(index, format!("a dropout rate of {rate}: it must be at least 0 and below 1"));
                    }
                    let next = self.layers.get(index + 1);
                    if !flat && next != Some(&Layer::Flatten) || index == 0 {
                        return fail(index, "dropout must stand before Flatten or after a dense layer".to_owned());
                    }
                }
                Layer::Flatten if flat || index == 0 => {
                    return fail(index, "Flatten must follow a convolution".to_owned());
                }
                Layer::Flatten => {
                    let inputs = u64::from(height) * u64::from(width) * u64::from(channels);
                    if inputs > MOST_INPUTS {
                        return fail(
                            index,
                            format!("{inputs} inputs of a dense layer, where {MOST_INPUTS} is the most"),
                        );
                    }
                    flat = true;
                }
                Layer::Dense { units } => {
                    if !flat {
                        return fail(index, "a dense layer before Flatten".to_owned());
                    }
                    if !(1..=MOST_UNITS).contains(units) {
                        return fail(index, format!("{units} units, where 1 to {MOST_UNITS} are possible"));
                    }
                }
                Layer::Softmax => {
                    if !flat || index + 1 != self.layers.len() {
                        return fail(index, "Softmax must be the last layer, after Flatten".to_owned());
                    }
                }
            }
        }
        if self.layers.last() != Some(&Layer::Softmax) {
            return Err(ModelError::Spec("the last layer must be Softmax".to_owned()));
        }
        Ok(())
    }

    /// The parameters in order: a kernel and a bias for every convolution and every dense layer.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let (mut height, mut width, mut channels) = (self.height, self.width, 3);
        let mut spatial = true;
        let (mut convolutions, mut denses) = (0, 0);
        let mut all = Vec::new();
        for layer in &self.layers {
            match layer {
                Layer::ConvReluPool { filters } => {
                    convolutions += 1;
                    let kernel = Layout::Convolution { kernel: 3, inputs: channels, outputs: *filters };
                    all.push(ParameterSpec { name: format!("conv{convolutions}.kernel"), layout: kernel });
                    let bias = Layout::Bias { outputs: *filters };
                    all.push(ParameterSpec { name: format!("conv{convolutions}.bias"), layout: bias });
                    (height, width, channels) = (height / 2, width / 2, *filters);
                }
                Layer::Dense { .. } | Layer::Softmax => {
                    denses += 1;
                    let outputs = if let Layer::Dense { units } = layer { *units } else { self.classes };
                    let area = if spatial { height * width } else { 1 };
                    let kernel = Layout::Dense { area, channels, outputs };
                    all.push(ParameterSpec { name: format!("dense{denses}.kernel"), layout: kernel });
                    all.push(ParameterSpec { name: format!("dense{denses}.bias"), layout: Layout::Bias { outputs } });
                    (spatial, channels) = (false, outputs);
                }
                Layer::Dropout { .. } | Layer::Flatten => {}
            }
        }
        all
    }
}
