//! The kernels of Winograd's F(4 × 4, 3 × 3): the transforms, named as in the paper (arXiv 1509.09308), and the matrix products
//! between them.

use cubecl::prelude::*;

use super::gpu_vec4::{add_products, rectified};

/// Outputs per tile along each axis.
pub const TILE: usize = 4;
/// Inputs per tile along each axis; the square is the number of transformed positions.
const REACH: usize = 6;
pub const PLACES: usize = REACH * REACH;

/// `x [n, h, w, c]` to `out [36, tile, c]`, `Bᵀ d B` of each tile; `c` counts vec4s.
#[cube(launch_unchecked)]
pub fn input_tiles<N: Size>(
    x: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    h: u32,
    w: u32,
    c: u32,
    padding: u32,
    rows: u32,
    columns: u32,
    count: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let (vec4, tile) = (at % c, at / c);
        let (left, top) = (tile % columns * 4, (tile / columns) % rows * 4);
        let image = tile / (columns * rows);
        let mut inputs = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for y in 0..REACH {
            // Above and left of the input the difference wraps around, so it fails the test below.
            let row = top + y as u32 - padding;
            #[unroll]
            for x_ in 0..REACH {
                let column = left + x_ as u32 - padding;
                let inside = row < h && column < w;
                let from = select(inside, ((image * h + row) * w + column) * c + vec4, 0);
                inputs.push(select(inside, x[from as usize], Vector::<f32, N>::new(0.0)));
            }
        }
        let mut transposed = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for x_ in 0..REACH {
            let transformed = input_1d(&inputs, x_, REACH);
            #[unroll]
            for y in 0..REACH {
                transposed.push(*transformed.index(y));
            }
        }
        #[unroll]
        for y in 0..REACH {
            let transformed = input_1d(&transposed, y, REACH);
            #[unroll]
            for x_ in 0..REACH {
                out[((y * REACH + x_) as u32 * count + at) as usize] = *transformed.index(x_);
            }
        }
    }
}

/// `Bᵀ` times six values, starting at `start`, `step` apart.
#[cube]
fn input_1d<N: Size>(
    from: &Sequence<Vector<f32, N>>,
    #[comptime] start: usize,
    #[comptime] step: usize,
) -> Sequence<Vector<f32, N>> {
    let (two, four) = (Vector::<f32, N>::new(2.0), Vector::<f32, N>::new(4.0));
    let five = Vector::<f32, N>::new(5.0);
    let d0 = *from.index(start);
    let d1 = *from.index(start + step);
    let d2 = *from.index(start + 2 * step);
    let d3 = *from.index(start + 3 * step);
    let d4 = *from.index(start + 4 * step);
    let d5 = *from.index(start + 5 * step);
    let (even, odd) = (d4 - four * d2, d3 - four * d1);
    let (even_2, odd_2) = (d4 - d2, two * (d3 - d1));
    let mut to = Sequence::<Vector<f32, N>>::new();
    to.push(four * d0 - five * d2 + d4);
    to.push(even + odd);
    to.push(even - odd);
    to.push(even_2 + odd_2);
    to.push(even_2 - odd_2);
    to.push(four * d1 - five * d3 + d5);
    to
}

/// `w [3, 3, cin, cout]` to `out [36, cin, cout]`, `G g Gᵀ` of each pair of channels; `count` is the number of vec4s.
#[cube(launch_unchecked)]
pub fn weight_tiles<N: Size>(w: &[Vector<f32, N>], out: &mut [Vector<f32, N>], count: u32, #[comptime] reversed: bool) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let mut taps = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for tap in 0..9usize {
            let place = comptime!(if reversed { 8 - tap } else { tap });
            taps.push(w[(place as u32 * count + at) as usize]);
        }
        let mut transposed = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for x in 0..3usize {
            let transformed = weight_1d(&taps, x, 3usize);
            #[unroll]
            for y in 0..REACH {
                transposed.push(*transformed.index(y));
            }
        }
        #[unroll]
        for y in 0..REACH {
            let transformed = weight_1d(&transposed, y, REACH);
            #[unroll]
            for x in 0..REACH {
                out[((y * REACH + x) as u32 * count + at) as usize] = *transformed.index(x);
            }
        }
    }
}

/// `G` times three values, starting at `start`, `step` apart.
#[cube]
fn weight_1d<N: Size>(
    from: &Sequence<Vector<f32, N>>,
    #[comptime] start: usize,
    #[comptime] step: usize,
) -> Sequence<Vector<f32, N>> {
    let g0 = *from.index(start);
    let g1 = *from.index(start + step);
    let g2 = *from.index(start + 2 * step);
    let (sixth, twelfth) = (Vector::<f32, N>::new(1.0 / 6.0), Vector::<f32, N>::new(1.0 / 12.0));
    let outer = g0 + g2;
    let even = g0 * Vector::<f32, N>::new(1.0 / 24.0) + g2 * sixth;
    let odd = g1 * twelfth;
    let mut to = Sequence::<Vector<f32, N>>::new();
    to.push(g0 * Vector::<f32, N>::new(0.25));
    to.push((outer + g1) * Vector::<f32, N>::new(-1.0 / 6.0));
    to.push((g1 - outer) * sixth);
    to.push(even + odd);
    to.push(even - odd);
    to.push(g2);
    to
}

