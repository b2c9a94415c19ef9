//! The images of `golden/train.py` and a small detector for them.

use burn::tensor::Tensor;
use cytobox::channels::MergedImage;
use cytobox::model::{Architecture, Backbone, DetectorConfig};
use cytobox::train::{Example, Patch, Truth};

pub const SIDE: usize = 128;
/// As in the script: class, centre, half axes.
const OBJECTS: [&[[f64; 5]]; 3] = [
    &[[1.0, 40.0, 36.0, 18.0, 24.0], [2.0, 90.0, 40.0, 22.0, 14.0], [1.0, 64.0, 96.0, 30.0, 20.0]],
    &[[2.0, 50.0, 70.0, 26.0, 30.0], [2.0, 100.0, 100.0, 12.0, 15.0]],
    &[],
];

pub fn config() -> DetectorConfig {
    DetectorConfig {
        architecture: Architecture::MaskRcnn,
        backbone: Backbone::ResNet18,
        fpn_channels: 32,
        classes: ["__background__", "a", "b"].map(str::to_owned).to_vec(),
        image_mean: [0.5, 0.4, 0.45],
        image_std: [0.25, 0.2, 0.22],
        min_size: SIDE as u32,
        max_size: SIDE as u32,
        anchor_sizes: [12.0, 24.0, 48.0, 96.0, 192.0].map(|s| vec![s]).to_vec(),
        rpn_batch_size_per_image: 20000,
        rpn_pre_nms_top_n_train: 6,
        rpn_post_nms_top_n_train: 30,
        representation_size: 64,
        mask_layers: vec![32; 4],
        mask_dim_reduced: 32,
        ..DetectorConfig::default()
    }
}

pub fn example(image: usize) -> Example {
    let inside = |x: usize, y: usize, [_, cx, cy, a, b]: [f64; 5]| {
        ((x as f64 + 0.5 - cx) / a).powi(2) + ((y as f64 + 0.5 - cy) / b).powi(2) < 1.0
    };
    let mut rgb = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            for c in 0..3 {
                let (fx, fy, fc, fi) = (x as f64, y as f64, c as f64, image as f64);
                let mut v = 0.35 + 0.25 * (0.05 * fx * (fi + 1.0) + 0.7 * fc).sin() * (0.07 * fy + 0.3 * fi).cos();
                for (k, object) in OBJECTS[image].iter().enumerate() {
                    if inside(x, y, *object) {
                        v += 0.12 * (fc + 1.0) - 0.05 * k as f64;
                    }
                }
                rgb.push(v.clamp(0.0, 1.0) as f32);
            }
        }
    }
    let objects = OBJECTS[image]
        .iter()
        .map(|&o| {
            let [class, cx, cy, a, b] = o;
            let bits = (0..SIDE * SIDE).map(|i| inside(i % SIDE, i / SIDE, o)).collect();
            let mask = Patch { x: 0, y: 0, width: SIDE, height: SIDE, bits };
            let corners = [cx - a, cy - b, cx + a, cy + b].map(|v| v as f32);
            Truth { corners, class: class as usize, mask: Some(mask), difficult: false }
        })
        .collect();
    let merged_image = MergedImage { width: 128, height: 128, rgb };
    Example { name: format!("image{image}"), merged_image, objects, ignored: Vec::new(), incomplete: false }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().as_slice::<f32>().unwrap().to_vec()
}
