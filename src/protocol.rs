//! The only vocabulary between the engine and whoever uses it: the page, the command line, a test.
//!
//! A [`Request`] carries an id. It is answered by any number of [`Event::Progress`] and then by exactly one of
//! [`Event::Done`], [`Event::Cancelled`] and [`Event::Failed`]. Names cross to JavaScript in camelCase; bytes cross as
//! typed arrays and are transferred.

mod answers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    annotations::{ImageAnnotations, dataset::ImageInfo, gather::Gathered, recognise::Recognised},
    bench::{BenchResult, BenchTask},
    boxes::BoxXyxy,
    channels::{BitDepth, Channel, ChannelFile, ChannelMap, Glance, Groups, Merge, Pages, SampleRange, StackRule},
    detections::ImageDetections,
    device::{DeviceChoice, DeviceReport, Probe},
    error::Error,
    evaluate::{Evaluation, Goal, Measure, Threshold},
    export::{AnnotationFormat, Format, MeasuredCells, MeasuredFormat, NamedBytes},
    kernels::bench::BenchLayer,
    masks::Rle,
    measure::PackedTable,
    observe::Progress,
    plot::Chart,
    report::{FolderFacts, Material, Picture},
    synth::SynthOptions,
    train::{Plan, TrainControl, TrainEvent},
};

pub use answers::{LayerImage, Measured, ModelReport, OpenedImage, Preparation, Thumbnail, Trained};

