//! The shapes of every layer for a batch, and whether they fit the adapter, before anything is allocated.

use super::{Layer, ModelError, NetworkSpec, Target};
use crate::gpu::{Body, Gpu};
use crate::kernels::augment::Augment;
use crate::kernels::conv::Conv;
use crate::kernels::dense::Dense;
use crate::kernels::dropout::Dropout;
use crate::kernels::softmax::Softmax;

/// One layer with its shapes.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Convolution, ReLU, pooling.
    Conv(Conv),
    /// Dropout of what the stage before gave.
    Dropout(Dropout),
    /// Dense, with or without ReLU.
    Dense(Dense),
}

/// The shapes of a network for a batch.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// The way into the network.
    pub augment: Augment,
    /// The layers that compute.
    pub stages: Vec<Stage>,
    /// The end.
    pub softmax: Softmax,
}

impl Shapes {
    /// The shapes of `spec` for `batch` pictures.
    ///
    /// # Errors
    /// [`ModelError::Spec`].
    pub fn new(spec: &NetworkSpec, batch: u32) -> Result<Shapes, ModelError> {
        spec.check()?;
        let (mut height, mut width, mut channels) = (spec.height, spec.width, 3);
        let mut stages: Vec<Stage> = Vec::new();
        let mut dropouts = 0;
        for (index, layer) in spec.layers.iter().enumerate() {
            match layer {
                Layer::ConvReluPool { filters } => {
                    let next_is_convolution = matches!(spec.layers.get(index + 1), Some(Layer::ConvReluPool { .. }));
                    let border = u32::from(next_is_convolution);
                    stages.push(Stage::Conv(Conv::new(batch, height, width, (channels, *filters), border)));
                    (height, width, channels) = (height / 2, width / 2, *filters);
                }
                Layer::Dropout { rate } => {
                    let bytes = match stages.last() {
                        Some(Stage::Conv(conv)) => conv.y_bytes(),
                        Some(Stage::Dense(dense)) => dense.y_bytes(),
                        _ => return Err(ModelError::Spec("dropout with nothing before it".to_owned())),
                    };
                    dropouts += 1;
                    let quads = (bytes / crate::kernels::QUAD) as u32;
                    stages.push(Stage::Dropout(Dropout {
                        layer: dropouts,
                        quads,
                        rate: *rate,
                        row_quads: quads / batch,
                    }));
                }
                Layer::Flatten => {
                    // Channels are padded to quads, and so are the rows that the dense layer sees.
                    channels = height * width * channels.next_multiple_of(4);
                }
                Layer::Dense { units } => {
                    stages.push(Stage::Dense(Dense::new(batch, channels, *units, true)));
                    channels = units.next_multiple_of(4);
                }
                Layer::Softmax => stages.push(Stage::Dense(Dense::new(batch, channels, spec.classes, false))),
            }
        }
        Ok(Shapes {
            augment: Augment { rows: batch, height: spec.height, width: spec.width, border: 1 },
            stages,
            softmax: Softmax::new(batch, spec.classes),
        })
    }

    /// The same with the gradients of `shared` outputs behind one forward pass.
    pub fn with_shared_gradients(mut self, shared: u32) -> Shapes {
        for stage in &mut self.stages {
            if let Stage::Conv(conv) = stage {
                conv.rows = conv.images * shared;
            }
        }
        self
    }

    /// The same with the weights' gradients summed as this body likes it.
    pub fn for_body(mut self, body: Body) -> Shapes {
        for stage in &mut self.stages {
            if let Stage::Conv(conv) = stage {
                *conv = conv.for_body(body);
            }
        }
        self
    }

