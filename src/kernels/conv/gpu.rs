//! Convolution on a GPU: forward pass and data gradient as grid convolutions, and the choice of kernel.

use burn::tensor::{DType, Shape};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::adapter::{Adapter, Algorithm, GridShape};
use super::gpu_rows::RowBlock;
use super::gpu_winograd::Winograd;
use super::grid::GridLaunch;
use super::{gpu_rows, gpu_small, gpu_tiled, gpu_vec4};
use crate::kernels::cube::{blockwise, buffer, dense, elementwise};
use crate::kernels::geometry::{Axis, ConvGeometry};

pub fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), DType::F32)
}

pub fn forward(x: CubeTensor, w: CubeTensor, bias: CubeTensor, g: &ConvGeometry, relu: bool) -> CubeTensor {
    // Outputs are written as vec4.
    let cout = g.cout.next_multiple_of(4);
    if cout != g.cout {
        let w = pad(&dense(w), [g.kh * g.kw, g.cin, 1, g.cout], [0, 0], [g.cin, 1, cout]);
        let bias = pad(&dense(bias), [1, 1, 1, g.cout], [0, 0], [1, 1, cout]);
        let out = forward(x, w, bias, &ConvGeometry { cout, ..*g }, relu);
        return pad(&out, [g.n, g.oh, g.ow, cout], [0, 0], [g.oh, g.ow, g.cout]);
    }
    let out = empty(&x, g.out_shape());
    if winograd(&x, g, g.oh, g.ow) {
        let (x, w, bias) = (dense(x), dense(w), dense(bias));
        let (padding, out_shape) = (g.padding, g.out_shape());
        let (x_shape, bias) = (g.x_shape(), Some(&bias));
        Winograd { x: &x, x_shape, w: &w, reversed: false, bias, padding, out: &out, out_shape, relu }.run();
        return out;
    }
    let y = Axis::forward(g.oh, g.kh, g.stride, g.padding);
    let xa = Axis::forward(g.ow, g.kw, g.stride, g.padding);
    let operands = Operands {
        x: dense(x),
        x_shape: g.x_shape(),
        w: dense(w),
        w_shape: g.w_shape(),
        bias: Some(dense(bias)),
        out: &out,
        out_shape: g.out_shape(),
        relu,
    };
    operands.run(&[(y, xa)]);
    out
}

/// Whether Winograd's algorithm is used for an output of `oh × ow`.
pub fn winograd(x: &CubeTensor, g: &ConvGeometry, oh: usize, ow: usize) -> bool {
    let fits = [g.kh, g.kw, g.stride] == [3, 3, 1] && g.padding < 3;
    let whole = g.cin.is_multiple_of(4) && g.cout.is_multiple_of(4);
    fits && whole && Adapter::of(&x.client).winograd(g.n, oh, ow, g.cin, g.cout)
}

pub fn data_gradient(dy: CubeTensor, w: CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let cin = g.cin.next_multiple_of(4);
    if cin != g.cin {
        let w = pad(&dense(w), [g.kh * g.kw, g.cin, 1, g.cout], [0, 0], [cin, 1, g.cout]);
        let out = data_gradient(dy, w, &ConvGeometry { cin, ..*g });
        return pad(&out, [g.n, g.h, g.w, cin], [0, 0], [g.h, g.w, g.cin]);
    }
    let out = empty(&dy, g.x_shape());
    if winograd(&dy, g, g.h, g.w) {
        let (x, w) = (dense(dy), transpose(&dense(w), g));
        // The gradient uses the forward pass's taps in reverse.
        let (padding, out_shape) = (g.kh - 1 - g.padding, g.x_shape());
        let x_shape = g.out_shape();
        Winograd { x: &x, x_shape, w: &w, reversed: true, bias: None, padding, out: &out, out_shape, relu: false }
            .run();
        return out;
    }
    let ys = Axis::gradient(g.h, g.kh, g.stride, g.padding);
    let xs = Axis::gradient(g.w, g.kw, g.stride, g.padding);
    let grids: Vec<_> = ys.iter().flat_map(|y| xs.iter().map(|x| (*y, *x))).collect();
    let operands = Operands {
        x: dense(dy),
        x_shape: g.out_shape(),
        w: transpose(&dense(w), g),
        w_shape: [g.kh, g.kw, g.cout, g.cin],
        bias: None,
        out: &out,
        out_shape: g.x_shape(),
        relu: false,
    };
    operands.run(&grids);
    out
}

