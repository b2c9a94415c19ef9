//! The command line as seen by users and scripts: files, exit codes, resuming after an interruption.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

fn cytobox(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cytobox")).args(arguments).output().unwrap()
}

#[test]
fn a_closed_output_pipe_is_not_a_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.args(["train", "--data", "unused", "--out", "unused", "--show-recipe"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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

/// A folder of channel sets, and the name of one: of the Atlas, or synthetic where no real data are there.
fn atlas_images(folder: &Path) -> (PathBuf, &'static str) {
    match common::folder() {
        Some(data) => (data.join("hpa/test"), "001bcdd2-bbb2-11e8-b2ba-ac1f6b6435d0"),
        None => {
            let made = folder.join("synthetic");
            let output = cytobox(&["synth", "--out", &text(&made), "--images", "1", "--seed", "0"]);
            assert!(output.status.success(), "{}", stderr(&output));
            (made, "synthetic-0-0")
        }
    }
}

#[test]
fn a_broken_image_and_an_incomplete_set_do_not_stop_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let (sets, stem) = atlas_images(folder.path());
    for channel in ["red", "green", "blue", "yellow"] {
        let name = format!("{stem}_{channel}.png");
        fs::copy(sets.join(&name), images.join(&name)).unwrap();
    }
    let green = sets.join(format!("{stem}_green.png"));
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
fn help_shows_an_example() {
    for command in ["detect", "measure", "train", "evaluate", "merge", "plot", "convert", "info", "synth", "bench"] {
        let help = cytobox(&[command, "--help"]);
        let said = String::from_utf8_lossy(&help.stdout);
        assert!(said.contains(&format!("Example:\n  cytobox {command} ")), "{said}");
    }
}

#[test]
fn info_prints_the_metadata_of_a_detector() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cells.safetensors");
    let reference = common::folder().map(|data| data.join("models/hpa_maskrcnn_resnet18_fpn.safetensors"));
    for detector in [Some(bundled), reference].into_iter().flatten() {
        let output = cytobox(&["info", &text(&detector)]);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        for word in ["Mask R-CNN", "resnet18", "nucleoli", "not_nucleoli"] {
            assert!(said.contains(word), "{word} is missing in:\n{said}");
        }
    }
}

/// A folder with small synthetic images and a recipe that saves after every step.
fn samples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = text(&folder.path().join("data"));
    let output =
        cytobox(&["synth", "--out", &data, "--images", "6", "--width", "96", "--height", "96", "--seed", "37"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = cytobox(&["train", "--data", &data, "--out", "unused", "--show-recipe"]);
    let mut recipe: Value = serde_json::from_slice(&shown.stdout).unwrap();
    recipe["checkpoint_seconds"] = json!(0.0);
    recipe["repeats"] = json!(1);
    fs::write(folder.path().join("recipe.json"), recipe.to_string()).unwrap();
    folder
}

/// Two epochs of a narrow detector.
fn train(folder: &Path, out: &str, more: &[&str]) -> Command {
    let at = |name: &str| text(&folder.join(name));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.args(["train", "--data", &at("data"), "--out", &at(out), "--recipe", &at("recipe.json")]);
    command.args(["--epochs", "2", "--batch", "2", "--crop", "64", "--fpn-channels", "16", "--representation", "32"]);
    command.args(["--seed", "4", "--device", "cpu"]).args(more);
    command
}

/// The events in a detector's training log; an incomplete last line is ignored.
fn events(out: &Path) -> Vec<Value> {
    let log = fs::read_to_string(format!("{}.log.jsonl", out.display())).unwrap_or_default();
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// From scratch to an evaluation on synthetic images. The same run, killed half-way and resumed, gives the same file bit for bit.
#[test]
fn a_killed_run_resumes_to_the_same_file() {
    let folder = samples();
    let straight = train(folder.path(), "straight.safetensors", &[]).output().unwrap();
    assert!(straight.status.success(), "{}", stderr(&straight));
    assert!(stderr(&straight).contains("5 images to train on, 1 to validate with"), "{}", stderr(&straight));

    let out = folder.path().join("killed.safetensors");
    let mut child = train(folder.path(), "killed.safetensors", &[]).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let saved = |event: &Value| event["type"] == "checkpoint" && event["step"].as_u64() >= Some(2);
    while !events(&out).iter().any(saved) {
        assert!(started.elapsed() < Duration::from_secs(300), "no checkpoint: {:?}", events(&out));
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.exists(), "it was to be killed before its end");

    let resumed = train(folder.path(), "killed.safetensors", &["--resume"]).output().unwrap();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("going on after step"), "{}", stderr(&resumed));
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(file("killed.safetensors") == file("straight.safetensors"), "{}", stderr(&resumed));
    assert!(!folder.path().join("killed.safetensors.training").exists(), "checkpoints of a finished training go");

    let (data, model) = (text(&folder.path().join("data")), text(&out));
    let output = cytobox(&["evaluate", "--data", &data, "--model", &model, "--device", "cpu", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["images"], 6);
    assert!(found["map_50"].as_f64().is_some_and(|ap| (0.0..=1.0).contains(&ap)), "{found}");
    let info = cytobox(&["info", &model]);
    let said = String::from_utf8_lossy(&info.stdout);
    assert!(info.status.success() && said.contains("trained: cytobox") && said.contains("nucleoli"), "{said}");
}

#[test]
fn a_run_fine_tunes_from_the_bundled_detector() {
    let folder = samples();
    let at = |name: &str| text(&folder.path().join(name));
    for (more, new) in [(None, false), (Some("--new-heads"), true)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
        command.args([
            "train",
            "--data",
            &at("data"),
            "--out",
            &at("more.safetensors"),
            "--init",
            "default",
            "--force",
        ]);
        command.args(["--epochs", "1", "--crop", "64", "--trainable", "heads", "--device", "cpu"]).args(more);
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("know nothing yet of: not_nucleoli, nucleoli"), new, "{said}");
    }
}
