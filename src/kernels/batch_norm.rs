//! Batch normalisation with the sum of a residual block and the activation function behind it, all in one kernel:
//! y = f(γ·(x − μ) / √(σ² + ε) + β + skip).
//!
//! In training μ and σ² are those of the batch, σ² divided by the count. What is kept for later, the running mean and
//! variance, takes (1 − momentum) of each batch's, the variance divided by the count − 1 as PyTorch does; Keras keeps the
//! same variance that it normalises with, which is smaller by a part in the count.

use super::{Function, Needs, QUAD, QuadsSource, Step, check_sizes, quads_source};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Quads, linear_grid, uniform_struct};

const PLAIN: QuadsSource = quads_source!("batch_norm/plain.wgsl", "functions.wgsl", "batch_norm.wgsl");
const SKIP: QuadsSource = quads_source!("batch_norm/skip.wgsl", "functions.wgsl", "batch_norm.wgsl");

/// Chunks of a group, and rows that an invocation goes through, as the shader has them.
const GROUP: u32 = 32;
const ROWS: u32 = 8;

uniform_struct! {
    /// The shapes of one layer.
    BatchNorm {
        /// Images of the forward pass.
        images: u32,
        /// Rows of the gradient; row r belongs to row r % images of x. More than images only outside of training.
        rows: u32,
        /// Pixels of a channel.
        area: u32,
        /// Channels / 4, rounded up.
        quads: u32,
        /// Parts in which a channel is summed.
        chunks: u32,
        /// The activation [`Function`].
        function: u32,
        /// What is added to the variance.
        epsilon: f32,
        /// The share of the running statistics that a step leaves (Keras's momentum; PyTorch's is 1 − this).
        momentum: f32,
    }
}

/// What a layer learns and keeps, each a value a channel, padding zero.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// γ.
    pub scale: &'a Buffer,
    /// β.
    pub offset: &'a Buffer,
    /// Running mean.
    pub mean: &'a Buffer,
    /// Running variance.
    pub variance: &'a Buffer,
}

impl BatchNorm {
    /// The shapes for `images` pictures of `area` pixels.
    pub fn new(images: u32, area: u32, channels: u32, function: Function, epsilon: f32, momentum: f32) -> BatchNorm {
        // Enough invocations for a GPU where there is work for them, and loops far below the 65,535 turns after which
        // some drivers end a shader.
        let chunks = (u64::from(images) * u64::from(area)).div_ceil(64).clamp(1, 1024) as u32;
        let quads = channels.div_ceil(4);
        BatchNorm { images, rows: images, area, quads, chunks, function: function as u32, epsilon, momentum }
    }

    /// Bytes of x, the skip and y.
    pub fn bytes(&self) -> u64 {
        u64::from(self.images) * u64::from(self.area) * self.parameter_bytes()
    }

