//! The sizes of a convolution that the GPU kernels need.

use cubecl::prelude::*;

/// One grid convolution over a padded input; see [`crate::kernels::geometry::Axis`].
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Grid {
    pub pixels: u32,
    pub rows: u32,
    pub columns: u32,
    pub h: u32,
    pub w: u32,
    pub cin: u32,
    pub cout: u32,
    pub y_step: u32,
    pub x_step: u32,
    pub y_start: u32,
    pub x_start: u32,
    pub y_taps: u32,
    pub x_taps: u32,
    pub wy: i32,
    pub wy_step: i32,
    pub wx: i32,
    pub wx_step: i32,
    pub kw: i32,
    pub oh: u32,
    pub ow: u32,
    pub oy: u32,
    pub oy_step: u32,
    pub ox: u32,
    pub ox_step: u32,
}
