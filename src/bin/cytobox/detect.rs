//! `cytobox detect`: cells of many images, resumable, with memory that does not grow.

use std::{collections::BTreeMap, path::PathBuf};

use cytobox::{
    channels::ImageEntry,
    detections::ImageDetections,
    device::DeviceChoice,
    export::{self, Format, MeasuredFormat},
    limits,
    native::{
        bundled::Bundled,
        images::ImageOptions,
        session::{Session, unexpected},
    },
    observe::{Observer, Progress},
    predict::{DEFAULT_SCORE, DetectOptions},
    protocol::{Command, Outcome},
    scan::{Called, Journal, Names, ScanSettings, Source},
    weights,
};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use crate::{
    data,
    images::{self, Channels},
    measured::{self, MeasuredFiles, Measuring},
};

/// As many detections as an image may have.
const DETECTIONS: i64 = limits::DETECTIONS as i64;
/// Images that a sentence names; the result files say it of every one.
const NAMED: usize = 10;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox detect plate1/ --out results --format csv,coco --score 0.7\n  \
                  cytobox detect plate1/ --out results --format measurements --pixel-size 0.325")]
pub struct Arguments {
    /// Images or folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The detector: a file, `general` or `atlas`; when absent, `atlas` for images with the Atlas's four channels, else
    /// `general`.
    #[arg(long)]
    model: Option<PathBuf>,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// voc, coco, yolo, csv, jsonl, measurements, labels, labels-png, rois, geojson; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "jsonl", value_parser = format)]
    format: Vec<Written>,
    /// The lowest score that is kept; when absent the detector's own threshold of each class, or 0.7.
    #[arg(long, value_parser = score)]
    score: Option<f32>,
    /// The most detections of one image; as many as there are cells when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=DETECTIONS))]
    max_detections: Option<u32>,
    /// Diameter of the cells in pixels of the images, √(width · height) of their boxes: they are brought to the one that the
    /// detector knows. When absent, as the detector's file says.
    #[arg(long, value_name = "PIXELS", value_parser = diameter)]
    diameter: Option<f32>,
    /// auto, gpu, software or cpu.
    #[arg(long, default_value = "auto", value_parser = device)]
    device: DeviceChoice,
    /// Start over instead of resuming behind the finished images.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    measuring: Measuring,
    /// Write the measurements of each cell into COCO and JSON lines too.
    #[arg(long)]
    with_measurements: bool,
    #[command(flatten)]
    channels: Channels,
}

/// A format of `--format`.
#[derive(Debug, Clone, Copy)]
enum Written {
    Detections(Format),
    Measured(MeasuredFormat),
}

impl Written {
    fn detections(self) -> Option<Format> {
        if let Self::Detections(format) = self { Some(format) } else { None }
    }

    fn measured(self) -> Option<MeasuredFormat> {
        if let Self::Measured(format) = self { Some(format) } else { None }
    }
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

pub fn diameter(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(diameter) if (1.0..=10_000.0).contains(&diameter) => Ok(diameter),
        _ => Err("a diameter is a number of pixels from 1 to 10000".into()),
    }
}

