//! Convolution kernels without shared memory or barriers.
//!
//! A thread keeps `pixels × 4·vec4s` sums in registers and reads everything as vec4 (groups of four channels). On a software
//! adapter a load costs as much as several multiplications, so larger blocks are better. An array also lives in memory there,
//! even if indexed by a constant, so the sums are separate variables ([`RuntimeCell`]), each loaded and stored once per four
//! input channels. Together this doubles the speed.

use cubecl::prelude::*;

use super::grid::Grid;
use super::walk::Walk;

/// One grid convolution; `cin` and `cout` of `g` count vec4s.
#[cube(launch_unchecked)]
pub fn grid_conv<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    g: &Grid,
    #[comptime] pixels: usize,
    #[comptime] vec4s: usize,
    #[comptime] has_bias: bool,
    #[comptime] relu: bool,
) {
    let thread = ABSOLUTE_POS as u32;
    let groups = g.cout.div_ceil(comptime!(vec4s as u32));
    let first_vec4 = (thread % groups) * comptime!(vec4s as u32);
    let first_pixel = (thread / groups) * comptime!(pixels as u32);
    if first_pixel >= g.pixels {
        terminate!();
    }

    // Positions past the last pixel repeat the first, channel groups past the last repeat the last; neither is written.
    let mut bases = Sequence::<u32>::new();
    let walk = Walk::new(first_pixel, g.rows, g.columns);
    #[unroll]
    for p in 0..pixels {
        let row = walk.image() * g.h + walk.row() * g.y_step + g.y_start;
        let base = (row * g.w + walk.column() * g.x_step + g.x_start) * g.cin;
        if comptime!(p == 0) {
            bases.push(base);
        } else {
            let first = *bases.index(0);
            bases.push(select(first_pixel + (p as u32) < g.pixels, base, first));
        }
        walk.advance();
    }
    let mut columns = Sequence::<u32>::new();
    #[unroll]
    for l in 0..vec4s {
        columns.push(min(first_vec4 + l as u32, g.cout - 1));
    }
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..pixels {
        #[unroll]
        for l in 0..vec4s {
            if comptime!(has_bias) {
                sums.push(RuntimeCell::new(bias[*columns.index(l) as usize]));
            } else {
                sums.push(RuntimeCell::new(Vector::<f32, N>::new(0.0)));
            }
        }
    }

    for ty in 0..g.y_taps {
        for tx in 0..g.x_taps {
            let tap = (g.wy + ty as i32 * g.wy_step) * g.kw + g.wx + tx as i32 * g.wx_step;
            let weights = tap as u32 * g.cin * 4 * g.cout;
            let shift = (ty * g.w + tx) * g.cin;
            for k in 0..g.cin {
                add_products(x, w, &sums, &bases, &columns, shift + k, weights + k * 4 * g.cout, g.cout, pixels, vec4s);
            }
        }
    }

    let walk = Walk::new(first_pixel, g.rows, g.columns);
    #[unroll]
    for p in 0..pixels {
        let row = walk.image() * g.oh + g.oy + walk.row() * g.oy_step;
        let place = (row * g.ow + g.ox + walk.column() * g.ox_step) * g.cout;
        #[unroll]
        for l in 0..vec4s {
            let vec4 = first_vec4 + l as u32;
            if first_pixel + (p as u32) < g.pixels && vec4 < g.cout {
                let sum = sums.index(p * vec4s + l).read();
                if comptime!(relu) {
                    out[(place + vec4) as usize] = rectified(sum);
                } else {
                    out[(place + vec4) as usize] = sum;
                }
            }
        }
        walk.advance();
    }
}

/// Adds to the sums of each position the products of one input vec4 with the weights of its four channels, which begin at
/// `weights`. `cout` counts vec4s.
#[cube]
pub fn add_products<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    sums: &Sequence<RuntimeCell<Vector<f32, N>>>,
    bases: &Sequence<u32>,
    columns: &Sequence<u32>,
    along: u32,
    weights: u32,
    cout: u32,
    #[comptime] pixels: usize,
    #[comptime] vec4s: usize,
) {
    let mut values = Sequence::<Vector<f32, N>>::new();
    #[unroll]
    for j in 0..4usize {
        let from = weights + j as u32 * cout;
        #[unroll]
        for l in 0..vec4s {
            values.push(w[(from + *columns.index(l)) as usize]);
        }
    }
    #[unroll]
    for p in 0..pixels {
        let value = x[(*bases.index(p) + along) as usize];
        let a = Vector::<f32, N>::new(value.extract(0usize));
        let b = Vector::<f32, N>::new(value.extract(1usize));
        let c = Vector::<f32, N>::new(value.extract(2usize));
        let d = Vector::<f32, N>::new(value.extract(3usize));
        #[unroll]
        for l in 0..vec4s {
            let cell = sums.index(p * vec4s + l);
            let sum = cell.read() + a * *values.index(l);
            let sum = sum + b * *values.index(vec4s + l);
            let sum = sum + c * *values.index(2 * vec4s + l);
            cell.store(sum + d * *values.index(3 * vec4s + l));
        }
    }
}

