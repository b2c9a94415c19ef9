//! Training against torchvision's answers (`golden/train.json`, made by `golden/train.py`), and the promises of a
//! training: it goes on bit for bit, and it learns.
#![cfg(not(target_arch = "wasm32"))]

mod golden;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Command;

use burn::tensor::{Device, Tensor};
use cytobox::channels::Picture;
use cytobox::model::layers::{LayerSpec, LayerValues, ParameterSource};
use cytobox::model::pooler::MultiScaleRoiAlign;
use cytobox::model::transform::NetworkInput;
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};
use cytobox::observe::Observer;
use cytobox::protocol::Progress;
use cytobox::train::augment::Augment;
use cytobox::train::checkpoint::Checkpoint;
use cytobox::train::optimizer::Optimizer;
use cytobox::train::parameters::{Names, collect, restore};
use cytobox::train::rng::TrainRng;
use cytobox::train::step::{Learner, Stepped};
use cytobox::train::{
    Batch, Budget, Example, MemoryStore, OptimizerConfig, Patch, TrainConfig, TrainEvent, TrainObserver, Trainable,
    Trainer, Truth,
};
use cytobox::weights::{self, Precision};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

const SIDE: usize = 128;
/// As in the script: class, centre, half axes.
const OBJECTS: [&[[f64; 5]]; 3] = [
    &[[1.0, 40.0, 36.0, 18.0, 24.0], [2.0, 90.0, 40.0, 22.0, 14.0], [1.0, 64.0, 96.0, 30.0, 20.0]],
    &[[2.0, 50.0, 70.0, 26.0, 30.0], [2.0, 100.0, 100.0, 12.0, 15.0]],
    &[],
];

fn answers() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/train.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The script's `uniform`.
fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0u64, |seed, byte| (seed * 31 + u64::from(byte)) % (1 << 32));
    (0..count as u64)
        .map(|i| {
            let mut x = (i * 2_654_435_761 + seed * 40503) % (1 << 32);
            for _ in 0..2 {
                x = ((x ^ (x >> 15)) * 2_246_822_519) % (1 << 32);
            }
            x ^= x >> 13;
            (x as f64 / f64::from(1u32 << 31) - 1.0) as f32
        })
        .collect()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().as_slice::<f32>().unwrap().to_vec()
}

/// The script's `fill`.
struct Hashed;

impl ParameterSource for Hashed {
    fn layer(&mut self, spec: &LayerSpec) -> cytobox::Result<LayerValues> {
        let shape = spec.kind.torch_shape();
        let bound = (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
        let weight = uniform(&format!("{}.weight", spec.name), shape.iter().product());
        let bias = match spec.norm {
            Some(_) => vec![0.0; spec.kind.output()],
            None => uniform(&format!("{}.bias", spec.name), spec.kind.output()).iter().map(|v| v * 0.01).collect(),
        };
        Ok(LayerValues { weight: weight.iter().map(|v| v * bound).collect(), bias })
    }
}

fn config() -> DetectorConfig {
    DetectorConfig {
        architecture: Architecture::MaskRcnn,
        backbone: Backbone::ResNet18,
        fpn_channels: 32,
        classes: ["__background__", "a", "b"].map(str::to_owned).to_vec(),
        image_mean: [0.5, 0.4, 0.45],
        image_std: [0.25, 0.2, 0.22],
        min_size: SIDE as u32,
        max_size: SIDE as u32,
        anchor_sizes: [12.0, 24.0, 48.0, 96.0, 192.0].map(|s| vec![s]).to_vec(),
        rpn_batch_size_per_image: 20000,
        rpn_pre_nms_top_n_train: 6,
        rpn_post_nms_top_n_train: 30,
        representation_size: 64,
        mask_layers: vec![32; 4],
        mask_dim_reduced: 32,
        ..DetectorConfig::default()
    }
}

fn example(image: usize) -> Example {
    let inside = |x: usize, y: usize, [_, cx, cy, a, b]: [f64; 5]| {
        ((x as f64 + 0.5 - cx) / a).powi(2) + ((y as f64 + 0.5 - cy) / b).powi(2) < 1.0
    };
    let mut rgb = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            for c in 0..3 {
                let (fx, fy, fc, fi) = (x as f64, y as f64, c as f64, image as f64);
                let mut v = 0.35 + 0.25 * (0.05 * fx * (fi + 1.0) + 0.7 * fc).sin() * (0.07 * fy + 0.3 * fi).cos();
                for (k, object) in OBJECTS[image].iter().enumerate() {
                    if inside(x, y, *object) {
                        v += 0.12 * (fc + 1.0) - 0.05 * k as f64;
                    }
                }
                rgb.push(v.clamp(0.0, 1.0) as f32);
            }
        }
    }
    let objects = OBJECTS[image]
        .iter()
        .map(|&o| {
            let [class, cx, cy, a, b] = o;
            let bits = (0..SIDE * SIDE).map(|i| inside(i % SIDE, i / SIDE, o)).collect();
            let mask = Patch { x: 0, y: 0, width: SIDE, height: SIDE, bits };
            let corners = [cx - a, cy - b, cx + a, cy + b].map(|v| v as f32);
            Truth { corners, class: class as usize, mask: Some(mask), difficult: false }
        })
        .collect();
    Example { name: format!("image{image}"), picture: Picture { width: 128, height: 128, rgb }, objects }
}

