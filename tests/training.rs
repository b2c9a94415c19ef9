//! The promises of a training run: it continues bit for bit, it gives the average, it comes back from what is not finite, it
//! learns, and torchvision takes what it learnt.
#![cfg(not(target_arch = "wasm32"))]

mod golden;
#[path = "common/scene.rs"]
mod scene;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use cytobox::model::pooler::MultiScaleRoiAlign;
use cytobox::model::transform::NetworkInput;
use cytobox::model::{Detector, DetectorConfig};
use cytobox::observe::{Observer, Progress};
use cytobox::train::augment::Augment;
use cytobox::train::checkpoint::Checkpoint;
use cytobox::train::{
    Budget, Example, MemoryStore, Parts, TrainConfig, TrainControl, TrainEvent, TrainObserver, Trainer,
};
use cytobox::weights::{self, Precision};
use safetensors::tensor::{Dtype, TensorView};
use scene::{SIDE, config, example, values};

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
struct RequestObserver {
    events: RefCell<Vec<TrainEvent>>,
    cancel_after: Option<u64>,
    cancel_validation: bool,
    validating: Cell<bool>,
}

impl RequestObserver {
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

impl Observer for RequestObserver {
    fn progress(&self, progress: Progress) {
        self.validating.set(progress.stage == "validation");
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_after.is_some_and(|n| self.steps().len() as u64 >= n)
            || self.cancel_validation && self.validating.get()
    }

    async fn yield_now(&self) {}
}

impl TrainObserver for RequestObserver {
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
fn cut_off(watch: &RequestObserver) -> MemoryStore {
    let mut store = MemoryStore::default();
    let cancelled = pollster::block_on(trainer(short_training()).run(&mut store, watch));
    assert_eq!(cancelled.unwrap_err(), cytobox::Error::Cancelled);
    store
}

/// Six steps at once, or cut off after every number of steps or in a validation and gone on from the last checkpoint:
/// before the norms are folded, and after. What is finished stays as it is.
#[test]
fn a_resumed_run_is_bit_identical() {
    let (mut store, watch) = (MemoryStore::default(), RequestObserver::default());
    let mut whole = trainer(short_training());
    let finished = pollster::block_on(whole.run(&mut store, &watch)).unwrap();
    let expected = pollster::block_on(whole.checkpoint()).unwrap();
    assert!(store.checkpoint.as_ref() == Some(&expected), "the last checkpoint is that of the end");
    let (steps, validations) = (watch.steps(), watch.validations());
    assert_eq!(steps.len(), 6);
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Folded { step: 5 })), 1, "{steps:?}");
    assert_eq!(validations.iter().map(|v| v.0).collect::<Vec<_>>(), [2, 4, 6]);

    let after = |cut| RequestObserver { cancel_after: Some(cut), ..RequestObserver::default() };
    let cuts = [1, 2, 3, 5]
        .map(after)
        .into_iter()
        .chain([RequestObserver { cancel_validation: true, ..RequestObserver::default() }]);
    for watch in cuts {
        let mut store = cut_off(&watch);
        let cut = watch.steps().len();
        let (mut resumed, rest) = (resume(&store.checkpoint.clone().unwrap()), RequestObserver::default());
        pollster::block_on(resumed.run(&mut store, &rest)).unwrap();
        assert_eq!([watch.steps(), rest.steps()].concat(), steps, "after {cut}");
        assert_eq!([watch.validations(), rest.validations()].concat(), validations, "after {cut}");
        let found = pollster::block_on(resumed.checkpoint()).unwrap();
        let [found, expected] = [&found, &expected].map(|b| Checkpoint::from_bytes(b).unwrap());
        assert!(found.tensors == expected.tensors, "after {cut}");
        assert_eq!((found.state.rng, found.state.sampler), (expected.state.rng, expected.state.sampler));
    }
    let again = RequestObserver::default();
    let once_more = pollster::block_on(resume(&expected).run(&mut store, &again)).unwrap();
    assert_eq!((again.steps().len(), again.validations().len()), (0, 0), "nothing is left to do");
    let state = |d: &Detector| pollster::block_on(weights::save::state_dict(d, Precision::F32)).unwrap();
    assert_eq!((once_more.steps, once_more.best), (6, finished.best));
    assert!(state(&once_more.detector) == state(&finished.detector));
    let other = Trainer::resume(&expected, vec![example(1)], vec![], &Device::flex());
    assert!(other.err().unwrap().to_string().contains("other images"));
}

