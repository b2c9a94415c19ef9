//! The small kernels around a convolution.

use cubecl::prelude::*;

/// `[tap, a, b]` to `[tap, b, a]`.
#[cube(launch_unchecked)]
pub fn transpose_taps(w: &[f32], out: &mut [f32], a: u32, b: u32, count: u32) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let tap = at / (a * b);
        let (i, j) = (at % a, (at / a) % b);
        out[at as usize] = w[(tap * a * b + i * b + j) as usize];
    }
}

/// Copies `[n, h, w, c]` into `[n, hp, wp, cp]`, padded with zeros around the image and in the channels after `c`, or cropped.
/// `c` and `cp` count vectors of `N` channels.
#[cube(launch_unchecked)]
pub fn pad<N: Size>(
    x: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    h: u32,
    w: u32,
    c: u32,
    top: u32,
    left: u32,
    hp: u32,
    wp: u32,
    cp: u32,
    count: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let channel = at % cp;
        // Above and left of the image the difference wraps around, so it fails the test below.
        let column = (at / cp) % wp - left;
        let row = (at / (cp * wp)) % hp - top;
        let image = at / (cp * wp * hp);
        let inside = row < h && column < w && channel < c;
        let from = select(inside, ((image * h + row) * w + column) * c + channel, 0);
        out[at as usize] = select(inside, x[from as usize], Vector::<f32, N>::new(0.0));
    }
}

/// `[rows, columns]` to `[parts, columns]`: sums groups of `part` rows.
#[cube(launch_unchecked)]
pub fn column_sums(x: &[f32], out: &mut [f32], rows: u32, columns: u32, part: u32, count: u32) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let column = at % columns;
        let start = (at / columns) * part;
        let mut sum = 0.0f32;
        for row in start..min(start + part, rows) {
            sum += x[(row * columns + column) as usize];
        }
        out[at as usize] = sum;
    }
}