fn batch(images: &[usize]) -> Batch {
    let (config, mut rng) = (config(), TrainRng::new(0));
    Batch::new(images.iter().map(|&i| Augment::none().apply(&example(i), &config, &mut rng).unwrap()).collect())
}

fn learner(optimizer: OptimizerConfig) -> (Learner, Detector) {
    learner_on(optimizer, &Device::flex())
}

fn learner_on(optimizer: OptimizerConfig, device: &Device) -> (Learner, Detector) {
    let mut detector = Detector::build(config(), &mut Hashed, device).unwrap();
    let names = Names::new(&detector);
    use burn::module::Module;
    let network = names.freeze(detector.network.clone().train(), Trainable::All, true);
    detector.network = network.clone();
    let (optimizer, device) = (Optimizer::new(optimizer), device.clone().autodiff());
    (Learner { network, names, optimizer, class_loss_weight: 0.0, device }, detector)
}

fn train_config(optimizer: OptimizerConfig) -> TrainConfig {
    TrainConfig { optimizer, gradient_clip: None, ..TrainConfig::fine_tune() }
}

fn near(found: f32, expected: &Value, tolerance: f64, what: &str) {
    let (found, expected) = (f64::from(found), expected.as_f64().unwrap());
    let difference = (found - expected).abs();
    assert!(difference <= tolerance * expected.abs().max(1e-3), "{what}: {found}, torchvision {expected}");
}

/// Compares with a digest of the script: length and projections, and single values, which may be `single` times as far
/// off.
fn near_digest(name: &str, values: &[f32], digest: &Value, tolerance: f64, single: f64) -> f64 {
    let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let length = digest["length"].as_f64().unwrap();
    let mut worst = (norm(values) - length).abs() / length.max(1e-9);
    for k in 0..2 {
        let direction = uniform(&format!("{name}/{k}"), values.len());
        let found: f64 = values.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        // A random direction sees 1/√3 of the length per value.
        worst = worst.max((found - digest["projections"][k].as_f64().unwrap()).abs() / length.max(1e-9));
    }
    assert!(worst <= tolerance, "{name}: off by {worst:.2e}");
    let typical = length / (values.len() as f64).sqrt();
    let mut furthest = 0f64;
    for k in 0..5 {
        let i = (k as f64 * (values.len() - 1) as f64 / 4.0) as usize;
        let expected = digest["values"][k].as_f64().unwrap();
        furthest = furthest.max((f64::from(values[i]) - expected).abs() / expected.abs().max(typical).max(1e-12));
    }
    assert!(furthest <= single * tolerance, "{name}: a value is off by {furthest:.2e}");
    worst
}

