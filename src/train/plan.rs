//! The plan of a training run, for the page and the command line alike: what it starts from, and with which settings.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::anchor_check::{AnchorReport, AnchorSet};
use super::augment::Augment;
use super::config::{Budget, CROP_STEP, LEAST_CROP, OptimizerConfig, OptimizerKind, TrainConfig, Trainable};
use super::schedule::{Decay, DecayKind};
use super::setup::{self, Layout, ShapeOptions};
use super::truth::Example;
use crate::channels::Merge;
use crate::error::{Error, Result};
use crate::model::config::Changes;
use crate::model::{Architecture, Detector, DetectorConfig};
use crate::weights::{self, LoadReport};

/// What a training run starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Start {
    /// A network that knows nothing yet.
    Scratch {
        #[serde(default)]
        shape: ShapeOptions,
    },
    /// A detector that is there already, whose architecture stays where none is asked for; what its heads know of other
    /// classes is not taken over, and with `new_heads` nothing of what they know.
    Detector {
        #[serde(default)]
        architecture: Option<Architecture>,
        #[serde(default)]
        new_heads: bool,
    },
}

/// Settings that a user chose one by one; what is absent stays as the recipe or the preset has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// How long to train.
    pub budget: Option<Budget>,
    /// The base learning rate of the schedule.
    pub rate: Option<f64>,
    /// Samples in a step.
    pub batch_size: Option<usize>,
    /// Side of the crops in pixels, a multiple of 32; 0 for whole images.
    pub crop: Option<u32>,
    /// Layers that are trained.
    pub trainable: Option<Trainable>,
    /// Seed of the random number generator.
    pub seed: Option<u64>,
    pub optimizer: Option<OptimizerKind>,
    /// One of another kind has its usual numbers; of the same kind, those of the recipe or the preset.
    pub decay: Option<DecayKind>,
    pub warmup_steps: Option<u64>,
    /// 0 for none.
    pub gradient_clip: Option<f32>,
    pub class_loss_weight: Option<f32>,
    pub ema_decay: Option<f32>,
    pub detection_scale: Option<f32>,
    pub validation_share: Option<f32>,
    pub use_difficult: Option<bool>,
    pub checkpoint_seconds: Option<f64>,
    /// Whether images are flipped, in both directions.
    pub flips: Option<bool>,
    pub quarter_turns: Option<bool>,
    pub brightness: Option<f32>,
    /// `Some(false)` leaves every image at its size.
    pub scales: Option<bool>,
}

impl Overrides {
    /// The settings with what was chosen.
    ///
    /// # Errors
    /// Settings that cannot work.
    #[doc(hidden)]
    pub fn apply(&self, mut settings: TrainConfig) -> Result<TrainConfig> {
        settings.budget = self.budget.unwrap_or(settings.budget);
        settings.schedule.base = self.rate.unwrap_or(settings.schedule.base);
        settings.batch_size = self.batch_size.unwrap_or(settings.batch_size);
        settings.trainable = self.trainable.unwrap_or(settings.trainable);
        settings.seed = self.seed.unwrap_or(settings.seed);
        settings.optimizer = self.optimizer.map_or(settings.optimizer, OptimizerConfig::of_kind);
        if let Some(kind) = self.decay.filter(|kind| *kind != settings.schedule.decay.kind()) {
            settings.schedule.decay = Decay::of_kind(kind);
        }
        settings.schedule.warmup_steps = self.warmup_steps.unwrap_or(settings.schedule.warmup_steps);
        if let Some(length) = self.gradient_clip {
            settings.gradient_clip = (length != 0.0).then_some(length);
        }
        settings.class_loss_weight = self.class_loss_weight.unwrap_or(settings.class_loss_weight);
        settings.ema_decay = self.ema_decay.unwrap_or(settings.ema_decay);
        settings.detection_scale = self.detection_scale.unwrap_or(settings.detection_scale);
        settings.validation_share = self.validation_share.unwrap_or(settings.validation_share);
        settings.use_difficult = self.use_difficult.unwrap_or(settings.use_difficult);
        settings.checkpoint_seconds = self.checkpoint_seconds.unwrap_or(settings.checkpoint_seconds);
        self.augment(&mut settings.augment);
        settings.validate()?;
        Ok(settings)
    }

    fn augment(&self, augment: &mut Augment) {
        if let Some(side) = self.crop {
            augment.crop = (side > 0).then_some(side);
        }
        augment.flip_x = self.flips.unwrap_or(augment.flip_x);
        augment.flip_y = self.flips.unwrap_or(augment.flip_y);
        augment.quarter_turns = self.quarter_turns.unwrap_or(augment.quarter_turns);
        augment.brightness = self.brightness.unwrap_or(augment.brightness);
        if self.scales == Some(false) {
            augment.scale = [1.0, 1.0];
        }
    }
}

/// A training run as it was requested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub start: Start,
    /// The preset for the way of starting when absent.
    #[serde(default)]
    pub settings: Option<TrainConfig>,
    /// Laid over the settings, whichever they are.
    #[serde(default)]
    pub overrides: Overrides,
    /// Anchors to use instead of the detector's own.
    #[serde(default)]
    pub anchors: Option<AnchorSet>,
    /// Detector settings that override those of the data or of the base detector.
    #[serde(default)]
    pub detector: Changes,
}

