//! The two orders in which a parameter lies: Keras's, in files, and quads of channels, on the device; and the pieces in which
//! a large one goes from one to the other, so that the host never holds it whole.

use std::ops::Range;

/// Numbers of the largest piece, 4 MiB.
const PIECE: usize = 1 << 20;

/// A parameter's kind and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Keras `[kernel, kernel, inputs, outputs]`; device `[inputs/4, kernel², outputs]` quads of inputs, outputs padded to
    /// quads.
    Convolution {
        /// Side of the kernel, in pixels.
        kernel: u32,
        /// Input channels that an output channel sees: those of its group.
        inputs: u32,
        /// Output channels, of all groups.
        outputs: u32,
    },
    /// A kernel a channel: Keras `[kernel, kernel, channels, 1]`; device `[kernel², channels]`, channels padded to quads.
    Depthwise {
        /// Side of the kernel, in pixels.
        kernel: u32,
        /// Channels.
        channels: u32,
    },
    /// Keras `[area*channels, outputs]` with rows in height, width, channel order; device rows in channel/4, height,
    /// width, channel%4 order, that of the activations, and outputs padded to quads.
    Dense {
        /// Pixels of the flattened picture; 1 after another dense layer.
        area: u32,
        /// Channels, or outputs of the dense layer before.
        channels: u32,
        /// Outputs.
        outputs: u32,
    },
    /// `[outputs]`, padded to quads on the device.
    Bias {
        /// Outputs.
        outputs: u32,
    },
}

fn padded(n: u32) -> usize {
    n.next_multiple_of(4) as usize
}

/// Taps of a kernel of this side.
fn taps(kernel: u32) -> usize {
    kernel as usize * kernel as usize
}

impl Layout {
    /// The shape in Keras's order.
    pub fn shape(&self) -> Vec<usize> {
        match *self {
            Layout::Convolution { kernel, inputs, outputs } => {
                [kernel, kernel, inputs, outputs].map(|n| n as usize).to_vec()
            }
            Layout::Depthwise { kernel, channels } => [kernel, kernel, channels, 1].map(|n| n as usize).to_vec(),
            Layout::Dense { area, channels, outputs } => vec![area as usize * channels as usize, outputs as usize],
            Layout::Bias { outputs } => vec![outputs as usize],
        }
    }

    /// Number of weights, without padding.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there are no weights at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `f32`s on the device, with padding.
    pub fn device_len(&self) -> usize {
        match *self {
            Layout::Convolution { kernel, inputs, outputs } => padded(inputs) * taps(kernel) * padded(outputs),
            Layout::Depthwise { kernel, channels } => taps(kernel) * padded(channels),
            Layout::Dense { area, channels, outputs } => area as usize * padded(channels) * padded(outputs),
            Layout::Bias { outputs } => padded(outputs),
        }
    }

    /// Bytes on the device, with padding.
    pub(super) fn device_bytes(&self) -> u64 {
        self.device_len() as u64 * 4
    }

    /// Whether weight decay shrinks it: biases and the like are few, and have no reason to be small.
    pub(super) fn decays(&self) -> bool {
        !matches!(self, Layout::Bias { .. })
    }

    /// Inputs and outputs that a weight joins, the fans of Glorot's rule; `None` for a bias.
    pub fn fans(&self) -> Option<(usize, usize)> {
        match *self {
            Layout::Convolution { kernel, inputs, outputs } => {
                Some((taps(kernel) * inputs as usize, taps(kernel) * outputs as usize))
            }
            Layout::Depthwise { kernel, .. } => Some((taps(kernel), taps(kernel))),
            Layout::Dense { area, channels, outputs } => Some((area as usize * channels as usize, outputs as usize)),
            Layout::Bias { .. } => None,
        }
    }

    /// Calls `pair(Keras's index, the device's index)` for every weight.
    fn each(&self, mut pair: impl FnMut(usize, usize)) {
        match *self {
            Layout::Convolution { kernel, inputs, outputs } => {
                let (taps, inputs, outputs, pitch) = (taps(kernel), inputs as usize, outputs as usize, padded(outputs));
                for tap in 0..taps {
                    for i in 0..inputs {
                        for o in 0..outputs {
                            pair((tap * inputs + i) * outputs + o, ((i / 4 * taps + tap) * pitch + o) * 4 + i % 4);
                        }
                    }
                }
            }
            Layout::Depthwise { kernel, channels } => {
                for tap in 0..taps(kernel) {
                    (0..channels as usize).for_each(|c| pair(tap * channels as usize + c, tap * padded(channels) + c));
                }
            }
            Layout::Dense { area, channels, outputs } => {
                let (area, channels) = (area as usize, channels as usize);
                let (outputs, pitch) = (outputs as usize, padded(outputs));
                for pixel in 0..area {
                    for c in 0..channels {
                        let row = (c / 4 * area + pixel) * 4 + c % 4;
                        for o in 0..outputs {
                            pair((pixel * channels + c) * outputs + o, row * pitch + o);
                        }
                    }
                }
            }
            Layout::Bias { outputs } => (0..outputs as usize).for_each(|o| pair(o, o)),
        }
    }

    /// From Keras's order to the device's; the padding is zero.
    pub fn pack(&self, keras: &[f32]) -> Vec<f32> {
        let mut device = vec![0.0; self.device_len()];
        self.each(|from, to| device[to] = keras[from]);
        device
    }

