//! Forward pass and data gradient on the CPU: an implicit GEMM over packed weights.

use std::borrow::Cow;

use super::micro::{MAX_MR, MAX_NR, Micro, Tile, micro};
use crate::kernels::geometry::{Axis, ConvGeometry};
use crate::kernels::parallel::{Shared, for_each};

/// Depth of one pass: a panel of `DEPTH × NR` numbers stays in the L2 cache.
const DEPTH: usize = 1024;
/// Pixels per task; each weight panel that is fetched is used for all of them.
const TASK_PIXELS: usize = 96;

/// The pixels of all images and their memory layout.
struct Source<'a> {
    data: &'a [f32],
    h: usize,
    w: usize,
    c: usize,
}

/// A stretch of the depth that is contiguous in the source: its start relative to each pixel, and its tap in the weights.
struct Segment {
    dy: isize,
    dx: isize,
}

/// `x [n, h, w, cin]` with `w [kh, kw, cin, cout]` and `bias [cout]` to `[n, oh, ow, cout]`.
pub fn forward(x: &[f32], w: &[f32], bias: &[f32], g: &ConvGeometry, relu: bool) -> Vec<f32> {
    let mut out = vec![0.0; g.n * g.oh * g.ow * g.cout];
    let y = Axis::forward(g.oh, g.kh, g.stride, g.padding);
    let xa = Axis::forward(g.ow, g.kw, g.stride, g.padding);
    let target = Target { out: Shared::new(&mut out), h: g.oh, w: g.ow, c: g.cout, bias, relu };
    let taps = |k: usize| (k * g.cout, 1);
    if g.cin < 8 && g.kw > 1 {
        // With so few channels a tap is too short a stretch. Padding the input explicitly makes a whole kernel row contiguous.
        let padded = pad(x, g.x_shape(), g.padding);
        let source = Source { data: &padded, h: g.h + 2 * g.padding, w: g.w + 2 * g.padding, c: g.cin };
        let shifted = |axis: Axis| Axis { in_start: axis.in_start + g.padding as isize, ..axis };
        let segments: Vec<_> = (0..g.kh).map(|t| Segment { dy: t as isize, dx: 0 }).collect();
        let panels = pack(w, g.cout, (0..g.kh).map(|t| taps(t * g.kw * g.cin)), g.kw * g.cin, g.cout);
        run(&source, g.n, &shifted(y), &shifted(xa), &segments, g.kw * g.cin, &panels, &target);
    } else {
        let source = Source { data: x, h: g.h, w: g.w, c: g.cin };
        let few = g.n * g.oh * g.ow < FEW_PIXELS && g.cout.is_multiple_of(micro().nr);
        let bases = (0..g.kh * g.kw).map(|t| taps(t * g.cin));
        let panels = if few { Panels::in_place(w, g.cout) } else { pack(w, g.cout, bases, g.cin, g.cout) };
        run(&source, g.n, &y, &xa, &segments(&y, &xa), g.cin, &panels, &target);
    }
    out
}

/// The gradient of [`forward`] with respect to `x`, given the gradient of its output before the ReLU.
pub fn data_gradient(dy: &[f32], w: &[f32], g: &ConvGeometry) -> Vec<f32> {
    let mut out = vec![0.0; g.n * g.h * g.w * g.cin];
    let zeros = vec![0.0; g.cin];
    let target = Target { out: Shared::new(&mut out), h: g.h, w: g.w, c: g.cin, bias: &zeros, relu: false };
    let source = Source { data: dy, h: g.oh, w: g.ow, c: g.cout };
    for y in Axis::gradient(g.h, g.kh, g.stride, g.padding) {
        for x in Axis::gradient(g.w, g.kw, g.stride, g.padding) {
            if y.taps * x.taps == 0 {
                continue;
            }
            // The depth is now the output channel and a column the input channel, so the weights are read transposed.
            let mut bases = Vec::with_capacity(y.taps * x.taps);
            for ty in 0..y.taps {
                for tx in 0..x.taps {
                    let tap = (y.w_start + ty * y.w_step) * g.kw + x.w_start + tx * x.w_step;
                    bases.push((tap * g.cin * g.cout, g.cout));
                }
            }
            let panels = pack(w, 1, bases.into_iter(), g.cout, g.cin);
            run(&source, g.n, &y, &x, &segments(&y, &x), g.cout, &panels, &target);
        }
    }
    out
}

fn segments(y: &Axis, x: &Axis) -> Vec<Segment> {
    let taps = (0..y.taps).flat_map(|ty| (0..x.taps).map(move |tx| (ty, tx)));
    taps.map(|(ty, tx)| Segment { dy: ty as isize * y.tap_step, dx: tx as isize * x.tap_step }).collect()
}

