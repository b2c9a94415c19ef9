//! The small GPU kernels: one thread per element written.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::conv::gpu::empty;
use super::cube::{buffer, elementwise};
use super::geometry::PoolGeometry;

/// `relu(a + b)`
pub fn add_relu(a: &CubeTensor, b: &CubeTensor) -> CubeTensor {
    let out = empty(a, a.shape());
    let count = a.shape().num_elements();
    let (cubes, dim) = elementwise(a, count);
    // SAFETY: all three buffers hold `count` numbers, and the kernel stays below it.
    unsafe {
        add_relu_kernel::launch_unchecked(&a.client, cubes, dim, buffer(a), buffer(b), buffer(&out), count as u32);
    }
    out
}

#[cube(launch_unchecked)]
fn add_relu_kernel(a: &[f32], b: &[f32], out: &mut [f32], count: u32) {
    let at = ABSOLUTE_POS;
    if (at as u32) < count {
        let sum = a[at] + b[at];
        out[at] = select(sum < 0.0, 0.0, sum);
    }
}

pub fn relu_gradient(out: &CubeTensor, dy: &CubeTensor) -> CubeTensor {
    let dx = empty(dy, dy.shape());
    let count = dy.shape().num_elements();
    let (cubes, dim) = elementwise(dy, count);
    // SAFETY: all three buffers hold `count` numbers, and the kernel stays below it.
    unsafe {
        relu_gradient_kernel::launch_unchecked(
            &dy.client,
            cubes,
            dim,
            buffer(out),
            buffer(dy),
            buffer(&dx),
            count as u32,
        );
    }
    dx
}

#[cube(launch_unchecked)]
fn relu_gradient_kernel(out: &[f32], dy: &[f32], dx: &mut [f32], count: u32) {
    let at = ABSOLUTE_POS;
    if (at as u32) < count {
        dx[at] = select(out[at] <= 0.0, 0.0, dy[at]);
    }
}

#[derive(CubeLaunch, CubeType, Clone, Copy)]
struct Pool {
    h: u32,
    w: u32,
    c: u32,
    oh: u32,
    ow: u32,
    stride: u32,
    padding: u32,
    count: u32,
}

fn pool_args(g: &PoolGeometry, count: usize) -> PoolLaunch {
    PoolLaunch::new(
        g.h as u32,
        g.w as u32,
        g.c as u32,
        g.oh as u32,
        g.ow as u32,
        g.stride as u32,
        g.padding as u32,
        count as u32,
    )
}

pub fn pool(x: &CubeTensor, g: &PoolGeometry) -> CubeTensor {
    let out = empty(x, g.out_shape());
    let count = out.shape().num_elements();
    let (cubes, dim) = elementwise(x, count);
    // SAFETY: the kernel writes below `count` and reads only inside the image.
    unsafe {
        pool_kernel::launch_unchecked(
            &x.client,
            cubes,
            dim,
            buffer(x),
            buffer(&out),
            pool_args(g, count),
            g.kernel as u32,
        );
    }
    out
}

/// The value at a position, and whether it is inside the image.
#[cube]
fn value_at(x: &[f32], image: u32, row: u32, column: u32, channel: u32, g: &Pool) -> (f32, bool) {
    // Left of and above the image the coordinate has wrapped around, so it fails the test below.
    let inside = row < g.h && column < g.w;
    let at = select(inside, ((image * g.h + row) * g.w + column) * g.c + channel, 0);
    (x[at as usize], inside)
}

#[cube(launch_unchecked)]
fn pool_kernel(x: &[f32], out: &mut [f32], g: &Pool, #[comptime] kernel: u32) {
    let at = ABSOLUTE_POS as u32;
    if at < g.count {
        let channel = at % g.c;
        let (ox, oy) = ((at / g.c) % g.ow, (at / (g.c * g.ow)) % g.oh);
        let image = at / (g.c * g.ow * g.oh);
        let mut best = 0.0f32;
        let mut found = false;
        for ky in 0..kernel {
            for kx in 0..kernel {
                let (row, column) = (oy * g.stride + ky - g.padding, ox * g.stride + kx - g.padding);
                let (value, inside) = value_at(x, image, row, column, channel, g);
                best = select(inside && (value > best || value.is_nan() || !found), value, best);
                found = found || inside;
            }
        }
        out[at as usize] = best;
    }
}

pub fn pool_gradient(x: &CubeTensor, dy: &CubeTensor, g: &PoolGeometry) -> CubeTensor {
    let dx = empty(x, g.x_shape());
    let count = dx.shape().num_elements();
    let (cubes, dim) = elementwise(x, count);
    // SAFETY: the kernel writes below `count` and reads only inside the image and the output.
    unsafe {
        pool_gradient_kernel::launch_unchecked(
            &x.client,
            cubes,
            dim,
            buffer(x),
            buffer(dy),
            buffer(&dx),
            pool_args(g, count),
            g.kernel as u32,
        );
    }
    dx
}

