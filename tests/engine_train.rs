//! Training through the protocol, as the page and the command line ask for it.
#![cfg(not(target_arch = "wasm32"))]

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    time::{Duration, Instant},
};

use cytobox::{
    annotations::dataset::ImageInfo,
    channels::{Channel, ChannelFile, Pages},
    device::DeviceChoice,
    engine::{Engine, Host, NoObserver},
    export::NamedBytes,
    model::{Architecture, Backbone},
    observe::{Observer, Progress},
    protocol::{AnnotatedInput, Command, ImageFile, ImageInput, Outcome, TrainJob, Trained},
    synth::SynthOptions,
    train::{
        Budget, FolderStore, Overrides, Plan, Start, TrainControl, TrainEvent, TrainObserver, setup::ShapeOptions,
    },
};

const SIDE: u32 = 96;

/// Keeps checkpoints in a folder, and may pause at the beginning.
struct Keeper {
    folder: PathBuf,
    events: RefCell<Vec<TrainEvent>>,
    pause: Duration,
    started: Instant,
    asked: Cell<usize>,
}

impl Keeper {
    fn new(folder: &tempfile::TempDir) -> Self {
        let folder = folder.path().join("run");
        Self { folder, events: RefCell::default(), pause: Duration::ZERO, started: Instant::now(), asked: Cell::new(0) }
    }

    fn steps(&self) -> Vec<u64> {
        let step = |e: &TrainEvent| if let TrainEvent::Step { step, .. } = e { Some(*step) } else { None };
        self.events.borrow().iter().filter_map(step).collect()
    }
}

impl Observer for Keeper {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn yield_now(&self) {}
}

impl TrainObserver for Keeper {
    fn event(&self, event: TrainEvent) {
        self.events.borrow_mut().push(event);
    }

    fn control(&self) -> TrainControl {
        self.asked.set(self.asked.get() + 1);
        if self.started.elapsed() < self.pause { TrainControl::Pause } else { TrainControl::Continue }
    }
}

impl Host for Keeper {
    type Store = FolderStore;

    fn store(&self, _: &str) -> FolderStore {
        FolderStore::new(&self.folder)
    }
}

fn ask(engine: &mut Engine, command: Command, host: &impl Host) -> cytobox::Result<Outcome> {
    pollster::block_on(engine.run(command, host))
}

fn engine() -> Engine {
    let mut engine = Engine::default();
    ask(&mut engine, Command::Start { device: DeviceChoice::Cpu, probe: None }, &NoObserver).unwrap();
    engine
}

/// Two synthetic images, all over the protocol.
fn images(engine: &mut Engine) -> Vec<AnnotatedInput> {
    let options = SynthOptions { width: SIDE, height: SIDE, seed: 37, ..SynthOptions::default() };
    let one = |index| {
        let command = Command::Synthesize { options: options.clone(), index };
        let Outcome::Files { files } = ask(engine, command, &NoObserver).unwrap() else { panic!("files") };
        let name = format!("synthetic-37-{index}");
        let (channels, annotations): (Vec<NamedBytes>, Vec<NamedBytes>) = files
            .into_iter()
            .partition(|file| Channel::HPA.iter().any(|channel| file.name.ends_with(&format!("_{channel}.png"))));
        let command = Command::ReadAnnotations {
            files: annotations,
            images: vec![ImageInfo::new(&name, SIDE, SIDE)],
            label: "cell".into(),
            number_pieces: false,
            orientations: Default::default(),
        };
        let Outcome::Annotations(found) = ask(engine, command, &NoObserver).unwrap() else { panic!("annotations") };
        let channel = |file: &NamedBytes| Channel::HPA.into_iter().find(|c| file.name.contains(&format!("_{c}.")));
        let file = |file: NamedBytes| ImageFile {
            file: ChannelFile { channel: channel(&file), file: file.name.clone() },
            bytes: file.bytes,
        };
        let files = channels.into_iter().map(file).collect();
        let image = ImageInput {
            name,
            files,
            fill: Vec::new(),
            merge: None,
            detector_merge: None,
            pages: Pages::Ask,
            bit_depth: None,
            range: None,
            stack: None,
            channels: None,
        };
        AnnotatedInput { image, annotations: found.annotations.into_iter().next().unwrap() }
    };
    [0, 1].map(one).into()
}

