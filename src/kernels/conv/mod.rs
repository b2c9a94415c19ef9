//! Convolution, forward and backward.

pub mod adapter;
pub mod cpu;
pub mod cpu_weight;
pub mod gpu;
pub mod gpu_rows;
mod gpu_small;
mod gpu_tiled;
mod gpu_vec4;
pub mod gpu_weight;
mod gpu_winograd;
mod grid;
pub mod micro;
mod walk;
mod winograd_tiles;
