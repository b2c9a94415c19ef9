//! A NaN or an infinity reaches exactly the numbers that see it, forward and backward, and a ReLU does not hide a NaN.

use burn::tensor::Tensor;
use cytobox::kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions};

use super::{conv, devices, four, pass, transposed};
use crate::reference::{self, Array, error};

const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Compares output and gradients on every device; `error` wants NaNs and infinities in the same places.
fn check<const D: usize>(
    name: &str,
    inputs: &[&Array],
    dy: &Array,
    (out, gradients): (&Array, &[Array]),
    f: impl Fn(&[Tensor<4>]) -> Tensor<D>,
) {
    for (on, device) in devices() {
        let (found, found_gradients) = pass(&device, inputs, dy, &f);
        println!("{name} on {on}");
        assert!(error(&found, out) < 1e-5, "{name} on {on}");
        for (i, (a, b)) in found_gradients.iter().zip(gradients).enumerate() {
            println!("gradient {i}");
            assert!(error(a, &four(b)) < 1e-5, "{name} on {on}, gradient {i}");
        }
    }
}

/// In turn, each array with a bad number at its place, and which one it is.
fn spoilt<const N: usize>(arrays: [Array; N], places: [usize; N]) -> impl Iterator<Item = (f32, usize, [Array; N])> {
    BAD.into_iter().flat_map(move |bad| {
        let arrays = arrays.clone();
        (0..N).map(move |which| {
            let mut arrays = arrays.clone();
            arrays[which].data[places[which]] = bad;
            (bad, which, arrays)
        })
    })
}

/// The place of a channel of the pixel in the middle.
fn middle(shape: &[usize], channel: usize) -> usize {
    ((shape[1] / 2 * shape[2]) + shape[2] / 2) * shape[3] + channel
}

#[test]
fn of_convolutions() {
    // The last is one that a real GPU does in tiles.
    let shapes = [
        ([1, 9, 8, 5], 3, 7, 1),
        ([1, 9, 8, 5], 3, 7, 2),
        ([1, 9, 8, 8], 3, 8, 1),
        ([1, 9, 8, 3], 7, 8, 2),
        ([1, 9, 8, 5], 1, 7, 1),
        ([1, 9, 8, 5], 1, 7, 2),
        ([1, 56, 56, 16], 1, 64, 1),
    ];
    for ((x, kernel, cout, stride), relu) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let (w, options) = ([kernel, kernel, x[3], cout], ConvOptions { stride, padding: kernel / 2, relu });
        let y = kernels::check_conv2d(x, w, Some(cout), options).unwrap();
        let arrays = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&[cout], 3), Array::random(&y, 4)];
        // Of the weights the middle one, which no output finds outside the image: there it may meet a zero.
        let places = [middle(&x, 1), middle(&[1, kernel, kernel, x[3] * cout], cout + 2), 1, middle(&y, 3)];
        for (bad, which, [x, w, b, dy]) in spoilt(arrays, places) {
            let (out, gradients) = reference::conv2d(&x, &w, &b, options, Some(&dy));
            // Where a ReLU cut off an infinity, its product with the gradient, which is zero, is a NaN but for plain loops.
            let known = if relu && bad.is_infinite() && which < 2 { 0 } else { 3 };
            let name = format!("{:?} {:?} {options:?}, {bad} in {which}", x.shape, w.shape);
            check(&name, &[&x, &w, &b], &dy, (&out, &gradients[..known]), |i| conv(i, options));
        }
    }
}

#[test]
fn of_linear_layers() {
    let (rows, inputs, outputs) = (6, 40, 9);
    let (x, w, y) = ([1, 1, rows, inputs], [1, 1, inputs, outputs], [1, 1, rows, outputs]);
    let arrays = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&[outputs], 3), Array::random(&y, 4)];
    for (bad, which, [x, w, b, dy]) in spoilt(arrays, [2 * inputs + 7, 5 * outputs + 8, 4, 3 * outputs + 1]) {
        let options = ConvOptions { stride: 1, padding: 0, relu: false };
        let (out, gradients) = reference::conv2d(&x, &w, &b, options, Some(&dy));
        check(&format!("linear, {bad} in {which}"), &[&x, &w, &b], &dy, (&out, &gradients), |i| {
            let (x, w) = (i[0].clone().reshape([rows, inputs]), i[1].clone().reshape([inputs, outputs]));
            kernels::linear(x, w, Some(i[2].clone().reshape([outputs])), false).reshape([1, 1, rows, outputs])
        });
    }
}

