//! Benchmark of the convolutions on a device: every layer shape of ResNet-18/50-FPN, compared with the device's multiply-add peak
//! and with burn's convolution in the same run.

use std::hint::black_box;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Tensor, TensorData, activation, module};
use cubecl::prelude::*;
use web_time::Instant;

use super::conv::gpu::empty;
use super::conv::micro::micro;
use super::cube::{buffer, elementwise};
use super::noise::noise;
use super::parallel::for_each;
use super::{ConvGeometry, ConvOptions, conv2d};
use crate::error::{Error, Result};

/// A convolution layer of a detector.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BenchLayer {
    pub name: String,
    /// `[n, h, w, cin]`
    pub x: [usize; 4],
    /// `[kh, kw, cin, cout]`
    pub w: [usize; 4],
    pub out: [usize; 4],
    pub stride: usize,
    pub padding: usize,
    /// Of the forward pass; each of the two gradients takes the same number. A multiply-add counts as two.
    pub flops: f64,
}

impl BenchLayer {
    /// Whether it counts towards the share of the peak: 3 × 3 with 64 channels or more.
    pub fn is_dense(&self) -> bool {
        self.w[0] == 3 && self.w[2].min(self.w[3]) >= 64
    }
}

/// The layers as (name, image side divided by this, input and output channels, kernel, stride). Unless the name ends in `deep` or
/// `basic`, a strided 3×3 belongs to ResNet-18 and a strided 1×1 to ResNet-50; the suffix names the other network's block.
const LAYERS: [(&str, usize, usize, usize, usize, usize); 31] = [
    ("stem 7×7", 1, 3, 64, 7, 2),
    ("layer1 1×1 first", 4, 64, 64, 1, 1),
    ("layer1 3×3", 4, 64, 64, 3, 1),
    ("layer1 1×1 out", 4, 64, 256, 1, 1),
    ("layer1 1×1 in", 4, 256, 64, 1, 1),
    ("layer2 1×1 first", 4, 256, 128, 1, 1),
    ("layer2 3×3 stride 2", 4, 64, 128, 3, 2),
    ("layer2 3×3 stride 2 deep", 4, 128, 128, 3, 2),
    ("layer2 3×3", 8, 128, 128, 3, 1),
    ("layer2 1×1 out", 8, 128, 512, 1, 1),
    ("layer2 1×1 in", 8, 512, 128, 1, 1),
    ("layer2 1×1 stride 2", 4, 256, 512, 1, 2),
    ("layer2 1×1 stride 2 basic", 4, 64, 128, 1, 2),
    ("layer3 3×3 stride 2", 8, 128, 256, 3, 2),
    ("layer3 3×3 stride 2 deep", 8, 256, 256, 3, 2),
    ("layer3 3×3", 16, 256, 256, 3, 1),
    ("layer3 1×1 out", 16, 256, 1024, 1, 1),
    ("layer3 1×1 in", 16, 1024, 256, 1, 1),
    ("layer3 1×1 stride 2", 8, 512, 1024, 1, 2),
    ("layer3 1×1 stride 2 basic", 8, 128, 256, 1, 2),
    ("layer4 1×1 first", 16, 1024, 512, 1, 1),
    ("layer4 3×3 stride 2", 16, 256, 512, 3, 2),
    ("layer4 3×3 stride 2 deep", 16, 512, 512, 3, 2),
    ("layer4 3×3", 32, 512, 512, 3, 1),
    ("layer4 1×1 out", 32, 512, 2048, 1, 1),
    ("layer4 1×1 in", 32, 2048, 512, 1, 1),
    ("layer4 1×1 stride 2", 16, 1024, 2048, 1, 2),
    ("layer4 1×1 stride 2 basic", 16, 256, 512, 1, 2),
    ("pyramid 1×1", 8, 512, 256, 1, 1),
    ("pyramid 3×3 fine", 4, 256, 256, 3, 1),
    ("pyramid 3×3 coarse", 16, 256, 256, 3, 1),
];

/// Every layer for an image of `side × side` pixels, a multiple of 32.
pub fn layers(side: usize) -> Result<Vec<BenchLayer>> {
    if side == 0 || !side.is_multiple_of(32) || side > 4096 {
        return Err(Error::Config(format!(
            "the benchmark's image side is {side}; it must be a multiple of 32 up to 4096"
        )));
    }
    let layer = |(name, part, cin, cout, kernel, stride): (&str, usize, usize, usize, usize, usize)| {
        let (x, w, padding) = ([1, side / part, side / part, cin], [kernel, kernel, cin, cout], kernel / 2);
        let g = ConvGeometry::new(x, w, stride, padding)?;
        Ok(BenchLayer { name: name.to_owned(), x, w, out: g.out_shape(), stride, padding, flops: g.flops() })
    };
    LAYERS.into_iter().map(layer).collect()
}

