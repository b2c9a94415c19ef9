//! Every stage of the detectors compared with torchvision's, on the CPU and on the GPU; and the reference model on real images.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod golden;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use cytobox::boxes;
use cytobox::channels::{self, Merge, MergedImage};
use cytobox::detections::Detection;
use cytobox::model::anchors::pyramid_anchors;
use cytobox::model::config::Changes;
use cytobox::model::mask_head::class_probabilities;
use cytobox::model::pooler::MultiScaleRoiAlign;
use cytobox::model::rcnn::grids;
use cytobox::model::roi_heads::{BoxPredictions, postprocess_detections};
use cytobox::model::rpn::{Proposal, TopN, filter_proposals, read_predictions};
use cytobox::model::transform::NetworkInput;
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig, Dialect};
use cytobox::predict::{self, DetectOptions};
use cytobox::weights::{self, Precision};
use golden::Golden;

type Stages = BTreeMap<String, Golden>;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = pollster::block_on(tensor.into_data_async()).unwrap();
    data.as_slice::<f32>().unwrap().to_vec()
}

fn merged_image(golden: &Golden) -> MergedImage {
    MergedImage { width: golden.shape[1] as u32, height: golden.shape[0] as u32, rgb: golden.values.clone() }
}

fn load(case: &str, device: &Device) -> Detector {
    let file = format!("{case}.safetensors");
    let bytes = std::fs::read(golden::folder().unwrap().join(&file)).unwrap();
    let (detector, report) = weights::load(&file, &bytes, device).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0), "{report:?}");
    detector
}

/// A GPU through Vulkan, lavapipe counted, or `None` with a line that says so. It can be opened once in a process.
fn gpu() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let open = || pollster::block_on(Device::wgpu_options().init_async());
    let device = DEVICE.get_or_init(|| open().map_err(|e| common::skipped(&format!("no graphics adapter ({e})"))).ok());
    device.clone()
}

/// Largest relative error of each stage; the bounds are asserted where they are measured.
struct Check<'a> {
    case: &'a str,
    stages: &'a Stages,
    tolerance: f32,
}

impl Check<'_> {
    fn near(&self, stage: &str, found: &[f32]) {
        let error = self.stages[stage].error(found);
        println!("{} {stage}: {error:.2e}", self.case);
        assert!(error <= self.tolerance, "{} {stage}: {error:e} over {:e}", self.case, self.tolerance);
    }
}

/// Stage by stage: dense stages run on from each other; a stage that chooses (top-k, NMS) starts from torchvision's own
/// numbers, so that a tie broken the other way does not hide what comes after it.
fn every_stage(case: &str, device: &Device, tolerance: f32) {
    let stages = golden::read(&format!("{case}.golden.safetensors"));
    let check = Check { case, stages: &stages, tolerance };
    let detector = load(case, device);
    let (config, network) = (&detector.config, &detector.network);

    let input = NetworkInput::new(&merged_image(&stages["picture"]), config).unwrap();
    assert_eq!(input.size.map(|n| n as f32), stages["size"].values[..]);
    check.near("transform", &input.values);

    let features = pollster::block_on(network.backbone.forward(input.to_tensor(device), &())).unwrap();
    for (i, level) in features.iter().enumerate() {
        check.near(&format!("fpn.{i}"), &values(level.clone()));
    }
    let outputs = network.rpn_outputs(&features);
    for (i, level) in outputs.iter().enumerate() {
        check.near(&format!("rpn.objectness.{i}"), &values(level.objectness.clone()));
        check.near(&format!("rpn.deltas.{i}"), &values(level.deltas.clone()));
    }
    let golden_boxes = proposals(&check, config, &input, &features, device);
    let pool = |side| {
        let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
        MultiScaleRoiAlign::new(&heights, input.size[0], side, config.roi_sampling_ratio)
    };
    let box_pool = pool(config.box_roi_pool_size);
    let one_image = [golden_boxes.clone()];
    check.near("box.pooled", &values(box_pool.forward(&features, &one_image)));
    let (logits, deltas) = network.roi_heads.box_outputs(&box_pool, &features, &one_image);
    check.near("box.logits", &values(logits));
    check.near("box.deltas", &values(deltas));
    detections(&check, config, &golden_boxes, input.size);
    if config.has_mask() {
        let found = [stages["network.boxes"].boxes()];
        let logits = network.roi_heads.mask_logits(&pool(config.mask_roi_pool_size), &features, &found).unwrap();
        let labels: Vec<usize> = stages["network.labels"].values.iter().map(|l| *l as usize).collect();
        let probabilities = pollster::block_on(class_probabilities(logits, &labels)).unwrap();
        check.near("mask.probabilities", &probabilities.concat());
    }
}

