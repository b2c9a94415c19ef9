//! Every kernel, on the CPU and on the GPU, forward and backward, against plain loops.

mod reference;

use burn::tensor::{Device, Tensor};
use cytobox::kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions};
use proptest::prelude::*;
use reference::{Array, devices, error};

/// Output and gradients of `f` for the output gradient `dy`.
fn pass<const D: usize>(
    device: &Device,
    inputs: &[&Array],
    dy: &Array,
    f: impl Fn(&[Tensor<4>]) -> Tensor<D>,
) -> (Array, Vec<Array>) {
    let device = device.clone().autodiff();
    let inputs: Vec<Tensor<4>> = inputs
        .iter()
        .map(|a| {
            let mut a = (*a).clone();
            while a.shape.len() < 4 {
                a.shape.insert(0, 1);
            }
            a.tensor::<4>(&device).require_grad()
        })
        .collect();
    let out = f(&inputs);
    let grads = (out.clone() * dy.tensor::<D>(&device)).sum().backward();
    let found = inputs.iter().map(|i| Array::of(i.grad(&grads).expect("every input is tracked"))).collect();
    (Array::of(out), found)
}

fn flat(mut a: Array) -> Array {
    while a.shape.len() > 1 && a.shape[0] == 1 {
        a.shape.remove(0);
    }
    a
}

fn check_conv(x: [usize; 4], k: [usize; 2], cout: usize, options: ConvOptions, seed: u64) {
    let (xa, wa) = (Array::random(&x, seed), Array::random(&[k[0], k[1], x[3], cout], seed + 1));
    let ba = Array::random(&[cout], seed + 2);
    let shape = kernels::check_conv2d(x, [k[0], k[1], x[3], cout], Some(cout), options).unwrap();
    let dy = Array::random(&shape, seed + 3);
    let (out, [dx, dw, db]) = reference::conv2d(&xa, &wa, &ba, options, Some(&dy));
    for (name, device) in devices() {
        let (found, grads) = pass(&device, &[&xa, &wa, &ba], &dy, |i| {
            kernels::conv2d(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([cout])), options)
        });
        let worst = [
            error(&found, &out),
            error(&grads[0], &dx),
            error(&grads[1], &dw),
            error(&flat(grads[2].clone()), &flat(db.clone())),
        ];
        assert!(worst.iter().all(|e| *e < 2e-5), "{name} {x:?} {k:?} {cout} {options:?}: {worst:?}");
    }
}

/// Every shape class of ResNet-18/50-FPN Faster and Mask R-CNN at 256²: kernel, stride and side as they are, channels divided so
/// that the plain loops end (the largest depth stays beyond one pass of the CPU's GEMM).
#[test]
fn convolutions_of_the_detectors() {
    let plain = |k: usize, stride: usize, relu: bool| ([k, k], ConvOptions { stride, padding: k / 2, relu });
    let shapes = [
        ([1, 64, 64, 3], 16, plain(7, 2, true)),
        ([2, 32, 32, 16], 16, plain(3, 1, true)),
        ([1, 32, 32, 16], 32, plain(3, 2, true)),
        ([1, 32, 32, 16], 32, plain(1, 2, false)),
        ([1, 16, 16, 32], 32, plain(3, 1, true)),
        ([1, 16, 16, 64], 16, plain(1, 1, true)),
        ([1, 8, 8, 128], 48, plain(3, 1, true)),
        ([1, 8, 8, 48], 96, plain(1, 1, false)),
        ([1, 16, 16, 48], 3, plain(1, 1, false)),
        ([1, 4, 4, 48], 12, plain(1, 1, false)),
        ([8, 14, 14, 16], 16, plain(3, 1, true)),
        ([4, 28, 28, 16], 5, plain(1, 1, false)),
    ];
    for (i, (x, cout, (k, options))) in shapes.into_iter().enumerate() {
        check_conv(x, k, cout, options, i as u64);
    }
}

