//! Weight and bias gradients on a GPU. Where there are few weights, the pixels are split into parts. The partial sums are written
//! out and then added in order, so that a gradient is the same in every run.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::adapter::Adapter;
use super::gpu::{self, empty, pad};
use super::{gpu_small, gpu_vec4, gpu_winograd};
use crate::kernels::cube::{blockwise, buffer, dense, elementwise};
use crate::kernels::geometry::ConvGeometry;

/// The smallest part, in pixels, that is worth its partial sums.
const PART: usize = 64;

pub fn weight_gradient(x: CubeTensor, dy: CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let (x, dy) = (dense(x), dense(dy));
    if gpu::winograd(&x, g, g.oh, g.ow) {
        let out = gpu_winograd::weight_gradient(&x, &dy, g);
        return CubeTensor::new_contiguous(out.client, out.device, g.w_shape().into(), out.handle, DType::F32);
    }
    // Both are read as vec4.
    let (cin, cout) = (g.cin.next_multiple_of(4), g.cout.next_multiple_of(4));
    let padded = [g.h + 2 * g.padding, g.w + 2 * g.padding, cin];
    let x = if padded != [g.h, g.w, g.cin] { pad(&x, g.x_shape(), [g.padding; 2], padded) } else { x };
    let dy = if cout != g.cout { pad(&dy, g.out_shape(), [0, 0], [g.oh, g.ow, cout]) } else { dy };
    let out = in_vec4s(&x, &dy, &ConvGeometry { cin, cout, ..*g });
    let out = if [cin, cout] == [g.cin, g.cout] {
        out
    } else {
        pad(&out, [g.kh * g.kw, cin, 1, cout], [0, 0], [g.cin, 1, g.cout])
    };
    CubeTensor::new_contiguous(out.client, out.device, g.w_shape().into(), out.handle, DType::F32)
}

/// For a padded input and channels in multiples of four.
fn in_vec4s(x: &CubeTensor, dy: &CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let pixels = g.n * g.oh * g.ow;
    let adapter = Adapter::of(&x.client);
    let parts = adapter.reduction_threads().div_ceil(Block::of(adapter, g).count(g)).clamp(1, pixels.div_ceil(PART));
    let part = pixels.div_ceil(parts);
    let partial = partial_sums(x, dy, g, part);
    let parts = pixels.div_ceil(part);
    if parts == 1 { partial } else { column_sums(&partial, parts, g.kh * g.kw * g.cin * g.cout) }
}

/// The input and output channel groups (vec4) of one thread.
struct Block {
    rows: usize,
    vec4s: usize,
    step: usize,
}

impl Block {
    fn of(adapter: Adapter, g: &ConvGeometry) -> Self {
        let (most, step) = adapter.weight_block();
        Self { rows: most.min(g.cin / 4), vec4s: most.min(g.cout / 4), step }
    }

    /// Number of blocks that cover all weights.
    fn count(&self, g: &ConvGeometry) -> usize {
        g.kh * g.kw * (g.cin / 4).div_ceil(self.rows) * (g.cout / 4).div_ceil(self.vec4s)
    }
}

/// `[parts, kh, kw, cin, cout]`: the sums over each `part` pixels, for a padded input and channels in multiples of four.
pub fn partial_sums(x: &CubeTensor, dy: &CubeTensor, g: &ConvGeometry, part: usize) -> CubeTensor {
    let pixels = g.n * g.oh * g.ow;
    let block = Block::of(Adapter::of(&x.client), g);
    let parts = pixels.div_ceil(part);
    let partial = empty(x, [parts, g.kh * g.kw * g.cin * g.cout]);
    let threads = block.count(g) * parts;
    let (cubes, dim) = blockwise(x, threads);
    // SAFETY: the padded input contains every tap of every pixel, and the kernel writes below the size of `partial`.
    unsafe {
        gpu_vec4::weight_gradient::launch_unchecked(
            &x.client,
            cubes,
            dim,
            4,
            buffer(x),
            buffer(dy),
            buffer(&partial),
            pixels as u32,
            part as u32,
            g.oh as u32,
            g.ow as u32,
            (g.h + 2 * g.padding) as u32,
            (g.w + 2 * g.padding) as u32,
            (g.cin / 4) as u32,
            (g.cout / 4) as u32,
            (g.kh * g.kw) as u32,
            g.kw as u32,
            g.stride as u32,
            threads as u32,
            block.rows,
            block.vec4s,
            block.step,
        );
    }
    partial
}

/// `[rows, columns]` to `[columns]`.
pub fn column_sums(x: &CubeTensor, rows: usize, columns: usize) -> CubeTensor {
    let part = if rows > 512 { rows.div_ceil(128).max(64) } else { rows };
    let parts = rows.div_ceil(part);
    let out = empty(x, [parts * columns]);
    let (cubes, dim) = elementwise(x, parts * columns);
    // SAFETY: the kernel reads below `rows · columns` and writes below `parts · columns`.
    unsafe {
        gpu_small::column_sums::launch_unchecked(
            &x.client,
            cubes,
            dim,
            buffer(x),
            buffer(&out),
            rows as u32,
            columns as u32,
            part as u32,
            (parts * columns) as u32,
        );
    }
    if parts == 1 { out } else { column_sums(&out, parts, columns) }
}