/// `x [36, tiles, cin]` times `w [36, cin, cout]`; `cin` and `cout` count vec4s. A thread handles `block` tiles at one position
/// and `vec4s` of their outputs.
#[cube(launch_unchecked)]
pub fn matrix_products<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    tiles: u32,
    cin: u32,
    cout: u32,
    #[comptime] block: usize,
    #[comptime] vec4s: usize,
) {
    let thread = ABSOLUTE_POS as u32;
    let groups = cout.div_ceil(comptime!(vec4s as u32));
    let blocks = tiles.div_ceil(comptime!(block as u32));
    let first_vec4 = (thread % groups) * comptime!(vec4s as u32);
    let first_tile = (thread / groups) % blocks * comptime!(block as u32);
    let place = thread / (groups * blocks);
    if place >= comptime!(PLACES as u32) {
        terminate!();
    }
    // Tiles and channel groups past the last repeat it and are not written.
    let mut bases = Sequence::<u32>::new();
    #[unroll]
    for p in 0..block {
        bases.push((place * tiles + min(first_tile + p as u32, tiles - 1)) * cin);
    }
    let mut columns = Sequence::<u32>::new();
    #[unroll]
    for l in 0..vec4s {
        columns.push(min(first_vec4 + l as u32, cout - 1));
    }
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..comptime!(block * vec4s) {
        sums.push(RuntimeCell::new(Vector::<f32, N>::new(0.0)));
    }
    for k in 0..cin {
        let weights = (place * cin + k) * 4 * cout;
        add_products(x, w, &sums, &bases, &columns, k, weights, cout, block, vec4s);
    }
    #[unroll]
    for p in 0..block {
        let tile = first_tile + p as u32;
        #[unroll]
        for l in 0..vec4s {
            let vec4 = first_vec4 + l as u32;
            if tile < tiles && vec4 < cout {
                out[((place * tiles + tile) * cout + vec4) as usize] = sums.index(p * vec4s + l).read();
            }
        }
    }
}

/// `m [36, tile, c]` to `out [n, oh, ow, c]`, `Aᵀ m A` of each tile; `c` counts vec4s.
#[cube(launch_unchecked)]
pub fn output_tiles<N: Size>(
    m: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    oh: u32,
    ow: u32,
    c: u32,
    rows: u32,
    columns: u32,
    count: u32,
    #[comptime] has_bias: bool,
    #[comptime] relu: bool,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let (vec4, tile) = (at % c, at / c);
        let (left, top) = (tile % columns * 4, (tile / columns) % rows * 4);
        let image = tile / (columns * rows);
        let mut products = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for i in 0..PLACES {
            products.push(m[(i as u32 * count + at) as usize]);
        }
        let mut transposed = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for x in 0..REACH {
            let transformed = output_1d(&products, x, REACH);
            #[unroll]
            for y in 0..TILE {
                transposed.push(*transformed.index(y));
            }
        }
        let mut addend = Vector::<f32, N>::new(0.0);
        if comptime!(has_bias) {
            addend = bias[vec4 as usize];
        }
        #[unroll]
        for y in 0..TILE {
            let sums = output_1d(&transposed, y, TILE);
            let row = top + y as u32;
            #[unroll]
            for x in 0..TILE {
                let column = left + x as u32;
                if row < oh && column < ow {
                    let sum = *sums.index(x) + addend;
                    let place = ((image * oh + row) * ow + column) * c + vec4;
                    if comptime!(relu) {
                        out[place as usize] = rectified(sum);
                    } else {
                        out[place as usize] = sum;
                    }
                }
            }
        }
    }
}

/// `Aᵀ` times six values, starting at `start`, `step` apart.
#[cube]
fn output_1d<N: Size>(
    from: &Sequence<Vector<f32, N>>,
    #[comptime] start: usize,
    #[comptime] step: usize,
) -> Sequence<Vector<f32, N>> {
    let m0 = *from.index(start);
    let m1 = *from.index(start + step);
    let m2 = *from.index(start + 2 * step);
    let m3 = *from.index(start + 3 * step);
    let m4 = *from.index(start + 4 * step);
    let m5 = *from.index(start + 5 * step);
    let (near, far) = (m1 + m2, m3 + m4);
    let (near_odd, far_odd) = (m1 - m2, m3 - m4);
    let mut to = Sequence::<Vector<f32, N>>::new();
    to.push(m0 + near + far);
    to.push(near_odd + Vector::<f32, N>::new(2.0) * far_odd);
    to.push(near + Vector::<f32, N>::new(4.0) * far);
    to.push(near_odd + Vector::<f32, N>::new(8.0) * far_odd + m5);
    to
}

