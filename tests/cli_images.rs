//! Images on the command line: one brightness for a folder, and what is asked about.
#![cfg(not(target_arch = "wasm32"))]

mod image_files;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use burn::tensor::Device;
use cytobox::{
    channels::{self, Merge, Pages, Samples, decode},
    detections::{Detection, ImageDetections},
    model::Scale,
    native::bundled,
    synth::{self, SynthOptions},
    weights::{self, Precision},
};
use image_files::{Png, TiffPage, tiff};

fn merge(folder: &Path, out: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.arg("merge").arg(folder).arg("--out").arg(out).args(options).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The first samples of a merged image in red.
fn first(path: &Path) -> u8 {
    match &decode("x.png", &fs::read(path).unwrap(), Pages::Ask).unwrap().planes[0].samples {
        Samples::U8(samples) => samples[0],
        Samples::U16(_) | Samples::F32(_) => panic!("not 8 bit"),
    }
}

#[test]
fn a_folder_of_16_bit_images_has_one_full_scale_reported_once() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let save = |name: &str, top: u16, hot: bool| {
        let mut samples = vec![top; 64 * 64];
        samples[99] = if hot { 65_535 } else { top };
        fs::write(folder.path().join(name), Png::new(64, 64, 16, 0).file(&samples)).unwrap();
    };
    save("a.png", 800, false);
    save("b.png", 800, true);
    save("c.png", 4000, false);
    let value = |name: &str| first(&out.path().join(name));
    let done = merge(folder.path(), out.path(), &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!([value("a.png"), value("b.png"), value("c.png")], [50, 50, 249], "800 and 4000 of 4095");
    assert_eq!(stderr(&done).matches("full brightness").count(), 1, "{}", stderr(&done));

    let done = merge(folder.path(), out.path(), &["--bit-depth", "16"]);
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
    assert_eq!(value("c.png"), 16);
    let done = merge(folder.path(), out.path(), &["--bit-depth", "10"]);
    assert!(stderr(&done).contains("c: its samples exceed 1023"), "{}", stderr(&done));
    assert!(!merge(folder.path(), out.path(), &["--bit-depth", "17"]).status.success());
}

#[test]
fn pages_without_a_description_need_the_users_word() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = |v| TiffPage::new(2, 1, 8, 1, 1).strip(vec![v; 2]);
    fs::write(folder.path().join("x.tif"), tiff(&[page(200), page(0), page(0)], false)).unwrap();
    let refused = merge(folder.path(), out.path(), &[]);
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("--pages channels"), "{}", stderr(&refused));
    let done = merge(folder.path(), out.path(), &["--pages", "channels"]);
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(first(&out.path().join("x.png")), 200);
}

/// Ten fields side by side are one image that is too wide for memory; the detector sees it at its own scale.
#[test]
fn detection_reads_an_image_that_memory_does_not_take() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (name, bytes) = bundled::ATLAS.read();
    let mut detector = weights::load(&name, &bytes, &Device::flex()).unwrap().0;
    (detector.config.scale, detector.config.cell_diameter) = (Scale::Fixed(0.5), Some(120.0));
    let model = folder.path().join("model.safetensors");
    fs::write(&model, pollster::block_on(weights::save(&detector, Precision::F16)).unwrap()).unwrap();

    // Cells twice as large as the detector's.
    let (side, fields) = (1024usize, 9);
    let options = SynthOptions { width: side as u32, height: side as u32, cell_size: 2.0, ..SynthOptions::default() };
    let field = channels::merge(&synth::generate(&options, 0).unwrap().set, &Merge::hpa()).unwrap();
    let row = |y: usize| &field.rgb[y * side * 3..(y + 1) * side * 3];
    let samples: Vec<u8> = (0..side).flat_map(|y| row(y).repeat(fields)).map(|v| (v * 255.0) as u8).collect();
    let page = TiffPage::new((side * fields) as u32, side as u32, 8, 3, 2).strip(samples);
    let image = folder.path().join("wide.tif");
    fs::write(&image, tiff(&[page], false)).unwrap();

    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.arg("detect").arg(&image).arg("--model").arg(&model).arg("--out").arg(out.path());
    let done = command.args(["--device", "cpu", "--format", "jsonl,coco"]).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let lines = fs::read_to_string(out.path().join("detections.jsonl")).unwrap();
    let found: ImageDetections = serde_json::from_str(&lines).unwrap();
    assert_eq!((found.width as usize, found.height as usize, found.limit_reached), (side * fields, side, None));
    // Every field has the same cells, but for those on its border.
    let inner = |n: usize| {
        let centre = |d: &Detection| (d.bbox.x1() + d.bbox.x2()) / 2.0 - (n * side) as f32;
        found.detections.iter().filter(|d| (200.0..824.0).contains(&centre(d))).count()
    };
    let counts: Vec<usize> = (0..fields).map(inner).collect();
    println!("{counts:?}");
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    assert!(least >= 5 && most - least <= 2, "{counts:?}");

    let refused = merge(folder.path(), out.path(), &[]);
    assert!(!refused.status.success() && stderr(&refused).contains("cytobox detect"), "{}", stderr(&refused));
}
