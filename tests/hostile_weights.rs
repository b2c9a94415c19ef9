//! Damaged and malicious detector files: each gives an error with a clear message, never a panic or a network.
#![cfg(not(target_arch = "wasm32"))]

mod golden;
mod torch_files;

use burn::tensor::Device;
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::weights::{self, LoadReport, Precision, pickle, safetensors};
use cytobox::{Error, limits};
use serde_json::{Value, json};
use std::sync::OnceLock;
use torch_files::{Py, Writer};

/// A detector that is as small as a ResNet-18 lets it be.
fn config() -> DetectorConfig {
    DetectorConfig {
        architecture: Architecture::FasterRcnn,
        backbone: Backbone::ResNet18,
        fpn_channels: 2,
        classes: vec!["__background__".into(), "cell".into()],
        representation_size: 4,
        box_roi_pool_size: 2,
        min_size: 64,
        max_size: 64,
        ..DetectorConfig::default()
    }
}

fn good() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let detector = Detector::init(config(), 7, &Device::flex()).unwrap();
        pollster::block_on(weights::save(&detector, Precision::F16)).unwrap()
    })
}

/// Header and data of a file.
fn parts(file: &[u8]) -> (Value, &[u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&file[8..8 + length]).unwrap(), &file[8 + length..])
}

fn joined(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes(), &header[..], data].concat()
}

/// The good file with its header changed.
fn with_header(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (mut header, data) = parts(good());
    change(&mut header);
    joined(&header, data)
}

/// The good file with the bytes of one tensor changed.
fn with_tensor(name: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let (header, data) = parts(good());
    let offsets: [usize; 2] = serde_json::from_value(header[name]["data_offsets"].clone()).unwrap();
    let mut data = data.to_vec();
    change(&mut data[offsets[0]..offsets[1]]);
    joined(&header, &data)
}

fn with_config(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    with_header(|header| {
        let mut config = serde_json::from_str(header["__metadata__"]["config"].as_str().unwrap()).unwrap();
        change(&mut config);
        header["__metadata__"]["config"] = Value::String(config.to_string());
    })
}

fn refused(bytes: &[u8]) -> Error {
    weights::load("hostile", bytes, &Device::flex()).expect_err("a hostile file was loaded")
}

/// The sentence must name the cause.
fn refused_for(bytes: &[u8], cause: &str) {
    let sentence = refused(bytes).to_string();
    assert!(sentence.contains(cause), "{sentence:?} does not speak of {cause:?}");
}

const CONV: &str = "backbone.body.layer1.0.conv1.weight";
const NORM: &str = "backbone.body.layer1.0.bn1.running_var";

#[test]
fn the_good_file_is_good() {
    let (detector, report) = weights::load("good", good(), &Device::flex()).unwrap();
    assert_eq!(detector.config, config());
    assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0));
    let merged_image = cytobox::channels::MergedImage { width: 70, height: 50, rgb: vec![0.5; 70 * 50 * 3] };
    pollster::block_on(cytobox::predict::detect(&detector, &merged_image, &Default::default(), &())).unwrap();
}

#[test]
fn every_truncation_is_refused() {
    let file = good();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize + 8;
    let ends = (0..header).step_by(37).chain((header..file.len()).step_by(file.len() / 200)).chain([file.len() - 1]);
    for end in ends {
        let error = safetensors::read("cut", &file[..end]).expect_err("a cut file was read");
        assert!(matches!(error.code(), "weights" | "too-large"), "{error}");
    }
}

#[test]
fn inconsistent_headers_are_refused() {
    let mut huge = good().to_vec();
    huge[..8].copy_from_slice(&(9u64 << 20).to_le_bytes());
    assert_eq!(refused(&huge).code(), "too-large");
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(refused(&huge).code(), "too-large");
    refused_for(&with_header(|h| h[CONV]["data_offsets"] = json!([0, 8])), "broken");
    let other = parts(good()).0["rpn.head.conv.0.0.bias"]["data_offsets"].clone();
    refused_for(&with_header(|h| h["rpn.head.cls_logits.bias"]["data_offsets"] = other), "broken");
    refused_for(&with_header(|h| h[CONV]["data_offsets"] = json!([0, u64::MAX])), "broken");
    refused_for(&with_header(|h| h[CONV]["data_offsets"] = json!([73728, 0])), "broken");
    refused_for(&with_header(|h| h[CONV]["shape"] = json!([u64::MAX, u64::MAX])), "broken");
    refused_for(&with_header(|h| h[CONV]["dtype"] = json!("F8")), "broken");
    refused_for(&with_header(|h| h[CONV]["dtype"] = json!("U16")), "type");
    refused_for(&with_header(|h| h[CONV]["dtype"] = json!("BOOL")), "broken");
    refused_for(&joined(&json!({}), &[]), "is missing");
    refused_for(&joined(&json!([1, 2]), &[]), "not a safetensors");
    refused(b"");
    refused(b"{}");
    refused(&[0; 4096]);
    refused(b"\x89HDF\r\n\x1a\n and more");
}

