//! Which layers there are and in what order: the list ([`NetworkSpec`]) and the files that it is read from
//! ([`Architecture`]), the operations that it comes to ([`Graph`]), their shapes on the device ([`Shapes`]), the weights in
//! Keras's layouts ([`Weights`]), and the [`Network`] that lays plans from them.

mod architecture;
mod average;
mod error;
mod explanation;
mod fitting;
mod freezing;
mod graph;
mod laid;
mod layout;
mod network;
mod passes;
mod self_test;
mod shapes;
mod spec;
mod weights;

pub use architecture::Architecture;
pub use error::ModelError;
pub use explanation::Target;
pub use fitting::{Part, network_for_training};
pub use graph::{Graph, Misfit, Place, Row, Shape};
pub use layout::Layout;
pub use network::{Network, OptimizerState, Purpose, StepSettings};
pub use self_test::{CASES, check_cases, self_test};
pub use shapes::{Shapes, fit, fitting_points};
pub use spec::{Layer, NetworkSpec, ParameterSpec, Start};

pub use crate::kernels::plain_conv::Padding;
pub use weights::{Metadata, Tensor, Weights};
