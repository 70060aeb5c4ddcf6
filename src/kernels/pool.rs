//! Max and average pooling over windows, and the mean of whole channels before a dense layer.
//!
//! Sizes, and where the padding of "same" goes, are Keras's and TensorFlow's ("Neural Network" notes of the documentation
//! of `tf.nn`): without padding out = ⌊(n − size) / stride⌋ + 1, with it out = ⌈n / stride⌉ and the odd pixel of padding
//! lies at the bottom and on the right. Padding neither wins nor counts.

use super::{Needs, QUAD, QuadsSource, check_sizes, quads_source};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Quads, linear_grid, uniform_struct};

const SOURCE: QuadsSource = quads_source!("pool.wgsl");

uniform_struct! {
    /// The shapes of one layer.
    Pool {
        /// Images of the forward pass.
        images: u32,
        /// Rows of the gradient; row r belongs to image r % images.
        rows: u32,
        /// Height of the input.
        height: u32,
        /// Width of the input.
        width: u32,
        /// Height of the output.
        out_height: u32,
        /// Width of the output.
        out_width: u32,
        /// Channels / 4, rounded up.
        quads: u32,
        /// Side of a window.
        size: u32,
        /// Pixels from window to window.
        stride: u32,
        /// Rows by which the first windows reach over the top.
        pad_top: u32,
        /// Columns by which the first windows reach over the left edge.
        pad_left: u32,
    }
}

/// Output and padding before the first pixel along an axis of `n` pixels; no output where a window finds no room.
fn axis(n: u32, size: u32, stride: u32, same: bool) -> (u32, u32) {
    if !same {
        return if n < size { (0, 0) } else { ((n - size) / stride + 1, 0) };
    }
    let out = n.div_ceil(stride);
    (out, ((out.saturating_sub(1)) * stride + size).saturating_sub(n) / 2)
}

impl Pool {
    /// The shapes for windows of `size` × `size`, both this and `stride` at least 1.
    pub fn new(images: u32, height: u32, width: u32, channels: u32, size: u32, stride: u32, same: bool) -> Pool {
        let (out_height, pad_top) = axis(height, size, stride, same);
        let (out_width, pad_left) = axis(width, size, stride, same);
        let quads = channels.div_ceil(4);
        let rows = images;
        Pool { images, rows, height, width, out_height, out_width, quads, size, stride, pad_top, pad_left }
    }

    fn bytes(&self, rows: u32, height: u32, width: u32) -> u64 {
        u64::from(rows) * u64::from(self.quads) * u64::from(height) * u64::from(width) * QUAD
    }

    /// Bytes of the input.
    pub fn x_bytes(&self) -> u64 {
        self.bytes(self.images, self.height, self.width)
    }

    /// Bytes of the output.
    pub fn y_bytes(&self) -> u64 {
        self.bytes(self.images, self.out_height, self.out_width)
    }

    /// Bytes of the gradient of the input.
    pub fn d_x_bytes(&self) -> u64 {
        self.bytes(self.rows, self.height, self.width)
    }

    /// Bytes of the gradient of the output.
    pub fn d_y_bytes(&self) -> u64 {
        self.bytes(self.rows, self.out_height, self.out_width)
    }

    /// y, the greatest of each window.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or windows of more than 15 pixels lie close.
    pub fn max_forward(&self, gpu: &Gpu, x: &Quads, y: &Quads) -> Result<Dispatch, GpuError> {
        self.dispatch(gpu, "max_forward", x, &[("x", x, self.x_bytes()), ("y", y, self.y_bytes())])
    }

