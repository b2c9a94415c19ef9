//! Images of floating point, of signed numbers and of more than 16 bits: their own values are read and measured, and a picture
//! of them is what lies between two percentiles or in a range.
#![cfg(not(target_arch = "wasm32"))]

mod image_files;

use std::io::Cursor;

use cytobox::boxes::BoxXyxy;
use cytobox::channels::{
    Channel, ChannelSet, Decoded, Merge, Pages, Plane, ReadOptions, RegionFile, SampleRange, Samples, assemble, decode,
    merge,
};
use cytobox::detections::{Detection, ImageDetections};
use cytobox::export::measured;
use cytobox::masks::Rle;
use cytobox::measure::{Options, Ring, Value};
use half::f16;
use image_files::{TiffPage, tiff};
use serde_json::Value as Json;
use tiff::encoder::{Compression, TiffEncoder, colortype};
use tiff::tags::Predictor;

const WIDTH: u32 = 37;
const HEIGHT: u32 = 23;

/// The samples as each coding has them: bits, SampleFormat, the bytes of a sample in either order.
type Coding = (u32, u32, fn(f64, bool) -> Vec<u8>);

macro_rules! coding {
    ($bits:expr, $format:expr, $kind:ty) => {
        (
            $bits,
            $format,
            |v, big| if big { (v as $kind).to_be_bytes().to_vec() } else { (v as $kind).to_le_bytes().to_vec() },
        )
    };
}

const CODINGS: [Coding; 9] = [
    coding!(8, 2, i8),
    coding!(16, 2, i16),
    coding!(32, 2, i32),
    coding!(64, 2, i64),
    coding!(32, 1, u32),
    coding!(64, 1, u64),
    (16, 3, |v, big| if big { f16::from_f64(v).to_be_bytes().into() } else { f16::from_f64(v).to_le_bytes().into() }),
    coding!(32, 3, f32),
    coding!(64, 3, f64),
];

/// Whole numbers that every coding holds.
fn value(i: u32, signed: bool) -> f64 {
    f64::from(i * 37 % 120) - if signed { 60.0 } else { 0.0 }
}

fn floats(plane: &Plane) -> &[f32] {
    let Samples::F32(v) = &plane.samples else { panic!("not floating point") };
    v
}

#[test]
fn every_coding_keeps_its_values_in_memory_and_in_regions() {
    let folder = tempfile::tempdir().unwrap();
    for (bits, format, bytes) in CODINGS {
        for (big, tiled) in [(false, false), (true, false), (false, true), (true, true)] {
            let page = TiffPage::new(WIDTH, HEIGHT, bits, 1, 1).tag(339, &[format]);
            let coded = |i| bytes(value(i, format != 1), big);
            let page = if tiled {
                let of_tile = |left: u32, top: u32| (0..256).map(move |i| (left + i % 16, top + i / 16));
                let tiles = (0..HEIGHT).step_by(16).flat_map(|top| (0..WIDTH).step_by(16).map(move |left| (left, top)));
                let tile = |(left, top)| of_tile(left, top).flat_map(|(x, y)| coded(y * WIDTH + x)).collect();
                page.tiles(16, 16, tiles.map(tile).collect())
            } else {
                page.strip((0..WIDTH * HEIGHT).flat_map(coded).collect())
            };
            let what = format!("{bits} bit, format {format}, big {big}, tiled {tiled}");
            let file = tiff(&[page], big);
            let decoded = decode("a.tif", &file, Pages::Ask).unwrap_or_else(|e| panic!("{what}: {e}"));
            let expected: Vec<f32> = (0..WIDTH * HEIGHT).map(|i| value(i, format != 1) as f32).collect();
            assert_eq!(floats(&decoded.planes[0]), expected, "{what}");
            let path = folder.path().join("a.tif");
            std::fs::write(&path, &file).unwrap();
            let part = RegionFile::open(&path, Pages::Ask).unwrap().region(3..20, 5..36).unwrap();
            let expected: Vec<f32> =
                (3..20).flat_map(|y| (5..36).map(move |x| value(y * WIDTH + x, format != 1) as f32)).collect();
            assert_eq!(floats(&part.planes[0]), expected, "{what}");
        }
    }
}

#[test]
fn compressed_floats_of_several_channels_are_read() {
    let samples: Vec<f32> = (0..WIDTH * HEIGHT * 3).map(|i| (i as f32).sin() * 1e-3).collect();
    for (what, compression, predictor) in [
        ("none", Compression::Uncompressed, Predictor::None),
        ("LZW", Compression::Lzw, Predictor::None),
        ("Deflate", Compression::Deflate(Default::default()), Predictor::None),
    ] {
        let mut file = Cursor::new(Vec::new());
        let encoder = TiffEncoder::new(&mut file).unwrap();
        let mut encoder = encoder.with_compression(compression).with_predictor(predictor);
        encoder.write_image::<colortype::RGB32Float>(WIDTH, HEIGHT, &samples).unwrap();
        let decoded = decode("a.tif", file.get_ref(), Pages::Ask).unwrap();
        for (c, plane) in decoded.planes.iter().enumerate() {
            assert_eq!(floats(plane), samples.chunks(3).map(|p| p[c]).collect::<Vec<_>>(), "{what} {c}");
        }
    }
}

fn grey(samples: &[f32]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let width = samples.len() as u32;
    TiffEncoder::new(&mut file).unwrap().write_image::<colortype::Gray32Float>(width, 1, samples).unwrap();
    file.into_inner()
}

fn read(samples: &[f32], range: Option<SampleRange>) -> ChannelSet {
    let files = [(None, "x.tif".to_owned(), grey(samples))];
    assemble("x", &files, &ReadOptions { range, ..ReadOptions::default() }).unwrap()
}

