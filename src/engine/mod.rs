//! The engine: a device, a detector, and the commands of [`crate::protocol`].
//!
//! The page's worker and the command line both drive this and nothing below it.

mod annotations;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod detect_tests;
mod images;
#[cfg(not(target_arch = "wasm32"))]
mod large;
mod learn;
mod measured;
mod outlines;

use std::{borrow::Cow, cell::Cell};

use burn::module::Module;
use web_time::Instant;

use images::{Asked, Seen, display_name, measure, merged, merged_image_with, open};

#[cfg(not(target_arch = "wasm32"))]
pub use self::large::SetOptions;
pub use crate::observe::{NoObserver, Observer};
use crate::{
    annotations::{attach, gather::Options, recognise::recognise, reference},
    bench,
    channels::{self, ChannelSet, FileHead, Merge},
    detections::ImageDetections,
    device::{self, ActiveDevice},
    error::{Error, Result},
    export::{self, NamedBytes},
    kernels,
    masks::Rle,
    model::{self, Detector},
    plot,
    predict::{self, DetectOptions, Found},
    protocol::{Command, DroppedFile, ImageInput, ModelReport, Outcome},
    report,
    synth::{self, SynthOptions},
    train::{MemoryStore, Store, TrainObserver},
    weights::{self, LoadReport, Precision},
};
pub use images::{Opened, merged_image, survey};

/// Whoever the engine works for: watches it, and keeps what has to outlast it.
pub trait Host: TrainObserver {
    type Store: Store;

    /// Where the checkpoints of the training run of that name lie.
    fn store(&self, name: &str) -> Self::Store;
}

impl Host for NoObserver {
    type Store = MemoryStore;

    fn store(&self, _: &str) -> MemoryStore {
        MemoryStore::default()
    }
}

/// What lives as long as a worker does.
#[derive(Default)]
pub struct Engine {
    device: Option<ActiveDevice>,
    detector: Option<Detector>,
    /// Of this detector.
    kept: Option<outlines::Kept>,
    /// Whether some of the detector's weights are random.
    untrained: bool,
}

