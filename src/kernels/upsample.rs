//! The feature pyramid's top-down step: the coarser level resized by nearest neighbour, plus the finer one.
//!
//! Output `i` of `len` reads input `floor(i · scale)` with `scale = from / len` in single precision, exactly as torch's
//! `interpolate(mode="nearest")` does.

use super::parallel::{Shared, for_each};

/// `top [n, th, tw, c]` resized to `lateral [n, h, w, c]`, plus `lateral`.
pub fn forward(top: &[f32], [_, th, tw, _]: [usize; 4], lateral: &[f32], [n, h, w, c]: [usize; 4]) -> Vec<f32> {
    let mut out = vec![0.0f32; n * h * w * c];
    let shared = Shared::new(&mut out);
    for_each(n * h, |task| {
        let (image, y) = (task / h, task % h);
        // SAFETY: each output row is written by one task.
        let row = unsafe { shared.slice(task * w * c, w * c) };
        let lateral = &lateral[task * w * c..(task + 1) * w * c];
        let base = (image * th + source(y, th, h)) * tw;
        for (x, (out, lateral)) in row.chunks_exact_mut(c).zip(lateral.chunks_exact(c)).enumerate() {
            let at = (base + source(x, tw, w)) * c;
            for ((out, lateral), top) in out.iter_mut().zip(lateral).zip(&top[at..at + c]) {
                *out = top + lateral;
            }
        }
    });
    out
}

/// The gradient of [`forward`] with respect to `top`: each of its pixels sums over the outputs that read it.
pub fn top_gradient(dy: &[f32], [n, h, w, c]: [usize; 4], [_, th, tw, _]: [usize; 4]) -> Vec<f32> {
    let mut out = vec![0.0f32; n * th * tw * c];
    let shared = Shared::new(&mut out);
    for_each(n * th, |task| {
        let (image, ty) = (task / th, task % th);
        // SAFETY: each row is written by one task.
        let row = unsafe { shared.slice(task * tw * c, tw * c) };
        for y in readers(ty, th, h) {
            for (tx, sum) in row.chunks_exact_mut(c).enumerate() {
                for x in readers(tx, tw, w) {
                    let at = ((image * h + y) * w + x) * c;
                    for (sum, grad) in sum.iter_mut().zip(&dy[at..at + c]) {
                        *sum += grad;
                    }
                }
            }
        }
    });
    out
}

/// The input that output `i` of `len` reads.
fn source(i: usize, from: usize, len: usize) -> usize {
    ((i as f32 * (from as f32 / len as f32)) as usize).min(from - 1)
}

/// The outputs that read input `t`.
fn readers(t: usize, from: usize, len: usize) -> std::ops::Range<usize> {
    let first = |t: usize| {
        let near = (t * len / from).saturating_sub(1);
        (near..len).find(|&i| source(i, from, len) >= t).unwrap_or(len)
    };
    first(t)..if t + 1 == from { len } else { first(t + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_has_one_reader() {
        for from in 1..60 {
            for len in 1..130 {
                let read: Vec<_> = (0..from).flat_map(|t| readers(t, from, len).map(move |i| (i, t))).collect();
                let expected: Vec<_> = (0..len).map(|i| (i, source(i, from, len))).collect();
                assert_eq!(read, expected, "{from} to {len}");
            }
        }
    }
}
