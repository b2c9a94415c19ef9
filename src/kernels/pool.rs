//! Max-pooling. The backward pass is a gather: every input checks in each window that contains it whether it was the maximum.
//! No indices are stored, and the order of the sums is fixed. Ties follow torch: the first maximum in row order wins, and a NaN
//! wins over everything before it.

use super::geometry::PoolGeometry;
use super::parallel::{Shared, for_each};

/// `x [n, h, w, c]` to `[n, oh, ow, c]`.
pub fn forward(x: &[f32], g: &PoolGeometry) -> Vec<f32> {
    let mut out = vec![0.0f32; g.n * g.oh * g.ow * g.c];
    let shared = Shared::new(&mut out);
    for_each(g.n * g.oh, |task| {
        let (image, oy) = (task / g.oh, task % g.oh);
        // SAFETY: each output row is written by one task.
        let row = unsafe { shared.slice(task * g.ow * g.c, g.ow * g.c) };
        for (ox, best) in row.chunks_exact_mut(g.c).enumerate() {
            best.fill(f32::NEG_INFINITY);
            for y in window(oy, g.h, g) {
                for x_at in window(ox, g.w, g) {
                    let at = ((image * g.h + y) * g.w + x_at) * g.c;
                    for (best, &value) in best.iter_mut().zip(&x[at..at + g.c]) {
                        *best = if value > *best || value.is_nan() { value } else { *best };
                    }
                }
            }
        }
    });
    out
}

/// The gradient of [`forward`] with respect to `x`.
pub fn backward(x: &[f32], dy: &[f32], g: &PoolGeometry) -> Vec<f32> {
    let mut out = vec![0.0f32; g.n * g.h * g.w * g.c];
    let shared = Shared::new(&mut out);
    for_each(g.n, |image| {
        // SAFETY: each image is written by one task.
        let dx = unsafe { shared.slice(image * g.h * g.w * g.c, g.h * g.w * g.c) };
        let x = &x[image * g.h * g.w * g.c..(image + 1) * g.h * g.w * g.c];
        let mut best = vec![(0usize, 0.0f32); g.c];
        for oy in 0..g.oh {
            for ox in 0..g.ow {
                best.fill((usize::MAX, f32::NEG_INFINITY));
                for y in window(oy, g.h, g) {
                    for x_at in window(ox, g.w, g) {
                        let at = (y * g.w + x_at) * g.c;
                        for (c, best) in best.iter_mut().enumerate() {
                            let value = x[at + c];
                            if value > best.1 || value.is_nan() || best.0 == usize::MAX {
                                *best = (at + c, value);
                            }
                        }
                    }
                }
                let from = ((image * g.oh + oy) * g.ow + ox) * g.c;
                for (&(at, _), &grad) in best.iter().zip(&dy[from..from + g.c]) {
                    dx[at] += grad;
                }
            }
        }
    });
    out
}

/// The inputs along one axis that output `o` reads.
fn window(o: usize, len: usize, g: &PoolGeometry) -> std::ops::Range<usize> {
    let start = (o * g.stride) as isize - g.padding as isize;
    start.max(0) as usize..((start + g.kernel as isize) as usize).min(len)
}