impl Engine {
    /// Does one command to its end.
    ///
    /// # Errors
    /// Whatever went wrong; the engine can continue unless the error is [`Error::DeviceFailed`], after which the device must
    /// be opened again.
    pub async fn run(&mut self, command: Command, host: &impl Host) -> Result<Outcome> {
        match command {
            Command::Start { device, probe } => {
                let active = device::open(device, probe.as_ref()).await?;
                let report = active.report.clone();
                // Parameters live on the device that they were loaded to.
                (self.detector, self.kept) = (None, None);
                self.device = Some(active);
                Ok(Outcome::Device(report))
            }
            Command::Group { files } => {
                let head = |DroppedFile { name, head }| FileHead { kind: channels::sniff_named(&name, &head), name };
                Ok(Outcome::Groups(channels::group(&files.into_iter().map(head).collect::<Vec<_>>())))
            }
            Command::Glance { files } => {
                Ok(Outcome::Glances { glances: files.iter().map(|file| channels::glance(&file.head)).collect() })
            }
            Command::Survey { image } => survey(&image).map(|depth| Outcome::Depth { depth }),
            Command::Open { image, thumbnail } => open(&image, thumbnail).map(Outcome::Image),
            Command::Measure { image } => measure(&image).map(Outcome::Measured),
            Command::Merge { image } => {
                let bytes = merged_image(&image)?.merged_image.to_png()?;
                let name = format!("{}.png", export::safe_path(&image.name));
                Ok(Outcome::Files { files: vec![NamedBytes { name, bytes }] })
            }
            Command::LoadModel { name, bytes } => self.load_model(&name, &bytes).await,
            Command::Detect { image, score, max_detections, diameter } => {
                let started = Instant::now();
                let options = DetectOptions { score: Some(score), max_detections, diameter };
                let (detections, warnings) = self.detect(&image, &options, host).await?;
                Ok(Outcome::Detections { detections, seconds: started.elapsed().as_secs_f64(), warnings })
            }
            Command::OutlineBoxes { key, image, boxes, labels, diameter } => {
                self.outline_boxes((key, image.as_deref()), &boxes, &labels, diameter, host).await
            }
            Command::Outline { masks } => {
                let flat = |mask: &Rle| mask.outlines().into_iter().map(Vec::into_flattened).collect();
                Ok(Outcome::Outlines { outlines: masks.iter().map(flat).collect() })
            }
            Command::Export { images, classes, formats, tables } => {
                let tables = measured::unpacked(&tables)?;
                Ok(Outcome::Files { files: export::export_measured(&images, &tables, &classes, &formats)? })
            }
            Command::MeasureCells { cells, image, name, formats, pixel_size } => {
                measured::cells(&cells, image.as_deref(), &name, &formats, pixel_size)
            }
            Command::WriteTables { images } => Ok(Outcome::Files { files: export::tables(&images)? }),
            Command::CropCells { image, boxes, side } => {
                Ok(Outcome::Crops { rgba: measured::crops(&image, &boxes, side)? })
            }
            Command::ReportFolder { facts, images, pictures } => {
                let mut report = report::FolderReport::new(facts);
                for one in &images {
                    report.add(one)?;
                }
                pictures.into_iter().for_each(|picture| report.show(picture));
                let bytes = report.html()?.into_bytes();
                Ok(Outcome::Files { files: vec![NamedBytes { name: "report.html".to_owned(), bytes }] })
            }
            Command::RecogniseAnnotations { files, images } => {
                let files: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.head.as_slice())).collect();
                Ok(Outcome::AnnotationFiles { files: recognise(&files, &images) })
            }
            Command::ReadAnnotations { files, images, label, number_pieces, orientations } => {
                let files: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.bytes.as_slice())).collect();
                let options = Options { label: &label, number_pieces };
                annotations::read(&files, &images, &options, &orientations).map(Outcome::Annotations)
            }
            Command::WriteAnnotations { images, classes, formats, tables } => {
                let tables = measured::unpacked(&tables)?;
                Ok(Outcome::Files { files: export::annotated_measured(&images, &tables, &classes, &formats)? })
            }
            Command::AttachMasks { boxes, masks } => {
                Ok(Outcome::MaskOfBox { masks: attach::by_overlap(&boxes, &masks) })
            }
            Command::NameFiles { images } => {
                let stems: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
                Ok(Outcome::Names { names: reference::files_of(&images), stems: export::file_names(&stems, &[]) })
            }
            Command::Prepare { images, plan } => self.prepare(&images, &plan).await,
            Command::Train(job) => self.train(*job, host).await,
            Command::Evaluate { images, options } => self.evaluate(images, &options, host).await,
            Command::ChooseThresholds { evaluation, goal, score } => {
                Ok(Outcome::Thresholds { chosen: evaluation.thresholds(goal), before: evaluation.at_score(score) })
            }
            Command::KeepThresholds { name, bytes, thresholds } => {
                let bytes = weights::with_thresholds(&name, &bytes, thresholds)?;
                Ok(Outcome::Files { files: vec![NamedBytes { name, bytes }] })
            }
            Command::Plot { charts } => {
                Ok(Outcome::Plots { svg: charts.iter().map(plot::svg).collect::<Result<_>>()? })
            }
            Command::Report { material, evaluation } => {
                let bytes = report::html(&material, evaluation.as_deref())?.into_bytes();
                Ok(Outcome::Files { files: vec![NamedBytes { name: "report.html".to_owned(), bytes }] })
            }
            Command::Samples { images, seed, side } => samples(images, seed, side, host).await,
            Command::Synthesize { options, index } => {
                Ok(Outcome::Files { files: synth::files(&synth::generate(&options, index)?)? })
            }
            Command::BenchLayers { side } => Ok(Outcome::BenchLayers { layers: kernels::bench::layers(side)? }),
            Command::Bench { task, runs } => {
                let active = self.device()?;
                let result = bench::run(&task, runs, &active.device).await;
                active.check()?;
                result.map(Outcome::Bench)
            }
            // The worker in front of the engine answers these, since they must overtake the command that they speak of.
            Command::Cancel { .. } | Command::ControlTraining { .. } => Ok(Outcome::Nothing),
            Command::Panic => panic!("asked to"),
        }
    }

    fn device(&self) -> Result<&ActiveDevice> {
        self.device.as_ref().ok_or_else(|| Error::Usage("no device has been opened yet".into()))
    }

    /// The detector to detect with.
    fn detector(&self) -> Result<&Detector> {
        if self.untrained {
            let reason =
                "the file holds the backbone of a detector alone, whose other weights are random; train it first";
            return Err(Error::Usage(reason.into()));
        }
        self.detector.as_ref().ok_or_else(|| Error::Usage("load a model first".into()))
    }

    async fn load_model(&mut self, name: &str, bytes: &[u8]) -> Result<Outcome> {
        let active = self.device()?;
        let (detector, load) = weights::load(name, bytes, &active.device)?;
        active.check()?;
        // A backbone alone may be loaded, to train from.
        self.untrained = !load.missing.is_empty();
        let report = model_report(name, &detector, load);
        (self.detector, self.kept) = (Some(detector), None);
        Ok(Outcome::Model(Box::new(report)))
    }

    /// What the detector finds on an image, and what is odd about its files.
    ///
    /// # Errors
    /// No device or no detector; an image that cannot be read; those of [`predict::detect`].
    pub async fn detect(
        &self,
        image: &ImageInput,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<(ImageDetections, Vec<String>)> {
        let opened = self.open_for_detector(image)?;
        let mut found = self.detect_on(opened, options, observer).await?;
        found.0.image.clone_from(&image.name);
        found.0.file = display_name(image);
        Ok(found)
    }

    /// Decodes and merges an image as the detector was trained to see it. The device has no part in it.
    ///
    /// # Errors
    /// No detector; an image that cannot be read.
    pub fn open_for_detector(&self, image: &ImageInput) -> Result<Opened> {
        merged_image_with(image, Seen::by(&self.detector()?.config))
    }

    /// As [`Self::detect`], for channels that are decoded.
    ///
    /// # Errors
    /// As [`Self::detect`]; channels that do not fit together.
    pub async fn detect_decoded(
        &self,
        set: ChannelSet,
        merge: Option<&Merge>,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<(ImageDetections, Vec<String>)> {
        set.check()?;
        let asked = Asked { merge, channels: None };
        let opened = merged(set, asked, self.detector()?.config.merge.as_ref())?;
        self.detect_on(opened, options, observer).await
    }

    /// As [`Self::detect`], for what [`Self::open_for_detector`] gave; results name no file.
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub async fn detect_on(
        &self,
        Opened { set, merge, merged_image }: Opened,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<(ImageDetections, Vec<String>)> {
        let (active, detector) = (self.device()?, self.detector()?);
        let stages = Stages { observer, tile: Cell::new((0, 1)) };
        let found = predict::detect(detector, &merged_image, options, &stages).await;
        // A fault of the device explains whatever else went wrong, and makes worthless what went right.
        active.check()?;
        let Found { detections, limit_reached } = found?;
        // So that images of many sizes do not add up in the device's memory.
        active.device.memory_cleanup();
        let detections = ImageDetections {
            image: set.name,
            file: String::new(),
            width: merged_image.width,
            height: merged_image.height,
            detections,
            merge: Some(merge),
            filled: set.filled,
            stack: set.stack,
            limit_reached,
        };
        Ok((detections, set.warnings))
    }

    /// The bytes of the detector's file.
    ///
    /// # Errors
    /// No detector; a device that failed.
    pub async fn save(&self, precision: Precision) -> Result<Vec<u8>> {
        let file = weights::save(self.detector()?, precision).await;
        self.device()?.check()?;
        file
    }
}

fn model_report(name: &str, detector: &Detector, load: LoadReport) -> ModelReport {
    let parameters = detector.network.num_params() as u64;
    ModelReport { name: name.to_owned(), parameters, config: detector.config.clone(), load }
}

/// Tells an observer of the stages of a detection, in percent of each tile.
struct Stages<'a, O> {
    observer: &'a O,
    /// The number of the tile, and of all tiles.
    tile: Cell<(u32, u32)>,
}

impl<O: Observer> model::Progress for Stages<'_, O> {
    fn at(&self, stage: model::Stage, fraction: f32) -> model::Go<'_> {
        let (tile, tiles) = self.tile.get();
        let percent = tile.saturating_mul(100).saturating_add((stage.overall(fraction) * 100.0) as u32);
        let name = match tiles {
            1 => Cow::Borrowed(stage.name()),
            _ => format!("tile {} of {tiles}: {}", tile + 1, stage.name()).into(),
        };
        Box::pin(async move { self.observer.stage(&name, percent, tiles.saturating_mul(100)).await })
    }

    fn tile(&self, index: usize, total: usize) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.tile.set((number(index), number(total)));
    }
}

async fn samples(images: u32, seed: u64, side: u32, observer: &impl Observer) -> Result<Outcome> {
    let defaults = SynthOptions::default();
    // The same field at another resolution.
    let cell_size = (side as f32 / defaults.width as f32).clamp(0.25, 4.0);
    let options = SynthOptions { seed, width: side, height: side, cell_size, ..defaults };
    let mut files = Vec::new();
    for index in 0..images {
        observer.stage("drawing", index, images).await?;
        files.extend(synth::files(&synth::generate(&options, index)?)?);
    }
    Ok(Outcome::Files { files })
}
