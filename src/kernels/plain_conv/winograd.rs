//! 3×3 convolutions that keep the size of their pictures, by Winograd's F(4×4, 3×3), for adapters of the lane body: a
//! quarter of the multiplications, of the gradients of the weights, too.

use super::PlainConv;
use crate::gpu::{Body, Bound, Buffer, Dispatch, Gpu, GpuError, Quads, Source, Texture};
use crate::kernels::winograd::{TEXTS, Tiling};
use crate::kernels::{Needs, check_sizes};

const SOURCE: Source = Source {
    name: "plain_conv/winograd.wgsl",
    parts: &[
        include_str!("../../../shaders/quads/textures.wgsl"),
        include_str!("../../../shaders/plain_conv.wgsl"),
        TEXTS[0],
        TEXTS[1],
        include_str!("../../../shaders/plain_conv/winograd.wgsl"),
    ],
};

/// Fewer quads of channels than this, on either side, are faster summed directly: without a pool behind it, the direct sum
/// is as fast as the transforms.
const LEAST_QUADS: u32 = 8;

/// The same for the gradients of weights, which need the transforms of both sides.
const LEAST_SUMMED_QUADS: u32 = 16;

/// A convolution's shapes, worked on in chunks of planes.
#[derive(Clone, Copy, Debug)]
pub struct Winograd(PlainConv);

/// Scratch that all layers of a network share, since they run one after the other.
#[derive(Clone, Debug)]
pub struct Scratch {
    filters: Texture,
    tiles: Texture,
    /// Transformed gradients, and their products with the tiles, for the gradients of weights.
    sums: Option<(Texture, Buffer)>,
}

impl Scratch {
    /// Bytes of each part for any of these layers.
    fn parts(layers: &[Winograd], training: bool) -> [u64; 4] {
        let most = |of: fn(&Winograd) -> u64| layers.iter().map(of).max().unwrap_or(0);
        let summed = layers.iter().any(|layer| training && layer.sums_weights());
        let sums = [most(|layer| layer.tiling().tiles_bytes()), most(Winograd::products_bytes)];
        let [gradients, products] = if summed { sums } else { [0; 2] };
        [most(|layer| layer.tiling().filters_bytes()), most(|layer| layer.tiling().tiles_bytes()), gradients, products]
    }

    /// Makes enough for any of these layers, with gradients of weights or without.
    ///
    /// # Errors
    /// As [`Gpu::texture`] and [`Gpu::buffer`].
    pub fn new(gpu: &Gpu, layers: &[Winograd], training: bool) -> Result<Scratch, GpuError> {
        let [filters, tiles, gradients, products] = Scratch::parts(layers, training);
        let sums = (products > 0).then(|| -> Result<_, GpuError> {
            Ok((gpu.texture("transformed gradients", gradients)?, gpu.buffer("products", products)?))
        });
        Ok(Scratch {
            filters: gpu.texture("transformed weights", filters)?,
            tiles: gpu.texture("transformed tiles", tiles)?,
            sums: sums.transpose()?,
        })
    }
}

impl Winograd {
    /// The convolution by Winograd's way, if the adapter takes the lane body and the shapes allow it and are worth it.
    pub fn of(gpu: &Gpu, conv: &PlainConv) -> Option<Winograd> {
        let winograd = Winograd(*conv);
        let keeps_size = (conv.out_height, conv.out_width) == (conv.height, conv.width);
        let fits = conv.kernel == 3 && conv.stride == 1 && conv.groups() == 1 && keeps_size;
        let worth = gpu.body() == Body::Lanes && conv.in_quads.min(conv.out_quads) >= LEAST_QUADS;
        let largest = winograd.tiling().tiles_bytes().max(winograd.tiling().filters_bytes());
        (fits && worth && largest <= gpu.max_texture_bytes()).then_some(winograd)
    }

    /// The shapes, for [`Winograd::backward_weights`]: where it works by Winograd's way, the gradients of the weights are one
    /// sum, not several.
    pub fn shapes(&self) -> PlainConv {
        if self.sums_weights() { PlainConv { chunks: 1, ..self.0 } } else { self.0 }
    }

    /// Whether the gradients of the weights are worth the transforms.
    fn sums_weights(&self) -> bool {
        self.0.in_quads.min(self.0.out_quads) >= LEAST_SUMMED_QUADS
    }

