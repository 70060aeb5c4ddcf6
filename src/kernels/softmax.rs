//! Softmax with categorical cross-entropy, and its gradient.

use super::{QUAD, Step, check_sizes};
use crate::gpu::{Bound, Buffer, Dispatch, Gpu, GpuError, Source, uniform_struct};

const SOURCE: Source = Source { name: "softmax.wgsl", parts: &[include_str!("../../shaders/softmax.wgsl")] };

uniform_struct! {
    /// The shapes.
    Softmax {
        /// Rows of logits.
        rows: u32,
        /// Classes.
        classes: u32,
        /// Classes / 4, rounded up.
        quads: u32,
    }
}

/// What both entry points read and write.
pub struct Outputs<'a> {
    /// `[rows, quads]` quads.
    pub logits: &'a Buffer,
    /// `[rows]` u32.
    pub labels: &'a Buffer,
    /// `[rows, quads]` quads.
    pub probabilities: &'a Buffer,
    /// `[rows, 2]`: loss and 1 for a right answer.
    pub results: &'a Buffer,
}

impl Softmax {
    /// The shapes for rows of `classes` logits.
    pub fn new(rows: u32, classes: u32) -> Softmax {
        Softmax { rows, classes, quads: classes.div_ceil(4) }
    }

    /// Bytes of logits, probabilities or the gradient.
    pub fn bytes(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.quads) * QUAD
    }

    fn check(&self, outputs: &Outputs) -> Result<(), GpuError> {
        let rows = u64::from(self.rows);
        let needs = [
            ("logits", outputs.logits, self.bytes()),
            ("labels", outputs.labels, rows * 4),
            ("probabilities", outputs.probabilities, self.bytes()),
            ("results", outputs.results, rows * 8),
        ];
        check_sizes("softmax", &needs)
    }

    /// Probabilities, losses and hits.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn evaluate(&self, gpu: &Gpu, step: &Buffer, outputs: &Outputs) -> Result<Dispatch, GpuError> {
        self.check(outputs)?;
        let kernel = gpu.kernel(SOURCE, "evaluate")?;
        kernel.check_members::<Step>("step")?;
        let buffers: [Bound; _] = [
            ("step", step),
            ("logits", outputs.logits),
            ("labels", outputs.labels),
            ("probabilities", outputs.probabilities),
            ("results", outputs.results),
        ];
        kernel.bind(gpu, ("softmax", self), &buffers, [self.rows.div_ceil(8), 1, 1])
    }

    /// The same, and the gradient of the mean loss with respect to the logits.
    ///
    /// # Errors
    /// [`GpuError::Shader`] if a buffer is too small for the shapes.
    pub fn train(&self, gpu: &Gpu, step: &Buffer, outputs: &Outputs, d_logits: &Buffer) -> Result<Dispatch, GpuError> {
        self.check(outputs)?;
        check_sizes("softmax", &[("d_logits", d_logits, self.bytes())])?;
        let kernel = gpu.kernel(SOURCE, "train")?;
        kernel.check_members::<Step>("step")?;
        let buffers: [Bound; _] = [
            ("step", step),
            ("logits", outputs.logits),
            ("labels", outputs.labels),
            ("probabilities", outputs.probabilities),
            ("results", outputs.results),
            ("d_logits", d_logits),
        ];
        kernel.bind(gpu, ("softmax", self), &buffers, [self.rows.div_ceil(8), 1, 1])
    }
}