/// The box head's first layer: a depth of several passes.
#[test]
fn a_deep_linear_layer() {
    let (rows, inputs, outputs) = (13, 2600, 40);
    let (x, w, b) =
        (Array::random(&[rows, inputs], 1), Array::random(&[inputs, outputs], 2), Array::random(&[outputs], 3));
    let four = |a: &Array| Array { shape: vec![1, 1, a.shape[0], a.shape[1]], data: a.data.clone() };
    let options = ConvOptions { stride: 1, padding: 0, relu: true };
    let (out, _) = reference::conv2d(&four(&x), &four(&w), &b, options, None);
    for (name, device) in devices() {
        let found = kernels::linear(x.tensor(&device), w.tensor(&device), Some(b.tensor(&device)), true);
        let e = error(&four(&Array::of(found)), &out);
        assert!(e < 2e-5, "{name}: {e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_convolutions(
        n in 1usize..3, h in 1usize..12, w in 1usize..12, cin in 1usize..40, cout in 1usize..70,
        kh in 1usize..5, kw in 1usize..5, stride in 1usize..4, padding in 0usize..3, relu: bool, seed in 0u64..1000,
    ) {
        let padding = padding.min(kh - 1).min(kw - 1);
        prop_assume!(h + 2 * padding >= kh && w + 2 * padding >= kw);
        check_conv([n, h, w, cin], [kh, kw], cout, ConvOptions { stride, padding, relu }, seed);
    }

    #[test]
    fn odd_pools(
        n in 1usize..3, h in 1usize..12, w in 1usize..12, c in 1usize..9,
        kernel in 1usize..5, stride in 1usize..4, padding in 0usize..3, seed in 0u64..1000,
    ) {
        let padding = padding.min(kernel / 2);
        prop_assume!(h + 2 * padding >= kernel && w + 2 * padding >= kernel);
        let options = PoolOptions { kernel, stride, padding };
        let mut x = Array::random(&[n, h, w, c], seed);
        // Ties, so that the rule for them counts.
        x.data.iter_mut().for_each(|v| *v = (*v * 3.0).round());
        let dy = Array::random(&kernels::check_max_pool2d([n, h, w, c], options).unwrap(), seed + 1);
        let (out, dx) = reference::max_pool2d(&x, options, Some(&dy));
        for (name, device) in devices() {
            let (found, grads) = pass(&device, &[&x], &dy, |i| kernels::max_pool2d(i[0].clone(), options));
            let worst = [error(&found, &out), error(&grads[0], &dx)];
            prop_assert!(worst.iter().all(|e| *e < 1e-6), "{}: {:?}", name, worst);
        }
    }

    #[test]
    fn odd_upsamplings(
        n in 1usize..3, th in 1usize..9, tw in 1usize..9, h in 1usize..20, w in 1usize..20, c in 1usize..6, seed in 0u64..1000,
    ) {
        let (top, lateral) = (Array::random(&[n, th, tw, c], seed), Array::random(&[n, h, w, c], seed + 1));
        let dy = Array::random(&lateral.shape, seed + 2);
        let (out, dtop) = reference::upsample_add(&top, &lateral, &dy);
        for (name, device) in devices() {
            let (found, grads) =
                pass(&device, &[&top, &lateral], &dy, |i| kernels::upsample_add(i[0].clone(), i[1].clone()));
            let worst = [error(&found, &out), error(&grads[0], &dtop), error(&grads[1], &dy)];
            prop_assert!(worst.iter().all(|e| *e < 1e-6), "{}: {:?}", name, worst);
        }
    }

    #[test]
    fn odd_regions(
        h in 2usize..24, w in 2usize..24, c in 1usize..6, size in 1usize..8, ratio in 1usize..4, levels in 1usize..5,
        regions in prop::collection::vec((0u32..2, 0u32..4, -40f32..200.0, -40f32..200.0, -5f32..150.0, -5f32..150.0), 1..12),
        seed in 0u64..1000,
    ) {
        let shapes: Vec<_> = (0..levels).map(|l| [2, h.div_ceil(1 << l), w.div_ceil(1 << l), c]).collect();
        let maps: Vec<_> = shapes.iter().zip(0..).map(|(s, i)| Array::random(s, seed + i)).collect();
        let rois: Vec<_> = regions.iter().map(|&(image, level, x, y, dx, dy)| Roi {
            image, level: level % levels as u32, corners: [x, y, x + dx, y + dy],
        }).collect();
        let scales = (0..levels).map(|l| 0.25 / (1 << l) as f32).collect();
        let options = RoiAlignOptions { output_size: size, sampling_ratio: ratio, scales };
        let dy = Array::random(&kernels::check_roi_align(&shapes, &rois, &options).unwrap(), seed + 9);
        let (out, grads) = reference::roi_align(&maps, &rois, &options, Some(&dy));
        for (name, device) in devices() {
            let inputs: Vec<_> = maps.iter().collect();
            let (found, found_grads) = pass(&device, &inputs, &dy, |i| kernels::roi_align(i, &rois, options.clone()));
            let e = error(&found, &out);
            prop_assert!(e < 1e-5, "{}: {}", name, e);
            for (level, (f, g)) in found_grads.iter().zip(&grads).enumerate() {
                let e = error(f, g);
                prop_assert!(e < 1e-5, "{} level {}: {}", name, level, e);
            }
        }
    }
}

#[test]
fn transposed_convolution() {
    let (x, w, b) = (Array::random(&[2, 5, 7, 6], 1), Array::random(&[2, 2, 6, 9], 2), Array::random(&[9], 3));
    let dy = Array::random(&[2, 10, 14, 9], 4);
    let mut out = Array::zeros(&dy.shape);
    let mut dx = Array::zeros(&x.shape);
    for at in 0..out.data.len() {
        let (co, ox, oy, image) = (at % 9, at / 9 % 14, at / (9 * 14) % 10, at / (9 * 14 * 10));
        out.data[at] = b.data[co];
        for ci in 0..6 {
            let from = ((image * 5 + oy / 2) * 7 + ox / 2) * 6 + ci;
            let tap = (((oy % 2) * 2 + ox % 2) * 6 + ci) * 9 + co;
            out.data[at] += x.data[from] * w.data[tap];
            dx.data[from] += dy.data[at] * w.data[tap];
        }
    }
    for (name, device) in devices() {
        let (found, grads) = pass(&device, &[&x, &w, &b], &dy, |i| {
            kernels::conv_transpose2x2(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([9])), false)
        });
        let worst = [error(&found, &out), error(&grads[0], &dx)];
        assert!(worst.iter().all(|e| *e < 1e-5), "{name}: {worst:?}");
    }
}

