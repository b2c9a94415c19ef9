//! The supported detectors, backbones and dialects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The two detectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// Boxes only (Ren et al. 2015).
    #[serde(rename = "fasterrcnn_resnet_fpn")]
    FasterRcnn,
    /// Boxes and a mask for each (He et al. 2017).
    #[serde(rename = "maskrcnn_resnet_fpn")]
    MaskRcnn,
}

/// The systems whose weights are read, each with conventions of its own.
///
/// A dialect is where a [`DetectorConfig`](super::DetectorConfig) begins; every row below is keys of it, and the network is the same.
///
/// | | torchvision | torchvision v2 | matterport Mask_RCNN |
/// |---|---|---|---|
/// | stride of a bottleneck | 3×3 | 3×3 | first 1×1 |
/// | max-pool of the stem, even sides | padded before and after | as v1 | padded after |
/// | batch norm | backbone, eps 0 (COCO_V1) or 1e-5 | backbone, pyramid, box and mask head, eps 1e-5 | backbone, box and mask head, eps 1e-3 |
/// | pixels | RGB 0–1, mean and std of ImageNet | as v1 | RGB 0–255, mean 123.7, 116.8, 103.9, no std |
/// | size | short side 800, long at most 1333 | as v1 | never reduced to 800, long at most 1024 |
/// | padding | zeros after normalising, right and bottom, ×32 | as v1 | zeros before normalising, all round, to 1024² |
/// | anchors | rounded to pixels | as v1 | not rounded |
/// | corners of a box | edges of its pixels | as v1 | centres of its first and last pixel |
/// | RPN | one 3×3 of 256 | two 3×3 of 256 | one 3×3 of 512; softmax, read as the difference of its two logits |
/// | box coder of the RPN | (1, 1, 1, 1), dw and dh at most ln(1000/16) | as v1 | (10, 10, 5, 5), no limit |
/// | proposals | best 1000 and NMS of each level, 1000 of an image | as v1 | best 6000 and NMS of all levels together, 1000 of an image |
/// | RoI sampling | RoIAlign, 2×2 samples, level rounded down | as v1 | `crop_and_resize`, level rounded to the nearest |
/// | box head | two linear layers of 1024 | four 3×3, one linear layer of 1024 | two linear layers of 1024 with batch norm |
/// | detections | every class above 0.05, NMS 0.5 | as v1 | best class from 0.7 on, NMS 0.3, whole pixels |
/// | masks | pasted with a frame of zeros, above ½ | as v1 | enlarged to the box, from ½ on |
/// | training: RoIs, foreground | 512, ¼ | as v1 | 200, ⅓ |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `fasterrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn`, and what cytobox trains.
    #[default]
    Torchvision,
    /// `fasterrcnn_resnet50_fpn_v2` and `maskrcnn_resnet50_fpn_v2`.
    TorchvisionV2,
    /// matterport's Mask_RCNN (Keras), ResNet-50 or -101.
    Matterport,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Torchvision => "torchvision",
            Self::TorchvisionV2 => "torchvision v2",
            Self::Matterport => "matterport Mask_RCNN",
        })
    }
}

/// The residual networks supported as backbones (He et al. 2015, torchvision's v1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
}

impl Backbone {
    /// Number of residual blocks in each of the four stages.
    pub fn blocks(self) -> [usize; 4] {
        match self {
            Self::ResNet18 => [2, 2, 2, 2],
            Self::ResNet34 | Self::ResNet50 => [3, 4, 6, 3],
            Self::ResNet101 => [3, 4, 23, 3],
        }
    }

    /// Whether a block is a bottleneck (1×1, 3×3, 1×1) rather than two 3×3.
    pub fn bottleneck(self) -> bool {
        matches!(self, Self::ResNet50 | Self::ResNet101)
    }

    /// Output channels of the four stages.
    pub fn channels(self) -> [usize; 4] {
        let expansion = if self.bottleneck() { 4 } else { 1 };
        [64, 128, 256, 512].map(|planes| planes * expansion)
    }
}

impl fmt::Display for Backbone {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
            Self::ResNet50 => "resnet50",
            Self::ResNet101 => "resnet101",
        })
    }
}
