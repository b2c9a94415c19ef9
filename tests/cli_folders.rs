//! The command line on real-world folders: duplicate names, damaged files, dangling links.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use cytobox::limits;
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::weights::{self, Precision, state::RawTensor};
use image::{GrayImage, ImageBuffer, Luma};
use serde_json::Value;

fn cytobox(command: &str, paths: &[&Path], out: &Path, options: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    program.arg(command).args(paths).arg("--out").arg(out).args(options).output().unwrap()
}

fn merge(folder: &Path, out: &Path, options: &[&str]) -> Output {
    cytobox("merge", &[folder], out, options)
}

/// With an untrained network, which is the fastest.
fn detect(folder: &Path, out: &Path, options: &[&str]) -> Output {
    let model = model().to_str().unwrap();
    cytobox("detect", &[folder], out, &[&["--device", "cpu", "--model", model, "--score", "1"], options].concat())
}

fn model() -> &'static PathBuf {
    static MODEL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let config = DetectorConfig {
            architecture: Architecture::FasterRcnn,
            backbone: Backbone::ResNet18,
            fpn_channels: 2,
            classes: vec!["__background__".into(), "cell".into()],
            representation_size: 4,
            box_roi_pool_size: 2,
            min_size: 32,
            max_size: 32,
            ..DetectorConfig::default()
        };
        let detector = Detector::init(config, 7, &burn::tensor::Device::flex()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        fs::write(&file, pollster::block_on(weights::save(&detector, Precision::F16)).unwrap()).unwrap();
        (folder, file)
    };
    &MODEL.get_or_init(make).1
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn fails(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn merged_image(path: &Path, brightness: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(8, 8, Luma([brightness])).save(path).unwrap();
}

fn brightness(path: &Path) -> u8 {
    image::open(path).unwrap().to_luma8()[(0, 0)][0]
}

/// The names in `detections.jsonl`, in its order.
fn found(out: &Path) -> Vec<String> {
    let text = fs::read_to_string(out.join("detections.jsonl")).unwrap();
    let name = |line: &str| serde_json::from_str::<Value>(line).unwrap()["image"].as_str().unwrap().to_owned();
    text.lines().map(name).collect()
}

#[test]
fn equal_names_are_merged_into_the_out_folder_and_over_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a/X.png", "b/X.png"].map(|name| folder.path().join("images").join(name));
    merged_image(&first, 10);
    merged_image(&second, 20);
    let out = folder.path().join("merged");
    succeeds(merge(&folder.path().join("images"), &out, &[]));
    assert_eq!([out.join("a/X.png"), out.join("b/X.png")].map(|file| brightness(&file)), [10, 20]);
    let before = [&first, &second].map(|file| fs::read(file).unwrap());
    assert_eq!([&first, &second].map(|file| brightness(file)), [10, 20]);

    let text = fails(merge(&folder.path().join("images/a"), &folder.path().join("images/a"), &[]));
    assert!(text.contains("overwrite one of the images"), "{text}");
    assert_eq!([&first, &second].map(|file| fs::read(file).unwrap()), before);
}

#[test]
fn a_scan_tells_images_of_one_name_apart() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, out] = ["one", "two", "out"].map(|name| folder.path().join(name));
    merged_image(&one.join("X.png"), 10);
    merged_image(&two.join("X.png"), 20);
    succeeds(detect(&one, &out, &["--format", "jsonl,voc"]));
    assert_eq!(found(&out), ["X"]);
    // Another folder with the same names is other work, and takes nothing away.
    succeeds(detect(&two, &out, &["--format", "jsonl,voc"]));
    assert_eq!(found(&out), ["X", "two/X"]);
    assert!(out.join("X.xml").is_file() && out.join("two/X.xml").is_file());
    for folder in [&one, &two] {
        let text = succeeds(detect(folder, &out, &[]));
        assert!(text.contains("1 images were done before"), "{text}");
    }
    // What has changed is done again, and counts once.
    merged_image(&one.join("X.png"), 30);
    fs::File::open(one.join("X.png")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let text = succeeds(detect(&one, &out, &[]));
    assert!(!text.contains("done before"), "{text}");
    assert_eq!(found(&out), ["two/X", "X"]);
    succeeds(detect(&one, &out, &["--force"]));
    assert_eq!(found(&out), ["X"]);
}

#[cfg(unix)]
#[test]
fn unreadable_files_are_reported_and_the_rest_continues() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    merged_image(&images.join("good.png"), 10);
    std::os::unix::fs::symlink("nowhere.png", images.join("link.png")).unwrap();
    std::os::unix::fs::symlink(".", images.join("round")).unwrap();
    let _pipe = std::os::unix::net::UnixListener::bind(images.join("socket.png")).unwrap();
    for output in [merge(&images, &out, &[]), detect(&images, &out, &[])] {
        let text = fails(output);
        assert!(text.contains("not done") && text.contains("link.png: No such file"), "{text}");
        assert!(text.contains("1 files or folders could not be read"), "{text}");
        assert!(text.contains("round: it leads back") && text.contains("socket.png: it is neither"), "{text}");
    }
    assert!(out.join("good.png").is_file());
    assert_eq!(found(&out), ["good"]);
    // Without it, all that was asked is done.
    fs::remove_file(images.join("link.png")).unwrap();
    succeeds(detect(&images, &out, &[]));
    fails(detect(&images.join("link.png"), &out, &[]));
}

