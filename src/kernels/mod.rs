//! The operations that dominate the run time of a two-stage detector: convolution, pooling, the pyramid's upsampling and RoIAlign.
//! Each has a CPU implementation, a GPU implementation and a gradient.
//!
//! Everything is channels last and `f32`: activations `[N, H, W, C]`, convolution weights `[KH, KW, Cin, Cout]`, linear weights
//! `[In, Out]`. Every function takes tensors of any device, with or without autodiff, and never reads anything back.
//!
//! Shapes come from a configuration and a weight file and are checked there: each function has a `check_…` counterpart that
//! returns the output shape or an [`Error`]. A function called with shapes that its check refuses panics with that error before
//! anything is dispatched, as burn's operators do.

mod autodiff;
mod batch_norm;
pub mod bench;
mod conv;
mod cube;
mod flex;
mod geometry;
pub(crate) mod noise;
mod ops;
mod parallel;
mod pool;
mod roi_align;
mod small;
mod upsample;

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub use batch_norm::{Moments, batch_norm};
pub use conv::adapter::{Adapter, Algorithm, GridShape};
pub use conv::gpu_rows::RowBlock;
pub use geometry::{ConvGeometry, PoolGeometry};
pub use roi_align::{LEVELS, Roi, RoiAlignOptions};

use crate::error::{Error, Result};
use ops::KernelOps;
use roi_align::RoiTable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions {
    pub stride: usize,
    /// Zero padding on each side, less than the kernel.
    pub padding: usize,
    /// Whether a ReLU is applied to the output.
    pub relu: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    pub kernel: usize,
    pub stride: usize,
    /// At most half the kernel.
    pub padding: usize,
}

/// The output shape of [`conv2d`].
pub fn check_conv2d(x: [usize; 4], w: [usize; 4], bias: Option<usize>, options: ConvOptions) -> Result<[usize; 4]> {
    let g = ConvGeometry::new(x, w, options.stride, options.padding)?;
    match bias {
        Some(bias) if bias != g.cout => {
            Err(Error::Config(format!("the bias has {bias} values for {} output channels", g.cout)))
        }
        _ => Ok(g.out_shape()),
    }
}

/// Convolution with `x [N, H, W, Cin]`, `w [KH, KW, Cin, Cout]`, `bias [Cout]`: `[N, OH, OW, Cout]`.
///
/// # Panics
/// If [`check_conv2d`] refuses the shapes.
pub fn conv2d(x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions) -> Tensor<4> {
    let (x_shape, w_shape) = (x.dims(), w.dims());
    let bias_len = bias.as_ref().map(|b| b.dims()[0]);
    accept(check_conv2d(x_shape, w_shape, bias_len, options));
    let g = accept(ConvGeometry::new(x_shape, w_shape, options.stride, options.padding));
    let bias = bias.unwrap_or_else(|| Tensor::zeros([g.cout], &x.device()));
    let out = <Dispatch as KernelOps>::kernel_conv(
        x.into_dispatch(),
        w.into_dispatch(),
        bias.into_dispatch(),
        g,
        options.relu,
    );
    Tensor::from_dispatch(out)
}

/// The output shape of [`linear`].
pub fn check_linear(x: [usize; 2], w: [usize; 2], bias: Option<usize>) -> Result<[usize; 2]> {
    let options = ConvOptions { stride: 1, padding: 0, relu: false };
    check_conv2d([1, 1, x[0], x[1]], [1, 1, w[0], w[1]], bias, options).map(|out| [out[2], out[3]])
}

/// `x [N, In]` times `w [In, Out]` plus `bias [Out]`.
///
/// # Panics
/// If [`check_linear`] refuses the shapes.
pub fn linear(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>, relu: bool) -> Tensor<2> {
    let ([rows, inputs], [w_inputs, outputs]) = (x.dims(), w.dims());
    accept(check_linear([rows, inputs], [w_inputs, outputs], bias.as_ref().map(|b| b.dims()[0])));
    let x = x.reshape([1, 1, rows, inputs]);
    let w = w.reshape([1, 1, inputs, outputs]);
    conv2d(x, w, bias, ConvOptions { stride: 1, padding: 0, relu }).reshape([rows, outputs])
}

