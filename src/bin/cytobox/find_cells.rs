//! The cells of many images: reading, the network and writing at the same time, results in the order of the images.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::Context;
use cytobox::{
    Error,
    channels::{ImageEntry, LargeImage},
    detections::ImageDetections,
    device::DeviceKind,
    engine::Opened,
    native::{images::ImageOptions, in_order, session::Session},
    observe::{Observer, Progress},
    predict::DetectOptions,
    scan::{ScanSettings, Source},
};
use indicatif::ProgressBar;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Images that wait for the device or for the disk.
const WAITING: usize = 2;
/// Threads that read images for a device of its own.
const READERS: usize = 4;
/// An image with more pixels is computed with all cores, alone: one core would take minutes for it.
const LARGE_PIXELS: usize = 2048 * 2048;

/// How cells are found.
pub struct Finder<'a> {
    pub session: &'a Session,
    pub device: DeviceKind,
    pub options: &'a ImageOptions,
    pub settings: &'a ScanSettings,
    /// Of the detector's classes, where no score was given.
    pub thresholds: &'a BTreeMap<String, f32>,
    pub bar: &'a ProgressBar,
}

/// What was found on an image.
pub struct Found {
    pub detections: ImageDetections,
    pub warnings: Vec<String>,
    /// From before its files were read.
    pub source: Source,
}

/// An image that waits for the network.
struct Prepared {
    image: Content,
    source: Source,
}

enum Content {
    InMemory(Box<Opened>),
    OnDisk(Box<LargeImage>),
}

/// How many images are worked on at once where nobody said.
pub fn default_jobs(device: DeviceKind) -> usize {
    let cores = cores();
    if device == DeviceKind::Cpu { cores } else { cores.min(READERS) }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Finder<'_> {
    /// Hands what is found on each image, or why nothing could be, to `write`, one after another in the order of the images.
    ///
    /// On the CPU each of `jobs` threads does an image from its files to its cells, on its share of the cores. Another device
    /// does one image at a time, while `jobs` threads read the next ones and another one writes the last.
    ///
    /// # Errors
    /// That of `write`.
    pub fn each<'e>(
        &self,
        images: &[&'e ImageEntry],
        jobs: usize,
        mut write: impl FnMut(&'e ImageEntry, cytobox::Result<Found>) -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<()> {
        let jobs = jobs.min(images.len()).max(1);
        if self.device == DeviceKind::Cpu {
            let pool = |_| ThreadPoolBuilder::new().num_threads((cores() / jobs).max(1)).build();
            let pools = (0..jobs).map(pool).collect::<Result<Vec<_>, _>>().context("threads could not be started")?;
            let large = Mutex::new(());
            let work = |thread: usize, entry| {
                let found = self.prepare(entry).and_then(|image| self.on_cpu(image, pools.get(thread), &large));
                (entry, found)
            };
            return in_order(jobs, images.iter().copied(), work, |(entry, found)| write(entry, found));
        }
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel(WAITING);
            let writer = scope.spawn(move || receive.into_iter().try_for_each(|(entry, found)| write(entry, found)));
            let work = |_, entry| (entry, self.prepare(entry));
            // The writer's error ends it, and is the one that is told.
            let _ = in_order(jobs, images.iter().copied(), work, |(entry, image)| {
                send.send((entry, image.and_then(|image| self.find(image)))).map_err(drop)
            });
            drop(send);
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn prepare(&self, entry: &ImageEntry) -> cytobox::Result<Prepared> {
        let source = Source::of(entry)?;
        let image = match self.options.open_large(entry)? {
            Some(large) => Content::OnDisk(Box::new(large)),
            None => Content::InMemory(Box::new(self.session.prepare(&self.options.read(entry)?)?)),
        };
        Ok(Prepared { image, source })
    }

    fn on_cpu(&self, image: Prepared, pool: Option<&ThreadPool>, large: &Mutex<()>) -> cytobox::Result<Found> {
        let is_large = match &image.image {
            Content::OnDisk(_) => true,
            Content::InMemory(opened) => opened.merged_image.rgb.len() / 3 > LARGE_PIXELS,
        };
        match pool {
            Some(pool) if !is_large => pool.install(|| self.find(image)),
            _ => {
                let _alone = large.lock().unwrap_or_else(PoisonError::into_inner);
                self.find(image)
            }
        }
    }

    fn find(&self, Prepared { image, source }: Prepared) -> cytobox::Result<Found> {
        let ScanSettings { score, max_detections, diameter, .. } = *self.settings;
        let lowest = self.thresholds.values().copied().fold(score, f32::min);
        let wanted = DetectOptions { score: Some(lowest), max_detections, diameter };
        let (detections, warnings) = match image {
            Content::InMemory(opened) => self.session.detect(*opened, &wanted)?,
            Content::OnDisk(large) => {
                self.session.detect_large("", *large, &self.options.for_set(), &wanted, &OnBar(self.bar))?
            }
        };
        let threshold = |label: &str| self.thresholds.get(label).copied().unwrap_or(score);
        Ok(Found { detections: detections.above_each(threshold), warnings, source })
    }
}

/// Shows on the bar which tile of a large image is being worked on.
struct OnBar<'a>(&'a ProgressBar);

impl Observer for OnBar<'_> {
    fn progress(&self, progress: Progress) {
        self.0.set_message(progress.stage);
    }
}

/// What a run that cannot write on says.
pub fn cannot_write(error: &Error, finished: usize) -> anyhow::Error {
    anyhow::anyhow!("{error}. {finished} images are finished; the same command resumes behind them")
}
