//! Batch normalisation on the CPU and on the GPU, forward and backward, against plain loops, and its folding.

mod reference;

use burn::tensor::{Device, Tensor};
use cytobox::kernels;
use cytobox::model::init::Seeded;
use cytobox::model::layers::{Builder, Initializer};
use cytobox::model::norm::BatchNorm;
use reference::{Array, devices, error};

const EPSILON: f64 = 1e-5;

/// Output, and the gradients of `x`, gamma and beta for the output gradient `dy`, in `f64`.
fn plain(x: &Array, gamma: &Array, beta: &Array, dy: &Array, relu: bool) -> [Array; 4] {
    let channels = gamma.data.len();
    let rows = x.data.len() / channels;
    let mut found = [x, x, gamma, gamma].map(|a| Array::zeros(&a.shape));
    for c in 0..channels {
        let at = |r: usize| r * channels + c;
        let (g, b, n) = (f64::from(gamma.data[c]), f64::from(beta.data[c]), rows as f64);
        let values: Vec<f64> = (0..rows).map(|r| f64::from(x.data[at(r)])).collect();
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        let normal: Vec<f64> = values.iter().map(|v| (v - mean) * inverse).collect();
        let passes = |v: f64| !relu || v * g + b > 0.0;
        let slopes: Vec<f64> =
            normal.iter().enumerate().map(|(r, v)| if passes(*v) { f64::from(dy.data[at(r)]) } else { 0.0 }).collect();
        let dbeta: f64 = slopes.iter().sum();
        let dgamma: f64 = slopes.iter().zip(&normal).map(|(s, v)| s * v).sum();
        for r in 0..rows {
            let y = normal[r] * g + b;
            found[0].data[at(r)] = if relu { y.max(0.0) } else { y } as f32;
            found[1].data[at(r)] = ((slopes[r] - dbeta / n - normal[r] * dgamma / n) * g * inverse) as f32;
        }
        (found[2].data[c], found[3].data[c]) = (dgamma as f32, dbeta as f32);
    }
    found
}

#[test]
fn every_device_gives_the_plain_answer() {
    // The second has more rows than fit one task.
    for (shape, relu) in [([2, 3, 5, 4], false), ([3, 29, 31, 8], true), ([1, 1, 2, 33], true)] {
        let x = Array::random(&shape, 1);
        let (gamma, beta) = (Array::random(&shape[3..], 2), Array::random(&shape[3..], 3));
        let dy = Array::random(&shape, 4);
        let expected = plain(&x, &gamma, &beta, &dy, relu);
        for (name, device) in devices() {
            let device = device.autodiff();
            let xt = x.tensor::<4>(&device).require_grad();
            let [gt, bt] = [&gamma, &beta].map(|a| a.tensor::<1>(&device).require_grad());
            let (y, _) = kernels::batch_norm(xt.clone(), gt.clone(), bt.clone(), EPSILON as f32, relu);
            let grads = (y.clone() * dy.tensor::<4>(&device)).sum().backward();
            let found = [
                Array::of(y),
                Array::of(xt.grad(&grads).unwrap()),
                Array::of(gt.grad(&grads).unwrap()),
                Array::of(bt.grad(&grads).unwrap()),
            ];
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let e = error(found, expected);
                assert!(e < 5e-5, "{name} {shape:?}, part {i}: {e}");
            }
        }
    }
}

#[test]
fn a_folded_convolution_does_what_the_norm_did() {
    let device = Device::flex();
    let mut source = Seeded { seed: 3 };
    let mut builder = Builder::new(&mut source, &device);
    let mut conv = builder.conv("a", [4, 6, 3], 1, Initializer::Default).unwrap();
    let mut norm = BatchNorm::new(conv.bias.val(), &device);
    norm.gamma = norm.gamma.map(|g| g * 1.7);
    conv.norm = Some(norm);
    let x: Tensor<4> = Array::random(&[2, 40, 40, 4], 1).tensor(&device);
    let with_norm = Array::of(conv.forward_relu(x.clone()));
    let mut norm = conv.norm.take().unwrap();
    norm.commit(1.0);
    // The running variance is divided by one less than the 3200 values.
    let folded = Array::of(norm.fold(&conv).forward_relu(x.clone()));
    assert!(error(&folded, &with_norm) < 1e-3);
    // Discarded statistics do not count.
    conv.norm = Some(norm.clone());
    conv.forward(x * 5.0);
    norm.discard();
    norm.commit(1.0);
    assert_eq!(
        Array::of(norm.fold(&conv).forward_relu(Array::random(&[2, 40, 40, 4], 1).tensor(&device))).data,
        folded.data
    );
}