#[test]
fn values_other_than_weights_are_refused() {
    let (nan, infinite) = ([0x00, 0x7e], [0x00, 0xfc]);
    refused_for(&with_tensor(CONV, |b| b[10..12].copy_from_slice(&nan)), "finite");
    refused_for(&with_tensor(CONV, |b| b[10..12].copy_from_slice(&infinite)), CONV);
    refused_for(&with_tensor(CONV, |b| b.fill(0)), "all zero");
    refused_for(&with_tensor("roi_heads.box_head.fc6.weight", |b| b.fill(0)), "all zero");
    // A variance of −1.
    refused_for(&with_tensor(NORM, |b| b[..2].copy_from_slice(&[0x00, 0xbc])), "variance");
    refused_for(&with_header(|h| h[CONV]["dtype"] = json!("I16")), "type");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    refused_for(&with_header(|h| h[CONV]["shape"] = json!([64, 64, 9, 1])), "shape");
    refused_for(&with_header(|h| h[NORM]["shape"] = json!([1, 64])), "shape");
    let rename = |from: &'static str, to: &'static str| {
        with_header(move |h| {
            let tensor = h.as_object_mut().unwrap().remove(from).unwrap();
            h[to] = tensor;
        })
    };
    refused_for(&rename(CONV, "something.else"), "lacks");
    refused_for(&rename("rpn.head.cls_logits.bias", "rpn.head.conv.bias"), "twice");
    refused_for(&rename("rpn.head.cls_logits.bias", "rpn.head.conv.1.0.weight"), "lacks");
}

#[test]
fn inconsistent_configurations_are_refused() {
    refused(&with_config(|c| c["backbone"] = json!("resnet50")));
    refused(&with_config(|c| c["backbone"] = json!("resnet99")));
    refused(&with_config(|c| c["architecture"] = json!("maskrcnn_resnet_fpn")));
    refused(&with_config(|c| c["classes"] = json!(["a", "b", "c"])));
    refused(&with_config(|c| c["fpn_channels"] = json!(4)));
    refused(&with_config(|c| c["fpn_channels"] = json!(4_000_000_000u64)));
    refused_for(&with_config(|c| c["box_roi_pool_size"] = json!(33)), "box_roi_pool_size");
    let wide = |c: &mut Value| (c["fpn_channels"], c["box_roi_pool_size"]) = (json!(1024), json!(32));
    refused_for(&with_config(wide), "inputs of fc6");
    refused_for(&with_config(|c| c["classes"] = json!(["__background__", "cell\u{202e}"])), "invisible");
    refused_for(&with_config(|c| c["classes"] = json!(["__background__", ""])), "no label");
    refused(&with_config(|c| c["representation_size"] = json!(-1)));
    refused(&with_config(|c| c["anchor_sizes"] = json!([])));
    refused(&with_config(|c| c["image_std"] = json!([0, 0, 0])));
    refused(&with_config(|c| c["min_size"] = json!(1e30)));
    refused(&with_header(|h| h["__metadata__"]["config"] = json!("{")));
    refused(&with_header(|h| h["__metadata__"]["config"] = json!("{\"classes\": 3}")));
}

#[test]
fn heads_that_do_not_fit_are_initialised_when_training_starts() {
    let config = DetectorConfig { classes: ["__background__", "a", "b"].map(String::from).to_vec(), ..config() };
    let (detector, report) = weights::load_into(config, "good", good(), true, 3, &Device::flex()).unwrap();
    assert_eq!(detector.config.num_classes(), 3);
    assert_eq!(report.missing.len(), 4, "{report:?}");
    assert!(report.missing.iter().all(|name| name.starts_with("roi_heads.box_predictor.")));
    let nan = with_tensor(CONV, |b| b[10..12].copy_from_slice(&[0x00, 0x7e]));
    assert!(weights::load_into(self::config(), "nan", &nan, false, 3, &Device::flex()).is_err());
}

