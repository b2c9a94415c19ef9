//! The examples run, and the crate as a library detects as the command line does, trains, saves, and says what is wrong.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    cell::Cell,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cytobox::{
    Channel, DataOptions, DetectOptions, Detection, Detector, DeviceChoice, Error, Image, ImageDetections,
    ImageOptions, NoObserver, Observer, TrainEvent, TrainObserver, TrainOptions,
    boxes::iou,
    synth::{self, SynthImage, SynthOptions},
};

const SIDE: u32 = 128;

fn synthetic(side: u32, index: u32) -> SynthImage {
    synth::generate(&SynthOptions { width: side, height: side, seed: 41, ..SynthOptions::default() }, index).unwrap()
}

/// Annotated images, as files.
fn folder(images: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in (0..images).flat_map(|index| synth::files(&synthetic(SIDE, index)).unwrap()) {
        fs::write(folder.path().join(file.name), file.bytes).unwrap();
    }
    folder
}

fn channels(folder: &Path, name: &str) -> Vec<PathBuf> {
    Channel::HPA.iter().map(|channel| folder.join(format!("{name}_{channel}.png"))).collect()
}

fn bundled() -> Detector {
    Detector::bundled_on(DeviceChoice::Cpu).unwrap()
}

fn everything() -> DetectOptions {
    DetectOptions { score: 0.1, ..DetectOptions::default() }
}

/// Whether two detectors find the same, but for the rounding of weights that were folded and saved.
fn same(a: &[Detection], b: &[Detection]) -> bool {
    let close = |(a, b): (&Detection, &Detection)| {
        a.label == b.label && (a.score - b.score).abs() < 1e-3 && iou(a.bbox.corners(), b.bbox.corners()) > 0.99
    };
    a.len() == b.len() && a.iter().zip(b).all(close)
}