impl Plan {
    /// The configuration that is trained: that of a fresh network, or of `base` for these classes.
    ///
    /// # Errors
    /// No images, no classes; a plan that needs a detector where there is none.
    pub fn detector_config(
        &self,
        base: Option<&DetectorConfig>,
        classes: Vec<String>,
        layouts: &[Layout],
    ) -> Result<DetectorConfig> {
        let mut config = match (self.start, base) {
            (Start::Scratch { shape }, _) => setup::fresh(shape.shape(), classes, layouts, &self.detector)?,
            (Start::Detector { architecture, .. }, Some(base)) => {
                let architecture = architecture.unwrap_or(base.architecture);
                // How the labels of other classes were weighed against each other says nothing about these.
                let plain = DetectorConfig::default();
                let class_sharpness = if classes == base.classes { base } else { &plain }.class_sharpness;
                let config = DetectorConfig {
                    classes,
                    architecture,
                    class_sharpness,
                    scale: setup::scale(base, layouts),
                    // Both speak of the detector that it was.
                    class_score_thresh: Default::default(),
                    trained: None,
                    ..base.clone()
                };
                config.with(&self.detector)?
            }
            (Start::Detector { .. }, None) => {
                return Err(Error::Usage(
                    "there is no detector to fine-tune from; load one, or train from scratch".into(),
                ));
            }
        };
        if let Some(anchors) = self.anchors.clone() {
            anchors.put_into(&mut config);
        }
        config.validate()?;
        Ok(config)
    }

    /// The settings asked for, or the preset, whose crops are made to fit into the images; with the overrides.
    ///
    /// # Errors
    /// Settings that cannot work; an image that cannot be resized.
    pub fn settings(&self, config: &DetectorConfig, layouts: &[Layout]) -> Result<TrainConfig> {
        if let Some(settings) = &self.settings {
            return self.overrides.apply(settings.clone());
        }
        let mut settings = self.preset();
        let mut least = u32::MAX;
        for layout in layouts.iter().filter(|l| l.width > 0 && l.height > 0) {
            let seen = config.knowing(layout.boxes.iter().copied());
            let input = seen.input_size([layout.height as usize, layout.width as usize])?;
            least = least.min(input[0].min(input[1]) as u32);
        }
        if let Some(crop) = &mut settings.augment.crop {
            *crop = (*crop).min(least / CROP_STEP * CROP_STEP).max(LEAST_CROP);
        }
        self.overrides.apply(settings)
    }

    /// The settings for this way of starting, before they are made to fit the images.
    pub fn preset(&self) -> TrainConfig {
        match self.start {
            Start::Scratch { .. } => TrainConfig::from_scratch(),
            Start::Detector { .. } => TrainConfig::fine_tune(),
        }
    }

    /// The network that the training run begins with; `base` is the name and the bytes of the detector to fine-tune from.
    ///
    /// # Errors
    /// As [`Self::detector_config`]; a detector that cannot be read.
    pub fn detector(
        &self,
        base: Option<(&str, &[u8])>,
        classes: Vec<String>,
        merge: Option<Merge>,
        examples: &[Example],
        seed: u64,
        device: &Device,
    ) -> Result<PreparedDetector> {
        let layouts: Vec<Layout> = examples.iter().map(Layout::from).collect();
        let base_config = match base {
            Some((name, bytes)) => Some(weights::describe(name, bytes)?.config),
            None => None,
        };
        let mut config = self.detector_config(base_config.as_ref(), classes, &layouts)?;
        config.merge = merge;
        config.cell_diameter = config.cell_diameter.or(setup::cell_diameter(&config, &layouts)?);
        let (detector, load) = match (self.start, base) {
            (Start::Detector { new_heads, .. }, Some((name, bytes))) => {
                let (detector, report) = weights::load_into(config, name, bytes, new_heads, seed, device)?;
                (detector, Some(report))
            }
            _ => {
                let merged_images = examples.iter().map(|e| &e.merged_image);
                (config.image_mean, config.image_std) = setup::statistics(merged_images.into_iter(), config.intensity);
                (Detector::init(config, seed, device)?, None)
            }
        };
        let anchors = setup::anchors(&layouts, &detector.config)?;
        Ok(PreparedDetector { detector, load, anchors })
    }
}

/// The detector that a run starts from.
pub struct PreparedDetector {
    pub detector: Detector,
    /// Which weights were loaded from the base detector.
    pub load: Option<LoadReport>,
    pub anchors: AnchorReport,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(start: Start) -> Plan {
        Plan { start, settings: None, overrides: Overrides::default(), anchors: None, detector: Changes::new() }
    }

    fn layouts(side: u32) -> Vec<Layout> {
        vec![Layout { width: side, height: side, boxes: vec![[1.0, 1.0, 30.0, 30.0]] }]
    }

    fn classes() -> Vec<String> {
        ["__background__", "cell"].map(str::to_owned).to_vec()
    }

