//! `cytobox train`: a detector from annotated images, on from another one or from nothing.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context, bail};
use cytobox::{
    annotations::{ImageAnnotations, check, dataset},
    device, files,
    model::{Architecture, Backbone, Detector, config::Changes},
    observe::Observer,
    protocol::{DeviceChoice, Progress},
    train::{
        Begun, Budget, Example, FolderStore, Plan, Start, Store, TrainConfig, TrainEvent, TrainObserver, Trainable,
        Trainer,
        checkpoint::Checkpoint,
        setup::{self, Shape},
    },
    weights::{self, Precision},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    dataset::{self as folders, Annotated},
    detect, first_model,
    images::Channels,
    output::say,
};

/// What `--init` calls the detector that comes with cytobox.
const DEFAULT: &str = "default";

#[derive(clap::Args)]
pub struct Arguments {
    /// A folder with images and STEM.xml beside them.
    #[arg(long)]
    data: PathBuf,
    /// The detector file to write.
    #[arg(long)]
    out: PathBuf,
    /// Go on from this detector, or from the one that comes with cytobox (`default`); its heads keep what they know of
    /// classes of the same name. Without one, training begins from nothing.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Draw the heads of --init anew also for classes that it knows.
    #[arg(long, requires = "init")]
    new_heads: bool,
    /// mask-rcnn or faster-rcnn.
    #[arg(long, default_value = "mask-rcnn", value_parser = architecture)]
    arch: Architecture,
    /// resnet18, resnet34, resnet50 or resnet101.
    #[arg(long, default_value = "resnet18", value_parser = backbone)]
    backbone: Backbone,
    /// Times through the images.
    #[arg(long, conflicts_with = "minutes")]
    epochs: Option<u32>,
    /// Minutes to train.
    #[arg(long)]
    minutes: Option<f32>,
    /// A folder to validate with; a share of DATA when absent.
    #[arg(long)]
    val: Option<PathBuf>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Go on from the last checkpoint of a training with the same --out.
    #[arg(long)]
    resume: bool,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// All settings of a training as JSON; the options here come before it. `--show-recipe` prints one.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Print the settings that would be used, and end.
    #[arg(long)]
    show_recipe: bool,
    /// The learning rate.
    #[arg(long)]
    rate: Option<f64>,
    /// Images or crops of a step.
    #[arg(long)]
    batch: Option<usize>,
    /// Side of the crops to train on, a multiple of 32; 0 for whole images.
    #[arg(long)]
    crop: Option<u32>,
    /// Stages that learn: heads, 5+, 4+, 3+ or all.
    #[arg(long, value_parser = trainable)]
    trainable: Option<Trainable>,
    /// Channels of the feature pyramid and the mask head of a new network.
    #[arg(long, default_value_t = Shape::default().fpn_channels)]
    fpn_channels: usize,
    /// Width of the box head of a new network.
    #[arg(long, default_value_t = Shape::default().representation)]
    representation: usize,
    /// Numbers of the detector as JSON, by torchvision's names, such as '{"min_size":256,"max_size":256}'; the data or
    /// --init give the others.
    #[arg(long, value_name = "JSON", value_parser = changes, default_value = "{}", hide_default_value = true)]
    detector: Changes,
    /// Write the detector as f16: half the size, about three digits.
    #[arg(long)]
    f16: bool,
    #[command(flatten)]
    channels: Channels,
}

fn architecture(text: &str) -> Result<Architecture, String> {
    match text {
        "mask-rcnn" => Ok(Architecture::MaskRcnn),
        "faster-rcnn" => Ok(Architecture::FasterRcnn),
        _ => Err("an architecture is mask-rcnn or faster-rcnn".into()),
    }
}

fn backbone(text: &str) -> Result<Backbone, String> {
    serde_json::from_value(text.into()).map_err(|_| "a backbone is resnet18, resnet34, resnet50 or resnet101".into())
}

fn trainable(text: &str) -> Result<Trainable, String> {
    serde_json::from_value(text.into()).map_err(|_| "stages that learn are heads, 5+, 4+, 3+ or all".into())
}