/// Runs an example, which `cargo test` builds beside the tests.
fn example(name: &str, arguments: &[&Path]) -> Output {
    let tests = env::current_exe().unwrap();
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let path = tests.parent().and_then(Path::parent).unwrap().join("examples").join(file);
    assert!(path.exists(), "build it with: cargo build --release --examples");
    Command::new(path).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_examples_run() {
    let text = printed(&example("detect", &[]));
    assert!(text.contains("mask of") && text.contains("cells in 512 × 512 pixels"), "{text}");
    let data = folder(2);
    let out = data.path().join("mine.safetensors");
    let text = printed(&example("train", &[data.path(), &out, Path::new("1")]));
    assert!(text.contains("step 1") && text.contains("classes: ") && out.exists(), "{text}");
}

#[test]
fn files_and_decoded_channels_give_the_same() {
    let data = folder(1);
    let image = synthetic(SIDE, 0);
    let detector = bundled();
    let options = everything();
    let detect = |image: Image| detector.detect_with(image, &options, &NoObserver).unwrap();
    let decoded = detect(image.set.clone().into());
    assert!(!decoded.detections.is_empty());
    let files = detect(Image::files(channels(data.path(), &image.name)));
    assert_eq!((&files.file, &files.image), (&format!("{}.png", image.name), &image.name));
    let found = Image::find([data.path()]).unwrap();
    assert_eq!(found.len(), 1, "the label image is none");
    for other in found.into_iter().map(detect).chain([files]) {
        assert_eq!(ImageDetections { file: String::new(), ..other }, decoded);
    }
}

#[test]
fn what_cannot_be_used_is_an_error_with_a_reason() {
    let data = folder(2);
    let detector = bundled();
    let code = |image: Image| detector.detect(image).unwrap_err().code();
    assert_eq!(code("nowhere.png".into()), "io");
    assert_eq!(code(data.path().join("synthetic-41-0.xml").into()), "image");
    let red = channels(data.path(), "synthetic-41-0").swap_remove(0);
    assert_eq!(code(red.as_path().into()), "channel-missing");
    let filled = Image::from(red).with(ImageOptions { fill_missing: true, ..ImageOptions::default() });
    assert_eq!(detector.detect(filled).unwrap().filled, [Channel::Green, Channel::Blue, Channel::Yellow]);
    let both: Vec<PathBuf> =
        ["0", "1"].iter().flat_map(|i| channels(data.path(), &format!("synthetic-41-{i}"))).collect();
    assert!(detector.detect(Image::files(both)).unwrap_err().to_string().contains("2 images"));

    let mut set = synthetic(SIDE, 0).set;
    set.planes.values_mut().next_back().unwrap().width = 7;
    assert_eq!(code(set.clone().into()), "channel-mismatch");
    set.planes.values_mut().for_each(|plane| plane.width = 7);
    assert_eq!(code(set.clone().into()), "image");
    set.planes.clear();
    assert_eq!(code(set.into()), "image");

    let odd = DetectOptions { score: f32::NAN, ..DetectOptions::default() };
    assert_eq!(detector.detect_with(synthetic(SIDE, 0).set, &odd, &NoObserver).unwrap_err().code(), "usage");
    assert_eq!(Detector::open("nowhere.safetensors").unwrap_err().code(), "io");
    let xml = data.path().join("synthetic-41-0.xml");
    let refused = Detector::open_on(DeviceChoice::Cpu, xml).unwrap_err().to_string();
    assert!(refused.contains("synthetic-41-0.xml"), "{refused}");
}

/// Ends a run when it has begun.
#[derive(Default)]
struct Impatient {
    steps: Cell<u64>,
    ends_after: u64,
}

impl Observer for Impatient {
    fn is_cancelled(&self) -> bool {
        self.steps.get() >= self.ends_after
    }
}

impl TrainObserver for Impatient {
    fn event(&self, event: TrainEvent) {
        if let TrainEvent::Step { step, .. } = event {
            self.steps.set(step);
        }
    }
}

#[test]
fn a_detector_is_trained_saved_and_opened_again() {
    let (data, out) = (folder(2), tempfile::tempdir().unwrap());
    let at = |name: &str| out.path().join(name);
    let detect = |detector: &Detector| {
        detector.detect_with(synthetic(SIDE, 0).set, &everything(), &NoObserver).unwrap().detections
    };
    let mut detector = bundled();
    let before = detect(&detector);
    let options = TrainOptions { checkpoints: Some(at("run")), ..TrainOptions::epochs(1) };
    let cancelled = detector.train_with(data.path(), &options, &Impatient::default());
    assert_eq!(cancelled.unwrap_err(), Error::Cancelled);
    assert!(detect(&detector) == before, "a run that is cancelled changes nothing");

    let summary = detector.train(data.path(), &options).unwrap();
    assert!(summary.steps >= 1 && summary.validation_images.is_empty(), "{summary:?}");
    let trained = detect(&detector);
    assert!(!same(&trained, &before));
    // The checkpoint of a finished run gives its detector again.
    let mut other = bundled();
    other.train(data.path(), &options).unwrap();
    assert!(same(&detect(&other), &trained));

    detector.save(at("mine.safetensors")).unwrap();
    let opened = Detector::open_on(DeviceChoice::Cpu, at("mine.safetensors")).unwrap();
    assert_eq!(opened.classes(), detector.classes());
    assert!(same(&detect(&opened), &trained));
    detector.save_f16(at("half.safetensors")).unwrap();
    let bytes = |name: &str| fs::metadata(at(name)).unwrap().len();
    assert!(bytes("half.safetensors") < bytes("mine.safetensors") * 2 / 3);
}

#[test]
fn annotations_that_cannot_be_used_are_listed_or_skipped() {
    let data = folder(2);
    fs::write(data.path().join("synthetic-41-1.xml"), "<annotation>").unwrap();
    let mut detector = bundled();
    let refused = detector.train(data.path(), &TrainOptions::epochs(1)).unwrap_err().to_string();
    assert!(refused.contains("synthetic-41-1.xml"), "{refused}");
    // All are skipped: nothing to train on.
    fs::write(data.path().join("synthetic-41-0.xml"), "<annotation>").unwrap();
    for mask in ["synthetic-41-0_mask.png", "synthetic-41-1_mask.png"] {
        fs::remove_file(data.path().join(mask)).unwrap();
    }
    let skip = DataOptions { skip_bad: true, ..DataOptions::default() };
    let options = TrainOptions { data: skip, ..TrainOptions::epochs(1) };
    assert_eq!(detector.train(data.path(), &options).unwrap_err().code(), "usage");
}
