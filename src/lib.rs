//! glowworm
pub mod files;
pub mod gpu;
pub mod kernels;
pub mod model;
pub mod training;
