//! Batch normalisation with the statistics of the batch (Ioffe and Szegedy 2015), for training from scratch. Detection does not use
//! it: by then it is folded into the convolutions.
//!
//! `x [N, H, W, C]` is treated as rows of `C` values. On the CPU each pass is one loop over chunks of fixed size, so the sums do
//! not depend on the number of cores. Other backends use burn's operators.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Shape, Tensor};

use super::flex::Dense;
use super::parallel::{self, Shared};

/// Rows per task.
const ROWS: usize = 1024;

/// Mean and variance of each channel over one batch.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[C]`
    pub mean: Tensor<1>,
    /// `[C]`, biased: divided by the number of values.
    pub variance: Tensor<1>,
}

/// `(x - mean) / sqrt(variance + epsilon) · gamma + beta` over all axes but the last, with an optional ReLU. Also returns the batch
/// statistics. Differentiable in `x`, `gamma` and `beta`; gradients flow through the statistics too.
pub fn batch_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32, relu: bool) -> (Tensor<4>, Moments) {
    let plain = x.clone().inner();
    let mean = <Dispatch as NormOps>::norm_mean(plain.clone().into_dispatch());
    let variance = <Dispatch as NormOps>::norm_variance(plain.into_dispatch(), mean.clone());
    let moments = Moments { mean: Tensor::from_dispatch(mean), variance: Tensor::from_dispatch(variance) };
    let (mean, variance) = (Tensor::from_inner(moments.mean.clone()), Tensor::from_inner(moments.variance.clone()));
    let (mean, variance) =
        if x.is_autodiff() { (mean, variance) } else { (moments.mean.clone(), moments.variance.clone()) };
    let y = <Dispatch as NormOps>::norm_apply(
        x.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
        relu,
    );
    (Tensor::from_dispatch(y), moments)
}

/// Everything a batch is normalised with.
#[derive(Debug, Clone)]
pub struct Factors<B: Backend> {
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f32,
    relu: bool,
}

/// The arithmetic. The defaults use burn's operators; a backend overrides what it does faster.
pub trait NormKernels: Backend {
    /// `[C]`
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let [rows, channels] = rows(&x);
        let mean = Self::float_mean_dim(Self::float_reshape(x, Shape::new([rows, channels])), 0);
        Self::float_reshape(mean, Shape::new([channels]))
    }

    /// `[C]`
    fn variance(x: FloatTensor<Self>, mean: FloatTensor<Self>) -> FloatTensor<Self> {
        let [rows, channels] = rows(&x);
        let x = Self::float_reshape(x, Shape::new([rows, channels]));
        let d = Self::float_sub(x, Self::float_reshape(mean, Shape::new([1, channels])));
        let variance = Self::float_mean_dim(Self::float_mul(d.clone(), d), 0);
        Self::float_reshape(variance, Shape::new([channels]))
    }

    fn apply(x: FloatTensor<Self>, f: Factors<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let (normal, _) = normalised(x, &f);
        let channels = f.gamma.shape().num_elements();
        let row = |v: FloatTensor<Self>| Self::float_reshape(v, Shape::new([1, channels]));
        let y = Self::float_add(Self::float_mul(normal, row(f.gamma)), row(f.beta));
        let y = if f.relu { Self::relu(y) } else { y };
        Self::float_reshape(y, shape)
    }

    /// Gradients with respect to `x`, gamma and beta.
    fn gradients(x: FloatTensor<Self>, dy: FloatTensor<Self>, f: Factors<Self>) -> [FloatTensor<Self>; 3] {
        let shape = x.shape();
        let [rows, channels] = rows(&x);
        let row = |v: FloatTensor<Self>| Self::float_reshape(v, Shape::new([1, channels]));
        let (normal, inverse) = normalised(x, &f);
        let dy = Self::float_reshape(dy, Shape::new([rows, channels]));
        let dy = if f.relu {
            let y = Self::float_add(Self::float_mul(normal.clone(), row(f.gamma.clone())), row(f.beta));
            Self::relu_backward(Self::relu(y), dy)
        } else {
            dy
        };
        let dbeta = Self::float_sum_dim(dy.clone(), 0);
        let dgamma = Self::float_sum_dim(Self::float_mul(dy.clone(), normal.clone()), 0);
        let share = |v: FloatTensor<Self>| Self::float_div_scalar(v, (rows as f32).into());
        let spread = Self::float_mul(normal, share(dgamma.clone()));
        let dx = Self::float_sub(Self::float_sub(dy, share(dbeta.clone())), spread);
        let dx = Self::float_mul(dx, Self::float_mul(row(f.gamma), inverse));
        let flat = |v: FloatTensor<Self>| Self::float_reshape(v, Shape::new([channels]));
        [Self::float_reshape(dx, shape), flat(dgamma), flat(dbeta)]
    }
}

