//! Training on the command line: finished work is kept, and what is not asked for is the base's and the recipe's.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// A folder with annotated images and a recipe that saves after every step.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let synth = ["synth", "--images", "2", "--width", "96", "--height", "96", "--seed", "37", "--out"];
        succeeds(cytobox(&synth).arg(this.at("data")));
        let shown = cytobox(&["train", "--data", "unused", "--out", "unused", "--show-recipe"]).output().unwrap();
        let mut recipe: Value = serde_json::from_slice(&shown.stdout).unwrap();
        (recipe["checkpoint_seconds"], recipe["repeats"]) = (json!(0.0), json!(1));
        (recipe["seed"], recipe["batch_size"], recipe["augment"]["crop"]) = (json!(4), json!(2), json!(64));
        fs::write(this.at("recipe.json"), recipe.to_string()).unwrap();
        this
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A narrow network; an epoch is a step.
    fn train(&self, out: &str, options: &[&str]) -> Command {
        let mut command = cytobox(&["train", "--device", "cpu", "--data"]);
        command.arg(self.at("data")).arg("--out").arg(self.at(out)).arg("--recipe").arg(self.at("recipe.json"));
        command.args(options);
        command
    }

    /// The same from scratch.
    fn narrow(&self, out: &str, options: &[&str]) -> Command {
        let mut command = self.train(out, &["--fpn-channels", "16", "--representation", "32", "--arch", "faster-rcnn"]);
        command.args(options);
        command
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn events(&self, out: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.at(&format!("{out}.log.jsonl"))).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn cytobox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

#[test]
fn a_finished_detector_is_replaced_only_when_that_is_asked_for() {
    let bench = Bench::new();
    succeeds(&mut bench.narrow("m.safetensors", &["--epochs", "1"]));
    let finished = bench.file("m.safetensors");
    let text = fails(&mut bench.narrow("m.safetensors", &["--epochs", "2", "--resume"]));
    assert!(text.contains("finished run") && text.contains("--init") && text.contains("--force"), "{text}");
    let text = fails(&mut bench.narrow("m.safetensors", &["--epochs", "2"]));
    assert!(text.contains("exists") && text.contains("--force"), "{text}");
    assert!(bench.file("m.safetensors") == finished, "it was replaced");
    // The way out that was named: and the new detector is what its base was, a Faster R-CNN.
    let base = bench.at("m.safetensors");
    succeeds(bench.train("more.safetensors", &["--epochs", "1"]).arg("--init").arg(&base).args(["--trainable", "all"]));
    assert_eq!(architecture(&bench.at("more.safetensors")), "fasterrcnn_resnet_fpn");
    succeeds(&mut bench.narrow("m.safetensors", &["--epochs", "2", "--force"]));
    assert!(bench.file("m.safetensors") != finished, "it was to be replaced");
}

fn architecture(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let config = cytobox::weights::describe("file", &bytes).unwrap().config;
    serde_json::to_value(config.architecture).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_resumed_run_takes_a_longer_budget_and_refuses_what_cannot_change() {
    let bench = Bench::new();
    let mut child = bench.narrow("m.safetensors", &["--epochs", "400"]).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !bench.events("m.safetensors").iter().any(|e| e["type"] == "checkpoint" && e["step"].as_u64() >= Some(2)) {
        assert!(started.elapsed() < Duration::from_secs(300), "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let steps = bench.events("m.safetensors").iter().filter(|e| e["type"] == "step").count() as u64;

    // Neither a run that starts over…
    let text = fails(&mut bench.narrow("m.safetensors", &["--epochs", "1"]));
    assert!(text.contains("did not end") && text.contains("--resume"), "{text}");
    // …nor one that is another takes its place.
    let other = ["--resume", "--arch", "mask-rcnn", "--backbone", "resnet34", "--batch", "3", "--seed", "9"];
    let text = fails(&mut bench.train("m.safetensors", &other));
    for named in ["architecture", "backbone", "batch_size", "seed"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    assert!(!text.contains("ema_decay"), "{text}");

    let epochs = (steps + 3).to_string();
    // Without the options of the beginning: they are the checkpoint's.
    let text = succeeds(&mut bench.train("m.safetensors", &["--resume", "--epochs", &epochs, "--rate", "0.0005"]));
    assert!(text.contains("going on after step") && text.contains(&format!("{epochs} steps")), "{text}");
    let events = bench.events("m.safetensors");
    let last = events.iter().rev().find(|e| e["type"] == "step").unwrap();
    assert_eq!(last["step"].as_u64(), Some(steps + 3));
    assert!(last["learningRate"].as_f64() <= Some(0.0005), "{last}");
    assert!(bench.at("m.safetensors").is_file());
}

#[test]
fn the_recipes_seed_stays_unless_another_is_given() {
    let bench = Bench::new();
    let seed = |options: &[&str]| {
        let output = bench.train("unused", &[&["--show-recipe"], options].concat()).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["seed"].clone()
    };
    assert_eq!((seed(&[]), seed(&["--seed", "0"])), (json!(4), json!(0)));
}