/// The output shape of [`conv_transpose2x2`].
pub fn check_conv_transpose2x2(x: [usize; 4], w: [usize; 4], bias: Option<usize>) -> Result<[usize; 4]> {
    let [n, h, width, _] = x;
    let [kh, kw, cin, cout] = w;
    if kh != 2 || kw != 2 {
        return Err(Error::Config(format!(
            "the weights of a transposed convolution have shape {w:?}, not [2, 2, in, out]"
        )));
    }
    let options = ConvOptions { stride: 1, padding: 0, relu: false };
    check_conv2d(x, [1, 1, cin, 4 * cout], bias.map(|b| 4 * b), options)?;
    Ok([n, 2 * h, 2 * width, cout])
}

/// Transposed convolution, kernel 2 × 2, stride 2: `x [N, H, W, Cin]`, `w [2, 2, Cin, Cout]`, `bias [Cout]` to `[N, 2H, 2W, Cout]`. Each
/// output has a single tap, so this is a 1 × 1 convolution to `4 · Cout` channels followed by a rearrangement.
///
/// # Panics
/// If [`check_conv_transpose2x2`] refuses the shapes.
pub fn conv_transpose2x2(x: Tensor<4>, w: Tensor<4>, bias: Option<Tensor<1>>, relu: bool) -> Tensor<4> {
    let ([n, h, width, _], [_, _, cin, cout]) = (x.dims(), w.dims());
    accept(check_conv_transpose2x2(x.dims(), w.dims(), bias.as_ref().map(|b| b.dims()[0])));
    let w = w.permute([2, 0, 1, 3]).reshape([1, 1, cin, 4 * cout]);
    let bias = bias.map(|b| b.reshape([1, cout]).repeat_dim(0, 4).reshape([4 * cout]));
    conv2d(x, w, bias, ConvOptions { stride: 1, padding: 0, relu })
        .reshape([n, h, width, 2, 2, cout])
        .permute([0, 1, 3, 2, 4, 5])
        .reshape([n, 2 * h, 2 * width, cout])
}

/// `relu(a + b)` of two tensors of the same shape in one pass: the end of a residual block.
///
/// # Panics
/// If the shapes differ.
pub fn add_relu(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    assert!(a.dims() == b.dims(), "add_relu of shapes {:?} and {:?}", a.dims(), b.dims());
    Tensor::from_dispatch(<Dispatch as KernelOps>::kernel_add_relu(a.into_dispatch(), b.into_dispatch()))
}

/// The output shape of [`max_pool2d`].
pub fn check_max_pool2d(x: [usize; 4], options: PoolOptions) -> Result<[usize; 4]> {
    PoolGeometry::new(x, options.kernel, options.stride, options.padding).map(|g| g.out_shape())
}

/// Max-pooling of `x [N, H, W, C]`, floor mode.
///
/// # Panics
/// If [`check_max_pool2d`] refuses the shapes.
pub fn max_pool2d(x: Tensor<4>, options: PoolOptions) -> Tensor<4> {
    let g = accept(PoolGeometry::new(x.dims(), options.kernel, options.stride, options.padding));
    Tensor::from_dispatch(<Dispatch as KernelOps>::kernel_pool(x.into_dispatch(), g))
}

/// [`max_pool2d`] with padding of its own before and after each axis: TensorFlow's `same` pads even sides at their end alone.
///
/// # Panics
/// If [`PoolGeometry::between`] refuses the shapes.
pub fn max_pool2d_between(x: Tensor<4>, kernel: usize, stride: usize, padding: [usize; 2]) -> Tensor<4> {
    let g = accept(PoolGeometry::between(x.dims(), kernel, stride, padding));
    Tensor::from_dispatch(<Dispatch as KernelOps>::kernel_pool(x.into_dispatch(), g))
}

