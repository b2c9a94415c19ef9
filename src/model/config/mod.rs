//! Every number of a detector, named as torchvision names it.
//!
//! The same struct is the JSON under the metadata key `config` of a detector file. A key that is absent there has
//! torchvision's default (`models/detection/{faster_rcnn,mask_rcnn}.py`).

mod checks;
mod conventions;
mod dialects;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::boxes::{BBOX_XFORM_CLIP, BoxCoder, Corners};
use crate::channels::{BitDepth, Merge};
use crate::error::{Error, Result};
use crate::model::architecture::{Architecture, Backbone, Dialect};
use crate::model::coco::COCO_CLASSES;
use crate::model::intensity::IntensityRange;
use crate::model::scale::Scale;

pub use conventions::{MaskRule, Padding, Resize, RoiRule, ScoreRule};

/// Levels of the pyramid: four of the backbone and the pooled one above them.
pub const LEVELS: usize = 5;
/// Inputs are padded to a multiple of this, the stride of the last backbone stage.
pub const SIZE_DIVISIBLE: usize = 32;

/// The configuration of a detector. [`Default`] is torchvision's Mask R-CNN with ResNet-50 and COCO's classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DetectorConfig {
    pub architecture: Architecture,
    pub backbone: Backbone,
    /// The system whose conventions it began with; what holds is in the keys below.
    pub dialect: Dialect,
    /// A bottleneck's stride is in its first 1×1 convolution (He et al. 2015) rather than in the 3×3 (torchvision's v1.5).
    pub stride_in_1x1: bool,
    /// What the max-pool of the stem puts round its input.
    pub stem_padding: Padding,
    /// Whether a batch norm follows each convolution of the pyramid, of the RPN's and of the mask head's 3×3 convolutions.
    pub fpn_norm: bool,
    pub mask_norm: bool,
    /// Channels of every pyramid level (256).
    pub fpn_channels: usize,
    /// Class names; index 0 is the background.
    pub classes: Vec<String>,

    /// Mean of R, G, B on the scale 0–1, taken from every pixel.
    pub image_mean: [f32; 3],
    /// What R, G, B are divided by after that.
    pub image_std: [f32; 3],
    /// The short side is resized to this many pixels (800) …
    pub min_size: u32,
    /// … unless the long side would be longer than this (1333).
    pub max_size: u32,
    /// How images are brought to that size and padded.
    pub resize: Resize,
    /// The least that images are enlarged by, where `resize` is matterport's (`IMAGE_MIN_SCALE`).
    pub resize_min_scale: f32,
    /// Whether images are resized by these two, or by their cells.
    pub scale: Scale,
    /// Median √(width · height) of the cells that it learnt from, in pixels of the network's input; `None` where nobody
    /// counted.
    pub cell_diameter: Option<f32>,
    /// What becomes 0 and 1 of an image.
    pub intensity: IntensityRange,
    /// Added to the variance of a batch norm when it is folded. torchvision's published COCO files need 0.
    pub batch_norm_eps: f32,

    /// Anchor sizes of each pyramid level, in pixels of the network's input.
    pub anchor_sizes: Vec<Vec<f32>>,
    /// Height over width; the same for every level.
    pub aspect_ratios: Vec<f32>,
    /// Whether the corners of anchors are rounded to whole pixels.
    pub anchor_rounding: bool,
    /// What the corners of boxes are where offsets and overlaps are computed.
    pub corners: Corners,
    /// The upper limit of dw and dh before they are exponents.
    pub bbox_xform_clip: f32,

    /// 3×3 convolutions of the RPN (1), and their channels where these are others than the pyramid's.
    pub rpn_convs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpn_channels: Option<usize>,
    /// Weights of dx, dy, dw, dh in the RPN.
    pub rpn_bbox_reg_weights: [f32; 4],
    /// Whether the best proposals are chosen, and NMS runs, within each level rather than over all levels together.
    pub rpn_per_level: bool,

    /// Proposals of each level that enter and of each image that leave the NMS, in training.
    pub rpn_pre_nms_top_n_train: usize,
    pub rpn_post_nms_top_n_train: usize,
    /// The same in detection; more of them where there are more cells, see [`crate::model::counts`].
    pub rpn_pre_nms_top_n_test: usize,
    pub rpn_post_nms_top_n_test: usize,
    pub rpn_nms_thresh: f32,
    /// Proposals with a lower objectness (0–1) are dropped.
    pub rpn_score_thresh: f32,
    /// An anchor is positive from this IoU on, and negative below the next.
    pub rpn_fg_iou_thresh: f32,
    pub rpn_bg_iou_thresh: f32,
    /// Anchors sampled for the loss of one image, and the share of positive ones among them.
    pub rpn_batch_size_per_image: usize,
    pub rpn_positive_fraction: f32,

    /// Side of the RoIAlign grid of the box head (7) and of the mask head (14).
    pub box_roi_pool_size: usize,
    pub mask_roi_pool_size: usize,
    /// How the features of a box are sampled, and from which level.
    pub roi_rule: RoiRule,
    /// Samples along each side of a RoIAlign bin.
    pub roi_sampling_ratio: usize,
    /// 3×3 convolutions with batch norm of the box head, before its one fully connected layer; 0 for two such layers alone.
    pub box_head_convs: usize,
    /// Width of the fully connected layers.
    pub representation_size: usize,
    /// Weights of dx, dy, dw, dh in the box head.
    pub bbox_reg_weights: [f32; 4],
    /// Which classes of a proposal may become detections.
    pub score_rule: ScoreRule,
    /// Detections need a higher score …
    pub box_score_thresh: f32,
    /// … or than this one of their class, where the detector has one …
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub class_score_thresh: BTreeMap<String, f32>,
    /// … and no better detection of their class with a greater IoU.
    pub box_nms_thresh: f32,
    /// The most detections that torchvision keeps of an image. Here it applies where no more are asked for: see
    /// [`crate::model::counts`].
    pub box_detections_per_img: usize,
    /// How much of the probability that a proposal is a cell at all goes to the likelier of its labels; 1, as in
    /// torchvision, is as the network says. See [`crate::model::roi_heads::sharpen`].
    pub class_sharpness: f32,
    /// A proposal is foreground from this IoU on, and background below the next.
    pub box_fg_iou_thresh: f32,
    pub box_bg_iou_thresh: f32,
    /// Proposals sampled for the loss of one image, and the share of foreground among them.
    pub box_batch_size_per_image: usize,
    pub box_positive_fraction: f32,

    /// How the mask of a box is enlarged to its pixels.
    pub mask_rule: MaskRule,
    /// Output channels of the mask head's convolutions.
    pub mask_layers: Vec<usize>,
    /// Channels between the transposed convolution and the mask logits.
    pub mask_dim_reduced: usize,
    /// No object of the training set had an outline, so filled boxes were learnt as masks: these say no more than boxes.
    pub masks_from_boxes: bool,

    /// How the channels of an image became R, G, B in training; `None` where nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// What counted as full brightness in the 16-bit images of its training; `None` where it has seen none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<BitDepth>,
    /// How the detector was trained, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained: Option<String>,
}

