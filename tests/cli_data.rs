//! Annotated folders on the command line: every layout that people have, and what cannot be used of them.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use cytobox::channels::{Channel, Merge};
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::weights::{self, Precision};
use image::{GrayImage, Luma, RgbImage};
use serde_json::Value;

const SIDE: u32 = 40;

/// A network that knows nothing and was made for red, green, blue and yellow.
fn model() -> &'static PathBuf {
    static MODEL: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let config = DetectorConfig {
            architecture: Architecture::MaskRcnn,
            backbone: Backbone::ResNet18,
            fpn_channels: 2,
            mask_layers: vec![2; 4],
            mask_dim_reduced: 2,
            classes: vec!["__background__".into(), "cell".into()],
            representation_size: 4,
            box_roi_pool_size: 2,
            min_size: 32,
            max_size: 32,
            merge: Some(Merge::for_channels(&Channel::HPA)),
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

fn evaluate(folder: &Path, options: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    program.args(["evaluate", "--device", "cpu", "--json", "--data"]).arg(folder).arg("--model").arg(model());
    program.args(options).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Images and boxes that an evaluation counted.
fn counted(folder: &Path, options: &[&str]) -> (u64, u64) {
    let output = evaluate(folder, options);
    assert!(output.status.success(), "{}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    (found["images"].as_u64().unwrap(), found["boxes"].as_u64().unwrap())
}

fn refused(folder: &Path) -> String {
    let output = evaluate(folder, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn put(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn merged_image(path: PathBuf) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(SIDE, SIDE, Luma([90])).save(path).unwrap();
}

/// Two cells on an image of that many pixels a side.
fn xml(side: u32) -> String {
    let cell = |x: u32| {
        format!(
            "<object><name>cell</name><bndbox><xmin>{x}</xmin><ymin>3</ymin><xmax>{}</xmax><ymax>12</ymax></bndbox></object>",
            x + 9
        )
    };
    format!("<annotation><size><width>{side}</width><height>{side}</height></size>{}{}</annotation>", cell(2), cell(20))
}

fn coco(file: &str) -> String {
    let cell = |id: u32| {
        format!(r#"{{"id":{id},"image_id":1,"category_id":1,"bbox":[{},3,9,9],"area":81,"iscrowd":0}}"#, 10 * id)
    };
    format!(
        r#"{{"images":[{{"id":1,"file_name":"{file}","width":{SIDE},"height":{SIDE}}}],"annotations":[{},{}],"categories":[{{"id":1,"name":"cell"}}]}}"#,
        cell(1),
        cell(2)
    )
}

const YOLO: &str = "0 0.25 0.25 0.2 0.2\n0 0.75 0.75 0.2 0.2\n";

#[test]
fn annotations_are_found_in_every_layout_that_the_page_takes() {
    type Layout = fn(&Path);
    let layouts: [(&str, Layout); 9] = [
        ("beside", |at| {
            merged_image(at.join("a.png"));
            put(at.join("a.xml"), xml(SIDE));
        }),
        ("voc", |at| {
            merged_image(at.join("JPEGImages/a.png"));
            put(at.join("Annotations/a.xml"), xml(SIDE));
            put(at.join("ImageSets/Main/train.txt"), "a\n");
        }),
        ("upper case", |at| {
            merged_image(at.join("a.png"));
            put(at.join("a.XML"), xml(SIDE));
        }),
        ("double extension", |at| {
            merged_image(at.join("a.tif.png"));
            put(at.join("a.tif.xml"), xml(SIDE));
        }),
        ("channel", |at| {
            for channel in ["red", "green", "blue", "yellow"] {
                merged_image(at.join(format!("a_{channel}.png")));
            }
            put(at.join("a_green.xml"), xml(SIDE));
        }),
        ("coco beside", |at| {
            merged_image(at.join("a.png"));
            put(at.join("annotations.json"), coco("a.png"));
        }),
        ("coco above", |at| {
            merged_image(at.join("images/a.png"));
            put(at.join("annotations/instances.json"), coco("a.png"));
        }),
        ("yolo beside", |at| {
            merged_image(at.join("a.png"));
            put(at.join("a.txt"), YOLO);
            put(at.join("classes.txt"), "cell\n");
        }),
        ("yolo apart", |at| {
            merged_image(at.join("images/a.png"));
            put(at.join("labels/a.txt"), YOLO);
            put(at.join("classes.txt"), "cell\n");
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, make) in layouts {
        let at = folder.path().join(name);
        make(&at);
        assert_eq!(counted(&at, &[]), (1, 2), "{name}");
    }
}

#[test]
fn plates_with_equal_names_keep_their_own_annotations() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for plate in ["one", "two"] {
        merged_image(at(&format!("{plate}/images/a.png")));
    }
    put(at("one/annotations/a.xml"), xml(SIDE));
    let one =
        "<object><name>cell</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object>";
    let size = format!("<size><width>{SIDE}</width><height>{SIDE}</height></size>");
    put(at("two/annotations/a.xml"), format!("<annotation>{size}{one}</annotation>"));
    assert_eq!(counted(folder.path(), &[]), (2, 3));
    assert_eq!((counted(&at("one"), &[]), counted(&at("two"), &[])), ((1, 2), (1, 1)));
}

#[test]
fn a_table_gets_its_outlines_from_label_images() {
    let folder = tempfile::tempdir().unwrap();
    merged_image(folder.path().join("a.png"));
    put(folder.path().join("annot.txt"), "a.png,5,5,15,15,cell\n");
    let label = |x, y| Luma([u8::from((5..15).contains(&x) && (5..15).contains(&y))]);
    GrayImage::from_fn(SIDE, SIDE, label).save(folder.path().join("a_mask.png")).unwrap();
    assert_eq!(counted(folder.path(), &["--masks"]), (1, 1));
}

#[test]
fn everything_that_cannot_be_used_is_in_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["good", "cut", "other", "broken", "sensor"] {
        merged_image(at(&format!("{name}.png")));
        put(at(&format!("{name}.xml")), xml(SIDE));
    }
    put(at("cut.xml"), &xml(SIDE)[..200]);
    put(at("other.xml"), xml(SIDE * 2));
    let whole = fs::read(at("broken.png")).unwrap();
    put(at("broken.png"), &whole[..whole.len() - 20]);
    // A microscope's own file is none of them.
    put(at("sensor.xml"), "<?xml version=\"1.0\"?><Data><Attachment Name=\"HardwareSetting\"/></Data>");
    put(at("settings.json"), "{\"exposure\": 3}");
    put(at("Results.csv"), " ,Area,Mean\n1,30,2.5\n");
    let text = refused(folder.path());
    for bad in ["cut.xml", "40 × 40", "broken.png"] {
        let named = text.lines().any(|line| line.starts_with("  ") && line.contains(bad));
        assert!(named, "{bad} is not listed in:\n{text}");
    }
    assert!(text.contains("3 files of") && text.contains("--skip-bad"), "{text}");
    assert!(text.contains("not an annotation of these images") && text.contains("sensor.xml"), "{text}");
    assert_eq!(counted(folder.path(), &["--skip-bad"]), (1, 2));
}

#[test]
fn files_that_were_seen_and_not_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    merged_image(folder.path().join("a.png"));
    assert!(refused(folder.path()).contains("there are no annotation files"));
    put(folder.path().join("other.xml"), xml(SIDE));
    let text = refused(folder.path());
    assert!(text.contains("seen and not used") && text.contains("other.xml"), "{text}");
}

/// The detector has weights for red, green, blue and yellow; grey and RGB images are seen as `detect` sees them.
#[test]
fn evaluate_takes_what_detect_takes() {
    let folder = tempfile::tempdir().unwrap();
    merged_image(folder.path().join("grey.png"));
    RgbImage::from_pixel(SIDE, SIDE, image::Rgb([9, 99, 199])).save(folder.path().join("colour.png")).unwrap();
    for name in ["grey", "colour"] {
        put(folder.path().join(format!("{name}.xml")), xml(SIDE));
    }
    assert_eq!(counted(folder.path(), &[]), (2, 4));
}

/// A photograph of 80 × 40 stored pixels that a camera wants to be seen turned by a quarter.
fn photograph(path: PathBuf) {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(80, 40, image::Rgb([90, 90, 90])).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    // A TIFF directory with one entry: tag 274, one SHORT, 6.
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let jpeg = jpeg.into_inner();
    put(path, [&jpeg[..2], &[0xff, 0xe1], &length, exif, &jpeg[2..]].concat());
}

#[test]
fn boxes_on_the_upright_view_of_a_photograph_are_turned() {
    let folder = tempfile::tempdir().unwrap();
    photograph(folder.path().join("phone.jpg"));
    let size = "<size><width>40</width><height>80</height></size>";
    let own = format!("<size><width>{SIDE}</width><height>{SIDE}</height></size>");
    put(folder.path().join("phone.xml"), xml(SIDE).replace(&own, size));
    let output = evaluate(folder.path(), &[]);
    assert!(output.status.success() && said(&output).contains("upright view"), "{}", said(&output));
}