/// Weights `[kh, kw, cin, cout]` to `[kh, kw, cout, cin]`.
fn transpose(w: &CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let out = empty(w, [g.kh, g.kw, g.cout, g.cin]);
    let count = g.kh * g.kw * g.cin * g.cout;
    let (cubes, dim) = elementwise(w, count);
    // SAFETY: both buffers hold `count` numbers, and the kernel stays below it.
    unsafe {
        gpu_small::transpose_taps::launch_unchecked(
            &w.client,
            cubes,
            dim,
            buffer(w),
            buffer(&out),
            g.cin as u32,
            g.cout as u32,
            count as u32,
        );
    }
    out
}

/// Pads with zeros around the image and in the channels from `c` to `cp`, or crops to `hp`, `wp` and `cp`.
pub fn pad(x: &CubeTensor, [n, h, w, c]: [usize; 4], [top, left]: [usize; 2], [hp, wp, cp]: [usize; 3]) -> CubeTensor {
    let out = empty(x, [n, hp, wp, cp]);
    let lanes = if c.is_multiple_of(4) && cp.is_multiple_of(4) { 4 } else { 1 };
    let count = n * hp * wp * cp / lanes;
    let (cubes, dim) = elementwise(x, count);
    // SAFETY: the kernel writes below `count` and reads only inside `[n, h, w, c]`.
    unsafe {
        gpu_small::pad::launch_unchecked(
            &x.client,
            cubes,
            dim,
            lanes,
            buffer(x),
            buffer(&out),
            h as u32,
            w as u32,
            (c / lanes) as u32,
            top as u32,
            left as u32,
            hp as u32,
            wp as u32,
            (cp / lanes) as u32,
            count as u32,
        );
    }
    out
}

struct Operands<'a> {
    x: CubeTensor,
    x_shape: [usize; 4],
    w: CubeTensor,
    w_shape: [usize; 4],
    bias: Option<CubeTensor>,
    out: &'a CubeTensor,
    out_shape: [usize; 4],
    relu: bool,
}

impl Operands<'_> {
    /// Runs grid convolutions that together write the whole output. Its channels must be a multiple of four.
    fn run(self, grids: &[(Axis, Axis)]) {
        let [n, h, width, cin] = self.x_shape;
        let [kh, kw, _, cout] = self.w_shape;
        let border = |axis: fn(&(Axis, Axis)) -> &Axis, len: usize| {
            let reach = grids.iter().map(|grid| axis(grid).reach());
            let (low, high) = reach.fold((0, len as isize - 1), |a, b| (a.0.min(b.0), a.1.max(b.1)));
            ((-low) as usize, (high + 1) as usize - len)
        };
        let ((top, bottom), (left, right)) = (border(|g| &g.0, h), border(|g| &g.1, width));
        let cp = cin.next_multiple_of(4);
        let (hp, wp) = (h + top + bottom, width + left + right);
        let padded = [hp, wp, cp] != [h, width, cin];
        let x = if padded { pad(&self.x, self.x_shape, [top, left], [hp, wp, cp]) } else { self.x };
        let w = if cp != cin { pad(&self.w, [kh * kw, cin, 1, cout], [0, 0], [cp, 1, cout]) } else { self.w };
        let bias = self.bias.as_ref().unwrap_or(&w);
        for (y, xa) in grids {
            let pixels = n * y.len * xa.len;
            let grid = launch_grid(y, xa, pixels, [hp, wp, cp / 4], [top, left], kw, self.out_shape);
            let launch = Launch { x: &x, w: &w, bias, out: self.out, has_bias: self.bias.is_some(), relu: self.relu };
            match Adapter::of(&x.client).algorithm(GridShape::of(n, y, xa, cp, cout)) {
                Algorithm::Tiles => launch.tiles(grid, pixels, cout),
                Algorithm::Rows(block) => {
                    launch.rows(grid, n * y.len.div_ceil(block.rows) * (xa.len / block.columns), cout, block)
                }
                Algorithm::Block(block, vec4s) => launch.blocks(grid, pixels.div_ceil(block), cout, (block, vec4s)),
            }
        }
    }
}