/// The output shape of [`upsample_add`].
pub fn check_upsample_add(top: [usize; 4], lateral: [usize; 4]) -> Result<[usize; 4]> {
    let fits = top[0] == lateral[0] && top[3] == lateral[3] && !top.contains(&0) && !lateral.contains(&0);
    if !fits || geometry::elements(&top).is_none() || geometry::elements(&lateral).is_none() {
        return Err(Error::Config(format!(
            "the pyramid levels {top:?} and {lateral:?} do not match, or are empty or too large"
        )));
    }
    Ok(lateral)
}

/// Resizes `top [N, h, w, C]` to the size of `lateral [N, H, W, C]` by nearest neighbour and adds `lateral`.
///
/// # Panics
/// If [`check_upsample_add`] refuses the shapes.
pub fn upsample_add(top: Tensor<4>, lateral: Tensor<4>) -> Tensor<4> {
    accept(check_upsample_add(top.dims(), lateral.dims()));
    Tensor::from_dispatch(<Dispatch as KernelOps>::kernel_upsample(top.into_dispatch(), lateral.into_dispatch()))
}

/// The output shape `[R, S, S, C]` of `roi_align`.
pub fn check_roi_align(levels: &[[usize; 4]], rois: &[Roi], options: &RoiAlignOptions) -> Result<[usize; 4]> {
    RoiTable::new(levels, rois, options).map(|table| table.out_shape())
}

/// RoIAlign (torchvision's, `aligned = false`) of `rois` from one to four levels `[N, H, W, C]`: `[R, S, S, C]`. Without
/// regions the result is an empty tensor.
///
/// # Panics
/// If [`check_roi_align`] refuses the shapes or a region.
pub fn roi_align(levels: &[Tensor<4>], rois: &[Roi], options: RoiAlignOptions) -> Tensor<4> {
    let shapes: Vec<_> = levels.iter().map(|l| l.dims()).collect();
    pool_rois(levels, rois, accept(RoiTable::new(&shapes, rois, &options)))
}

/// TensorFlow's `crop_and_resize` of `rois` from one to four levels `[N, H, W, C]`: `[R, S, S, C]` with one bilinear sample for
/// each bin, the outermost ones on the edges of the region. `input` is the height and width of the network's input.
///
/// # Panics
/// If [`check_crop_and_resize`] refuses the shapes or a region.
pub fn crop_and_resize(levels: &[Tensor<4>], rois: &[Roi], size: usize, input: [usize; 2]) -> Tensor<4> {
    let shapes: Vec<_> = levels.iter().map(|l| l.dims()).collect();
    pool_rois(levels, rois, accept(RoiTable::crop_and_resize(&shapes, rois, size, input)))
}

/// The output shape `[R, S, S, C]` of [`crop_and_resize`].
pub fn check_crop_and_resize(
    levels: &[[usize; 4]],
    rois: &[Roi],
    size: usize,
    input: [usize; 2],
) -> Result<[usize; 4]> {
    RoiTable::crop_and_resize(levels, rois, size, input).map(|table| table.out_shape())
}

fn pool_rois(levels: &[Tensor<4>], rois: &[Roi], table: RoiTable) -> Tensor<4> {
    let device = levels[0].device();
    if rois.is_empty() {
        return Tensor::empty(table.out_shape(), &device);
    }
    let slot =
        |i: usize| levels.get(i).cloned().unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &device)).into_dispatch();
    let out = <Dispatch as KernelOps>::kernel_roi(slot(0), slot(1), slot(2), slot(3), Arc::new(table));
    Tensor::from_dispatch(out)
}

fn accept<T>(checked: Result<T>) -> T {
    checked.unwrap_or_else(|refused| panic!("{refused}"))
}
