//! Every kernel against a plain f64 reference, which is itself held against central differences.
//!
//! Each test runs on every body that the adapter has. Outputs are poisoned with NaN beforehand and stand between guard
//! words; inputs are followed by NaN, so that a read past their end shows in the result. The exact tests use whole
//! numbers, whose sums do not depend on their order, and compare bits; the others allow what rounding may do. Without an
//! adapter the tests fail with the command that brings one, unless GLOWWORM_ALLOW_NO_ADAPTER is set: then they say that
//! they were skipped.

#[path = "../common/mod.rs"]
mod common;

mod activation;
mod augment;
mod average;
mod batch_norm;
mod border;
mod conv;
mod copy;
mod dense;
mod dropout;
mod explain;
mod harness;
mod optimizer;
mod plain_conv;
mod pool;
mod reduce;
mod relu;
mod roof;
mod shaders;
mod softmax;
