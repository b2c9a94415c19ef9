//! A step of training against torchvision's answers (`golden/train.json`, made by `golden/train.py`).
#![cfg(not(target_arch = "wasm32"))]

mod common;
#[path = "common/scene.rs"]
mod scene;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use cytobox::model::layers::{LayerSpec, LayerValues, ParameterSource};
use cytobox::model::{Detector, DetectorConfig};
use cytobox::train::augment::Augment;
use cytobox::train::norms;
use cytobox::train::optimizer::Optimizer;
use cytobox::train::parameters::{Names, collect, restore};
use cytobox::train::rng::TrainRng;
use cytobox::train::step::{Learner, Stepped};
use cytobox::train::{Batch, Losses, OptimizerConfig, TrainConfig, Trainable};
use cytobox::weights::load::from_state;
use cytobox::weights::state::RawTensor;
use cytobox::weights::{Precision, StateDict};
use scene::{config, example, values};
use serde_json::Value;

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
        Ok(LayerValues { weight: weight.iter().map(|v| v * bound).collect(), bias, scale: None })
    }
}

/// The script's `fill` with batch norms that are not the identity, as a file of torchvision's has them.
fn with_norms() -> StateDict<'static> {
    let mut state = StateDict { config: Some(config().to_json().unwrap()), ..StateDict::default() };
    let mut add = |name: String, shape: Vec<usize>, value: &dyn Fn(f32) -> f32| {
        let values: Vec<f32> = uniform(&name, shape.iter().product()).into_iter().map(value).collect();
        state.tensors.insert(name, RawTensor::from_f32(shape, &values));
    };
    for layer in Detector::init(config(), 0, &Device::flex()).unwrap().layers {
        let (name, shape) = (&layer.spec.name, layer.spec.kind.torch_shape());
        let outputs = vec![layer.spec.kind.output()];
        let bound = (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32;
        add(format!("{name}.weight"), shape, &|u| u * bound);
        let Some(norm) = &layer.spec.norm else {
            add(format!("{name}.bias"), outputs, &|u| u * 0.01);
            continue;
        };
        for (part, middle, spread) in
            [("weight", 1.0, 0.5), ("bias", 0.0, 0.1), ("running_mean", 0.0, 0.1), ("running_var", 2.0, 1.5)]
        {
            add(format!("{norm}.{part}"), outputs.clone(), &|u| middle + spread * u);
        }
    }
    state
}

fn batch(images: &[usize]) -> Batch {
    let (config, mut rng) = (config(), TrainRng::new(0));
    Batch::new(images.iter().map(|&i| Augment::none().apply(&example(i), &config, &mut rng).unwrap()).collect())
}

fn learner(optimizer: OptimizerConfig) -> (Learner, Detector) {
    learner_on(optimizer, &Device::flex())
}

fn learner_on(optimizer: OptimizerConfig, device: &Device) -> (Learner, Detector) {
    learner_of(Detector::build(config(), &mut Hashed, device).unwrap(), optimizer, device)
}

/// With the frozen norms beside their weights, as a trainer has it.
fn learner_of(mut detector: Detector, optimizer: OptimizerConfig, device: &Device) -> (Learner, Detector) {
    norms::unfold(&mut detector);
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

/// The second part of the classification loss is added with its weight, and nothing else changes.
#[test]
fn the_weight_on_classes_reaches_the_step() {
    let (learner, _) = learner(OptimizerConfig::sgd());
    let losses = |class_loss_weight| {
        let learner = Learner { class_loss_weight, ..learner.clone() };
        let (config, batch, mut rng) = (config(), batch(&[0, 1, 2]), TrainRng::new(0));
        pollster::block_on(learner.gradients(&config, &batch, &mut rng)).unwrap().1.losses
    };
    let [none, one, three] = [0.0, 1.0, 3.0].map(losses);
    let classes = one.loss_classifier - none.loss_classifier;
    assert!(classes > 0.0);
    assert!((three.loss_classifier - none.loss_classifier - 3.0 * classes).abs() < 1e-4 * three.loss_classifier);
    let rest = |losses: Losses| losses.total() - losses.loss_classifier;
    assert_eq!((rest(one), rest(three)), (rest(none), rest(none)));
}

/// Crops may show remnants alone: nobody knows what any anchor or proposal holds, and there is nothing to learn.
#[test]
fn an_all_ignored_batch_changes_no_weights() {
    let (learner, _) = learner(OptimizerConfig::sgd());
    let mut batch = batch(&[0, 1]);
    for sample in &mut batch.samples {
        sample.objects.clear();
        // Anchors reach over the edges.
        sample.ignored = vec![[-1e4, -1e4, 1e4, 1e4]];
    }
    let done = pollster::block_on(learner.gradients(&config(), &batch, &mut TrainRng::new(0)));
    let (_, stepped) = done.unwrap();
    assert_eq!(stepped, Stepped::default());
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

/// Removes masks and looks at what the mask head learns.
#[test]
fn objects_without_a_mask_do_not_train_the_mask_head_where_others_have_one() {
    let (learner, _) = learner(OptimizerConfig::sgd());
    let loss = |bare: &[usize], masks_from_boxes| {
        let (config, mut batch) = (DetectorConfig { masks_from_boxes, ..config() }, batch(&[0]));
        bare.iter().for_each(|&i| batch.samples[0].objects[i].mask = None);
        let done = pollster::block_on(learner.gradients(&config, &batch, &mut TrainRng::new(0)));
        done.unwrap().1.losses.loss_mask
    };
    let all = loss(&[], false);
    assert_eq!(loss(&[0, 1, 2], false), 0.0);
    let [stand_ins, one_left_out, one_stand_in] = [loss(&[0, 1, 2], true), loss(&[0], false), loss(&[0], true)];
    assert!([all, stand_ins, one_left_out].iter().all(|loss| *loss > 0.0));
    assert!(one_left_out != one_stand_in && one_left_out != all && stand_ins != all);
}

fn follows(key: &str, start: Detector, optimizer: OptimizerConfig, rate: f64) {
    let golden = answers();
    let (mut learner, detector) = learner_of(start, optimizer, &Device::flex());
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
            let single = if key.ends_with("adamw") { 10.0 } else { 1.0 };
            worst = worst.max(near_digest(&name, &moved, &golden[key]["moved"][&name], 1e-3, single));
        }
    }
    println!("{key}: greatest difference of a parameter's way after ten steps: {worst:.1e}");
}