fn job(images: Vec<AnnotatedInput>, epochs: u32, resume: bool) -> TrainJob {
    let shape = ShapeOptions {
        architecture: Some(Architecture::FasterRcnn),
        backbone: Some(Backbone::ResNet18),
        fpn_channels: Some(16),
        representation: Some(32),
        ..ShapeOptions::default()
    };
    let overrides =
        Overrides { budget: Some(Budget::Epochs(epochs)), batch_size: Some(8), crop: Some(64), ..Overrides::default() };
    let plan = Plan {
        start: Start::Scratch { shape },
        settings: None,
        overrides,
        anchors: None,
        detector: Default::default(),
    };
    let (name, store) = ("m.safetensors".to_owned(), "run".to_owned());
    TrainJob { name, plan, images, validation: Vec::new(), store, resume, known_steps: 0, f16: false }
}

fn train(engine: &mut Engine, job: TrainJob, host: &Keeper) -> cytobox::Result<Trained> {
    match ask(engine, Command::Train(Box::new(job)), host)? {
        Outcome::Trained(trained) => Ok(*trained),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_finished_run_gives_its_detector_again_and_continues_for_more_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine();
    let images = images(&mut engine);
    let first = Keeper::new(&folder);
    let finished = train(&mut engine, job(images.clone(), 1, false), &first).unwrap();
    assert_eq!(first.steps(), [1]);
    let again = Keeper::new(&folder);
    let same = train(&mut engine, job(images.clone(), 1, true), &again).unwrap();
    assert!(again.steps().is_empty() && same.file == finished.file);
    let more = Keeper::new(&folder);
    let longer = train(&mut engine, job(images, 3, true), &more).unwrap();
    assert_eq!(more.steps(), [2, 3]);
    assert!(longer.file != finished.file && longer.steps == 3);
}

#[test]
fn a_run_without_its_checkpoint_does_not_restart_silently() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine();
    let images = images(&mut engine);
    let lost = TrainJob { known_steps: 40, ..job(images, 1, true) };
    let keeper = Keeper::new(&folder);
    let refused = train(&mut engine, lost, &keeper).unwrap_err().to_string();
    assert!(refused.contains("checkpoint") && refused.contains("gone"), "{refused}");
    assert!(keeper.events.borrow().is_empty());
}

#[test]
fn every_image_that_cannot_be_used_is_named_and_no_checkpoint_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine();
    let mut images = images(&mut engine);
    train(&mut engine, job(images.clone(), 1, false), &Keeper::new(&folder)).unwrap();
    images[0].annotations.width = 7;
    images[1].image.files[2].bytes.truncate(60);
    let refused = train(&mut engine, job(images, 1, false), &Keeper::new(&folder)).unwrap_err().to_string();
    assert!(refused.contains("2 images") && refused.contains("its boxes are for 7"), "{refused}");
    assert!(refused.contains("synthetic-37-1"), "{refused}");
    let kept = std::fs::read_dir(folder.path().join("run")).unwrap().count();
    assert!(kept > 0, "the checkpoints of the run before");
}

#[test]
fn a_paused_training_takes_no_processor() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine();
    let images = images(&mut engine);
    // Long enough for the images to be read before.
    let keeper = Keeper { pause: Duration::from_secs(4), ..Keeper::new(&folder) };
    train(&mut engine, job(images, 1, false), &keeper).unwrap();
    assert!((2..200).contains(&keeper.asked.get()), "asked {} times", keeper.asked.get());
}
