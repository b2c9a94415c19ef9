//! Two-stage cell detectors that detect and train in the browser.
//!
//! Data flows through the modules in this order:
//!
//! ```text
//!  files ─► channels ─► image ─► transform ─► backbone+fpn ─► rpn ─► roi_heads ─► detections ─► export / canvas
//!           decode        │                                      ▲        ▲
//!           group         └─► annotations (boxes, labels, masks) ─┴ train ─┘─► evaluate
//!           merge                                                 losses, optimiser, checkpoint
//! ```
//!
//! Imports run one way: `channels`, `boxes` and `annotations` do not depend on the model, `model` not on training, `predict` not
//! on the page. `web` and the binaries may use everything and contain no logic of their own.

pub mod annotations;
pub mod bench;
pub mod boxes;
pub mod channels;
pub mod detections;
pub mod device;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod kernels;
pub mod limits;
pub mod masks;
pub mod model;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod observe;
pub mod plot;
pub mod predict;
pub mod protocol;
pub mod report;
#[cfg(not(target_arch = "wasm32"))]
pub mod scan;
pub mod synth;
pub mod train;
#[cfg(target_arch = "wasm32")]
pub mod web;
pub mod weights;

pub use error::{Error, Result};