#[test]
fn of_transposed_convolutions() {
    let (x, w, y) = ([1, 3, 4, 5], [2, 2, 5, 6], [1, 6, 8, 6]);
    let arrays = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&[6], 3), Array::random(&y, 4)];
    for (bad, which, [x, w, b, dy]) in spoilt(arrays, [middle(&x, 2), 40, 5, middle(&y, 1)]) {
        let (out, gradients) = transposed(&x, &w, &b, &dy);
        check(&format!("transposed, {bad} in {which}"), &[&x, &w, &b], &dy, (&out, &gradients), |i| {
            kernels::conv_transpose2x2(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([6])), false)
        });
    }
}

#[test]
fn of_sums() {
    let shape = [1, 3, 4, 5];
    let arrays = [Array::random(&shape, 1), Array::random(&shape, 2), Array::random(&shape, 3)];
    for (bad, which, [a, b, dy]) in spoilt(arrays, [middle(&shape, 1), middle(&shape, 2), middle(&shape, 3)]) {
        let (out, gradient) = reference::add_relu(&a, &b, &dy);
        let gradients = [gradient.clone(), gradient];
        check(&format!("sum, {bad} in {which}"), &[&a, &b], &dy, (&out, &gradients), |i| {
            kernels::add_relu(i[0].clone(), i[1].clone())
        });
    }
}

#[test]
fn of_pools_and_upsamplings() {
    let options = PoolOptions { kernel: 3, stride: 2, padding: 1 };
    let (x, y) = ([1, 7, 6, 5], [1, 4, 3, 5]);
    for (bad, which, [x, dy]) in spoilt([Array::random(&x, 1), Array::random(&y, 2)], [middle(&x, 1), middle(&y, 2)]) {
        let (out, dx) = reference::max_pool2d(&x, options, Some(&dy));
        check(&format!("pool, {bad} in {which}"), &[&x], &dy, (&out, &[dx]), |i| {
            kernels::max_pool2d(i[0].clone(), options)
        });
    }
    let (top, lateral) = ([1, 3, 4, 5], [1, 6, 8, 5]);
    let arrays = [Array::random(&top, 1), Array::random(&lateral, 2), Array::random(&lateral, 3)];
    for (bad, which, [top, lateral, dy]) in spoilt(arrays, [middle(&top, 1), middle(&lateral, 2), middle(&lateral, 3)])
    {
        let (out, dtop) = reference::upsample_add(&top, &lateral, &dy);
        let gradients = [dtop, dy.clone()];
        check(&format!("upsample, {bad} in {which}"), &[&top, &lateral], &dy, (&out, &gradients), |i| {
            kernels::upsample_add(i[0].clone(), i[1].clone())
        });
    }
}

#[test]
fn of_regions() {
    let (fine, coarse, c) = ([1, 12, 10, 5], [1, 6, 5, 5], 5);
    let roi = |level, corners| Roi { image: 0, level, corners };
    // No corner falls on a pixel: one that weighs nothing is not read.
    let rois = [roi(0, [3.3, 5.7, 29.9, 41.3]), roi(1, [-9.1, 2.2, 36.7, 44.9]), roi(0, [12.3, 20.9, 25.1, 30.3])];
    let options = RoiAlignOptions { output_size: 3, sampling_ratio: 2, scales: vec![0.25, 0.125] };
    let dy = Array::random(&[rois.len(), 3, 3, c], 3);
    let places = [middle(&fine, 1), middle(&coarse, 2), (9 + 4) * c + 3];
    for (bad, which, [fine, coarse, dy]) in spoilt([Array::random(&fine, 1), Array::random(&coarse, 2), dy], places) {
        let maps = [fine, coarse];
        let (out, gradients) = reference::roi_align(&maps, &rois, &options, Some(&dy));
        assert!(which == 2 || out.data.iter().any(|v| !v.is_finite()), "no region sees {which}");
        check(&format!("regions, {bad} in {which}"), &[&maps[0], &maps[1]], &dy, (&out, &gradients), |i| {
            kernels::roi_align(i, &rois, options.clone())
        });
    }
}