const HEADS: [&str; 3] = [
    "roi_heads.box_predictor.cls_score",
    "roi_heads.box_predictor.bbox_pred",
    "roi_heads.mask_predictor.mask_fcn_logits",
];

/// A Mask R-CNN for the background and these classes.
fn detector_of(classes: &[&str]) -> DetectorConfig {
    let classes = std::iter::once("__background__").chain(classes.iter().copied()).map(str::to_owned).collect();
    let architecture = Architecture::MaskRcnn;
    DetectorConfig { architecture, classes, mask_layers: vec![2], mask_dim_reduced: 2, ..config() }
}

/// A file of a detector of `theirs`, that detector, and one of `ours` that starts from the file.
fn taken_over(theirs: &[&str], ours: &[&str], new_heads: bool) -> (Vec<u8>, Detector, Detector, LoadReport) {
    let old = Detector::init(detector_of(theirs), 7, &Device::flex()).unwrap();
    let file = pollster::block_on(weights::save(&old, Precision::F32)).unwrap();
    let loaded = weights::load_into(detector_of(ours), "file", &file, new_heads, 3, &Device::flex());
    let (new, report) = loaded.unwrap();
    (file, old, new, report)
}

/// All that the heads hold of one class.
fn learnt(detector: &Detector, class: &str) -> Vec<f32> {
    let state = pollster::block_on(weights::save::state_dict(detector, Precision::F32)).unwrap();
    let place = detector.config.classes.iter().position(|name| name == class).unwrap();
    let of = |name: String| {
        let values = state.tensors[&name].values().unwrap();
        let size = values.len() / detector.config.num_classes();
        values[place * size..][..size].to_vec()
    };
    HEADS.iter().flat_map(|head| ["weight", "bias"].map(|part| of(format!("{head}.{part}")))).flatten().collect()
}

#[test]
fn heads_are_taken_over_by_the_names_of_the_classes() {
    let (_, old, new, report) = taken_over(&["nucleoli", "not_nucleoli"], &["not_nucleoli", "nucleoli"], false);
    for class in &old.config.classes {
        assert!(learnt(&old, class) == learnt(&new, class), "{class}");
    }
    assert_eq!((report.missing.len(), report.unexpected.len(), report.warnings.len()), (0, 0, 0), "{report:?}");

    // One of two is known, and stands elsewhere.
    let (_, old, new, report) = taken_over(&["a", "b", "c"], &["c", "new"], false);
    for class in ["__background__", "c"] {
        assert!(learnt(&old, class) == learnt(&new, class), "{class}");
    }
    assert!(
        report.missing.is_empty() && report.warnings[0].contains("initialised as the mean of the known ones: new"),
        "{report:?}"
    );
    let known: Vec<Vec<f32>> = ["a", "b", "c"].map(|class| learnt(&old, class)).to_vec();
    for (i, value) in learnt(&new, "new").into_iter().enumerate() {
        let mean = known.iter().map(|class| class[i]).sum::<f32>() / 3.0;
        assert!((value - mean).abs() < 1e-5, "{i}: {value} and {mean}");
    }
}

/// Together the new classes have the score of the one that they come from, so that the first step starts from cells.
#[test]
fn several_new_classes_share_the_score_of_the_known_one() {
    let (_, old, new, report) = taken_over(&["cell"], &["round", "flat"], false);
    assert!(report.missing.is_empty(), "{report:?}");
    let bias = |detector: &Detector, class: &str| {
        let state = pollster::block_on(weights::save::state_dict(detector, Precision::F32)).unwrap();
        let place = detector.config.classes.iter().position(|name| name == class).unwrap();
        state.tensors[&format!("{}.bias", HEADS[0])].values().unwrap()[place]
    };
    for class in ["round", "flat"] {
        assert!((bias(&new, class) - (bias(&old, "cell") - 2f32.ln())).abs() < 1e-6);
    }
    assert!(learnt(&old, "__background__") == learnt(&new, "__background__"));
}