/// Seconds per run of `work`, averaged over `runs` in sequence. The clock stops once a value of the last result has been read back.
pub async fn time(device: &Device, runs: u32, work: impl Fn() -> Tensor<1>) -> Result<f64> {
    let begin = Instant::now();
    for _ in 1..runs {
        drop(work());
    }
    black_box(numbers(work(), device).await?.first().copied());
    Ok(begin.elapsed().as_secs_f64() / f64::from(runs.max(1)))
}

/// Reads back the values of a tensor.
pub async fn numbers<const D: usize>(tensor: Tensor<D>, device: &Device) -> Result<Vec<f32>> {
    let failed = |reason: String| Error::DeviceFailed { device: format!("{device:?}"), reason };
    let data = tensor.into_data_async().await.map_err(|e| failed(format!("{e:?}")))?;
    data.try_to_vec().map_err(|e| failed(format!("{e:?}")))
}

/// Waits until all uploads and all queued work have finished.
pub async fn settle(device: &Device) -> Result<()> {
    numbers(Tensor::<1>::zeros([1], device), device).await.map(drop)
}

/// Independent chains of four multiply-adds per thread: a few fit the registers of a CPU that emulates a GPU, many hide the
/// latency of a real GPU.
const CHAINS: [usize; 2] = [3, 16];
/// Steps of each chain per loop iteration.
const UNROLL: usize = 8;

/// Seconds and operations of one run of register-only multiply-adds, with whichever number of chains is faster here.
pub async fn peak(device: &Device, runs: u32) -> Result<(f64, f64)> {
    const THREADS: usize = 1 << 14;
    const STEPS: usize = 1 << 15;
    let x = Tensor::<1>::ones([THREADS], device);
    settle(device).await?;
    let mut best = (f64::INFINITY, 1.0);
    for chains in CHAINS {
        let rounds = STEPS / (chains * UNROLL);
        let flops = (THREADS * rounds * UNROLL * chains * 8) as f64;
        let work = || {
            let out = <Dispatch as PeakOps>::multiply_add(x.clone().into_dispatch(), rounds, chains);
            Tensor::<1>::from_dispatch(out).slice(0..1)
        };
        // The first run compiles the kernels.
        time(device, 1, work).await?;
        let seconds = time(device, runs, work).await?;
        if seconds / flops < best.0 / best.1 {
            best = (seconds, flops);
        }
    }
    Ok(best)
}

/// A convolution with bias and ReLU, and its operands: `noise` with seeds 1 (input), 2 (weights) and 3 (bias).
pub struct BenchConv {
    g: ConvGeometry,
    burn: bool,
    backward: bool,
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Tensor<1>,
}

impl BenchConv {
    /// burn's convolution or this project's, with or without gradients. The device must not be an autodiff device.
    pub fn new(
        x: [usize; 4],
        w: [usize; 4],
        stride: usize,
        padding: usize,
        burn: bool,
        backward: bool,
        device: &Device,
    ) -> Result<Self> {
        let g = ConvGeometry::new(x, w, stride, padding)?;
        let device = if backward { device.clone().autodiff() } else { device.clone() };
        let (mut x, mut w, bias) = (draw(x, 1, &device), draw(w, 2, &device), draw([g.cout], 3, &device));
        if burn {
            // burn's convolution is channels first.
            (x, w) = (dense(x.permute([0, 3, 1, 2])), dense(w.permute([3, 2, 0, 1])));
        }
        if backward {
            (x, w) = (x.require_grad(), w.require_grad());
        }
        Ok(Self { g, burn, backward, x, w, bias })
    }

    /// Operations per run.
    pub fn flops(&self) -> f64 {
        if self.backward { 3.0 * self.g.flops() } else { self.g.flops() }
    }

    /// Runs it and returns one value of the results; reading it back proves that the run has finished.
    pub fn mark(&self) -> Tensor<1> {
        let parts = self.compute().into_iter().map(first);
        parts.reduce(|a, b| a + b).unwrap_or_else(|| self.bias.clone())
    }

