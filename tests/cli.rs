//! The command line as a user and as automation see it: files, exit codes, going on after an interruption.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn cytobox(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cytobox")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The detections of a `detections.jsonl` by image.
fn read_jsonl(path: PathBuf) -> BTreeMap<String, Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|v| (v["image"].as_str().unwrap().to_owned(), v))
        .collect()
}

fn corners(detection: &Value) -> [f32; 4] {
    std::array::from_fn(|i| detection["box"][i].as_f64().unwrap() as f32)
}

#[test]
fn detects_what_torchvision_detects() {
    let Some(data) = common::real_data() else { return };
    let out = tempfile::tempdir().unwrap();
    let model = text(&data.join("models/hpa_maskrcnn_resnet18_fpn.safetensors"));
    let run = || {
        cytobox(&[
            "detect",
            &text(&data.join("hpa/test")),
            "--model",
            &model,
            "--out",
            &text(out.path()),
            "--format",
            "voc,coco,yolo,csv,jsonl",
            "--score",
            "0.5",
            "--device",
            "cpu",
        ])
    };
    let output = run();
    assert!(output.status.success(), "{}", stderr(&output));

    let found = read_jsonl(out.path().join("detections.jsonl"));
    let theirs: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(&fs::read_to_string(data.join("models/predictions_hpa_test.json")).unwrap()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (image, expected) in &theirs {
        let expected: Vec<_> = expected.iter().filter(|d| d["score"].as_f64().unwrap() > 0.5).collect();
        let found = found[image]["detections"].as_array().unwrap();
        // A score may cross 0.5 by the difference that is allowed between the two.
        let sure = expected.iter().filter(|d| d["score"].as_f64().unwrap() > 0.505).count();
        assert!((sure..=expected.len() + 1).contains(&found.len()), "{image}: {} found", found.len());
        for detection in expected.iter().filter(|d| d["score"].as_f64().unwrap() > 0.505) {
            let matched = found.iter().any(|f| {
                f["label"] == detection["label"]
                    && cytobox::boxes::iou(corners(f), corners(detection)) >= 0.98
                    && (f["score"].as_f64().unwrap() - detection["score"].as_f64().unwrap()).abs() <= 0.005
            });
            assert!(matched, "{image}: {detection} was not found");
        }
        assert!(out.path().join(format!("{image}.xml")).is_file());
        assert!(out.path().join(format!("{image}.txt")).is_file());
    }
    let coco: Value = serde_json::from_str(&fs::read_to_string(out.path().join("detections.json")).unwrap()).unwrap();
    assert_eq!(coco["images"].as_array().unwrap().len(), 5);
    let total: usize = found.values().map(|v| v["detections"].as_array().unwrap().len()).sum();
    assert_eq!(coco["annotations"].as_array().unwrap().len(), total);

    // A second run has nothing to do, and changes nothing.
    let before = fs::read(out.path().join("detections.jsonl")).unwrap();
    let again = run();
    assert!(again.status.success() && stderr(&again).contains("5 images were done before"), "{}", stderr(&again));
    assert_eq!(fs::read(out.path().join("detections.jsonl")).unwrap(), before);
}

#[test]
fn a_broken_image_and_an_incomplete_set_do_not_stop_the_rest() {
    let Some(data) = common::real_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let stem = "001bcdd2-bbb2-11e8-b2ba-ac1f6b6435d0";
    for channel in ["red", "green", "blue", "yellow"] {
        let name = format!("{stem}_{channel}.png");
        fs::copy(data.join("hpa/test").join(&name), images.join(&name)).unwrap();
    }
    let green = data.join(format!("hpa/test/{stem}_green.png"));
    fs::copy(&green, images.join("lonely_green.png")).unwrap();
    let bytes = fs::read(&green).unwrap();
    fs::write(images.join("broken.png"), &bytes[..bytes.len() / 2]).unwrap();

    let out = folder.path().join("merged");
    let output = cytobox(&["merge", &text(&images), "--out", &text(&out)]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("lonely") && said.contains("missing"), "{said}");
    assert!(said.contains("broken") && said.contains("2 of 3"), "{said}");
    assert!(out.join(format!("{stem}.png")).is_file());

    let output = cytobox(&["merge", &text(&images.join("lonely_green.png")), "--out", &text(&out), "--fill-missing"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(out.join("lonely.png").is_file());
}

#[test]
fn wrong_commands_end_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let empty = text(folder.path());
    let nothing = cytobox(&["merge", &empty, "--out", &empty]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("no images there"));

    fs::write(folder.path().join("model.safetensors"), b"not a model").unwrap();
    let broken = cytobox(&["info", &text(&folder.path().join("model.safetensors"))]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stderr(&broken).contains("model.safetensors"), "{}", stderr(&broken));

    assert_eq!(cytobox(&["detect", &empty]).status.code(), Some(2));
    assert_eq!(cytobox(&["detect", &empty, "--model", "m", "--out", &empty, "--score", "7"]).status.code(), Some(2));
}

#[test]
fn info_tells_what_the_reference_model_is() {
    let Some(data) = common::real_data() else { return };
    let output = cytobox(&["info", &text(&data.join("models/hpa_maskrcnn_resnet18_fpn.safetensors"))]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    for word in ["Mask R-CNN", "resnet18", "nucleoli", "not_nucleoli"] {
        assert!(said.contains(word), "{word} is missing in:\n{said}");
    }
}