/// One thing asked of the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub id: u32,
    pub command: Command,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Chooses a device and proves it with known answers. Done: [`Outcome::Device`].
    Start { device: DeviceChoice, probe: Option<Probe> },
    /// Sorts files by what they are and which image they belong to. Done: [`Outcome::Groups`].
    Group { files: Vec<DroppedFile> },
    /// Says what the first bytes of image files tell. Done: [`Outcome::Glances`], one a file.
    Glance { files: Vec<DroppedFile> },
    /// Decodes and merges one image for the screen. Done: [`Outcome::Image`].
    Open { image: ImageInput, thumbnail: u32 },
    /// Finds out which bit depth an image by itself asks for; the greatest of all is that of their set. Done:
    /// [`Outcome::Depth`].
    Survey { image: ImageInput },
    /// Decodes and merges one image only to learn its size, or what is wrong with it. Done: [`Outcome::Measured`].
    Measure { image: ImageInput },
    /// Writes the merged image as PNG. Done: [`Outcome::Files`].
    Merge { image: ImageInput },
    /// Replaces the detector. Done: [`Outcome::Model`]. A file that does not fit leaves the old one in place.
    LoadModel {
        name: String,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Finds the cells of one image, all with at least `score`, and at most `max_detections`, or as many as there are. Done:
    /// [`Outcome::Detections`].
    Detect {
        image: ImageInput,
        score: f32,
        #[serde(default)]
        max_detections: Option<usize>,
        /// √(width · height) of the image's cells in its pixels, for a detector that knows that of its own; what the
        /// detector's file says when absent.
        #[serde(default)]
        diameter: Option<f32>,
    },
    /// Outlines the cells in boxes that a person drew, with the loaded detector. The feature maps of the image are kept under
    /// `key` until another image takes their place; `image` may be left out where they are there. Done:
    /// [`Outcome::BoxOutlines`].
    OutlineBoxes {
        key: String,
        #[serde(default)]
        image: Option<Box<ImageInput>>,
        boxes: Vec<BoxXyxy>,
        /// One a box; the detector need not know them.
        labels: Vec<String>,
        /// √(width · height) of the image's cells, for a detector that takes images at the scale of their cells.
        #[serde(default)]
        diameter: Option<f32>,
    },
    /// Traces masks for the screen. Done: [`Outcome::Outlines`], one a mask.
    Outline { masks: Vec<Rle> },
    /// Writes results in one or several formats; `tables` has what was measured of each image, or nothing. Done:
    /// [`Outcome::Files`].
    Export {
        images: Vec<ImageDetections>,
        classes: Vec<String>,
        formats: Vec<Format>,
        #[serde(default)]
        tables: Vec<PackedTable>,
    },
    /// Measures cells of an image, and writes those of `formats` that have files of their own for each image, called `name`.
    /// Without the image only what needs no samples is written. Annotated cells have the score NaN. Done:
    /// [`Outcome::MeasuredCells`].
    MeasureCells {
        cells: ImageDetections,
        image: Option<Box<ImageInput>>,
        name: String,
        formats: Vec<MeasuredFormat>,
        /// The side of a pixel in µm, which comes before what the files state.
        #[serde(default)]
        pixel_size: Option<f64>,
    },
    /// Writes the tables of what was measured. Done: [`Outcome::Files`].
    WriteTables { images: Vec<MeasuredCells> },
    /// Cuts the squares around boxes out of the merged image. Done: [`Outcome::Crops`].
    CropCells { image: ImageInput, boxes: Vec<BoxXyxy>, side: u32 },
    /// Writes the report of many images as one HTML file. Done: [`Outcome::Files`].
    ReportFolder { facts: FolderFacts, images: Vec<MeasuredCells>, pictures: Vec<Picture> },
    /// Says what annotation files are, and after which of the images they are named. Done: [`Outcome::AnnotationFiles`], one a
    /// file.
    RecogniseAnnotations { files: Vec<DroppedFile>, images: Vec<ImageInfo> },
    /// Reads annotation files of every kind and brings them to the images; `number_pieces` gives each connected piece of a
    /// label image a number of its own. Done: [`Outcome::Annotations`].
    ReadAnnotations {
        files: Vec<NamedBytes>,
        images: Vec<ImageInfo>,
        label: String,
        #[serde(default)]
        number_pieces: bool,
        /// The EXIF orientation, by name, of images that a camera turned; see [`Measured::orientation`].
        #[serde(default)]
        orientations: BTreeMap<String, u8>,
    },
    /// Finds the box of each mask of a label image that came by itself. Done: [`Outcome::MaskOfBox`].
    AttachMasks { boxes: Vec<BoxXyxy>, masks: Vec<Rle> },
    /// Writes annotations in one or several formats; `tables` has what was measured of each image, or nothing. Done:
    /// [`Outcome::Files`].
    WriteAnnotations {
        images: Vec<ImageAnnotations>,
        classes: Vec<String>,
        formats: Vec<AnnotationFormat>,
        #[serde(default)]
        tables: Vec<PackedTable>,
    },
    /// Says which file stands for each image in results, and what its own files are called. Done: [`Outcome::Names`].
    NameFiles { images: Vec<ImageInfo> },
    /// Looks at what is to be trained on, without its images. Done: [`Outcome::Preparation`].
    Prepare { images: Vec<ImageAnnotations>, plan: Box<Plan> },
    /// Trains, and takes the new detector for the old one. Tells [`Event::Training`]; done: [`Outcome::Trained`].
    Train(Box<TrainJob>),
    /// Pauses, resumes or finishes a training run. Done: [`Outcome::Nothing`].
    ControlTraining { request: u32, control: TrainControl },
    /// Compares what the detector finds with annotations. Done: [`Outcome::Evaluation`].
    Evaluate { images: Vec<AnnotatedInput>, options: EvaluateOptions },
    /// Chooses a score threshold for each class, and says what one for all, `score`, costs. Done: [`Outcome::Thresholds`].
    ChooseThresholds { evaluation: Box<Evaluation>, goal: Goal, score: f32 },
    /// Writes a detector file with these thresholds of its classes. Done: [`Outcome::Files`].
    KeepThresholds {
        name: String,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        thresholds: BTreeMap<String, f32>,
    },
    /// Draws curves. Done: [`Outcome::Plots`].
    Plot { charts: Vec<Chart> },
    /// Writes a training run down as one HTML file. Done: [`Outcome::Files`].
    Report { material: Material, evaluation: Option<Box<Evaluation>> },
    /// Makes synthetic images of `side` × `side` pixels, with boxes and masks, for somebody who has none at hand. Done:
    /// [`Outcome::Files`], as if they had been dropped.
    Samples { images: u32, seed: u64, side: u32 },
    /// Makes one synthetic image. Done: [`Outcome::Files`].
    Synthesize { options: SynthOptions, index: u32 },
    /// The convolutions of the benchmark for images of that side. Done: [`Outcome::BenchLayers`].
    BenchLayers { side: usize },
    /// Measures one thing on the device, or for no `runs` gives its results. Done: [`Outcome::Bench`].
    Bench { task: BenchTask, runs: u32 },
    /// Ends the request with that id; the request itself answers with `Cancelled`. Done: [`Outcome::Nothing`].
    Cancel { request: u32 },
    /// Panics, so that a test can see what the page makes of a worker that has died.
    Panic,
}

/// A file that was dropped: enough of it to tell its kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DroppedFile {
    /// With its folders, if there are any.
    pub name: String,
    /// Its first [`crate::channels::HEAD_BYTES`], or all of a shorter file.
    #[serde(with = "serde_bytes")]
    pub head: Vec<u8>,
}