/// Keys of a [`DetectorConfig`] with the values that they are to have.
pub type Changes = serde_json::Map<String, serde_json::Value>;

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::MaskRcnn,
            backbone: Backbone::ResNet50,
            dialect: Dialect::Torchvision,
            stride_in_1x1: false,
            stem_padding: Padding::Both,
            fpn_norm: false,
            mask_norm: false,
            fpn_channels: 256,
            classes: COCO_CLASSES.iter().map(|&name| name.to_owned()).collect(),
            image_mean: [0.485, 0.456, 0.406],
            image_std: [0.229, 0.224, 0.225],
            min_size: 800,
            max_size: 1333,
            resize: Resize::Torchvision,
            resize_min_scale: 0.0,
            scale: Scale::Size,
            cell_diameter: None,
            intensity: IntensityRange::Full,
            batch_norm_eps: 1e-5,
            anchor_sizes: vec![vec![32.0], vec![64.0], vec![128.0], vec![256.0], vec![512.0]],
            aspect_ratios: vec![0.5, 1.0, 2.0],
            anchor_rounding: true,
            corners: Corners::Edges,
            bbox_xform_clip: BBOX_XFORM_CLIP,
            rpn_convs: 1,
            rpn_channels: None,
            rpn_bbox_reg_weights: [1.0; 4],
            rpn_per_level: true,
            rpn_pre_nms_top_n_train: 2000,
            rpn_post_nms_top_n_train: 2000,
            rpn_pre_nms_top_n_test: 1000,
            rpn_post_nms_top_n_test: 1000,
            rpn_nms_thresh: 0.7,
            rpn_score_thresh: 0.0,
            rpn_fg_iou_thresh: 0.7,
            rpn_bg_iou_thresh: 0.3,
            rpn_batch_size_per_image: 256,
            rpn_positive_fraction: 0.5,
            box_roi_pool_size: 7,
            mask_roi_pool_size: 14,
            roi_rule: RoiRule::Align,
            roi_sampling_ratio: 2,
            box_head_convs: 0,
            representation_size: 1024,
            bbox_reg_weights: [10.0, 10.0, 5.0, 5.0],
            score_rule: ScoreRule::EveryClass,
            box_score_thresh: 0.05,
            class_score_thresh: BTreeMap::new(),
            box_nms_thresh: 0.5,
            box_detections_per_img: 100,
            class_sharpness: 1.0,
            box_fg_iou_thresh: 0.5,
            box_bg_iou_thresh: 0.5,
            box_batch_size_per_image: 512,
            box_positive_fraction: 0.25,
            mask_rule: MaskRule::Padded,
            mask_layers: vec![256; 4],
            mask_dim_reduced: 256,
            masks_from_boxes: false,
            merge: None,
            bit_depth: None,
            trained: None,
        }
    }
}