/// ReLU that keeps NaN.
#[cube]
pub fn rectified<N: Size>(value: Vector<f32, N>) -> Vector<f32, N> {
    let mut kept = value;
    #[unroll]
    for j in 0..4usize {
        let lane = value.extract(j);
        kept.insert(j, select(lane < 0.0, 0.0, lane));
    }
    kept
}

/// `out [part, tap, 4·cin, cout]`: input times output gradient, summed over the pixels of each part. A thread handles one tap,
/// `rows` input vec4s and `vec4s` output vec4s, `step` pixels at a time; `cin` and `cout` count vec4s.
#[cube(launch_unchecked)]
pub fn weight_gradient<N: Size>(
    x: &[Vector<f32, N>],
    dy: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    pixels: u32,
    part: u32,
    oh: u32,
    ow: u32,
    h: u32,
    w: u32,
    cin: u32,
    cout: u32,
    taps: u32,
    kw: u32,
    stride: u32,
    threads: u32,
    #[comptime] rows: usize,
    #[comptime] vec4s: usize,
    #[comptime] step: usize,
) {
    let thread = ABSOLUTE_POS as u32;
    if thread >= threads {
        terminate!();
    }
    let vec4_groups = cout.div_ceil(comptime!(vec4s as u32));
    let row_groups = cin.div_ceil(comptime!(rows as u32));
    let first_vec4 = (thread % vec4_groups) * comptime!(vec4s as u32);
    let first_row = ((thread / vec4_groups) % row_groups) * comptime!(rows as u32);
    let tap = (thread / (vec4_groups * row_groups)) % taps;
    let start = (thread / (vec4_groups * row_groups * taps)) * part;
    let count = min(part, pixels - start);

    let mut columns = Sequence::<u32>::new();
    #[unroll]
    for l in 0..vec4s {
        columns.push(min(first_vec4 + l as u32, cout - 1));
    }
    let mut channels = Sequence::<u32>::new();
    #[unroll]
    for r in 0..rows {
        channels.push(min(first_row + r as u32, cin - 1));
    }
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..comptime!(rows * 4 * vec4s) {
        sums.push(RuntimeCell::new(Vector::<f32, N>::new(0.0)));
    }
    let walk = Walk::new(start, oh, ow);
    let view = View { h, w, cin, cout, stride, shift: (tap / kw) * w + tap % kw };
    let whole = count / comptime!(step as u32);
    for i in 0..whole {
        let pixel = start + i * comptime!(step as u32);
        add_pixels(x, dy, &sums, &channels, &columns, &walk, &view, pixel, rows, vec4s, step);
    }
    for pixel in start + whole * comptime!(step as u32)..start + count {
        add_pixels(x, dy, &sums, &channels, &columns, &walk, &view, pixel, rows, vec4s, 1usize);
    }
    let place = (start / part * taps + tap) * cin * 4;
    #[unroll]
    for r in 0..rows {
        #[unroll]
        for j in 0..4usize {
            #[unroll]
            for l in 0..vec4s {
                let (row, vec4) = (first_row + r as u32, first_vec4 + l as u32);
                if row < cin && vec4 < cout {
                    out[((place + row * 4 + j as u32) * cout + vec4) as usize] =
                        sums.index((r * 4 + j) * vec4s + l).read();
                }
            }
        }
    }
}

/// The input as seen through a tap; channels count vec4s.
#[derive(CubeType, Clone, Copy)]
struct View {
    h: u32,
    w: u32,
    cin: u32,
    cout: u32,
    stride: u32,
    shift: u32,
}

/// Adds the products of `step` pixels starting at `pixel`, where `walk` stands, and advances `walk` past them.
#[cube]
fn add_pixels<N: Size>(
    x: &[Vector<f32, N>],
    dy: &[Vector<f32, N>],
    sums: &Sequence<RuntimeCell<Vector<f32, N>>>,
    channels: &Sequence<u32>,
    columns: &Sequence<u32>,
    walk: &Walk,
    view: &View,
    pixel: u32,
    #[comptime] rows: usize,
    #[comptime] vec4s: usize,
    #[comptime] step: usize,
) {
    let mut grads = Sequence::<Vector<f32, N>>::new();
    let mut places = Sequence::<u32>::new();
    #[unroll]
    for p in 0..step {
        #[unroll]
        for l in 0..vec4s {
            grads.push(dy[((pixel + p as u32) * view.cout + *columns.index(l)) as usize]);
        }
        let row = walk.image() * view.h + walk.row() * view.stride;
        places.push((row * view.w + walk.column() * view.stride + view.shift) * view.cin);
        walk.advance();
    }
    #[unroll]
    for r in 0..rows {
        let mut values = Sequence::<Vector<f32, N>>::new();
        #[unroll]
        for p in 0..step {
            values.push(x[(*places.index(p) + *channels.index(r)) as usize]);
        }
        #[unroll]
        for j in 0..4usize {
            let mut factors = Sequence::<Vector<f32, N>>::new();
            #[unroll]
            for p in 0..step {
                factors.push(Vector::<f32, N>::new(values.index(p).extract(j)));
            }
            #[unroll]
            for l in 0..vec4s {
                let cell = sums.index((r * 4 + j) * vec4s + l);
                let mut sum = cell.read();
                #[unroll]
                for p in 0..step {
                    sum += *factors.index(p) * *grads.index(p * vec4s + l);
                }
                cell.store(sum);
            }
        }
    }
}
