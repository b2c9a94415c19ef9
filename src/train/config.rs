//! Every number of a training run, with defaults that work.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::augment::Augment;
use super::schedule::{Decay, DecayKind, Schedule};
use crate::error::{Error, Result};
use crate::limits;

/// What stays as it was loaded: stages are those of the ResNet, counted as in its paper (`conv1` is 1, `layer1` is 2 …
/// `layer4` is 5); the pyramid, the RPN and the RoI heads always learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Trainable {
    /// The pyramid, the RPN and the RoI heads alone.
    #[serde(rename = "heads")]
    Heads,
    /// And `layer4`.
    #[serde(rename = "5+")]
    From5,
    /// And `layer3`, `layer4`.
    #[serde(rename = "4+")]
    From4,
    /// And `layer2` to `layer4`: torchvision's `trainable_backbone_layers = 3`.
    #[default]
    #[serde(rename = "3+")]
    From3,
    /// Everything.
    #[serde(rename = "all")]
    All,
}

impl Trainable {
    /// Whether the parameter under torchvision's name learns.
    #[doc(hidden)]
    pub fn includes(self, name: &str) -> bool {
        let Some(body) = name.strip_prefix("backbone.body.") else { return true };
        let first = match self {
            Self::Heads => return false,
            Self::From5 => 4,
            Self::From4 => 3,
            Self::From3 => 2,
            Self::All => return true,
        };
        let layer = body.strip_prefix("layer").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        layer.is_some_and(|layer| layer >= first)
    }
}

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum OptimizerConfig {
    /// `torch.optim.SGD` without dampening or Nesterov's change.
    Sgd { momentum: f32, weight_decay: f32 },
    /// `torch.optim.AdamW`.
    AdamW { beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 },
}

/// An optimizer without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    Sgd,
    AdamW,
}

impl OptimizerConfig {
    /// With its usual numbers.
    pub const fn of_kind(kind: OptimizerKind) -> Self {
        match kind {
            OptimizerKind::Sgd => Self::sgd(),
            OptimizerKind::AdamW => Self::adamw(),
        }
    }

    pub const fn sgd() -> Self {
        Self::Sgd { momentum: 0.9, weight_decay: 1e-4 }
    }

    pub const fn adamw() -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.05 }
    }
}

/// Which convolutions have a batch norm while a network is trained from scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormScope {
    /// Those of the ResNet, as in torchvision.
    Body,
    /// Those of the pyramid, the RPN and the mask head as well: without pretraining they learn faster so (He et al. 2018,
    /// "Rethinking ImageNet Pre-training"), and once folded nothing of it is left in the file.
    #[default]
    All,
}

/// Batch norm that trains, and is then folded into the convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NormConfig {
    pub scope: NormScope,
    /// Weight of the newest batch in the running mean and variance.
    pub momentum: f32,
    /// When this share (0–1) of the training run is done, the norms are folded and the rest of the run trains without
    /// them, so that the network also learns with the statistics that it will be used with.
    pub fold_at: f32,
}

impl Default for NormConfig {
    fn default() -> Self {
        Self { scope: NormScope::All, momentum: 0.1, fold_at: 0.8 }
    }
}

/// How long a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Times through the training images.
    Epochs(u32),
    /// Of computing; pauses do not count.
    Minutes(f32),
}