/// One image as it lies in its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageInput {
    /// The stem, by which results are named.
    pub name: String,
    pub files: Vec<ImageFile>,
    /// Channels to be black where their file is missing.
    #[serde(default)]
    pub fill: Vec<Channel>,
    /// The weights of the channels; the default of the channels that are there when absent.
    #[serde(default)]
    pub merge: Option<Merge>,
    /// Which of its channels stand for which of the detector's, whose weights they get; the image's own weights come before.
    #[serde(default)]
    pub channels: Option<ChannelMap>,
    /// The weights that the detector at hand was trained with: where the image has none of its own they come before the
    /// default, provided that they name every channel of it. So it is seen as it will be detected in.
    #[serde(default)]
    pub detector_merge: Option<Merge>,
    /// What the pages of a TIFF file are that does not say it.
    #[serde(default)]
    pub pages: Pages,
    /// What counts as full brightness in 16-bit samples, the same for all images of a run; the detector's own when absent, else
    /// what this image asks for.
    #[serde(default)]
    pub bit_depth: Option<BitDepth>,
    /// What is black and white in samples of any depth. When absent, `bit_depth` counts, and for floating point the
    /// percentiles 1 and 99.8 of this image.
    #[serde(default)]
    pub range: Option<SampleRange>,
    /// What is read of the stacks in its files; without a rule they are refused.
    #[serde(default)]
    pub stack: Option<StackRule>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFile {
    #[serde(flatten)]
    pub file: ChannelFile,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// An image with what people say of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnotatedInput {
    pub image: ImageInput,
    pub annotations: ImageAnnotations,
}

/// A training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainJob {
    /// What the detector will be called.
    pub name: String,
    pub plan: Plan,
    pub images: Vec<AnnotatedInput>,
    /// Images to validate with; a share of `images` where there are none.
    #[serde(default)]
    pub validation: Vec<AnnotatedInput>,
    /// What its checkpoints are kept under.
    pub store: String,
    /// Resume from the last checkpoint that is kept; the run starts from the beginning where there is none.
    ///
    /// Of the plan, only what is said in it counts then: budget, learning rate, and how often to validate and to save
    /// replace the checkpoint's, and a finished run with a longer budget continues. Everything else must agree.
    pub resume: bool,
    /// Steps that the run had by the last checkpoint that the caller knows of. Where there are any, a run whose checkpoint
    /// is gone is an error instead of one that starts from the beginning.
    #[serde(default)]
    pub known_steps: u64,
    /// Store the detector as f16: half the size, relative errors of 5e-4.
    #[serde(default)]
    pub f16: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluateOptions {
    pub measure: Measure,
    /// Detections below it are left out of the confusion matrix.
    pub score: f32,
    /// Detections of one class that count on one image; as many as the image with the most objects has, at least 100, when
    /// absent. COCO takes 100.
    #[serde(default)]
    pub max_detections: Option<usize>,
    /// As in [`Command::Detect`].
    #[serde(default)]
    pub diameter: Option<f32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The engine listens. Messages sent before this one are lost.
    Ready {
        version: String,
    },
    Progress {
        id: u32,
        progress: Progress,
    },
    Training {
        id: u32,
        event: TrainEvent,
    },
    Done {
        id: u32,
        outcome: Outcome,
    },
    Cancelled {
        id: u32,
    },
    Failed {
        id: u32,
        code: String,
        sentence: String,
    },
}

impl Event {
    pub fn failed(id: u32, error: &Error) -> Self {
        match error {
            Error::Cancelled => Self::Cancelled { id },
            error => Self::Failed { id, code: error.code().to_owned(), sentence: error.to_string() },
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    Nothing,
    Device(DeviceReport),
    Groups(Groups),
    Glances {
        glances: Vec<Glance>,
    },
    Image(OpenedImage),
    /// `None` for 8-bit images.
    Depth {
        depth: Option<BitDepth>,
    },
    Measured(Measured),
    Model(Box<ModelReport>),
    Detections {
        detections: ImageDetections,
        seconds: f64,
        warnings: Vec<String>,
    },
    /// One a box; `None` inside where the detector sees nothing in it. Without masks, the image is needed.
    BoxOutlines {
        masks: Option<Vec<Option<Rle>>>,
    },
    /// Closed polygons `x, y, x, y, …` along the edges of the pixels; see [`Rle::outlines`].
    Outlines {
        outlines: Vec<Vec<Vec<f32>>>,
    },
    Files {
        files: Vec<NamedBytes>,
    },
    AnnotationFiles {
        files: Vec<Recognised>,
    },
    Annotations(Gathered),
    /// The number of the mask that each box gets; `None` where a mask has no box.
    MaskOfBox {
        masks: Option<Vec<Option<usize>>>,
    },
    Names {
        names: Vec<String>,
        /// Without an extension; no two alike.
        stems: Vec<String>,
    },
    MeasuredCells {
        table: PackedTable,
        files: Vec<NamedBytes>,
        /// Why a file is another than was asked for.
        notes: Vec<String>,
    },
    Crops {
        /// One square below another, RGBA8.
        #[serde(with = "serde_bytes")]
        rgba: Vec<u8>,
    },
    Preparation(Box<Preparation>),
    Trained(Box<Trained>),
    Evaluation {
        evaluation: Box<Evaluation>,
        detections: Vec<ImageDetections>,
    },
    /// By class; one of which no threshold reaches the goal is not among the chosen.
    Thresholds {
        chosen: BTreeMap<String, Threshold>,
        before: BTreeMap<String, Threshold>,
    },
    Plots {
        svg: Vec<String>,
    },
    BenchLayers {
        layers: Vec<BenchLayer>,
    },
    Bench(BenchResult),
}
