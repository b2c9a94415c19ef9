//! Weight and bias gradients on a GPU. The pixels are cut into parts where there are few weights; each part's sums are
//! written out and then added up in order, so that a gradient never changes between runs.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::adapter::Adapter;
use super::gpu::{empty, pad};
use super::{gpu_lines, gpu_small};
use crate::kernels::cube::{buffer, dense, elementwise};
use crate::kernels::geometry::ConvGeometry;

/// Pixels that make a part worth its sums.
const PART: usize = 64;

pub fn weight_gradient(x: CubeTensor, dy: CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let (x, dy) = (dense(x), dense(dy));
    // Both are read in lines of four channels.
    let (cin, cout) = (g.cin.next_multiple_of(4), g.cout.next_multiple_of(4));
    let padded = [g.h + 2 * g.padding, g.w + 2 * g.padding, cin];
    let x = if padded != [g.h, g.w, g.cin] { pad(&x, g.x_shape(), [g.padding; 2], padded) } else { x };
    let dy = if cout != g.cout { pad(&dy, g.out_shape(), [0, 0], [g.oh, g.ow, cout]) } else { dy };
    let out = in_lines(&x, &dy, &ConvGeometry { cin, cout, ..*g });
    let out = if [cin, cout] == [g.cin, g.cout] {
        out
    } else {
        pad(&out, [g.kh * g.kw, cin, 1, cout], [0, 0], [g.cin, 1, g.cout])
    };
    CubeTensor::new_contiguous(out.client, out.device, g.w_shape().into(), out.handle, DType::F32)
}

/// For an input with its border written out, and channels in multiples of four.
fn in_lines(x: &CubeTensor, dy: &CubeTensor, g: &ConvGeometry) -> CubeTensor {
    let pixels = g.n * g.oh * g.ow;
    let size = g.kh * g.kw * g.cin * g.cout;
    let adapter = Adapter::of(&x.client);
    let (most, step) = adapter.weight_block();
    let (rows, lines) = (most.min(g.cin / 4), most.min(g.cout / 4));
    let blocks = g.kh * g.kw * (g.cin / 4).div_ceil(rows) * (g.cout / 4).div_ceil(lines);
    let parts = adapter.reduction_threads().div_ceil(blocks).clamp(1, pixels.div_ceil(PART));
    let part = pixels.div_ceil(parts);
    let parts = pixels.div_ceil(part);
    let partial = empty(x, [parts, size]);
    let (cubes, dim) = elementwise(x, blocks * parts);
    // SAFETY: the padded input holds every tap of every pixel, and the kernel writes below `parts · size`.
    unsafe {
        gpu_lines::weight_gradient::launch_unchecked(
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
            (blocks * parts) as u32,
            rows,
            lines,
            step,
        );
    }
    if parts == 1 { partial } else { column_sums(&partial, parts, size) }
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
