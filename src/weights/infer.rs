//! The configuration of a state dict that does not say it: torchvision's own files.
//!
//! Shapes tell the backbone, the classes and the widths. What they cannot tell has the defaults of the system that wrote the file.

use super::state::StateDict;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::coco::COCO_CLASSES;
use crate::model::{Architecture, Backbone, DetectorConfig, Dialect};

/// The conventions that weights of matterport's Mask_RCNN are read with, which their file does not tell.
const MATTERPORT_ASSUMED: &str = "weights of matterport's Mask_RCNN, read with its conventions: strides in the first 1×1 \
    convolutions, RGB 0–255 less 123.7, 116.8, 103.9, images enlarged to 800 and at most 1024 pixels and padded to a square, \
    anchors of 32 to 512, crop_and_resize, the best class of a box from its score threshold on; if its configuration was \
    another, convert it and give the settings";

/// The configuration that the shapes speak of, and what had to be assumed.
///
/// # Errors
/// No detector of a kind that cytobox has.
pub fn config(file: &str, state: &StateDict) -> Result<(DetectorConfig, Vec<String>)> {
    let fault = |reason: String| Error::weights(file, reason);
    refuse_keypoints(file, state)?;
    let side = |name: &str, axis: usize| -> Result<usize> {
        let shape = state.shape(name).ok_or_else(|| {
            fault(format!("not a Faster R-CNN or Mask R-CNN with a feature pyramid: {name} is missing"))
        })?;
        shape.get(axis).copied().ok_or_else(|| fault(format!("tensor {name}: its shape is {shape:?}")))
    };
    if is_backbone(state) {
        return of_backbone(file, state);
    }
    let classes = side("roi_heads.box_predictor.cls_score.weight", 0)?;
    limits::check(file, "the number of its classes", classes as u64, limits::CLASSES as u64 + 1)?;
    let backbone = backbone(file, state)?;
    let mask = state.shape("roi_heads.mask_predictor.mask_fcn_logits.weight").is_some();
    let architecture = if mask { Architecture::MaskRcnn } else { Architecture::FasterRcnn };
    let dialect = dialect(state);
    let (mut config, assumed) = assumed(dialect, architecture, backbone, classes);
    let warnings = vec![assumed];
    config.fpn_channels = side("backbone.fpn.inner_blocks.0.0.weight", 0)?;
    let (first, last) = match config.box_head_convs {
        0 => ("roi_heads.box_head.fc6.weight".to_owned(), "roi_heads.box_head.fc7.weight".to_owned()),
        convs => [(); 2].map(|()| format!("roi_heads.box_head.{}.weight", convs + 1)).into(),
    };
    config.representation_size = side(&last, 0)?;
    config.box_roi_pool_size = square_root(side(&first, 1)? / config.fpn_channels.max(1));
    let rpn = state.shape("rpn.head.conv.0.0.weight").and_then(|shape| shape.first().copied());
    config.rpn_channels = rpn.filter(|channels| *channels != config.fpn_channels);
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

/// Whether it is a classification network's weights, which training starts from: a backbone without pyramid and heads.
pub fn is_backbone(state: &StateDict) -> bool {
    state
        .tensors
        .keys()
        .all(|name| !name.starts_with("roi_heads.") && !name.starts_with("rpn.") && !name.contains(".fpn."))
        && state.shape("backbone.body.conv1.weight").is_some()
}

/// The detector that training begins with where there is a backbone alone.
fn of_backbone(file: &str, state: &StateDict) -> Result<(DetectorConfig, Vec<String>)> {
    let backbone = backbone(file, state)?;
    let config = match state.dialect {
        Dialect::Matterport => DetectorConfig::matterport(backbone),
        _ => DetectorConfig { backbone, ..DetectorConfig::default() },
    };
    let classes = ["__background__", "cell"].map(str::to_owned).to_vec();
    let sentence = format!(
        "weights of a classification network, {backbone}: the pyramid and the heads are randomly initialised; train the detector \
         before using it"
    );
    Ok((DetectorConfig { classes, ..config }, vec![sentence]))
}

/// The system whose file it is: torchvision's second generation has tensors that the first has not.
fn dialect(state: &StateDict) -> Dialect {
    let is_v2 = state.tensors.contains_key("backbone.fpn.inner_blocks.0.1.weight");
    if is_v2 { Dialect::TorchvisionV2 } else { state.dialect }
}

/// Where the configuration begins, with a sentence about what was assumed.
fn assumed(
    dialect: Dialect,
    architecture: Architecture,
    backbone: Backbone,
    classes: usize,
) -> (DetectorConfig, String) {
    let (config, sentence) = match dialect {
        Dialect::Torchvision if classes == COCO_CLASSES.len() => {
            let sentence = "no configuration in the file; 91 classes: taken for torchvision's COCO detector";
            (DetectorConfig::coco_v1(architecture, backbone), sentence.to_owned())
        }
        Dialect::Torchvision => {
            let sentence = "no configuration in the file; class names are unknown, and sizes, anchors and thresholds are assumed \
                            to be torchvision's defaults";
            (DetectorConfig { architecture, backbone, ..DetectorConfig::default() }, sentence.to_owned())
        }
        Dialect::TorchvisionV2 => {
            let sentence = "no configuration in the file; taken for one of torchvision's v2 detectors, with its sizes, anchors and \
                            thresholds";
            (DetectorConfig::torchvision_v2(architecture, backbone), sentence.to_owned())
        }
        Dialect::Matterport => (DetectorConfig::matterport(backbone), MATTERPORT_ASSUMED.to_owned()),
    };
    if config.classes.len() == classes {
        return (config, sentence);
    }
    let names = (1..classes).map(|i| format!("class {i}"));
    let names = std::iter::once("__background__".to_owned()).chain(names).collect();
    (DetectorConfig { classes: names, ..config }, sentence)
}

/// # Errors
/// A detector of keypoints.
pub fn refuse_keypoints(file: &str, state: &StateDict) -> Result<()> {
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