    /// Bytes of the gradients of x, the skip and y.
    pub fn d_bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.area) * self.parameter_bytes()
    }

    /// Bytes of each of a [`Norm`]'s buffers and their gradients.
    pub fn parameter_bytes(&self) -> u64 {
        u64::from(self.quads) * QUAD
    }

    /// Bytes of the statistics of a batch, kept from [`BatchNorm::train_forward`] to [`BatchNorm::train_backward`].
    pub fn statistics_bytes(&self) -> u64 {
        2 * self.parameter_bytes()
    }

    /// Bytes of the partial sums, which no dispatch after these needs.
    pub fn partial_bytes(&self) -> u64 {
        u64::from(self.chunks + self.chunks.div_ceil(GROUP)) * 3 * self.parameter_bytes()
    }

    /// y, the batch's statistics and the running ones, from the first `count` images of the [`Step`] uniform. The images
    /// behind them are normalised like these.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    #[expect(clippy::too_many_arguments, reason = "one a tensor")]
    pub fn train_forward(
        &self,
        gpu: &Gpu,
        step: &Buffer,
        x: &Quads,
        skip: Option<&Quads>,
        norm: Norm,
        statistics: &Buffer,
        partial: &Buffer,
        y: &Quads,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let layer = Layer { shape: self, gpu, x, skip };
        let x: Needs = ("x", x, self.bytes());
        let partial: Needs = ("partial_sums", partial, self.partial_bytes());
        let statistics: Needs = ("statistics", statistics, self.statistics_bytes());
        let [scale, offset, mean, variance] = self.needs(norm);
        let step: Needs = ("step", step, size_of::<Step>() as u64);
        let mut all = vec![
            layer.dispatch("moments", &[step, x, partial], self.sums_grid())?,
            layer.dispatch("moments_of_groups", &[partial], self.groups_grid())?,
            layer.dispatch("moments_of_batch", &[partial, statistics, mean, variance], self.quads_grid())?,
        ];
        let mut needs = vec![x, scale, offset, statistics, ("y", y, self.bytes())];
        needs.extend(layer.skip());
        all.push(layer.dispatch("train_forward", &needs, self.grid(self.images))?);
        Ok(all)
    }

    /// y with the running statistics.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes.
    pub fn infer_forward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        skip: Option<&Quads>,
        norm: Norm,
        y: &Quads,
    ) -> Result<Dispatch, GpuError> {
        let layer = Layer { shape: self, gpu, x, skip };
        let mut needs: Vec<Needs> = vec![("x", x, self.bytes()), ("y", y, self.bytes())];
        needs.extend(self.needs(norm));
        needs.extend(layer.skip());
        layer.dispatch("infer_forward", &needs, self.grid(self.images))
    }

    /// The gradients of x, the skip and the parameters, after [`BatchNorm::train_forward`] of the same x. Images from
    /// `count` on count for nothing, and their gradients are zero. A skip asks for its gradient.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or only one of skip and d_skip is there.
    #[expect(clippy::too_many_arguments, reason = "one a tensor")]
    pub fn train_backward(
        &self,
        gpu: &Gpu,
        step: &Buffer,
        x: &Quads,
        skip: Option<&Quads>,
        norm: Norm,
        statistics: &Buffer,
        partial: &Buffer,
        d_y: &Quads,
        d_x: &Quads,
        d_skip: Option<&Quads>,
        d_scale: &Buffer,
        d_offset: &Buffer,
    ) -> Result<Vec<Dispatch>, GpuError> {
        let layer = Layer { shape: self, gpu, x, skip };
        let partial: Needs = ("partial_sums", partial, self.partial_bytes());
        let sums: [Needs; _] =
            [("d_scale", d_scale, self.parameter_bytes()), ("d_offset", d_offset, self.parameter_bytes())];
        let [scale, offset, ..] = self.needs(norm);
        let mut reads: Vec<Needs> = vec![
            ("step", step, size_of::<Step>() as u64),
            ("x", x, self.bytes()),
            ("d_y", d_y, self.bytes()),
            ("statistics", statistics, self.statistics_bytes()),
            scale,
            offset,
        ];
        reads.extend(layer.skip());
        let gradients = layer.gradients(d_x, d_skip, self.bytes())?;
        Ok(vec![
            layer.dispatch("sums", &[&reads[..], &[partial]].concat(), self.sums_grid())?,
            layer.dispatch("sums_of_groups", &[partial], self.groups_grid())?,
            layer.dispatch("sums_of_batch", &[partial, sums[0], sums[1]], self.quads_grid())?,
            layer.dispatch("train_backward", &[&reads[..], &sums, &gradients].concat(), self.grid(self.images))?,
        ])
    }

    /// The gradients of x and the skip with the running statistics, which are constants. A skip asks for its gradient.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if the memory is too small for the shapes, or only one of skip and d_skip is there.
    #[expect(clippy::too_many_arguments, reason = "one a tensor")]
    pub fn infer_backward(
        &self,
        gpu: &Gpu,
        x: &Quads,
        skip: Option<&Quads>,
        norm: Norm,
        d_y: &Quads,
        d_x: &Quads,
        d_skip: Option<&Quads>,
    ) -> Result<Dispatch, GpuError> {
        let layer = Layer { shape: self, gpu, x, skip };
        let mut needs = layer.gradients(d_x, d_skip, self.d_bytes())?;
        needs.extend::<[Needs; _]>([("x", x, self.bytes()), ("d_y", d_y, self.d_bytes())]);
        needs.extend(self.needs(norm));
        needs.extend(layer.skip());
        layer.dispatch("infer_backward", &needs, self.grid(self.rows))
    }

    fn needs<'a>(&self, norm: Norm<'a>) -> [Needs<'a>; 4] {
        let bytes = self.parameter_bytes();
        [
            ("scale", norm.scale, bytes),
            ("offset", norm.offset, bytes),
            ("mean", norm.mean, bytes),
            ("variance", norm.variance, bytes),
        ]
    }

    fn grid(&self, rows: u32) -> [u32; 3] {
        linear_grid(u64::from(rows.div_ceil(ROWS)) * u64::from(self.quads) * u64::from(self.area), 64)
    }

    fn sums_grid(&self) -> [u32; 3] {
        linear_grid(u64::from(self.quads) * u64::from(self.chunks), 64)
    }

    fn groups_grid(&self) -> [u32; 3] {
        linear_grid(u64::from(self.quads) * u64::from(self.chunks.div_ceil(GROUP)), 64)
    }

    fn quads_grid(&self) -> [u32; 3] {
        linear_grid(u64::from(self.quads), 64)
    }
}

/// What all dispatches of a layer have in common.
struct Layer<'a> {
    shape: &'a BatchNorm,
    gpu: &'a Gpu,
    x: &'a Quads,
    skip: Option<&'a Quads>,
}

impl<'a> Layer<'a> {
    fn skip(&self) -> Option<Needs<'a>> {
        self.skip.map(|skip| -> Needs { ("skip", skip, self.shape.bytes()) })
    }

    fn gradients(&self, d_x: &'a Quads, d_skip: Option<&'a Quads>, bytes: u64) -> Result<Vec<Needs<'a>>, GpuError> {
        let mut needs: Vec<Needs> = vec![("d_x", d_x, bytes)];
        match (self.skip, d_skip) {
            (None, None) => {}
            (Some(_), Some(d_skip)) => needs.push(("d_skip", d_skip, bytes)),
            _ => {
                let reason = "a skip asks for its gradient, and only a skip has one".to_owned();
                return Err(GpuError::Shader { shader: "batch norm".to_owned(), reason });
            }
        }
        Ok(needs)
    }

    fn dispatch(&self, entry: &'static str, needs: &[Needs], grid: [u32; 3]) -> Result<Dispatch, GpuError> {
        check_sizes("batch norm", needs)?;
        let bound: Vec<Bound> = needs.iter().map(|(name, memory, _)| (*name, *memory)).collect();
        let source = if self.skip.is_some() { SKIP } else { PLAIN };
        let kernel = self.gpu.kernel(source.of(self.x), entry)?;
        if bound.iter().any(|(name, _)| *name == "step") {
            kernel.check_members::<Step>("step")?;
        }
        kernel.bind(self.gpu, ("batch_norm", self.shape), &bound, grid)
    }
}
