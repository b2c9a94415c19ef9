//! Self-test: runs every kind of kernel that a detector uses and compares the result with a known answer, once per opened device.
//!
//! The answers come from plain loops over the definition or are known in closed form: the mean of bilinear samples of a linear
//! ramp is the ramp's value at the centre of the bin.

use burn::tensor::{Device, Tensor, TensorData};

use super::SelfTest;
use crate::{
    error::{Error, Result},
    kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions, noise::noise},
};

/// Above the rounding error of f32 sums in a different order, far below any wrong result.
const TOLERANCE: f32 = 1e-4;

pub async fn run(device: &Device) -> Result<Vec<SelfTest>> {
    Ok(vec![
        convolution(device, 3, 1).await?,
        convolution(device, 3, 2).await?,
        convolution(device, 1, 1).await?,
        max_pool(device).await?,
        matrix_product(device).await?,
        upsample_add(device).await?,
        roi_align(device).await?,
        roi_align_gradient(device).await?,
    ])
}

/// Results as of a device that multiplies incorrectly.
#[cfg(all(test, not(target_arch = "wasm32")))]
pub async fn with_a_wrong_answer(device: &Device) -> Result<Vec<SelfTest>> {
    let mut tests = run(device).await?;
    let got = tensor(&[1.0, 2.0], [2], device);
    tests.push(compare("matrix product".into(), got, &[1.0, 2.1]).await?);
    Ok(tests)
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

async fn compare<const D: usize>(operator: String, got: Tensor<D>, expected: &[f32]) -> Result<SelfTest> {
    let data = got.into_data_async().await.map_err(|e| Error::Device(format!("{operator}: {e:?}")))?;
    let got: Vec<f32> = data.try_to_vec().map_err(|e| Error::Device(format!("{operator}: {e:?}")))?;
    let scale = expected.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let same_length = got.len() == expected.len();
    let error = got.iter().zip(expected).fold(0f32, |m, (g, e)| {
        let d = (g - e).abs() / scale;
        if d.is_nan() { f32::INFINITY } else { m.max(d) }
    });
    Ok(SelfTest { operator, error, passed: same_length && error <= TOLERANCE })
}

async fn convolution(device: &Device, k: usize, stride: usize) -> Result<SelfTest> {
    let (h, w, cin, cout, padding) = (11, 9, 8, 16, k / 2);
    let (x, weight, bias) = (noise(h * w * cin, 1), noise(k * k * cin * cout, 2), noise(cout, 3));
    let (oh, ow) = ((h + 2 * padding - k) / stride + 1, (w + 2 * padding - k) / stride + 1);
    let mut expected = vec![0f32; oh * ow * cout];
    for (i, out) in expected.iter_mut().enumerate() {
        let (oy, ox, o) = (i / (ow * cout), i / cout % ow, i % cout);
        let mut sum = bias[o];
        for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
            let (iy, ix) = (oy * stride + ky, ox * stride + kx);
            if iy < padding || ix < padding || iy - padding >= h || ix - padding >= w {
                continue;
            }
            let pixel = ((iy - padding) * w + ix - padding) * cin;
            let tap = (ky * k + kx) * cin;
            sum += (0..cin).map(|c| x[pixel + c] * weight[(tap + c) * cout + o]).sum::<f32>();
        }
        *out = sum.max(0.0);
    }
    let got = kernels::conv2d(
        tensor(&x, [1, h, w, cin], device),
        tensor(&weight, [k, k, cin, cout], device),
        Some(tensor(&bias, [cout], device)),
        ConvOptions { stride, padding, relu: true },
    );
    compare(format!("convolution {k}×{k}, stride {stride}"), got, &expected).await
}

async fn max_pool(device: &Device) -> Result<SelfTest> {
    let (h, w, c) = (9, 7, 4);
    let x = noise(h * w * c, 4);
    let (oh, ow) = (h.div_ceil(2), w.div_ceil(2));
    let expected: Vec<f32> = (0..oh * ow * c)
        .map(|i| {
            let (oy, ox, ch) = (i / (ow * c), i / c % ow, i % c);
            let rows = (2 * oy).saturating_sub(1)..(2 * oy + 2).min(h);
            let columns = (2 * ox).saturating_sub(1)..(2 * ox + 2).min(w);
            rows.flat_map(|y| columns.clone().map(move |x| (y, x)))
                .fold(f32::NEG_INFINITY, |m, (y, xx)| m.max(x[(y * w + xx) * c + ch]))
        })
        .collect();
    let options = PoolOptions { kernel: 3, stride: 2, padding: 1 };
    compare("max-pool".into(), kernels::max_pool2d(tensor(&x, [1, h, w, c], device), options), &expected).await
}