    fn tiling(&self) -> Tiling {
        let PlainConv { images, rows, height, width, in_quads, out_quads, .. } = self.0;
        Tiling::new([in_quads, out_quads], [height, width], images.max(rows))
    }

    fn products_bytes(&self) -> u64 {
        self.0.weights_bytes() / 9 * 36
    }

    fn filters(
        &self,
        gpu: &Gpu,
        entry: &'static str,
        [columns, quads]: [u32; 2],
        weights: &Buffer,
        scratch: &Scratch,
    ) -> Result<Dispatch, GpuError> {
        let memory: [Bound; _] = [("weights", weights), ("u", &scratch.filters)];
        gpu.kernel(SOURCE, entry)?.bind(gpu, ("conv", &self.0), &memory, [columns.div_ceil(2), quads, 1])
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
        scratch: &Scratch,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let (conv, tiling) = (&self.0, self.tiling());
        let bias = &conv.bias_or_zero(gpu, bias)?;
        let needs: [Needs; _] = [
            ("x", x, conv.x_bytes()),
            ("weights", weights, conv.weights_bytes()),
            ("bias", bias, conv.bias_bytes()),
            ("y", y, conv.y_bytes()),
            ("u", &scratch.filters, tiling.filters_bytes()),
            ("v", &scratch.tiles, tiling.tiles_bytes()),
        ];
        check_sizes("winograd forward", &needs)?;
        let mut list = vec![self.filters(gpu, "filters_forward", [conv.out_quads, conv.in_quads], weights, scratch)?];
        for chunk in tiling.chunks(conv.images, conv.in_quads) {
            let shapes = PlainConv { first: chunk.first, count: chunk.count, ..*conv };
            let inputs: [Bound; _] = [("x", x), ("v", &scratch.tiles)];
            let outputs: [Bound; _] =
                [("transformed", &scratch.tiles), ("filters", &scratch.filters), ("bias", bias), ("y", y)];
            let share = |bytes: u64| bytes / u64::from(conv.images) * u64::from(chunk.count);
            let tiles_bytes = tiling.bytes(chunk.count, conv.in_quads);
            let [rows, columns] = chunk.transform;
            let transform = gpu.kernel(SOURCE, "transform_x")?;
            let transform = transform.bind(gpu, ("conv", &shapes), &inputs, [conv.in_quads, rows, columns])?;
            list.push(transform.with_bytes(share(conv.x_bytes()) + tiles_bytes));
            let [rows, columns] = chunk.product;
            let product = gpu.kernel(SOURCE, "forward")?;
            let product =
                product.bind(gpu, ("conv", &shapes), &outputs, [conv.out_quads.div_ceil(4), rows, columns])?;
            let bytes = tiles_bytes + tiling.filters_bytes() + share(conv.y_bytes());
            list.push(product.with_bytes(bytes).with_multiply_adds(conv.multiply_adds(chunk.count)));
        }
        Ok(list)
    }

