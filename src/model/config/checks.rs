//! Validation of a configuration before a network is built from it.

use super::{DetectorConfig, LEVELS};
use crate::annotations::label;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::intensity::IntensityRange;

impl DetectorConfig {
    /// Refuses values that cannot work or would need more memory than the limits allow.
    pub fn validate(&self) -> Result<()> {
        self.validate_classes()?;
        self.validate_image()?;
        self.validate_anchors()?;
        within("fpn_channels", self.fpn_channels, 1, limits::PYRAMID_CHANNELS)?;
        within("representation_size", self.representation_size, 1, 8192)?;
        within("mask_dim_reduced", self.mask_dim_reduced, 1, 1024)?;
        within("the number of mask_layers", self.mask_layers.len(), 1, 8)?;
        self.mask_layers.iter().try_for_each(|&n| within("mask_layers", n, 1, 1024))?;
        within("box_roi_pool_size", self.box_roi_pool_size, 1, 32)?;
        let fc6 = self.fpn_channels * self.box_roi_pool_size.pow(2);
        let (inputs, weights) = (fc6 as u64, (fc6 * self.representation_size) as u64);
        limits::check("configuration", "the number of inputs of fc6", inputs, limits::TENSOR_SIDE as u64)?;
        limits::check("configuration", "the number of weights of fc6", weights, limits::LAYER_WEIGHTS)?;
        within("rpn_convs", self.rpn_convs, 1, 4)?;
        within("rpn_channels", self.rpn_channels.unwrap_or(1), 1, limits::PYRAMID_CHANNELS)?;
        within("box_head_convs", self.box_head_convs, 0, 8)?;
        within("mask_roi_pool_size", self.mask_roi_pool_size, 1, 64)?;
        within("roi_sampling_ratio", self.roi_sampling_ratio, 1, 8)?;
        for (what, n) in [
            ("rpn_pre_nms_top_n_train", self.rpn_pre_nms_top_n_train),
            ("rpn_post_nms_top_n_train", self.rpn_post_nms_top_n_train),
            ("rpn_pre_nms_top_n_test", self.rpn_pre_nms_top_n_test),
            ("rpn_post_nms_top_n_test", self.rpn_post_nms_top_n_test),
            ("rpn_batch_size_per_image", self.rpn_batch_size_per_image),
            ("box_batch_size_per_image", self.box_batch_size_per_image),
            ("box_detections_per_img", self.box_detections_per_img),
        ] {
            within(what, n, 1, limits::PROPOSALS)?;
        }
        for (what, share) in [
            ("rpn_nms_thresh", self.rpn_nms_thresh),
            ("rpn_score_thresh", self.rpn_score_thresh),
            ("rpn_fg_iou_thresh", self.rpn_fg_iou_thresh),
            ("rpn_bg_iou_thresh", self.rpn_bg_iou_thresh),
            ("rpn_positive_fraction", self.rpn_positive_fraction),
            ("box_score_thresh", self.box_score_thresh),
            ("box_nms_thresh", self.box_nms_thresh),
            ("box_fg_iou_thresh", self.box_fg_iou_thresh),
            ("box_bg_iou_thresh", self.box_bg_iou_thresh),
            ("box_positive_fraction", self.box_positive_fraction),
            ("batch_norm_eps", self.batch_norm_eps),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return fault(format!("{what} is {share}; it must be between 0 and 1"));
            }
        }
        for (class, score) in &self.class_score_thresh {
            if !self.classes.iter().skip(1).any(|known| known == class) || !(0.0..=1.0).contains(score) {
                return fault(format!(
                    "class_score_thresh has {score} for {class:?}; it must be between 0 and 1, for a class"
                ));
            }
        }
        if !(1.0..=100.0).contains(&self.class_sharpness) {
            return fault(format!("class_sharpness is {}; it must be between 1 and 100", self.class_sharpness));
        }
        if self.bbox_reg_weights.iter().chain(&self.rpn_bbox_reg_weights).any(|w| !(w.is_finite() && *w > 0.0)) {
            return fault("bbox_reg_weights and rpn_bbox_reg_weights must be positive numbers");
        }
        // exp of the greatest times the side of an input is still a finite number.
        if !(0.0..=64.0).contains(&self.bbox_xform_clip) {
            return fault(format!("bbox_xform_clip is {}; it must be between 0 and 64", self.bbox_xform_clip));
        }
        Ok(())
    }

    fn validate_classes(&self) -> Result<()> {
        let n = self.classes.len();
        if n < 2 {
            return fault("classes needs the background and at least one other class");
        }
        limits::check("configuration", "the number of classes", n as u64 - 1, limits::CLASSES as u64)?;
        // Results are read back with the label rules: an invalid name would lose a whole folder run at its end.
        for (i, name) in self.classes.iter().enumerate() {
            match label::check(name) {
                Ok(label) if label == *name => {}
                Ok(label) => return fault(format!("class {i} has leading or trailing spaces in its name, “{label}”")),
                Err(reason) => return fault(format!("class {i} {reason}")),
            }
        }
        Ok(())
    }

    fn validate_image(&self) -> Result<()> {
        if self.image_mean.iter().any(|m| !m.is_finite()) {
            return fault("image_mean must be three finite numbers");
        }
        if self.image_std.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            return fault("image_std must be three positive numbers");
        }
        if !(0.0..=16.0).contains(&self.resize_min_scale) {
            return fault(format!("resize_min_scale is {}; it must be between 0 and 16", self.resize_min_scale));
        }
        within("min_size", self.min_size as usize, 1, limits::NETWORK_SIDE as usize)?;
        within("max_size", self.max_size as usize, 1, limits::NETWORK_SIDE as usize)?;
        self.scale.validate(self.cell_diameter)?;
        match self.intensity {
            IntensityRange::Percentiles { low, high } if !(0.0 <= low && low < high && high <= 100.0) => {
                fault(format!("the percentiles of intensity are {low} and {high}; they must rise from 0 to 100"))
            }
            _ => Ok(()),
        }
    }

    fn validate_anchors(&self) -> Result<()> {
        if self.anchor_sizes.len() != LEVELS {
            return fault(format!("anchor_sizes has {} levels; the pyramid has {LEVELS}", self.anchor_sizes.len()));
        }
        let per_level = self.anchor_sizes[0].len();
        if self.anchor_sizes.iter().any(|sizes| sizes.len() != per_level) {
            return fault("anchor_sizes must have the same number of sizes on every level");
        }
        within("the number of anchors per location", self.num_anchors_per_location(), 1, 32)?;
        let positive = |v: &f32| v.is_finite() && *v > 0.0;
        if !self.anchor_sizes.iter().flatten().chain(&self.aspect_ratios).all(positive) {
            return fault("anchor_sizes and aspect_ratios must be positive numbers");
        }
        Ok(())
    }
}

