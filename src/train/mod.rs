//! Training: what the network is to say, how wrong it is, and how it gets better.
//!
//! ```text
//!  truth ─► augment ─► batch ─► step: targets ─► loss ─► optimizer ─► checkpoint
//!    ▲ sampler                    schedule, norms                  └─► trainer ─► events, the best detector
//! ```
//!
//! Semantics are torchvision's (`references/detection`, `models/detection`); everything that is not dense arithmetic runs
//! on the host, from one seeded stream of chance.

pub(crate) mod anchor_check;
pub mod augment;
pub(crate) mod average;
pub mod checkpoint;
pub mod config;
pub(crate) mod estimate;
pub(crate) mod events;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod folder_store;
pub mod kept;
pub(crate) mod loss;
pub(crate) mod mask_target;
pub mod norms;
pub mod optimizer;
pub mod parameters;
pub mod plan;
pub mod resume;
pub mod rng;
pub mod sampler;
pub(crate) mod schedule;
pub(crate) mod selection;
pub mod setup;
pub(crate) mod smoothed;
pub mod step;
pub mod targets;
pub(crate) mod trainer;
pub(crate) mod truth;
pub mod validation;

pub use checkpoint::{MemoryStore, Parts, Store};
pub use config::{Budget, NormConfig, NormScope, OptimizerConfig, TrainConfig, Trainable};
pub use estimate::Estimate;
pub use events::{TrainControl, TrainEvent, TrainObserver, Validation};
#[cfg(not(target_arch = "wasm32"))]
pub use folder_store::FolderStore;
pub use plan::{Overrides, Plan, PreparedDetector, Start};
pub use step::{Batch, Losses};
pub use trainer::{Finished, Trainer};
pub use truth::{Example, Patch, Sample, Truth};