fn picture(set: &ChannelSet) -> Vec<f32> {
    merge(set, &Merge::for_set(set)).unwrap().rgb.chunks(3).map(|pixel| pixel[0]).collect()
}

#[test]
fn a_picture_is_what_lies_between_two_percentiles_or_in_the_range() {
    let ramp: Vec<f32> = (0..=1000).map(|i| i as f32 / 1e4 - 0.02).collect();
    let set = read(&ramp, None);
    assert_eq!((set.bits(), set.black, set.white), (32, ramp[10], ramp[998]));
    let shown = picture(&set);
    assert_eq!((shown[0], shown[10], shown[998], shown[1000]), (0.0, 0.0, 1.0, 1.0));
    assert!((shown[504] - 0.5).abs() < 1e-4);
    // Two images of one set are treated alike.
    let range = SampleRange::new(0.0, 0.5).unwrap();
    let [bright, dim] = [1.0, 0.1].map(|factor| ramp.iter().map(|v| v * factor).collect::<Vec<_>>());
    let [bright, dim] = [bright, dim].map(|samples| picture(&read(&samples, Some(range)))[1000]);
    assert!((bright - 0.16).abs() < 1e-6 && (dim - 0.016).abs() < 1e-6, "{bright} {dim}");
}

#[test]
fn what_is_no_number_is_black_and_said() {
    let mut samples: Vec<f32> = (0..1001).map(|i| i as f32).collect();
    samples[500..503].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    let set = read(&samples, None);
    assert_eq!((set.black, set.white), (10.0, 998.0));
    assert!(set.warnings[0].starts_with("x: 3 samples are NaN or infinite"), "{:?}", set.warnings);
    assert_eq!(picture(&set)[500..503], [0.0, 1.0, 0.0]);
    assert!(picture(&read(&[f32::NAN; 9], None)).iter().all(|v| *v == 0.0));
    assert!(picture(&read(&[-3e38, 3e38, 1.0], None)).iter().all(|v| v.is_finite()));
}

#[test]
fn a_missing_channel_is_black_however_dark_the_others_are() {
    let plane = |offset: f32| grey(&[offset, offset + 1.0, offset + 3.0]);
    let files: Vec<(Option<Channel>, String, Vec<u8>)> =
        [Channel::Red, Channel::Green, Channel::Blue].map(|c| (Some(c), format!("x_{c}.tif"), plane(-5.0))).into();
    let fill = [Channel::Yellow];
    let set = assemble("x", &files, &ReadOptions { fill: &fill, ..ReadOptions::default() }).unwrap();
    assert_eq!((set.black, set.white, &set.filled[..]), (-5.0, -2.0, &fill[..]));
    // The warning is of the missing channel, not of numbers in it.
    assert_eq!(set.warnings.len(), 1, "{:?}", set.warnings);
    assert_eq!(merge(&set, &Merge::hpa()).unwrap().rgb[..6], [0.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
}

/// A golden case of floating point, through a file: what scikit-image measures is measured.
#[test]
fn an_image_of_floats_is_measured_as_scikit_image_does() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("golden/measure.json")).unwrap();
    let mut compared = 0;
    for case in cases.iter().filter(|case| case["depth"] == "float32") {
        let number = |v: &Json| v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap());
        let samples: Vec<f32> = case["samples"].as_array().unwrap().iter().map(|v| number(v) as f32).collect();
        let [width, height] = ["width", "height"].map(|side| case[side].as_u64().unwrap() as u32);
        let mut file = Cursor::new(Vec::new());
        TiffEncoder::new(&mut file).unwrap().write_image::<colortype::Gray32Float>(width, height, &samples).unwrap();
        let files = [(None, "x.tif".to_owned(), file.into_inner())];
        let set = assemble("x", &files, &ReadOptions::default()).unwrap();
        let detection = |cell: &Json| {
            let mask: Rle = serde_json::from_value(cell.clone()).unwrap();
            let bbox = BoxXyxy::try_from(mask.bbox().unwrap().map(|c| c as f32)).unwrap();
            Detection { bbox, label: "cell".into(), score: 1.0, mask: Some(mask) }
        };
        let cells = case["cells"].as_array().unwrap();
        let detections = cells.iter().map(detection).collect();
        let image = ImageDetections { image: "x".into(), width, height, detections, ..ImageDetections::default() };
        let [inner, outer] = [0, 1].map(|i| case["ring"][i].as_u64().unwrap() as u32);
        let ring = Ring::new(inner, outer).unwrap();
        let table = measured(&image, &set, &Options { ring, ..Options::default() }).unwrap();
        for (row, cell) in table.rows().iter().zip(cells) {
            for (name, key) in [("mean", "mean"), ("median", "median"), ("SD", "sd"), ("min", "min"), ("max", "max")] {
                for (place, prefix) in [("inside", "grey"), ("ring", "grey ring")] {
                    let header = format!("{prefix} {name} [grey level]");
                    let at = table.columns().iter().position(|c| c.header() == header).unwrap();
                    match (&row[at], cell[place][key].as_f64()) {
                        (Value::Number(a), Some(b)) => {
                            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{header}: {a} {b}")
                        }
                        (found, expected) => assert_eq!((found, expected), (&Value::Missing, None), "{header}"),
                    }
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 400, "{compared}");
}

/// The samples of the file stand for light as they are: what is inverted has no largest number to be taken from.
#[test]
fn inverted_floats_stay_as_they_are() {
    let bytes = [0.25f32, -1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let page = TiffPage::new(2, 1, 32, 1, 0).tag(339, &[3]).strip(bytes);
    let Decoded { planes, .. } = decode("a.tif", &tiff(&[page], false), Pages::Ask).unwrap();
    assert_eq!(floats(&planes[0]), [0.25, -1.0]);
}