async fn matrix_product(device: &Device) -> Result<SelfTest> {
    let (m, k, n) = (5, 33, 12);
    let (x, weight) = (noise(m * k, 5), noise(k * n, 6));
    let expected: Vec<f32> =
        (0..m * n).map(|i| (0..k).map(|j| x[i / n * k + j] * weight[j * n + i % n]).sum()).collect();
    let got = kernels::linear(tensor(&x, [m, k], device), tensor(&weight, [k, n], device), None, false);
    compare("matrix product".into(), got, &expected).await
}

async fn upsample_add(device: &Device) -> Result<SelfTest> {
    let (h, w, c) = (3, 4, 4);
    let (top, lateral) = (noise(h * w * c, 7), noise(4 * h * w * c, 8));
    let expected: Vec<f32> = (0..4 * h * w * c)
        .map(|i| lateral[i] + top[((i / (2 * w * c)) / 2 * w + (i / c % (2 * w)) / 2) * c + i % c])
        .collect();
    let got = kernels::upsample_add(tensor(&top, [1, h, w, c], device), tensor(&lateral, [1, 2 * h, 2 * w, c], device));
    compare("upsampling".into(), got, &expected).await
}

/// A linear ramp with a different slope for each channel.
fn ramp(x: f32, y: f32, channel: usize) -> f32 {
    0.25 * x - 0.5 * y + channel as f32 * (0.1 * x + 0.05 * y) + 1.0
}

/// The ramp on 16 × 16 pixels and 4 channels.
fn ramp_image() -> Vec<f32> {
    (0..16 * 16 * 4).map(|i| ramp((i / 4 % 16) as f32, (i / 64) as f32, i % 4)).collect()
}

const ROI: Roi = Roi { image: 0, level: 0, corners: [8.0, 16.0, 40.0, 48.0] };

fn roi_options() -> RoiAlignOptions {
    RoiAlignOptions { output_size: 4, sampling_ratio: 2, scales: vec![0.25] }
}

async fn roi_align(device: &Device) -> Result<SelfTest> {
    let values = ramp_image();
    let expected: Vec<f32> = (0..4 * 4 * 4)
        .map(|i| {
            let (y, x, c) = (i / 16, i / 4 % 4, i % 4);
            ramp(2.0 + (x as f32 + 0.5) * 2.0, 4.0 + (y as f32 + 0.5) * 2.0, c)
        })
        .collect();
    let got = kernels::roi_align(&[tensor(&values, [1, 16, 16, 4], device)], &[ROI], roi_options());
    compare("RoIAlign".into(), got, &expected).await
}

/// With bins of 2 × 2 pixels and 2 × 2 samples per bin, each sample lies half-way between pixels. The gradient of the sum is then
/// 1/16 for each sample that touches a pixel, and within the box there are 4 of them.
async fn roi_align_gradient(device: &Device) -> Result<SelfTest> {
    let values = ramp_image();
    let features = tensor(&values, [1, 16, 16, 4], &device.clone().autodiff()).require_grad();
    let pooled = kernels::roi_align(std::slice::from_ref(&features), &[ROI], roi_options());
    let gradients = pooled.sum().backward();
    let got = features.grad(&gradients).ok_or_else(|| Error::Device("RoIAlign has no gradient".into()))?;
    let touches = |p: usize, first: usize| -> f32 {
        (0..8).map(|s| first + s).map(|s| if s == p || s + 1 == p { 0.5 } else { 0.0 }).sum()
    };
    let expected: Vec<f32> = (0..16 * 16 * 4).map(|i| touches(i / 64, 4) * touches(i / 4 % 16, 2) / 4.0).collect();
    compare("gradient of RoIAlign".into(), got, &expected).await
}
