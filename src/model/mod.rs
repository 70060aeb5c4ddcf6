//! Which layers there are and in what order: the list ([`NetworkSpec`]) and the files that it is read from
//! ([`Architecture`]), the operations that it comes to ([`Graph`]), their shapes on the device ([`Shapes`]), the weights in
//! Keras's layouts ([`Weights`], [`ModelFile`]), and the [`Network`] that lays plans from them.

mod architecture;
mod average;
mod bundles;
mod compile_ahead;
mod error;
mod explanation;
mod fitting;
mod freezing;
mod graph;
mod held;
mod laid;
mod layout;
mod model_file;
mod network;
mod numbers;
mod passes;
mod reuse;
mod self_test;
mod shapes;
mod slabs;
mod spec;
mod tensor_file;
mod weights;

pub use architecture::Architecture;
pub use compile_ahead::{COMPILING_AHEAD, CompileAhead};
pub use error::ModelError;
pub use explanation::Target;
pub use fitting::{Part, network_for_training};
pub use graph::{Graph, Misfit, Place, Row, Shape};
pub use held::{Held, OnDevice};
pub use layout::{Layout, Piece};
pub use model_file::{Metadata, ModelFile};
pub use network::{Network, Purpose, StepSettings};
pub use numbers::{Initial, Numbers, check};
pub use self_test::{CASES, check_cases, self_test};
pub use shapes::{Shapes, fit, fitting_points};
pub use spec::{Layer, NetworkSpec, ParameterSpec, Start};
pub use tensor_file::{Entry, Part as FilePart, TensorFile, Tensors, Untaken};

pub use crate::kernels::plain_conv::Padding;
pub use weights::{Tensor, Weights};
