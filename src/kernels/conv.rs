//! Convolution 3×3 "same", bias, ReLU and 2×2 max pooling in one kernel, and its gradients.
//!
//! Activations are `[N, C/4, H+2b, W+2b]` quads of channels with a zero border b; the pool writes, beside the pooled
//! value, a byte a channel that says which of the four pixels won. The pixels before the pool are never stored.

mod winograd;

use super::{Needs, QUAD, check_sizes};
use crate::gpu::{Body, Buffer, Dispatch, Gpu, GpuError, Quads, Source, linear_grid, uniform_struct};

pub use winograd::Winograd;

const SHARED: &str = include_str!("../../shaders/conv.wgsl");
const LANE_BODY: &str = include_str!("../../shaders/conv/lanes.wgsl");
const LANE_VECTORS: &str = include_str!("../../shaders/lanes/vectors.wgsl");
const TILE_BODY: &str = include_str!("../../shaders/conv/tiles.wgsl");
const TILE_WEIGHTS: &str = include_str!("../../shaders/conv/tiles/weights.wgsl");
const TILES: Source = Source {
    name: "conv/tiles/direct.wgsl",
    parts: &[SHARED, TILE_BODY, include_str!("../../shaders/conv/tiles/direct.wgsl")],
};
const WIDE_WEIGHTS: Source = Source {
    name: "conv/tiles/weights/wide.wgsl",
    parts: &[SHARED, TILE_BODY, TILE_WEIGHTS, include_str!("../../shaders/conv/tiles/weights/wide.wgsl")],
};
const SMALL_WEIGHTS: Source = Source {
    name: "conv/tiles/weights/small.wgsl",
    parts: &[SHARED, TILE_BODY, TILE_WEIGHTS, include_str!("../../shaders/conv/tiles/weights/small.wgsl")],
};
const NARROW_WEIGHTS: Source = Source {
    name: "conv/tiles/weights/narrow.wgsl",
    parts: &[SHARED, TILE_BODY, TILE_WEIGHTS, include_str!("../../shaders/conv/tiles/weights/narrow.wgsl")],
};
const LANES: Source = Source {
    name: "conv/lanes/direct.wgsl",
    parts: &[SHARED, LANE_BODY, LANE_VECTORS, include_str!("../../shaders/conv/lanes/direct.wgsl")],
};
const NARROW: Source = Source {
    name: "conv/lanes/narrow.wgsl",
    parts: &[SHARED, LANE_BODY, LANE_VECTORS, include_str!("../../shaders/conv/lanes/narrow.wgsl")],
};

uniform_struct! {
    /// The shapes of one layer.
    Conv {
        /// Images of the forward pass.
        images: u32,
        /// Rows of the gradient; row r belongs to image r % images.
        rows: u32,
        /// Height of the input, without its border.
        height: u32,
        /// Width of the input, without its border.
        width: u32,
        /// Input channels / 4, rounded up.
        in_quads: u32,
        /// Output channels / 4, rounded up.
        out_quads: u32,
        /// Zero border around the pooled output: 1 before another convolution, 0 before a dense layer.
        y_border: u32,
        /// What one partial sum of the weights' gradients spans: pool windows in the lane body, in the tile body the pieces of
        /// pictures of its kernel.
        chunk: u32,
        /// Number of such chunks.
        chunks: u32,
        /// First plane (image, or row of the gradient) of those that [`Winograd`] works on at a time.
        first: u32,
        /// Number of such planes.
        count: u32,
    }
}

fn source(gpu: &Gpu) -> Source {
    match gpu.body() {
        Body::Tiles => TILES,
        Body::Lanes => LANES,
    }
}

/// What a workgroup of the tile body takes at a time to sum the gradients of weights, as its shader says.
struct Piece {
    source: Source,
    inputs: u32,
    rows: u32,
}

/// Quads of outputs, and columns, of every [`Piece`].
const PIECE_OUTPUTS: u32 = 8;
const PIECE_COLUMNS: u32 = 16;

/// Quads of inputs from which on the wide kernel of the tile body has enough to share out.
const LEAST_WIDE: u32 = 4;

/// Bytes of workgroup memory that the wide and the narrow kernel need.
const LEAST_MEMORY: u32 = 24 << 10;

/// Workgroups of the tile body's kernel for the weights' gradients that fill a large GPU (measured, benches/RESULTS.md).
const WORKGROUPS: u32 = 256;

/// What the direct kernels of this body call the weights.
fn weights_name(gpu: &Gpu) -> &'static str {
    match gpu.body() {
        Body::Tiles => "weights",
        Body::Lanes => "weight_quads",
    }
}

impl Conv {
    /// The shapes of a layer over `images` pictures of `height` × `width` with these channel counts.
    pub fn new(images: u32, height: u32, width: u32, channels: (u32, u32), y_border: u32) -> Conv {
        let conv = Conv {
            images,
            rows: images,
            height,
            width,
            in_quads: channels.0.div_ceil(4),
            out_quads: channels.1.div_ceil(4),
            y_border,
            chunk: 0,
            chunks: 0,
            first: 0,
            count: 0,
        };
        conv.in_chunks(64)
    }

