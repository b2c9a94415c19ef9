//! In a real browser's worker: WebGPU and the wasm CPU backend give the same results.
//!
//! `wasm-pack test --headless --chrome --release` runs these on the adapter that the browser offers, a software one
//! included.
#![cfg(target_arch = "wasm32")]

use burn::tensor::{Device, Tensor, TensorData};
use cytobox::{
    channels::MergedImage,
    device::{self, DeviceChoice, DeviceKind, Probe},
    kernels::{self, ConvOptions, Roi, RoiAlignOptions},
    model::{Backbone, Detector, DetectorConfig},
    predict,
};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

fn software_probe() -> Probe {
    Probe {
        secure_context: true,
        webgpu: true,
        adapter: true,
        software: true,
        timestamp_query: true,
        name: "the browser's software adapter".into(),
    }
}

/// The GPU device; a runtime can be opened once in a worker, so all tests share it.
async fn gpu() -> Device {
    use std::cell::RefCell;
    thread_local!(static GPU: RefCell<Option<Device>> = const { RefCell::new(None) });
    if let Some(device) = GPU.with_borrow(Clone::clone) {
        return device;
    }
    let active = device::open(DeviceChoice::Software, Some(&software_probe())).await.expect("a WebGPU adapter");
    assert_eq!(active.report.kind, DeviceKind::Software);
    assert!(active.report.self_test.iter().all(|t| t.passed), "{:?}", active.report.self_test);
    GPU.set(Some(active.device.clone()));
    active.device
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(shape.iter().product(), seed), shape), device)
}

async fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_async().await.expect("a readable tensor").try_to_vec().expect("f32 values")
}

fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs() / scale).fold(0f32, f32::max);
    assert!(worst <= tolerance, "relative difference {worst}");
}

#[wasm_bindgen_test]
async fn the_cpu_passes_its_self_test() {
    let active = device::open(DeviceChoice::Auto, Some(&software_probe())).await.expect("the CPU");
    assert_eq!(active.report.kind, DeviceKind::Cpu);
    assert!(active.report.why.contains("software"), "{}", active.report.why);
}

#[wasm_bindgen_test]
async fn convolutions_agree_between_cpu_and_gpu() {
    let (cpu, gpu) = (Device::flex(), gpu().await);
    for (side, cin, cout, kernel, stride) in
        [(32, 3, 16, 7, 2), (24, 16, 24, 3, 1), (17, 24, 10, 3, 2), (13, 32, 64, 1, 1), (9, 5, 3, 1, 2)]
    {
        let run = |device: &Device| {
            kernels::conv2d(
                tensor([1, side, side, cin], 1, device),
                tensor([kernel, kernel, cin, cout], 2, device),
                Some(tensor([cout], 3, device)),
                ConvOptions { stride, padding: kernel / 2, relu: false },
            )
        };
        assert_close(&values(run(&gpu)).await, &values(run(&cpu)).await, 1e-4);
    }
    assert_eq!(device::take_fault(), None);
}

#[wasm_bindgen_test]
async fn gradients_agree_between_cpu_and_gpu() {
    let gpu = gpu().await;
    let mut answers = Vec::new();
    for device in [Device::flex().autodiff(), gpu.autodiff()] {
        let x = tensor([1, 16, 16, 8], 1, &device).require_grad();
        let w = tensor([3, 3, 8, 16], 2, &device).require_grad();
        let options = ConvOptions { stride: 1, padding: 1, relu: true };
        let features = kernels::conv2d(x.clone(), w.clone(), None, options);
        let rois = [
            Roi { image: 0, level: 0, corners: [3.0, 5.0, 41.0, 33.0] },
            Roi { image: 0, level: 0, corners: [20.0, 1.0, 60.0, 59.0] },
        ];
        let align = RoiAlignOptions { output_size: 7, sampling_ratio: 2, scales: vec![0.25] };
        let pooled = kernels::roi_align(&[features], &rois, align);
        let gradients = (pooled.clone() * pooled).mean().backward();
        let dx = values(x.grad(&gradients).expect("a gradient")).await;
        let dw = values(w.grad(&gradients).expect("a gradient")).await;
        answers.push((dx, dw));
    }
    assert_close(&answers[1].0, &answers[0].0, 1e-3);
    assert_close(&answers[1].1, &answers[0].1, 1e-3);
    assert_eq!(device::take_fault(), None);
}

#[wasm_bindgen_test]
async fn a_detector_finds_the_same_on_cpu_and_gpu() {
    let config = DetectorConfig {
        backbone: Backbone::ResNet18,
        fpn_channels: 16,
        classes: ["__background__", "a", "b"].map(String::from).to_vec(),
        min_size: 96,
        max_size: 128,
        // An untrained detector has only low scores.
        box_score_thresh: 0.3,
        ..DetectorConfig::default()
    };
    let merged_image =
        MergedImage { width: 100, height: 80, rgb: noise(100 * 80 * 3, 9).iter().map(|v| v.abs()).collect() };
    let mut found = Vec::new();
    for device in [Device::flex(), gpu().await] {
        let detector = Detector::init(config.clone(), 7, &device).expect("a detector");
        let options = predict::DetectOptions::default();
        found.push(predict::detect(&detector, &merged_image, &options, &()).await.expect("detections").detections);
    }
    assert_eq!(device::take_fault(), None);
    assert!(!found[0].is_empty(), "a test without detections shows nothing");
    assert_eq!(found[0].len(), found[1].len());
    for (a, b) in found[0].iter().zip(&found[1]) {
        assert!((a.score - b.score).abs() < 1e-3 && a.label == b.label);
        let far = a.bbox.corners().iter().zip(b.bbox.corners()).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(far < 0.5, "boxes differ by {far} pixels");
    }
}
