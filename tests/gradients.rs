//! Gradients of the kernels: against PyTorch's, against finite differences, and the CPU's against the GPU's.

mod reference;

use burn::tensor::{Device, Tensor};
use cytobox::kernels::{self, ConvOptions, PoolOptions, Roi, RoiAlignOptions};
use reference::{Array, devices, error};
use safetensors::SafeTensors;

struct Golden(Vec<u8>);

impl Golden {
    fn open() -> Self {
        Self(std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kernels.safetensors")).unwrap())
    }

    fn get(&self, name: &str) -> Array {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Array { shape: view.shape().to_vec(), data: view.data().chunks_exact(4).map(number).collect() }
    }
}

/// A sentence about the first number that is further than `limit` from what it should be.
fn close(name: &str, found: &Array, expected: &Array, limit: f32) {
    let e = error(found, expected);
    assert!(e < limit, "{name}: {e}");
}

fn weigh<const D: usize>(out: &Tensor<D>, dy: &Array, device: &Device) -> Tensor<1> {
    (out.clone() * dy.tensor::<D>(device)).sum()
}

#[test]
fn convolutions_are_pytorchs() {
    let golden = Golden::open();
    for (name, stride, padding) in
        [("conv7", 2, 3), ("conv3", 1, 1), ("conv3s2", 2, 1), ("conv1s2", 2, 0), ("up", 0, 0)]
    {
        let get = |part: &str| golden.get(&format!("{name}.{part}"));
        for (on, device) in devices() {
            let device = device.autodiff();
            let x = get("x").tensor::<4>(&device).require_grad();
            let w = get("w").tensor::<4>(&device).require_grad();
            let b = get("b").tensor::<1>(&device).require_grad();
            let out = if name == "up" {
                kernels::conv_transpose2x2(x.clone(), w.clone(), Some(b.clone()), false)
            } else {
                kernels::conv2d(x.clone(), w.clone(), Some(b.clone()), ConvOptions { stride, padding, relu: true })
            };
            let grads = weigh(&out, &get("dy"), &device).backward();
            close(&format!("{name} on {on}"), &Array::of(out), &get("y"), 1e-5);
            close(&format!("{name} on {on}, x"), &Array::of(x.grad(&grads).unwrap()), &get("dx"), 1e-5);
            close(&format!("{name} on {on}, w"), &Array::of(w.grad(&grads).unwrap()), &get("dw"), 1e-5);
            close(&format!("{name} on {on}, b"), &Array::of(b.grad(&grads).unwrap()), &get("db"), 1e-5);
        }
    }
}

#[test]
fn pool_pyramid_and_regions_are_pytorchs() {
    let golden = Golden::open();
    let rois: Vec<_> = golden
        .get("roi.rois")
        .data
        .chunks_exact(5)
        .map(|r| Roi { image: r[0] as u32, level: 0, corners: [r[1], r[2], r[3], r[4]] })
        .collect();
    let options = RoiAlignOptions { output_size: 7, sampling_ratio: 2, scales: vec![0.25] };
    for (on, device) in devices() {
        let device = device.autodiff();
        let x = golden.get("pool.x").tensor::<4>(&device).require_grad();
        let out = kernels::max_pool2d(x.clone(), PoolOptions { kernel: 3, stride: 2, padding: 1 });
        let grads = weigh(&out, &golden.get("pool.dy"), &device).backward();
        close(on, &Array::of(out), &golden.get("pool.y"), 1e-6);
        close(on, &Array::of(x.grad(&grads).unwrap()), &golden.get("pool.dx"), 1e-6);

        let top = golden.get("fpn.top").tensor::<4>(&device).require_grad();
        let out = kernels::upsample_add(top.clone(), golden.get("fpn.lateral").tensor(&device));
        let grads = weigh(&out, &golden.get("fpn.dy"), &device).backward();
        close(on, &Array::of(out), &golden.get("fpn.y"), 1e-6);
        close(on, &Array::of(top.grad(&grads).unwrap()), &golden.get("fpn.dtop"), 1e-6);

        let x = golden.get("roi.x").tensor::<4>(&device).require_grad();
        let out = kernels::roi_align(std::slice::from_ref(&x), &rois, options.clone());
        let grads = weigh(&out, &golden.get("roi.dy"), &device).backward();
        close(on, &Array::of(out), &golden.get("roi.y"), 1e-5);
        close(on, &Array::of(x.grad(&grads).unwrap()), &golden.get("roi.dx"), 1e-5);
    }
}

/// A small detector's worth of kernels: stem, pool, pyramid step, RoIAlign, box and mask head.
fn network(device: &Device, parameters: &[Array]) -> (f32, Vec<Array>) {
    let device = device.clone().autodiff();
    let p: Vec<Tensor<4>> = parameters.iter().map(|a| a.tensor::<4>(&device).require_grad()).collect();
    let conv = |x: Tensor<4>, w: &Tensor<4>, stride, relu| {
        let padding = w.dims()[0] / 2;
        kernels::conv2d(x, w.clone(), None, ConvOptions { stride, padding, relu })
    };
    let stem = conv(p[0].clone(), &p[1], 2, false);
    let pooled = kernels::max_pool2d(stem.clone(), PoolOptions { kernel: 3, stride: 2, padding: 1 });
    let top = conv(pooled, &p[2], 1, false);
    let level = kernels::upsample_add(top.clone(), stem);
    let roi = |level, corners| Roi { image: 0, level, corners };
    let rois = [roi(0, [1.0, 2.0, 13.0, 11.0]), roi(1, [-3.0, 0.0, 15.0, 15.5])];
    let options = RoiAlignOptions { output_size: 4, sampling_ratio: 2, scales: vec![0.5, 0.25] };
    let regions = kernels::roi_align(&[level, top], &rois, options);
    let mask = kernels::conv_transpose2x2(regions.clone(), p[3].clone(), None, false);
    let [_, _, rows, columns] = p[4].dims();
    let boxes = kernels::linear(regions.reshape([2, rows]), p[4].clone().reshape([rows, columns]), None, false);
    // Squares, so that the gradients depend on every value.
    let loss = mask.powi_scalar(2).mean() + boxes.powi_scalar(2).mean();
    let grads = loss.backward();
    let found = p.iter().map(|t| Array::of(t.grad(&grads).unwrap())).collect();
    (Array::of(loss).data[0], found)
}

#[test]
fn finite_differences_and_both_devices_agree() {
    let shapes: [&[usize]; 5] = [&[1, 16, 16, 3], &[7, 7, 3, 8], &[3, 3, 8, 8], &[2, 2, 8, 4], &[1, 1, 128, 6]];
    let parameters: Vec<_> = shapes.iter().zip(1..).map(|(s, seed)| Array::random(s, seed)).collect();
    let all: Vec<_> = devices().iter().map(|(name, device)| (*name, network(device, &parameters))).collect();
    let (_, (_, grads)) = &all[0];
    for (name, (_, others)) in &all[1..] {
        for (a, b) in others.iter().zip(grads) {
            close(name, a, b, 1e-3);
        }
    }
    // Along each parameter's own gradient the loss changes most; the difference there is well above rounding.
    for (i, grad) in grads.iter().enumerate() {
        let length = grad.data.iter().map(|g| g * g).sum::<f32>().sqrt();
        let step = 2e-3;
        let moved = |by: f32| {
            let mut parameters = parameters.clone();
            for (p, g) in parameters[i].data.iter_mut().zip(&grad.data) {
                *p += by * g / length;
            }
            network(&Device::flex(), &parameters).0
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((slope / length - 1.0).abs() < 1e-2, "parameter {i}: {slope} for {length}");
    }
}