/// Pads with zeros on all four sides.
pub fn pad(x: &[f32], [n, h, w, c]: [usize; 4], padding: usize) -> Vec<f32> {
    let (ph, pw) = (h + 2 * padding, w + 2 * padding);
    let mut padded = vec![0.0; n * ph * pw * c];
    for row in 0..n * h {
        let (image, y) = (row / h, row % h);
        let to = ((image * ph + y + padding) * pw + padding) * c;
        padded[to..to + w * c].copy_from_slice(&x[row * w * c..(row + 1) * w * c]);
    }
    padded
}

/// Weights in panels of `NR` columns.
struct Panels<'a> {
    data: Cow<'a, [f32]>,
    /// Stride from one panel to the next, and from one row of a panel to the next.
    panel: usize,
    row: usize,
    columns: usize,
}

/// With fewer pixels than this, packing the weights costs more than it saves; they are then read in place.
const FEW_PIXELS: usize = 64;

impl<'a> Panels<'a> {
    fn in_place(w: &'a [f32], columns: usize) -> Self {
        Self { data: Cow::Borrowed(w), panel: micro().nr, row: columns, columns }
    }
}

/// Packs panels of `depth × NR`, the last one padded with zeros:
/// `value(k, j) = w[base + k·depth_stride + j·column_stride]`, for each run's `(base, column_stride)`.
fn pack(
    w: &[f32],
    depth_stride: usize,
    runs: impl Iterator<Item = (usize, usize)>,
    len: usize,
    columns: usize,
) -> Panels<'static> {
    let nr = micro().nr;
    let runs: Vec<_> = runs.collect();
    let depth = runs.len() * len;
    let mut data = vec![0.0f32; columns.div_ceil(nr) * depth * nr];
    let shared = Shared::new(&mut data);
    for_each(columns.div_ceil(nr), |p| {
        // SAFETY: each panel belongs to one task.
        let panel = unsafe { shared.slice(p * depth * nr, depth * nr) };
        let width = nr.min(columns - p * nr);
        for (&(base, column_stride), block) in runs.iter().zip(panel.chunks_exact_mut(len * nr)) {
            if column_stride == 1 {
                for (k, row) in block.chunks_exact_mut(nr).enumerate() {
                    let from = base + k * depth_stride + p * nr;
                    row[..width].copy_from_slice(&w[from..from + width]);
                }
            } else {
                for j in 0..width {
                    let from = base + (p * nr + j) * column_stride;
                    for (k, row) in block.chunks_exact_mut(nr).enumerate() {
                        row[j] = w[from + k * depth_stride];
                    }
                }
            }
        }
    });
    Panels { data: Cow::Owned(data), panel: depth * nr, row: nr, columns }
}

/// The output.
struct Target<'a> {
    out: Shared<'a, f32>,
    h: usize,
    w: usize,
    c: usize,
    bias: &'a [f32],
    relu: bool,
}

#[allow(clippy::too_many_arguments)]
fn run(
    source: &Source,
    images: usize,
    y: &Axis,
    x: &Axis,
    segments: &[Segment],
    len: usize,
    panels: &Panels<'_>,
    target: &Target,
) {
    let m = micro();
    let pixels = images * y.len * x.len;
    let zeros = vec![0.0f32; len];
    let columns = panels.columns.div_ceil(m.nr);
    let task_pixels = TASK_PIXELS / m.mr * m.mr;
    let groups = pixels.div_ceil(task_pixels);
    // With few pixels, split the columns too, so that every core has work.
    let splits = (16 / groups).clamp(1, columns);
    for_each(groups * splits, |task| {
        let (group, split) = (task / splits, task % splits);
        let first = group * task_pixels;
        let job = Job { m, source, y, x, segments, len, panels, target, zeros: &zeros };
        let range = split * columns / splits..(split + 1) * columns / splits;
        job.block(first, task_pixels.min(pixels - first), range);
    });
}

struct Job<'a> {
    m: &'static Micro,
    source: &'a Source<'a>,
    y: &'a Axis,
    x: &'a Axis,
    segments: &'a [Segment],
    len: usize,
    panels: &'a Panels<'a>,
    target: &'a Target<'a>,
    zeros: &'a [f32],
}

