//! Convolutions by Winograd's F(4×4, 3×3) (Lavin, Gray 2015): a quarter of the multiplications, where there are channels
//! enough to pay for the transforms. For adapters of the lane body. Sums cancel
//! more than direct ones do; the tests say how much is allowed.

use super::{Conv, LANE_BODY, SHARED};
use crate::gpu::{Body, Bound, Buffer, Dispatch, Gpu, GpuError, Quads, Source, Texture};
use crate::kernels::winograd::{TEXTS, Tiling};
use crate::kernels::{Needs, check_sizes};

const SOURCE: Source = Source {
    name: "conv/lanes/winograd.wgsl",
    parts: &[SHARED, LANE_BODY, TEXTS[0], TEXTS[1], include_str!("../../../shaders/conv/lanes/winograd.wgsl")],
};

/// Fewer quads of channels than this, on either side, are faster summed directly.
const LEAST_QUADS: u32 = 4;

/// A convolution's shapes, worked on in chunks of planes.
#[derive(Clone, Copy, Debug)]
pub struct Winograd(Conv);

impl Winograd {
    /// The convolution by Winograd's way, if the adapter takes the lane body and the shapes are worth it.
    pub fn of(gpu: &Gpu, conv: &Conv) -> Option<Winograd> {
        let winograd = Winograd(*conv);
        let worth = gpu.body() == Body::Lanes && conv.in_quads.min(conv.out_quads) >= LEAST_QUADS;
        let largest = winograd.tiles_bytes().max(winograd.filters_bytes());
        (worth && largest <= gpu.max_texture_bytes()).then_some(winograd)
    }

    fn tiling(&self) -> Tiling {
        let Conv { images, rows, height, width, in_quads, out_quads, .. } = self.0;
        Tiling::new([in_quads, out_quads], [height, width], images.max(rows))
    }

    /// Bytes of the transformed tiles of a chunk, in either direction.
    pub fn tiles_bytes(&self) -> u64 {
        self.tiling().tiles_bytes()
    }

    /// Bytes of the transformed weights, in either direction.
    pub fn filters_bytes(&self) -> u64 {
        self.tiling().filters_bytes()
    }

    fn filters(
        &self,
        gpu: &Gpu,
        entry: &'static str,
        [columns, quads]: [u32; 2],
        weights: &Buffer,
        filters: &Texture,
    ) -> Result<Dispatch, GpuError> {
        gpu.kernel(SOURCE, entry)?.bind(
            gpu,
            ("conv", &self.0),
            &[("weights", weights), ("u", filters)],
            [columns.div_ceil(2), quads, 1],
        )
    }

    /// Calls `dispatches(chunk, grid for transforms, grid for products)` for every chunk of `planes`.
    fn chunked(
        &self,
        planes: u32,
        quads: u32,
        mut dispatches: impl FnMut(&Conv, [u32; 2], [u32; 2]) -> Result<[Dispatch; 2], GpuError>,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let mut list = Vec::new();
        for chunk in self.tiling().chunks(planes, quads) {
            let conv = Conv { first: chunk.first, count: chunk.count, ..self.0 };
            list.extend(dispatches(&conv, chunk.transform, chunk.product)?);
        }
        Ok(list)
    }

    /// y and code from x, as [`Conv::forward`]. `filters` and `tiles` are scratch, of [`Self::filters_bytes`] and
    /// [`Self::tiles_bytes`].
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn forward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        [weights, bias]: [&Buffer; 2],
        (y, code): (&Quads, &Buffer),
        [filters, tiles]: [&Texture; 2],
    ) -> Result<Vec<Dispatch>, GpuError> {
        let conv = &self.0;
        let needs: [Needs; _] = [
            ("x", x, conv.x_bytes()),
            ("weights", weights, conv.weights_bytes()),
            ("bias", bias, u64::from(conv.bias_bytes())),
            ("y", y, conv.y_bytes()),
            ("code", code, conv.code_bytes()),
            ("u", filters, self.filters_bytes()),
            ("v", tiles, self.tiles_bytes()),
        ];
        check_sizes("winograd forward", &needs)?;
        let mut list = vec![self.filters(gpu, "filters_forward", [conv.out_quads, conv.in_quads], weights, filters)?];
        list.extend(self.chunked(conv.images, conv.in_quads, |chunk, transform, product| {
            let transform = [conv.in_quads, transform[0], transform[1]];
            let product = [conv.out_quads.div_ceil(4), product[0], product[1]];
            let outputs: [Bound; 5] =
                [("transformed", tiles), ("filters", filters), ("bias", bias), ("y", y), ("code", code)];
            let tiles_bytes = self.tiling().bytes(chunk.count, conv.in_quads);
            let read = conv.x_bytes() / u64::from(conv.images) * u64::from(chunk.count);
            let written = (conv.y_bytes() + conv.code_bytes()) / u64::from(conv.images) * u64::from(chunk.count);
            let transform =
                gpu.kernel(SOURCE, "transform_x")?.bind(gpu, ("conv", chunk), &[("x", x), ("v", tiles)], transform)?;
            let product = gpu.kernel(SOURCE, "forward")?.bind(gpu, ("conv", chunk), &outputs, product)?;
            Ok([
                transform.with_bytes(read + tiles_bytes),
                product
                    .with_bytes(tiles_bytes + self.filters_bytes() + written)
                    .with_multiply_adds(conv.multiply_adds(chunk.count)),
            ])
        })?);
        Ok(list)
    }

    /// d_x from d_y, as [`Conv::backward_data`].
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn backward_data(
        &self,
        gpu: &Gpu,
        d_y: &Quads,
        [code, weights]: [&Buffer; 2],
        d_x: &Quads,
        [filters, tiles]: [&Texture; 2],
    ) -> Result<Vec<Dispatch>, GpuError> {
        let conv = &self.0;
        let needs: [Needs; _] = [
            ("d_y", d_y, conv.d_y_bytes()),
            ("code", code, conv.code_bytes()),
            ("weights", weights, conv.weights_bytes()),
            ("d_x", d_x, conv.d_x_bytes()),
            ("u", filters, self.filters_bytes()),
            ("v", tiles, self.tiles_bytes()),
        ];
        check_sizes("winograd backward_data", &needs)?;
        let mut list =
            vec![self.filters(gpu, "filters_backward", [conv.in_quads, conv.out_quads], weights, filters)?];
        list.extend(self.chunked(conv.rows, conv.out_quads, |chunk, transform, product| {
            let transform = [conv.out_quads, transform[0], transform[1]];
            let product = [conv.in_quads.div_ceil(4), product[0], product[1]];
            let inputs: [Bound; 3] = [("d_y", d_y), ("won", code), ("v", tiles)];
            let outputs: [Bound; 3] = [("transformed", tiles), ("filters", filters), ("d_x", d_x)];
            let tiles_bytes = self.tiling().bytes(chunk.count, conv.out_quads);
            let share = |bytes: u64| bytes / u64::from(conv.rows) * u64::from(chunk.count);
            let transform = gpu.kernel(SOURCE, "transform_gradient")?.bind(gpu, ("conv", chunk), &inputs, transform)?;
            let product = gpu.kernel(SOURCE, "backward_data")?.bind(gpu, ("conv", chunk), &outputs, product)?;
            Ok([
                transform.with_bytes(share(conv.d_y_bytes()) + share(conv.d_y_bytes()) / 4 + tiles_bytes),
                product
                    .with_bytes(tiles_bytes + self.filters_bytes() + share(conv.d_x_bytes()))
                    .with_multiply_adds(conv.multiply_adds(chunk.count)),
            ])
        })?);
        Ok(list)
    }
}
