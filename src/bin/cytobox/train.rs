//! `cytobox train`: a detector from annotated images, fine-tuned from another one or from scratch.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cytobox::{
    annotations::ImageAnnotations,
    device::DeviceChoice,
    files,
    model::{Architecture, Backbone, config::Changes},
    native::{
        bundled::Bundled,
        session::{Session, unexpected},
    },
    protocol::{AnnotatedInput, Command, Outcome, Preparation, TrainJob},
    train::{Budget, FolderStore, Overrides, Plan, Start, Store, TrainConfig, Trainable, setup::ShapeOptions},
};

use crate::{data, detect, images, models, output::say, train_log::Log};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cytobox train --data cells/train --init default --epochs 10 --out mine.safetensors"
)]
pub struct Arguments {
    /// A folder with annotated images.
    #[arg(long)]
    data: PathBuf,
    /// The detector file to write.
    #[arg(long)]
    out: PathBuf,
    /// Fine-tune from this detector: a file, or a bundled one (`general`, `atlas`, or `default` for the one that fits the
    /// images). Its heads keep what they know of classes of the same name; new ones begin as the mean of those. Without a
    /// detector, a new network is trained from scratch. Read when a run starts, not when it is resumed.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Re-initialise the heads of --init also for classes that it knows.
    #[arg(long, requires = "init")]
    new_heads: bool,
    /// mask-rcnn or faster-rcnn; that of --init when absent, and mask-rcnn for a new network.
    #[arg(long, value_parser = architecture)]
    arch: Option<Architecture>,
    /// resnet18, resnet34, resnet50 or resnet101, for a new network; resnet18 when absent.
    #[arg(long, value_parser = backbone, conflicts_with = "init")]
    backbone: Option<Backbone>,
    /// Epochs.
    #[arg(long, conflicts_with = "minutes")]
    epochs: Option<u32>,
    /// Minutes to train.
    #[arg(long)]
    minutes: Option<f32>,
    /// A folder to validate with; a share of DATA is held out when absent.
    #[arg(long)]
    val: Option<PathBuf>,
    /// Seed of the random number generator; the recipe's when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Resume from the last checkpoint of a run with the same --out. Budget and learning rate may change; other options
    /// must be as they were, or be left out.
    #[arg(long)]
    resume: bool,
    /// Start over, and replace the detector and the checkpoints of an earlier run with the same --out.
    #[arg(long)]
    force: bool,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = detect::device)]
    device: DeviceChoice,
    /// All settings of a run as JSON; the options here override it. `--show-recipe` prints one.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Print the settings that would be used, and exit.
    #[arg(long)]
    show_recipe: bool,
    /// Read the data, print what would be trained as JSON, and exit.
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// The learning rate.
    #[arg(long)]
    rate: Option<f64>,
    /// Batch size.
    #[arg(long)]
    batch: Option<usize>,
    /// Side of the crops to train on, a multiple of 32; 0 for whole images.
    #[arg(long)]
    crop: Option<u32>,
    /// Trainable layers: heads, 5+, 4+, 3+ or all.
    #[arg(long, value_parser = trainable)]
    trainable: Option<Trainable>,
    /// Channels of the feature pyramid and the mask head of a new network; 128 when absent.
    #[arg(long, conflicts_with = "init")]
    fpn_channels: Option<usize>,
    /// Width of the box head of a new network; 512 when absent.
    #[arg(long, conflicts_with = "init")]
    representation: Option<usize>,
    /// Detector setting overrides as JSON, by torchvision's names, such as '{"min_size":256,"max_size":256}'; the data or
    /// --init give the others.
    #[arg(long, value_name = "JSON", value_parser = models::changes, default_value = "{}", hide_default_value = true)]
    detector: Changes,
    /// Write the detector as f16: half the size, about three digits.
    #[arg(long)]
    f16: bool,
    #[command(flatten)]
    options: data::Options,
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
    serde_json::from_value(text.into()).map_err(|_| "trainable layers are heads, 5+, 4+, 3+ or all".into())
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let plan = plan(arguments)?;
    if arguments.show_recipe {
        let settings = plan.overrides.apply(plan.settings.clone().unwrap_or_else(|| plan.preset()))?;
        say!("{}", serde_json::to_string_pretty(&settings)?);
        return Ok(());
    }
    if arguments.dry_run {
        let mut session = data::open(arguments.device)?;
        let images = data::read(&mut session, &arguments.data, &arguments.options)?;
        load_base(&mut session, arguments, &images)?;
        say!("{}", serde_json::to_string_pretty(&prepare(&mut session, &images, &plan)?)?);
        return Ok(());
    }
    let checkpoints = beside(&arguments.out, "training");
    let mut store = FolderStore::new(&checkpoints);
    let has_checkpoint = pollster::block_on(store.latest())?.is_some();
    check_out(arguments, &checkpoints, has_checkpoint)?;
    let resumes = arguments.resume && has_checkpoint;

    let mut session = data::open(arguments.device)?;
    let images = data::read(&mut session, &arguments.data, &arguments.options)?;
    let validation = match &arguments.val {
        Some(folder) => data::read(&mut session, folder, &arguments.options)?,
        None => Vec::new(),
    };
    if resumes {
        eprintln!("resuming the run at {}", checkpoints.display());
        if arguments.init.is_some() {
            eprintln!("--init was read when the run started, and is not read again");
        }
    } else {
        load_base(&mut session, arguments, &images)?;
        print_preparation(&prepare(&mut session, &images, &plan)?, &images);
    }
    let job = TrainJob {
        name: arguments.out.display().to_string(),
        plan,
        images,
        validation,
        store: checkpoints.display().to_string(),
        resume: arguments.resume,
        known_steps: 0,
        f16: arguments.f16,
    };
    let log = Log::new(&beside(&arguments.out, "log.jsonl"), resumes)?;
    let done = session.run_for(Command::Train(Box::new(job)), &log);
    log.close();
    let Outcome::Trained(trained) = done? else { bail!("the engine gave no detector") };
    if let Some(sentence) = &trained.report.config.trained {
        eprintln!("{sentence}");
    }
    files::write_file(&arguments.out, &trained.file)?;
    pollster::block_on(store.clear())?;
    Ok(())
}