    /// d_x from d_y.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_data(
        &self,
        gpu: &Gpu,
        d_y: &Quads,
        weights: &Buffer,
        d_x: &Quads,
        scratch: &Scratch,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let (conv, tiling) = (&self.0, self.tiling());
        let needs: [Needs; _] = [
            ("d_y", d_y, conv.d_y_bytes()),
            ("weights", weights, conv.weights_bytes()),
            ("d_x", d_x, conv.d_x_bytes()),
            ("u", &scratch.filters, tiling.filters_bytes()),
            ("v", &scratch.tiles, tiling.tiles_bytes()),
        ];
        check_sizes("winograd backward_data", &needs)?;
        let mut list =
            vec![self.filters(gpu, "filters_backward", [conv.in_quads, conv.out_quads], weights, scratch)?];
        for chunk in tiling.chunks(conv.rows, conv.out_quads) {
            let shapes = PlainConv { first: chunk.first, count: chunk.count, ..*conv };
            let inputs: [Bound; _] = [("x", d_y), ("v", &scratch.tiles)];
            let outputs: [Bound; _] = [("transformed", &scratch.tiles), ("filters", &scratch.filters), ("y", d_x)];
            let share = |bytes: u64| bytes / u64::from(conv.rows) * u64::from(chunk.count);
            let tiles_bytes = tiling.bytes(chunk.count, conv.out_quads);
            let [rows, columns] = chunk.transform;
            let transform = gpu.kernel(SOURCE, "transform_gradient")?;
            let transform = transform.bind(gpu, ("conv", &shapes), &inputs, [conv.out_quads, rows, columns])?;
            list.push(transform.with_bytes(share(conv.d_y_bytes()) + tiles_bytes));
            let [rows, columns] = chunk.product;
            let product = gpu.kernel(SOURCE, "backward_data")?;
            let product = product.bind(gpu, ("conv", &shapes), &outputs, [conv.in_quads.div_ceil(4), rows, columns])?;
            let bytes = tiles_bytes + tiling.filters_bytes() + share(conv.d_x_bytes());
            list.push(product.with_bytes(bytes).with_multiply_adds(conv.multiply_adds(chunk.count)));
        }
        Ok(list)
    }

    /// The gradients of weights and bias, as [`PlainConv::backward_weights`], of [`Winograd::shapes`]' `chunks`.
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
        scratch: &Scratch,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let (conv, tiling) = (&self.0, self.tiling());
        let Some((gradients, products)) = scratch.sums.as_ref().filter(|_| self.sums_weights()) else {
            return conv.backward_weights(gpu, x, d_y, d_weights, d_bias);
        };
        let d_bias = &conv.bias_or_zero(gpu, d_bias)?;
        let needs: [Needs; _] = [
            ("x", x, conv.x_bytes()),
            ("d_y", d_y, conv.d_y_bytes()),
            ("d_weights", d_weights, conv.weights_bytes()),
            ("d_bias", d_bias, conv.bias_bytes()),
            ("v", &scratch.tiles, tiling.tiles_bytes()),
            ("m", gradients, tiling.tiles_bytes()),
            ("products", products, self.products_bytes()),
        ];
        check_sizes("winograd backward_weights", &needs)?;
        let mut list = Vec::new();
        for chunk in tiling.chunks(conv.images, conv.in_quads.max(conv.out_quads)) {
            let shapes = PlainConv { first: chunk.first, count: chunk.count, ..*conv };
            let share = |bytes: u64| bytes / u64::from(conv.images) * u64::from(chunk.count);
            let [rows, columns] = chunk.transform;
            let tiles: [Bound; _] = [("x", x), ("v", &scratch.tiles)];
            let transform = gpu.kernel(SOURCE, "transform_x")?;
            let transform = transform.bind(gpu, ("conv", &shapes), &tiles, [conv.in_quads, rows, columns])?;
            list.push(transform.with_bytes(share(conv.x_bytes()) + tiling.bytes(chunk.count, conv.in_quads)));
            let tiles: [Bound; _] = [("x", d_y), ("v", gradients)];
            let moved = gpu.kernel(SOURCE, "move_gradient")?;
            let moved = moved.bind(gpu, ("conv", &shapes), &tiles, [conv.out_quads, rows, columns])?;
            list.push(moved.with_bytes(share(conv.d_y_bytes()) + tiling.bytes(chunk.count, conv.out_quads)));
            let all: [Bound; _] =
                [("transformed", &scratch.tiles), ("moved", gradients), ("products", products), ("d_bias", d_bias)];
            let grid = [36, conv.in_quads.div_ceil(8), conv.out_quads.div_ceil(8)];
            let product = gpu.kernel(SOURCE, "multiply_gradient")?.bind(gpu, ("conv", &shapes), &all, grid)?;
            let bytes = tiling.bytes(chunk.count, conv.in_quads + conv.out_quads) + self.products_bytes();
            list.push(product.with_bytes(bytes).with_multiply_adds(conv.multiply_adds(chunk.count)));
        }
        let sums: [Bound; _] = [("products", products), ("d_weights", d_weights)];
        let grid = [conv.out_quads.div_ceil(2), conv.in_quads, 1];
        let finish = gpu.kernel(SOURCE, "finish_weights")?.bind(gpu, ("conv", conv), &sums, grid)?;
        list.push(finish.with_bytes(self.products_bytes() + conv.weights_bytes()));
        Ok(list)
    }
}
