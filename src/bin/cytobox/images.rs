//! What the commands over images share: finding them, reading them, the progress bar.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, bail};
use cytobox::{
    channels::{
        self, BitDepth, ChannelMap, ChannelSet, Groups, HEAD_BYTES, Ignored, ImageEntry, Merge, Pages, Projection,
        SampleRange, StackRule,
    },
    engine,
    files::{self, Found},
    native::{
        bundled::{self, Bundled},
        images::{self, ImageOptions},
    },
};
use indicatif::{ProgressBar, ProgressStyle};

/// How channel sets become images.
#[derive(clap::Args)]
pub struct Channels {
    /// Fill missing channels with black instead of leaving the image out.
    #[arg(long)]
    fill_missing: bool,
    /// Weights of the channels into red, green and blue as JSON, such as '{"red":[1,0,0],"yellow":[0.5,0.5,0]}'.
    #[arg(long, value_name = "JSON")]
    merge: Option<String>,
    /// Which channel of the images stands for which of the detector's, such as red=channel1,blue=grey: the detector's first. Those
    /// that are not named are black.
    #[arg(long, value_name = "MAP", value_parser = channel_map, conflicts_with = "merge")]
    channels: Option<ChannelMap>,
    /// What the pages of a TIFF file are that does not say it: ask (such a file is refused), channels, slices or frames.
    #[arg(long, default_value = "ask", value_parser = pages)]
    pages: Pages,
    /// Bits of the camera, for 16-bit images: 12 makes 4095 full brightness. Without it the detector's own counts, else what
    /// the files state, else what holds their samples.
    #[arg(long, value_name = "BITS", value_parser = bit_depth)]
    bit_depth: Option<BitDepth>,
    /// Samples that become black and white, such as 100,4000, the same in all images. Without it --bit-depth counts for 16-bit
    /// images, and for 32-bit ones the percentiles 1 and 99.8 of each image.
    #[arg(long, value_name = "BLACK,WHITE", value_parser = range, allow_hyphen_values = true)]
    range: Option<SampleRange>,
    /// Slice of a stack, counted from 1. Without --z and --projection a stack is refused.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "projection")]
    z: Option<u32>,
    /// Time point of a stack, counted from 1; the first one unless told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    t: Option<u32>,
    /// How the slices of a stack become one image: plane (the middle one; --z names another), max, mean, or sharpest (the one in
    /// focus). In a file that has time points alone they are projected, unless --t picks one.
    #[arg(long, value_parser = projection)]
    projection: Option<Projection>,
}

fn pages(text: &str) -> Result<Pages, String> {
    serde_json::from_value(text.into()).map_err(|_| "pages are ask, channels, slices or frames".into())
}

fn bit_depth(text: &str) -> Result<BitDepth, String> {
    let bits = text.parse().map_err(|_| "a bit depth is a number from 9 to 16".to_owned())?;
    BitDepth::new(bits).map_err(|e| e.to_string())
}

fn channel_map(text: &str) -> Result<ChannelMap, String> {
    text.parse().map_err(|e: cytobox::Error| e.to_string())
}

fn projection(text: &str) -> Result<Projection, String> {
    text.parse().map_err(|e: cytobox::Error| e.to_string())
}

fn range(text: &str) -> Result<SampleRange, String> {
    let numbers = text.split_once(',').and_then(|(low, high)| low.trim().parse().ok().zip(high.trim().parse().ok()));
    let (low, high) = numbers.ok_or_else(|| "a range is two numbers, such as 100,4000".to_owned())?;
    SampleRange::new(low, high).map_err(|e| e.to_string())
}

/// Images that are opened to find out their bit depth; the files of a run are of one camera as a rule.
const SURVEYED: usize = 64;

impl Channels {
    pub fn options(&self) -> anyhow::Result<ImageOptions> {
        let Self { fill_missing, pages, bit_depth, range, z, t, projection, .. } = *self;
        let is_told = z.is_some() || t.is_some() || projection.is_some();
        let stack = is_told.then(|| StackRule { projection: projection.unwrap_or_default(), z, t });
        let merge = self.merge.as_deref().map(|json| serde_json::from_str(json).context("--merge")).transpose()?;
        let channels = self.channels.clone();
        Ok(ImageOptions { fill_missing, merge, channels, pages, bit_depth, range, stack })
    }
}

