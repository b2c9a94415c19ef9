//! What a detection and an evaluation ask of a detector stays theirs.

use super::*;
use crate::annotations::ImageAnnotations;
use crate::channels::{ChannelFile, Pages};
use crate::device::{self, DeviceChoice};
use crate::evaluate::Measure;
use crate::limits;
use crate::model::{Architecture, Backbone, DetectorConfig};
use crate::protocol::{AnnotatedInput, EvaluateOptions, ImageFile};
use crate::weights::Precision;

/// With a small network that knows nothing, is unsure of everything, and keeps three detections.
fn engine() -> Engine {
    let config = DetectorConfig {
        architecture: Architecture::FasterRcnn,
        backbone: Backbone::ResNet18,
        fpn_channels: 2,
        classes: vec!["__background__".into(), "cell".into()],
        representation_size: 4,
        box_roi_pool_size: 2,
        min_size: 64,
        max_size: 64,
        box_score_thresh: 0.25,
        box_detections_per_img: 3,
        ..DetectorConfig::default()
    };
    let detector = Detector::init(config, 7, &burn::tensor::Device::flex()).unwrap();
    let bytes = pollster::block_on(weights::save(&detector, Precision::F32)).unwrap();
    let mut engine = Engine::default();
    run(&mut engine, Command::Start { device: DeviceChoice::Cpu, probe: None });
    run(&mut engine, Command::LoadModel { name: "small".into(), bytes });
    engine
}

fn run(engine: &mut Engine, command: Command) -> Outcome {
    let outcome = pollster::block_on(engine.run(command, &NoObserver)).unwrap();
    assert_eq!(device::take_fault(), None);
    outcome
}

fn input() -> ImageInput {
    let pixels = (0..64 * 64).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let merged_image = image::GrayImage::from_raw(64, 64, pixels).unwrap();
    merged_image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    let file = ImageFile { file: ChannelFile { channel: None, file: "a.png".into() }, bytes: bytes.into_inner() };
    ImageInput {
        name: "a".into(),
        files: vec![file],
        fill: vec![],
        merge: None,
        detector_merge: None,
        pages: Pages::Ask,
        bit_depth: None,
        range: None,
        stack: None,
        channels: None,
    }
}

fn detect(engine: &mut Engine, score: f32, max_detections: Option<usize>) -> ImageDetections {
    match run(engine, Command::Detect { image: input(), score, max_detections, diameter: None }) {
        Outcome::Detections { detections, .. } => detections,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_score_of_one_detection_does_not_change_the_detector() {
    let mut engine = engine();
    let config = engine.detector.as_ref().unwrap().config.clone();
    assert!(!detect(&mut engine, 0.1, None).detections.is_empty());
    assert!(detect(&mut engine, 0.999, Some(50)).detections.is_empty());
    assert_eq!(engine.detector.as_ref().unwrap().config, config);

    let annotations = ImageAnnotations { image: "a".into(), width: 64, height: 64, ..ImageAnnotations::default() };
    let options = EvaluateOptions { measure: Measure::Boxes, score: 0.5, max_detections: None, diameter: None };
    let images = vec![AnnotatedInput { image: input(), annotations }];
    run(&mut engine, Command::Evaluate { images, options });
    assert_eq!(engine.detector.as_ref().unwrap().config, config);
}

#[test]
fn a_reached_detection_limit_is_reported() {
    let mut engine = engine();
    // The detector's own limit of three is torchvision's, not that of a detection.
    let all = detect(&mut engine, 0.1, None);
    assert!(all.detections.len() > 3, "a test with few detections shows nothing");
    assert_eq!(all.limit_reached, None);

    let few = detect(&mut engine, 0.1, Some(3));
    assert_eq!((few.limit_reached, &few.detections[..]), (Some(3), &all.detections[..3]));
    let exact = detect(&mut engine, 0.1, Some(all.detections.len()));
    assert_eq!((exact.limit_reached, exact.detections), (None, all.detections));

    for max_detections in [0, limits::DETECTIONS + 1] {
        let command =
            Command::Detect { image: input(), score: 0.1, max_detections: Some(max_detections), diameter: None };
        assert_eq!(pollster::block_on(engine.run(command, &NoObserver)).unwrap_err().code(), "usage");
    }
}

/// A classification network is something to train from, not to detect with, and does not stay when another detector comes.
#[test]
fn a_backbone_alone_does_not_detect() {
    let mut engine = engine();
    let mut state = pollster::block_on(weights::save::state_dict(engine.detector().unwrap(), Precision::F32)).unwrap();
    let whole = weights::safetensors::write("whole", &state).unwrap();
    state.tensors.retain(|name, _| name.starts_with("backbone.body."));
    state.config = None;
    let bytes = weights::safetensors::write("backbone", &state).unwrap();
    let Outcome::Model(report) = run(&mut engine, Command::LoadModel { name: "backbone".into(), bytes }) else {
        panic!("no report");
    };
    assert!(!report.load.missing.is_empty() && report.load.warnings[0].contains("randomly initialised"), "{report:?}");
    let refused = pollster::block_on(engine.detect(&input(), &DetectOptions::default(), &NoObserver)).unwrap_err();
    assert!(refused.to_string().contains("train it first"), "{refused}");
    run(&mut engine, Command::LoadModel { name: "whole".into(), bytes: whole });
    detect(&mut engine, 0.0, None);
}