    #[test]
    fn crops_of_a_preset_fit_into_small_images() {
        let plan = plan(Start::Scratch { shape: ShapeOptions::default() });
        for (side, crop) in [(512, 256), (200, 192), (96, 96), (40, 64)] {
            let config = plan.detector_config(None, classes(), &layouts(side)).unwrap();
            assert_eq!(plan.settings(&config, &layouts(side)).unwrap().augment.crop, Some(crop));
        }
    }

    #[test]
    fn the_detector_to_fine_tune_from_is_required() {
        // As the page says it.
        let start = serde_json::from_str(r#"{"from": "detector", "architecture": null}"#).unwrap();
        assert_eq!(start, Start::Detector { architecture: None, new_heads: false });
        let plan = plan(start);
        assert!(plan.detector_config(None, classes(), &layouts(64)).unwrap_err().to_string().contains("load one"));
        let base = DetectorConfig::default();
        let anchors = AnchorSet {
            sizes: base.anchor_sizes.iter().map(|_| vec![20.0]).collect(),
            aspect_ratios: vec![0.5, 1.0, 2.0],
        };
        let plan = Plan { anchors: Some(anchors), ..plan };
        let config = plan.detector_config(Some(&base), classes(), &layouts(64)).unwrap();
        assert_eq!((config.classes.len(), config.anchor_sizes[0][0]), (2, 20.0));
        assert_eq!(plan.settings(&config, &layouts(64)).unwrap(), TrainConfig::fine_tune());
    }

    #[test]
    fn class_weights_are_kept_only_for_the_same_labels() {
        let start = Start::Detector { architecture: None, new_heads: false };
        let plan = plan(start);
        let sharpness =
            |base: &DetectorConfig| plan.detector_config(Some(base), classes(), &layouts(64)).unwrap().class_sharpness;
        let base = DetectorConfig { class_sharpness: 2.0, ..DetectorConfig::default() };
        assert_eq!(sharpness(&base), 1.0);
        assert_eq!(sharpness(&DetectorConfig { classes: classes(), ..base }), 2.0);
    }

    #[test]
    fn the_base_decides_on_the_architecture_unless_one_is_asked_for() {
        let base = DetectorConfig { architecture: Architecture::FasterRcnn, ..DetectorConfig::default() };
        let trained = |json: &str| {
            let plan = plan(serde_json::from_str(json).unwrap());
            plan.detector_config(Some(&base), classes(), &layouts(64)).unwrap().architecture
        };
        assert_eq!(trained(r#"{"from": "detector"}"#), Architecture::FasterRcnn);
        let asked = r#"{"from": "detector", "architecture": "maskrcnn_resnet_fpn"}"#;
        assert_eq!(trained(asked), Architecture::MaskRcnn);
        // And of a new network the default.
        let plan = plan(serde_json::from_str(r#"{"from": "scratch"}"#).unwrap());
        let fresh = plan.detector_config(None, classes(), &layouts(64)).unwrap();
        assert_eq!(fresh.architecture, Architecture::MaskRcnn);
    }

    #[test]
    fn a_recipe_keeps_what_nobody_overrides() {
        let recipe = TrainConfig { seed: 7, ..TrainConfig::fine_tune() };
        let overrides = Overrides { rate: Some(0.5), crop: Some(0), ..Overrides::default() };
        let start = Start::Detector { architecture: None, new_heads: false };
        let plan = Plan { settings: Some(recipe.clone()), overrides, ..plan(start) };
        let settings = plan.settings(&DetectorConfig::default(), &layouts(64)).unwrap();
        assert_eq!((settings.seed, settings.schedule.base, settings.augment.crop), (7, 0.5, None));
        assert_eq!(settings.budget, recipe.budget);
    }

    #[test]
    fn what_a_user_chose_lies_on_top_of_the_preset() {
        // As the page says it: what was not chosen is null.
        let overrides: Overrides = serde_json::from_str(
            r#"{"rate": null, "optimizer": "adamw", "decay": "cosine", "gradientClip": 0, "flips": false, "scales": false}"#,
        )
        .unwrap();
        let settings = overrides.apply(TrainConfig::fine_tune()).unwrap();
        assert_eq!(settings.schedule.base, TrainConfig::fine_tune().schedule.base);
        assert_eq!(settings.optimizer, TrainConfig::from_scratch().optimizer);
        assert_eq!(settings.schedule.decay, TrainConfig::from_scratch().schedule.decay);
        assert_eq!((settings.gradient_clip, settings.augment.scale), (None, [1.0, 1.0]));
        assert!(!settings.augment.flip_x && !settings.augment.flip_y && settings.augment.quarter_turns);
        // Of the same kind the numbers stay.
        let mut recipe = TrainConfig::fine_tune();
        recipe.schedule.decay = Decay::Step { shares: vec![0.5], gamma: 0.5 };
        let same = Overrides { decay: Some(DecayKind::Step), scales: Some(true), ..Overrides::default() };
        assert_eq!(same.apply(recipe.clone()).unwrap(), recipe);
        assert!(Overrides { ema_decay: Some(1.0), ..Overrides::default() }.apply(recipe).is_err());
    }
}
