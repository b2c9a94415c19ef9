//! `cytobox detect`: cells of many images, resumable, with memory that does not grow.

use std::path::PathBuf;

use cytobox::{
    channels::ImageEntry,
    detections::ImageDetections,
    device::DeviceChoice,
    engine::{Engine, Unwatched},
    export::{self, Format, MeasuredFormat},
    limits,
    protocol::{Command, Outcome},
    scan::{Called, Journal, Names, ScanSettings, Source},
    weights,
};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use crate::{
    first_model,
    images::{self, Channels},
    measured::Measuring,
};

/// What the network proposes at most; it cannot find more.
const PROPOSALS: i64 = limits::PROPOSALS as i64;
/// Images that a sentence names; the result files say it of every one.
const NAMED: usize = 10;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox detect plate1/ --out results --format csv,coco --score 0.7\n  \
                  cytobox detect plate1/ --out results --format measurements --pixel-size 0.325")]
pub struct Arguments {
    /// Images or folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The detector file; the bundled one when absent.
    #[arg(long)]
    model: Option<PathBuf>,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// voc, coco, yolo, csv, jsonl, measurements, labels, rois, geojson; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "jsonl", value_parser = format)]
    format: Vec<Written>,
    /// The lowest score that is kept.
    #[arg(long, default_value_t = 0.7, value_parser = score)]
    score: f32,
    /// The most detections of one image; the detector's own limit when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=PROPOSALS))]
    max_detections: Option<u32>,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// Start over instead of resuming behind the finished images.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    channels: Channels,
}

/// A format of `--format`.
#[derive(Debug, Clone, Copy)]
enum Written {
    Detections(Format),
    Measured(MeasuredFormat),
}

fn format(text: &str) -> Result<Written, String> {
    let found = text.parse().map(Written::Detections).or_else(|_| text.parse().map(Written::Measured));
    found.map_err(|_: cytobox::Error| {
        let names = Format::ALL.map(Format::name).into_iter().chain(MeasuredFormat::ALL.map(MeasuredFormat::name));
        format!("the format {text:?} is unknown; there are {}", names.collect::<Vec<_>>().join(", "))
    })
}

fn score(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(score) if (0.0..=1.0).contains(&score) => Ok(score),
        _ => Err("a score is a number from 0 to 1".into()),
    }
}

pub fn device(text: &str) -> Result<DeviceChoice, String> {
    serde_json::from_value(text.into()).map_err(|_| "a device is auto, gpu, software or cpu".into())
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let merge = arguments.channels.weights()?;
    let (groups, mut failures) = images::find(&arguments.paths)?;
    let (name, bytes) = first_model::read(arguments.model.as_deref())?;
    let bit_depth = match Journal::begun_with(&arguments.out).filter(|_| !arguments.force) {
        Some(begun) => arguments.channels.bit_depth.or(begun.bit_depth),
        None => {
            let trained = weights::describe(&name, &bytes)?.config.bit_depth;
            arguments.channels.decide_depth(trained, &groups.images)
        }
    };
    let max_detections = arguments.max_detections.map(|n| n as usize);
    let model = hex(&Sha256::digest(&bytes));
    let settings = ScanSettings { model, score: arguments.score, merge, max_detections, bit_depth };
    let names = Names::new(&arguments.paths, &groups)?;
    let mut journal = Journal::open(&arguments.out, &settings, arguments.force)?;
    if journal.unreadable() > 0 {
        eprintln!("{} lines of the journal cannot be read; their images are done again", journal.unreadable());
    }
    let is_done = |entry: &ImageEntry| Source::of(entry).is_ok_and(|source| journal.is_done(&source));
    let todo: Vec<&ImageEntry> = groups.images.iter().filter(|entry| !is_done(entry)).collect();
    let before = groups.images.len() - todo.len();
    if before > 0 {
        eprintln!("{before} images were done before; --force does them again");
    }

    let mut engine = Engine::default();
    let classes = start(&mut engine, arguments.device, name, bytes)?;
    let bar = images::progress_bar(todo.len());
    for entry in &todo {
        let wanted = names.of(entry);
        if let Err(e) = one(&mut engine, arguments, entry, &wanted, &settings, &mut journal, &bar) {
            failures.add(&bar, &entry.name, &e);
        }
        bar.inc(1);
    }
    bar.finish();

    let mut measured = Vec::new();
    for format in &arguments.format {
        match format {
            Written::Detections(format) => {
                export::write_folder(&arguments.out, *format, &classes, || journal.images())?
            }
            Written::Measured(format) => measured.push(*format),
        }
    }
    arguments.measuring.write(
        &arguments.out,
        &measured,
        &journal,
        &settings.model,
        &arguments.channels,
        &mut failures,
    )?;
    say_limited(&journal);
    // Measuring goes over those that were done before too.
    failures.finish(if measured.is_empty() { todo.len() } else { groups.images.len().max(journal.len()) })
}

/// Opens the device and the model; the classes of the model.
fn start(engine: &mut Engine, device: DeviceChoice, name: String, bytes: Vec<u8>) -> anyhow::Result<Vec<String>> {
    let command = Command::Start { device, probe: None };
    if let Outcome::Device(report) = pollster::block_on(engine.run(command, &Unwatched))? {
        eprintln!("{}: {}", report.name, report.why);
    }
    match pollster::block_on(engine.run(Command::LoadModel { name, bytes }, &Unwatched))? {
        Outcome::Model(report) => Ok(report.config.classes.into_iter().skip(1).collect()),
        _ => Err(anyhow::anyhow!("the model could not be read")),
    }
}

/// Finds the cells of one image and notes them in the journal.
fn one(
    engine: &mut Engine,
    arguments: &Arguments,
    entry: &ImageEntry,
    wanted: &Called,
    settings: &ScanSettings,
    journal: &mut Journal,
    bar: &ProgressBar,
) -> cytobox::Result<()> {
    let source = Source::of(entry)?;
    let mut image = arguments.channels.read(entry, settings.merge.as_ref())?;
    image.bit_depth = settings.bit_depth;
    let called = journal.name_for(wanted, &source);
    image.name.clone_from(&called.image);
    let max_detections = arguments.max_detections.map(|n| n as usize);
    let command = Command::Detect { image, score: arguments.score, max_detections };
    match pollster::block_on(engine.run(command, &Unwatched))? {
        Outcome::Detections { detections, warnings, .. } => {
            images::warn(bar, &warnings);
            journal.push(&ImageDetections { file: called.file, ..detections }, source)
        }
        other => Err(cytobox::Error::Usage(format!("a detection ended in {other:?}"))),
    }
}

/// Says on which images there may be more cells than were kept.
fn say_limited(journal: &Journal) {
    let limited: Vec<(&str, usize)> = journal.limited().collect();
    let Some((_, limit)) = limited.first() else { return };
    let named: Vec<&str> = limited.iter().take(NAMED).map(|(name, _)| *name).collect();
    let more = if limited.len() > NAMED { ", …" } else { "" };
    eprintln!(
        "{} of {} images reached the limit of {limit} detections per image, so cells may be missing there: {}{more}. \
         Raise it with --max-detections, or cut the images into smaller ones",
        limited.len(),
        journal.len(),
        named.join(", ")
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