#[test]
fn losses_and_gradients_are_torchvisions() {
    let golden = answers();
    let (learner, detector) = learner(OptimizerConfig::sgd());
    let done = pollster::block_on(learner.gradients(&config(), &batch(&[0, 1, 2]), &mut TrainRng::new(0)));
    let (gradients, stepped) = done.unwrap();
    for (name, value) in stepped.losses.named() {
        near(value, &golden["losses"][name], 1e-4, name);
    }
    let mut worst = 0f64;
    for layer in &detector.layers {
        let name = format!("{}.weight", layer.spec.name);
        let read = |id| gradients.get(id).map(|g| values(g.clone()));
        let weight = layer.spec.kind.to_torch(&read(&layer.weight).unwrap());
        worst = worst.max(near_digest(&name, &weight, &golden["gradients"][&name], 1e-3, 1.0));
        let name = format!("{}.bias", layer.spec.name);
        match read(&layer.bias) {
            Some(bias) => worst = worst.max(near_digest(&name, &bias, &golden["gradients"][&name], 1e-3, 1.0)),
            None => assert!(layer.spec.norm.is_some(), "{name} has no gradient"),
        }
    }
    println!("greatest difference of a gradient: {worst:.1e}");
}

#[test]
fn without_objects_the_losses_are_torchvisions() {
    let golden = answers();
    let (learner, _) = learner(OptimizerConfig::sgd());
    let done = pollster::block_on(learner.gradients(&config(), &batch(&[2]), &mut TrainRng::new(0)));
    let losses = done.unwrap().1.losses;
    for (name, value) in losses.named() {
        near(value, &golden["losses_without_objects"][name], 1e-4, name);
    }
    assert_eq!((losses.loss_box_reg, losses.loss_mask, losses.loss_rpn_box_reg), (0.0, 0.0, 0.0));
}

fn follows(key: &str, optimizer: OptimizerConfig, rate: f64) {
    let golden = answers();
    let (mut learner, detector) = learner(optimizer);
    let before = collect(&learner.network, &learner.names);
    let (config, train, batch, mut rng) = (config(), train_config(optimizer), batch(&[0, 1, 2]), TrainRng::new(0));
    for step in 0..10 {
        let stepped = pollster::block_on(learner.step(&config, &train, &batch, &mut rng, rate)).unwrap();
        for (name, value) in stepped.losses.named() {
            near(value, &golden[key]["losses"][step][name], 1e-3, &format!("{key}, step {step}, {name}"));
        }
    }
    let after = collect(&learner.network, &learner.names);
    let mut worst = 0f64;
    for layer in &detector.layers {
        for part in ["weight", "bias"] {
            let name = format!("{}.{part}", layer.spec.name);
            let read = |of: &BTreeMap<String, Tensor<1>>| values(of[&name].clone());
            let moved: Vec<f32> = read(&after).iter().zip(read(&before)).map(|(a, b)| a - b).collect();
            if part == "bias" && layer.spec.norm.is_some() {
                assert!(moved.iter().all(|v| *v == 0.0), "{name} is a frozen norm");
                continue;
            }
            let moved = if part == "weight" { layer.spec.kind.to_torch(&moved) } else { moved };
            // AdamW makes as much of a gradient that is nearly 0, and of its rounding, as of any other.
            let single = if key == "adamw" { 10.0 } else { 1.0 };
            worst = worst.max(near_digest(&name, &moved, &golden[key]["moved"][&name], 1e-3, single));
        }
    }
    println!("{key}: greatest difference of a parameter's way after ten steps: {worst:.1e}");
}

#[test]
fn ten_steps_of_sgd_follow_torchvision() {
    follows("sgd", OptimizerConfig::sgd(), 0.0002);
}

#[test]
fn ten_steps_of_adamw_follow_torchvision() {
    let config = OptimizerConfig::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weight_decay: 0.05 };
    follows("adamw", config, 1e-5);
}