/// What is validated and given is the moving average of the parameters and of the norms' running moments, for images of the
/// size that was asked for.
#[test]
fn a_run_returns_the_moving_average() {
    const DECAY: f32 = 0.15;
    let mut trainer = trainer(TrainConfig { ema_decay: DECAY, detection_scale: 1.25, ..short_training() });
    let state =
        |trainer: &Trainer| Checkpoint::from_bytes(&pollster::block_on(trainer.checkpoint()).unwrap()).unwrap().tensors;
    let of = |tensors: &BTreeMap<String, Vec<f32>>, prefix: &str| -> BTreeMap<String, Vec<f32>> {
        let named = |(k, v): (&String, &Vec<f32>)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()));
        tensors.iter().filter_map(named).collect()
    };
    let mut average = of(&state(&trainer), "network:");
    assert!(of(&state(&trainer), "average:") == average);
    // (1 + 1) / (10 + 1) is more than DECAY: it holds from the first step.
    for _ in 0..3 {
        pollster::block_on(trainer.step()).unwrap();
        let now = state(&trainer);
        for (name, values) in of(&now, "network:") {
            let kept = average.get_mut(&name).unwrap();
            kept.iter_mut().zip(&values).for_each(|(a, v)| *a = *a * DECAY + v * (1.0 - DECAY));
        }
        let found = of(&now, "average:");
        assert!(found.keys().eq(average.keys()) && found.keys().any(|name| name.ends_with("running_var")));
        assert!(found.values().flatten().eq(average.values().flatten()));
    }
    let detector = trainer.detector();
    assert_eq!(detector.config.min_size, 160);
    let found = pollster::block_on(weights::save::state_dict(&detector, Precision::F32)).unwrap();
    let bias = |tensors: &BTreeMap<String, Vec<f32>>| tensors["roi_heads.box_predictor.cls_score.bias"].clone();
    let last = of(&state(&trainer), "network:");
    assert!(bias(&average) != bias(&last));
    let tensor = &found.tensors["roi_heads.box_predictor.cls_score.bias"];
    assert_eq!(*tensor.bytes, *bytemuck::cast_slice::<f32, u8>(&bias(&average)));
}

/// A detector with frozen norms, as if it came from a file.
fn with_frozen_norms() -> Detector {
    let mut detector = Detector::init(small(), 5, &Device::flex()).unwrap();
    for layer in detector.layers.iter_mut().filter(|layer| layer.spec.norm.is_some()) {
        let scale = |i: usize| if i == 3 { 0.0 } else { 0.25 + (i % 7) as f32 / 4.0 };
        layer.scale = Some((0..layer.spec.kind.output()).map(scale).collect());
    }
    detector
}

/// Scales are in the checkpoint, and beside the weights in the file of the detector.
#[test]
fn a_resumed_run_with_frozen_norms_is_bit_identical() {
    let train = TrainConfig { ema_decay: 0.9, validation_share: 0.0, ..TrainConfig::fine_tune() };
    let mut straight =
        Trainer::new(train, with_frozen_norms(), vec![example(0), example(1)], vec![example(0)]).unwrap();
    let steps = |trainer: &mut Trainer, n: usize| {
        for _ in 0..n {
            pollster::block_on(trainer.step()).unwrap();
        }
        pollster::block_on(trainer.checkpoint()).unwrap()
    };
    let mut resumed = resume(&steps(&mut straight, 1));
    let [expected, found] =
        [&mut straight, &mut resumed].map(|t| Checkpoint::from_bytes(&steps(t, 2)).unwrap().tensors);
    assert!(expected.keys().any(|name| name.starts_with("scale:")));
    assert!(found == expected);
    let detector = resumed.detector();
    assert!(detector.layers.iter().zip(with_frozen_norms().layers).all(|(a, b)| a.scale == b.scale));
    let saved = pollster::block_on(weights::save::state_dict(&detector, Precision::F32)).unwrap();
    assert_eq!(saved.tensors["backbone.body.bn1.weight"].values().unwrap()[..4], [0.25, 0.5, 0.75, 0.0]);
}

/// Never more than a tensor, or a few small ones, is read from the device at once.
#[test]
fn a_checkpoint_comes_in_parts() {
    let trainer = trainer(short_training());
    let mut parts = trainer.stream().unwrap();
    let (length, mut bytes, mut largest) = (parts.length(), Vec::new(), 0);
    while let Some(part) = pollster::block_on(parts.next()).unwrap() {
        largest = largest.max(part.len());
        bytes.extend(part);
    }
    assert_eq!(bytes.len() as u64, length);
    let tensors = Checkpoint::from_bytes(&bytes).unwrap().tensors;
    let tensor = tensors.values().map(|values| 4 * values.len()).max().unwrap();
    assert!(largest <= tensor.max(4 << 20) && bytes.len() > 8 * largest, "{largest} of {} bytes", bytes.len());
}