fn changes(text: &str) -> Result<Changes, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = settings(arguments)?;
    if arguments.show_recipe {
        say!("{}", serde_json::to_string_pretty(&config)?);
        return Ok(());
    }
    let active = pollster::block_on(device::open(arguments.device, None))?;
    eprintln!("{}: {}", active.report.name, active.report.why);
    let mut store = FolderStore::new(&beside(&arguments.out, "training"));
    let data = Data::read(arguments)?;
    let earlier = if arguments.resume { pollster::block_on(store.latest())? } else { None };
    let mut trainer = match earlier {
        Some(bytes) => {
            let state = Checkpoint::from_bytes(&bytes)?.state;
            let (examples, validation) = data.split(&state.detector.classes, &state.train)?;
            eprintln!("going on after step {}", state.step);
            Trainer::resume(&bytes, examples, validation, &active.device)?
        }
        None => {
            if arguments.resume {
                eprintln!("there is no checkpoint yet; beginning anew");
            }
            pollster::block_on(store.clear())?;
            data.tell();
            let classes = setup::classes(&data.annotations());
            let (examples, validation) = data.split(&classes, &config)?;
            let detector = begin(arguments, &config, classes, &examples, &data, &active.device)?;
            Trainer::new(config, detector, examples, validation)?
        }
    };
    let watch = Watch::new(&beside(&arguments.out, "log.jsonl"), arguments.resume)?;
    let done = pollster::block_on(trainer.run(&mut store, &watch));
    watch.bar.finish_and_clear();
    // A fault of the device explains whatever else went wrong.
    active.check()?;
    let mut finished = done?;
    let trained = finished.sentence();
    eprintln!("{trained}");
    finished.detector.config.trained = Some(trained);
    let precision = if arguments.f16 { Precision::F16 } else { Precision::F32 };
    let bytes = pollster::block_on(weights::save(&finished.detector, precision))?;
    files::write_file(&arguments.out, &bytes)?;
    pollster::block_on(store.clear())?;
    Ok(())
}

/// `OUT.ending`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    out.with_file_name(name)
}

/// The recipe, or the preset for the way of starting, with the options of the command line.
fn settings(arguments: &Arguments) -> anyhow::Result<TrainConfig> {
    let mut config = match (&arguments.recipe, &arguments.init) {
        (Some(file), _) => {
            serde_json::from_slice(&files::read_file(file)?).with_context(|| file.display().to_string())?
        }
        (None, Some(_)) => TrainConfig::fine_tune(),
        (None, None) => TrainConfig::from_scratch(),
    };
    config.seed = arguments.seed;
    config.budget = match (arguments.epochs, arguments.minutes) {
        (Some(epochs), _) => Budget::Epochs(epochs),
        (None, Some(minutes)) => Budget::Minutes(minutes),
        (None, None) => config.budget,
    };
    config.schedule.base = arguments.rate.unwrap_or(config.schedule.base);
    config.batch_size = arguments.batch.unwrap_or(config.batch_size);
    config.trainable = arguments.trainable.unwrap_or(config.trainable);
    match arguments.crop {
        Some(0) => config.augment.crop = None,
        Some(side) => config.augment.crop = Some(side),
        None => {}
    }
    config.validate()?;
    Ok(config)
}

/// The annotated images of both folders.
struct Data {
    train: Vec<Annotated>,
    validation: Option<Vec<Annotated>>,
}

impl Data {
    fn read(arguments: &Arguments) -> anyhow::Result<Self> {
        let merge = arguments.channels.weights()?;
        let read = |folder: &PathBuf| folders::read(folder, &arguments.channels, merge.as_ref());
        Ok(Self { train: read(&arguments.data)?, validation: arguments.val.as_ref().map(read).transpose()? })
    }

    fn annotations(&self) -> Vec<ImageAnnotations> {
        self.train.iter().map(|a| a.annotations.clone()).collect()
    }

    /// Images to train on and to validate with.
    fn split(&self, classes: &[String], config: &TrainConfig) -> anyhow::Result<(Vec<Example>, Vec<Example>)> {
        let example = |a: &Annotated| Example::new(a.picture.clone(), &a.annotations, classes);
        let all = self.train.iter().map(example).collect::<cytobox::Result<Vec<_>>>()?;
        match &self.validation {
            Some(validation) => Ok((all, validation.iter().map(example).collect::<cytobox::Result<_>>()?)),
            None => Ok(setup::hold_out(all, config)?),
        }
    }

    /// The data check.
    fn tell(&self) {
        let annotations = self.annotations();
        for count in dataset::class_counts(&annotations) {
            eprintln!("{}: {} cells on {} images", count.label, count.cells, count.images);
        }
        check::check(&annotations).iter().for_each(|finding| eprintln!("look at: {}", finding.sentence));
        if annotations.iter().flat_map(|a| &a.objects).any(|o| o.mask.is_none()) {
            eprintln!("some cells have no mask; a Mask R-CNN takes their boxes for them");
        }
    }
}