#[test]
fn new_heads_are_drawn() {
    let all = |report: &LoadReport| {
        let named = HEADS.iter().flat_map(|head| ["weight", "bias"].map(|part| format!("{head}.{part}")));
        report.missing.len() == 6 && named.into_iter().all(|name| report.missing.contains(&name))
    };
    for ours in [["c", "d"], ["a", "b"]] {
        let (_, old, new, report) = taken_over(&["a", "b"], &ours, true);
        assert!(all(&report) && report.warnings[0].contains(&ours.join(", ")), "{report:?}");
        assert!(learnt(&old, "__background__") != learnt(&new, "__background__"));
    }
    // A file that does not say what its classes are: as many may be the same.
    let (file, old, ..) = taken_over(&["a", "b"], &["a", "b"], false);
    let (mut header, data) = parts(&file);
    header.as_object_mut().unwrap().remove("__metadata__");
    let unnamed = joined(&header, data);
    let load = |classes: &[&str], new_heads: bool| {
        weights::load_into(detector_of(classes), "unnamed", &unnamed, new_heads, 3, &Device::flex()).unwrap()
    };
    let (new, report) = load(&["c", "d"], false);
    assert!(report.missing.is_empty() && learnt(&old, "a") == learnt(&new, "c"), "{report:?}");
    assert!(all(&load(&["c", "d", "e"], false).1));
    assert!(all(&load(&["c", "d"], true).1));
}

/// Pickles by hand: what would run something, and what no writer writes, ends the reading.
#[test]
fn pickles_that_do_more_than_hold_values_are_refused() {
    let refused = |bytes: &[u8], cause: &str| {
        let sentence = pickle::read(bytes, &mut 0).expect_err("a hostile pickle was read");
        assert!(sentence.contains(cause), "{sentence:?} does not speak of {cause:?}");
    };
    refused(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "os.system");
    refused(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "os.system");
    refused(b"\x80\x02csubprocess\nPopen\n)\x81.", "subprocess.Popen");
    refused(b"\x80\x02cbuiltins\neval\n)R.", "builtins.eval");
    refused(b"\x80\x02NNb.", "sets the state");
    refused(b"\x80\x02K\x01)R.", "without a name");
    refused(b"\x80\x02ca\nb\nNR.", "without arguments");
    refused(b"\x80\x02i", "belongs to no torch file");
    refused(b"\x80\x02X\xff\xff\xff\xffabc", "ends early");
    refused(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "ends early");
    refused(b"\x80\x02h\x05.", "leads nowhere");
    refused(b"\x80\x02Nr\xff\xff\xff\x7f.", "no writer gives");
    refused(b"\x80\x02R.", "empty");
    refused(b"\x80\x02}(Nu.", "no value");
    refused(b"\x80\x02N(Nu.", "not a dictionary");
    refused(b"\x80\x02NNa.", "not a list");
    refused(b"\x80\x02NQ.", "storage");
    refused(b"", "ends early");
}

/// Depth costs nothing, since nothing is walked.
#[test]
fn deeply_nested_pickles_are_handled() {
    let deep = [&[0x80, 2][..], &b")"[..], &b"\x85".repeat(100_000)[..], b"."].concat();
    let lists = [&[0x80, 2][..], &b"]".repeat(100_000)[..], &b"a".repeat(99_999)[..], b"."].concat();
    // Each level holds the one below twice: 2^60 values of a small file.
    let mut doubling = b"\x80\x02)q\x00".to_vec();
    for i in 0..60u8 {
        doubling.extend([b'h', i, b'h', i, 0x86, b'q', i + 1]);
    }
    doubling.push(b'.');
    for bytes in [&deep, &lists, &doubling, &b"\x80\x02]q\x00h\x00a.".to_vec()] {
        assert!(pickle::read(bytes, &mut 0).is_ok());
    }
}

/// A list of 100,000 items that a tuple holds is recalled 100,000 times, where it would be copied: 10^10 values.
fn amplified(writer: &mut Writer) {
    let tuple = [b"X\x01\x00\x00\x00a](".as_slice(), &b"N".repeat(100_000), b"e\x86q\x000"].concat();
    let recalled = b"h\x00".repeat(100_000);
    // As the pairs of a dictionary, which then lies where weights are looked for.
    let pairs = [b"}X\x05\x00\x00\x00modelccollections\nOrderedDict\n](".as_slice(), &recalled, b"e\x85Rs"].concat();
    writer.write(&Py::Raw([tuple, pairs].concat()));
}

