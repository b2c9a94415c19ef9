//! The configuration of a state dict that does not say it: torchvision's own files.
//!
//! Shapes tell the backbone, the classes and the widths. What they cannot tell has torchvision's defaults.

use super::state::StateDict;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::coco::COCO_CLASSES;
use crate::model::{Architecture, Backbone, DetectorConfig};

/// The configuration that the shapes speak of, and what had to be assumed.
///
/// # Errors
/// No detector of a kind that cytobox has.
pub fn config(file: &str, state: &StateDict) -> Result<(DetectorConfig, Vec<String>)> {
    let fault = |reason: String| Error::weights(file, reason);
    refuse_other_architectures(file, state)?;
    let side = |name: &str, axis: usize| -> Result<usize> {
        let shape = state.shape(name).ok_or_else(|| {
            fault(format!("not a Faster R-CNN or Mask R-CNN with a feature pyramid: {name} is missing"))
        })?;
        shape.get(axis).copied().ok_or_else(|| fault(format!("tensor {name}: its shape is {shape:?}")))
    };
    let classes = side("roi_heads.box_predictor.cls_score.weight", 0)?;
    limits::check(file, "the number of its classes", classes as u64, limits::CLASSES as u64 + 1)?;
    let backbone = backbone(file, state)?;
    let mask = state.shape("roi_heads.mask_predictor.mask_fcn_logits.weight").is_some();
    let architecture = if mask { Architecture::MaskRcnn } else { Architecture::FasterRcnn };
    let coco = classes == COCO_CLASSES.len();
    let mut warnings = Vec::new();
    let mut config = if coco {
        warnings.push("no configuration in the file; 91 classes: taken for torchvision's COCO detector".to_owned());
        DetectorConfig::coco_v1(architecture, backbone)
    } else {
        warnings.push(
            "no configuration in the file; class names are unknown, and sizes, anchors and thresholds are assumed \
             to be torchvision's defaults"
                .to_owned(),
        );
        let names = (1..classes).map(|i| format!("class {i}"));
        let classes = std::iter::once("__background__".to_owned()).chain(names).collect();
        DetectorConfig { architecture, backbone, classes, ..DetectorConfig::default() }
    };
    config.fpn_channels = side("backbone.fpn.inner_blocks.0.0.weight", 0)?;
    config.representation_size = side("roi_heads.box_head.fc7.weight", 0)?;
    config.box_roi_pool_size = square_root(side("roi_heads.box_head.fc6.weight", 1)? / config.fpn_channels.max(1));
    let anchors = side("rpn.head.cls_logits.weight", 0)?;
    if anchors != config.num_anchors_per_location() {
        return Err(fault(format!(
            "it has {anchors} anchors at each place, torchvision's default is {}; their sizes cannot be guessed, \
             so the file must name them in its configuration",
            config.num_anchors_per_location()
        )));
    }
    if mask {
        config.mask_layers = (0..)
            .map_while(|i| state.shape(&format!("roi_heads.mask_head.{i}.0.weight")))
            .filter_map(|shape| shape.first().copied())
            .collect();
        config.mask_dim_reduced = side("roi_heads.mask_predictor.conv5_mask.weight", 1)?;
    }
    config.validate()?;
    Ok((config, warnings))
}

/// torchvision's second versions and other families are told apart by tensors that only they have.
pub fn refuse_other_architectures(file: &str, state: &StateDict) -> Result<()> {
    let has = |name: &str| state.tensors.contains_key(name);
    if has("backbone.fpn.inner_blocks.0.1.weight")
        || has("rpn.head.conv.1.0.weight")
        || has("roi_heads.box_head.0.0.weight")
    {
        let reason = "it is one of torchvision's v2 detectors (batch norm in the pyramid, a convolutional box head), \
                      which cytobox does not read yet; use the first version";
        return Err(Error::weights(file, reason));
    }
    if state.tensors.keys().any(|name| name.starts_with("roi_heads.keypoint")) {
        return Err(Error::weights(file, "it is a keypoint detector, which cytobox has no use for"));
    }
    Ok(())
}

fn backbone(file: &str, state: &StateDict) -> Result<Backbone> {
    let has = |name: String| state.tensors.contains_key(&name);
    let blocks = (0..200).take_while(|i| has(format!("backbone.body.layer3.{i}.conv1.weight"))).count();
    let deep = has("backbone.body.layer3.0.conv3.weight".into());
    match (deep, blocks) {
        (false, 2) => Ok(Backbone::ResNet18),
        (false, 6) => Ok(Backbone::ResNet34),
        (true, 6) => Ok(Backbone::ResNet50),
        (true, 23) => Ok(Backbone::ResNet101),
        _ => Err(Error::weights(file, "its backbone is none of ResNet-18, -34, -50 and -101")),
    }
}

/// Rounded down; a side that does not fit is found when the layer is loaded.
fn square_root(n: usize) -> usize {
    (n as f64).sqrt() as usize
}
