//! Convolution, forward and backward.

pub mod adapter;
pub mod cpu;
pub mod cpu_weight;
pub mod gpu;
mod gpu_lines;
pub mod gpu_rows;
mod gpu_small;
mod gpu_tiled;
pub mod gpu_weight;
mod gpu_winograd;
mod grid;
pub mod micro;
mod walk;
mod winograd_tiles;