/// Waits for a while, then ends.
#[derive(Default)]
struct Pausing {
    asked: Cell<u32>,
    until: Cell<Option<std::time::Instant>>,
}

impl Observer for Pausing {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn yield_now(&self) {}
}

impl TrainObserver for Pausing {
    fn event(&self, _: TrainEvent) {}

    fn control(&self) -> TrainControl {
        self.asked.set(self.asked.get() + 1);
        let now = std::time::Instant::now();
        let until = self.until.get().unwrap_or(now + std::time::Duration::from_millis(400));
        self.until.set(Some(until));
        if now < until { TrainControl::Pause } else { TrainControl::Stop }
    }
}

#[test]
fn a_pause_does_not_keep_a_processor_busy() {
    let watch = Pausing::default();
    let mut trainer = Trainer::new(short_training(), with_frozen_norms(), vec![example(0)], vec![]).unwrap();
    pollster::block_on(trainer.run(&mut MemoryStore::default(), &watch)).unwrap();
    assert!(watch.asked.get() < 40, "asked {} times in 0.4 s", watch.asked.get());
}

/// What the images lack is said at the beginning, and that boxes stood in for masks is kept in the detector.
#[test]
fn objects_unusable_for_training_are_reported() {
    let begin = |change: fn(&mut Vec<Example>)| {
        let mut examples = vec![example(0), example(1), Example { incomplete: true, ..example(2) }];
        change(&mut examples);
        let detector = Detector::init(small(), 5, &Device::flex()).unwrap();
        let mut trainer = Trainer::new(short_training(), detector, examples, vec![]).unwrap();
        let watch = RequestObserver { cancel_after: Some(0), ..RequestObserver::default() };
        let cancelled = pollster::block_on(trainer.run(&mut MemoryStore::default(), &watch)).unwrap_err();
        assert_eq!(cancelled, cytobox::Error::Cancelled);
        let notice =
            |e: &TrainEvent| if let TrainEvent::Notice { sentence, .. } = e { Some(sentence.clone()) } else { None };
        let started = |e: &TrainEvent| if let TrainEvent::Started { images, .. } = e { Some(*images) } else { None };
        let events = watch.events.borrow();
        let notices: Vec<String> = events.iter().filter_map(notice).collect();
        (events.iter().find_map(started), trainer.detector().config.masks_from_boxes, notices.join("; "))
    };
    let bare =
        |examples: &mut Vec<Example>| examples.iter_mut().flat_map(|e| &mut e.objects).for_each(|o| o.mask = None);
    let (images, from_boxes, notices) = begin(|_| ());
    assert_eq!((images, from_boxes), (Some(2), false));
    assert!(notices.contains("image2") && !notices.contains("outline"), "{notices}");
    let (_, from_boxes, notices) = begin(bare);
    assert!(from_boxes && notices.contains("boxes stand in"), "{notices}");
    let (_, from_boxes, notices) = begin(|examples| examples[1].objects[0].mask = None);
    assert!(!from_boxes && notices.contains("1 of 5 objects"), "{notices}");
}

/// Parameters that are not numbers: the last checkpoint is gone back to once, and its next step goes at half the rate.
#[test]
fn the_last_good_state_is_restored_once() {
    let mut store = cut_off(&RequestObserver { cancel_after: Some(2), ..RequestObserver::default() });
    let good = store.checkpoint.clone().unwrap();
    let straight = RequestObserver::default();
    pollster::block_on(resume(&good).run(&mut store.clone(), &straight)).unwrap();

    let mut poisoned = Checkpoint::from_bytes(&good).unwrap();
    for of in ["network", "average"] {
        poisoned.tensors.get_mut(&format!("{of}:roi_heads.box_predictor.cls_score.bias")).unwrap()[1] = f32::NAN;
    }
    let poisoned = poisoned.to_bytes().unwrap();
    let (mut trainer, watch) = (resume(&poisoned), RequestObserver::default());
    pollster::block_on(trainer.run(&mut store, &watch)).unwrap();
    // Two validations and three steps.
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Skipped { .. })), 5);
    assert_eq!(watch.count(|e| matches!(e, TrainEvent::Notice { .. })), 1);
    let ((step, rate, loss), expected) = (watch.first(), straight.first());
    assert_eq!((step, rate, loss), (expected.0, 0.5 * expected.1, expected.2));
    let end = Checkpoint::from_bytes(&store.checkpoint.unwrap()).unwrap().state;
    assert_eq!((end.step, end.restored, end.finished), (6, 1, true));

    let mut store = MemoryStore { checkpoint: Some(poisoned.clone()), ..MemoryStore::default() };
    let watch = RequestObserver::default();
    let error = pollster::block_on(resume(&poisoned).run(&mut store, &watch)).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
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
    if golden::folder().is_some() {
        let mut store = MemoryStore::default();
        let trained =
            pollster::block_on(trainer(short_training()).run(&mut store, &RequestObserver::default())).unwrap();
        torchvision_takes(&trained.detector);
    }
}