/// What the training begins with.
fn begin(
    arguments: &Arguments,
    config: &TrainConfig,
    classes: Vec<String>,
    examples: &[Example],
    data: &Data,
    device: &burn::tensor::Device,
) -> anyhow::Result<Detector> {
    if examples.is_empty() {
        bail!("there are no images to train on");
    }
    let merge = data.train.first().map(|a| a.merge.clone());
    let base = match arguments.init.as_deref() {
        Some(file) => Some(first_model::read(Some(file).filter(|file| *file != Path::new(DEFAULT)))?),
        None => None,
    };
    let start = match base {
        Some(_) => Start::Detector { architecture: Some(arguments.arch), new_heads: arguments.new_heads },
        None => Start::Scratch {
            shape: Shape {
                architecture: arguments.arch,
                backbone: arguments.backbone,
                fpn_channels: arguments.fpn_channels,
                representation: arguments.representation,
            },
        },
    };
    let plan = Plan { start, settings: Some(config.clone()), anchors: None, detector: arguments.detector.clone() };
    let base = base.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let Begun { detector, load, anchors } = plan.detector(base, classes, merge, examples, config.seed, device)?;
    if let Some(load) = load {
        eprintln!("{}", load.summary());
        load.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    }
    let percent = |v: f32| 100.0 * v;
    eprintln!(
        "anchors {:?}: {:.0} % of the boxes have one at IoU ≥ 0.7, {:.0} % at 0.5",
        detector.config.anchor_sizes.concat(),
        percent(anchors.fit.at_70),
        percent(anchors.fit.at_50)
    );
    if let Some((set, fit)) = anchors.suggestion {
        eprintln!(
            "anchors of {:?} would fit better ({:.0} %, {:.0} %)",
            set.sizes.concat(),
            percent(fit.at_70),
            percent(fit.at_50)
        );
    }
    Ok(detector)
}

/// Shows a bar, prints what matters, and writes every event as a line of JSON.
struct Watch {
    bar: ProgressBar,
    log: Mutex<File>,
}

impl Watch {
    fn new(log: &Path, append: bool) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        if append {
            options.append(true)
        } else {
            options.truncate(true)
        };
        let log = options.open(log).with_context(|| log.display().to_string())?;
        Ok(Self { bar, log: Mutex::new(log) })
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Observer for Watch {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    async fn turn(&self) {}
}

impl TrainObserver for Watch {
    fn event(&self, event: TrainEvent) {
        if let (Ok(line), Ok(mut log)) = (serde_json::to_string(&event), self.log.lock()) {
            // A full disk must not end a training whose checkpoints it would end by itself.
            let _ = writeln!(log, "{line}");
        }
        match event {
            TrainEvent::Started { images, validation_images, steps, .. } => {
                let steps = steps.map_or_else(|| "until the time is over".to_owned(), |n| format!("{n} steps"));
                self.say(&format!("{images} images to train on, {validation_images} to validate with, {steps}"));
            }
            TrainEvent::Step { step, epoch, losses, total, images_per_second, progress, seconds_left, .. } => {
                let named: Vec<String> = losses.named().iter().map(|(n, v)| format!("{} {v:.3}", short(n))).collect();
                let left = format!("{:.0} min left", seconds_left / 60.0);
                let rate = format!("{images_per_second:.2} images/s");
                let text =
                    format!("step {step}, epoch {epoch:.1}: loss {total:.3} ({}), {rate}, {left}", named.join(", "));
                self.bar.set_position((1000.0 * progress) as u64);
                self.bar.set_message(text.clone());
                if self.bar.is_hidden() && step % 20 == 0 {
                    eprintln!("{text}");
                }
            }
            TrainEvent::Notice { sentence, .. }
            | TrainEvent::Skipped { sentence, .. }
            | TrainEvent::Unsaved { sentence, .. } => self.say(&sentence),
            TrainEvent::Folded { step } => self.say(&format!("step {step}: the batch norms are folded")),
            TrainEvent::Validation(v) => {
                let classes: Vec<String> = v.per_class.iter().map(|(name, ap)| format!("{name} {ap:.3}")).collect();
                let best = if v.best { ", the best so far" } else { "" };
                let (ap, all, any) = (v.map_50, v.map_50_95, v.class_ignoring_50);
                let text =
                    format!("AP50 {ap:.3} ({}), AP50:95 {all:.3}, whatever the class {any:.3}", classes.join(", "));
                self.say(&format!("epoch {:.0}: {text}{best}", v.epoch));
            }
            TrainEvent::Checkpoint { .. } => {}
        }
    }
}

/// `loss_box_reg` → `box_reg`
fn short(name: &str) -> &str {
    name.strip_prefix("loss_").unwrap_or(name)
}
