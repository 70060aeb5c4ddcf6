//! A convolution by itself, of any kernel, stride, padding and groups, with bias, and its gradients.
//!
//! Activations are `[N, C/4, H, W]` quads of channels, without a border. Groups hold multiples of four channels on both
//! sides; or, depthwise, every channel is a group of its own.

mod winograd;
use serde::{Deserialize, Serialize};

use super::{Needs, QUAD, QuadsSource, check_sizes, quads_source};
use crate::gpu::{Body, Bound, Buffer, Dispatch, Gpu, GpuError, Quads, Source, linear_grid, uniform_struct};

pub use winograd::{Scratch, Winograd};

const TILES: QuadsSource = quads_source!("plain_conv/tiles.wgsl", "plain_conv.wgsl");
const LANES: QuadsSource = quads_source!("plain_conv/lanes.wgsl", "plain_conv.wgsl", "lanes/vectors.wgsl");
const DEPTHWISE: QuadsSource = quads_source!("plain_conv/depthwise.wgsl", "plain_conv.wgsl");

/// Workgroups of the tile body that fill a large GPU.
const MANY_WORKGROUPS: u64 = 512;

/// What a pixel of the output sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Side of the kernel, in pixels.
    pub kernel: u32,
    /// Pixels of the input from one pixel of the output to the next.
    pub stride: u32,
    /// What happens at the edges.
    pub padding: Padding,
}

/// Zeros around the input, as Keras counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// ⌈n / stride⌉ pixels; of an odd number of zeros the larger half comes after the picture.
    #[default]
    Same,
    /// None: ⌊(n - kernel) / stride⌋ + 1 pixels of an input that is no smaller than the kernel.
    Valid,
}

impl Window {
    /// Pixels of the output along an axis of `size`, and the zeros before it.
    pub fn along(&self, size: u32) -> (u32, u32) {
        match self.padding {
            Padding::Valid => (size.saturating_sub(self.kernel) / self.stride + 1, 0),
            Padding::Same => {
                let out = size.div_ceil(self.stride);
                (out, ((out - 1) * self.stride + self.kernel).saturating_sub(size) / 2)
            }
        }
    }
}

uniform_struct! {
    /// The shapes of one layer.
    PlainConv {
        /// Images of the forward pass.
        images: u32,
        /// Rows of the gradient.
        rows: u32,
        /// Height of the input.
        height: u32,
        /// Width of the input.
        width: u32,
        /// Height of the output.
        out_height: u32,
        /// Width of the output.
        out_width: u32,
        /// Input channels / 4, rounded up.
        in_quads: u32,
        /// Output channels / 4, rounded up.
        out_quads: u32,
        /// Side of the kernel.
        kernel: u32,
        /// Pixels of the input from one pixel of the output to the next.
        stride: u32,
        /// Rows of zeros before the input.
        pad_top: u32,
        /// Columns of zeros before the input.
        pad_left: u32,
        /// Quads of input channels in a group.
        group_in_quads: u32,
        /// Quads of output channels in a group.
        group_out_quads: u32,
        /// 1 if every channel is a group of its own.
        depthwise: u32,
        /// Pixels of the output whose weight gradients are summed at a time.
        chunk: u32,
        /// Number of such chunks.
        chunks: u32,
        /// First plane (image, or row of the gradient) of those that [`Winograd`] works on at a time.
        first: u32,
        /// Number of such planes.
        count: u32,
    }
}

impl PlainConv {
    /// The shapes of a layer over `images` pictures of `height` × `width` with these channel counts: each group sees its
    /// share of the inputs alone. As many groups as channels on both sides make it depthwise; other groups than one must
    /// divide both counts into multiples of four.
    pub fn new(images: u32, height: u32, width: u32, channels: (u32, u32), window: Window, groups: u32) -> PlainConv {
        let (out_height, pad_top) = window.along(height);
        let (out_width, pad_left) = window.along(width);
        let (in_quads, out_quads) = (channels.0.div_ceil(4), channels.1.div_ceil(4));
        let conv = PlainConv {
            images,
            rows: images,
            height,
            width,
            out_height,
            out_width,
            in_quads,
            out_quads,
            kernel: window.kernel,
            stride: window.stride,
            pad_top,
            pad_left,
            group_in_quads: in_quads.div_ceil(groups),
            group_out_quads: out_quads.div_ceil(groups),
            depthwise: u32::from(groups > 1 && channels == (groups, groups)),
            chunk: 0,
            chunks: 0,
            first: 0,
            count: 0,
        };
        conv.in_chunks(64)
    }

