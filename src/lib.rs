//! Two-stage detectors for cells in microscope images, Faster R-CNN and Mask R-CNN, that detect and train on a GPU or on the
//! CPU, natively and in the browser.
//!
//! ```no_run
//! # fn main() -> cytobox::Result<()> {
//! let mut detector = cytobox::Detector::bundled()?;
//! let found = detector.detect("cell.png")?;
//! detector.train("annotated/", &cytobox::TrainOptions::epochs(10))?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Detector::open`] takes a detector file of your own or of torchvision, [`Detector::save`] writes one. What is found
//! ([`ImageDetections`]) are boxes, labels, scores and masks in pixels of the image:
//!
//! ```
//! use cytobox::{Detector, DeviceChoice, synth};
//!
//! # fn main() -> cytobox::Result<()> {
//! let image = synth::generate(&synth::SynthOptions::default(), 0)?;
//! let cells = image.objects.len();
//! let detector = Detector::bundled_on(DeviceChoice::Cpu)?;
//! let found = detector.detect(image.set)?;
//! for cell in &found.detections {
//!     println!("{} {:.2} {:?}", cell.label, cell.score, cell.bbox.corners());
//! }
//! assert!(2 * found.detections.len() > cells, "{} of {cells}", found.detections.len());
//! # Ok(())
//! # }
//! ```
//!
//! Images are PNG, JPEG or TIFF files, sets of one file per channel ([`Image::files`]), whole folders ([`Image::find`]), or
//! channels that are decoded already ([`ChannelSet`]). [`TrainObserver`] follows a training run, pauses and ends it.
//! `tests/examples` has two complete programs.
//!
//! Everything here is native only but [`synth`] and the types; the page drives the same engine in a worker. What this
//! documentation does not show is used by the page, the command line and the tests, and changes without notice.

// The bans of clippy.toml; tests may.
#![cfg_attr(not(test), warn(clippy::disallowed_macros, clippy::disallowed_methods))]
#![cfg_attr(all(not(test), target_arch = "wasm32"), warn(clippy::disallowed_types))]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::unwrap_used))]

// The modules, in the way of the data:
//
//  files ─► channels ─► image ─► transform ─► backbone+fpn ─► rpn ─► roi_heads ─► detections ─► export / canvas
//           decode        │                                      ▲        ▲
//           group         └─► annotations (boxes, labels, masks) ─┴ train ─┘─► evaluate
//           merge                                                 losses, optimiser, checkpoint
//
// Imports run one way: `channels`, `boxes` and `annotations` do not depend on the model, `model` not on training, `predict`
// not on the page. `web`, `native` and the binaries may use everything.

#[doc(hidden)]
pub mod annotations;
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod boxes;
#[doc(hidden)]
pub mod channels;
#[doc(hidden)]
pub mod detections;
#[doc(hidden)]
pub mod device;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod evaluate;
#[doc(hidden)]
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod kernels;
pub mod limits;
#[doc(hidden)]
pub mod masks;
#[doc(hidden)]
pub mod measure;
#[doc(hidden)]
pub mod model;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod native;
#[doc(hidden)]
pub mod observe;
#[doc(hidden)]
pub mod plot;
#[doc(hidden)]
pub mod predict;
#[doc(hidden)]
pub mod protocol;
#[doc(hidden)]
pub mod report;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod scan;
pub mod synth;
#[doc(hidden)]
pub mod tiles;
#[doc(hidden)]
pub mod train;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod web;
#[doc(hidden)]
pub mod weights;

#[doc(inline)]
pub use annotations::Object;
#[doc(inline)]
pub use boxes::BoxXyxy;
#[doc(inline)]
pub use channels::{BitDepth, Channel, ChannelSet, Merge, Pages, Plane, Samples};
#[doc(inline)]
pub use detections::{Detection, ImageDetections};
#[doc(inline)]
pub use device::{DeviceChoice, DeviceKind, DeviceReport, SelfTest};
#[doc(inline)]
pub use error::{Error, Result};
#[doc(inline)]
pub use masks::Rle;
#[cfg(not(target_arch = "wasm32"))]
#[doc(inline)]
pub use native::{DataOptions, DetectOptions, Detector, Image, ImageOptions, TrainOptions, TrainSummary};
#[doc(inline)]
pub use observe::{NoObserver, Observer, Progress};
#[doc(inline)]
pub use train::{Budget, Losses, Overrides, TrainControl, TrainEvent, TrainObserver, Trainable, Validation};
