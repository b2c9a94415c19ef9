//! Convolution for real GPUs: an implicit GEMM over tiles in shared memory.
//!
//! A workgroup of 64 threads computes 64 pixels × 64 channels, 16 input channels of one tap at a time. It uses 8 KiB of shared memory,
//! and each thread keeps 8 pixels × 8 channels in registers. Input channels must be a multiple of 16, so that a step stays in one tap.

use cubecl::prelude::*;

use super::grid::Grid;

/// Threads per workgroup, which is also its number of pixels and of channels.
pub const TILE: usize = 64;
/// Input vec4s per step.
const STEP: usize = 4;
/// Stride in vec4s from one pixel to the next in shared memory: one more than needed, to avoid bank conflicts.
const ROW: usize = STEP + 1;

/// One grid convolution; `cin` and `cout` of `g` count vec4s, and `cin` is a multiple of four.
#[cube(launch_unchecked)]
pub fn grid_conv<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    g: &Grid,
    #[comptime] has_bias: bool,
    #[comptime] relu: bool,
) {
    let mut inputs = Shared::<[Vector<f32, N>]>::new_slice(comptime!(TILE * ROW));
    let mut weights = Shared::<[Vector<f32, N>]>::new_slice(comptime!(STEP * 4 * TILE / 4));
    let unit = UNIT_POS_X;
    let (across, down) = (unit % 8, unit / 8);
    let tile_pixel = (CUBE_POS_X + CUBE_POS_Z * CUBE_COUNT_X) * 64;
    let tile_vec4 = CUBE_POS_Y * 16;
    let last_vec4 = g.cout - 1;

    // The four pixels whose vec4s this thread fetches.
    let mut bases = Array::<u32>::new(4usize);
    #[unroll]
    for i in 0..4usize {
        let pixel = min(tile_pixel + unit / 4 + i as u32 * 16, g.pixels - 1);
        let column = pixel % g.columns;
        let row = (pixel / g.columns) % g.rows;
        let image = pixel / (g.columns * g.rows);
        bases[i] =
            ((image * g.h + row * g.y_step + g.y_start) * g.w + column * g.x_step + g.x_start) * g.cin + unit % 4;
    }
    let mut sums = Array::<Vector<f32, N>>::new(16usize);
    #[unroll]
    for l in 0..2usize {
        let mut start = Vector::<f32, N>::new(0.0);
        if comptime!(has_bias) {
            start = bias[min(tile_vec4 + across + l as u32 * 8, last_vec4) as usize];
        }
        #[unroll]
        for p in 0..8usize {
            sums[p * 2 + l] = start;
        }
    }

    for ty in 0..g.y_taps {
        for tx in 0..g.x_taps {
            let tap = (g.wy + ty as i32 * g.wy_step) * g.kw + g.wx + tx as i32 * g.wx_step;
            let from = tap as u32 * g.cin * 4 * g.cout + min(tile_vec4 + unit % 16, last_vec4);
            let shift = (ty * g.w + tx) * g.cin;
            for step in 0..g.cin / 4 {
                #[unroll]
                for i in 0..4usize {
                    let place = (unit / 4 + i as u32 * 16) * comptime!(ROW as u32) + unit % 4;
                    inputs[place as usize] = x[(bases[i] + shift + step * 4) as usize];
                    let depth = unit / 16 + i as u32 * 4;
                    weights[(depth * 16 + unit % 16) as usize] = w[(from + (step * 16 + depth) * g.cout) as usize];
                }
                sync_cube();
                #[unroll]
                for k in 0..STEP {
                    let mut values = Array::<Vector<f32, N>>::new(8usize);
                    #[unroll]
                    for p in 0..8usize {
                        values[p] = inputs[((down * 8 + p as u32) * comptime!(ROW as u32) + k as u32) as usize];
                    }
                    #[unroll]
                    for j in 0..4usize {
                        #[unroll]
                        for l in 0..2usize {
                            let weight = weights[((k * 4 + j) as u32 * 16 + across + l as u32 * 8) as usize];
                            #[unroll]
                            for p in 0..8usize {
                                sums[p * 2 + l] += Vector::<f32, N>::new(values[p].extract(j)) * weight;
                            }
                        }
                    }
                }
                sync_cube();
            }
        }
    }

    #[unroll]
    for p in 0..8usize {
        let pixel = tile_pixel + down * 8 + p as u32;
        let column = pixel % g.columns;
        let row = (pixel / g.columns) % g.rows;
        let image = pixel / (g.columns * g.rows);
        let place = ((image * g.oh + g.oy + row * g.oy_step) * g.ow + g.ox + column * g.ox_step) * g.cout;
        #[unroll]
        for l in 0..2usize {
            let vec4 = tile_vec4 + across + l as u32 * 8;
            if pixel < g.pixels && vec4 < g.cout {
                let sum = sums[p * 2 + l];
                let mut kept = sum;
                if comptime!(relu) {
                    #[unroll]
                    for j in 0..4usize {
                        let value = sum.extract(j);
                        kept.insert(j, select(value < 0.0, 0.0, value));
                    }
                }
                out[(place + vec4) as usize] = kept;
            }
        }
    }
}
