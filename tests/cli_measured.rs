//! What leaves the command line beside boxes: measurements within other formats, the report of a folder, thresholds of classes.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn cytobox(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cytobox")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it prints.
fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A folder with annotated synthetic images.
fn samples(images: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeeds(cytobox(&["synth", "--out", text(folder.path()), "--images", images, "--seed", "3"]));
    folder
}

/// Rows of a table.
fn rows(path: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(path).unwrap().records().map(|row| row.unwrap()).collect()
}

#[test]
fn detections_with_measurements_and_their_report() {
    let (images, out) = (samples("2"), tempfile::tempdir().unwrap());
    let results = text(out.path());
    let formats = "coco,jsonl,measurements,labels-png";
    let detect = ["detect", text(images.path()), "--out", results, "--device", "cpu", "--format", formats];
    succeeds(cytobox(&[&detect[..], &["--with-measurements"]].concat()));
    let cells = rows(&out.path().join("measurements.csv")).len();
    assert!(cells > 5, "{cells}");
    let coco = json(&out.path().join("detections.json"));
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), cells);
    for annotation in annotations {
        assert_eq!(annotation["measurements"]["area [px²]"], annotation["area"], "{annotation}");
        assert!(annotation["measurements"]["green mean [grey level]"].is_number());
    }
    let lines = fs::read_to_string(out.path().join("detections.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let measured = |line: &Value| {
        let detections = line["detections"].as_array().unwrap().clone();
        detections.iter().filter(|one| one["measurements"]["region"] == "mask").count()
    };
    assert_eq!(lines.iter().map(measured).sum::<usize>(), cells);
    let left: Vec<_> = fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
    assert!(out.path().join("synthetic-3-0_labels.png").exists());

    // Without the flag nothing is measured for them.
    succeeds(cytobox(&detect));
    assert!(json(&out.path().join("detections.json"))["annotations"][0].get("measurements").is_none());

    succeeds(cytobox(&["report", results, "--title", "<Plate 1>"]));
    let page = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("<h1>&lt;Plate 1&gt;</h1>") && page.contains(&format!("<td class=n>{cells}</td>")));
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("green mean") && !page.contains("Missing"));

    // One image is gone: it is named, its cells are counted, and the exit code tells.
    for channel in ["red", "green", "blue", "yellow"] {
        fs::remove_file(images.path().join(format!("synthetic-3-1_{channel}.png"))).unwrap();
    }
    let output = cytobox(&["report", results]);
    assert!(!output.status.success() && said(&output).contains("synthetic-3-1"), "{}", said(&output));
    let page = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(page.contains("<li>synthetic-3-1: not measured") && page.contains(&format!("<td class=n>{cells}</td>")));

    let nothing = tempfile::tempdir().unwrap();
    assert!(said(&cytobox(&["report", text(nothing.path())])).contains("cytobox detect"));
}

#[test]
fn annotations_leave_with_measurements() {
    let (images, out) = (samples("2"), tempfile::tempdir().unwrap());
    let formats = "measurements,labels-png,coco,jsonl";
    succeeds(cytobox(&["measure", "--data", text(images.path()), "--out", text(out.path()), "--format", formats]));
    let coco = json(&out.path().join("annotations.json"));
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), rows(&out.path().join("measurements.csv")).len());
    assert!(
        annotations.iter().all(|one| one["measurements"]["area [px²]"] == one["area"] && one.get("score").is_none())
    );
    let lines = std::fs::read_to_string(out.path().join("annotations.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let objects = lines.iter().flat_map(|line| line["objects"].as_array().unwrap());
    for (object, annotation) in objects.clone().zip(annotations) {
        assert_eq!(object["measurements"], annotation["measurements"]);
    }
    assert_eq!(objects.count(), annotations.len());
}

#[test]
fn thresholds_are_chosen_kept_and_used() {
    let (images, out) = (samples("3"), tempfile::tempdir().unwrap());
    let detector = out.path().join("own.safetensors");
    let choose = |goal: &[&str]| {
        let common = ["thresholds", "--data", text(images.path()), "--device", "cpu", "--out", text(&detector)];
        succeeds(cytobox(&[&common[..], goal].concat()))
    };
    let chosen = choose(&[]);
    assert_eq!(chosen.matches("F1").count(), 4, "two classes, each beside 0.7: {chosen}");
    let strict = choose(&["--precision", "0.97"]);
    assert!(
        strict.contains("precision 0.97")
            || strict.contains("precision 0.98")
            || strict.contains("precision 0.99")
            || strict.contains("precision 1.000"),
        "{strict}"
    );
    let info = succeeds(cytobox(&["info", text(&detector)]));
    assert!(info.contains("score threshold of "), "{info}");
    let config: Value = serde_json::from_str(info.lines().last().unwrap()).unwrap();
    let thresholds = config["class_score_thresh"].as_object().unwrap();

    let detect = |name: &str, more: &[&str]| {
        let folder = out.path().join(name);
        let common =
            ["detect", text(images.path()), "--model", text(&detector), "--device", "cpu", "--out", text(&folder)];
        let output = cytobox(&[&common[..], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        let lines = fs::read_to_string(folder.join("detections.jsonl")).unwrap();
        let image = |line: &str| serde_json::from_str::<Value>(line).unwrap()["detections"].as_array().unwrap().clone();
        (lines.lines().flat_map(image).collect::<Vec<Value>>(), said(&output))
    };
    let (own, told) = detect("own", &[]);
    let (all, silent) = detect("all", &["--score", "0.05"]);
    assert!(told.contains("score threshold") && !silent.contains("score threshold"), "{told}");
    let least =
        |one: &Value| thresholds.get(one["label"].as_str().unwrap()).map_or(0.7, |score| score.as_f64().unwrap());
    let expected = all.iter().filter(|one| one["score"].as_f64().unwrap() >= least(one) - 1e-7).count();
    assert!(own.len() == expected && own.len() < all.len(), "{} of {}, expected {expected}", own.len(), all.len());

    let refused = cytobox(&["thresholds", "--data", text(images.path()), "--precision", "2"]);
    assert_eq!(refused.status.code(), Some(2));
}