/// Proposals from torchvision's logits and deltas are torchvision's, in its order.
fn proposals(
    check: &Check,
    config: &DetectorConfig,
    input: &NetworkInput,
    features: &[Tensor<4>],
    device: &Device,
) -> Vec<[f32; 4]> {
    let on_device = |name: String| {
        let golden = &check.stages[&name];
        let shape: [usize; 4] = golden.shape.clone().try_into().unwrap();
        Tensor::<4>::from_data(TensorData::new(golden.values.clone(), shape), device)
    };
    let outputs: Vec<_> = (0..5)
        .map(|i| cytobox::model::rpn::HeadOutput {
            objectness: on_device(format!("rpn.objectness.{i}")),
            deltas: on_device(format!("rpn.deltas.{i}")),
        })
        .collect();
    let predictions = pollster::block_on(read_predictions(&outputs)).unwrap();
    let anchors = pyramid_anchors(config, &grids(features), input.padded);
    let found = filter_proposals(config, TopN::test(config), &predictions[0], &anchors, input.size);
    let found: Vec<f32> = found.iter().flat_map(|p| p.corners).collect();
    check.near("proposals", &found);
    check.stages["proposals"].boxes()
}

/// Detections from torchvision's logits and deltas are torchvision's, in its order.
fn detections(check: &Check, config: &DetectorConfig, proposals: &[[f32; 4]], size: [usize; 2]) {
    let proposals: Vec<_> = proposals.iter().map(|&corners| Proposal { corners, score: 1.0 }).collect();
    let predictions = BoxPredictions {
        classes: config.num_classes(),
        logits: check.stages["box.logits"].values.clone(),
        deltas: check.stages["box.deltas"].boxes(),
    };
    let found = postprocess_detections(config, &proposals, predictions, size);
    check.near("network.boxes", &found.iter().flat_map(|d| d.corners).collect::<Vec<_>>());
    check.near("network.scores", &found.iter().map(|d| d.score).collect::<Vec<_>>());
    let labels: Vec<f32> = found.iter().map(|d| d.class as f32).collect();
    assert_eq!(labels, check.stages["network.labels"].values);
}

fn detect(detector: &Detector, merged_image: &MergedImage, options: &DetectOptions) -> Vec<Detection> {
    pollster::block_on(predict::detect(detector, merged_image, options, &())).unwrap().detections
}

