//! Dense layers, y = x·w + b with or without ReLU, and their gradients; rows `[N, in]`, weights `[in, out]`.

use super::{QUAD, check_sizes};
use crate::gpu::{Body, Buffer, Dispatch, Gpu, GpuError, Source, linear_grid, uniform_struct};

const SHARED: &str = include_str!("../../shaders/dense.wgsl");
const TILES: Source =
    Source { name: "dense/tiles.wgsl", parts: &[SHARED, include_str!("../../shaders/dense/tiles.wgsl")] };
const LANES: Source =
    Source { name: "dense/lanes.wgsl", parts: &[SHARED, include_str!("../../shaders/dense/lanes.wgsl")] };

uniform_struct! {
    /// The shapes of one layer.
    Dense {
        /// Rows of x and y.
        rows: u32,
        /// Inputs / 4, rounded up.
        in_quads: u32,
        /// Outputs / 4, rounded up.
        out_quads: u32,
        /// Input quads in one slice of the forward sum.
        slice: u32,
        /// Number of slices.
        slices: u32,
        /// 1 for ReLU on the output.
        relu: u32,
        /// Quads from one row of x to the next: more than `in_quads` where these are a part of them.
        pitch: u32,
    }
}

fn source(gpu: &Gpu) -> Source {
    match gpu.body() {
        Body::Tiles => TILES,
        Body::Lanes => LANES,
    }
}

impl Dense {
    /// The shapes of a layer.
    pub fn new(rows: u32, inputs: u32, outputs: u32, relu: bool) -> Dense {
        let in_quads = inputs.div_ceil(4);
        let slice = in_quads.div_ceil(64).next_multiple_of(8);
        Dense {
            rows,
            in_quads,
            out_quads: outputs.div_ceil(4),
            slice,
            slices: in_quads.div_ceil(slice),
            relu: u32::from(relu),
            pitch: in_quads,
        }
    }

    /// The layer's way back, for this many of its inputs' quads only: x and d_x then begin at the first of them, and so do
    /// the weights and their gradient.
    pub fn of_inputs(self, in_quads: u32) -> Dense {
        Dense { in_quads, ..self }
    }

    /// Bytes of x and of its gradient.
    pub fn x_bytes(&self) -> u64 {
        (u64::from(self.rows - 1) * u64::from(self.pitch) + u64::from(self.in_quads)) * QUAD
    }

    /// Bytes of y and of its gradient.
    pub fn y_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.out_quads) * QUAD
    }

    /// Bytes of the weights and of their gradient.
    pub fn weights_bytes(&self) -> u64 {
        u64::from(self.in_quads) * 4 * self.bias_bytes()
    }

    /// Bytes of the bias and of its gradient.
    pub fn bias_bytes(&self) -> u64 {
        u64::from(self.out_quads) * QUAD
    }

    /// Bytes of the slices of the forward sum.
    pub fn partial_bytes(&self) -> u64 {
        self.y_bytes() * u64::from(self.slices)
    }

    /// Multiply-adds of one product of all rows with the weights, with the padding of channels.
    fn multiply_adds(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.in_quads) * 4 * u64::from(self.out_quads) * 4
    }

    /// y from x, in two dispatches: the slices of the sum, then their total with bias and ReLU.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        x: &Buffer,
        weights: &Buffer,
        bias: &Buffer,
        partial: &Buffer,
        y: &Buffer,
    ) -> Result<[Dispatch; 2], GpuError> {
        let needs = [
            ("x", x, self.x_bytes()),
            ("weights", weights, self.weights_bytes()),
            ("bias", bias, self.bias_bytes()),
            ("partial", partial, self.partial_bytes()),
            ("y", y, self.y_bytes()),
        ];
        check_sizes("dense forward", &needs)?;
        let columns = match gpu.body() {
            Body::Tiles => self.out_quads.div_ceil(8),
            Body::Lanes => self.out_quads.div_ceil(16),
        };
        let slices = gpu.kernel(source(gpu), "forward")?.bind(
            gpu,
            ("dense", self),
            &[("x", x), ("weights", weights), ("partial", partial)],
            [columns, self.rows.div_ceil(32), self.slices],
        )?;
        let slices = slices.with_multiply_adds(self.multiply_adds());
        let finish = gpu.kernel(source(gpu), "finish")?.bind(
            gpu,
            ("dense", self),
            &[("bias", bias), ("partial", partial), ("y", y)],
            [(self.rows * self.out_quads).div_ceil(64), 1, 1],
        )?;
        Ok([slices, finish])
    }

    /// d_x from d_y (before the ReLU).
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_data(&self, gpu: &Gpu, d_y: &Buffer, weights: &Buffer, d_x: &Buffer) -> Result<Dispatch, GpuError> {
        let needs =
            [("d_y", d_y, self.y_bytes()), ("weights", weights, self.weights_bytes()), ("d_x", d_x, self.x_bytes())];
        check_sizes("dense backward_data", &needs)?;
        let [x, z, _] = linear_grid(u64::from(self.in_quads), 8);
        let dispatch = gpu.kernel(source(gpu), "backward_data")?.bind(
            gpu,
            ("dense", self),
            &[("d_y", d_y), ("weights", weights), ("d_x", d_x)],
            [x, self.rows.div_ceil(32), z],
        )?;
        Ok(dispatch.with_multiply_adds(self.multiply_adds()))
    }

    /// The gradients of weights and bias from x and d_y (before the ReLU).
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_weights(
        &self,
        gpu: &Gpu,
        x: &Buffer,
        d_y: &Buffer,
        d_weights: &Buffer,
        d_bias: &Buffer,
    ) -> Result<Dispatch, GpuError> {
        let needs = [
            ("x", x, self.x_bytes()),
            ("d_y", d_y, self.y_bytes()),
            ("d_weights", d_weights, self.weights_bytes()),
            ("d_bias", d_bias, self.bias_bytes()),
        ];
        check_sizes("dense backward_weights", &needs)?;
        let quads = match gpu.body() {
            Body::Tiles => 8,
            Body::Lanes => 16,
        };
        let [y, z, _] = linear_grid(u64::from(self.in_quads), quads);
        let dispatch = gpu.kernel(source(gpu), "backward_weights")?.bind(
            gpu,
            ("dense", self),
            &[("x", x), ("d_y", d_y), ("d_weights", d_weights), ("d_bias", d_bias)],
            [self.out_quads.div_ceil(8), y, z],
        )?;
        Ok(dispatch.with_multiply_adds(self.multiply_adds()))
    }
}