fn rows<T: TensorMetadata>(x: &T) -> [usize; 2] {
    let [n, h, w, c]: [usize; 4] = x.shape().dims();
    [n * h * w, c]
}

/// `(x - mean) / sqrt(variance + epsilon)` as `[rows, C]`, and the inverse standard deviation as `[1, C]`.
fn normalised<B: Backend>(x: FloatTensor<B>, f: &Factors<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let [rows, channels] = rows(&x);
    let row = |v: FloatTensor<B>| B::float_reshape(v, Shape::new([1, channels]));
    let deviation = B::float_sqrt(B::float_add_scalar(row(f.variance.clone()), f.epsilon.into()));
    let inverse = B::float_recip(deviation);
    let x = B::float_sub(B::float_reshape(x, Shape::new([rows, channels])), row(f.mean.clone()));
    (B::float_mul(x, inverse.clone()), inverse)
}

impl NormKernels for Cube {}

impl NormKernels for Flex {
    fn mean(x: FlexTensor) -> FlexTensor {
        let [rows, channels] = rows(&x);
        let x = Dense::new(x);
        let sums = sums(x.data(), channels, |chunk, out| {
            for row in chunk.chunks_exact(channels) {
                out.iter_mut().zip(row).for_each(|(o, v)| *o += v);
            }
        });
        vector(sums.into_iter().map(|s| s / rows as f32).collect())
    }

    fn variance(x: FlexTensor, mean: FlexTensor) -> FlexTensor {
        let [rows, channels] = rows(&x);
        let (x, mean) = (Dense::new(x), Dense::new(mean));
        let mean = mean.data();
        let sums = sums(x.data(), channels, |chunk, out| {
            for row in chunk.chunks_exact(channels) {
                out.iter_mut().zip(row).zip(mean).for_each(|((o, v), m)| *o += (v - m) * (v - m));
            }
        });
        vector(sums.into_iter().map(|s| s / rows as f32).collect())
    }

    fn apply(x: FlexTensor, f: Factors<Self>) -> FlexTensor {
        let shape = x.shape();
        let x = Dense::new(x);
        let affine = Affine::new(&f);
        let channels = affine.scale.len();
        let mut out = vec![0f32; x.data().len()];
        let (shared, tasks) = (Shared::new(&mut out), x.data().len().div_ceil(ROWS * channels));
        parallel::for_each(tasks, |task| {
            let chunk = part(x.data(), task, channels);
            // SAFETY: no two tasks share rows.
            let out = unsafe { shared.slice(task * ROWS * channels, chunk.len()) };
            for (out, row) in out.chunks_exact_mut(channels).zip(chunk.chunks_exact(channels)) {
                for (((out, v), scale), shift) in out.iter_mut().zip(row).zip(&affine.scale).zip(&affine.shift) {
                    let y = v * scale + shift;
                    *out = if f.relu && y < 0.0 { 0.0 } else { y };
                }
            }
        });
        FlexTensor::new(Bytes::from_elems(out), Layout::contiguous(shape), DType::F32)
    }

    fn gradients(x: FlexTensor, dy: FlexTensor, f: Factors<Self>) -> [FlexTensor; 3] {
        let shape = x.shape();
        let [rows, channels] = rows(&x);
        let (x, dy, affine) = (Dense::new(x), Dense::new(dy), Affine::new(&f));
        let active = |y: f32, dy: f32| if f.relu && y <= 0.0 { 0.0 } else { dy };
        // Sums of dy and of dy · (x - mean) / deviation.
        let tasks = x.data().len().div_ceil(ROWS * channels);
        let mut partial = vec![0f32; tasks * 2 * channels];
        let shared = Shared::new(&mut partial);
        parallel::for_each(tasks, |task| {
            let (xs, dys) = (part(x.data(), task, channels), part(dy.data(), task, channels));
            // SAFETY: no two tasks share sums.
            let out = unsafe { shared.slice(task * 2 * channels, 2 * channels) };
            let (dbeta, dgamma) = out.split_at_mut(channels);
            for (xs, dys) in xs.chunks_exact(channels).zip(dys.chunks_exact(channels)) {
                for c in 0..channels {
                    let dy = active(xs[c] * affine.scale[c] + affine.shift[c], dys[c]);
                    dbeta[c] += dy;
                    dgamma[c] += dy * (xs[c] - affine.mean[c]) * affine.inverse[c];
                }
            }
        });
        let totals = add_up(&partial, 2 * channels);
        let (dbeta, dgamma) = totals.split_at(channels);
        let n = rows as f32;
        let mut dx = vec![0f32; x.data().len()];
        let shared = Shared::new(&mut dx);
        parallel::for_each(tasks, |task| {
            let (xs, dys) = (part(x.data(), task, channels), part(dy.data(), task, channels));
            // SAFETY: no two tasks share rows.
            let out = unsafe { shared.slice(task * ROWS * channels, xs.len()) };
            let rows = xs.chunks_exact(channels).zip(dys.chunks_exact(channels));
            for (out, (xs, dys)) in out.chunks_exact_mut(channels).zip(rows) {
                for c in 0..channels {
                    let dy = active(xs[c] * affine.scale[c] + affine.shift[c], dys[c]);
                    let normal = (xs[c] - affine.mean[c]) * affine.inverse[c];
                    out[c] = (dy - dbeta[c] / n - normal * dgamma[c] / n) * affine.scale[c];
                }
            }
        });
        let dx = FlexTensor::new(Bytes::from_elems(dx), Layout::contiguous(shape), DType::F32);
        [dx, vector(dgamma.to_vec()), vector(dbeta.to_vec())]
    }
}