/// From image to detections in one go: the same labels in the same order, corners within half a pixel, masks alike.
fn end_to_end(case: &str, device: &Device) {
    let stages = golden::read(&format!("{case}.golden.safetensors"));
    let detector = load(case, device);
    // torchvision's limits, and not as many as there are cells.
    let max_detections = Some(detector.config.box_detections_per_img);
    let options = DetectOptions { max_detections, ..DetectOptions::default() };
    let found = detect(&detector, &merged_image(&stages["picture"]), &options);
    let (expected, scores) = (stages["final.boxes"].boxes(), &stages["final.scores"].values);
    assert_eq!(found.len(), expected.len(), "{case}");
    let pixels = stages["picture"].shape[0] * stages["picture"].shape[1];
    for (i, one) in found.iter().enumerate() {
        let off = one.bbox.corners().iter().zip(expected[i]).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(off <= 0.5, "{case} {i}: {off} px");
        assert!((one.score - scores[i]).abs() < 2e-3, "{case} {i}: {} and {}", one.score, scores[i]);
        assert_eq!(one.label, detector.config.classes[stages["final.labels"].values[i] as usize]);
        if let Some(masks) = stages.get("final.masks") {
            let mask = one.mask.as_ref().unwrap().to_bitmap();
            let golden = &masks.values[i * pixels..(i + 1) * pixels];
            let differ = mask.iter().zip(golden).filter(|(a, b)| **a != (**b == 1.0)).count();
            assert!(differ <= 3, "{case} {i}: {differ} pixels of {pixels}");
        }
    }
}

#[test]
fn every_stage_on_the_cpu() {
    if golden::folder().is_none() {
        return;
    }
    for case in golden::CASES {
        every_stage(case, &Device::flex(), 1e-4);
        end_to_end(case, &Device::flex());
    }
}

#[test]
fn every_stage_on_the_gpu() {
    if golden::folder().is_none() {
        return;
    }
    let Some(device) = gpu() else { return };
    for case in golden::CASES {
        every_stage(case, &device, 1e-3);
        end_to_end(case, &device);
    }
}

/// torchvision loads cytobox's files with `strict=True` and computes the same results.
#[test]
fn saved_files_load_into_torchvision() {
    let Some(folder) = golden::folder() else { return };
    for case in golden::CASES {
        let detector = load(case, &Device::flex());
        for (name, precision) in [("f32", Precision::F32), ("f16", Precision::F16)] {
            let bytes = pollster::block_on(weights::save(&detector, precision)).unwrap();
            std::fs::write(folder.join(format!("{case}.saved.{name}.safetensors")), &bytes).unwrap();
            let (again, report) = weights::load("saved", &bytes, &Device::flex()).unwrap();
            assert_eq!(again.config, detector.config);
            assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0));
        }
    }
    golden::run("verify", folder);
}

/// `.pth` in both forms, old names, checkpoints of trainings, a tensor in channels-last order: all the same weights.
#[test]
fn torch_files_hold_the_same_weights() {
    let Some(folder) = golden::folder() else { return };
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let original = read("mask_resnet18.safetensors");
    let original = weights::read("mask_resnet18.safetensors", &original).unwrap();
    for file in ["zip.pth", "checkpoint.pth", "old.pth", "training.zip.pth", "training.old.pth"] {
        let bytes = read(file);
        let found = weights::read(file, &bytes).unwrap();
        assert_eq!(found.tensors, original.tensors, "{file}");
    }
}

/// A mask detector without its configuration is read from its shapes.
#[test]
fn the_configuration_is_inferred() {
    let Some(folder) = golden::folder() else { return };
    let bytes = std::fs::read(folder.join("old.pth")).unwrap();
    let info = weights::describe("old.pth", &bytes).unwrap();
    let config = &info.config;
    assert!(!info.has_config && !info.warnings.is_empty());
    assert_eq!((config.fpn_channels, config.representation_size, config.num_classes()), (24, 64, 4));
    assert_eq!((config.mask_layers.clone(), config.mask_dim_reduced), (vec![24, 16], 20));
    let converted = tempfile::tempdir().unwrap();
    let to = converted.path().join("converted.safetensors");
    weights::convert(&folder.join("old.pth"), &to, &Changes::new()).unwrap();
    let (detector, report) = weights::load("converted", &std::fs::read(to).unwrap(), &Device::flex()).unwrap();
    assert_eq!(&detector.config, config);
    assert!(report.warnings.is_empty(), "{report:?}");
}

