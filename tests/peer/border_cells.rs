//! What becomes of cells at the border, where training crops cut cells as the image's edge does: trains on synthetic
//! images for a few minutes and prints how well cells at the border are found, beside those within.
//!
//! ```text
//! cargo run --release --example border_cells
//! ```
#![cfg_attr(target_arch = "wasm32", allow(unused))]

use burn::tensor::Device;
use cytobox::annotations::ImageAnnotations;
use cytobox::channels::{Merge, MergedImage, merge};
use cytobox::detections::ImageDetections;
use cytobox::evaluate::{Options, evaluate};
use cytobox::model::config::Changes;
use cytobox::model::{Architecture, Backbone, Detector, IntensityRange};
use cytobox::observe::NoObserver;
use cytobox::predict::{self, DetectOptions};
use cytobox::synth::{SynthOptions, generate};
use cytobox::train::setup::{self, Shape};
use cytobox::train::{Budget, Example, MemoryStore, TrainConfig, Trainer};

const SIDE: u32 = 192;
const TRAINED_ON: u32 = 16;
const TESTED_ON: u32 = 24;

/// A synthetic image and what is on it, all of one class.
fn image(index: u32) -> (ImageAnnotations, MergedImage) {
    let options =
        SynthOptions { width: SIDE, height: SIDE, cell_size: 0.5, crowding: 1.3, seed: 3, ..Default::default() };
    let synthetic = generate(&options, index).unwrap();
    let merged_image = merge(&synthetic.set, &Merge::hpa()).unwrap();
    let mut objects = synthetic.objects;
    objects.iter_mut().for_each(|object| object.label = "cell".to_owned());
    let annotations =
        ImageAnnotations { image: synthetic.name, width: SIDE, height: SIDE, objects, ..Default::default() };
    (annotations, merged_image)
}

/// AP at IoU 0.5 of the cells of which `counts` says so; the others are neither asked for nor held against a detection.
fn ap(found: &[(ImageAnnotations, ImageDetections)], counts: impl Fn(&[f32; 4]) -> bool) -> f64 {
    let mut found = found.to_vec();
    for object in found.iter_mut().flat_map(|(truth, _)| &mut truth.objects) {
        object.difficult = !counts(&object.bbox.corners());
    }
    let pairs: Vec<_> = found.iter().map(|(truth, found)| (truth, found)).collect();
    evaluate(&pairs, &Options::default()).unwrap().map_50.unwrap()
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    let classes = ["__background__", "cell"].map(str::to_owned).to_vec();
    let examples: Vec<Example> = (0..TRAINED_ON)
        .map(|i| {
            let (annotations, merged_image) = image(i);
            Example::new(merged_image, &annotations, &classes).unwrap()
        })
        .collect();
    let shape = Shape {
        architecture: Architecture::FasterRcnn,
        backbone: Backbone::ResNet18,
        fpn_channels: 64,
        representation: 128,
    };
    let layouts: Vec<setup::Layout> = examples.iter().map(setup::Layout::from).collect();
    let mut config = setup::fresh(shape, classes, &layouts, &Changes::new()).unwrap();
    (config.image_mean, config.image_std) =
        setup::statistics(examples.iter().map(|e| &e.merged_image), IntensityRange::Full);
    let mut settings = TrainConfig::from_scratch();
    // Crops so small that they cut many cells.
    settings.augment.crop = Some(96);
    (settings.budget, settings.repeats, settings.validate_every) = (Budget::Epochs(20), 4, 1000);
    for seed in [1, 2] {
        settings.seed = seed;
        let detector = Detector::init(config.clone(), seed, &Device::flex()).unwrap();
        let mut trainer = Trainer::new(settings.clone(), detector, examples.clone(), Vec::new()).unwrap();
        let trained = pollster::block_on(trainer.run(&mut MemoryStore::default(), &NoObserver)).unwrap().detector;
        let found: Vec<(ImageAnnotations, ImageDetections)> = (TRAINED_ON..TRAINED_ON + TESTED_ON)
            .map(|i| {
                let (annotations, merged_image) = image(i);
                let detected =
                    pollster::block_on(predict::detect(&trained, &merged_image, &DetectOptions::default(), &()))
                        .unwrap();
                let detections = ImageDetections {
                    image: annotations.image.clone(),
                    file: String::new(),
                    width: SIDE,
                    height: SIDE,
                    detections: detected.detections,
                    merge: None,
                    filled: Vec::new(),
                    stack: None,
                    limit_reached: detected.limit_reached,
                };
                (annotations, detections)
            })
            .collect();
        let end = SIDE as f32;
        let at_border = |[x1, y1, x2, y2]: &[f32; 4]| *x1 <= 0.0 || *y1 <= 0.0 || *x2 >= end || *y2 >= end;
        let aps = [ap(&found, at_border), ap(&found, |corners| !at_border(corners)), ap(&found, |_| true)];
        println!("seed {seed}: AP50 of cells at the border {:.3}, within {:.3}, of all {:.3}", aps[0], aps[1], aps[2]);
    }
}
