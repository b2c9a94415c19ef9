//! What counts as full brightness in 16-bit images: one rule for a set, which no single pixel decides.
#![cfg(not(target_arch = "wasm32"))]

mod common;
mod image_files;

use burn::tensor::Device;
use common::real_data;
use cytobox::{
    channels::{BitDepth, Channel, ChannelSet, Merge, ReadOptions, Samples, assemble, depth_of, merge},
    engine::{Engine, NoObserver},
    model::{Architecture, config::Changes},
    protocol::{Command, Outcome},
    train::{Budget, Overrides, Plan, Start, TrainConfig, setup::ShapeOptions},
};
use image_files::{Png, TiffPage, chunk, pack, tiff};
use serde_json::json;

const SIDE: usize = 64;

/// A cell of brightness `top` on a dark ground, and one pixel that may be hot.
fn samples(top: u16, hot: Option<u16>) -> Vec<u16> {
    let mut samples: Vec<u16> = (0..SIDE * SIDE).map(|i| if i % SIDE > 40 { top } else { 90 }).collect();
    samples[7] = hot.unwrap_or(samples[7]);
    samples
}

fn png(top: u16, hot: Option<u16>) -> Vec<u8> {
    Png::new(SIDE as u32, SIDE as u32, 16, 0).file(&samples(top, hot))
}

fn page(top: u16) -> TiffPage {
    TiffPage::new(SIDE as u32, SIDE as u32, 16, 1, 1).strip(pack(&samples(top, None), 16, false))
}

fn named(bytes: Vec<u8>) -> [(Option<Channel>, String, Vec<u8>); 1] {
    [(None, "x.tif".to_owned(), bytes)]
}

fn asked(bytes: Vec<u8>) -> Option<u8> {
    depth_of("x", &named(bytes), &ReadOptions::default()).unwrap().map(BitDepth::bits)
}

fn read(bytes: Vec<u8>, bits: u8) -> ChannelSet {
    let options = ReadOptions { depth: BitDepth::new(bits).ok(), ..ReadOptions::default() };
    assemble("x", &named(bytes), &options).unwrap()
}

#[test]
fn one_hot_pixel_changes_nothing_but_itself() {
    for hot in [4500, 65_535] {
        assert_eq!(asked(png(1120, Some(hot))), asked(png(1120, None)));
        let merged_image = |hot| {
            let set = assemble("x", &named(png(1120, hot)), &ReadOptions::default()).unwrap();
            merge(&set, &Merge::for_set(&set)).unwrap().rgb
        };
        let differ = merged_image(None).iter().zip(&merged_image(Some(hot))).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 3, "three colours of one pixel");
    }
    assert_eq!([900, 4080, 4096, 40_000].map(|top| asked(png(top, None))), [10, 12, 14, 16].map(Some));
}

#[test]
fn images_of_one_set_have_one_full_scale_and_samples_beyond_it_are_reported() {
    let dim = read(png(300, None), 12);
    let bright = read(png(4000, None), 12);
    assert_eq!((dim.white, bright.white), (4095.0, 4095.0));
    assert_eq!((dim.warnings.len(), bright.warnings.len()), (0, 0));
    let other = read(png(40_000, None), 12);
    assert_eq!(other.white, 4095.0);
    assert!(other.warnings[0].starts_with("x: its samples exceed 4095"), "{:?}", other.warnings);
    assert_eq!(merge(&other, &Merge::for_set(&other)).unwrap().rgb[60 * 3], 1.0, "clipped");
    // 8-bit images have one scale only.
    let grey = read(Png::new(2, 1, 8, 0).file(&[3, 255]), 12);
    assert_eq!((grey.white, grey.own_depth), (255.0, None));
    assert_eq!(asked(Png::new(2, 1, 8, 0).file(&[3, 255])), None);
}

#[test]
fn the_bit_depth_that_a_file_states_counts() {
    let text = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
    let ome = "<OME><Image><Pixels SizeC='1' SizeZ='1' SizeT='1' SignificantBits='12'/></Image></OME>\0";
    for page in [
        page(700).tag(270, &text(ome)),
        page(700).tag(281, &[4095]),
        page(700).tag(341, &[4095]),
        page(700).tag(51_123, &text("{\"BitDepth\": 12, \"Slice\": 0}\0")),
    ] {
        assert_eq!(asked(tiff(&[page], false)), Some(12));
    }
    // What the file type holds anyway, a measured maximum, and what the samples contradict.
    assert_eq!(asked(tiff(&[page(700).tag(281, &[65_535])], false)), Some(10));
    assert_eq!(asked(tiff(&[page(700).tag(281, &[700])], false)), Some(10));
    assert_eq!(asked(tiff(&[page(30_000).tag(281, &[4095])], false)), Some(16));

    let mut significant = Vec::new();
    chunk(&mut significant, b"sBIT", &[12]);
    let with_chunk = |png: Vec<u8>| [&png[..33], &significant, &png[33..]].concat();
    assert_eq!(asked(with_chunk(png(700, None))), Some(12));
    assert_eq!(asked(with_chunk(png(65_520, None))), Some(16), "spread over all bits, as PNG asks for");
}