    /// The gradients of the weights in as many partial sums as this adapter likes: a GPU is filled by them; a CPU has little to
    /// fill, and every partial sum costs it memory traffic. Needed before [`Conv::backward_weights`].
    pub fn for_gpu(self, gpu: &Gpu) -> Conv {
        match gpu.body() {
            Body::Tiles => self.in_pieces(&self.piece(gpu)),
            Body::Lanes => self.in_chunks((256 / (self.in_quads * self.out_quads.div_ceil(8))).clamp(4, 64)),
        }
    }

    fn piece(&self, gpu: &Gpu) -> Piece {
        if gpu.summary().workgroup_bytes < LEAST_MEMORY {
            return Piece { source: SMALL_WEIGHTS, inputs: 4, rows: 4 };
        }
        match self.in_quads < LEAST_WIDE {
            true => Piece { source: NARROW_WEIGHTS, inputs: 1, rows: 8 },
            false => Piece { source: WIDE_WEIGHTS, inputs: 8, rows: 4 },
        }
    }

    /// Workgroups that share a piece.
    fn blocks(&self, piece: &Piece) -> u32 {
        self.in_quads.div_ceil(piece.inputs) * self.out_quads.div_ceil(PIECE_OUTPUTS)
    }

    fn in_pieces(self, piece: &Piece) -> Conv {
        let pieces = self.images * self.height.div_ceil(piece.rows) * self.width.div_ceil(PIECE_COLUMNS);
        // Long sums are split here, too: a piece gives each invocation 32 terms or fewer.
        let chunk = pieces.div_ceil((WORKGROUPS / self.blocks(piece)).max(1)).clamp(1, 512);
        Conv { chunk, chunks: pieces.div_ceil(chunk).max(1), ..self }
    }

    fn in_chunks(self, wanted: u32) -> Conv {
        let windows = self.images * (self.height / 2) * (self.width / 2);
        // Sums stay accurate when long ones are split, and clear of the 65,535 loop turns after which some drivers end a
        // shader; short ones are not split into more partial sums than they have terms.
        let chunk = windows.div_ceil(wanted).clamp(64, 4096);
        Conv { chunk, chunks: windows.div_ceil(chunk).max(1), ..self }
    }

    /// Bytes of the input with its border of 1.
    pub fn x_bytes(&self) -> u64 {
        plane(self.height, self.width, 1) * u64::from(self.images) * u64::from(self.in_quads) * QUAD
    }

    /// Bytes of the pooled output with its border.
    pub fn y_bytes(&self) -> u64 {
        let pooled = plane(self.height / 2, self.width / 2, self.y_border);
        pooled * u64::from(self.images) * u64::from(self.out_quads) * QUAD
    }

    /// Bytes of the codes.
    pub fn code_bytes(&self) -> u64 {
        self.d_y_bytes() / u64::from(self.rows) * u64::from(self.images) / 4
    }

    /// Bytes of the gradient of the pooled output.
    pub fn d_y_bytes(&self) -> u64 {
        plane(self.height / 2, self.width / 2, 0) * u64::from(self.rows) * u64::from(self.out_quads) * QUAD
    }

    /// Bytes of the gradient of the input.
    pub fn d_x_bytes(&self) -> u64 {
        plane(self.height, self.width, 0) * u64::from(self.rows) * u64::from(self.in_quads) * QUAD
    }

    /// Bytes of the weights, and of one chunk of their gradients: `[in_quads, 9, out_quads*4]` quads.
    pub fn weights_bytes(&self) -> u64 {
        u64::from(self.in_quads) * 9 * u64::from(self.bias_bytes()) * 4
    }

    /// Bytes of the bias, and of one chunk of its gradients.
    pub fn bias_bytes(&self) -> u32 {
        self.out_quads * QUAD as u32
    }

    /// Multiply-adds of the convolution of so many planes, with the padding of channels, as a direct sum does them: a kernel
    /// that needs fewer is ahead of its count.
    fn multiply_adds(&self, planes: u32) -> u64 {
        let channels = u64::from(self.in_quads) * 4 * u64::from(self.out_quads) * 4;
        u64::from(planes) * u64::from(self.height) * u64::from(self.width) * 9 * channels
    }

    /// Rows of the gradient that the grid of [`Conv::backward_data`] takes.
    pub fn most_rows(&self, gpu: &Gpu) -> u32 {
        match gpu.body() {
            Body::Tiles => 65_535 / self.in_quads.div_ceil(4),
            Body::Lanes => u32::MAX,
        }
    }

