//! glowworm
pub mod commands;
pub mod data;
pub mod files;
pub mod gpu;
pub mod kernels;
pub mod model;
pub mod report;
pub mod training;
