//! A detection in shards: whatever happens to them, their results are those of one process, byte for byte.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::weights::{self, Precision};
use image::{GrayImage, ImageBuffer, Luma};
use serde_json::Value;

const FORMATS: &str = "jsonl,csv,coco,voc,yolo,measurements,labels,labels-png,rois,geojson";

/// An untrained network, which is the fastest; it finds boxes of every score.
fn model(seed: u64) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let file = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path().join(format!("{seed}.safetensors"));
    if !file.exists() {
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
        let detector = Detector::init(config, seed, &burn::tensor::Device::flex()).unwrap();
        let part = file.with_extension(format!("{:?}", thread::current().id()));
        fs::write(&part, pollster::block_on(weights::save(&detector, Precision::F16)).unwrap()).unwrap();
        fs::rename(part, &file).unwrap();
    }
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `cytobox detect` of a folder with the untrained network.
fn detect(images: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.arg("detect").arg(images).arg("--out").arg(out).arg("--model").arg(model(7));
    command.args(["--device", "cpu", "--max-detections", "3"]).args(options);
    if !options.contains(&"--score") {
        command.args(["--score", "0"]);
    }
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn join(shards: &[PathBuf], out: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
    command.arg("join").args(shards).arg("--out").arg(out).args(options).output().unwrap()
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

/// Plates with images by themselves and channel sets, equal names, 8 and 16 bits.
fn plates(folder: &Path, images: usize) {
    for i in 0..images {
        let plate = folder.join(["a", "b"][i % 2]);
        fs::create_dir_all(&plate).unwrap();
        let noise = |x: u32, y: u32| (x * 31 + y * 17 + i as u32 * 7).wrapping_mul(2_654_435_761) >> 16;
        match i % 3 {
            0 => {
                GrayImage::from_fn(40, 30, |x, y| Luma([noise(x, y) as u8])).save(plate.join(format!("f{}.png", i / 2)))
            }
            1 => ImageBuffer::from_fn(40, 30, |x, y| Luma([noise(x, y) as u16 & 4095]))
                .save(plate.join(format!("f{}.tif", i / 2))),
            _ => {
                for channel in ["C1", "C2"] {
                    GrayImage::from_fn(40, 30, |x, y| Luma([noise(y, x) as u8]))
                        .save(plate.join(format!("f{}_{channel}.png", i / 2)))
                        .unwrap();
                }
                Ok(())
            }
        }
        .unwrap();
    }
}

/// Every file of a folder by its path, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn expect_equal(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (path, bytes) in &a {
        assert!(*bytes == b[path], "{} differs", path.display());
    }
}

/// The folders of shards that are all done.
fn shards(images: &Path, folder: &Path, of: usize, options: &[&str]) -> Vec<PathBuf> {
    let shard = |k: usize| {
        let out = folder.join(format!("shard{k}"));
        let share = format!("{k}/{of}");
        succeeds(detect(images, &out, &[&["--shard", &share], options].concat()).output().unwrap());
        out
    };
    (1..=of).map(shard).collect()
}

#[test]
fn shards_joined_are_one_process_byte_for_byte_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let [images, one, joined] = ["images", "one", "joined"].map(|name| folder.path().join(name));
    plates(&images, 23);
    let options = ["--format", FORMATS, "--with-measurements"];
    succeeds(detect(&images, &one, &[&options[..], &["--jobs", "1"]].concat()).output().unwrap());
    for name in ["measurements.csv", "detections.json", "classes.txt", "a/f0.xml", "b/f0_rois.zip", "a/f1.geojson"] {
        assert!(one.join(name).is_file(), "{name}: {:?}", files(&one).keys());
    }
    let mut shards = shards(&images, folder.path(), 3, &[&options[..], &["--jobs", "3"]].concat());
    assert!(!shards[0].join("detections.jsonl").exists(), "formats are written once, by the join");
    shards.reverse();
    let text = succeeds(join(&shards, &joined, &[]));
    assert!(text.contains("23 of 23 images"), "{text}");
    expect_equal(&one, &joined);
    // Again, over what is there; and what is there goes on like any other results.
    succeeds(join(&shards, &joined, &[]));
    expect_equal(&one, &joined);
    let text = succeeds(detect(&images, &joined, &options).output().unwrap());
    assert!(text.contains("23 images were done before"), "{text}");

    // Several at once, with whatever number of threads, give the same bytes too.
    let many = folder.path().join("many");
    succeeds(detect(&images, &many, &[&options[..], &["--jobs", "5"]].concat()).output().unwrap());
    expect_equal(&one, &many);
}

