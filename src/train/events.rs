//! Events of a training run, and how it is paused and stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::step::Losses;
use crate::observe::{NoObserver, Observer};

/// Everything that happens in a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TrainEvent {
    /// The images are read, and the first step follows.
    Started {
        /// Images to train on.
        images: usize,
        /// Images that are held out for validation.
        validation_images: usize,
        /// Steps in all; unknown when minutes are counted.
        steps: Option<u64>,
        /// The step that the run resumes from; 0 for a new one.
        from_step: u64,
    },
    /// A step was done.
    Step {
        /// Counted from 1.
        step: u64,
        /// Epochs done, with their fraction.
        epoch: f32,
        /// The losses one by one.
        losses: Losses,
        /// What is minimised: the sum of the losses.
        total: f32,
        /// The global norm of the gradient, before clipping.
        gradient_norm: f32,
        /// The learning rate of this step.
        learning_rate: f64,
        /// Samples per second.
        images_per_second: f32,
        /// Of the whole run, 0–1.
        progress: f32,
        /// An estimate.
        seconds_left: f32,
    },
    /// Something that the user should know: how the run starts, or what was changed during it.
    Notice {
        /// Counted from 1.
        step: u64,
        /// For people.
        sentence: String,
    },
    /// A step that was skipped, and why.
    Skipped {
        /// Counted from 1.
        step: u64,
        /// For people.
        sentence: String,
    },
    /// The batch norms were folded; from here on the network is trained as it will be used.
    Folded {
        /// Counted from 1.
        step: u64,
    },
    /// The detector was measured on the held-out images.
    Validation(Validation),
    /// The run was saved at this step.
    Checkpoint {
        /// Counted from 1.
        step: u64,
    },
    /// The run continues, but could not be saved at this step.
    Unsaved {
        /// Counted from 1.
        step: u64,
        /// For people.
        sentence: String,
    },
}

/// The detector's metrics on held-out images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Counted from 1.
    pub step: u64,
    /// Epochs done, with their fraction.
    pub epoch: f32,
    /// Average precision at IoU 0.5, the mean over the classes; 0 where nothing is annotated.
    pub map_50: f64,
    /// The same, averaged over IoU 0.5 to 0.95.
    pub map_50_95: f64,
    /// Class-agnostic AP at IoU 0.5.
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
    /// Train.
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
    /// Receives everything that happens.
    fn event(&self, _: TrainEvent) {}

    /// What the run is to do next; asked between steps.
    fn control(&self) -> TrainControl {
        TrainControl::Continue
    }

    /// Waits before a paused run asks again, so that waiting takes no processor time.
    #[cfg_attr(not(target_arch = "wasm32"), allow(clippy::disallowed_methods, reason = "native threads can sleep"))]
    fn wait_while_paused(&self) -> impl Future<Output = ()> {
        async {
            #[cfg(not(target_arch = "wasm32"))]
            std::thread::sleep(PAUSE_POLL);
            #[cfg(target_arch = "wasm32")]
            self.yield_now().await;
        }
    }
}

impl TrainObserver for NoObserver {}
