//! Two-stage cell detectors that run and learn in the browser.
//!
//! The modules stand in the order in which data goes through them:
//!
//! ```text
//!  files ─► channels ─► image ─► transform ─► backbone+fpn ─► rpn ─► roi_heads ─► detections ─► export / canvas
//!           decode        │                                      ▲        ▲
//!           group         └─► annotations (boxes, labels, masks) ─┴ train ─┘─► evaluate
//!           merge                                                 losses, optimiser, checkpoint
//! ```
//!
//! Imports run one way: `channels`, `boxes` and `annotations` know no model; `model` knows no training; `predict` knows
//! no page; `web` and the binaries know everything and decide nothing.

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