/// The normalisation as `x · scale + shift`.
struct Affine {
    mean: Vec<f32>,
    inverse: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    fn new(f: &Factors<Flex>) -> Self {
        let read = |t: &FlexTensor| Dense::new(t.clone()).data().to_vec();
        let (mean, variance, gamma, beta) = (read(&f.mean), read(&f.variance), read(&f.gamma), read(&f.beta));
        let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + f.epsilon).sqrt()).collect();
        let scale: Vec<f32> = inverse.iter().zip(&gamma).map(|(i, g)| i * g).collect();
        let shift = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Self { mean, inverse, scale, shift }
    }
}

/// The rows of one task.
fn part(data: &[f32], task: usize, channels: usize) -> &[f32] {
    &data[task * ROWS * channels..data.len().min((task + 1) * ROWS * channels)]
}

/// Accumulates `add` over the rows of each task, then sums the tasks in order.
fn sums(data: &[f32], channels: usize, add: impl Fn(&[f32], &mut [f32]) + Sync + Send) -> Vec<f32> {
    let tasks = data.len().div_ceil(ROWS * channels);
    let mut partial = vec![0f32; tasks * channels];
    let shared = Shared::new(&mut partial);
    parallel::for_each(tasks, |task| {
        // SAFETY: no two tasks share sums.
        add(part(data, task, channels), unsafe { shared.slice(task * channels, channels) });
    });
    add_up(&partial, channels)
}

fn add_up(partial: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0f32; width];
    for sums in partial.chunks_exact(width) {
        total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
    }
    total
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let shape = Shape::new([values.len()]);
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// The differentiable operations.
#[backend_extension(Autodiff, Cube, Flex)]
pub trait NormOps: Backend {
    fn norm_mean(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn norm_variance(x: FloatTensor<Self>, mean: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Treats the statistics as computed from `x`, so the gradient flows through them.
    fn norm_apply(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        relu: bool,
    ) -> FloatTensor<Self>;
}

macro_rules! plain {
    ($backend:ty) => {
        impl NormOps for $backend {
            fn norm_mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::mean(x)
            }

            fn norm_variance(x: FloatTensor<Self>, mean: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::variance(x, mean)
            }

            fn norm_apply(
                x: FloatTensor<Self>,
                mean: FloatTensor<Self>,
                variance: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                epsilon: f32,
                relu: bool,
            ) -> FloatTensor<Self> {
                Self::apply(x, Factors { mean, variance, gamma, beta, epsilon, relu })
            }
        }
    };
}

plain!(Cube);
plain!(Flex);

#[derive(Debug)]
struct NormBackward;

impl<B: NormKernels> Backward<B, 3> for NormBackward {
    type State = (FloatTensor<B>, Factors<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (x, factors) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(B::gradients(x, dy, factors)) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: NormOps + NormKernels, C: CheckpointStrategy> NormOps for Autodiff<B, C> {
    fn norm_mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::mean(x.into_primitive()))
    }

    fn norm_variance(x: FloatTensor<Self>, mean: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::variance(x.into_primitive(), mean.into_primitive()))
    }

    fn norm_apply(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let prepared = NormBackward.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful();
        let x = x.into_primitive();
        let factors = Factors {
            mean: mean.into_primitive(),
            variance: variance.into_primitive(),
            gamma: gamma.into_primitive(),
            beta: beta.into_primitive(),
            epsilon,
            relu,
        };
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((x.clone(), factors.clone()), B::apply(x, factors)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::apply(x, factors)),
        }
    }
}
