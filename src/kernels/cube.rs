//! The kernels on burn's GPU backend.

use burn::backend::{Cube, TensorMetadata};
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

use super::conv::adapter::Adapter;
use super::conv::{gpu, gpu_weight};
use super::geometry::{ConvGeometry, PoolGeometry};
use super::ops::Kernels;
use super::roi_align::{self, RoiTable};
use super::small;

/// A contiguous tensor, last axis fastest.
pub fn dense(tensor: CubeTensor) -> CubeTensor {
    assert!(tensor.dtype == DType::F32, "the kernels take f32, not {:?}", tensor.dtype);
    into_contiguous(tensor)
}

/// A contiguous tensor as a kernel argument.
pub fn buffer(tensor: &CubeTensor) -> BufferArg {
    let count = tensor.meta.shape().num_elements();
    // SAFETY: the tensor is contiguous, so the handle holds this many numbers.
    unsafe { BufferArg::from_raw_parts(tensor.handle.clone(), count) }
}

/// Launch dimensions with one thread for each of `count` elements.
pub fn elementwise(like: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(32);
    (calculate_cube_count_elemwise(&like.client, count, dim), dim)
}

/// Launch dimensions with one thread for each of `count` blocks of a convolution.
pub fn blockwise(like: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new_1d(Adapter::of(&like.client).workgroup());
    (calculate_cube_count_elemwise(&like.client, count, dim), dim)
}

impl Kernels for Cube {
    fn conv(x: CubeTensor, w: CubeTensor, bias: CubeTensor, g: ConvGeometry, relu: bool) -> CubeTensor {
        gpu::forward(x, w, bias, &g, relu)
    }

    fn conv_data_gradient(dy: CubeTensor, w: CubeTensor, g: ConvGeometry) -> CubeTensor {
        gpu::data_gradient(dy, w, &g)
    }

    fn conv_weight_gradient(x: CubeTensor, dy: CubeTensor, g: ConvGeometry) -> CubeTensor {
        gpu_weight::weight_gradient(x, dy, &g)
    }

    fn channel_sums(dy: CubeTensor) -> CubeTensor {
        let shape: [usize; 4] = dy.shape().dims();
        gpu_weight::column_sums(&dense(dy), shape[0] * shape[1] * shape[2], shape[3])
    }

    fn add_relu(a: CubeTensor, b: CubeTensor) -> CubeTensor {
        small::add_relu(&dense(a), &dense(b))
    }

    fn relu_gradient(out: CubeTensor, dy: CubeTensor) -> CubeTensor {
        small::relu_gradient(&dense(out), &dense(dy))
    }

    fn pool(x: CubeTensor, g: PoolGeometry) -> CubeTensor {
        small::pool(&dense(x), &g)
    }

    fn pool_gradient(x: CubeTensor, dy: CubeTensor, g: PoolGeometry) -> CubeTensor {
        small::pool_gradient(&dense(x), &dense(dy), &g)
    }

    fn upsample(top: CubeTensor, lateral: CubeTensor) -> CubeTensor {
        small::upsample(&dense(top), &dense(lateral))
    }

    fn upsample_gradient(dy: CubeTensor, height: usize, width: usize) -> CubeTensor {
        small::upsample_gradient(&dense(dy), height, width)
    }

    fn roi(levels: Vec<CubeTensor>, table: &RoiTable) -> CubeTensor {
        roi_align::gpu::forward(levels.into_iter().map(dense).collect(), table)
    }

    fn roi_gradient(dy: CubeTensor, table: &RoiTable) -> Vec<CubeTensor> {
        roi_align::gpu::backward(&dense(dy), table)
    }
}
