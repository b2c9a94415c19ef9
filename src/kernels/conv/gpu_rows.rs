//! Convolutions that process all taps of a kernel row at once, so that neighbouring pixels share their loads.
//!
//! A thread computes a block of `rows × columns` pixels and `4·vec4s` channels. For each row of taps and each input vec4 it
//! reads every input of the block's rows once, for all taps that need it, and loads and stores its sums once. This suits
//! software adapters: SwiftShader spends more than a hundred instructions on each load. [`super::gpu_vec4`] processes one tap
//! at a time instead.
//!
//! The sums are scalars, and all products of a sum are added in a row. SwiftShader then keeps the sum in a register and a product
//! takes four instructions. With vec4 sums it takes seven, because the four components go to memory and back in turn.

use cubecl::prelude::*;

use super::gpu_vec4::rectified;
use super::grid::Grid;

/// A block of pixels and channels, with the taps and the step along a row. All are compile-time constants of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowBlock {
    pub rows: usize,
    pub columns: usize,
    pub vec4s: usize,
    pub taps: usize,
    pub step: usize,
}

impl RowBlock {
    /// Input pixels that one row of outputs reads.
    pub fn reach(self) -> usize {
        (self.columns - 1) * self.step + self.taps
    }

    pub fn pixels(self) -> usize {
        self.rows * self.columns
    }
}

/// One grid convolution with rows a multiple of `block.columns` long and `block.taps` taps along a row; `cin` and `cout` of
/// `g` count vec4s.
#[cube(launch_unchecked)]
pub fn grid_conv<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    g: &Grid,
    #[comptime] block: RowBlock,
    #[comptime] has_bias: bool,
    #[comptime] relu: bool,
) {
    let (vec4s, columns, rows) = comptime!((block.vec4s, block.columns, block.rows));
    let (taps, step, reach) = comptime!((block.taps, block.step, block.reach()));
    let thread = ABSOLUTE_POS as u32;
    let groups = g.cout.div_ceil(comptime!(vec4s as u32));
    let first_vec4 = (thread % groups) * comptime!(vec4s as u32);
    let across = g.columns / comptime!(columns as u32);
    let down = g.rows.div_ceil(comptime!(rows as u32));
    let place = thread / groups;
    let first_column = (place % across) * comptime!(columns as u32);
    let first_row = ((place / across) % down) * comptime!(rows as u32);
    let image = place / (across * down);
    if image >= g.pixels / (g.rows * g.columns) {
        terminate!();
    }

    // Rows and channel groups past the last repeat it and are not written.
    let mut bases = Sequence::<u32>::new();
    #[unroll]
    for r in 0..rows {
        let row = min(first_row + r as u32, g.rows - 1);
        let row = image * g.h + row * g.y_step + g.y_start;
        bases.push((row * g.w + first_column * comptime!(step as u32) + g.x_start) * g.cin);
    }
    let mut lanes = Sequence::<u32>::new();
    #[unroll]
    for l in 0..vec4s {
        lanes.push(min(first_vec4 + l as u32, g.cout - 1));
    }
    let mut sums = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(rows * columns) {
        #[unroll]
        for l in 0..vec4s {
            let mut start = Vector::<f32, N>::new(0.0);
            if comptime!(has_bias) {
                start = bias[*lanes.index(l) as usize];
            }
            #[unroll]
            for c in 0..4usize {
                sums.push(RuntimeCell::new(start.extract(c)));
            }
        }
    }

    for ty in 0..g.y_taps {
        let tap = (g.wy + ty as i32 * g.wy_step) * g.kw + g.wx;
        for k in 0..g.cin {
            let mut weights = Sequence::<f32>::new();
            #[unroll]
            for t in 0..taps {
                let from = ((tap + comptime!(t as i32) * g.wx_step) as u32 * g.cin + k) * 4 * g.cout;
                #[unroll]
                for j in 0..4usize {
                    #[unroll]
                    for l in 0..vec4s {
                        let value = w[(from + j as u32 * g.cout + *lanes.index(l)) as usize];
                        #[unroll]
                        for c in 0..4usize {
                            weights.push(value.extract(c));
                        }
                    }
                }
            }
            #[unroll]
            for r in 0..rows {
                let from = *bases.index(r) + ty * g.w * g.cin + k;
                let mut inputs = Sequence::<f32>::new();
                #[unroll]
                for c in 0..reach {
                    let value = x[(from + comptime!(c as u32) * g.cin) as usize];
                    #[unroll]
                    for j in 0..4usize {
                        inputs.push(value.extract(j));
                    }
                }
                #[unroll]
                for c in 0..columns {
                    #[unroll]
                    for l in 0..comptime!(4 * vec4s) {
                        let cell = sums.index(comptime!((r * columns + c) * 4 * vec4s + l));
                        let mut sum = cell.read();
                        #[unroll]
                        for t in 0..comptime!(4 * taps) {
                            sum += *inputs.index(comptime!(c * step * 4 + t))
                                * *weights.index(comptime!(t * 4 * vec4s + l));
                        }
                        cell.store(sum);
                    }
                }
            }
        }
    }

    #[unroll]
    for r in 0..rows {
        let row = first_row + r as u32;
        let from = ((image * g.oh + g.oy + row * g.oy_step) * g.ow + g.ox + first_column * g.ox_step) * g.cout;
        #[unroll]
        for c in 0..columns {
            let place = from + comptime!(c as u32) * g.ox_step * g.cout;
            #[unroll]
            for l in 0..vec4s {
                let vec4 = first_vec4 + l as u32;
                if row < g.rows && vec4 < g.cout {
                    let mut sum = Vector::<f32, N>::new(0.0);
                    #[unroll]
                    for j in 0..4usize {
                        sum.insert(j, sums.index(comptime!(((r * columns + c) * vec4s + l) * 4 + j)).read());
                    }
                    if comptime!(relu) {
                        out[(place + vec4) as usize] = rectified(sum);
                    } else {
                        out[(place + vec4) as usize] = sum;
                    }
                }
            }
        }
    }
}
