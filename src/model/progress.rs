//! Progress reports and cancellation between the stages of a detection.

use std::future::Future;
use std::pin::Pin;

use crate::error::Result;

/// The stages, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Transform,
    Backbone,
    Pyramid,
    Rpn,
    Proposals,
    Boxes,
    Masks,
    Paste,
}

impl Stage {
    /// Display name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transform => "preparing",
            Self::Backbone => "backbone",
            Self::Pyramid => "feature pyramid",
            Self::Rpn | Self::Proposals => "proposals",
            Self::Boxes => "boxes",
            Self::Masks | Self::Paste => "masks",
        }
    }

    /// Overall progress, 0–1, when `fraction` of this stage is done. The weights are the shares of run time of a Mask R-CNN with
    /// ResNet-50 at 512² on a CPU, good enough for a progress bar.
    pub fn overall(self, fraction: f32) -> f32 {
        let (start, end) = match self {
            Self::Transform => (0.0, 0.02),
            Self::Backbone => (0.02, 0.35),
            Self::Pyramid => (0.35, 0.50),
            Self::Rpn => (0.50, 0.65),
            Self::Proposals => (0.65, 0.68),
            Self::Boxes => (0.68, 0.78),
            Self::Masks => (0.78, 0.98),
            Self::Paste => (0.98, 1.0),
        };
        start + (end - start) * fraction.clamp(0.0, 1.0)
    }
}

/// Whether to continue. The future may wait, for instance for the browser's event loop.
pub type Go<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Receives progress reports.
///
/// [`Progress::at`] is called before each part of the work. Its future may yield to the event loop, so that a cancel message can
/// arrive. An `Err`, usually [`crate::Error::Cancelled`], stops the run, which returns it.
pub trait Progress {
    /// `fraction` of `stage` (0–1) is done.
    fn at(&self, stage: Stage, fraction: f32) -> Go<'_>;

    /// The stages from now on are those of tile number `index` of `total`: an image larger than one pass of the network.
    fn tile(&self, _index: usize, _total: usize) {}
}

/// Ignores progress and never cancels.
impl Progress for () {
    fn at(&self, _: Stage, _: f32) -> Go<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}