    /// Name and size in bytes of every tensor that could be the largest; for training, with the gradients. (Optimiser states
    /// are as large as the weights.)
    pub fn tensors(&self, training: bool) -> Vec<(String, u64)> {
        let mut all = vec![("the batch of images".to_owned(), self.augment.x_bytes())];
        let (mut convolutions, mut denses) = (0, 0);
        for stage in &self.stages {
            let (name, weights, bias) = match stage {
                Stage::Conv(c) => {
                    convolutions += 1;
                    (format!("conv{convolutions}"), c.weights_bytes(), u64::from(c.bias_bytes()))
                }
                Stage::Dense(d) => {
                    denses += 1;
                    (format!("dense{denses}"), d.weights_bytes(), d.bias_bytes())
                }
                Stage::Dropout(_) => continue,
            };
            all.push((format!("the weights of {name}"), weights));
            all.push((format!("the bias of {name}"), bias));
            match stage {
                Stage::Conv(c) => {
                    all.push((format!("the output of {name}"), c.y_bytes()));
                    all.push((format!("the pool codes of {name}"), c.code_bytes()));
                    if training {
                        all.push((format!("the output gradient of {name}"), c.d_y_bytes()));
                        let parts = weights * u64::from(c.chunks);
                        all.push((format!("the partial weight gradients of {name}"), parts));
                    }
                }
                Stage::Dense(d) => {
                    all.push((format!("the output of {name}"), d.y_bytes()));
                    all.push((format!("the partial sums of {name}"), d.partial_bytes()));
                    if training {
                        all.push((format!("the output gradient of {name}"), d.y_bytes()));
                    }
                }
                Stage::Dropout(_) => {}
            }
        }
        all
    }
}

fn too_large(spec: &NetworkSpec, batch: u32, training: bool, limit: u64) -> Option<(String, u64)> {
    let shapes = Shapes::new(spec, batch).ok()?;
    shapes.tensors(training).into_iter().filter(|t| t.1 > limit).max_by_key(|t| t.1)
}

/// The largest batch, up to `most`, of which the adapter binds every tensor.
pub fn fitting_batch(gpu: &Gpu, spec: &NetworkSpec, most: u32, training: bool) -> Option<u32> {
    (1..=most).rev().find(|&batch| too_large(spec, batch, training, gpu.max_tensor_bytes()).is_none())
}

/// Holds every tensor of the network against the adapter's limits.
///
/// # Errors
/// [`ModelError::DoesNotFit`] with a batch size, or failing that an image size, that fits; [`ModelError::Spec`].
pub fn fit(gpu: &Gpu, spec: &NetworkSpec, batch: u32, training: bool) -> Result<(), ModelError> {
    spec.check()?;
    let limit = gpu.max_tensor_bytes();
    let Some((tensor, bytes)) = too_large(spec, batch, training, limit) else { return Ok(()) };
    let fitting_batch = fitting_batch(gpu, spec, batch - 1, training);
    let smaller = |side: u32| NetworkSpec { height: side, width: side, ..spec.clone() };
    let fitting_side = (1..=spec.height.min(spec.width) / 8)
        .rev()
        .map(|eighth| eighth * 8)
        .find(|&side| smaller(side).check().is_ok() && too_large(&smaller(side), batch, training, limit).is_none());
    let advice = match (fitting_batch, fitting_side) {
        (Some(b), Some(s)) => format!("--batch-size {b} fits, or --image-size {s} with this batch"),
        (Some(b), None) => format!("--batch-size {b} fits"),
        (None, Some(s)) => format!("--image-size {s} fits"),
        (None, None) => "no batch or image size fits: use another adapter (`glowworm devices`)".to_owned(),
    };
    Err(ModelError::DoesNotFit { tensor, bytes, limit, adapter: gpu.summary().name.clone(), advice })
}

/// The largest batch of points, up to `wanted`, whose gradients fit the adapter when a picture is explained; the gradients
/// of all outputs are kept at once.
///
/// # Errors
/// [`ModelError::DoesNotFit`] if not even one point fits, [`ModelError::Spec`].
pub fn fitting_points(gpu: &Gpu, spec: &NetworkSpec, target: Target, wanted: u32) -> Result<u32, ModelError> {
    let limit = gpu.max_tensor_bytes();
    let outputs = target.outputs(spec.classes);
    let largest = |batch: u32| -> Result<u64, ModelError> {
        let shapes = Shapes::new(spec, batch)?.with_shared_gradients(outputs);
        let bytes = shapes.stages.iter().map(|stage| match stage {
            Stage::Conv(conv) => conv.d_x_bytes().max(conv.d_y_bytes()).max(conv.y_bytes()),
            Stage::Dense(dense) => dense.y_bytes() * u64::from(outputs),
            Stage::Dropout(_) => 0,
        });
        Ok(bytes.max().unwrap_or(0))
    };
    for batch in (1..=wanted).rev() {
        if largest(batch)? <= limit {
            return Ok(batch);
        }
    }
    Err(ModelError::DoesNotFit {
        tensor: "the gradients of one picture for all classes".to_owned(),
        bytes: largest(1)?,
        limit,
        adapter: gpu.summary().name.clone(),
        advice: "use a smaller --image-size or another adapter".to_owned(),
    })
}