/// A training run. [`TrainConfig::fine_tune`] and [`TrainConfig::from_scratch`] are the two ways to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// All chance comes from it: the same seed on the same CPU gives the same detector, bit for bit.
    pub seed: u64,
    pub budget: Budget,
    /// Images (or crops) of a step.
    pub batch_size: usize,
    /// Times that an image counts in one epoch; crops see a part of it each time.
    pub repeats: usize,
    pub optimizer: OptimizerConfig,
    pub schedule: Schedule,
    /// Weight of a second part of `loss_classifier`, which asks of the RoIs with an object only what class it is of. What
    /// tells similar classes apart is little beside what tells cells from background, and is drowned by it where nothing
    /// was pretrained. 0 is torchvision's loss.
    #[serde(default)]
    pub class_loss_weight: f32,
    /// How much of a moving average of all parameters stays at each step, below 1. The average is what validations measure
    /// and what the training run gives. 0 turns averaging off.
    #[serde(default)]
    pub ema_decay: f32,
    /// How much larger than the network's input in training that of the detector is, in validations and for good. Crops and
    /// scales show a network larger cells than whole images do (Touvron et al. 2019, arXiv 1906.06423), and small inputs
    /// train faster; 1 leaves the size as it is.
    #[serde(default = "unscaled")]
    pub detection_scale: f32,
    /// Gradients of all parameters together are scaled down to this length.
    pub gradient_clip: Option<f32>,
    pub trainable: Trainable,
    /// `Some` trains batch norms; for networks without pretraining.
    pub norm: Option<NormConfig>,
    pub augment: Augment,
    /// Share of the images that is held out for validation, where no other images are given. At least one
    /// image stays on each side; with fewer than [`TrainConfig::LEAST_TO_SPLIT`] images all are trained on.
    pub validation_share: f32,
    /// Epochs between two validations.
    pub validate_every: u32,
    /// A run ends early when for this share (0–1) of its budget no validation, evened out, was the best. 0 lets every run
    /// go to its end.
    #[serde(default)]
    pub patience: f32,
    /// Whether objects marked `difficult` are learnt. Those that are not are not background either.
    pub use_difficult: bool,
    /// Seconds between two checkpoints.
    pub checkpoint_seconds: f64,
}

fn unscaled() -> f32 {
    1.0
}

/// The least and the greatest batch size.
pub const BATCH_SIZES: RangeInclusive<usize> = 1..=64;
/// The least and the greatest weight of the classes' own loss.
pub const CLASS_LOSS_WEIGHTS: RangeInclusive<f32> = 0.0..=100.0;
/// The least and the greatest detection scale.
pub const DETECTION_SCALES: RangeInclusive<f32> = 0.5..=2.0;
/// Crops are no smaller than this, in pixels.
pub const LEAST_CROP: u32 = 64;
/// Crops are a multiple of it, in pixels: the stride of the coarsest feature map of a ResNet.
pub const CROP_STEP: u32 = 32;

impl TrainConfig {
    /// With fewer images a split would leave nothing to measure.
    pub const LEAST_TO_SPLIT: usize = 5;

    /// On from a detector that knows something already: crops at many scales, AdamW at a third of the rate of a run from
    /// scratch, and an EMA, without which validations swing by half on a few images. Four crops are an image of 512², so
    /// that an epoch has seen every image once; validations of whole images are then few beside it.
    pub fn fine_tune() -> Self {
        Self {
            seed: 0,
            budget: Budget::Epochs(20),
            batch_size: 4,
            repeats: 4,
            optimizer: OptimizerConfig::adamw(),
            schedule: Schedule {
                base: 3e-4,
                warmup_steps: 30,
                warmup_factor: 1e-2,
                decay: Decay::of_kind(DecayKind::Cosine),
            },
            class_loss_weight: 1.0,
            ema_decay: 0.98,
            detection_scale: 1.0,
            gradient_clip: Some(10.0),
            trainable: Trainable::From3,
            norm: None,
            augment: Augment { crop: Some(256), brightness: 0.3, ..Augment::default() },
            validation_share: 0.2,
            validate_every: 1,
            patience: 0.4,
            use_difficult: true,
            checkpoint_seconds: 60.0,
        }
    }

    /// From nothing: as to fine-tune, with batch norms, which need batches to count, at a higher rate.
    pub fn from_scratch() -> Self {
        let fine_tune = Self::fine_tune();
        Self {
            budget: Budget::Epochs(30),
            schedule: Schedule { base: 1e-3, ..fine_tune.schedule.clone() },
            class_loss_weight: 2.0,
            ema_decay: 0.99,
            trainable: Trainable::All,
            norm: Some(NormConfig::default()),
            augment: Augment { crop: Some(256), ..Augment::default() },
            ..fine_tune
        }
    }