fn load_base(session: &mut Session, arguments: &Arguments, images: &[AnnotatedInput]) -> anyhow::Result<()> {
    if let Some(which) = &arguments.init {
        let (name, bytes) = images::detector(Some(which), || Bundled::for_annotated(images))?;
        session.load(name, bytes)?;
    }
    Ok(())
}

/// `OUT.ending`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    out.with_file_name(name)
}

/// Refuses to replace what an earlier run left, unless told.
fn check_out(arguments: &Arguments, checkpoints: &Path, has_checkpoint: bool) -> anyhow::Result<()> {
    if arguments.force {
        return Ok(());
    }
    let out = arguments.out.display();
    match (arguments.resume, has_checkpoint, arguments.out.exists()) {
        (false, true, _) => bail!(
            "{} has the checkpoints of a run that did not end; continue it with --resume, or start over with --force",
            checkpoints.display()
        ),
        (true, false, true) => bail!(
            "{out} is the detector of a finished run, and no checkpoint is left to resume from; to train it further, use \
             --init {out} with another --out; to start over and replace it, use --force"
        ),
        (false, false, true) => bail!(
            "{out} exists; choose another --out (with --init {out} to train it further), or replace it with --force"
        ),
        _ => Ok(()),
    }
}

/// What the options ask for; the rest is the engine's to decide.
fn plan(arguments: &Arguments) -> anyhow::Result<Plan> {
    let settings: Option<TrainConfig> = match &arguments.recipe {
        Some(file) => {
            Some(serde_json::from_slice(&files::read_file(file)?).with_context(|| file.display().to_string())?)
        }
        None => None,
    };
    let budget = arguments.epochs.map(Budget::Epochs).or(arguments.minutes.map(Budget::Minutes));
    let start = match arguments.init {
        Some(_) => Start::Detector { architecture: arguments.arch, new_heads: arguments.new_heads },
        None => Start::Scratch {
            shape: ShapeOptions {
                architecture: arguments.arch,
                backbone: arguments.backbone,
                width: None,
                fpn_channels: arguments.fpn_channels,
                representation: arguments.representation,
            },
        },
    };
    let overrides = Overrides {
        budget,
        rate: arguments.rate,
        batch_size: arguments.batch,
        crop: arguments.crop,
        trainable: arguments.trainable,
        seed: arguments.seed,
        ..Overrides::default()
    };
    Ok(Plan { start, settings, overrides, anchors: None, detector: arguments.detector.clone() })
}

fn prepare(session: &mut Session, images: &[AnnotatedInput], plan: &Plan) -> anyhow::Result<Preparation> {
    let images: Vec<ImageAnnotations> = images.iter().map(|image| image.annotations.clone()).collect();
    match session.run(Command::Prepare { images, plan: Box::new(plan.clone()) })? {
        Outcome::Preparation(preparation) => Ok(*preparation),
        other => Err(unexpected(&other).into()),
    }
}

/// The data check, and how the anchors fit.
fn print_preparation(preparation: &Preparation, images: &[AnnotatedInput]) {
    for count in &preparation.classes {
        eprintln!("{}: {} cells on {} images", count.label, count.cells, count.images);
    }
    preparation.findings.iter().for_each(|finding| eprintln!("look at: {}", finding.sentence));
    let cells: usize = images.iter().map(|image| image.annotations.objects.len()).sum();
    if preparation.without_mask > 0 {
        eprintln!("{} of {cells} cells have no mask", preparation.without_mask);
    }
    let percent = |v: f32| 100.0 * v;
    let (fit, anchors) = (&preparation.anchors.fit, &preparation.config.anchor_sizes);
    let (at_70, at_50) = (percent(fit.at_70), percent(fit.at_50));
    eprintln!("anchors {:?}: {at_70:.0} % of the boxes have one at IoU ≥ 0.7, {at_50:.0} % at 0.5", anchors.concat());
    if let Some((set, fit)) = &preparation.anchors.suggestion {
        let (at_70, at_50) = (percent(fit.at_70), percent(fit.at_50));
        eprintln!("anchors of {:?} would fit better ({at_70:.0} %, {at_50:.0} %)", set.sizes.concat());
    }
}
