//! Why a network answers as it does: expected gradients of every class's output with respect to the picture.

mod concentration;
mod estimate;
mod sampling;

pub use concentration::{Concentration, Part, concentration};
pub use estimate::{Background, Estimate, ExplainOptions, Explainer};
pub use sampling::{Round, background_sample};
