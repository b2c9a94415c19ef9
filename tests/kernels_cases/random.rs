//! Random odd shapes against plain loops.

use cytobox::kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions};
use proptest::prelude::*;

use super::{check_conv, devices, pass};
use crate::reference::{self, Array, error, error_of_terms};

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
    fn odd_sums(n in 1usize..3, h in 1usize..40, w in 1usize..40, c in 1usize..20, seed in 0u64..1000) {
        let shape = [n, h, w, c];
        let [a, b, dy] = [0, 1, 2].map(|i| Array::random(&shape, seed + i));
        let (out, gradient) = reference::add_relu(&a, &b, &dy);
        for (name, device) in devices() {
            let (found, grads) = pass(&device, &[&a, &b], &dy, |i| kernels::add_relu(i[0].clone(), i[1].clone()));
            let worst = [error(&found, &out), error(&grads[0], &gradient), error(&grads[1], &gradient)];
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
            let e = error_of_terms(&found, &out, maps.iter().map(Array::largest).fold(0.0, f32::max));
            prop_assert!(e < 1e-5, "{}: {}", name, e);
            for (level, (f, g)) in found_grads.iter().zip(&grads).enumerate() {
                let e = error_of_terms(f, g, dy.largest());
                prop_assert!(e < 1e-5, "{} level {}: {}", name, level, e);
            }
        }
    }
}
