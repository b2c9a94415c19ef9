//! Every kernel, on the CPU and on the GPU with the blocks of a software adapter, forward and backward.
//!
//! tests/kernels_hardware.rs runs the same cases with those of a real GPU, in a process of its own: [`Adapter::set_detected`]
//! applies to the whole process.

mod kernels_cases;
mod reference;

use burn::tensor::{Device, Tensor};
use cytobox::kernels::{self, Adapter, Algorithm, ConvOptions, Roi, RoiAlignOptions, RowBlock};
use kernels_cases::{Case, devices};
use reference::Array;

const ADAPTER: Adapter = Adapter::Software;

const fn case(algorithm: Algorithm, x: [usize; 4], kernel: usize, cout: usize, stride: usize, relu: bool) -> Case {
    Case { algorithm, x, kernel, cout, stride, relu }
}

const fn rows(columns: usize, rows: usize, vec4s: usize, step: usize) -> Algorithm {
    Algorithm::Rows(RowBlock { rows, columns, vec4s, taps: 3, step })
}

/// Each block size, with pixels and vec4s left over, and outputs with fewer vec4s than the widest block; row blocks where the
/// length of a row allows them.
const CASES: [Case; 20] = [
    case(Algorithm::Block(32, 4), [1, 37, 38, 36], 5, 36, 1, true),
    case(Algorithm::Block(16, 4), [1, 14, 15, 36], 5, 36, 1, true),
    case(Algorithm::Block(8, 4), [1, 10, 11, 36], 5, 36, 1, false),
    case(Algorithm::Block(8, 2), [1, 8, 9, 36], 5, 36, 1, true),
    case(Algorithm::Block(4, 2), [1, 6, 7, 36], 1, 36, 1, false),
    case(Algorithm::Block(4, 1), [1, 4, 6, 36], 5, 36, 1, true),
    case(Algorithm::Block(4, 1), [1, 3, 3, 36], 5, 36, 1, true),
    case(Algorithm::Block(8, 2), [1, 40, 41, 8], 3, 8, 1, false),
    case(Algorithm::Block(4, 1), [1, 40, 40, 8], 1, 4, 1, true),
    case(Algorithm::Block(32, 4), [2, 60, 59, 20], 3, 50, 2, true),
    case(rows(8, 2, 4, 1), [1, 17, 16, 8], 3, 68, 1, true),
    case(rows(8, 2, 4, 2), [2, 33, 32, 12], 3, 68, 2, false),
    case(rows(8, 1, 4, 1), [1, 8, 8, 8], 3, 64, 1, false),
    case(rows(8, 1, 2, 1), [1, 8, 8, 8], 3, 32, 1, true),
    case(rows(8, 1, 1, 1), [1, 8, 8, 8], 3, 20, 1, true),
    case(rows(4, 4, 4, 1), [1, 21, 20, 8], 3, 68, 1, true),
    case(rows(4, 4, 4, 2), [1, 26, 24, 8], 3, 68, 2, false),
    case(rows(4, 2, 4, 1), [1, 4, 12, 8], 3, 96, 1, true),
    case(rows(4, 2, 2, 1), [1, 4, 12, 8], 3, 48, 1, false),
    case(rows(4, 1, 1, 1), [1, 4, 4, 8], 3, 20, 1, true),
];

/// Frozen weights take no gradient and the rest is unchanged by that.
#[test]
fn untracked_parents_are_left_alone() {
    let (x, w) = (Array::random(&[1, 5, 5, 4], 1), Array::random(&[3, 3, 4, 6], 2));
    let options = ConvOptions { stride: 1, padding: 1, relu: true };
    for (_, device) in devices() {
        let device = device.autodiff();
        let (xt, wt) = (x.tensor::<4>(&device).require_grad(), w.tensor::<4>(&device));
        let grads = kernels::conv2d(xt.clone(), wt.clone(), None, options).sum().backward();
        assert!(xt.grad(&grads).is_some() && wt.grad(&grads).is_none());
        let (xt, wt) = (x.tensor::<4>(&device), w.tensor::<4>(&device).require_grad());
        let grads = kernels::conv2d(xt.clone(), wt.clone(), None, options).sum().backward();
        assert!(xt.grad(&grads).is_none() && wt.grad(&grads).is_some());
    }
}

#[test]
fn impossible_shapes_are_refused() {
    let options = ConvOptions { stride: 1, padding: 1, relu: false };
    assert!(kernels::check_conv2d([1, 8, 8, 4], [3, 3, 5, 8], None, options).is_err());
    assert!(kernels::check_conv2d([1, 8, 8, 4], [3, 3, 4, 8], Some(7), options).is_err());
    assert!(kernels::check_conv_transpose2x2([1, 8, 8, 4], [3, 2, 4, 8], None).is_err());
    assert!(kernels::check_upsample_add([1, 4, 4, 8], [1, 8, 8, 9]).is_err());
    let roi = Roi { image: 0, level: 0, corners: [0.0, 0.0, 4.0, 4.0] };
    let regions = RoiAlignOptions { output_size: 7, sampling_ratio: 2, scales: vec![0.25] };
    let check = |roi: Roi| kernels::check_roi_align(&[[1, 8, 8, 4]], &[roi], &regions);
    assert!(check(roi).is_ok());
    assert!(check(Roi { image: 1, ..roi }).is_err());
    assert!(check(Roi { level: 1, ..roi }).is_err());
    assert!(check(Roi { corners: [0.0, f32::NAN, 1.0, 1.0], ..roi }).is_err());
    assert!(
        std::panic::catch_unwind(|| kernels::conv2d(
            Tensor::zeros([1, 4, 4, 3], &Device::flex()),
            Tensor::zeros([3, 3, 4, 3], &Device::flex()),
            None,
            options
        ))
        .is_err()
    );
}

#[test]
fn no_regions_give_nothing() {
    let options = RoiAlignOptions { output_size: 7, sampling_ratio: 2, scales: vec![0.25] };
    let out = kernels::roi_align(&[Tensor::zeros([1, 8, 8, 4], &Device::flex())], &[], options);
    assert_eq!(out.dims(), [0, 7, 7, 4]);
}