#[test]
fn adding_an_image_moves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    plates(&images, 12);
    let plan = |options: &[&str]| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
        let output = command.args(["plan", text(&images), "--shards", "3", "--json"]).args(options).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let before = plan(&[]);
    let sum = |plan: &Value, of: &str| {
        plan["shards"].as_array().unwrap().iter().map(|s| s[of].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((before["images"].as_u64(), sum(&before, "images")), (Some(12), 12));
    assert!(before["bytes"].as_u64() == Some(sum(&before, "bytes")) && sum(&before, "bytes") > 1000);
    let done = shards(&images, folder.path(), 3, &[]);
    GrayImage::new(40, 30).save(images.join("b/new.png")).unwrap();
    let after = plan(&[]);
    let grown = |shard: usize| {
        after["shards"][shard]["images"].as_u64().unwrap() - before["shards"][shard]["images"].as_u64().unwrap()
    };
    assert_eq!((0..3).map(grown).sum::<u64>(), 1);

    // A shard that has not seen the new image cannot be joined; one that runs again does only what is new.
    let out = folder.path().join("joined");
    let counts: Vec<usize> = (1..=3)
        .map(|k| {
            let share = format!("{k}/3");
            let text = succeeds(detect(&images, &done[k - 1], &["--shard", &share]).output().unwrap());
            if k == 1 {
                let text = fails(join(&done, &out, &[]));
                assert!(text.contains("images changed between the shards") && !out.exists(), "{text}");
            }
            let before = text.lines().find(|line| line.contains("done before")).unwrap_or("0");
            before.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 12, "all but the new one were done");
    succeeds(join(&done, &out, &[]));
    let one = folder.path().join("one");
    succeeds(detect(&images, &one, &[]).output().unwrap());
    expect_equal(&one, &out);
}

#[test]
fn what_does_not_belong_together_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    plates(&images, 12);
    let done = shards(&images, folder.path(), 3, &["--format", "csv"]);
    let refused = |shards: &[PathBuf], words: &[&str]| {
        let text = fails(join(shards, &out, &[]));
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
        assert!(!out.exists(), "{text}");
    };
    refused(&done[..2], &["missing: shard 3/3"]);
    refused(&[&done[..], &done[..1]].concat(), &["shard 1/3 is there twice"]);
    refused(std::slice::from_ref(&images), &["not the output of `cytobox detect --shard`"]);

    let other = |name: &str, options: &[&str], words: &[&str]| {
        let shard = folder.path().join(name);
        succeeds(detect(&images, &shard, &[&["--shard", "2/3"], options].concat()).output().unwrap());
        refused(&[done[0].clone(), shard, done[2].clone()], words);
    };
    other("score", &["--format", "csv", "--score", "0.5"], &["score: 0.0 in", "0.5 in"]);
    other("format", &["--format", "csv,coco"], &["formats"]);
    other("depth", &["--format", "csv", "--bit-depth", "14"], &["bit depth: 12 in", "14 in"]);

    // A shard of another number of shards; a folder that holds another shard or a whole detection.
    let half = folder.path().join("half");
    succeeds(detect(&images, &half, &["--shard", "2/2", "--format", "csv"]).output().unwrap());
    refused(&[done[0].clone(), half.clone()], &["is shard 1/3", "is shard 2/2"]);
    let text = fails(detect(&images, &half, &["--shard", "1/2"]).output().unwrap());
    assert!(text.contains("holds shard 2/2"), "{text}");
    assert!(fails(detect(&images, &half, &[]).output().unwrap()).contains("holds shard 2/2"));
    assert!(fails(join(&done, &done[0], &[])).contains("holds a shard itself"));
    assert_eq!(detect(&images, &out, &["--shard", "4/3"]).output().unwrap().status.code(), Some(2));

    // Results of other images are not replaced unless told.
    let else_where = folder.path().join("elsewhere");
    plates(&else_where, 2);
    let results = folder.path().join("results");
    succeeds(detect(&else_where, &results, &[]).output().unwrap());
    assert!(fails(join(&done, &results, &[])).contains("not in these shards"));
    succeeds(join(&done, &results, &["--force"]));
    assert_eq!(fs::read_to_string(results.join("detections.csv")).unwrap().lines().count() - 1, 12 * 3);
}

#[test]
fn a_shard_of_another_detector_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    plates(&images, 4);
    let shard = |k: usize, seed: u64| {
        let out = folder.path().join(format!("{k}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
        command.arg("detect").arg(&images).arg("--out").arg(&out).arg("--model").arg(model(seed));
        succeeds(command.args(["--device", "cpu", "--score", "0", "--shard", &format!("{k}/2")]).output().unwrap());
        out
    };
    let text = fails(join(&[shard(1, 7), shard(2, 8)], &folder.path().join("out"), &[]));
    assert!(text.contains("detector (SHA-256)"), "{text}");
}

#[test]
fn an_unreadable_image_is_named_and_left_out_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out, one] = ["images", "out", "one"].map(|name| folder.path().join(name));
    plates(&images, 12);
    let whole = fs::read(images.join("a/f0.png")).unwrap();
    fs::write(images.join("a/f0.png"), &whole[..whole.len() / 2]).unwrap();
    let options = ["--format", FORMATS];
    let mut failed = 0;
    let mut done = Vec::new();
    for k in 1..=2 {
        let shard = folder.path().join(format!("{k}"));
        let share = format!("{k}/2");
        let output = detect(&images, &shard, &[&options[..], &["--shard", &share]].concat()).output().unwrap();
        if !output.status.success() {
            failed += 1;
            let text = fails(output);
            assert!(text.contains("not done:") && text.contains("a/f0.png") && text.contains("1 of"), "{text}");
        }
        done.push(shard);
    }
    assert_eq!(failed, 1);
    let text = fails(join(&done, &out, &[]));
    assert!(text.contains("1 of") && text.contains("not finished: a/f0.png") && !out.exists(), "{text}");
    let text = succeeds(join(&done, &out, &["--skip-bad"]));
    assert!(
        text.contains("left out: shard") && text.contains("a/f0.png") && text.contains("11 of 12 images"),
        "{text}"
    );
    fails(detect(&images, &one, &options).output().unwrap());
    expect_equal(&one, &out);
}