/// What counts as full brightness in all 16-bit images of a run: the user's choice, else what the detector was `trained`
/// with, else what a sample of the images, spread over all of them by name, asks for. It is said once.
pub fn decide_depth(options: &ImageOptions, trained: Option<BitDepth>, entries: &[ImageEntry]) -> Option<BitDepth> {
    if options.bit_depth.is_some() || options.range.is_some() {
        return options.bit_depth;
    }
    let deep: Vec<&ImageEntry> = entries.iter().filter(|entry| may_be_deep(entry)).collect();
    let sample = deep.iter().step_by(deep.len().div_ceil(SURVEYED).max(1));
    // What cannot be read is named when its turn comes.
    let asked = |entry: &&ImageEntry| options.read(entry).and_then(|image| engine::survey(&image)).ok().flatten();
    let own = sample.filter_map(asked).max()?;
    let decided = trained.unwrap_or(own);
    let (white, bits) = (decided.full_scale(), decided.bits());
    let why = match trained {
        Some(_) if own != decided => {
            format!("as the detector was trained, but these look like {}-bit images", own.bits())
        }
        Some(_) => "as the detector was trained".to_owned(),
        None => format!("as up to {SURVEYED} of them suggest"),
    };
    eprintln!("16-bit images: {white} ({bits} bit) is taken for full brightness, {why}; --bit-depth changes it");
    Some(decided)
}

/// Whether the files of an image may have 16 bits, as far as their first bytes tell.
fn may_be_deep(entry: &ImageEntry) -> bool {
    let mut head = Vec::new();
    let Some(file) = entry.files.first() else { return false };
    let read = File::open(&file.file).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    read.is_ok() && channels::glance(&head).may_be_deep
}

/// Name and bytes of the detector that `which` names; where it is left to the images, which one fits them is said.
pub fn detector(which: Option<&Path>, fits: impl FnOnce() -> Bundled) -> cytobox::Result<(String, Vec<u8>)> {
    bundled::read(which, || {
        let fitting = fits();
        let other = if fitting == bundled::ATLAS { bundled::GENERAL } else { bundled::ATLAS };
        eprintln!("bundled detector for these images: {} (also bundled: {})", fitting.name, other.name);
        fitting
    })
}

/// The images under `paths`, and those of them that could not be read; what is not an image, and what is odd about one, is
/// said.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<(Groups, Failures)> {
    let Found { groups, unreadable } = files::find_images(paths)?;
    let mut failures = Failures::default();
    for Ignored { file, reason } in unreadable {
        failures.cannot_read(file, &reason);
    }
    images::report_problems(&groups, &mut |sentence| eprintln!("{sentence}"))?;
    Ok((groups, failures))
}

/// Says what is odd about an image. A sentence that names none holds for many, and is said once.
pub fn warn(bar: &ProgressBar, warnings: &[String]) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let is_new = |warning: &&String| SAID.lock().is_ok_and(|mut said| said.insert((*warning).clone()));
    bar.suspend(|| warnings.iter().filter(is_new).for_each(|warning| eprintln!("{warning}")));
}

/// Says which channels a detector expects that images do not have, once for all that are alike.
pub fn warn_of_channels(
    bar: &ProgressBar,
    trained: Option<&Merge>,
    options: &ImageOptions,
    sets: impl Iterator<Item = ChannelSet>,
) {
    let Some(trained) = trained.filter(|_| options.merge.is_none() && options.channels.is_none()) else { return };
    sets.for_each(|set| warn(bar, ChannelMap::mismatch(trained, &set.channels()).as_slice()));
}

/// A bar with time left, which a pipe does not see.
pub fn progress_bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} images, {eta} left  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Counts what went wrong, one line each, so that one broken image does not stop the rest. It begins with what could not
/// even be read.
#[derive(Default)]
pub struct Failures {
    unreadable: Vec<String>,
    images: usize,
}

impl Failures {
    /// Says that a file or folder cannot be read.
    pub fn cannot_read(&mut self, file: String, reason: &dyn std::fmt::Display) {
        eprintln!("not done: {file}: {reason}");
        self.unreadable.push(file);
    }

    /// Files and folders that cannot be read.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    pub fn add(&mut self, bar: &ProgressBar, image: &str, error: &cytobox::Error) {
        self.images += 1;
        bar.suspend(|| eprintln!("not done: {image}: {error}"));
    }

    /// An error if there were any, so that the exit code tells.
    pub fn finish(self, total: usize) -> anyhow::Result<()> {
        match (self.images, self.unreadable.len()) {
            (0, 0) => Ok(()),
            (n, 0) => bail!("{n} of {total} images could not be done; see the lines above"),
            (0, n) => bail!("{n} files or folders could not be read; see the lines above"),
            (n, m) => bail!(
                "{n} of {total} images could not be done, and {m} files or folders not be read; see the lines above"
            ),
        }
    }
}
