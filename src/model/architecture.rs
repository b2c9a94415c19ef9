//! The supported detectors and backbones.

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
