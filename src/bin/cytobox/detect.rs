//! `cytobox detect`: cells of many images, or of a shard of them, resumable, with memory that does not grow.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use cytobox::{
    channels::ImageEntry,
    detections::ImageDetections,
    device::DeviceChoice,
    limits,
    native::{bundled::Bundled, images::ImageOptions, in_order, session::Session},
    predict::DEFAULT_SCORE,
    scan::{Journal, Listing, Manifest, ScanSettings, Shard, ShardTables, Source, Whole},
    weights,
};
use sha2::{Digest, Sha256};

use crate::{
    find_cells::{self, Finder, cannot_write},
    images::{self, Channels, Failures},
    inputs::{Found, Inputs},
    measured::Measuring,
    results::{self, OneFormat, Output, Tables},
};

/// As many detections as an image may have.
const DETECTIONS: i64 = limits::DETECTIONS as i64;
/// Images that a sentence names; the result files say it of every one.
const NAMED: usize = 10;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox detect plate1/ --out results --format csv,coco --score 0.7\n  \
                  cytobox detect plate1/ --out results --format measurements --pixel-size 0.325\n  \
                  cytobox detect plate1/ --out shards/1 --shard 1/8 --format csv; …; cytobox join shards/* --out results")]
pub struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// The detector: a file, `general` or `atlas`; when absent, `atlas` for images with the Atlas's four channels, else
    /// `general`.
    #[arg(long)]
    model: Option<PathBuf>,
    /// The folder for the results.
    #[arg(long)]
    out: PathBuf,
    /// voc, coco, yolo, csv, jsonl, measurements, labels, labels-png, rois, geojson; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "jsonl", value_parser = results::format)]
    format: Vec<OneFormat>,
    /// Do only the K-th of N shares of the images, chosen by a hash of their paths; `cytobox join` writes the formats once
    /// all are done.
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// How many images are worked on at once; as many as there are cores on the CPU, up to 4 are read ahead for a GPU. The
    /// results do not depend on it.
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,
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
    let Found { groups, names, mut failures } = arguments.inputs.find()?;
    let (name, bytes) = images::detector(arguments.model.as_deref(), || Bundled::for_entries(&groups.images))?;
    let config = weights::describe(&name, &bytes)?.config;
    options.bit_depth = match Journal::begun_with(&arguments.out).filter(|_| !arguments.force) {
        Some(begun) => options.bit_depth.or(begun.bit_depth),
        None => images::decide_depth(&options, config.bit_depth, &groups.images),
    };
    let classes: Vec<String> = config.classes.iter().skip(1).cloned().collect();
    let thresholds = if arguments.score.is_none() { config.class_score_thresh } else { BTreeMap::new() };
    let settings = settings(arguments, hex(&Sha256::digest(&bytes)), &options, !thresholds.is_empty());
    for (class, score) in &thresholds {
        eprintln!("{class}: score threshold {score} of the detector; --score sets one for all classes");
    }
    check_shard(arguments)?;
    let say = &mut |sentence: &str| eprintln!("{sentence}");
    let mut journal = Journal::open_telling(&arguments.out, &settings, arguments.force, say)?;
    if journal.unreadable() > 0 {
        eprintln!("{} lines of the journal cannot be read; their images are done again", journal.unreadable());
    }
    let listing = Listing::new(&groups, &names);
    let own: Vec<&ImageEntry> = match arguments.shard {
        Some(shard) => listing.share(shard).collect(),
        None => groups.images.iter().collect(),
    };
    let is_done = |entry: &ImageEntry| Source::of(entry).is_ok_and(|source| journal.is_done(&source));
    let pending: Vec<&ImageEntry> = own.iter().copied().filter(|entry| !is_done(entry)).collect();
    journal.expect(pending.len());
    let before = own.len() - pending.len();
    if before > 0 {
        eprintln!("{before} images were done before; --force does them again");
    }

    let (mut session, device) = Session::open(arguments.device)?;
    eprintln!("{}: {}", device.name, device.why);
    let jobs = arguments.jobs.map_or_else(|| find_cells::default_jobs(device.kind), |jobs| jobs as usize);
    let output = Output {
        formats: arguments.format.clone(),
        with_measurements: arguments.with_measurements,
        measuring: arguments.measuring,
        options: options.clone(),
        jobs,
    };
    if let Some(shard) = arguments.shard {
        let whole = Whole {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: names.root().to_string_lossy().into_owned(),
            images: listing.images.len(),
            listing: listing.digest(),
            settings: settings.clone(),
            classes: classes.clone(),
            results: output.results(),
        };
        Manifest::new(shard, whole, &listing, &names, failures.unreadable().to_vec())?.write(&arguments.out)?;
        eprintln!("shard {shard}: {} of {} images", own.len(), listing.images.len());
    }
    session.load(name, bytes)?;
    let bar = images::progress_bar(pending.len());
    let (session, thresholds) = (&session, &thresholds);
    let finder = Finder { session, device: device.kind, options: &options, settings: &settings, thresholds, bar: &bar };
    finder.each(&pending, jobs, |entry, found| {
        match found {
            Ok(find_cells::Found { detections, warnings, source }) => {
                images::warn(&bar, &warnings);
                let called = journal.name_for(&names.of(entry), &source);
                let detections = ImageDetections { image: called.image, file: called.file, ..detections };
                journal.push(&detections, source).map_err(|error| cannot_write(&error, journal.len()))?;
            }
            Err(error) if !names.root().exists() => {
                anyhow::bail!("{error}. The folder of the images is gone; {} images are finished", journal.len());
            }
            Err(error) => failures.add(&bar, &entry.name, &error),
        }
        bar.inc(1);
        Ok(())
    })?;
    bar.finish();
    if arguments.shard.is_some() {
        measure_shard(arguments, &output, &own, &journal, &mut failures)?;
        say_limited(&journal);
        return failures.finish(own.len());
    }
    output.write(&arguments.out, &journal, &settings.model, &classes, Tables::Images, &mut failures)?;
    say_limited(&journal);
    // Measuring goes over those that were done before too.
    failures.finish(if output.goes_over_images() { groups.images.len().max(journal.len()) } else { pending.len() })
}

/// What is asked of the detector.
fn settings(arguments: &Arguments, model: String, options: &ImageOptions, by_class: bool) -> ScanSettings {
    ScanSettings {
        model,
        score: arguments.score.unwrap_or(DEFAULT_SCORE),
        by_class,
        merge: options.merge.clone(),
        max_detections: arguments.max_detections.map(|n| n as usize),
        diameter: arguments.diameter,
        bit_depth: options.bit_depth,
        range: options.range,
        channels: options.channels.clone(),
        stack: options.stack,
    }
}

/// Refuses to mix a shard with another one, or with a whole folder.
fn check_shard(arguments: &Arguments) -> anyhow::Result<()> {
    match Manifest::read(&arguments.out)? {
        Some(begun) if Some(begun.shard) != arguments.shard => anyhow::bail!(
            "{} holds shard {} of a detection; use another --out, or remove the folder to start over",
            arguments.out.display(),
            begun.shard
        ),
        _ => Ok(()),
    }
}

/// Measures the finished images of a shard that were not measured before, for the files that `join` writes.
fn measure_shard(
    arguments: &Arguments,
    output: &Output,
    own: &[&ImageEntry],
    journal: &Journal,
    failures: &mut Failures,
) -> anyhow::Result<()> {
    let results = output.results();
    if !results.needs_tables() {
        return Ok(());
    }
    let mut tables = ShardTables::open(&arguments.out, &results, arguments.force)?;
    // What the folder no longer holds cannot be measured, and is not asked for.
    let own: HashSet<Source> = own.iter().filter_map(|entry| Source::of(entry).ok()).collect();
    let is_pending = |source: cytobox::Result<Source>| {
        let source = source?;
        cytobox::Result::Ok(own.contains(&source) && !tables.has(&source))
    };
    let pending = journal.sources().map(is_pending).collect::<cytobox::Result<Vec<bool>>>()?;
    let bar = images::progress_bar(pending.iter().filter(|is_pending| **is_pending).count());
    let items = journal.images().zip(journal.sources()).zip(&pending).filter(|(_, is_pending)| **is_pending);
    type Finished = (cytobox::Result<ImageDetections>, cytobox::Result<Source>);
    let work = |_, ((image, source), _): (Finished, &bool)| {
        let (image, source) = (image?, source?);
        let table = output.measure(&image, &source);
        Ok((image.image, source, table))
    };
    in_order(output.jobs, items, work, |done: cytobox::Result<_>| {
        let (name, source, table) = done?;
        match table {
            Ok(table) => tables.push(&source, &table).map_err(|error| cannot_write(&error, journal.len()))?,
            Err(error) => failures.add(&bar, &name, &error),
        }
        bar.inc(1);
        anyhow::Ok(())
    })?;
    bar.finish();
    Ok(tables.finish()?)
}

/// Says on which images there may be more cells than were kept.
pub fn say_limited(journal: &Journal) {
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