impl DetectorConfig {
    /// What torchvision's published COCO_V1 files leave unsaid: [`Default`] with batch norm eps 0, which they were
    /// trained with (`_utils.overwrite_eps`).
    pub fn coco_v1(architecture: Architecture, backbone: Backbone) -> Self {
        let trained = Some(format!("torchvision's published {backbone} weights, COCO 2017"));
        Self { architecture, backbone, batch_norm_eps: 0.0, trained, ..Self::default() }
    }

    pub fn has_mask(&self) -> bool {
        self.architecture == Architecture::MaskRcnn
    }

    pub fn num_classes(&self) -> usize {
        self.classes.len()
    }

    /// Anchors at each place of a level; [`Self::validate`] has seen to it that the levels agree.
    pub fn num_anchors_per_location(&self) -> usize {
        self.anchor_sizes.first().map_or(0, Vec::len) * self.aspect_ratios.len()
    }

    /// The box coder of the box head.
    pub fn box_coder(&self) -> BoxCoder {
        BoxCoder { weights: self.bbox_reg_weights, corners: self.corners, clip: self.bbox_xform_clip }
    }

    /// The box coder of the RPN.
    pub fn rpn_box_coder(&self) -> BoxCoder {
        BoxCoder { weights: self.rpn_bbox_reg_weights, ..self.box_coder() }
    }

    /// From the JSON of a detector file, checked.
    ///
    /// # Errors
    /// Text that is not such a JSON object, and everything that [`Self::validate`] finds.
    pub fn from_json(json: &str) -> Result<Self> {
        let broken = |e: serde_json::Error| Error::Config(e.to_string());
        // Keys, not a bare list of values, which serde would take for a struct as well.
        let keys: Changes = serde_json::from_str(json).map_err(broken)?;
        let config: Self = serde_json::from_value(keys.into()).map_err(broken)?;
        config.validate()?;
        Ok(config)
    }

    /// With other values for some of its keys.
    ///
    /// # Errors
    /// A key that it does not have, a value that cannot be read, and everything that [`Self::validate`] finds.
    pub fn with(&self, changes: &Changes) -> Result<Self> {
        let broken = |e: serde_json::Error| Error::Config(e.to_string());
        let mut keys: Changes = serde_json::from_value(serde_json::to_value(self).map_err(broken)?).map_err(broken)?;
        for (key, value) in changes {
            match keys.get_mut(key) {
                Some(own) => *own = value.clone(),
                None => return Err(Error::Config(format!("a detector has no {key:?}"))),
            }
        }
        let config: Self = serde_json::from_value(keys.into()).map_err(broken)?;
        config.validate()?;
        Ok(config)
    }

    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Config(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_torchvisions() {
        let config = DetectorConfig::from_json("{}").unwrap();
        assert_eq!(config, DetectorConfig::default());
        assert_eq!(config.num_classes(), 91);
        assert_eq!(config.num_anchors_per_location(), 3);
    }

    #[test]
    fn json_round_trip() {
        let config = DetectorConfig::coco_v1(Architecture::FasterRcnn, Backbone::ResNet101);
        let json = config.to_json().unwrap();
        assert!(json.contains("\"fasterrcnn_resnet_fpn\"") && json.contains("\"resnet101\""), "{json}");
        assert_eq!(DetectorConfig::from_json(&json).unwrap(), config);
    }

    #[test]
    fn changes_are_to_keys_that_are_there() {
        let changes = |json| serde_json::from_str::<Changes>(json).unwrap();
        let base = DetectorConfig::default();
        let small = base.with(&changes(r#"{"min_size": 256, "box_positive_fraction": 0.5}"#)).unwrap();
        assert_eq!(small, DetectorConfig { min_size: 256, box_positive_fraction: 0.5, ..base.clone() });
        let refused = |json| base.with(&changes(json)).unwrap_err().to_string();
        assert!(refused(r#"{"min_sise": 256}"#).contains("min_sise"));
        assert!(refused(r#"{"min_size": 0}"#).contains("min_size"));
        assert!(refused(r#"{"min_size": "small"}"#).contains("small"));
    }

    #[test]
    fn coco_has_one_name_ten_times() {
        let config = DetectorConfig::coco_v1(Architecture::MaskRcnn, Backbone::ResNet50);
        assert_eq!(config.classes.iter().filter(|name| *name == "N/A").count(), 10);
        config.validate().unwrap();
    }
}
