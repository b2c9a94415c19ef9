//! What a caller hears, and may do, between the stages of a detection.

use std::future::Future;
use std::pin::Pin;

use crate::error::Result;

/// The stages, in their order.
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
    /// For people.
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

    /// Where a run of `fraction` of this stage stands in the whole, 0–1. The steps are the shares of the work of a
    /// Mask R-CNN with ResNet-50 at 512² on a CPU; they order a progress bar and promise nothing.
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

/// The answer to a stage; it may wait, for instance for the browser's event loop.
pub type Go<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Hears of the stages of a run.
///
/// [`Progress::at`] is called before each part of the work. Its future may yield to an event loop, so that a message
/// to cancel can arrive; an `Err`, usually [`crate::Error::Cancelled`], ends the run and is what the run returns.
pub trait Progress {
    /// `fraction` of `stage` (0–1) is done.
    fn at(&self, stage: Stage, fraction: f32) -> Go<'_>;
}

/// Hears nothing and never stops.
impl Progress for () {
    fn at(&self, _: Stage, _: f32) -> Go<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}
