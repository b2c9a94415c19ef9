//! The reference for the kernel tests: plain nested loops in `f64`, and reading tensors back to the host.
#![allow(dead_code)]

use burn::tensor::{Device, Tensor, TensorData};
use cytobox::kernels::{ConvOptions, PoolOptions, Roi, RoiAlignOptions};

/// Numbers with a shape, channels last.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Array {
    /// Numbers between -1 and 1 from a small generator.
    pub fn random(shape: &[usize], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32) / (1u64 << 23) as f32 - 1.0
        };
        Self { shape: shape.to_vec(), data: (0..shape.iter().product()).map(|_| next()).collect() }
    }

    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    pub fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.data.clone(), self.shape.clone()), device)
    }

    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        Self { shape, data: tensor.into_data().try_to_vec().unwrap() }
    }

    /// The largest magnitude of its finite numbers.
    pub fn largest(&self) -> f32 {
        self.data.iter().filter(|v| v.is_finite()).fold(0.0, |m, v| m.max(v.abs()))
    }

    fn at4(&self, [a, b, c, d]: [usize; 4]) -> usize {
        ((a * self.shape[1] + b) * self.shape[2] + c) * self.shape[3] + d
    }
}

/// The largest difference, relative to the largest expected number. Shapes, NaNs and infinities must agree exactly.
pub fn error(found: &Array, expected: &Array) -> f32 {
    error_of_terms(found, expected, 0.0)
}

/// The same of sums of terms as large as `term`: where the terms cancel, rounding is relative to them and not to what is left.
pub fn error_of_terms(found: &Array, expected: &Array, term: f32) -> f32 {
    assert_eq!(found.shape, expected.shape);
    let scale = expected.largest().max(term).max(1e-6);
    let pairs = found.data.iter().zip(&expected.data).enumerate();
    pairs.fold(0.0, |worst, (i, (f, e))| {
        if e.is_finite() {
            assert!(f.is_finite(), "element {i}: {f} for {e}");
            worst.max((f - e).abs() / scale)
        } else {
            assert!(f == e || (f.is_nan() && e.is_nan()), "element {i}: {f} for {e}");
            worst
        }
    })
}

/// The output, and the gradients of `x`, `w` and `bias` for the output gradient `dy`.
pub fn conv2d(x: &Array, w: &Array, bias: &Array, o: ConvOptions, dy: Option<&Array>) -> (Array, [Array; 3]) {
    let [n, h, width, cin] = x.shape[..] else { panic!("x has four axes") };
    let [kh, kw, _, cout] = w.shape[..] else { panic!("w has four axes") };
    let (oh, ow) = ((h + 2 * o.padding - kh) / o.stride + 1, (width + 2 * o.padding - kw) / o.stride + 1);
    let mut out = Array::zeros(&[n, oh, ow, cout]);
    let (mut dx, mut dw, mut db) = (vec![0f64; x.data.len()], vec![0f64; w.data.len()], vec![0f64; cout]);
    for place in 0..n * oh * ow {
        let (image, oy, ox) = (place / (oh * ow), place / ow % oh, place % ow);
        let mut taps = Vec::new();
        for ky in 0..kh {
            for kx in 0..kw {
                let (y, x_at) =
                    ((oy * o.stride + ky).wrapping_sub(o.padding), (ox * o.stride + kx).wrapping_sub(o.padding));
                if y < h && x_at < width {
                    taps.push((x.at4([image, y, x_at, 0]), w.at4([ky, kx, 0, 0])));
                }
            }
        }
        for co in 0..cout {
            let mut sum = bias.data[co] as f64;
            for &(xi, wi) in &taps {
                for ci in 0..cin {
                    sum += x.data[xi + ci] as f64 * w.data[wi + ci * cout + co] as f64;
                }
            }
            let at = place * cout + co;
            out.data[at] = if o.relu && sum < 0.0 { 0.0 } else { sum as f32 };
            let Some(dy) = dy else { continue };
            if o.relu && sum <= 0.0 {
                continue;
            }
            let grad = dy.data[at] as f64;
            db[co] += grad;
            for &(xi, wi) in &taps {
                for ci in 0..cin {
                    dx[xi + ci] += grad * w.data[wi + ci * cout + co] as f64;
                    dw[wi + ci * cout + co] += grad * x.data[xi + ci] as f64;
                }
            }
        }
    }
    let single = |shape: &[usize], data: Vec<f64>| Array {
        shape: shape.to_vec(),
        data: data.into_iter().map(|v| v as f32).collect(),
    };
    (out, [single(&x.shape, dx), single(&w.shape, dw), single(&[cout], db)])
}

