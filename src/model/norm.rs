//! Batch norm as long as a network is trained from scratch; afterwards it is folded into the convolution before it.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::layers::Conv2d;
use crate::kernels::{self, Moments};

/// torch's default; large enough for small batches.
const EPSILON: f32 = 1e-5;

/// Normalises with the moments of the batch and keeps running ones for [`BatchNorm::fold`].
///
/// The moments of a step are kept apart until [`BatchNorm::commit`], so that a step that is thrown away leaves no trace.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[C]`
    pub gamma: Param<Tensor<1>>,
    /// `[C]`
    pub beta: Param<Tensor<1>>,
    /// `[C]`, as is the variance: neither learns.
    pub running_mean: Param<Tensor<1>>,
    pub running_var: Param<Tensor<1>>,
    #[module(skip)]
    pending: Arc<Mutex<Option<(Moments, usize)>>>,
}

impl BatchNorm {
    /// The identity, with the bias of the convolution before it.
    pub fn new(bias: Tensor<1>, device: &Device) -> Self {
        let channels = bias.dims();
        let still = |t: Tensor<1>| Param::from_tensor(t).set_require_grad(false);
        Self {
            gamma: Param::from_tensor(Tensor::ones(channels, device)),
            beta: Param::from_tensor(bias.detach()),
            running_mean: still(Tensor::zeros(channels, device)),
            running_var: still(Tensor::ones(channels, device)),
            pending: Arc::default(),
        }
    }

    /// `[N, H, W, C]`, then ReLU if asked for.
    pub fn forward(&self, x: Tensor<4>, relu: bool) -> Tensor<4> {
        let [n, h, w, _] = x.dims();
        let (y, moments) = kernels::batch_norm(x, self.gamma.val(), self.beta.val(), EPSILON, relu);
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Some((moments, n * h * w));
        y
    }

    /// Takes the moments of the last batch into the running ones, the variance unbiased, as torch does.
    pub fn commit(&mut self, momentum: f32) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((moments, n)) = pending else { return };
        let unbiased = n as f32 / (n as f32 - 1.0).max(1.0);
        let mix = |param: &Param<Tensor<1>>, new: Tensor<1>| {
            let mixed = param.val().inner().mul_scalar(1.0 - momentum) + new.mul_scalar(momentum);
            param.clone().map(|old| if old.is_autodiff() { Tensor::from_inner(mixed) } else { mixed })
        };
        self.running_mean = mix(&self.running_mean, moments.mean);
        self.running_var = mix(&self.running_var, moments.variance.mul_scalar(unbiased));
    }

    /// Forgets the moments of the last batch.
    pub fn discard(&self) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The convolution that does what `conv` and this norm do with the running moments; the parameters keep their ids.
    pub fn fold(&self, conv: &Conv2d) -> Conv2d {
        let inner = |p: &Param<Tensor<1>>| p.val().inner();
        let scale = inner(&self.gamma) / (inner(&self.running_var) + EPSILON).sqrt();
        let bias = inner(&self.beta) - inner(&self.running_mean) * scale.clone();
        let weight = conv.weight.val().inner() * scale.reshape([1, 1, 1, -1]);
        Conv2d {
            weight: conv.weight.clone().map(|old| like(old, weight)),
            bias: conv.bias.clone().map(|old| like(old, bias)),
            norm: None,
            ..conv.clone()
        }
    }
}

/// `new` in the autodiff state of `old`.
pub(super) fn like<const D: usize>(old: Tensor<D>, new: Tensor<D>) -> Tensor<D> {
    if !old.is_autodiff() {
        return new;
    }
    let tracked = old.is_require_grad();
    Tensor::from_inner(new).set_require_grad(tracked)
}