/// Two steps on a graphics adapter, lavapipe counted: losses and the length of the gradients are the CPU's.
#[test]
fn a_step_on_the_gpu_is_the_cpus() {
    let gpu = match pollster::block_on(Device::wgpu_options().init_async()) {
        Ok(gpu) => gpu,
        Err(e) => return println!("skipped: no graphics adapter ({e})"),
    };
    let steps = |device: &Device| {
        let optimizer = OptimizerConfig::sgd();
        let (mut learner, _) = learner_on(optimizer, device);
        let (config, train, batch, mut rng) = (config(), train_config(optimizer), batch(&[0, 1]), TrainRng::new(0));
        [(); 2].map(|()| pollster::block_on(learner.step(&config, &train, &batch, &mut rng, 0.0002)).unwrap())
    };
    for (step, (found, expected)) in steps(&gpu).iter().zip(steps(&Device::flex())).enumerate() {
        let named = |s: &Stepped| [s.losses.named().as_slice(), &[("gradient norm", s.gradient_norm)]].concat();
        for ((name, found), (_, expected)) in named(found).into_iter().zip(named(&expected)) {
            println!("step {step}, {name}: {found} on the GPU, {expected} on the CPU");
            assert!(expected > 0.0 && (found / expected - 1.0).abs() <= 1e-3);
        }
    }
}

#[test]
fn frozen_stages_have_no_gradient() {
    use burn::module::Module;
    let (mut learner, detector) = learner(OptimizerConfig::sgd());
    learner.network = learner.names.freeze(detector.network.clone().train(), Trainable::From5, true);
    let done = pollster::block_on(learner.gradients(&config(), &batch(&[0]), &mut TrainRng::new(0)));
    let (gradients, _) = done.unwrap();
    for layer in &detector.layers {
        let learns = Trainable::From5.includes(&layer.spec.name);
        assert_eq!(gradients.get(&layer.weight).is_some(), learns, "{}", layer.spec.name);
    }
}

#[test]
fn what_is_not_finite_is_named_and_changes_nothing() {
    let (mut learner, _) = learner(OptimizerConfig::sgd());
    let (config, train) = (config(), train_config(OptimizerConfig::sgd()));
    let before = collect(&learner.network, &learner.names);
    let mut batch = batch(&[0, 1]);
    batch.samples[1].values[1234] = f32::NAN;
    let fault = pollster::block_on(learner.step(&config, &train, &batch, &mut TrainRng::new(0), 0.01)).unwrap_err();
    let text = format!("{fault:?}");
    assert!(text.contains("loss_objectness") && text.contains("image1") && !text.contains("image0"), "{text}");

    let after = collect(&learner.network, &learner.names);
    for (name, value) in before {
        assert_eq!(value.into_data(), after[&name].clone().into_data(), "{name}");
    }
}

/// What a step says of a network with some of its parameters changed; it must leave them as they are.
fn fault_of(change: impl Fn(&mut BTreeMap<String, Vec<f32>>)) -> String {
    let (mut learner, _) = learner(OptimizerConfig::sgd());
    let (config, train) = (config(), train_config(OptimizerConfig::sgd()));
    let read = |learner: &Learner| -> BTreeMap<String, Vec<f32>> {
        collect(&learner.network, &learner.names).into_iter().map(|(name, t)| (name, values(t))).collect()
    };
    let mut changed = read(&learner);
    change(&mut changed);
    learner.network = restore(learner.network.clone(), &learner.names, &mut changed.clone()).unwrap();
    let fault = pollster::block_on(learner.step(&config, &train, &batch(&[0, 1]), &mut TrainRng::new(0), 0.01));
    let bits = |all: BTreeMap<String, Vec<f32>>| all.into_values().flatten().map(f32::to_bits).collect::<Vec<_>>();
    assert!(bits(read(&learner)) == bits(changed));
    format!("{:?}", fault.unwrap_err())
}

#[test]
fn a_loss_that_is_not_finite_is_named() {
    let text = fault_of(|values| {
        values.get_mut("roi_heads.box_predictor.cls_score.bias").unwrap()[1] = f32::NAN;
    });
    assert!(text.contains("loss_classifier") && text.contains("image0"), "{text}");
}