/// A NaN or an infinity reaches exactly the outputs that see it, and the ReLU does not hide a NaN.
#[test]
fn nan_and_infinity_pass_through() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = Array::random(&[1, 6, 6, 5], 1);
        x.data[(2 * 6 + 3) * 5 + 1] = bad;
        let (w, b) = (Array::random(&[3, 3, 5, 7], 2), Array::random(&[7], 3));
        let pool = PoolOptions { kernel: 3, stride: 2, padding: 1 };
        let (pooled, _) = reference::max_pool2d(&x, pool, None);
        for relu in [false, true] {
            let options = ConvOptions { stride: 1, padding: 1, relu };
            let (out, _) = reference::conv2d(&x, &w, &b, options, None);
            for (name, device) in devices() {
                let found = kernels::conv2d(x.tensor(&device), w.tensor(&device), Some(b.tensor(&device)), options);
                assert!(error(&Array::of(found), &out) < 1e-5, "{name}");
            }
        }
        for (_, device) in devices() {
            assert!(error(&Array::of(kernels::max_pool2d(x.tensor(&device), pool)), &pooled) < 1e-6);
        }
    }
}

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

/// The blocks and tiles of a real GPU, wherever this runs: sizes that choose each of them, against the CPU.
#[test]
fn blocks_of_a_real_gpu() {
    let Some((_, gpu)) = devices().into_iter().find(|(name, _)| *name == "wgpu") else { return };
    // Tests of this program that run meanwhile get these blocks too, which must be as right.
    kernels::Adapter::Hardware.tell();
    let cases = [
        ([1, 64, 65, 16], [3, 3], 60, 1, true),
        ([1, 64, 50, 48], [3, 3], 64, 1, true),
        ([2, 40, 41, 32], [1, 1], 132, 2, false),
        ([1, 30, 30, 48], [3, 3], 256, 2, true),
        ([1, 128, 128, 8], [1, 1], 128, 1, false),
        ([1, 20, 20, 12], [3, 3], 20, 1, false),
        ([1, 3, 3, 8], [3, 3], 8, 1, true),
    ];
    for (x, k, cout, stride, relu) in cases {
        let options = ConvOptions { stride, padding: k[0] / 2, relu };
        let shape = kernels::check_conv2d(x, [k[0], k[1], x[3], cout], Some(cout), options).unwrap();
        let (xa, wa, ba) =
            (Array::random(&x, 1), Array::random(&[k[0], k[1], x[3], cout], 2), Array::random(&[cout], 3));
        let dy = Array::random(&shape, 4);
        let run = |device: &Device| {
            pass(device, &[&xa, &wa, &ba], &dy, |i| {
                kernels::conv2d(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([cout])), options)
            })
        };
        let ((out, grads), (expected, expected_grads)) = (run(&gpu), run(&Device::flex()));
        assert!(error(&out, &expected) < 2e-5, "{x:?} {k:?} {cout}");
        for (a, b) in grads.iter().zip(&expected_grads) {
            // A ReLU at the very edge of zero may fall on either side.
            let e = error(a, b);
            assert!(e < 1e-3, "{x:?} {k:?} {cout}: {e}");
        }
    }
}
