//! Softmax with categorical cross-entropy against soft targets, and its gradient.

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

uniform_struct! {
    /// What a row should answer: ((1−ε)·((1−s)·[first] + s·[second]) + ε/classes), and how much its answer matters.
    Label {
        /// The class.
        first: u32,
        /// The class that was mixed in (Zhang et al. 2018, mixup; Yun et al. 2019, CutMix).
        second: u32,
        /// Its share s, 0 to 1.
        share: f32,
        /// What is spread evenly over all classes, ε, 0 to 1 (Szegedy et al. 2016; Keras's `label_smoothing`).
        smoothing: f32,
        /// What the row's loss and gradient are multiplied with; the mean is over the count of rows, as with Keras's
        /// `class_weight`.
        weight: f32,
    }
}

impl From<u32> for Label {
    /// One class and nothing else.
    fn from(class: u32) -> Label {
        Label { first: class, second: class, share: 0.0, smoothing: 0.0, weight: 1.0 }
    }
}

/// What both entry points read and write.
pub struct Outputs<'a> {
    /// `[rows, quads]` quads.
    pub logits: &'a Buffer,
    /// `[rows]` of [`Label`].
    pub labels: &'a Buffer,
    /// `[rows, quads]` quads.
    pub probabilities: &'a Buffer,
    /// `[rows, 2]`: loss, and 1 where the likeliest class is the one with the larger share.
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
            ("labels", outputs.labels, rows * std::mem::size_of::<Label>() as u64),
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
