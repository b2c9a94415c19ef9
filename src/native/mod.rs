//! What native programs share, the command line and programs that use the crate as a library: the engine driven without
//! `async`, images and annotations from folders, and [`Detector`].
//!
//! Native only: it reads files and waits for the device, and a browser's worker can do neither.

#![allow(clippy::disallowed_methods, reason = "a native thread may wait for the device")]

pub mod annotations;
pub mod bundled;
pub mod data;
mod detector;
mod image;
pub mod images;
mod in_order;
pub mod session;
mod training;

pub use data::DataOptions;
pub use detector::{DetectOptions, Detector};
pub use image::Image;
pub use images::ImageOptions;
#[doc(hidden)]
pub use in_order::in_order;
pub use training::{TrainOptions, TrainSummary};