impl Job<'_> {
    /// Computes `count` pixels of the grid, starting at `first`, for a range of panels.
    fn block(&self, first: usize, count: usize, columns: std::ops::Range<usize>) {
        let (mr, nr) = (self.m.mr, self.m.nr);
        let tiles = count.div_ceil(mr);
        let segs = self.segments.len();
        // Row pointers [tile][segment][row]. Rows past the end repeat the last pixel and are not stored.
        let mut rows = vec![std::ptr::null::<f32>(); tiles * segs * mr];
        let mut places = vec![0usize; tiles * mr];
        for i in 0..tiles * mr {
            let (image, j, k) = self.position(first + i.min(count - 1));
            places[i] = ((image * self.target.h + self.y.out_start + j * self.y.out_step) * self.target.w
                + self.x.out_start
                + k * self.x.out_step)
                * self.target.c;
            let row = (j * self.y.in_step) as isize + self.y.in_start;
            let column = (k * self.x.in_step) as isize + self.x.in_start;
            for (s, segment) in self.segments.iter().enumerate() {
                rows[((i / mr) * segs + s) * mr + i % mr] = self.row(image, row + segment.dy, column + segment.dx);
            }
        }
        let mut edge = [[0.0f32; MAX_NR]; MAX_MR];
        for (s0, s1, offset, len) in self.passes() {
            let (begins, ends) = (s0 == 0 && offset == 0, s1 == segs && offset + len == self.len);
            for p in columns.clone() {
                let width = nr.min(self.panels.columns - p * nr);
                let mut start = [0.0f32; MAX_NR];
                start[..width].copy_from_slice(&self.target.bias[p * nr..p * nr + width]);
                let panel = &self.panels.data[p * self.panels.panel + (s0 * self.len + offset) * self.panels.row..];
                for tile in 0..tiles {
                    let valid = mr.min(count - tile * mr);
                    let whole = valid == mr && width == nr;
                    let mut out = [std::ptr::null_mut(); MAX_MR];
                    for r in 0..mr {
                        let place = places[tile * mr + r] + p * nr;
                        if whole {
                            // SAFETY: the pixel and the panel's `NR` columns are inside the output.
                            out[r] = unsafe { self.target.out.pointer(place) };
                        } else {
                            if !begins && r < valid {
                                // SAFETY: no other task writes this pixel's columns.
                                edge[r][..width].copy_from_slice(unsafe { self.target.out.slice(place, width) });
                            }
                            out[r] = edge[r].as_mut_ptr();
                        }
                    }
                    let t = Tile {
                        rows: rows[(tile * segs + s0) * mr..].as_ptr(),
                        segments: s1 - s0,
                        offset,
                        len,
                        panel: panel.as_ptr(),
                        step: self.panels.row,
                        start: if begins { start.as_ptr() } else { std::ptr::null() },
                        out,
                        relu: ends && self.target.relu,
                    };
                    // SAFETY: each row pointer is valid for `self.len` numbers, the panel for the whole pass, and the outputs for
                    // `NR` numbers of this task's own pixels or of `edge`.
                    unsafe { (self.m.tile)(&t) };
                    if !whole {
                        for (r, edge) in edge.iter().enumerate().take(valid) {
                            // SAFETY: as above.
                            let to = unsafe { self.target.out.slice(places[tile * mr + r] + p * nr, width) };
                            to.copy_from_slice(&edge[..width]);
                        }
                    }
                }
            }
        }
    }

    /// Passes along the depth as (first segment, end, offset in each, length in each). A pass spans several segments only if
    /// it takes them whole, because a panel's rows are contiguous.
    fn passes(&self) -> Vec<(usize, usize, usize, usize)> {
        let segs = self.segments.len();
        if self.len > DEPTH {
            let pieces = self.len.div_ceil(DEPTH);
            let at = |i: usize| i * self.len / pieces;
            let cut = (0..segs).flat_map(|s| (0..pieces).map(move |i| (s, i)));
            return cut.map(|(s, i)| (s, s + 1, at(i), at(i + 1) - at(i))).collect();
        }
        let step = (DEPTH / self.len).max(1);
        (0..segs).step_by(step).map(|s| (s, (s + step).min(segs), 0, self.len)).collect()
    }

    fn position(&self, pixel: usize) -> (usize, usize, usize) {
        let (row, k) = (pixel / self.x.len, pixel % self.x.len);
        (row / self.y.len, row % self.y.len, k)
    }

    fn row(&self, image: usize, y: isize, x: isize) -> *const f32 {
        let s = self.source;
        if (0..s.h as isize).contains(&y) && (0..s.w as isize).contains(&x) {
            let at = ((image * s.h + y as usize) * s.w + x as usize) * s.c;
            s.data[at..at + self.len].as_ptr()
        } else {
            self.zeros.as_ptr()
        }
    }
}