/// A unit of the box head that is very large, but that nothing listens to: losses do not see it, the gradients of the
/// weights that would listen do.
#[test]
fn a_gradient_that_is_not_finite_is_named() {
    let text = fault_of(|values| {
        values.get_mut("roi_heads.box_head.fc7.bias").unwrap()[0] = 1e30;
        for (name, outputs) in [("cls_score", 3), ("bbox_pred", 12)] {
            let name = format!("roi_heads.box_predictor.{name}.weight");
            values.get_mut(&name).unwrap()[..outputs].fill(0.0);
        }
    });
    assert!(text.contains("the gradient of roi_heads.box_predictor.bbox_pred.weight"), "{text}");
    assert!(text.contains("image0, image1"), "{text}");
}

fn small() -> DetectorConfig {
    DetectorConfig {
        rpn_batch_size_per_image: 128,
        box_batch_size_per_image: 64,
        rpn_pre_nms_top_n_train: 200,
        rpn_post_nms_top_n_train: 60,
        rpn_pre_nms_top_n_test: 100,
        rpn_post_nms_top_n_test: 50,
        ..config()
    }
}

fn short_training() -> TrainConfig {
    let mut train = TrainConfig::from_scratch();
    (train.batch_size, train.repeats, train.budget) = (2, 2, Budget::Epochs(3));
    train.augment.crop = Some(96);
    train.schedule.warmup_steps = 2;
    (train.validate_every, train.checkpoint_seconds) = (1, 0.0);
    train
}

/// Notes events; stops after some steps, or in the first validation.
#[derive(Default)]
struct Watch {
    events: RefCell<Vec<TrainEvent>>,
    cancel_after: Option<u64>,
    cancel_validation: bool,
    validating: Cell<bool>,
}

impl Watch {
    fn steps(&self) -> Vec<f32> {
        let total = |e: &TrainEvent| if let TrainEvent::Step { total, .. } = e { Some(*total) } else { None };
        self.events.borrow().iter().filter_map(total).collect()
    }

    fn count(&self, wanted: impl Fn(&TrainEvent) -> bool) -> usize {
        self.events.borrow().iter().filter(|e| wanted(e)).count()
    }

    /// Steps after which was validated, and with which AP.
    fn validations(&self) -> Vec<(u64, f64)> {
        let of = |e: &TrainEvent| if let TrainEvent::Validation(v) = e { Some((v.step, v.map_50_95)) } else { None };
        self.events.borrow().iter().filter_map(of).collect()
    }

    /// Number and learning rate of the first step, and its loss.
    fn first(&self) -> (u64, f64, f32) {
        let of = |e: &TrainEvent| match *e {
            TrainEvent::Step { step, learning_rate, total, .. } => Some((step, learning_rate, total)),
            _ => None,
        };
        self.events.borrow().iter().find_map(of).unwrap()
    }
}

impl Observer for Watch {
    fn progress(&self, progress: Progress) {
        self.validating.set(progress.stage == "validation");
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_after.is_some_and(|n| self.steps().len() as u64 >= n)
            || self.cancel_validation && self.validating.get()
    }

    async fn turn(&self) {}
}

impl TrainObserver for Watch {
    fn event(&self, event: TrainEvent) {
        self.events.borrow_mut().push(event);
    }
}

fn trainer(train: TrainConfig) -> Trainer {
    let detector = Detector::init(small(), 5, &Device::flex()).unwrap();
    Trainer::new(train, detector, vec![example(0), example(1)], vec![example(0)]).unwrap()
}

fn resume(checkpoint: &[u8]) -> Trainer {
    Trainer::resume(checkpoint, vec![example(0), example(1)], vec![example(0)], &Device::flex()).unwrap()
}

/// The checkpoint of a short training that ended when `watch` wanted it to.
fn cut_off(watch: &Watch) -> MemoryStore {
    let mut store = MemoryStore::default();
    let cancelled = pollster::block_on(trainer(short_training()).run(&mut store, watch));
    assert_eq!(cancelled.unwrap_err(), cytobox::Error::Cancelled);
    store
}

