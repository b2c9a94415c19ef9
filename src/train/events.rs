//! What a training tells, and what it is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::step::Losses;
use crate::observe::{Observer, Unwatched};

/// Everything that happens in a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TrainEvent {
    Started {
        images: usize,
        validation_images: usize,
        /// Steps in all; unknown when minutes are counted.
        steps: Option<u64>,
        /// The step that the training goes on from; 0 for a new one.
        from_step: u64,
    },
    Step {
        /// Counted from 1.
        step: u64,
        /// Epochs done, with their fraction.
        epoch: f32,
        losses: Losses,
        total: f32,
        gradient_norm: f32,
        learning_rate: f64,
        images_per_second: f32,
        /// Of the whole training, 0–1.
        progress: f32,
        seconds_left: f32,
    },
    /// Something that whoever trains should know: how the training begins, or what was changed on the way.
    Notice {
        step: u64,
        sentence: String,
    },
    /// A step that was thrown away, and why.
    Skipped {
        step: u64,
        sentence: String,
    },
    /// The batch norms were folded; from here on the network is trained as it will be used.
    Folded {
        step: u64,
    },
    Validation(Validation),
    Checkpoint {
        step: u64,
    },
    /// The training goes on, but could not be saved at this step.
    Unsaved {
        step: u64,
        sentence: String,
    },
}

/// How good the detector is on images that it is not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    pub step: u64,
    pub epoch: f32,
    /// As [`crate::evaluate::Evaluation`] has them; 0 where nothing is annotated.
    pub map_50: f64,
    pub map_50_95: f64,
    pub class_ignoring_50: f64,
    /// AP at IoU 0.5 of each class.
    pub per_class: BTreeMap<String, f64>,
    /// No detector of this training was better.
    pub best: bool,
}

/// What whoever watches wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    #[default]
    GoOn,
    /// Wait between two steps.
    Pause,
    /// End well: fold, validate, keep the best.
    Stop,
}

/// How soon the end of a pause is noticed.
pub const REST: std::time::Duration = std::time::Duration::from_millis(50);

/// Watches a training. A cancelled one ends with [`crate::Error::Cancelled`] and keeps its last checkpoint.
pub trait TrainObserver: Observer {
    fn event(&self, event: TrainEvent);

    fn wish(&self) -> Wish {
        Wish::GoOn
    }

    /// Waits a little before a paused training asks for the next wish, so that waiting takes no processor.
    fn rest(&self) -> impl Future<Output = ()> {
        async {
            #[cfg(not(target_arch = "wasm32"))]
            std::thread::sleep(REST);
            #[cfg(target_arch = "wasm32")]
            self.turn().await;
        }
    }
}

impl TrainObserver for Unwatched {
    fn event(&self, _: TrainEvent) {}
}
