//! Checkpoints as training scripts write them: whatever stands beside the weights, the weights load.
#![cfg(not(target_arch = "wasm32"))]

mod torch_files;

use std::sync::OnceLock;

use burn::tensor::Device;
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::weights::{self, Precision, StateDict};
use torch_files::{Py, call, dict, object};

/// What a small detector holds, as f16.
fn state() -> &'static StateDict<'static> {
    static STATE: OnceLock<StateDict> = OnceLock::new();
    STATE.get_or_init(|| {
        let config = DetectorConfig {
            architecture: Architecture::FasterRcnn,
            backbone: Backbone::ResNet18,
            fpn_channels: 2,
            classes: vec!["__background__".into(), "cell".into()],
            representation_size: 4,
            box_roi_pool_size: 2,
            ..DetectorConfig::default()
        };
        let detector = Detector::init(config, 7, &Device::flex()).unwrap();
        let mut state = pollster::block_on(weights::save::state_dict(&detector, Precision::F16)).unwrap();
        state.config = None;
        state
    })
}

fn floats(values: &[f32]) -> Py {
    Py::Tensor("FloatStorage", vec![values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn ints(values: impl IntoIterator<Item = i64>) -> Py {
    Py::List(values.into_iter().map(Py::Int).collect())
}

/// `numpy.float64(0.5)`.
fn scalar() -> Py {
    let dtype = call("numpy", "dtype", ["f8".into(), Py::Bool(false), Py::Bool(true)]);
    let state = vec![3.into(), "<".into(), Py::None, Py::None, Py::None, (-1).into(), (-1).into(), 0.into()];
    let dtype = Py::Built(Box::new(dtype), Box::new(Py::Tuple(state)));
    call("numpy.core.multiarray", "scalar", [dtype, Py::Bytes(0.5f64.to_le_bytes().to_vec())])
}

/// What scripts keep beside the weights, of every kind that pickle has a way of its own for.
fn neighbours() -> Vec<(Py, Py)> {
    let moments = dict([("step", floats(&[3.0])), ("exp_avg", floats(&[0.5; 6])), ("exp_avg_sq", floats(&[0.25; 6]))]);
    let group = dict([
        ("lr", Py::Float(0.02)),
        ("betas", Py::Tuple(vec![Py::Float(0.9), Py::Float(0.999)])),
        ("params", ints(0..2)),
    ]);
    let optimizer = dict([("state", Py::Dict(vec![(0.into(), moments)])), ("param_groups", Py::List(vec![group]))]);
    let arguments = dict([
        ("lr", Py::Float(0.02)),
        ("device", call("torch", "device", ["cuda".into(), 0.into()])),
        ("output_dir", call("pathlib", "PosixPath", ["runs".into(), "a".into()])),
        ("amp", Py::Bool(true)),
    ]);
    let size = call("torch", "Size", [Py::Tuple(vec![2.into(), 3.into()])]);
    let attributes = Py::Filled(
        Box::new(Py::New(Box::new(Py::Global("lightning.fabric.utilities.data", "AttributeDict")))),
        vec![("rate".into(), Py::Float(0.1)), ("size".into(), size)],
    );
    let counted = call("collections", "Counter", [Py::Dict(vec![("cell".into(), 3.into())])]);
    let schedule =
        object("torch.optim.lr_scheduler", "MultiStepLR", dict([("milestones", counted), ("last_epoch", 3.into())]));
    // A list that holds itself, and is recalled once more: `]`, kept in a slot of its own, `a`ppended to itself.
    let endless = Py::Raw(b"]r\x00\x01\x00\x00j\x00\x01\x00\x00aj\x00\x01\x00\x00a".to_vec());
    let values = [
        ("epoch", 3.into()),
        ("best", scalar()),
        ("optimizer", optimizer),
        ("args", object("argparse", "Namespace", arguments)),
        ("lr_scheduler", dict([("scheduler", schedule)])),
        ("hyper_parameters", attributes),
        ("dtype", Py::Global("torch", "float16")),
        ("classes", call("__builtin__", "set", [Py::List(vec!["cell".into()])])),
        (
            "history",
            Py::Filled(
                Box::new(call("collections", "defaultdict", [Py::Global("__builtin__", "list")])),
                vec![("loss".into(), ints(0..300))],
            ),
        ),
        ("rng_state", Py::Tensor("ByteStorage", vec![16], vec![1; 16])),
        ("steps", Py::Tensor("IntStorage", vec![1], vec![1, 0, 0, 0])),
        ("random_state", Py::Raw([&b"\x8a\x20"[..], &[7; 32]].concat())),
        ("endless", endless),
    ];
    values.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

/// The checkpoint with the weights under `key`, which are written last: readers must get past everything else.
fn checkpoint(key: &str, weights: Py) -> Py {
    let mut items = neighbours();
    items.push((key.into(), weights));
    Py::Dict(items)
}

fn read(file: &[u8]) -> StateDict<'_> {
    weights::read("checkpoint.pth", file).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(value: &Py) -> String {
    let [zip, old] = [torch_files::zip(value, 2), torch_files::old(value)];
    let [zip, old] = [&zip, &old].map(|file| weights::read("checkpoint.pth", file).expect_err("was taken").to_string());
    assert_eq!(zip, old);
    zip
}

#[test]
fn checkpoints_load_with_other_values_beside_the_weights() {
    for key in ["model", "state_dict", "model_state_dict"] {
        let value = checkpoint(key, torch_files::state_dict(state(), ""));
        for (what, file) in [
            ("old", torch_files::old(&value)),
            ("protocol 2", torch_files::zip(&value, 2)),
            ("protocol 4", torch_files::zip(&value, 4)),
        ] {
            let found = read(&file);
            assert!(found.tensors == state().tensors, "{what} with {key}");
            assert!(found.notes.is_empty());
        }
    }
    let file = torch_files::zip(&checkpoint("model", torch_files::state_dict(state(), "")), 2);
    let (detector, report) = weights::load("checkpoint.pth", &file, &Device::flex()).unwrap();
    assert_eq!((detector.config.num_classes(), report.missing.len(), report.unexpected.len()), (2, 0, 0), "{report:?}");
}

#[test]
fn prefixes_that_all_names_share_are_taken_off() {
    for prefix in ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "model.net.module.", "model.model."]
    {
        let file = torch_files::zip(&checkpoint("state_dict", torch_files::state_dict(state(), prefix)), 2);
        assert!(read(&file).tensors == state().tensors, "{prefix}");
        let wrapped = state().tensors.iter().map(|(name, raw)| (format!("{prefix}{name}"), raw.clone()));
        let wrapped = StateDict { tensors: wrapped.collect(), ..StateDict::default() };
        let file = weights::safetensors::write("wrapped.safetensors", &wrapped).unwrap();
        assert!(read(&file).tensors == state().tensors, "{prefix} in safetensors");
    }
    // Names that only some share belong to something else.
    let mut some = state().clone();
    let bias = some.tensors.remove("rpn.head.cls_logits.bias").unwrap();
    some.tensors.insert("module.rpn.head.cls_logits.bias".into(), bias);
    let file = torch_files::zip(&torch_files::state_dict(&some, ""), 2);
    assert!(read(&file).tensors == some.tensors);
    let error = weights::load("some.pth", &file, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("lacks") && error.contains("rpn.head.cls_logits.bias"), "{error}");
}

#[test]
fn weights_in_other_places_are_found_or_asked_for() {
    let weights = || torch_files::state_dict(state(), "module.");
    // DeepSpeed's and timm's ways, and a script's own.
    for value in [
        dict([("module", weights()), ("epoch", 1.into())]),
        dict([("model", dict([("module", weights()), ("decay", Py::Float(0.99))]))]),
        dict([("fold 3", weights()), ("epoch", 1.into())]),
        dict([("loss", floats(&[0.5])), ("model", weights())]),
    ] {
        assert!(read(&torch_files::zip(&value, 2)).tensors == state().tensors);
    }
    // The weights that continue being trained come before their average, which is named.
    let mut averaged = state().clone();
    averaged.tensors.retain(|name, _| name.starts_with("rpn."));
    let both = dict([("model_ema", torch_files::state_dict(&averaged, "module.")), ("model", weights())]);
    let file = torch_files::zip(&both, 2);
    let (_, report) = weights::load("both.pth", &file, &Device::flex()).unwrap();
    assert!(report.warnings[0].contains("\"model_ema\""), "{report:?}");
    // An average by itself has a counter beside it.
    let Py::OrderedDict(mut items) = weights() else { unreachable!() };
    items.push(("n_averaged".into(), Py::Tensor("LongStorage", vec![], 9i64.to_le_bytes().to_vec())));
    let file = torch_files::zip(&dict([("ema", Py::OrderedDict(items)), ("epoch", 1.into())]), 2);
    let (_, report) = weights::load("ema.pth", &file, &Device::flex()).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (0, 0), "{report:?}");

    let several = refused(&dict([("netG", weights()), ("netD", weights())]));
    assert!(several.contains("netG") && several.contains("netD"), "{several}");
    let nothing = refused(&checkpoint("teacher", Py::None));
    assert!(nothing.contains("no state dict"), "{nothing}");
}

#[test]
fn a_whole_model_is_refused_with_the_way_out() {
    let model =
        || object("torchvision.models.detection.faster_rcnn", "FasterRCNN", dict([("training", Py::Bool(true))]));
    for value in [model(), dict([("model", model()), ("epoch", 1.into())])] {
        let error = refused(&value);
        assert!(error.contains("FasterRCNN") && error.contains("model.state_dict()"), "{error}");
    }
}