/// `dy [n, oh, ow, c]` to `out [36, tile, c]`, `A dy Aᵀ` of each tile; `c` counts vec4s.
#[cube(launch_unchecked)]
pub fn gradient_tiles<N: Size>(
    dy: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    oh: u32,
    ow: u32,
    c: u32,
    rows: u32,
    columns: u32,
    count: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let (vec4, tile) = (at % c, at / c);
        let (left, top) = (tile % columns * 4, (tile / columns) % rows * 4);
        let image = tile / (columns * rows);
        let mut gradients = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for y in 0..TILE {
            let row = top + y as u32;
            #[unroll]
            for x in 0..TILE {
                let column = left + x as u32;
                let inside = row < oh && column < ow;
                let from = select(inside, ((image * oh + row) * ow + column) * c + vec4, 0);
                gradients.push(select(inside, dy[from as usize], Vector::<f32, N>::new(0.0)));
            }
        }
        let mut transposed = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for x in 0..TILE {
            let transformed = gradient_1d(&gradients, x, TILE);
            #[unroll]
            for y in 0..REACH {
                transposed.push(*transformed.index(y));
            }
        }
        #[unroll]
        for y in 0..REACH {
            let transformed = gradient_1d(&transposed, y, REACH);
            #[unroll]
            for x in 0..REACH {
                out[((y * REACH + x) as u32 * count + at) as usize] = *transformed.index(x);
            }
        }
    }
}

/// `A` times four values, starting at `start`, `step` apart.
#[cube]
fn gradient_1d<N: Size>(
    from: &Sequence<Vector<f32, N>>,
    #[comptime] start: usize,
    #[comptime] step: usize,
) -> Sequence<Vector<f32, N>> {
    let y0 = *from.index(start);
    let y1 = *from.index(start + step);
    let y2 = *from.index(start + 2 * step);
    let y3 = *from.index(start + 3 * step);
    let (even, odd) = (y0 + y2, y1 + y3);
    let even_2 = y0 + Vector::<f32, N>::new(4.0) * y2;
    let odd_2 = Vector::<f32, N>::new(2.0) * y1 + Vector::<f32, N>::new(8.0) * y3;
    let mut to = Sequence::<Vector<f32, N>>::new();
    to.push(y0);
    to.push(even + odd);
    to.push(even - odd);
    to.push(even_2 + odd_2);
    to.push(even_2 - odd_2);
    to.push(y3);
    to
}

/// `m [36, cin, cout]` to `out [3, 3, cin, cout]`, `Gᵀ m G` of each pair of channels; `count` is the number of vec4s.
#[cube(launch_unchecked)]
pub fn weight_gradients<N: Size>(m: &[Vector<f32, N>], out: &mut [Vector<f32, N>], count: u32) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let mut sums = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for i in 0..PLACES {
            sums.push(m[(i as u32 * count + at) as usize]);
        }
        let mut transposed = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for x in 0..REACH {
            let transformed = tap_1d(&sums, x, REACH);
            #[unroll]
            for y in 0..3usize {
                transposed.push(*transformed.index(y));
            }
        }
        #[unroll]
        for y in 0..3usize {
            let transformed = tap_1d(&transposed, y, 3usize);
            #[unroll]
            for x in 0..3usize {
                out[((y * 3 + x) as u32 * count + at) as usize] = *transformed.index(x);
            }
        }
    }
}

/// `Gᵀ` times six values, starting at `start`, `step` apart.
#[cube]
fn tap_1d<N: Size>(
    from: &Sequence<Vector<f32, N>>,
    #[comptime] start: usize,
    #[comptime] step: usize,
) -> Sequence<Vector<f32, N>> {
    let m0 = *from.index(start);
    let m1 = *from.index(start + step);
    let m2 = *from.index(start + 2 * step);
    let m3 = *from.index(start + 3 * step);
    let m4 = *from.index(start + 4 * step);
    let m5 = *from.index(start + 5 * step);
    let sixth = Vector::<f32, N>::new(1.0 / 6.0);
    let (near, far) = (m1 + m2, m3 + m4);
    let mut to = Sequence::<Vector<f32, N>>::new();
    to.push(m0 * Vector::<f32, N>::new(0.25) - near * sixth + far * Vector::<f32, N>::new(1.0 / 24.0));
    to.push((m2 - m1) * sixth + (m3 - m4) * Vector::<f32, N>::new(1.0 / 12.0));
    to.push((far - near) * sixth + m5);
    to
}