#[cube(launch_unchecked)]
fn pool_gradient_kernel(x: &[f32], dy: &[f32], dx: &mut [f32], g: &Pool, #[comptime] kernel: u32) {
    let at = ABSOLUTE_POS as u32;
    if at < g.count {
        let channel = at % g.c;
        let (column, row) = ((at / g.c) % g.w, (at / (g.c * g.w)) % g.h);
        let image = at / (g.c * g.w * g.h);
        let (bottom, right) = (row + g.padding, column + g.padding);
        // The windows that contain this pixel.
        let first_y = select(bottom >= kernel, (bottom - kernel) / g.stride + 1, 0);
        let first_x = select(right >= kernel, (right - kernel) / g.stride + 1, 0);
        let mut sum = 0.0f32;
        for oy in first_y..min(bottom / g.stride + 1, g.oh) {
            for ox in first_x..min(right / g.stride + 1, g.ow) {
                let mut best = 0.0f32;
                let mut winner = 0u32;
                let mut found = false;
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let (y, x_at) = (oy * g.stride + ky - g.padding, ox * g.stride + kx - g.padding);
                        let (value, inside) = value_at(x, image, y, x_at, channel, g);
                        let wins = inside && (value > best || value.is_nan() || !found);
                        best = select(wins, value, best);
                        winner = select(wins, y * g.w + x_at, winner);
                        found = found || inside;
                    }
                }
                let grad = dy[(((image * g.oh + oy) * g.ow + ox) * g.c + channel) as usize];
                sum += select(winner == row * g.w + column, grad, 0.0);
            }
        }
        dx[at as usize] = sum;
    }
}

pub fn upsample(top: &CubeTensor, lateral: &CubeTensor) -> CubeTensor {
    let [_, th, tw, _] = top.shape().dims();
    let [_, h, w, c] = lateral.shape().dims();
    let out = empty(lateral, lateral.shape());
    let count = lateral.shape().num_elements();
    let (cubes, dim) = elementwise(lateral, count);
    // SAFETY: the kernel stays below `count`, and the position in `top` is clamped to it.
    unsafe {
        upsample_kernel::launch_unchecked(
            &lateral.client,
            cubes,
            dim,
            buffer(top),
            buffer(lateral),
            buffer(&out),
            th as u32,
            tw as u32,
            h as u32,
            w as u32,
            c as u32,
            th as f32 / h as f32,
            tw as f32 / w as f32,
            count as u32,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn upsample_kernel(
    top: &[f32],
    lateral: &[f32],
    out: &mut [f32],
    th: u32,
    tw: u32,
    h: u32,
    w: u32,
    c: u32,
    y_scale: f32,
    x_scale: f32,
    count: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let (column, row) = ((at / c) % w, (at / (c * w)) % h);
        let image = at / (c * w * h);
        let y = min(u32::cast_from(f32::cast_from(row) * y_scale), th - 1);
        let x = min(u32::cast_from(f32::cast_from(column) * x_scale), tw - 1);
        let from = ((image * th + y) * tw + x) * c + at % c;
        out[at as usize] = top[from as usize] + lateral[at as usize];
    }
}

pub fn upsample_gradient(dy: &CubeTensor, th: usize, tw: usize) -> CubeTensor {
    let [n, h, w, c] = dy.shape().dims();
    let dx = empty(dy, [n, th, tw, c]);
    let count = n * th * tw * c;
    let (cubes, dim) = elementwise(dy, count);
    // SAFETY: the kernel writes below `count` and reads only rows and columns of `dy`.
    unsafe {
        upsample_gradient_kernel::launch_unchecked(
            &dy.client,
            cubes,
            dim,
            buffer(dy),
            buffer(&dx),
            th as u32,
            tw as u32,
            h as u32,
            w as u32,
            c as u32,
            th as f32 / h as f32,
            tw as f32 / w as f32,
            count as u32,
        );
    }
    dx
}

#[cube(launch_unchecked)]
fn upsample_gradient_kernel(
    dy: &[f32],
    dx: &mut [f32],
    th: u32,
    tw: u32,
    h: u32,
    w: u32,
    c: u32,
    y_scale: f32,
    x_scale: f32,
    count: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let (column, row) = ((at / c) % tw, (at / (c * tw)) % th);
        let image = at / (c * tw * th);
        let mut sum = 0.0f32;
        // One more output on each side than the exact quotient, because the scale is rounded.
        let (y_near, x_near) = (row * h / th, column * w / tw);
        for y in select(y_near > 0, y_near - 1, 0)..min((row + 1) * h / th + 2, h) {
            let y_from = min(u32::cast_from(f32::cast_from(y) * y_scale), th - 1);
            for x in select(x_near > 0, x_near - 1, 0)..min((column + 1) * w / tw + 2, w) {
                let x_from = min(u32::cast_from(f32::cast_from(x) * x_scale), tw - 1);
                let grad = dy[(((image * h + y) * w + x) * c + at % c) as usize];
                sum += select(y_from == row && x_from == column, grad, 0.0);
            }
        }
        dx[at as usize] = sum;
    }
}
