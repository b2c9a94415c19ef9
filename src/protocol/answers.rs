//! What larger answers of the engine are made of.

use serde::{Deserialize, Serialize};

use crate::{
    annotations::{check::Finding, dataset::ClassCount},
    channels::{Channel, ChannelMap, Merge, StackPlane},
    model::DetectorConfig,
    train::{Estimate, TrainConfig, anchor_check::AnchorReport},
    weights::LoadReport,
};

/// What is known before a training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preparation {
    pub settings: TrainConfig,
    pub config: DetectorConfig,
    pub classes: Vec<ClassCount>,
    pub findings: Vec<Finding>,
    /// Images that will be held out of `images` for validation.
    pub validation_images: Vec<String>,
    /// Objects without a mask, whose boxes a Mask R-CNN takes for them.
    pub without_mask: usize,
    pub anchors: AnchorReport,
    pub estimate: Estimate,
}

/// The result of a training run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trained {
    /// The engine has this detector now.
    pub report: ModelReport,
    #[serde(with = "serde_bytes")]
    pub file: Vec<u8>,
    /// mAP at IoU 0.5 and at 0.5–0.95 of the best validation.
    pub best: Option<(f64, f64)>,
    pub steps: u64,
    pub seconds: f64,
    /// Images held out for validation.
    pub validation_images: Vec<String>,
}

/// An image that can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub width: u32,
    pub height: u32,
    /// EXIF's number of how the stored image is to be turned for a person to see it upright; 1 for as it is. Images
    /// are not turned here, but annotations may have been made on the upright view.
    pub orientation: u8,
    pub warnings: Vec<String>,
}

/// One image, decoded for the screen.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedImage {
    pub name: String,
    pub width: u32,
    pub height: u32,
    /// 8, 16 or 32.
    pub bits: u8,
    /// The sample value that is shown black; 0 but for floating point and a range that was chosen.
    pub black: f32,
    /// The sample value that counts as full brightness.
    pub white: f32,
    pub merge: Merge,
    pub filled: Vec<Channel>,
    /// Which of its channels might stand for which of the detector's, where the detector was trained on others.
    pub proposal: Option<ChannelMap>,
    /// What the image is of the stack in its files.
    pub stack: Option<StackPlane>,
    /// As [`Measured::orientation`].
    pub orientation: u8,
    pub warnings: Vec<String>,
    /// One tinted RGBA8 image a channel; added together they are the merged image.
    pub layers: Vec<LayerImage>,
    pub thumbnail: Thumbnail,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerImage {
    pub channel: Channel,
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thumbnail {
    pub width: u32,
    pub height: u32,
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

/// What a detector is, and how its file was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelReport {
    pub name: String,
    pub parameters: u64,
    pub config: DetectorConfig,
    pub load: LoadReport,
}