/// The output and the gradient of `x`.
pub fn max_pool2d(x: &Array, o: PoolOptions, dy: Option<&Array>) -> (Array, Array) {
    let [n, h, w, c] = x.shape[..] else { panic!("x has four axes") };
    let side = |len: usize| (len + 2 * o.padding - o.kernel) / o.stride + 1;
    let mut out = Array::zeros(&[n, side(h), side(w), c]);
    let mut dx = Array::zeros(&x.shape);
    for at in 0..out.data.len() {
        let (image, oy) = (at / (c * side(w) * side(h)), at / (c * side(w)) % side(h));
        let (ox, channel) = (at / c % side(w), at % c);
        let mut best: Option<usize> = None;
        for y in 0..h {
            for x_at in 0..w {
                let inside =
                    |i: usize, o_at: usize| (o_at * o.stride..o_at * o.stride + o.kernel).contains(&(i + o.padding));
                if inside(y, oy) && inside(x_at, ox) {
                    let place = x.at4([image, y, x_at, channel]);
                    let value = x.data[place];
                    if best.is_none_or(|b| value > x.data[b] || value.is_nan()) {
                        best = Some(place);
                    }
                }
            }
        }
        let best = best.expect("a window holds a pixel");
        out.data[at] = x.data[best];
        if let Some(dy) = dy {
            dx.data[best] += dy.data[at];
        }
    }
    (out, dx)
}

/// The output, and the gradient, which both terms share.
pub fn add_relu(a: &Array, b: &Array, dy: &Array) -> (Array, Array) {
    let (mut out, mut gradient) = (a.clone(), dy.clone());
    for (at, out) in out.data.iter_mut().enumerate() {
        let sum = *out + b.data[at];
        *out = if sum < 0.0 { 0.0 } else { sum };
        if sum <= 0.0 {
            gradient.data[at] = 0.0;
        }
    }
    (out, gradient)
}

/// The output and the gradient of `top`.
pub fn upsample_add(top: &Array, lateral: &Array, dy: &Array) -> (Array, Array) {
    let [_, th, tw, c] = top.shape[..] else { panic!("top has four axes") };
    let [_, h, w, _] = lateral.shape[..] else { panic!("lateral has four axes") };
    let source = |i: usize, from: usize, len: usize| ((i as f32 * (from as f32 / len as f32)) as usize).min(from - 1);
    let mut out = lateral.clone();
    let mut dtop = Array::zeros(&top.shape);
    for at in 0..out.data.len() {
        let (image, y, x) = (at / (c * w * h), at / (c * w) % h, at / c % w);
        let place = top.at4([image, source(y, th, h), source(x, tw, w), at % c]);
        out.data[at] += top.data[place];
        dtop.data[place] += dy.data[at];
    }
    (out, dtop)
}

/// torchvision's `roi_align_kernel_impl`, and the gradients of the levels.
pub fn roi_align(levels: &[Array], rois: &[Roi], o: &RoiAlignOptions, dy: Option<&Array>) -> (Array, Vec<Array>) {
    let c = levels[0].shape[3];
    let (s, ratio) = (o.output_size, o.sampling_ratio);
    let mut out = Array::zeros(&[rois.len(), s, s, c]);
    let mut grads: Vec<_> = levels.iter().map(|l| Array::zeros(&l.shape)).collect();
    for (r, roi) in rois.iter().enumerate() {
        let level = &levels[roi.level as usize];
        let (h, w) = (level.shape[1], level.shape[2]);
        let [x1, y1, x2, y2] = roi.corners.map(|v| v * o.scales[roi.level as usize]);
        let (bin_h, bin_w) = ((y2 - y1).max(1.0) / s as f32, (x2 - x1).max(1.0) / s as f32);
        for bin in 0..s * s {
            for sample in 0..ratio * ratio {
                let step = |i: usize| (i as f32 + 0.5) / ratio as f32;
                let y = y1 + (bin / s) as f32 * bin_h + step(sample / ratio) * bin_h;
                let x = x1 + (bin % s) as f32 * bin_w + step(sample % ratio) * bin_w;
                if y < -1.0 || y > h as f32 || x < -1.0 || x > w as f32 {
                    continue;
                }
                let split = |v: f32, len: usize| {
                    let v = v.max(0.0);
                    let low = v as usize;
                    if low >= len - 1 { (len - 1, len - 1, 0.0) } else { (low, low + 1, v - low as f32) }
                };
                let ((y0, y1), (x0, x1), (fy, fx)) = {
                    let ((a, b, f), (c, d, g)) = (split(y, h), split(x, w));
                    ((a, b), (c, d), (f, g))
                };
                let corners = [
                    (y0, x0, (1.0 - fy) * (1.0 - fx)),
                    (y0, x1, (1.0 - fy) * fx),
                    (y1, x0, fy * (1.0 - fx)),
                    (y1, x1, fy * fx),
                ];
                for (cy, cx, weight) in corners {
                    for channel in 0..c {
                        let from = level.at4([roi.image as usize, cy, cx, channel]);
                        let to = (r * s * s + bin) * c + channel;
                        let weight = weight / (ratio * ratio) as f32;
                        out.data[to] += weight * level.data[from];
                        if let Some(dy) = dy {
                            grads[roi.level as usize].data[from] += weight * dy.data[to];
                        }
                    }
                }
            }
        }
    }
    (out, grads)
}

/// The CPU, and a GPU where there is an adapter.
pub fn devices() -> Vec<(&'static str, Device)> {
    let mut devices = vec![("flex", Device::flex())];
    if std::env::var_os("CYTOBOX_NO_GPU").is_some() {
        println!("skipped: no GPU");
    } else {
        devices.push(("wgpu", Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)));
    }
    devices
}