fn fault<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Config(reason.into()))
}

fn within(what: &str, found: usize, low: usize, high: usize) -> Result<()> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    fault(format!("{what} is {found}; it must be between {low} and {high}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{self, ConvOptions};

    #[test]
    fn invalid_values_are_refused() {
        for json in [
            r#"{"classes": ["__background__"]}"#,
            r#"{"min_size": 0}"#,
            r#"{"max_size": 100000}"#,
            r#"{"image_std": [0, 1, 1]}"#,
            r#"{"anchor_sizes": [[16], [32]]}"#,
            r#"{"anchor_sizes": [[16], [32], [64], [128], [256, 512]]}"#,
            r#"{"aspect_ratios": []}"#,
            r#"{"aspect_ratios": [-1]}"#,
            r#"{"box_nms_thresh": 1.5}"#,
            r#"{"class_sharpness": 0.5}"#,
            r#"{"rpn_convs": 0}"#,
            r#"{"rpn_channels": 2000}"#,
            r#"{"box_head_convs": 9}"#,
            r#"{"rpn_bbox_reg_weights": [1, 1, 0, 1]}"#,
            r#"{"bbox_xform_clip": 65}"#,
            r#"{"resize_min_scale": -1}"#,
            r#"{"resize": "crop"}"#,
            r#"{"class_score_thresh": {"person": 1.5}}"#,
            r#"{"class_score_thresh": {"unicorn": 0.5}}"#,
            r#"{"classes": ["__background__", ""]}"#,
            r#"{"classes": ["__background__", "cell "]}"#,
            r#"{"classes": ["__background__", "living\ncell"]}"#,
            r#"{"fpn_channels": 4000000000}"#,
            r#"{"fpn_channels": 1025}"#,
            r#"{"rpn_post_nms_top_n_test": 100000000}"#,
            r#"{"backbone": "resnet152"}"#,
            "[]",
        ] {
            assert_eq!(DetectorConfig::from_json(json).unwrap_err().code(), "config", "{json}");
        }
    }

    /// The kernels panic on unsupported shapes, so a valid configuration must never produce one.
    #[test]
    fn the_limits_match_those_of_the_kernels() {
        let plain = ConvOptions { stride: 1, padding: 0, relu: false };
        let fc6 = |inputs| kernels::check_linear([1, inputs], [inputs, 1], Some(1));
        assert!(fc6(limits::TENSOR_SIDE).is_ok() && fc6(limits::TENSOR_SIDE + 1).is_err());
        let finest = limits::NETWORK_SIDE as usize / 4;
        let level = |c| kernels::check_conv2d([1, finest, finest, c], [1, 1, c, 1], Some(1), plain);
        assert!(level(limits::PYRAMID_CHANNELS).is_ok() && level(limits::PYRAMID_CHANNELS + 1).is_err());

        let pooled = |fpn_channels, box_roi_pool_size| {
            let small = DetectorConfig { representation_size: 1, ..DetectorConfig::default() };
            DetectorConfig { fpn_channels, box_roi_pool_size, ..small }.validate()
        };
        assert_eq!(pooled(1024, 8), Ok(()));
        assert_eq!(pooled(1024, 9).unwrap_err().code(), "too-large");
        assert_eq!(pooled(256, 32).unwrap_err().code(), "too-large");
    }
}