#[test]
fn a_long_list_recalled_many_times_is_never_copied() {
    let endless = |writer: &mut Writer| writer.write(&Py::Raw([&b")q\x00"[..], &b"h\x00".repeat(3_000_000)].concat()));
    // Copies that do count: a list of 1,000 pairs becomes 10,000 dictionaries.
    let copies = |writer: &mut Writer| {
        let pairs =
            [b"](".as_slice(), &b"NN\x86".repeat(1000), b"e\x85q\x000ccollections\nOrderedDict\nq\x010"].concat();
        writer.write(&Py::Raw([&pairs[..], &b"h\x01h\x00R".repeat(10_000)].concat()));
    };
    type Write<'a> = &'a dyn Fn(&mut Writer);
    let cases: [(&str, &str, Write); 3] = [
        ("amplified", "no state dict", &amplified),
        ("endless", "too many", &endless),
        ("copies", "too many", &copies),
    ];
    for (what, cause, write) in cases {
        let mut pickle = None;
        let old = torch_files::old_of(|writer| {
            write(writer);
            pickle = Some(writer.out.clone());
        });
        let zip = torch_files::zip_of([pickle.unwrap(), b".".to_vec()].concat(), Vec::new());
        for file in [old, zip] {
            let start = std::time::Instant::now();
            refused_for(&file, cause);
            assert!(start.elapsed().as_secs_f32() < 2.0, "{what} took {:?}", start.elapsed());
        }
    }
}

/// Values of all pickles of an old file count together.
#[test]
fn the_pickles_of_an_old_file_share_one_limit() {
    let half = b"N0".repeat(limits::PICKLE_VALUES / 3);
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    for _ in 0..4 {
        file.extend([b"\x80\x02", &half[..], b"N."].concat());
    }
    refused_for(&file, "too many");
}

/// Tensors that repeat one value (a stride of 0), and storages that the archive inflates: a small file, much memory.
#[test]
fn tensors_far_larger_than_their_file_are_refused() {
    let expanded = torch_file([1, 1], 100_000_000, 0);
    refused_for(&expanded, "exhaust memory");
    let zeros = vec![0; 64 << 20];
    let inflated = Py::Tensor("FloatStorage", vec![16 << 20], zeros);
    let deflated = torch_files::deflated(&torch_files::dict([("a", inflated)]));
    assert!(deflated.len() < 1 << 20);
    refused_for(&deflated, "exhaust memory");
}

/// A `.pth` of two storages of one value that say that they have so many, each with a tensor of `side` values that are
/// `stride` apart.
fn torch_file(sizes: [i64; 2], side: i64, stride: i64) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let int = |int: i64| [b"\x8a\x08", &int.to_le_bytes()[..]].concat();
    for (key, elements) in sizes.into_iter().enumerate() {
        let key = key.to_string();
        pickle.extend(text(&key));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(text("storage"));
        pickle.extend(b"ctorch\nHalfStorage\n");
        pickle.extend([text(&key), text("cpu"), int(elements)].concat());
        pickle.extend([b"tQK\x00".to_vec(), int(side), vec![0x85], int(stride)].concat());
        pickle.extend(b"\x85\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    torch_files::zip_of(pickle, vec![vec![0; 2], vec![0; 2]])
}

#[test]
fn sizes_that_pass_the_largest_number_together_are_refused() {
    let good = torch_file([1, 1], 1, 1);
    assert_eq!(weights::read("good", &good).unwrap().tensors.len(), 2);
    refused_for(&torch_file([1, i64::MAX], 1, 1), "exhaust memory");
    refused_for(&torch_file([i64::MAX; 2], 1, 1), "exhaust memory");
    refused_for(&torch_file([1, -1], 1, 1), "negative");
    refused_for(&torch_file([1, 1], i64::MAX, 1), "size of its tensors");
    refused_for(&torch_file([1, 1], 2, 1), "beyond its values");
}

#[test]
fn broken_torch_files_are_refused() {
    refused_for(b"PK\x03\x04 and no more", "archive");
    refused_for(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "ends early");
    let Some(folder) = golden::folder() else { return };
    for name in ["zip.pth", "old.pth"] {
        let file = std::fs::read(folder.join(name)).unwrap();
        let dense = (0..60_000.min(file.len())).step_by(3701);
        for end in dense.chain((0..file.len()).step_by(file.len() / 20)).chain([file.len() - 1]) {
            assert!(weights::read(name, &file[..end]).is_err(), "{name} cut at {end}");
        }
        // Damage anywhere in the description: an error or the same names, never a panic.
        for at in (0..20_000).step_by(97) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x55;
            drop(weights::read(name, &damaged));
        }
    }
}