/// The arguments of a grid convolution's kernels, besides its sizes.
struct Launch<'a> {
    /// Padded to contain every position that the axes reach.
    x: &'a CubeTensor,
    w: &'a CubeTensor,
    bias: &'a CubeTensor,
    out: &'a CubeTensor,
    has_bias: bool,
    relu: bool,
}

impl Launch<'_> {
    fn tiles(&self, grid: GridLaunch, pixels: usize, cout: usize) {
        let (tiles, columns) = (pixels.div_ceil(gpu_tiled::TILE), cout.div_ceil(gpu_tiled::TILE));
        let along = tiles.min(32768);
        // SAFETY: the padded input contains every position that the axes reach, the weights every tap; positions of a tile
        // past the end repeat the last one and are not written.
        unsafe {
            gpu_tiled::grid_conv::launch_unchecked(
                &self.x.client,
                CubeCount::Static(along as u32, columns as u32, tiles.div_ceil(along) as u32),
                CubeDim::new_1d(gpu_tiled::TILE as u32),
                4,
                buffer(self.x),
                buffer(self.w),
                buffer(self.bias),
                buffer(self.out),
                grid,
                self.has_bias,
                self.relu,
            );
        }
    }

    fn rows(&self, grid: GridLaunch, blocks: usize, cout: usize, block: RowBlock) {
        let (cubes, dim) = blockwise(self.x, blocks * (cout / 4).div_ceil(block.vec4s));
        // SAFETY: as above; the blocks divide the rows, and rows and channel groups past the last repeat it and are not written.
        unsafe {
            gpu_rows::grid_conv::launch_unchecked(
                &self.x.client,
                cubes,
                dim,
                4,
                buffer(self.x),
                buffer(self.w),
                buffer(self.bias),
                buffer(self.out),
                grid,
                block,
                self.has_bias,
                self.relu,
            );
        }
    }

    fn blocks(&self, grid: GridLaunch, blocks: usize, cout: usize, (pixels, vec4s): (usize, usize)) {
        let (cubes, dim) = blockwise(self.x, blocks * (cout / 4).div_ceil(vec4s));
        // SAFETY: as above; the kernel writes only to existing pixels and channel groups.
        unsafe {
            gpu_vec4::grid_conv::launch_unchecked(
                &self.x.client,
                cubes,
                dim,
                4,
                buffer(self.x),
                buffer(self.w),
                buffer(self.bias),
                buffer(self.out),
                grid,
                pixels,
                vec4s,
                self.has_bias,
                self.relu,
            );
        }
    }
}

fn launch_grid(
    y: &Axis,
    x: &Axis,
    pixels: usize,
    [hp, wp, cin]: [usize; 3],
    [top, left]: [usize; 2],
    kw: usize,
    [_, oh, ow, cout]: [usize; 4],
) -> GridLaunch {
    let low = |axis: &Axis| axis.in_start + (axis.taps as isize - 1).max(0) * axis.tap_step.min(0);
    // Taps are visited from the lowest input upwards, so a descending axis starts at its last weight.
    let weights = |axis: &Axis| {
        let back = axis.tap_step < 0 && axis.taps > 0;
        let start = if back { axis.w_start + (axis.taps - 1) * axis.w_step } else { axis.w_start };
        (start as i32, if back { -(axis.w_step as i32) } else { axis.w_step as i32 })
    };
    let ((wy, wy_step), (wx, wx_step)) = (weights(y), weights(x));
    GridLaunch::new(
        pixels as u32,
        y.len as u32,
        x.len as u32,
        hp as u32,
        wp as u32,
        cin as u32,
        (cout / 4) as u32,
        y.in_step as u32,
        x.in_step as u32,
        (low(y) + top as isize) as u32,
        (low(x) + left as isize) as u32,
        y.taps as u32,
        x.taps as u32,
        wy,
        wy_step,
        wx,
        wx_step,
        kw as i32,
        oh as u32,
        ow as u32,
        y.out_start as u32,
        y.out_step as u32,
        x.out_start as u32,
        x.out_step as u32,
    )
}