    /// The gradients of the weights in as many partial sums as this adapter likes: a GPU is filled by them; a CPU has little to
    /// fill, and every partial sum costs it memory traffic.
    pub fn for_gpu(self, gpu: &Gpu) -> PlainConv {
        match gpu.body() {
            Body::Tiles => self.in_chunks(64),
            Body::Lanes => {
                let [x, y, _] = self.weights_grid();
                self.in_chunks((256 / (x * y)).clamp(4, 64))
            }
        }
    }

    fn in_chunks(self, wanted: u32) -> PlainConv {
        let pixels = self.images * self.out_height * self.out_width;
        // As for the fused convolution: sums stay accurate, and short ones are not split into more than they have terms.
        // Eight pixels are summed at a time.
        let chunk = pixels.div_ceil(wanted).clamp(256, 4096).next_multiple_of(8);
        PlainConv { chunk, chunks: pixels.div_ceil(chunk).max(1), ..self }
    }

    fn groups(&self) -> u32 {
        self.in_quads / self.group_in_quads
    }

    fn taps(&self) -> u32 {
        self.kernel * self.kernel
    }

    fn plane(&self) -> u64 {
        u64::from(self.height) * u64::from(self.width)
    }

    fn out_plane(&self) -> u64 {
        u64::from(self.out_height) * u64::from(self.out_width)
    }

    /// Bytes of the input.
    pub fn x_bytes(&self) -> u64 {
        u64::from(self.images) * u64::from(self.in_quads) * self.plane() * QUAD
    }

    /// Bytes of the output.
    pub fn y_bytes(&self) -> u64 {
        u64::from(self.images) * u64::from(self.out_quads) * self.out_plane() * QUAD
    }