/// Six steps at once, or cut off after every number of steps or in a validation and gone on from the last checkpoint:
/// before the norms are folded, and after. What is finished stays as it is.
#[test]
fn a_training_goes_on_bit_for_bit() {
    let (mut store, watch) = (MemoryStore::default(), Watch::default());
    let mut whole = trainer(short_training());
    let finished = pollster::block_on(whole.run(&mut store, &watch)).unwrap();
    let expected = pollster::block_on(whole.checkpoint()).unwrap();
    assert!(store.checkpoint.as_ref() == Some(&expected), "the last checkpoint is that of the end");
    let (steps, validations) = (watch.steps(), watch.validations());
    assert_eq!(steps.len(), 6);
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Folded { step: 5 })), 1, "{steps:?}");
    assert_eq!(validations.iter().map(|v| v.0).collect::<Vec<_>>(), [2, 4, 6]);

    let after = |cut| Watch { cancel_after: Some(cut), ..Watch::default() };
    let cuts = [1, 2, 3, 5].map(after).into_iter().chain([Watch { cancel_validation: true, ..Watch::default() }]);
    for watch in cuts {
        let mut store = cut_off(&watch);
        let cut = watch.steps().len();
        let (mut resumed, rest) = (resume(&store.checkpoint.clone().unwrap()), Watch::default());
        pollster::block_on(resumed.run(&mut store, &rest)).unwrap();
        assert_eq!([watch.steps(), rest.steps()].concat(), steps, "after {cut}");
        assert_eq!([watch.validations(), rest.validations()].concat(), validations, "after {cut}");
        let found = pollster::block_on(resumed.checkpoint()).unwrap();
        let [found, expected] = [&found, &expected].map(|b| Checkpoint::from_bytes(b).unwrap());
        assert!(found.tensors == expected.tensors, "after {cut}");
        assert_eq!((found.state.rng, found.state.sampler), (expected.state.rng, expected.state.sampler));
    }
    let again = Watch::default();
    let once_more = pollster::block_on(resume(&expected).run(&mut store, &again)).unwrap();
    assert_eq!((again.steps().len(), again.validations().len()), (0, 0), "nothing is left to do");
    let state = |d: &Detector| pollster::block_on(weights::save::state_dict(d, Precision::F32)).unwrap();
    assert_eq!((once_more.steps, once_more.best), (6, finished.best));
    assert!(state(&once_more.detector) == state(&finished.detector));
    let other = Trainer::resume(&expected, vec![example(1)], vec![], &Device::flex());
    assert!(other.err().unwrap().to_string().contains("other images"));
}

/// Parameters that are no numbers: the last checkpoint is gone back to once, and its next step goes at half the rate.
#[test]
fn the_last_good_state_is_restored_once() {
    let mut store = cut_off(&Watch { cancel_after: Some(2), ..Watch::default() });
    let good = store.checkpoint.clone().unwrap();
    let straight = Watch::default();
    pollster::block_on(resume(&good).run(&mut store.clone(), &straight)).unwrap();

    let mut poisoned = Checkpoint::from_bytes(&good).unwrap();
    poisoned.tensors.get_mut("network:roi_heads.box_predictor.cls_score.bias").unwrap()[1] = f32::NAN;
    let poisoned = poisoned.to_bytes().unwrap();
    let (mut trainer, watch) = (resume(&poisoned), Watch::default());
    pollster::block_on(trainer.run(&mut store, &watch)).unwrap();
    // Two validations and three steps.
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Skipped { .. })), 5);
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Notice { .. })), 1);
    let ((step, rate, loss), expected) = (watch.first(), straight.first());
    assert_eq!((step, rate, loss), (expected.0, 0.5 * expected.1, expected.2));
    let end = Checkpoint::from_bytes(&store.checkpoint.unwrap()).unwrap().state;
    assert_eq!((end.step, end.restored, end.finished), (6, 1, true));

    let mut store = MemoryStore { checkpoint: Some(poisoned.clone()), ..MemoryStore::default() };
    let watch = Watch::default();
    let error = pollster::block_on(resume(&poisoned).run(&mut store, &watch)).unwrap_err();
    assert!(error.to_string().contains("not"), "{error}");
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Notice { .. })), 1);
    assert!(store.checkpoint == Some(poisoned), "nothing worse was saved");
}

