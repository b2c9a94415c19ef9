//! Outlines of boxes: a drawn box is outlined as a detection of the same corners is, better than its rectangle would, and the
//! feature maps are computed once.
#![cfg(not(target_arch = "wasm32"))]

use burn::tensor::Device;
use cytobox::annotations::Object;
use cytobox::boxes::BoxXyxy;
use cytobox::channels::{Merge, MergedImage, merge};
use cytobox::device::DeviceChoice;
use cytobox::engine::{Engine, NoObserver};
use cytobox::masks::Rle;
use cytobox::model::{Architecture, Detector, DetectorConfig};
use cytobox::native::bundled;
use cytobox::predict::{self, DetectOptions, DrawnBox, ImageFeatures};
use cytobox::protocol::{Command, Outcome};
use cytobox::synth::{SynthOptions, generate};
use cytobox::weights;
use serde_json::json;

fn detector() -> Detector {
    let (name, bytes) = bundled::ATLAS.read();
    weights::load(&name, &bytes, &Device::flex()).unwrap().0
}

fn synthetic(side: u32) -> (MergedImage, Vec<Object>) {
    let options = SynthOptions { width: side, height: side, seed: 5, ..SynthOptions::default() };
    let synthetic = generate(&options, 0).unwrap();
    (merge(&synthetic.set, &Merge::hpa()).unwrap(), synthetic.objects)
}

fn features(detector: &Detector, image: &MergedImage, near: BoxXyxy) -> ImageFeatures {
    pollster::block_on(ImageFeatures::new(detector, image, near, None, &())).unwrap()
}

fn outlines(detector: &Detector, features: &ImageFeatures, boxes: &[DrawnBox]) -> Vec<Option<Rle>> {
    pollster::block_on(features.outlines(detector, boxes)).unwrap()
}

#[test]
fn a_box_is_outlined_as_the_detection_of_the_same_corners() {
    let (detector, (image, objects)) = (detector(), synthetic(512));
    let found = pollster::block_on(predict::detect(&detector, &image, &DetectOptions::default(), &())).unwrap();
    let sure: Vec<_> = found.detections.iter().filter(|d| d.score > 0.7).collect();
    assert!(sure.len() > 5, "{} detections", sure.len());
    let features = features(&detector, &image, sure[0].bbox);
    let drawn: Vec<_> = sure.iter().map(|d| DrawnBox { bbox: d.bbox, label: &d.label }).collect();
    for (detection, outline) in sure.iter().zip(outlines(&detector, &features, &drawn)) {
        let (own, outline) = (detection.mask.as_ref().unwrap(), outline.unwrap());
        assert!(own.iou(&outline).unwrap() > 0.98, "{:?}", detection.bbox);
    }

    // The cells as they were drawn, with a label that the detector does not know: closer to the truth than their rectangles.
    let drawn: Vec<_> = objects.iter().map(|o| DrawnBox { bbox: o.bbox, label: "mitosis" }).collect();
    let (mut by_network, mut by_box) = (0.0, 0.0);
    for (object, outline) in objects.iter().zip(outlines(&detector, &features, &drawn)) {
        let truth = object.mask.as_ref().unwrap();
        by_network += outline.map_or(0.0, |outline| truth.iou(&outline).unwrap());
        by_box += truth.iou(&Rle::from_box(512, 512, object.bbox.corners()).unwrap()).unwrap();
    }
    let n = objects.len() as f64;
    println!("mean IoU with the truth: {:.3} by the mask head, {:.3} by rectangles", by_network / n, by_box / n);
    assert!(by_network > by_box + 0.05 * n);
}

/// Of an image that takes several passes only the tile around the box is computed, and only its boxes are served.
#[test]
fn a_large_image_is_seen_where_the_box_is() {
    let (mut detector, (image, objects)) = (detector(), synthetic(1536));
    detector.config.scale = cytobox::model::Scale::Fixed(1.0);
    let by = |a: &&Object, b: &&Object| (a.bbox.x1() + a.bbox.y1()).total_cmp(&(b.bbox.x1() + b.bbox.y1()));
    let (first, last) = (objects.iter().min_by(by).unwrap(), objects.iter().max_by(by).unwrap());
    for (object, other) in [(first, last), (last, first)] {
        let features = features(&detector, &image, object.bbox);
        assert!(features.serve(object.bbox, None) && !features.serve(other.bbox, None));
        assert!(!features.serve(object.bbox, Some(30.0)));
        let drawn = DrawnBox { bbox: object.bbox, label: &object.label };
        let outline = outlines(&detector, &features, &[drawn]).remove(0).unwrap();
        let iou = outline.iou(object.mask.as_ref().unwrap()).unwrap();
        assert!(iou > 0.6, "{iou} at {:?}", object.bbox);
    }
}

#[test]
fn the_engine_keeps_the_features_of_one_image() {
    let mut engine = Engine::default();
    let mut run = |command: Command| pollster::block_on(engine.run(command, &NoObserver));
    run(Command::Start { device: DeviceChoice::Cpu, probe: None }).unwrap();
    let load = || {
        let (name, bytes) = bundled::ATLAS.read();
        Command::LoadModel { name, bytes }
    };
    run(load()).unwrap();
    let (image, objects) = synthetic(256);
    let file = json!([{ "channel": null, "file": "x.png", "bytes": image.to_png().unwrap() }]);
    let image = json!({ "name": "x", "files": file });
    let (bbox, label) = (objects[0].bbox, objects[0].label.clone());
    let ask = |key: &str, image: Option<&serde_json::Value>, boxes: Vec<BoxXyxy>| {
        let labels = vec![label.clone(); boxes.len()];
        let command = json!({ "type": "outlineBoxes", "key": key, "image": image, "boxes": boxes, "labels": labels });
        serde_json::from_value::<Command>(command).unwrap()
    };
    let masks = |outcome| match outcome {
        Ok(Outcome::BoxOutlines { masks }) => masks,
        other => panic!("{other:?}"),
    };
    assert_eq!(masks(run(ask("x", None, vec![bbox]))), None);
    let first = masks(run(ask("x", Some(&image), vec![bbox]))).unwrap();
    assert!(first[0].is_some());
    assert_eq!(masks(run(ask("x", None, vec![bbox, bbox]))).unwrap(), [first.clone(), first].concat());
    assert_eq!(masks(run(ask("y", None, vec![bbox]))), None, "those of another image");
    assert_eq!(masks(run(ask("x", None, vec![bbox]))), None, "and then they are gone");
    masks(run(ask("x", Some(&image), vec![bbox]))).unwrap();
    run(load()).unwrap();
    assert_eq!(masks(run(ask("x", None, vec![bbox]))), None, "those of another detector");

    let mut uneven = serde_json::to_value(ask("x", Some(&image), vec![bbox])).unwrap();
    uneven["labels"] = json!([]);
    assert!(run(serde_json::from_value(uneven).unwrap()).is_err());
}

#[test]
fn a_detector_without_masks_says_so() {
    let config = DetectorConfig { architecture: Architecture::FasterRcnn, ..DetectorConfig::default() };
    let detector = Detector::init(config, 1, &Device::flex()).unwrap();
    let (image, objects) = synthetic(128);
    let bbox = objects.first().map_or_else(|| BoxXyxy::new([1.0, 1.0, 9.0, 9.0], 128, 128).unwrap(), |o| o.bbox);
    let error = pollster::block_on(ImageFeatures::new(&detector, &image, bbox, None, &())).unwrap_err();
    assert!(error.to_string().contains("Mask R-CNN"), "{error}");
}
