//! Where the configuration of a detector of another system begins; [`Dialect`] has them side by side.

use super::{Corners, DetectorConfig, MaskRule, Padding, Resize, RoiRule, ScoreRule};
use crate::model::architecture::{Architecture, Backbone, Dialect};

/// `CocoConfig` subtracts this from the bytes of R, G and B.
const MATTERPORT_MEAN: [f32; 3] = [123.7, 116.8, 103.9];
/// exp(64) times any side covers any image and is still a finite number.
const NO_CLIP: f32 = 64.0;

impl DetectorConfig {
    /// torchvision's second generation (`fasterrcnn_resnet50_fpn_v2`, `maskrcnn_resnet50_fpn_v2`).
    pub fn torchvision_v2(architecture: Architecture, backbone: Backbone) -> Self {
        Self {
            architecture,
            backbone,
            dialect: Dialect::TorchvisionV2,
            fpn_norm: true,
            mask_norm: true,
            rpn_convs: 2,
            box_head_convs: 4,
            ..Self::default()
        }
    }

    /// matterport's Mask_RCNN with the configuration of its COCO weights (`samples/coco/coco.py`). Class names are COCO's.
    pub fn matterport(backbone: Backbone) -> Self {
        let coco = Self::default();
        Self {
            architecture: Architecture::MaskRcnn,
            backbone,
            dialect: Dialect::Matterport,
            // COCO's numbers have gaps, which torchvision keeps.
            classes: coco.classes.iter().filter(|name| *name != "N/A").cloned().collect(),
            stride_in_1x1: true,
            stem_padding: Padding::After,
            mask_norm: true,
            batch_norm_eps: 1e-3,
            image_mean: MATTERPORT_MEAN.map(|mean| mean / 255.0),
            image_std: [1.0 / 255.0; 3],
            min_size: 800,
            max_size: 1024,
            resize: Resize::Square,
            // Its ratios are width over height.
            aspect_ratios: vec![2.0, 1.0, 0.5],
            anchor_rounding: false,
            corners: Corners::PixelCentres,
            bbox_xform_clip: NO_CLIP,
            rpn_channels: Some(512),
            rpn_bbox_reg_weights: coco.bbox_reg_weights,
            rpn_per_level: false,
            rpn_pre_nms_top_n_train: 6000,
            rpn_post_nms_top_n_train: 2000,
            rpn_pre_nms_top_n_test: 6000,
            rpn_post_nms_top_n_test: 1000,
            roi_rule: RoiRule::CropAndResize,
            score_rule: ScoreRule::BestClass,
            box_score_thresh: 0.7,
            box_nms_thresh: 0.3,
            box_batch_size_per_image: 200,
            box_positive_fraction: 0.33,
            mask_rule: MaskRule::Box,
            ..coco
        }
    }
}