/// And so it does what was fine-tuned, frozen norms beside the weights.
#[test]
fn torchvision_takes_what_was_fine_tuned() {
    if golden::folder().is_some() {
        let mut trainer =
            Trainer::new(TrainConfig::fine_tune(), with_frozen_norms(), vec![example(0)], Vec::new()).unwrap();
        for _ in 0..2 {
            pollster::block_on(trainer.step()).unwrap();
        }
        torchvision_takes(&trainer.detector());
    }
}

fn torchvision_takes(trained: &Detector) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pollster::block_on(weights::save(trained, Precision::F32)).unwrap();
    std::fs::write(folder.path().join("trained.safetensors"), bytes).unwrap();

    let (config, network, merged_image) = (&trained.config, &trained.network, example(0).merged_image);
    let input = NetworkInput::new(&merged_image, config).unwrap();
    let features = pollster::block_on(network.backbone.forward(input.to_tensor(&trained.device), &())).unwrap();
    let boxes = [vec![[10.0, 12.0, 60.0, 70.0], [0.0, 40.0, 100.0, 128.0], [64.0, 3.0, 80.0, 18.0f32]]];
    let mut answers = vec![
        ("picture".to_owned(), vec![SIDE, SIDE, 3], merged_image.rgb.clone()),
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
    let output = golden::python().arg(script).arg(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    println!("{}", text(&output.stdout));
}

/// Overfits two images, with batch norms folded during the run; a run from there that spoils everything gives the detector
/// that it began with.
#[test]
fn two_images_are_learnt_and_not_forgotten() {
    let mut train = short_training();
    (train.budget, train.repeats, train.augment) = (Budget::Epochs(20), 2, Augment::none());
    train.schedule.base = 1e-3;
    (train.validate_every, train.checkpoint_seconds) = (1000, 1e9);
    let (mut store, watch) = (MemoryStore::default(), RequestObserver::default());
    let finished = pollster::block_on(trainer(train).run(&mut store, &watch)).unwrap();
    let steps = watch.steps();
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    let (first, last) = (mean(&steps[..4]), mean(&steps[steps.len() - 4..]));
    println!("loss from {first} to {last}, AP50 {:?}", finished.best);
    assert!(last < 0.5 * first, "{steps:?}");
    // Folding loses nothing: the saved detector finds the same.
    let bytes = pollster::block_on(weights::save(&finished.detector, Precision::F32)).unwrap();
    let loaded = weights::load("a", &bytes, &Device::flex()).unwrap().0;
    let options = cytobox::predict::DetectOptions::default();
    let find = |d: &Detector| {
        pollster::block_on(cytobox::predict::detect(d, &example(0).merged_image, &options, &())).unwrap().detections
    };
    let (a, b) = (find(&finished.detector), find(&loaded));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a.score - b.score).abs() < 1e-4);
    }

    assert!(finished.best.unwrap().0 > 0.0, "nothing that could be forgotten: {:?}", finished.best);
    let mut wild = TrainConfig { ema_decay: 0.0, patience: 0.0, ..TrainConfig::fine_tune() };
    (wild.budget, wild.batch_size, wild.repeats, wild.augment) = (Budget::Epochs(2), 2, 2, Augment::none());
    (wild.schedule.base, wild.schedule.warmup_steps) = (0.01, 0);
    let (mut store, watch) = (MemoryStore::default(), RequestObserver::default());
    let mut again = Trainer::new(wild, loaded.clone(), vec![example(0), example(1)], vec![example(0)]).unwrap();
    let spoilt = pollster::block_on(again.run(&mut store, &watch)).unwrap();
    assert_eq!(watch.validations().iter().map(|v| v.0).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(find(&spoilt.detector), b);
    assert_ne!(find(&again.detector()), b);
    let kept =
        |e: &TrainEvent| matches!(e, TrainEvent::Notice { sentence, .. } if sentence.contains("before training"));
    assert_eq!(watch.count(kept), 1);
}