#[test]
fn a_broken_channel_is_reported_and_never_filled() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    for channel in ["green", "blue", "yellow"] {
        merged_image(&images.join(format!("A_{channel}.png")), 10);
    }
    fs::write(images.join("A_red.png"), "not an image").unwrap();
    for output in [merge(&images, &out, &["--fill-missing"]), detect(&images, &out, &["--fill-missing"])] {
        let text = fails(output);
        assert!(text.contains("A_red.png: this is not a PNG") && text.contains("1 of 1"), "{text}");
    }
    assert!(!out.join("A.png").exists());
    fs::remove_file(images.join("A_red.png")).unwrap();
    for output in [merge(&images, &out, &["--fill-missing"]), detect(&images, &out, &["--fill-missing"])] {
        let text = succeeds(output);
        assert!(text.contains("A: the red channel is filled with black"), "{text}");
    }
}

#[test]
fn image_warnings_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    merged_image(&images.join("good.png"), 10);
    merged_image(&images.join("lonely_mask.png"), 1);
    fs::write(images.join("broken.png"), "not an image").unwrap();
    ImageBuffer::from_pixel(8, 8, Luma([900u16])).save(images.join("deep.png")).unwrap();
    for output in [merge(&images, &out, &[]), detect(&images, &out, &[])] {
        let text = fails(output);
        assert!(text.contains("lonely_mask.png: its name says that it holds the object labels"), "{text}");
        assert!(text.contains("16-bit images: 1023 (10 bit) is taken for full brightness"), "{text}");
        let broken = text.lines().find(|line| line.starts_with("not done: broken")).unwrap();
        assert!(broken.contains("this is not a PNG, JPEG or TIFF image"), "{text}");
        assert!(text.contains("1 of 3 images could not be done"), "{text}");
    }
}

/// torchvision's published ResNet-50 detectors are larger than any image may be.
#[test]
fn a_large_detector_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.safetensors");
    let bytes = fs::read(model()).unwrap();
    let mut state = weights::read("small", &bytes).unwrap();
    let count = limits::FILE_BYTES as usize / 4 + 1;
    state.tensors.insert("more".into(), RawTensor::from_f32(vec![count], &vec![0.0; count]));
    fs::write(&file, weights::safetensors::write("large", &state).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cytobox")).arg("info").arg(&file).output().unwrap();
    succeeds(output);
}

/// The `file` of each image of a COCO file and the first column of the table, once an image.
fn named(out: &Path) -> [Vec<String>; 2] {
    let coco: Value = serde_json::from_slice(&fs::read(out.join("detections.json")).unwrap()).unwrap();
    let images = coco["images"].as_array().unwrap().iter();
    let table = fs::read_to_string(out.join("detections.csv")).unwrap();
    let mut rows: Vec<String> = table.lines().skip(1).map(|l| l.split(',').next().unwrap().to_owned()).collect();
    rows.dedup();
    [images.map(|image| image["file_name"].as_str().unwrap().to_owned()).collect(), rows]
}

#[test]
fn images_of_one_name_in_two_plates_are_told_apart_in_every_result_file() {
    let folder = tempfile::tempdir().unwrap();
    let screen = folder.path().join("screen");
    for (place, brightness) in [("plateA/f01.png", 10), ("plateB/f01.png", 20), ("plateB/g07.png", 30)] {
        merged_image(&screen.join(place), brightness);
    }
    let out = folder.path().join("out");
    succeeds(detect(&screen, &out, &["--format", "jsonl,voc,yolo,coco,csv"]));
    let places = ["plateA/f01.png", "plateB/f01.png", "plateB/g07.png"].map(str::to_owned);
    for mut files in named(&out) {
        files.sort();
        assert_eq!(files, places);
    }
    for image in ["plateA/f01", "plateB/f01", "g07"] {
        assert!(out.join(format!("{image}.xml")).is_file() && out.join(format!("{image}.txt")).is_file(), "{image}");
    }
    let xml = fs::read_to_string(out.join("plateB/f01.xml")).unwrap();
    assert!(xml.contains("<folder>plateB</folder>") && xml.contains("<path>plateB/f01.png</path>"), "{xml}");

    // One folder by itself has the names that it always had.
    let one = folder.path().join("one");
    succeeds(detect(&screen.join("plateA"), &one, &["--format", "csv,coco,voc"]));
    assert_eq!(named(&one), [["f01.png"], ["f01.png"]].map(|names| names.map(str::to_owned).to_vec()));
    let xml = fs::read_to_string(one.join("f01.xml")).unwrap();
    assert!(xml.contains("<folder></folder>") && xml.contains("<path>f01.png</path>"), "{xml}");
}

