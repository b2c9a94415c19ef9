//! RoIAlign on the CPU.

use super::{RoiTable, Sample};
use crate::kernels::parallel::{Shared, for_each};

/// Each level `[n, h, w, c]` to `[r, s, s, c]`.
pub fn forward(levels: &[&[f32]], table: &RoiTable) -> Vec<f32> {
    let (s, c, ratio) = (table.size, table.channels, table.ratio);
    let mut out = vec![0.0f32; table.rois.len() * s * s * c];
    let shared = Shared::new(&mut out);
    for_each(table.rois.len(), |r| {
        // SAFETY: each region is written by one task.
        let out = unsafe { shared.slice(r * s * s * c, s * s * c) };
        let roi = table.rois[r];
        let [h, w] = table.levels[roi.level as usize];
        let image = &levels[roi.level as usize][roi.image as usize * h * w * c..][..h * w * c];
        let (ys, xs) = (table.axis(r, 0), table.axis(r, 1));
        let scale = 1.0 / (ratio * ratio) as f32;
        for (bin, out) in out.chunks_exact_mut(c).enumerate() {
            for y in &ys[bin / s * ratio..][..ratio] {
                for x in &xs[bin % s * ratio..][..ratio] {
                    add_sample(out, image, w, *y, *x, scale);
                }
            }
        }
    });
    out
}

/// `out += scale · sample`. Corners with weight 0 are not read, so that a NaN outside the region stays outside.
fn add_sample(out: &mut [f32], image: &[f32], w: usize, y: Sample, x: Sample, scale: f32) {
    let c = out.len();
    for (row, wy) in [(y.low, y.low_weight), (y.high, y.high_weight)] {
        for (column, wx) in [(x.low, x.low_weight), (x.high, x.high_weight)] {
            let weight = wy * wx * scale;
            if weight != 0.0 {
                let at = (row as usize * w + column as usize) * c;
                for (out, value) in out.iter_mut().zip(&image[at..at + c]) {
                    *out += weight * value;
                }
            }
        }
    }
}

/// The gradient with respect to one level `[n, h, w, c]`, given the gradient of the output.
pub fn backward(dy: &[f32], level: usize, table: &RoiTable) -> Vec<f32> {
    let (s, c, ratio) = (table.size, table.channels, table.ratio);
    let [h, w] = table.levels[level];
    let (starts, list) = table.rows(level);
    let mut out = vec![0.0f32; table.images * h * w * c];
    let shared = Shared::new(&mut out);
    let scale = 1.0 / (ratio * ratio) as f32;
    for_each(table.images * h, |task| {
        // SAFETY: each row is written by one task.
        let dx = unsafe { shared.slice(task * w * c, w * c) };
        let row = (task % h) as u32;
        for &r in &list[starts[task] as usize..starts[task + 1] as usize] {
            let dy = &dy[r as usize * s * s * c..][..s * s * c];
            for (i, y) in table.axis(r as usize, 0).iter().enumerate() {
                let wy = share(y, row) * scale;
                if wy == 0.0 {
                    continue;
                }
                for (j, x) in table.axis(r as usize, 1).iter().enumerate() {
                    let grad = &dy[(i / ratio * s + j / ratio) * c..][..c];
                    for (column, wx) in [(x.low, x.low_weight), (x.high, x.high_weight)] {
                        let weight = wy * wx;
                        if weight != 0.0 {
                            for (dx, grad) in dx[column as usize * c..][..c].iter_mut().zip(grad) {
                                *dx += weight * grad;
                            }
                        }
                    }
                }
            }
        }
    });
    out
}

/// The weight of element `at` in `sample`.
fn share(sample: &Sample, at: u32) -> f32 {
    (if sample.low == at { sample.low_weight } else { 0.0 })
        + (if sample.high == at { sample.high_weight } else { 0.0 })
}