/// torchvision's second generation is known by the batch norms that only it has.
#[test]
fn the_second_generation_is_inferred() {
    let Some(folder) = golden::folder() else { return };
    let bytes = std::fs::read(folder.join("v2.pth")).unwrap();
    let (detector, report) = weights::load("v2.pth", &bytes, &Device::flex()).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0), "{report:?}");
    assert!(report.warnings.iter().any(|sentence| sentence.contains("v2")), "{report:?}");
    let config = &detector.config;
    assert_eq!((config.dialect, config.rpn_convs, config.box_head_convs), (Dialect::TorchvisionV2, 2, 4));
    assert_eq!((config.fpn_channels, config.representation_size, config.box_roi_pool_size), (24, 64, 7));
    assert_eq!(config.batch_norm_eps, 1e-5);
}

/// A classification network's weights become the backbone; the rest is drawn.
#[test]
fn a_classifier_is_a_backbone_to_start_from() {
    let Some(folder) = golden::folder() else { return };
    let bytes = std::fs::read(folder.join("classifier.pth")).unwrap();
    // As it is, it can only be trained from: what it lacks is told.
    let (_, bare) = weights::load("classifier.pth", &bytes, &Device::flex()).unwrap();
    assert!(bare.missing.iter().any(|name| name.starts_with("roi_heads.")), "{bare:?}");
    let config = DetectorConfig { backbone: Backbone::ResNet18, fpn_channels: 8, ..DetectorConfig::default() };
    let device = Device::flex();
    let (_, report) = weights::load_into(config, "classifier.pth", &bytes, false, 1, &device).unwrap();
    assert!(report.missing.iter().all(|name| !name.starts_with("backbone.body")), "{report:?}");
    assert!(report.loaded.iter().all(|name| name.starts_with("backbone.body")), "{report:?}");
    assert_eq!(report.loaded.len(), 100);
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
}

/// torchvision's published files are known by their 91 classes: COCO's names, and batch norms without an epsilon.
#[test]
fn a_file_of_91_classes_is_torchvisions_coco_detector() {
    let device = Device::flex();
    let coco = DetectorConfig {
        fpn_channels: 2,
        representation_size: 4,
        box_roi_pool_size: 2,
        ..DetectorConfig::coco_v1(Architecture::FasterRcnn, Backbone::ResNet18)
    };
    let detector = Detector::init(coco.clone(), 7, &device).unwrap();
    let mut state = pollster::block_on(weights::save::state_dict(&detector, Precision::F32)).unwrap();
    // So small that an epsilon of 1e-5 would halve the scale.
    let variance = vec![1e-5f32 / 3.0; 64];
    let name = "backbone.body.layer1.0.bn1.running_var";
    state.tensors.insert(name.into(), weights::state::RawTensor::from_f32(vec![64], &variance));
    state.config = None;
    let bare = weights::safetensors::write("bare", &state).unwrap();
    let (inferred, report) = weights::load("bare", &bare, &device).unwrap();
    assert_eq!(inferred.config, coco);
    assert!(report.warnings.iter().any(|warning| warning.contains("COCO")), "{report:?}");

    // The convolution as its frozen norm scales it.
    let kernel = |detector: &Detector| {
        let state = pollster::block_on(weights::save::state_dict(detector, Precision::F32)).unwrap();
        let mut kernel = state.values("saved", "backbone.body.layer1.0.conv1.weight", &[64, 64, 3, 3]).unwrap();
        let scale = state.values("saved", "backbone.body.layer1.0.bn1.weight", &[64]).unwrap();
        let outputs = kernel.chunks_exact_mut(64 * 9).zip(scale);
        outputs.for_each(|(values, scale)| values.iter_mut().for_each(|v| *v *= scale));
        kernel
    };
    let scale = 1.0 / variance[0].sqrt();
    for (folded, plain) in kernel(&inferred).iter().zip(kernel(&detector)) {
        assert!((folded - plain * scale).abs() <= 1e-4 * folded.abs(), "{folded} of {plain}");
    }
}