pub fn device(text: &str) -> Result<DeviceChoice, String> {
    serde_json::from_value(text.into()).map_err(|_| "a device is auto, gpu, software or cpu".into())
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut options = arguments.channels.options()?;
    let (groups, mut failures) = images::find(&arguments.paths)?;
    let (name, bytes) = images::detector(arguments.model.as_deref(), || Bundled::for_entries(&groups.images))?;
    let config = weights::describe(&name, &bytes)?.config;
    options.bit_depth = match Journal::begun_with(&arguments.out).filter(|_| !arguments.force) {
        Some(begun) => options.bit_depth.or(begun.bit_depth),
        None => images::decide_depth(&options, config.bit_depth, &groups.images),
    };
    let max_detections = arguments.max_detections.map(|n| n as usize);
    let model = hex(&Sha256::digest(&bytes));
    let ImageOptions { merge, channels, bit_depth, range, stack, .. } = options.clone();
    let diameter = arguments.diameter;
    let thresholds = if arguments.score.is_none() { config.class_score_thresh } else { BTreeMap::new() };
    let (score, by_class) = (arguments.score.unwrap_or(DEFAULT_SCORE), !thresholds.is_empty());
    let settings =
        ScanSettings { model, score, by_class, merge, channels, max_detections, diameter, bit_depth, range, stack };
    let kept = Kept { settings, thresholds };
    for (class, score) in &kept.thresholds {
        eprintln!("{class}: score threshold {score} of the detector; --score sets one for all classes");
    }
    let names = Names::new(&arguments.paths, &groups)?;
    let mut journal = Journal::open(&arguments.out, &kept.settings, arguments.force)?;
    if journal.unreadable() > 0 {
        eprintln!("{} lines of the journal cannot be read; their images are done again", journal.unreadable());
    }
    let is_done = |entry: &ImageEntry| Source::of(entry).is_ok_and(|source| journal.is_done(&source));
    let pending: Vec<&ImageEntry> = groups.images.iter().filter(|entry| !is_done(entry)).collect();
    let before = groups.images.len() - pending.len();
    if before > 0 {
        eprintln!("{before} images were done before; --force does them again");
    }

    let mut session = data::open(arguments.device)?;
    let classes: Vec<String> = session.load(name, bytes)?.config.classes.into_iter().skip(1).collect();
    let bar = images::progress_bar(pending.len());
    for entry in &pending {
        let wanted = names.of(entry);
        if let Err(e) = one(&mut session, &options, &kept, entry, &wanted, &mut journal, &bar) {
            failures.add(&bar, &entry.name, &e);
        }
        bar.inc(1);
    }
    bar.finish();

    let measured: Vec<MeasuredFormat> = arguments.format.iter().filter_map(|format| format.measured()).collect();
    let keep = arguments.with_measurements;
    let tables = if measured.is_empty() && !keep {
        None
    } else {
        let detector = &kept.settings.model;
        let files = MeasuredFiles::create(arguments.measuring, &arguments.out, &measured, detector, keep)?;
        measured::write_all(files, &journal, &options, &mut failures)?
    };
    for format in arguments.format.iter().filter_map(|format| format.detections()) {
        let read = || match &tables {
            Some(tables) => tables.read(),
            None => Box::new(std::iter::repeat_with(|| Ok(None))),
        };
        export::write_folder(&arguments.out, format, &classes, || {
            journal.images().zip(read()).map(|(image, table)| Ok((image?, table?)))
        })?;
    }
    say_limited(&journal);
    // Measuring goes over those that were done before too.
    failures.finish(if measured.is_empty() && tables.is_none() {
        pending.len()
    } else {
        groups.images.len().max(journal.len())
    })
}

/// Which detections are kept.
struct Kept {
    settings: ScanSettings,
    /// Of the detector's classes, where no score was given.
    thresholds: BTreeMap<String, f32>,
}

/// Finds the cells of one image and notes them in the journal.
fn one(
    session: &mut Session,
    options: &ImageOptions,
    kept: &Kept,
    entry: &ImageEntry,
    wanted: &Called,
    journal: &mut Journal,
    bar: &ProgressBar,
) -> cytobox::Result<()> {
    let source = Source::of(entry)?;
    let called = journal.name_for(wanted, &source);
    let ScanSettings { score, max_detections, diameter, .. } = kept.settings;
    let thresholds = &kept.thresholds;
    let lowest = thresholds.values().copied().fold(score, f32::min);
    let each = |found: ImageDetections| found.above_each(|label| thresholds.get(label).copied().unwrap_or(score));
    if let Some(large) = options.open_large(entry)? {
        let wanted = DetectOptions { score: Some(lowest), max_detections, diameter };
        let (detections, warnings) =
            session.detect_large(&called.image, large, &options.for_set(), &wanted, &OnBar(bar))?;
        images::warn(bar, &warnings);
        return journal.push(&ImageDetections { file: called.file, ..each(detections) }, source);
    }
    let mut image = options.read(entry)?;
    image.name.clone_from(&called.image);
    match session.run(Command::Detect { image, score: lowest, max_detections, diameter })? {
        Outcome::Detections { detections, warnings, .. } => {
            images::warn(bar, &warnings);
            journal.push(&ImageDetections { file: called.file, ..each(detections) }, source)
        }
        other => Err(unexpected(&other)),
    }
}

/// Shows on the bar which tile of a large image is being worked on.
struct OnBar<'a>(&'a ProgressBar);

impl Observer for OnBar<'_> {
    fn progress(&self, progress: Progress) {
        self.0.set_message(progress.stage);
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
