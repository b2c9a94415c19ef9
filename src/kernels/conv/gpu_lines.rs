//! Convolution kernels without shared memory or barriers.
//!
//! A thread keeps `pixels × 4·lines` sums in registers and reads everything as lines of four channels. On a software adapter
//! a load costs as much as several multiplications, so the larger the block, the better. There, too, whatever is indexed is
//! memory, even by a number that is known: so the sums are single variables ([`RuntimeCell`]), not an array, and each is
//! fetched and put back once for four input channels. Together that doubles the speed.

use cubecl::prelude::*;

use super::grid::Grid;
use super::walk::Walk;

/// One grid convolution; `cin` and `cout` of `g` count lines.
#[cube(launch_unchecked)]
pub fn grid_conv<N: Size>(
    x: &[Vector<f32, N>],
    w: &[Vector<f32, N>],
    bias: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    g: &Grid,
    #[comptime] pixels: usize,
    #[comptime] lines: usize,
    #[comptime] has_bias: bool,
    #[comptime] relu: bool,
) {
    let thread = ABSOLUTE_POS as u32;
    let groups = g.cout.div_ceil(comptime!(lines as u32));
    let first_line = (thread % groups) * comptime!(lines as u32);
    let first_pixel = (thread / groups) * comptime!(pixels as u32);
    if first_pixel >= g.pixels {
        terminate!();
    }

    // Places past the last pixel repeat the first, lines past the last repeat the last; neither is written.
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
    for l in 0..lines {
        columns.push(min(first_line + l as u32, g.cout - 1));
    }
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..pixels {
        #[unroll]
        for l in 0..lines {
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
                add_products(x, w, &sums, &bases, &columns, shift + k, weights + k * 4 * g.cout, g.cout, pixels, lines);
            }
        }
    }

    let walk = Walk::new(first_pixel, g.rows, g.columns);
    #[unroll]
    for p in 0..pixels {
        let row = walk.image() * g.oh + g.oy + walk.row() * g.oy_step;
        let place = (row * g.ow + g.ox + walk.column() * g.ox_step) * g.cout;
        #[unroll]
        for l in 0..lines {
            let line = first_line + l as u32;
            if first_pixel + (p as u32) < g.pixels && line < g.cout {
                let sum = sums.index(p * lines + l).read();
                if comptime!(relu) {
                    out[(place + line) as usize] = rectified(sum);
                } else {
                    out[(place + line) as usize] = sum;
                }
            }
        }
        walk.advance();
    }
}

/// Adds to each place's sums the products of one line of its input with the weights of that line's four channels, which
/// begin at `weights`. `cout` counts lines.
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
    #[comptime] lines: usize,
) {
    let mut values = Sequence::<Vector<f32, N>>::new();
    #[unroll]
    for j in 0..4usize {
        let from = weights + j as u32 * cout;
        #[unroll]
        for l in 0..lines {
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
        for l in 0..lines {
            let cell = sums.index(p * lines + l);
            let sum = cell.read() + a * *values.index(l);
            let sum = sum + b * *values.index(lines + l);
            let sum = sum + c * *values.index(2 * lines + l);
            cell.store(sum + d * *values.index(3 * lines + l));
        }
    }
}

/// What is below zero becomes zero; NaN stays.
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

/// `out [part, tap, 4·cin, cout]`: the sums over the part's pixels of input times output gradient. A thread has one tap, `rows`
/// lines of input channels and `lines` of output channels, and takes `step` pixels at a time; `cin` and `cout` count lines.
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
    #[comptime] lines: usize,
    #[comptime] step: usize,
) {
    let thread = ABSOLUTE_POS as u32;
    if thread >= threads {
        terminate!();
    }
    let line_groups = cout.div_ceil(comptime!(lines as u32));
    let row_groups = cin.div_ceil(comptime!(rows as u32));
    let first_line = (thread % line_groups) * comptime!(lines as u32);
    let first_row = ((thread / line_groups) % row_groups) * comptime!(rows as u32);
    let tap = (thread / (line_groups * row_groups)) % taps;
    let start = (thread / (line_groups * row_groups * taps)) * part;
    let count = min(part, pixels - start);

    let mut columns = Sequence::<u32>::new();
    #[unroll]
    for l in 0..lines {
        columns.push(min(first_line + l as u32, cout - 1));
    }
    let mut channels = Sequence::<u32>::new();
    #[unroll]
    for r in 0..rows {
        channels.push(min(first_row + r as u32, cin - 1));
    }
    let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
    #[unroll]
    for _ in 0..comptime!(rows * 4 * lines) {
        sums.push(RuntimeCell::new(Vector::<f32, N>::new(0.0)));
    }
    let walk = Walk::new(start, oh, ow);
    let view = View { h, w, cin, cout, stride, shift: (tap / kw) * w + tap % kw };
    let whole = count / comptime!(step as u32);
    for i in 0..whole {
        let pixel = start + i * comptime!(step as u32);
        add_pixels(x, dy, &sums, &channels, &columns, &walk, &view, pixel, rows, lines, step);
    }
    for pixel in start + whole * comptime!(step as u32)..start + count {
        add_pixels(x, dy, &sums, &channels, &columns, &walk, &view, pixel, rows, lines, 1usize);
    }
    let place = (start / part * taps + tap) * cin * 4;
    #[unroll]
    for r in 0..rows {
        #[unroll]
        for j in 0..4usize {
            #[unroll]
            for l in 0..lines {
                let (row, line) = (first_row + r as u32, first_line + l as u32);
                if row < cin && line < cout {
                    out[((place + row * 4 + j as u32) * cout + line) as usize] =
                        sums.index((r * 4 + j) * lines + l).read();
                }
            }
        }
    }
}

/// How a tap sees the input; channels count lines.
#[derive(CubeType, Clone, Copy)]
struct View {
    h: u32,
    w: u32,
    cin: u32,
    cout: u32,
    stride: u32,
    shift: u32,
}

/// Adds the products of `step` pixels from `pixel` on, where `walk` stands, and leaves that behind them.
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
    #[comptime] lines: usize,
    #[comptime] step: usize,
) {
    let mut grads = Sequence::<Vector<f32, N>>::new();
    let mut places = Sequence::<u32>::new();
    #[unroll]
    for p in 0..step {
        #[unroll]
        for l in 0..lines {
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
            for l in 0..lines {
                let cell = sums.index((r * 4 + j) * lines + l);
                let mut sum = cell.read();
                #[unroll]
                for p in 0..step {
                    sum += *factors.index(p) * *grads.index(p * lines + l);
                }
                cell.store(sum);
            }
        }
    }
}