fn hashed() -> Detector {
    Detector::build(config(), &mut Hashed, &Device::flex()).unwrap()
}

fn normed() -> Detector {
    from_state("a", &with_norms(), &Device::flex()).unwrap().0
}

fn adamw() -> OptimizerConfig {
    OptimizerConfig::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-4, weight_decay: 0.05 }
}

#[test]
fn ten_steps_of_sgd_follow_torchvision() {
    follows("sgd", hashed(), OptimizerConfig::sgd(), 0.0002);
}

#[test]
fn ten_steps_of_adamw_follow_torchvision() {
    follows("adamw", hashed(), adamw(), 1e-5);
}

#[test]
fn with_frozen_norms_ten_steps_of_sgd_follow_torchvision() {
    follows("norms_sgd", normed(), OptimizerConfig::sgd(), 0.0002);
}

#[test]
fn with_frozen_norms_ten_steps_of_adamw_follow_torchvision() {
    follows("norms_adamw", normed(), adamw(), 1e-5);
}

/// Saved and loaded again, the weights beside the norms are those of the file that it all began with, and so is what the
/// network computes.
#[test]
fn frozen_norms_survive_saving() {
    let (state, loaded) = (with_norms(), normed());
    let saved = pollster::block_on(cytobox::weights::save::state_dict(&loaded, Precision::F32)).unwrap();
    assert!(saved.tensors.keys().eq(state.tensors.keys()));
    let values = |of: &StateDict, name: &str| of.tensors[name].values().unwrap();
    let near = |a: &[f32], b: &[f32], what: &str| {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1e-3)), "{what}");
    };
    let config = DetectorConfig::from_json(saved.config.as_ref().unwrap()).unwrap();
    let again = from_state("b", &saved, &Device::flex()).unwrap().0;
    let [before, after] = [&loaded, &again].map(|d| collect(&d.network, &Names::new(d)));
    for (layer, twin) in loaded.layers.iter().zip(&again.layers) {
        let name = &layer.spec.name;
        near(&values(&saved, &format!("{name}.weight")), &values(&state, &format!("{name}.weight")), name);
        if let Some(norm) = &layer.spec.norm {
            assert!(values(&saved, &format!("{norm}.running_mean")).iter().all(|v| *v == 0.0));
            assert!(values(&saved, &format!("{norm}.running_var")).iter().all(|v| *v == 1.0 - config.batch_norm_eps));
            near(twin.scale.as_ref().unwrap(), layer.scale.as_ref().unwrap(), name);
        }
        for part in ["weight", "bias"] {
            let read = |of: &BTreeMap<String, Tensor<1>>| scene::values(of[&format!("{name}.{part}")].clone());
            near(&read(&after), &read(&before), &format!("folded {name}.{part}"));
        }
    }
}

/// Two steps on a graphics adapter, lavapipe counted: losses and the length of the gradients are the CPU's.
#[test]
fn a_step_on_the_gpu_is_the_cpus() {
    let gpu = match pollster::block_on(Device::wgpu_options().init_async()) {
        Ok(gpu) => gpu,
        Err(e) => return common::skipped(&format!("no graphics adapter ({e})")),
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
fn non_finite_values_are_reported_and_change_nothing() {
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
