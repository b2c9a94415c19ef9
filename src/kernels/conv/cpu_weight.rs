//! Weight and bias gradients on the CPU.

use super::cpu::pad;
use super::micro::{Outer, micro};
use crate::kernels::geometry::ConvGeometry;
use crate::kernels::parallel::{Shared, for_each};

/// Pixels per pass: their input rows and one panel of output gradients stay in the L1 cache.
const PASS: usize = 128;
/// Input channels per task, a multiple of every `MR`.
const TASK_CHANNELS: usize = 96;
/// The minimum number of tasks, so that every core has work.
const TASKS: usize = 16;

/// `dw [kh, kw, cin, cout]`: for each tap, the outer product of input and output gradient, summed over the pixels.
pub fn weight_gradient(x: &[f32], dy: &[f32], g: &ConvGeometry) -> Vec<f32> {
    if g.cin < 8 && g.kw > 1 {
        // As in the forward pass: in the padded input a kernel row is one contiguous stretch of `kw · cin` channels.
        let padded = pad(x, g.x_shape(), g.padding);
        let rows = Rows { data: &padded, h: g.h + 2 * g.padding, w: g.w + 2 * g.padding, c: g.cin };
        let taps: Vec<_> = (0..g.kh).map(|t| (t as isize, 0)).collect();
        return sum(&rows, &taps, g.kw * g.cin, dy, g);
    }
    let rows = Rows { data: x, h: g.h, w: g.w, c: g.cin };
    let p = g.padding as isize;
    let taps: Vec<_> = (0..g.kh).flat_map(|ky| (0..g.kw).map(move |kx| (ky as isize - p, kx as isize - p))).collect();
    sum(&rows, &taps, g.cin, dy, g)
}

/// The sum of each of the `c` columns.
pub fn column_sums(rows: &[f32], c: usize) -> Vec<f32> {
    // Pairwise summation over blocks, so that the error does not grow with the number of pixels.
    const BLOCK: usize = 256;
    if rows.len() <= BLOCK * c {
        let mut sums = vec![0.0f32; c];
        for row in rows.chunks_exact(c) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        return sums;
    }
    let blocks = rows.len().div_ceil(BLOCK * c);
    let mut partial = vec![0.0f32; blocks * c];
    let shared = Shared::new(&mut partial);
    for_each(blocks, |b| {
        let block = &rows[b * BLOCK * c..rows.len().min((b + 1) * BLOCK * c)];
        // SAFETY: each row of sums is written by one task.
        unsafe { shared.slice(b * c, c) }.copy_from_slice(&column_sums(block, c));
    });
    column_sums(&partial, c)
}

/// The input as rows of pixels.
struct Rows<'a> {
    data: &'a [f32],
    h: usize,
    w: usize,
    c: usize,
}

fn sum(rows: &Rows, taps: &[(isize, isize)], run: usize, dy: &[f32], g: &ConvGeometry) -> Vec<f32> {
    let m = micro();
    let pixels = g.n * g.oh * g.ow;
    let columns = g.cout.div_ceil(m.nr);
    let mut out = vec![0.0f32; taps.len() * run * g.cout];
    let shared = Shared::new(&mut out);
    let zeros = vec![0.0f32; run];
    let pieces = run.div_ceil(TASK_CHANNELS);
    let splits = TASKS.div_ceil(taps.len() * pieces).min(columns);
    for_each(taps.len() * pieces * splits, |task| {
        let (tap, piece, split) = (task / (pieces * splits), task / splits % pieces, task % splits);
        let channels = piece * TASK_CHANNELS..run.min((piece + 1) * TASK_CHANNELS);
        let part = split * columns / splits..(split + 1) * columns / splits;
        let ld = part.len() * m.nr;
        let mut sums = vec![0.0f32; channels.len() * ld];
        let mut panels = vec![0.0f32; part.len() * PASS * m.nr];
        let mut pointers = [std::ptr::null::<f32>(); PASS];
        for first in (0..pixels).step_by(PASS) {
            let count = PASS.min(pixels - first);
            for (i, pointer) in pointers.iter_mut().enumerate().take(count) {
                *pointer = rows.pixel(first + i, taps[tap], run, g).map_or(zeros.as_ptr(), <[f32]>::as_ptr);
            }
            pack(&mut panels, dy, g.cout, first..first + count, part.clone(), m.nr);
            for (p, panel) in panels.chunks_exact(PASS * m.nr).enumerate() {
                for channel in channels.clone().step_by(m.mr) {
                    let r = m.mr.min(channels.end - channel);
                    let at = (channel - channels.start) * ld + p * m.nr;
                    let o = Outer {
                        rows: pointers.as_ptr(),
                        count,
                        channel,
                        panel: panel.as_ptr(),
                        out: sums[at..].as_mut_ptr(),
                        ld,
                        accumulate: first > 0,
                    };
                    // SAFETY: every row is valid for `run` channels, the panel for `count · NR` numbers, `sums` for `r` rows.
                    unsafe { (m.outer[r - 1])(&o) };
                }
            }
        }
        let width = ld.min(g.cout - part.start * m.nr);
        for (i, row) in sums.chunks_exact(ld).enumerate() {
            let at = (tap * run + channels.start + i) * g.cout + part.start * m.nr;
            // SAFETY: each channel of a tap is written by one task, or its columns are divided among several.
            unsafe { shared.slice(at, width) }.copy_from_slice(&row[..width]);
        }
    });
    out
}

impl Rows<'_> {
    /// The input channels that an output pixel reads through a tap, or `None` outside the image.
    fn pixel(&self, pixel: usize, tap: (isize, isize), run: usize, g: &ConvGeometry) -> Option<&[f32]> {
        let (row, ox) = (pixel / g.ow, pixel % g.ow);
        let (image, oy) = (row / g.oh, row % g.oh);
        let (y, x) = ((oy * g.stride) as isize + tap.0, (ox * g.stride) as isize + tap.1);
        let inside = (0..self.h as isize).contains(&y) && (0..self.w as isize).contains(&x);
        inside.then(|| {
            let at = ((image * self.h + y as usize) * self.w + x as usize) * self.c;
            &self.data[at..at + run]
        })
    }
}

/// Packs the output gradients of some pixels into panels of `PASS × nr`. Read in place, rows a power of two apart would map to the
/// same few cache lines. Columns of the last panel past `c` stay zero.
fn pack(
    panels: &mut [f32],
    dy: &[f32],
    c: usize,
    pixels: std::ops::Range<usize>,
    part: std::ops::Range<usize>,
    nr: usize,
) {
    let rows = &dy[pixels.start * c..pixels.end * c];
    for (p, panel) in part.zip(panels.chunks_exact_mut(PASS * nr)) {
        let columns = p * nr..c.min((p + 1) * nr);
        match columns.len() {
            16 => copy::<16>(panel, rows, c, columns.start),
            8 if nr == 8 => copy::<8>(panel, rows, c, columns.start),
            _ => {
                for (to, from) in panel.chunks_exact_mut(nr).zip(rows.chunks_exact(c)) {
                    to[..columns.len()].copy_from_slice(&from[columns.clone()]);
                }
            }
        }
    }
}

/// Copies `N` columns starting at `start`. With `N` known at compile time, a row takes a few registers and no call.
fn copy<const N: usize>(panel: &mut [f32], rows: &[f32], c: usize, start: usize) {
    for (to, from) in panel.chunks_exact_mut(N).zip(rows.chunks_exact(c)) {
        to.copy_from_slice(&from[start..start + N]);
    }
}
