//! `cytobox report`: what was detected in a folder as one HTML file to look at.

use std::path::PathBuf;

use anyhow::Context;
use cytobox::{
    channels::{self, ChannelSet, Merge, StackRule},
    detections::ImageDetections,
    export, files,
    measure::Table,
    native::images::ImageOptions,
    report::{FolderFacts, FolderReport, Picture},
    scan::{Journal, ScanSettings, Source},
};

use crate::{
    images::{self, Channels, Failures},
    measured::{Measuring, read_again},
};

/// Side of a cell's picture, which the report shows at its size.
const SIDE: u32 = 96;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  cytobox detect plate1/ --out results\n  cytobox report results")]
pub struct Arguments {
    /// A folder that `cytobox detect --out` wrote.
    results: PathBuf,
    /// The HTML file; report.html in that folder when absent.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The title; the name of the folder when absent.
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    channels: Channels,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Journal::begun_with(&arguments.results).with_context(|| {
        format!("{} has no results of `cytobox detect`; run that first", arguments.results.display())
    })?;
    let journal = Journal::open(&arguments.results, &settings, false)?;
    let mut options = arguments.channels.options()?;
    options.bit_depth = options.bit_depth.or(settings.bit_depth);
    options.range = options.range.or(settings.range);
    options.stack = options.stack.or(settings.stack);
    options.channels = options.channels.or_else(|| settings.channels.clone());
    let folder = std::path::absolute(&arguments.results)?;
    let name = folder.file_name().map_or_else(|| "Cells".to_owned(), |name| name.to_string_lossy().into_owned());
    let title = arguments.title.clone().unwrap_or(name);
    let facts = FolderFacts { title, facts: facts(&settings, &journal), problems: Vec::new() };
    let mut report = FolderReport::new(facts);
    let mut failures = Failures::default();
    let bar = images::progress_bar(journal.len());
    for (image, source) in journal.images().zip(journal.sources()) {
        let (image, source) = (image?, source?);
        let table = look_at(&image, &source, &options, &arguments.measuring, &mut report).unwrap_or_else(|e| {
            failures.add(&bar, &image.image, &e);
            report.problem(format!("{}: not measured: {e}", image.image));
            Table::default()
        });
        let cells: Vec<(&str, f32)> = image.detections.iter().map(|d| (d.label.as_str(), d.score)).collect();
        report.add_table(&image.image, &cells, &table);
        bar.inc(1);
    }
    bar.finish();
    let limited: Vec<&str> = journal.limited().map(|(name, _)| name).collect();
    if !limited.is_empty() {
        report.problem(format!("the limit of detections was reached on {}", limited.join(", ")));
    }
    let out = arguments.out.clone().unwrap_or_else(|| arguments.results.join("report.html"));
    files::write_file(&out, report.html()?.as_bytes())?;
    failures.finish(journal.len())
}

/// Settings and hashes.
fn facts(settings: &ScanSettings, journal: &Journal) -> Vec<(String, String)> {
    let mut facts = vec![
        ("Detector (SHA-256)", settings.model.clone()),
        ("Lowest score", settings.score.to_string()),
        ("Images", journal.len().to_string()),
    ];
    if settings.by_class {
        facts.push(("Score thresholds", "the detector's own, for the classes that have one".to_owned()));
    }
    if let Some(merge) = &settings.merge {
        facts.push(("Weights of the channels", weights(merge)));
    }
    if let Some(channels) = &settings.channels {
        facts.push(("Channels", channels.to_string()));
    }
    if let Some(limit) = settings.max_detections {
        facts.push(("Limit of detections per image", limit.to_string()));
    }
    if let Some(depth) = settings.bit_depth {
        facts.push(("Bit depth", format!("{} ({} is full brightness)", depth.bits(), depth.full_scale())));
    }
    if let Some(StackRule { projection, z, t }) = settings.stack {
        let of = |what: &str, n: Option<u32>| n.map(|n| format!(", {what} {n}")).unwrap_or_default();
        facts.push(("Stacks", format!("{}{}{}", projection.name(), of("z", z), of("t", t))));
    }
    if let Some(range) = settings.range {
        facts.push(("Intensity range", format!("{} is black, {} is white", range.low(), range.high())));
    }
    facts.push(("Made with", format!("cytobox {}", env!("CARGO_PKG_VERSION"))));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `red 1, 0, 0; blue 0, 0, 1`.
fn weights(merge: &Merge) -> String {
    let one = |(channel, [r, g, b]): (channels::Channel, [f32; 3])| format!("{channel} {r}, {g}, {b}");
    merge.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Measures an image, and shows those of its cells that are among the best so far.
fn look_at(
    image: &ImageDetections,
    source: &Source,
    options: &ImageOptions,
    measuring: &Measuring,
    report: &mut FolderReport,
) -> cytobox::Result<Table> {
    let mut options = options.clone();
    // What was taken as black when it was detected is so again.
    options.fill_missing |= !image.filled.is_empty();
    let set: ChannelSet = read_again(&image.image, source, &options)?;
    let table = export::measured(image, &set, &measuring.options(&set))?;
    let wanted: Vec<_> = image.detections.iter().filter(|d| report.wants(&d.label, d.score)).collect();
    if wanted.is_empty() {
        return Ok(table);
    }
    let merge = image.merge.clone().unwrap_or_else(|| Merge::for_set(&set));
    let merged_image = channels::merge(&set, &merge)?;
    for detection in wanted {
        if !report.wants(&detection.label, detection.score) {
            continue;
        }
        report.show(Picture {
            image: image.image.clone(),
            label: detection.label.clone(),
            score: detection.score,
            side: SIDE,
            rgba: channels::crop(&merged_image, detection.bbox, SIDE),
        });
    }
    Ok(table)
}
