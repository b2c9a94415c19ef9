//! The backend traits: [`Kernels`] is the plain arithmetic, forward and backward; [`KernelOps`] extends burn's backends so that
//! a `Tensor` reaches it, with or without autodiff.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, Flex, backend_extension};

use super::geometry::{ConvGeometry, PoolGeometry};
use super::roi_align::RoiTable;

/// The arithmetic. Shapes are given by the geometry and not checked again.
pub trait Kernels: Backend {
    fn conv(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        g: ConvGeometry,
        relu: bool,
    ) -> FloatTensor<Self>;
    fn conv_data_gradient(dy: FloatTensor<Self>, w: FloatTensor<Self>, g: ConvGeometry) -> FloatTensor<Self>;
    fn conv_weight_gradient(x: FloatTensor<Self>, dy: FloatTensor<Self>, g: ConvGeometry) -> FloatTensor<Self>;
    /// The sums over all axes but the last, `[c]`.
    fn channel_sums(dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `relu(a + b)` of two tensors of the same shape.
    fn add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `dy` where the ReLU's output is not zero.
    fn relu_gradient(out: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self>;
    fn pool(x: FloatTensor<Self>, g: PoolGeometry) -> FloatTensor<Self>;
    fn pool_gradient(x: FloatTensor<Self>, dy: FloatTensor<Self>, g: PoolGeometry) -> FloatTensor<Self>;
    fn upsample(top: FloatTensor<Self>, lateral: FloatTensor<Self>) -> FloatTensor<Self>;
    /// The gradient with respect to `top`, which is `height × width`.
    fn upsample_gradient(dy: FloatTensor<Self>, height: usize, width: usize) -> FloatTensor<Self>;
    fn roi(levels: Vec<FloatTensor<Self>>, table: &RoiTable) -> FloatTensor<Self>;
    /// Gradients with respect to all levels of the table.
    fn roi_gradient(dy: FloatTensor<Self>, table: &RoiTable) -> Vec<FloatTensor<Self>>;
}

/// The differentiable operations.
#[backend_extension(Autodiff, Cube, Flex)]
pub trait KernelOps: Backend {
    fn kernel_conv(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        g: ConvGeometry,
        relu: bool,
    ) -> FloatTensor<Self>;
    fn kernel_add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    fn kernel_pool(x: FloatTensor<Self>, g: PoolGeometry) -> FloatTensor<Self>;
    fn kernel_upsample(top: FloatTensor<Self>, lateral: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Levels beyond those of the table are ignored.
    fn kernel_roi(
        level0: FloatTensor<Self>,
        level1: FloatTensor<Self>,
        level2: FloatTensor<Self>,
        level3: FloatTensor<Self>,
        table: Arc<RoiTable>,
    ) -> FloatTensor<Self>;
}

macro_rules! plain {
    ($backend:ty) => {
        impl KernelOps for $backend {
            fn kernel_conv(
                x: FloatTensor<Self>,
                w: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                g: ConvGeometry,
                relu: bool,
            ) -> FloatTensor<Self> {
                Self::conv(x, w, bias, g, relu)
            }

            fn kernel_add_relu(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::add_relu(a, b)
            }

            fn kernel_pool(x: FloatTensor<Self>, g: PoolGeometry) -> FloatTensor<Self> {
                Self::pool(x, g)
            }

            fn kernel_upsample(top: FloatTensor<Self>, lateral: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::upsample(top, lateral)
            }

            fn kernel_roi(
                level0: FloatTensor<Self>,
                level1: FloatTensor<Self>,
                level2: FloatTensor<Self>,
                level3: FloatTensor<Self>,
                table: Arc<RoiTable>,
            ) -> FloatTensor<Self> {
                let mut levels = vec![level0, level1, level2, level3];
                levels.truncate(table.levels.len());
                Self::roi(levels, &table)
            }
        }
    };
}

plain!(Cube);
plain!(Flex);
