//! Gradients against finite differences along random directions, which, unlike a gradient's own, also see what it lacks.

use burn::tensor::Tensor;
use cytobox::kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions};

use super::{conv, devices, four, pass};
use crate::reference::Array;

/// So small that few ReLUs and maxima turn over on the way.
const STEP: f32 = 2e-4;

/// Sums in `f64`: the step is small.
fn dot(a: &Array, b: &Array) -> f64 {
    a.data.iter().zip(&b.data).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn check(name: &str, shapes: &[&[usize]], f: impl Fn(&[Tensor<4>]) -> Tensor<4>) {
    let inputs: Vec<_> = shapes.iter().zip(1..).map(|(shape, seed)| Array::random(shape, seed)).collect();
    for (on, device) in devices() {
        let output = |inputs: &[Array]| {
            let tensors: Vec<_> = inputs.iter().map(|a| four(a).tensor::<4>(&device)).collect();
            Array::of(f(&tensors))
        };
        let dy = Array::random(&output(&inputs).shape, 20);
        let (_, gradients) = pass(&device, &inputs.iter().collect::<Vec<_>>(), &dy, &f);
        for (i, gradient) in gradients.iter().enumerate() {
            for seed in 30..33 {
                let direction = Array::random(&inputs[i].shape, seed);
                let moved = |by: f32| {
                    let mut inputs = inputs.clone();
                    for (value, along) in inputs[i].data.iter_mut().zip(&direction.data) {
                        *value += by * along;
                    }
                    dot(&output(&inputs), &dy)
                };
                let slope = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
                let expected = dot(gradient, &direction);
                // What the slope is likely to be; by chance it may be nearly zero.
                let size = (dot(gradient, gradient) * dot(&direction, &direction) / gradient.data.len() as f64).sqrt();
                let e = (slope - expected).abs() / size;
                assert!(e < 2e-2, "{name} on {on}, input {i}: {slope} for {expected}, {e} of {size}");
            }
        }
    }
}

#[test]
fn of_convolutions() {
    for (x, kernel, cout, stride) in [
        ([1, 12, 13, 3], 7, 16, 2),
        ([2, 11, 10, 12], 3, 20, 1),
        ([1, 12, 11, 8], 3, 9, 2),
        ([1, 9, 8, 16], 1, 12, 1),
        ([1, 9, 8, 10], 1, 16, 2),
    ] {
        for relu in [false, true] {
            let (w, options) = ([kernel, kernel, x[3], cout], ConvOptions { stride, padding: kernel / 2, relu });
            check(&format!("{x:?} {w:?} {options:?}"), &[&x, &w, &[cout]], |i| conv(i, options));
        }
    }
}

#[test]
fn of_everything_else() {
    check("linear", &[&[6, 40], &[40, 9], &[9]], |i| {
        let (x, w) = (i[0].clone().reshape([6, 40]), i[1].clone().reshape([40, 9]));
        kernels::linear(x, w, Some(i[2].clone().reshape([9])), true).reshape([1, 1, 6, 9])
    });
    check("transposed", &[&[2, 5, 4, 6], &[2, 2, 6, 7], &[7]], |i| {
        kernels::conv_transpose2x2(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([7])), true)
    });
    let options = PoolOptions { kernel: 3, stride: 2, padding: 1 };
    check("pool", &[&[2, 11, 12, 5]], |i| kernels::max_pool2d(i[0].clone(), options));
    check("sum", &[&[1, 5, 4, 6], &[1, 5, 4, 6]], |i| kernels::add_relu(i[0].clone(), i[1].clone()));
    check("upsample", &[&[1, 4, 5, 6], &[1, 8, 9, 6]], |i| kernels::upsample_add(i[0].clone(), i[1].clone()));
    let roi = |image, level, corners| Roi { image, level, corners };
    let rois = [
        roi(0, 0, [3.3, 5.7, 29.9, 41.3]),
        roi(1, 1, [-9.1, 2.2, 36.7, 44.9]),
        roi(1, 0, [12.0, 20.0, 12.5, 90.0]),
        roi(0, 1, [0.0, 0.0, 64.0, 64.0]),
    ];
    let options = RoiAlignOptions { output_size: 7, sampling_ratio: 2, scales: vec![0.25, 0.125] };
    check("regions", &[&[2, 12, 11, 6], &[2, 6, 5, 6]], |i| kernels::roi_align(i, &rois, options.clone()));
}