#[derive(serde::Deserialize)]
struct Reference {
    #[serde(rename = "box")]
    corners: [f32; 4],
    label: String,
    score: f32,
}

/// The reference model on the five test images: all that torchvision finds above 0.5, IoU ≥ 0.98, |Δscore| ≤ 0.005,
/// and nothing else.
///
/// Of the first `images`, and with detections from `score` on: a software adapter takes a minute for an image, most of it
/// for masks.
fn reference_model(device: &Device, images: usize, score: f32) {
    let Some(data) = common::real_data() else { return };
    let file = data.join("models/hpa_maskrcnn_resnet18_fpn.safetensors");
    let (detector, report) = weights::load("reference", &std::fs::read(file).unwrap(), device).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0), "{report:?}");
    let expected = std::fs::read(data.join("models/predictions_hpa_test.json")).unwrap();
    let expected: BTreeMap<String, Vec<Reference>> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 5);
    for (stem, expected) in expected.iter().rev().take(images) {
        let merged_image = hpa_image(&data, stem);
        let started = std::time::Instant::now();
        // torchvision's limits, and not as many as there are cells.
        let max_detections = Some(detector.config.box_detections_per_img);
        let options = DetectOptions { score: Some(score), max_detections, ..DetectOptions::default() };
        let found = detect(&detector, &merged_image, &options);
        println!("{stem}: {:.2} s, {} detections", started.elapsed().as_secs_f32(), found.len());
        // One for one: whatever is above 0.5 on either side has a partner on the other, of any score that differs little.
        let mut free: Vec<&Detection> = found.iter().collect();
        let (mut worst_iou, mut worst_score) = (1f32, 0f32);
        for one in expected {
            let iou = |d: &Detection| boxes::iou(d.bbox.corners(), one.corners);
            let same = |d: &Detection| d.label == one.label && (d.score - one.score).abs() <= 0.005 && iou(d) >= 0.98;
            let fits = free.iter().enumerate().filter(|(_, d)| same(d));
            let Some((at, _)) = fits.max_by(|(_, a), (_, b)| iou(a).total_cmp(&iou(b))) else {
                assert!(one.score <= 0.5, "{stem}: {:?} {} {} is not found", one.corners, one.label, one.score);
                continue;
            };
            let partner = free.swap_remove(at);
            worst_iou = worst_iou.min(iou(partner));
            worst_score = worst_score.max((partner.score - one.score).abs());
        }
        println!("  worst IoU {worst_iou:.5}, worst score difference {worst_score:.5}");
        let extra: Vec<_> =
            free.iter().filter(|d| d.score > 0.5).map(|d| (d.bbox.corners(), &d.label, d.score)).collect();
        assert!(extra.is_empty(), "{stem}: nobody else finds {extra:?}");
        assert!(found.iter().all(|d| d.mask.as_ref().unwrap().area() > 0), "{stem}: an empty mask");
    }
}

fn hpa_image(data: &std::path::Path, stem: &str) -> MergedImage {
    let files: Vec<_> = ["red", "green", "blue", "yellow"]
        .into_iter()
        .map(|name| {
            let file = format!("{stem}_{name}.png");
            let bytes = std::fs::read(data.join("hpa/test").join(&file)).unwrap();
            (Some(serde_json::from_str(&format!("\"{name}\"")).unwrap()), file, bytes)
        })
        .collect();
    let set = channels::assemble(stem, &files, &channels::ReadOptions::default()).unwrap();
    channels::merge(&set, &Merge::hpa()).unwrap()
}

#[test]
fn reference_model_on_the_cpu() {
    reference_model(&Device::flex(), 5, 0.05);
}

#[test]
fn reference_model_on_the_gpu() {
    let Some(device) = gpu() else { return };
    reference_model(&device, 2, 0.5);
}