    /// d_x: each window's gradient goes to its greatest pixel, of equal ones to the first.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or windows of more than 15 pixels lie close.
    pub fn max_backward(&self, gpu: &Gpu, x: &Quads, d_y: &Quads, d_x: &Quads) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] =
            [("x", x, self.x_bytes()), ("d_y", d_y, self.d_y_bytes()), ("d_x", d_x, self.d_x_bytes())];
        self.dispatch(gpu, "max_backward", x, &needs)
    }

    /// y, the mean of each window's pixels.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or windows of more than 15 pixels lie close.
    pub fn average_forward(&self, gpu: &Gpu, x: &Quads, y: &Quads) -> Result<Dispatch, GpuError> {
        self.dispatch(gpu, "average_forward", x, &[("x", x, self.x_bytes()), ("y", y, self.y_bytes())])
    }

    /// d_x: each window's gradient goes to its pixels in equal shares.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or windows of more than 15 pixels lie close.
    pub fn average_backward(&self, gpu: &Gpu, d_y: &Quads, d_x: &Quads) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [("d_y", d_y, self.d_y_bytes()), ("d_x", d_x, self.d_x_bytes())];
        self.dispatch(gpu, "average_backward", d_x, &needs)
    }

    /// An invocation for each quad of what is written, which comes last.
    fn dispatch(&self, gpu: &Gpu, entry: &'static str, like: &Quads, needs: &[Needs]) -> Result<Dispatch, GpuError> {
        check_sizes("pool", needs)?;
        // Some drivers end a shader silently after 65,535 turns of its loops; a gradient goes through all windows over a pixel.
        let (size, windows) = (u64::from(self.size), u64::from(self.size.div_ceil(self.stride)));
        if size * size * windows * windows > 65_000 {
            let reason = format!("windows of {size} pixels every {}: more than a loop takes", self.stride);
            return Err(GpuError::Shader { shader: "pool".to_owned(), reason });
        }
        let bound: Vec<Bound> = needs.iter().map(|(name, memory, _)| (*name, *memory)).collect();
        let written = needs.last().map_or(0, |(_, _, bytes)| *bytes);
        gpu.kernel(SOURCE.of(like), entry)?.bind(gpu, ("pool", self), &bound, linear_grid(written / QUAD, 64))
    }
}

uniform_struct! {
    /// The shapes of a mean over whole channels.
    GlobalAverage {
        /// Images of the forward pass.
        images: u32,
        /// Rows of the gradient.
        rows: u32,
        /// Pixels of a channel.
        area: u32,
        /// Channels / 4, rounded up.
        quads: u32,
    }
}

impl GlobalAverage {
    /// The shapes for `images` pictures of `area` pixels.
    pub fn new(images: u32, area: u32, channels: u32) -> GlobalAverage {
        GlobalAverage { images, rows: images, area, quads: channels.div_ceil(4) }
    }

    /// Bytes of the input.
    pub fn x_bytes(&self) -> u64 {
        self.y_bytes() * u64::from(self.area)
    }

    /// Bytes of the means: rows of quads, as a dense layer reads them.
    pub fn y_bytes(&self) -> u64 {
        u64::from(self.images) * u64::from(self.quads) * QUAD
    }

    /// Bytes of the gradient of the input.
    pub fn d_x_bytes(&self) -> u64 {
        self.d_y_bytes() * u64::from(self.area)
    }

    /// Bytes of the gradient of the means.
    pub fn d_y_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.quads) * QUAD
    }

    /// y`[image, channel]`, the mean of its pixels.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or a channel has more pixels than a loop may.
    pub fn forward(&self, gpu: &Gpu, x: &Quads, y: &Buffer) -> Result<Dispatch, GpuError> {
        // Some drivers end a shader silently after 65,535 turns of its loops, which here have four pixels each.
        if self.area > 4 * 65_000 {
            let reason = format!("{} pixels of a channel; it takes {}", self.area, 4 * 65_000);
            return Err(GpuError::Shader { shader: "global average".to_owned(), reason });
        }
        let needs: [Needs; _] = [("x", x, self.x_bytes()), ("means", y, self.y_bytes())];
        self.dispatch(gpu, "global_average_forward", x, &needs, self.y_bytes())
    }

    /// d_x: each mean's gradient goes to its pixels in equal shares.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn backward(&self, gpu: &Gpu, d_y: &Buffer, d_x: &Quads) -> Result<Dispatch, GpuError> {
        let needs: [Needs; _] = [("d_means", d_y, self.d_y_bytes()), ("d_x", d_x, self.d_x_bytes())];
        self.dispatch(gpu, "global_average_backward", d_x, &needs, self.d_x_bytes())
    }

    fn dispatch(
        &self,
        gpu: &Gpu,
        entry: &'static str,
        like: &Quads,
        needs: &[Needs],
        written: u64,
    ) -> Result<Dispatch, GpuError> {
        check_sizes("global average", needs)?;
        let bound: Vec<Bound> = needs.iter().map(|(name, memory, _)| (*name, *memory)).collect();
        let kernel = gpu.kernel(SOURCE.of(like), entry)?;
        kernel.bind(gpu, ("global_average", self), &bound, linear_grid(written / QUAD, 64))
    }
}
