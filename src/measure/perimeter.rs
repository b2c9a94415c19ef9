//! The perimeter of scikit-image (`perimeter` in `_regionprops_utils.py`).
//!
//! K. Benkrid, D. Crookes: Design and FPGA Implementation of a Perimeter Estimator. The Queen's University of Belfast.

use std::f64::consts::SQRT_2;

use super::region::Region;

/// Boundary pixels are those with a side at the background. Each counts by how many boundary pixels it has beside itself
/// (2 each) and at its corners (10 each), and 1 for itself.
pub(super) fn perimeter(region: &Region) -> f64 {
    let (pixels, stride) = region.padded();
    let mut boundary = vec![0u8; pixels.len()];
    let first = stride + 1;
    let last = pixels.len() - stride - 1;
    for i in first..last {
        let within = pixels[i - 1] & pixels[i + 1] & pixels[i - stride] & pixels[i + stride];
        boundary[i] = pixels[i] & (1 - within);
    }
    let (mut straight, mut diagonal, mut mixed) = (0u64, 0u64, 0u64);
    for i in first..last {
        if boundary[i] == 0 {
            continue;
        }
        let beside = boundary[i - 1] + boundary[i + 1] + boundary[i - stride] + boundary[i + stride];
        let corners =
            boundary[i - stride - 1] + boundary[i - stride + 1] + boundary[i + stride - 1] + boundary[i + stride + 1];
        match 1 + 2 * beside + 10 * corners {
            5 | 7 | 15 | 17 | 25 | 27 => straight += 1,
            21 | 33 => diagonal += 1,
            13 | 23 => mixed += 1,
            _ => {}
        }
    }
    straight as f64 + diagonal as f64 * SQRT_2 + mixed as f64 * (1.0 + SQRT_2) / 2.0
}