/// `[name, shape, values]` as a safetensors file.
fn write_tensors(path: &std::path::Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let views = tensors.iter().map(|(name, shape, values)| {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// What was trained from nothing, norms folded, torchvision loads with `strict=True` and computes the same of.
#[test]
fn torchvision_takes_what_was_trained() {
    if golden::folder().is_none() {
        return;
    }
    let mut store = MemoryStore::default();
    let trained = pollster::block_on(trainer(short_training()).run(&mut store, &Watch::default())).unwrap().detector;
    let folder = tempfile::tempdir().unwrap();
    let bytes = pollster::block_on(weights::save(&trained, Precision::F32)).unwrap();
    std::fs::write(folder.path().join("trained.safetensors"), bytes).unwrap();

    let (config, network, picture) = (&trained.config, &trained.network, example(0).picture);
    let input = NetworkInput::new(&picture, config).unwrap();
    let features = pollster::block_on(network.backbone.forward(input.to_tensor(&trained.device), &())).unwrap();
    let boxes = [vec![[10.0, 12.0, 60.0, 70.0], [0.0, 40.0, 100.0, 128.0], [64.0, 3.0, 80.0, 18.0f32]]];
    let mut answers = vec![
        ("picture".to_owned(), vec![SIDE, SIDE, 3], picture.rgb.clone()),
        ("boxes".to_owned(), vec![boxes[0].len(), 4], boxes[0].concat()),
    ];
    fn answer<const D: usize>(name: String, tensor: &Tensor<D>) -> (String, Vec<usize>, Vec<f32>) {
        (name, tensor.dims().to_vec(), values(tensor.clone()))
    }
    for (i, (level, output)) in features.iter().zip(network.rpn_outputs(&features)).enumerate() {
        answers.push(answer(format!("fpn.{i}"), level));
        answers.push(answer(format!("objectness.{i}"), &output.objectness));
        answers.push(answer(format!("deltas.{i}"), &output.deltas));
    }
    let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
    let pool = |side| MultiScaleRoiAlign::new(&heights, input.size[0], side, config.roi_sampling_ratio);
    let (logits, deltas) = network.roi_heads.box_outputs(&pool(config.box_roi_pool_size), &features, &boxes);
    let masks = network.roi_heads.mask_logits(&pool(config.mask_roi_pool_size), &features, &boxes).unwrap();
    answers.extend([answer("box.logits".into(), &logits), answer("box.deltas".into(), &deltas)]);
    answers.push(answer("mask.logits".into(), &masks));
    write_tensors(&folder.path().join("answers.safetensors"), &answers);

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trained.py");
    let output = Command::new("python3").arg(script).arg(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    println!("{}", text(&output.stdout));
}

/// Two pictures by heart, with norms that are folded on the way.
#[test]
fn two_images_are_learnt() {
    let mut train = short_training();
    (train.budget, train.repeats, train.augment) = (Budget::Epochs(20), 2, Augment::none());
    train.schedule.base = 1e-3;
    (train.validate_every, train.checkpoint_seconds) = (1000, 1e9);
    let (mut store, watch) = (MemoryStore::default(), Watch::default());
    let finished = pollster::block_on(trainer(train).run(&mut store, &watch)).unwrap();
    let steps = watch.steps();
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    let (first, last) = (mean(&steps[..4]), mean(&steps[steps.len() - 4..]));
    println!("loss from {first} to {last}, AP50 {:?}", finished.best);
    assert!(last < 0.5 * first, "{steps:?}");
    // What was folded away is not missed: the file of the detector finds the same.
    let bytes = pollster::block_on(weights::save(&finished.detector, Precision::F32)).unwrap();
    let loaded = weights::load("a", &bytes, &Device::flex()).unwrap().0;
    let find = |d: &Detector| pollster::block_on(cytobox::predict::detect(d, &example(0).picture, &())).unwrap();
    let (a, b) = (find(&finished.detector), find(&loaded));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a.score - b.score).abs() < 1e-4);
    }
}