#[test]
fn a_reached_limit_is_reported_at_the_end_and_in_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    fs::create_dir_all(&images).unwrap();
    GrayImage::from_fn(64, 64, |x, y| Luma([noise(64 * y + x)])).save(images.join("dense.png")).unwrap();
    let run = |options: &[&str]| {
        let model = model().to_str().unwrap();
        let fixed = ["--device", "cpu", "--model", model, "--score", "0.05", "--force"];
        succeeds(cytobox("detect", &[&images], &out, &[&fixed, options].concat()))
    };
    let line = || fs::read_to_string(out.join("detections.jsonl")).unwrap();
    let text = run(&["--max-detections", "1"]);
    assert!(text.contains("1 of 1 images reached the limit of 1 detections") && text.contains("dense"), "{text}");
    assert!(line().contains("\"limit_reached\":1"), "{}", line());
    let text = run(&["--max-detections", "2000"]);
    assert!(!text.contains("limit") && !line().contains("limit_reached"), "{text}");
}

#[test]
fn cells_of_an_earlier_run_are_measured_from_their_files() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (plate, value) in [("p1", 900u16), ("p2", 2000)] {
        fs::create_dir(folder.path().join(plate)).unwrap();
        let image = ImageBuffer::<Luma<u16>, _>::from_fn(40, 30, |x, y| Luma([value + (x * y % 7) as u16]));
        image.save(folder.path().join(plate).join("f.png")).unwrap();
    }
    let detect = |options: &[&str]| {
        let model = model().to_str().unwrap();
        let fixed = ["--device", "cpu", "--model", model, "--score", "0", "--max-detections", "2"];
        cytobox("detect", &[folder.path()], out.path(), &[&fixed, options].concat())
    };
    succeeds(detect(&[]));
    let again = succeeds(detect(&["--format", "measurements,labels,rois,GeoJSON", "--pixel-size", "0.5"]));
    assert!(again.contains("2 images were done before"), "{again}");
    let mut reader = csv::Reader::from_path(out.path().join("measurements.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let number = |row: &csv::StringRecord, name: &str| -> f64 {
        row[header.iter().position(|column| column == name).unwrap()].parse().unwrap()
    };
    assert!(!rows.is_empty() && rows.iter().all(|row| &row[0] == "f.png" && row[1].starts_with('p')), "{rows:?}");
    for row in &rows {
        let base = if &row[1] == "p1" { 900.0 } else { 2000.0 };
        assert!(
            (base..base + 7.0).contains(&number(row, "grey mean [grey level]")),
            "in the depth of the file: {row:?}"
        );
        assert_eq!(number(row, "area [px²]") / 4.0, number(row, "area [µm²]"));
    }
    for name in ["measurements-summary.csv", "p1/f_labels.tif", "p2/f_rois.zip", "p2/f.geojson"] {
        assert!(out.path().join(name).is_file(), "{name}");
    }
    // What is gone cannot be measured, and that is said; the rest is.
    fs::remove_file(folder.path().join("p2/f.png")).unwrap();
    let failed = detect(&["--format", "measurements"]);
    assert!(!failed.status.success() && said(&failed).contains("not done: p2/f"), "{}", said(&failed));
    let left = fs::read_to_string(out.path().join("measurements.csv")).unwrap();
    assert!(left.contains("f.png,p1,") && !left.contains("f.png,p2,"), "{left}");
    for bad in [["--ring", "5,2"], ["--ring", "2"], ["--pixel-size", "0"], ["--format", "exe"]] {
        assert_eq!(detect(&bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn annotated_cells_are_measured_as_detected_ones_are() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("p")).unwrap();
    GrayImage::from_fn(20, 16, |x, _| Luma([x as u8])).save(folder.path().join("p/a.png")).unwrap();
    let cell = |x: u32, y: u32| u8::from((4..8).contains(&x) && (5..8).contains(&y));
    GrayImage::from_fn(20, 16, |x, y| Luma([cell(x, y)])).save(folder.path().join("p/a_mask.png")).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    program.arg("measure").arg("--data").arg(folder.path()).arg("--out").arg(out.path());
    succeeds(program.args(["--format", "measurements,geojson"]).output().unwrap());
    let mut reader = csv::Reader::from_path(out.path().join("measurements.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let field = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
    let found = ["image", "folder", "class", "score", "detector", "region"].map(field);
    assert_eq!(found, ["a.png", "p", "cell", "", "", "mask"]);
    assert_eq!(["area [px²]", "grey mean [grey level]", "ring area [px²]"].map(field), ["12", "5.5", "95"]);
    let objects: Value = serde_json::from_slice(&fs::read(out.path().join("a.geojson")).unwrap()).unwrap();
    assert!(objects["features"][0]["properties"]["measurements"].get("score").is_none());
}
