//! Convolutions that take the taps of a row of the kernel together, so that neighbouring pixels share what they read.
//!
//! A thread has a block of `rows × columns` pixels and `4·lines` channels. For each row of taps and each line of input
//! channels it reads every input of the block's rows once, for all the taps that want it, and fetches and puts back its sums once.
//! That suits software adapters: SwiftShader makes more than a hundred instructions of a number that is loaded. See
//! [`super::gpu_lines`], which has one tap at a time.
//!
//! A sum is a single number that takes all of its products in a row. Then SwiftShader keeps it in a register, and a product takes
//! four instructions; where four sums take a product in turn, as in a line, each goes to memory and back, which makes it seven.

use cubecl::prelude::*;

use super::gpu_lines::rectified;
use super::grid::Grid;

/// A block of pixels and channels, and the taps and the step along a row, all known when the kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowBlock {
    pub rows: usize,
    pub columns: usize,
    pub lines: usize,
    pub taps: usize,
    pub step: usize,
}

impl RowBlock {
    /// Inputs of one row of pixels.
    pub fn reach(self) -> usize {
        (self.columns - 1) * self.step + self.taps
    }

    pub fn pixels(self) -> usize {
        self.rows * self.columns
    }
}

/// One grid convolution whose rows are a multiple of `block.columns` long, with `block.taps` taps along a row; `cin` and
/// `cout` of `g` count lines.
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
    let (lines, columns, rows) = comptime!((block.lines, block.columns, block.rows));
    let (taps, step, reach) = comptime!((block.taps, block.step, block.reach()));
    let thread = ABSOLUTE_POS as u32;
    let groups = g.cout.div_ceil(comptime!(lines as u32));
    let first_line = (thread % groups) * comptime!(lines as u32);
    let across = g.columns / comptime!(columns as u32);
    let down = g.rows.div_ceil(comptime!(rows as u32));
    let place = thread / groups;
    let first_column = (place % across) * comptime!(columns as u32);
    let first_row = ((place / across) % down) * comptime!(rows as u32);
    let image = place / (across * down);
    if image >= g.pixels / (g.rows * g.columns) {
        terminate!();
    }

    // Rows past the last repeat it, lines too; neither is written.
    let mut bases = Sequence::<u32>::new();
    #[unroll]
    for r in 0..rows {
        let row = min(first_row + r as u32, g.rows - 1);
        let row = image * g.h + row * g.y_step + g.y_start;
        bases.push((row * g.w + first_column * comptime!(step as u32) + g.x_start) * g.cin);
    }
    let mut lanes = Sequence::<u32>::new();
    #[unroll]
    for l in 0..lines {
        lanes.push(min(first_line + l as u32, g.cout - 1));
    }
    let mut sums = Sequence::<RuntimeCell<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(rows * columns) {
        #[unroll]
        for l in 0..lines {
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
                    for l in 0..lines {
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
                    for l in 0..comptime!(4 * lines) {
                        let cell = sums.index(comptime!((r * columns + c) * 4 * lines + l));
                        let mut sum = cell.read();
                        #[unroll]
                        for t in 0..comptime!(4 * taps) {
                            sum += *inputs.index(comptime!(c * step * 4 + t))
                                * *weights.index(comptime!(t * 4 * lines + l));
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
            for l in 0..lines {
                let line = first_line + l as u32;
                if row < g.rows && line < g.cout {
                    let mut sum = Vector::<f32, N>::new(0.0);
                    #[unroll]
                    for j in 0..4usize {
                        sum.insert(j, sums.index(comptime!(((r * columns + c) * lines + l) * 4 + j)).read());
                    }
                    if comptime!(relu) {
                        out[(place + line) as usize] = rectified(sum);
                    } else {
                        out[(place + line) as usize] = sum;
                    }
                }
            }
        }
    }
}