    /// Runs it and returns the results, channels last: the output, or the gradients of its sum with respect to input and weights.
    pub fn results(&self) -> Vec<Tensor<4>> {
        let results = self.compute();
        if !self.burn {
            return results;
        }
        // A weight gradient `[cout, cin, kh, kw]` is returned as `[kh, kw, cin, cout]`.
        let orders: [[isize; 4]; 2] = [[0, 2, 3, 1], [2, 3, 1, 0]];
        results.into_iter().zip(orders).map(|(t, order)| t.permute(order)).collect()
    }

    fn compute(&self) -> Vec<Tensor<4>> {
        let (x, w, bias) = (self.x.clone(), self.w.clone(), Some(self.bias.clone()));
        let (stride, padding) = (self.g.stride, self.g.padding);
        let out = if self.burn {
            let options = burn::tensor::ops::ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            activation::relu(module::conv2d(x, w, bias, options))
        } else {
            conv2d(x, w, bias, ConvOptions { stride, padding, relu: true })
        };
        if !self.backward {
            return vec![out];
        }
        let gradients = out.backward();
        [&self.x, &self.w].into_iter().filter_map(|t| t.grad(&gradients)).collect()
    }
}

/// A tensor of `noise`.
pub fn draw<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(shape.iter().product(), seed), shape), device)
}

/// A contiguous copy of the tensor.
fn dense(t: Tensor<4>) -> Tensor<4> {
    let shape = t.dims();
    let count = shape.iter().product::<usize>();
    t.reshape([count]).reshape(shape)
}

fn first(t: Tensor<4>) -> Tensor<1> {
    t.slice([0..1, 0..1, 0..1, 0..1]).reshape([1])
}

/// Does `rounds · UNROLL · chains · 4` multiply-adds per element.
#[backend_extension(Cube, Flex)]
trait PeakOps: Backend {
    fn multiply_add(x: FloatTensor<Self>, rounds: usize, chains: usize) -> FloatTensor<Self>;
}

impl PeakOps for Flex {
    fn multiply_add(x: FloatTensor<Self>, rounds: usize, chains: usize) -> FloatTensor<Self> {
        let m = micro();
        // The same total number of operations, split into enough tasks to keep every core busy.
        let tasks = 64;
        let steps = x.shape().num_elements() * rounds * UNROLL * chains * 4 / tasks / m.spin_width;
        // SAFETY: `micro` returns only loops whose instructions this machine has.
        for_each(tasks, |_| {
            black_box(unsafe { (m.spin)(steps) });
        });
        x
    }
}

impl PeakOps for Cube {
    fn multiply_add(x: FloatTensor<Self>, rounds: usize, chains: usize) -> FloatTensor<Self> {
        let count = x.shape().num_elements();
        let out = empty(&x, [count]);
        let (cubes, dim) = elementwise(&x, count);
        // SAFETY: both buffers hold `count` numbers, and there are as many threads.
        unsafe {
            peak_kernel::launch_unchecked(
                &x.client,
                cubes,
                dim,
                4,
                buffer(&x),
                buffer(&out),
                rounds as u32,
                count as u32,
                chains,
            );
        }
        out
    }
}

#[cube(launch_unchecked)]
fn peak_kernel<N: Size>(x: &[f32], out: &mut [f32], rounds: u32, count: u32, #[comptime] chains: usize) {
    let at = ABSOLUTE_POS;
    if (at as u32) < count {
        let factor = Vector::<f32, N>::new(x[at] * 0.999);
        let addend = Vector::<f32, N>::new(x[at] * 0.001);
        let mut sums = Sequence::<RuntimeCell<Vector<f32, N>>>::new();
        #[unroll]
        for i in 0..chains {
            sums.push(RuntimeCell::new(factor * Vector::<f32, N>::new(f32::cast_from(i as u32))));
        }
        for _ in 0..rounds {
            // Unrolled: on a software adapter the loop itself costs more than one step.
            #[unroll]
            for _ in 0..UNROLL {
                #[unroll]
                for i in 0..chains {
                    let cell = sums.index(i);
                    cell.store(cell.read() * factor + addend);
                }
            }
        }
        let mut sum = Vector::<f32, N>::new(0.0);
        #[unroll]
        for i in 0..chains {
            sum += sums.index(i).read();
        }
        out[at] = sum.extract(0usize) + sum.extract(1usize) + sum.extract(2usize) + sum.extract(3usize);
    }
}