    /// From the device's order to Keras's.
    pub fn unpack(&self, device: &[f32]) -> Vec<f32> {
        let mut keras = vec![0.0; self.len()];
        self.each(|to, from| keras[to] = device[from]);
        keras
    }
}

/// A part of a parameter: contiguous in Keras's order, and on the device in stretches that lie apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The order of its numbers, that of a smaller parameter.
    layout: Layout,
    start: usize,
    stretches: Vec<Range<u64>>,
}

impl Piece {
    /// Its numbers within the parameter, in Keras's order.
    pub fn keras(&self) -> Range<usize> {
        self.start..self.start + self.layout.len()
    }

    /// Its bytes within the parameter on the device.
    pub fn stretches(&self) -> &[Range<u64>] {
        &self.stretches
    }

    /// From Keras's order to that of the stretches, one behind the other; the padding is zero.
    pub fn pack(&self, keras: &[f32]) -> Vec<f32> {
        self.layout.pack(keras)
    }

    /// From the order of the stretches to Keras's.
    pub fn unpack(&self, stretches: &[f32]) -> Vec<f32> {
        self.layout.unpack(stretches)
    }
}

impl Layout {
    /// The parameter in pieces, in Keras's order. Only kernels of dense layers are cut: no others are large.
    pub fn pieces(&self) -> Vec<Piece> {
        self.pieces_of(PIECE)
    }

    fn pieces_of(&self, most: usize) -> Vec<Piece> {
        match *self {
            Layout::Dense { area, channels, outputs } if self.device_len() > most => {
                // Whole pixels, or if one is too much, quads of its channels.
                let pixels = (most / (padded(channels) * padded(outputs))).clamp(1, area as usize) as u32;
                let quads = (most / (4 * padded(outputs))).max(1);
                let some = if pixels == 1 { (4 * quads).min(padded(channels)) as u32 } else { channels };
                let cut = |all: u32, by: u32| (0..all).step_by(by as usize).map(move |at| at..all.min(at + by));
                cut(area, pixels)
                    .flat_map(|p| cut(channels, some.max(1)).map(move |c| (p.clone(), c)))
                    .map(|(pixels, channels_of)| {
                        let start = (pixels.start * channels + channels_of.start) as usize * outputs as usize;
                        let (area_of, quads) =
                            (pixels.len() as u32, channels_of.start / 4..channels_of.end.div_ceil(4));
                        let quad_of_row = 16 * padded(outputs) as u64;
                        let stretches = quads.map(|quad| {
                            let row = u64::from(quad) * u64::from(area) + u64::from(pixels.start);
                            row * quad_of_row..(row + u64::from(area_of)) * quad_of_row
                        });
                        let layout = Layout::Dense { area: area_of, channels: channels_of.len() as u32, outputs };
                        Piece { layout, start, stretches: joined(stretches) }
                    })
                    .collect()
            }
            _ => {
                vec![Piece { layout: *self, start: 0, stretches: std::iter::once(0..self.device_bytes()).collect() }]
            }
        }
    }
}

/// Stretches that touch become one.
fn joined(stretches: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for stretch in stretches {
        match all.last_mut() {
            Some(last) if last.end == stretch.start => last.end = stretch.end,
            _ => all.push(stretch),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_in_order_and_none_is_larger_than_asked() {
        for layout in [
            Layout::Dense { area: 6, channels: 5, outputs: 3 },
            Layout::Dense { area: 5, channels: 8, outputs: 4 },
            Layout::Dense { area: 1, channels: 27, outputs: 2 },
            Layout::Bias { outputs: 9 },
        ] {
            let keras: Vec<f32> = (1..=layout.len()).map(|i| i as f32).collect();
            let device = layout.pack(&keras);
            for most in [16, 32, 40, 64, 96, 1000] {
                let (mut read, mut laid) = (Vec::new(), vec![f32::NAN; device.len()]);
                for piece in layout.pieces_of(most) {
                    let of = |stretch: &Range<u64>| stretch.start as usize / 4..stretch.end as usize / 4;
                    let mut packed = piece.pack(&keras[piece.keras()]);
                    assert!(packed.len() <= most || matches!(layout, Layout::Bias { .. }), "{layout:?} {most}");
                    let found: Vec<f32> = piece.stretches().iter().flat_map(|s| device[of(s)].to_vec()).collect();
                    read.extend(piece.unpack(&found));
                    for stretch in piece.stretches() {
                        let rest = packed.split_off(of(stretch).len());
                        laid[of(stretch)].copy_from_slice(&packed);
                        packed = rest;
                    }
                }
                assert_eq!((&read, &laid), (&keras, &device), "{layout:?} in pieces of {most}");
            }
        }
    }

    #[test]
    fn packing_and_unpacking_are_inverse_and_padding_is_zero() {
        for layout in [
            Layout::Convolution { kernel: 3, inputs: 3, outputs: 6 },
            Layout::Convolution { kernel: 1, inputs: 8, outputs: 5 },
            Layout::Depthwise { kernel: 5, channels: 6 },
            Layout::Dense { area: 6, channels: 5, outputs: 3 },
            Layout::Dense { area: 1, channels: 7, outputs: 4 },
            Layout::Bias { outputs: 3 },
        ] {
            let keras: Vec<f32> = (1..=layout.len()).map(|i| i as f32).collect();
            let device = layout.pack(&keras);
            assert_eq!(layout.unpack(&device), keras);
            let sum = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>();
            assert_eq!(sum(&device), sum(&keras), "{layout:?}: something besides the weights is not zero");
        }
    }
}