    /// # Errors
    /// A number that no training can work with.
    pub fn validate(&self) -> Result<()> {
        let fault = |what: String| Err(Error::Config(what));
        if !BATCH_SIZES.contains(&self.batch_size) {
            let (least, most) = (BATCH_SIZES.start(), BATCH_SIZES.end());
            return fault(format!("batch_size is {}; it must be between {least} and {most}", self.batch_size));
        }
        if !(1..=1000).contains(&self.repeats) {
            return fault(format!("repeats is {}; it must be between 1 and 1000", self.repeats));
        }
        match self.budget {
            Budget::Epochs(0) => return fault("epochs is 0; a training needs at least one".into()),
            Budget::Minutes(m) if !(m.is_finite() && m > 0.0) => {
                return fault(format!("minutes is {m}; it must be more than 0"));
            }
            _ => {}
        }
        let rate = self.schedule.base;
        if !(rate.is_finite() && rate > 0.0 && rate <= 10.0) {
            return fault(format!("the learning rate is {rate}; it must be above 0 and at most 10"));
        }
        if !CLASS_LOSS_WEIGHTS.contains(&self.class_loss_weight) {
            let most = CLASS_LOSS_WEIGHTS.end();
            return fault(format!("class_loss_weight is {}; it must be from 0 to {most}", self.class_loss_weight));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return fault(format!("ema_decay is {}; it must be from 0 to below 1", self.ema_decay));
        }
        if !DETECTION_SCALES.contains(&self.detection_scale) {
            let (least, most) = (DETECTION_SCALES.start(), DETECTION_SCALES.end());
            return fault(format!("detection_scale is {}; it must be from {least} to {most}", self.detection_scale));
        }
        if self.gradient_clip.is_some_and(|c| !(c.is_finite() && c > 0.0)) {
            return fault("gradient_clip must be above 0".into());
        }
        if !(0.0..1.0).contains(&self.validation_share) {
            return fault(format!("validation_share is {}; it must be from 0 to below 1", self.validation_share));
        }
        if !(0.0..=1.0).contains(&self.patience) {
            return fault(format!("patience is {}; it must be from 0 to 1", self.patience));
        }
        if self.validate_every == 0 {
            return fault("validate_every is 0; it must be at least 1".into());
        }
        if let Some(crop) = self.augment.crop
            && !(crop.is_multiple_of(CROP_STEP) && (LEAST_CROP..=limits::NETWORK_SIDE).contains(&crop))
        {
            let most = limits::NETWORK_SIDE;
            return fault(format!("crop is {crop}; it must be a multiple of {CROP_STEP} from {LEAST_CROP} to {most}"));
        }
        if self.norm.is_some() && self.trainable != Trainable::All {
            return fault("batch norms train only where every stage does".into());
        }
        self.augment.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_presets_are_valid_and_survive_json() {
        for config in [TrainConfig::fine_tune(), TrainConfig::from_scratch()] {
            config.validate().unwrap();
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<TrainConfig>(&json).unwrap(), config);
        }
    }

    #[test]
    fn stages_are_frozen_from_below() {
        let learns = |t: Trainable| {
            ["conv1", "layer1.0.conv1", "layer2.1.conv2", "layer3.0.downsample.0", "layer4.1.conv1"]
                .map(|n| t.includes(&format!("backbone.body.{n}.weight")))
        };
        assert_eq!(learns(Trainable::Heads), [false; 5]);
        assert_eq!(learns(Trainable::From5), [false, false, false, false, true]);
        assert_eq!(learns(Trainable::From4), [false, false, false, true, true]);
        assert_eq!(learns(Trainable::From3), [false, false, true, true, true]);
        assert_eq!(learns(Trainable::All), [true; 5]);
        assert!(Trainable::Heads.includes("backbone.fpn.inner_blocks.0.0.weight"));
        assert!(Trainable::Heads.includes("roi_heads.box_head.fc6.weight"));
    }

    #[test]
    fn nonsense_is_named() {
        let refuse = |change: fn(&mut TrainConfig)| {
            let mut config = TrainConfig::fine_tune();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(refuse(|c| c.batch_size = 0).contains("batch_size"));
        assert!(refuse(|c| c.budget = Budget::Minutes(f32::NAN)).contains("minutes"));
        assert!(refuse(|c| c.schedule.base = -1.0).contains("learning rate"));
        assert!(refuse(|c| c.augment.crop = Some(100)).contains("crop"));
        assert!(refuse(|c| c.class_loss_weight = -1.0).contains("class_loss_weight"));
        assert!(refuse(|c| c.ema_decay = 1.0).contains("ema_decay"));
        assert!(refuse(|c| c.patience = -0.1).contains("patience"));
        assert!(refuse(|c| c.detection_scale = 3.0).contains("detection_scale"));
        assert!(refuse(|c| c.norm = Some(NormConfig::default())).contains("batch norms"));
    }
}
