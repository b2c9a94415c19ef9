//! Events of a training run, and how it is paused and stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::step::Losses;
use crate::observe::{NoObserver, Observer};

/// Everything that happens in a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TrainEvent {
    Started {
        images: usize,
        validation_images: usize,
        /// Steps in all; unknown when minutes are counted.
        steps: Option<u64>,
        /// The step that the run resumes from; 0 for a new one.
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
        /// Of the whole run, 0–1.
        progress: f32,
        seconds_left: f32,
    },
    /// Something that the user should know: how the run starts, or what was changed during it.
    Notice {
        step: u64,
        sentence: String,
    },
    /// A step that was skipped, and why.
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
    /// The run continues, but could not be saved at this step.
    Unsaved {
        step: u64,
        sentence: String,
    },
}

/// The detector's metrics on held-out images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    pub step: u64,
    pub epoch: f32,
    /// As [`crate::evaluate::Evaluation`] has them; 0 where nothing is annotated.
    pub map_50: f64,
    pub map_50_95: f64,
    #[serde(alias = "classIgnoring50")] // Its name in runs of earlier versions.
    pub class_agnostic_50: f64,
    /// AP at IoU 0.5 of each class.
    pub per_class: BTreeMap<String, f64>,
    /// No earlier detector of this run was better.
    pub best: bool,
}

/// What the user wants of the run next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrainControl {
    #[default]
    Continue,
    /// Wait between two steps.
    Pause,
    /// Finish now: fold, validate, keep the best.
    Stop,
}

/// How soon the end of a pause is noticed.
pub const PAUSE_POLL: std::time::Duration = std::time::Duration::from_millis(50);

/// Receives the events of a run and controls it. A cancelled run ends with [`crate::Error::Cancelled`] and keeps its last checkpoint.
pub trait TrainObserver: Observer {
    fn event(&self, event: TrainEvent);

    fn control(&self) -> TrainControl {
        TrainControl::Continue
    }

    /// Waits before a paused run asks again, so that waiting takes no processor time.
    fn wait_while_paused(&self) -> impl Future<Output = ()> {
        async {
            #[cfg(not(target_arch = "wasm32"))]
            std::thread::sleep(PAUSE_POLL);
            #[cfg(target_arch = "wasm32")]
            self.yield_now().await;
        }
    }
}

impl TrainObserver for NoObserver {
    fn event(&self, _: TrainEvent) {}
}
