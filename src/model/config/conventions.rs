//! The rules by which two-stage detectors of different systems differ; [`super::Dialect`] says which system has which.

use serde::{Deserialize, Serialize};

/// What a max-pool of 3×3 with stride 2 puts round its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// One pixel before and after (torch, `padding = 1`).
    #[default]
    Both,
    /// One pixel after (TensorFlow's `same` for even sides).
    After,
}

impl Padding {
    /// Pixels before and after.
    pub fn pixels(self) -> [usize; 2] {
        match self {
            Self::Both => [1, 1],
            Self::After => [0, 1],
        }
    }
}

/// How an image becomes the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Normalised, resized in floats to `min_size` and `max_size`, padded with zeros on the right and at the bottom to a multiple
    /// of 32.
    #[default]
    Torchvision,
    /// matterport's `square`: bytes, resized with zeros outside the image and never reduced for `min_size`, padded to `max_size`
    /// on both axes with the image in the middle, then normalised.
    Square,
    /// matterport's `pad64`: the same, enlarged at least by `resize_min_scale` and whatever `max_size` is, padded to multiples of
    /// 64.
    Pad64,
}

/// How the features of a box are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoiRule {
    /// torchvision's RoIAlign (`aligned = false`), from the level of equation 1 of the FPN paper, rounded down.
    #[default]
    Align,
    /// TensorFlow's `crop_and_resize`: one sample for each bin, from edge to edge; the level is rounded to the nearest.
    CropAndResize,
}

/// Which classes of a proposal may become detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRule {
    /// Each class but the background whose score is above the threshold.
    #[default]
    EveryClass,
    /// The likeliest of all classes, if it is not the background and its score is at least the threshold.
    BestClass,
}

/// How the mask of a box is enlarged to its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskRule {
    /// With a frame of zeros, by which the box grows too; pixels above ½.
    #[default]
    Padded,
    /// To the box itself, with zeros outside of it; pixels of at least ½.
    Box,
}