/// 10, 12 and 14 bits that are packed without gaps, most significant first, in both byte orders and inverted.
#[test]
fn packed_camera_samples_are_read_with_their_depth() {
    for bits in [10u32, 12, 14] {
        let top = (1u32 << bits) - 1;
        let rows: Vec<Vec<u32>> = (0..7).map(|y| (0..5).map(|x| (y * 977 + x * 331) % (top + 1)).collect()).collect();
        let packed: Vec<u8> = rows
            .iter()
            .flat_map(|row| {
                let text: String = row.iter().map(|v| format!("{v:0width$b}", width = bits as usize)).collect();
                let bytes = text.as_bytes().chunks(8).map(|byte| {
                    byte.iter().chain(&[b'0'; 8]).take(8).fold(0u8, |all, digit| all << 1 | (digit - b'0'))
                });
                bytes.collect::<Vec<u8>>()
            })
            .collect();
        for (big_endian, photometric) in [(false, 1), (true, 1), (false, 0), (true, 0)] {
            let page = TiffPage::new(5, 7, bits, 1, photometric).tag(278, &[7]).strip(packed.clone());
            let bytes = tiff(&[page], big_endian);
            let set = assemble("x", &named(bytes.clone()), &ReadOptions::default()).unwrap();
            let expected =
                rows.concat().into_iter().map(|v| if photometric == 0 { top - v } else { v } as u16).collect();
            assert_eq!(set.planes[&Channel::Grey].samples, Samples::U16(expected), "{bits} bit, {big_endian}");
            assert_eq!((asked(bytes), set.white), (Some(bits as u8), top as f32));
        }
    }
}

#[test]
fn real_images_of_a_dim_camera() {
    let Some(data) = real_data() else { return };
    let folder = data.join("field/01-hot-pixel-changes-brightness/18b-dim-camera-hot-pixel");
    let files = ["f1_no_hot_pixel_max1120.tif", "f2_one_hot_pixel_4500.tif", "f3_one_hot_pixel_65535.tif"];
    let found: Vec<_> = files.iter().filter_map(|file| std::fs::read(folder.join(file)).ok()).map(asked).collect();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
}

/// A detector learns on images of one scale and takes that scale to others; both ways of opening them agree.
#[test]
fn a_detector_keeps_the_bit_depth_of_its_training() {
    let file = |bytes: Vec<u8>| json!([{ "channel": null, "file": "x.png", "bytes": bytes }]);
    let objects = json!([{ "box": [41.0, 4.0, 63.0, 60.0], "label": "cell" }]);
    let annotated = |name: &str, top, hot| {
        json!({
            "image": { "name": name, "files": file(png(top, hot)) },
            "annotations": { "image": name, "width": SIDE, "height": SIDE, "objects": objects },
        })
    };
    let mut settings = TrainConfig::from_scratch();
    (settings.budget, settings.batch_size, settings.repeats, settings.validation_share) =
        (Budget::Epochs(1), 1, 1, 0.0);
    settings.augment.crop = None;
    let shape = ShapeOptions {
        architecture: Some(Architecture::FasterRcnn),
        fpn_channels: Some(32),
        representation: Some(32),
        ..ShapeOptions::default()
    };
    let start = Start::Scratch { shape };
    let overrides = Overrides::default();
    let plan = Plan { start, settings: Some(settings), overrides, anchors: None, detector: Changes::new() };
    let mut engine = Engine::default();
    let mut run = |command: serde_json::Value| {
        let command: Command = serde_json::from_value(command).unwrap();
        pollster::block_on(engine.run(command, &NoObserver))
    };
    run(json!({ "type": "start", "device": "cpu", "probe": null })).unwrap();
    let images = [annotated("a", 300, None), annotated("b", 3000, Some(65_535))];
    let job = json!({ "type": "train", "name": "x", "plan": plan, "images": images, "store": "x", "resume": false });
    let Outcome::Trained(trained) = run(job).unwrap() else { panic!("no detector") };
    assert_eq!(trained.report.config.bit_depth.map(BitDepth::bits), Some(12));
    let (kept, _) = cytobox::weights::load("x", &trained.file, &Device::flex()).unwrap();
    assert_eq!(kept.config.bit_depth, trained.report.config.bit_depth);

    let image = json!({ "name": "c", "files": file(png(40_000, None)) });
    let detect = json!({ "type": "detect", "image": image, "score": 0.5 });
    let Outcome::Detections { warnings, .. } = run(detect).unwrap() else { panic!("no detections") };
    assert!(warnings[0].contains("exceed 4095"), "{warnings:?}");
    let survey = json!({ "type": "survey", "image": image });
    let Outcome::Depth { depth } = run(survey).unwrap() else { panic!("no depth") };
    assert_eq!(depth.map(BitDepth::bits), Some(16));
}
