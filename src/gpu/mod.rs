//! The only folder that names wgpu: adapters and their limits, buffers and textures, kernels with their bindings, plans.
//!
//! A [`Kernel`] is one entry point of a WGSL file; what it binds is read from the shader by reflection, so buffers are
//! bound by name. Binding gives a [`Dispatch`], a value; a [`Plan`] is a list of them, encoded afresh at every step.

mod adapter;
mod buffer;
mod error;
mod kernel;
mod module;
mod plan;
mod readback;
mod reflection;
mod texture;
mod timing;

pub use adapter::{AdapterSummary, Body, Gpu, adapters};
pub use buffer::{Buffer, UniformStruct};
pub use error::GpuError;
pub use kernel::{Kernel, Source};
pub use plan::{Dispatch, Plan, Work, linear_grid};
pub use readback::Readback;
pub use reflection::{Binding, Reflection, reflect};
pub use texture::{Bindable, Bound, Quads, Texture};

pub(crate) use buffer::{MOST_WAITING, uniform_struct};