/// Lines of a journal, the first one among them.
fn lines(out: &Path) -> usize {
    fs::read(out.join("cytobox-scan.jsonl")).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Kills a process as soon as its journal has so many lines more.
fn kill_behind(mut command: Command, out: &Path, more: usize) -> bool {
    let wanted = lines(out) + more;
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "nothing is done");
        if lines(out) >= wanted {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_shard_that_is_killed_resumes_behind_its_last_finished_image() {
    let folder = tempfile::tempdir().unwrap();
    let [images, one, joined] = ["images", "one", "joined"].map(|name| folder.path().join(name));
    plates(&images, 60);
    let options = ["--format", FORMATS, "--with-measurements"];
    succeeds(detect(&images, &one, &options).output().unwrap());
    let mut done = Vec::new();
    let mut kills = 0;
    for k in 1..=2 {
        let out = folder.path().join(format!("{k}"));
        let share = format!("{k}/2");
        let options = [&options[..], &["--shard", &share]].concat();
        for more in [2, 5, 9] {
            kills += usize::from(kill_behind(detect(&images, &out, &options), &out, more));
            if k == 2 && more == 5 {
                let text = fails(join(&[done.clone(), vec![out.clone()]].concat(), &joined, &[]));
                assert!(text.contains("shard 2/2") && text.contains("are not finished") && !joined.exists(), "{text}");
            }
        }
        let before = lines(&out) - 1;
        let text = succeeds(detect(&images, &out, &options).output().unwrap());
        assert!(text.contains(&format!("{before} images were done before")), "{before}: {text}");
        assert!(text.contains("is taken over") && !out.join("cytobox.lock").exists(), "{text}");
        done.push(out);
    }
    assert!(kills >= 4, "{kills} of 6 kills hit a running process");
    succeeds(join(&done, &joined, &[]));
    expect_equal(&one, &joined);
}

#[test]
fn a_second_process_on_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    plates(&images, 80);
    let mut first = detect(&images, &out, &["--jobs", "1"]).spawn().unwrap();
    let started = Instant::now();
    while lines(&out) < 2 {
        assert!(started.elapsed() < Duration::from_secs(120));
        thread::sleep(Duration::from_millis(1));
    }
    let second = detect(&images, &out, &[]).output().unwrap();
    let is_running = first.try_wait().unwrap().is_none();
    assert!(is_running, "it ended too early to tell");
    let text = fails(second);
    assert!(text.contains("is in use") && text.contains(&format!("process {} on", first.id())), "{text}");
    assert!(first.wait().unwrap().success());
    let text = succeeds(detect(&images, &out, &[]).output().unwrap());
    assert!(text.contains("80 images were done before"), "{text}");
}

#[test]
fn images_come_from_a_list_and_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let [images, one, out] = ["images", "one", "out"].map(|name| folder.path().join(name));
    plates(&images, 6);
    let listed: Vec<String> = files(&images).keys().map(|path| text(&images.join(path)).to_owned()).collect();
    let list = folder.path().join("list.txt");
    fs::write(&list, listed.join("\r\n")).unwrap();
    succeeds(detect(&images, &one, &[]).output().unwrap());
    let run = |list: &str, out: &Path, options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cytobox"));
        command.args(["detect", "--list", list, "--device", "cpu", "--score", "0", "--max-detections", "3"]);
        command.arg("--out").arg(out).arg("--model").arg(model(7)).args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let bytes = [listed.join("\n"), format!("\n{}\n\n", images.join("gone.png").display())].concat();
        // A process that reads a file leaves its input alone.
        let _ = child.stdin.take().unwrap().write_all(bytes.as_bytes());
        child.wait_with_output().unwrap()
    };
    succeeds(run(text(&list), &out, &[]));
    expect_equal(&one, &out);
    let piped = folder.path().join("piped");
    let text = fails(run("-", &piped, &["--root", text(&images)]));
    assert!(text.contains("gone.png") && text.contains("1 files or folders could not be read"), "{text}");
    expect_equal(&one, &piped);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_folder_that_vanishes_are_one_sentence_each() {
    let folder = tempfile::tempdir().unwrap();
    let [images, out] = ["images", "out"].map(|name| folder.path().join(name));
    plates(&images, 40);
    // A limit of the size of files is what a full disk is to the process, if it ignores the signal.
    let limited = |blocks: usize| {
        let shard = detect(&images, &out, &["--shard", "1/1"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        shell.arg(shard.get_program()).args(shard.get_args()).output().unwrap()
    };
    // Of 512 bytes: the shard's list fits, not all of its journal.
    let text = fails(limited(24));
    let lines_of_it = text.lines().filter(|line| line.contains("cytobox-scan.jsonl")).count();
    assert!(lines_of_it == 1 && text.contains("the same command resumes behind them"), "{text}");
    let before = lines(&out) - 1;
    assert!(before > 0 && before < 40, "{before}");
    let text = succeeds(detect(&images, &out, &["--shard", "1/1"]).output().unwrap());
    assert!(text.contains(&format!("{before} images were done before")), "{text}");

    let gone = folder.path().join("gone");
    let mut child = detect(&images, &gone, &["--jobs", "1"]).spawn().unwrap();
    while lines(&gone) < 3 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    fs::rename(&images, folder.path().join("moved")).unwrap();
    let text = fails(child.wait_with_output().unwrap());
    assert!(text.contains("The folder of the images is gone") && text.matches("not done").count() == 0, "{text}");
}