    /// Bytes of the gradient of the output.
    pub fn d_y_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.out_quads) * self.out_plane() * QUAD
    }

    /// Bytes of the gradient of the input.
    pub fn d_x_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.in_quads) * self.plane() * QUAD
    }

    /// Bytes of the weights, and of one chunk of their gradients: `[group_in_quads, kernel², out_quads*4]` quads;
    /// depthwise, `[kernel², quads]`.
    pub fn weights_bytes(&self) -> u64 {
        let quads = if self.depthwise == 1 { 1 } else { u64::from(self.group_in_quads) * 4 };
        quads * u64::from(self.taps()) * self.bias_bytes()
    }

    /// Bytes of the bias, and of one chunk of its gradients.
    pub fn bias_bytes(&self) -> u64 {
        u64::from(self.out_quads) * QUAD
    }

    /// Multiply-adds of the convolution of so many planes, with the padding of channels, as a direct sum does them.
    fn multiply_adds(&self, planes: u32) -> u64 {
        u64::from(planes) * self.out_plane() * self.weights_bytes() / 4
    }

    /// Memory for a bias that a layer does not have.
    fn bias_or_zero(&self, gpu: &Gpu, bias: Option<&Buffer>) -> Result<Buffer, GpuError> {
        bias.map_or_else(|| gpu.buffer("no bias", self.bias_bytes()), |bias| Ok(bias.clone()))
    }

    fn source(&self, gpu: &Gpu, quads: &Quads) -> Source {
        let source = match gpu.body() {
            _ if self.depthwise == 1 => DEPTHWISE,
            Body::Tiles => TILES,
            Body::Lanes => LANES,
        };
        source.of(quads)
    }

    /// Whether blocks of four quads would leave a large GPU mostly idle.
    fn is_small(&self, group_quads: u32, pixels: u64) -> bool {
        u64::from(self.groups() * group_quads.div_ceil(4)) * pixels.div_ceil(256) < MANY_WORKGROUPS
    }

    /// The entry point, and the grid, that gather the pixels of `group_quads` quads in each group.
    fn gathered(
        &self,
        gpu: &Gpu,
        [wide, narrow]: [&'static str; 2],
        group_quads: u32,
        pixels: u64,
    ) -> (&'static str, [u32; 3]) {
        // Quads and pixels of a workgroup.
        let (entry, quads, own) = match gpu.body() {
            _ if self.depthwise == 1 => (wide, 1, 512),
            Body::Tiles if group_quads == 1 || self.is_small(group_quads, pixels) => (narrow, 1, 256),
            Body::Tiles => (wide, 4, 256),
            Body::Lanes if group_quads == 1 && narrow == "backward_data_narrow" => (narrow, 1, 64),
            Body::Lanes if group_quads <= 2 && narrow == "forward_narrow" => (narrow, 2, 64),
            Body::Lanes => (wide, 4, 64),
        };
        let [x, y, _] = linear_grid(pixels, own);
        let groups = if self.depthwise == 1 { self.in_quads } else { self.groups() };
        let blocks = if self.depthwise == 1 { 1 } else { group_quads.div_ceil(quads) };
        (entry, [groups * blocks, x, y])
    }

    /// y from x; without a bias, it is taken for zero.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        weights: &Buffer,
        bias: Option<&Buffer>,
        y: &Quads,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let bias = &self.bias_or_zero(gpu, bias)?;
        let needs: [Needs; _] = [
            ("x", x, self.x_bytes()),
            ("weights", weights, self.weights_bytes()),
            ("bias", bias, self.bias_bytes()),
            ("y", y, self.y_bytes()),
        ];
        check_sizes("plain_conv forward", &needs)?;
        let pixels = u64::from(self.images) * self.out_plane();
        let (entry, grid) = self.gathered(gpu, ["forward", "forward_narrow"], self.group_out_quads, pixels);
        let kernel = gpu.kernel(self.source(gpu, x), entry)?;
        let memory: [Bound; _] = [("x", x), ("weights", weights), ("bias", bias), ("y", y)];
        let dispatch = kernel.bind(gpu, ("conv", self), &memory, grid)?;
        Ok(vec![dispatch.with_multiply_adds(self.multiply_adds(self.images))])
    }

    /// d_x from d_y: the transpose of the convolution.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_data(
        &self,
        gpu: &Gpu,
        d_y: &Quads,
        weights: &Buffer,
        d_x: &Quads,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let needs: [Needs; _] = [
            ("d_y", d_y, self.d_y_bytes()),
            ("weights", weights, self.weights_bytes()),
            ("d_x", d_x, self.d_x_bytes()),
        ];
        check_sizes("plain_conv backward_data", &needs)?;
        let phase = u64::from(self.height.div_ceil(self.stride)) * u64::from(self.width.div_ceil(self.stride));
        let entries = ["backward_data", "backward_data_narrow"];
        let (entry, [blocks, x, y]) = self.gathered(gpu, entries, self.group_in_quads, u64::from(self.rows) * phase);
        let kernel = gpu.kernel(self.source(gpu, d_y), entry)?;
        let grid = [blocks * self.stride * self.stride, x, y];
        // A convolution in its own right: what it reads is x to the shader, and what it writes is y.
        let dispatch = kernel.bind(gpu, ("conv", self), &[("x", d_y), ("weights", weights), ("y", d_x)], grid)?;
        Ok(vec![dispatch.with_multiply_adds(self.multiply_adds(self.rows))])
    }

    fn weights_grid(&self) -> [u32; 3] {
        if self.depthwise == 1 {
            return [self.in_quads, self.taps().div_ceil(9), self.chunks];
        }
        let taps = (self.group_in_quads * self.taps()).div_ceil(8);
        [taps, self.groups() * self.group_out_quads.div_ceil(8), self.chunks]
    }

    /// The gradients of weights and bias, summed in chunks: `d_weights` holds [`PlainConv::chunks`] times the weights and
    /// `d_bias` as many times the bias; [`super::reduce::Reduce`] adds them up.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_weights(
        &self,
        gpu: &Gpu,
        x: &Quads,
        d_y: &Quads,
        d_weights: &Buffer,
        d_bias: Option<&Buffer>,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let chunks = u64::from(self.chunks);
        let bias_bytes = self.bias_bytes() * chunks;
        let d_bias = &d_bias.map_or_else(|| gpu.buffer("no bias", bias_bytes), |bias| Ok(bias.clone()))?;
        let needs: [Needs; _] = [
            ("x", x, self.x_bytes()),
            ("d_y", d_y, self.d_y_bytes()),
            ("d_weights", d_weights, self.weights_bytes() * chunks),
            ("d_bias", d_bias, bias_bytes),
        ];
        check_sizes("plain_conv backward_weights", &needs)?;
        let mut grid = self.weights_grid();
        let mut entry = "backward_weights";
        if gpu.body() == Body::Lanes && self.depthwise == 0 && self.group_out_quads <= 4 {
            entry = "backward_weights_narrow";
            grid[1] = self.groups() * self.group_out_quads.div_ceil(4);
        }
        let kernel = gpu.kernel(self.source(gpu, x), entry)?;
        let memory: [Bound; _] = [("x", x), ("d_y", d_y), ("d_weights", d_weights), ("d_bias", d_bias)];
        let dispatch = kernel.bind(gpu, ("conv", self), &memory, grid)?;
        Ok(vec![dispatch.with_multiply_adds(self.multiply_adds(self.images))])
    }
}