    /// y and code from x. The weights lie where this body reads quads fastest.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        weights: &Quads,
        bias: &Buffer,
        y: &Quads,
        code: &Buffer,
    ) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [
            ("x", x, self.x_bytes()),
            ("weights", weights, self.weights_bytes()),
            ("bias", bias, u64::from(self.bias_bytes())),
            ("y", y, self.y_bytes()),
            ("code", code, self.code_bytes()),
        ];
        check_sizes("conv forward", &needs)?;
        let mut source = source(gpu);
        let groups = match gpu.body() {
            Body::Tiles => {
                [self.width.div_ceil(16), self.height.div_ceil(16), self.images * self.out_quads.div_ceil(8)]
            }
            Body::Lanes if self.in_quads == 1 => {
                source = NARROW;
                let squares = u64::from(self.height.div_ceil(4)) * u64::from(self.width.div_ceil(4));
                linear_grid(u64::from(self.images) * squares, 8)
            }
            Body::Lanes => {
                let pairs = u64::from(self.height / 2) * u64::from((self.width / 2).div_ceil(2));
                let [x, y, _] = linear_grid(u64::from(self.images) * pairs, 8);
                [x, y, self.out_quads.div_ceil(4)]
            }
        };
        let dispatch = gpu.kernel(source, "forward")?.bind(
            gpu,
            ("conv", self),
            &[("x", x), (weights_name(gpu), weights), ("bias", bias), ("y", y), ("code", code)],
            groups,
        )?;
        Ok(dispatch.with_multiply_adds(self.multiply_adds(self.images)))
    }

    /// d_x from d_y: the transpose of the convolution, over the pixels that won their pool.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_data(
        &self,
        gpu: &Gpu,
        d_y: &Quads,
        code: &Buffer,
        weights: &Quads,
        d_x: &Quads,
    ) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [
            ("d_y", d_y, self.d_y_bytes()),
            ("code", code, self.code_bytes()),
            ("weights", weights, self.weights_bytes()),
            ("d_x", d_x, self.d_x_bytes()),
        ];
        check_sizes("conv backward_data", &needs)?;
        let (mut source, mut entry) = (source(gpu), "backward_data");
        let blocks = self.in_quads.div_ceil(4);
        let groups = match gpu.body() {
            Body::Tiles => {
                if self.in_quads == 1 {
                    entry = "backward_data_narrow";
                }
                [self.width.div_ceil(16), self.height.div_ceil(16), self.rows * blocks]
            }
            Body::Lanes if self.in_quads == 1 => {
                source = NARROW;
                let squares = u64::from(self.height.div_ceil(4)) * u64::from(self.width.div_ceil(4));
                let [x, y, _] = linear_grid(u64::from(self.rows) * squares, 8);
                [x, y, self.in_quads]
            }
            Body::Lanes => {
                let pairs = u64::from(self.height.div_ceil(2)) * u64::from(self.width.div_ceil(4));
                let [x, y, _] = linear_grid(u64::from(self.rows) * pairs, 8);
                [x, y, blocks]
            }
        };
        let dispatch = gpu.kernel(source, entry)?.bind(
            gpu,
            ("conv", self),
            &[("d_y", d_y), ("won", code), (weights_name(gpu), weights), ("d_x", d_x)],
            groups,
        )?;
        Ok(dispatch.with_multiply_adds(self.multiply_adds(self.rows)))
    }

    /// The gradients of weights and bias, summed in chunks: `d_weights` holds [`Conv::chunks`] times the weights and
    /// `d_bias` as many times the bias; [`super::reduce::Reduce`] adds them up.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_weights(
        &self,
        gpu: &Gpu,
        x: &Quads,
        d_y: &Quads,
        code: &Buffer,
        d_weights: &Buffer,
        d_bias: &Buffer,
    ) -> Result<Dispatch, GpuError> {
        let chunks = u64::from(self.chunks);
        let needs: [Needs; _] = [
            ("x", x, self.x_bytes()),
            ("d_y", d_y, self.d_y_bytes()),
            ("code", code, self.code_bytes()),
            ("d_weights", d_weights, self.weights_bytes() * chunks),
            ("d_bias", d_bias, u64::from(self.bias_bytes()) * chunks),
        ];
        check_sizes("conv backward_weights", &needs)?;
        let (source, groups) = match gpu.body() {
            Body::Tiles => {
                let piece = self.piece(gpu);
                (piece.source, [self.blocks(&piece), self.chunks, 1])
            }
            Body::Lanes => (LANES, [self.in_quads, self.out_quads.div_ceil(8), self.chunks]),
        };
        let dispatch = gpu.kernel(source, "backward_weights")?.bind(
            gpu,
            ("conv", self),
            &[("x", x), ("d_y", d_y), ("won", code), ("d_weights", d_weights), ("d_bias", d_bias)],
            groups,
        )?;
        Ok(dispatch.with_multiply_adds(self.multiply_adds(self.images)))
    }
}

fn plane(height: u32, width: u32, border: u32) -> u64 {
    u64::from(height + 2 * border) * u64::from(width + 2 * border)
}
