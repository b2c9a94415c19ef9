//! Keras's names and layouts of a ResNet with a pyramid and its heads, in torchvision's.

/// What a layer of a Keras file is here, by torchvision's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub kind: Kind,
}

/// What is to be done with the values of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Turned into torch's layout.
    Plain,
    /// The logits of background and foreground of each anchor, whose softmax is the sigmoid of their difference.
    Objectness,
    /// Deltas in the order dy, dx, dh, dw.
    Deltas,
    /// A batch norm after a convolution.
    Norm,
    /// A batch norm after a linear layer of that name, into which it is folded.
    LinearNorm,
}

/// A layer of the backbone: `res4b_branch2a` → `backbone.body.layer3.1.conv1`. All ResNets of Keras's day have these names.
pub fn backbone(layer: &str) -> Option<Target> {
    let (kind, rest) = match layer.strip_prefix("bn") {
        Some(rest) => (Kind::Norm, rest),
        None => (Kind::Plain, layer.strip_prefix("res").unwrap_or(layer)),
    };
    let part = |conv: &str, norm: &str| if kind == Kind::Norm { norm.to_owned() } else { conv.to_owned() };
    if matches!(layer, "conv1" | "bn_conv1") {
        return Some(Target { name: format!("backbone.body.{}", part("conv1", "bn1")), kind });
    }
    let (block, branch) = rest.split_once("_branch")?;
    let mut letters = block.chars();
    let (stage, letter) = (letters.next()?.to_digit(10)?, letters.next()?);
    let index = (letter as u32).checked_sub('a' as u32)?;
    if letters.next().is_some() || !(2..=5).contains(&stage) || index > 25 {
        return None;
    }
    let part = match branch {
        "2a" => part("conv1", "bn1"),
        "2b" => part("conv2", "bn2"),
        "2c" => part("conv3", "bn3"),
        "1" => part("downsample.0", "downsample.1"),
        _ => return None,
    };
    Some(Target { name: format!("backbone.body.layer{}.{index}.{part}", stage - 1), kind })
}

/// A layer of matterport's Mask_RCNN.
pub fn matterport(layer: &str) -> Option<Target> {
    let of = |name: String, kind| Some(Target { name, kind });
    if let Some(level) = layer.strip_prefix("fpn_c") {
        let [level, b'p', _] = level.as_bytes() else { return None };
        return of(format!("backbone.fpn.inner_blocks.{}.0", level.checked_sub(b'2').filter(|i| *i < 4)?), Kind::Plain);
    }
    if let Some(level) = layer.strip_prefix("fpn_p") {
        let level = level.parse::<usize>().ok()?.checked_sub(2).filter(|i| *i < 4)?;
        return of(format!("backbone.fpn.layer_blocks.{level}.0"), Kind::Plain);
    }
    let mask = |number: &str, part: &str, kind| {
        let number = number.parse::<usize>().ok()?.checked_sub(1)?;
        of(format!("roi_heads.mask_head.{number}.{part}"), kind)
    };
    if let Some(number) = layer.strip_prefix("mrcnn_mask_conv") {
        return mask(number, "0", Kind::Plain);
    }
    if let Some(number) = layer.strip_prefix("mrcnn_mask_bn") {
        return mask(number, "1", Kind::Norm);
    }
    let (name, kind) = match layer {
        "rpn_conv_shared" => ("rpn.head.conv.0.0", Kind::Plain),
        "rpn_class_raw" => ("rpn.head.cls_logits", Kind::Objectness),
        "rpn_bbox_pred" => ("rpn.head.bbox_pred", Kind::Deltas),
        "mrcnn_class_conv1" => ("roi_heads.box_head.fc6", Kind::Plain),
        "mrcnn_class_bn1" => ("roi_heads.box_head.fc6", Kind::LinearNorm),
        "mrcnn_class_conv2" => ("roi_heads.box_head.fc7", Kind::Plain),
        "mrcnn_class_bn2" => ("roi_heads.box_head.fc7", Kind::LinearNorm),
        "mrcnn_class_logits" => ("roi_heads.box_predictor.cls_score", Kind::Plain),
        "mrcnn_bbox_fc" => ("roi_heads.box_predictor.bbox_pred", Kind::Deltas),
        "mrcnn_mask_deconv" => ("roi_heads.mask_predictor.conv5_mask", Kind::Plain),
        "mrcnn_mask" => ("roi_heads.mask_predictor.mask_fcn_logits", Kind::Plain),
        _ => return backbone(layer),
    };
    of(name.to_owned(), kind)
}

/// The part of a batch norm that a parameter is, in torch's words: `gamma`, or `bn2a_branch1_gamma` as older files have it. What
/// those call the running deviation is the variance.
pub fn norm_part(parameter: &str) -> Option<&'static str> {
    let is =
        |endings: &[&str]| endings.iter().any(|e| parameter.ends_with(e) || parameter.ends_with(&format!("{e}_1")));
    if is(&["gamma"]) {
        Some("weight")
    } else if is(&["beta"]) {
        Some("bias")
    } else if is(&["moving_mean", "running_mean"]) {
        Some("running_mean")
    } else if is(&["moving_variance", "running_std"]) {
        Some("running_var")
    } else {
        None
    }
}

/// Whether a parameter is a weight (`true`) or a bias: `kernel`, or `conv1_W` as older files have it.
pub fn is_kernel(parameter: &str) -> Option<bool> {
    match parameter.trim_end_matches("_1") {
        "kernel" => Some(true),
        "bias" => Some(false),
        other if other.ends_with("_W") => Some(true),
        other if other.ends_with("_b") => Some(false),
        _ => None,
    }
}

/// Values of `shape` with their axes in a new order, and the new shape.
pub fn permuted(values: &[f32], shape: &[usize], order: &[usize]) -> (Vec<f32>, Vec<usize>) {
    let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
    let new: Vec<usize> = order.iter().map(|axis| shape[*axis]).collect();
    let steps: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0usize; new.len()];
    let mut at = 0usize;
    for _ in 0..values.len() {
        out.push(values[at]);
        for axis in (0..new.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < new[axis] {
                break;
            }
            at -= steps[axis] * new[axis];
            index[axis] = 0;
        }
    }
    (out, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_torchvisions() {
        for (keras, torch) in [
            ("conv1", "backbone.body.conv1"),
            ("bn_conv1", "backbone.body.bn1"),
            ("res2a_branch1", "backbone.body.layer1.0.downsample.0"),
            ("bn2a_branch1", "backbone.body.layer1.0.downsample.1"),
            ("res4w_branch2c", "backbone.body.layer3.22.conv3"),
            ("bn5c_branch2b", "backbone.body.layer4.2.bn2"),
            ("fpn_c5p5", "backbone.fpn.inner_blocks.3.0"),
            ("fpn_c2p2", "backbone.fpn.inner_blocks.0.0"),
            ("fpn_p4", "backbone.fpn.layer_blocks.2.0"),
            ("mrcnn_mask_conv4", "roi_heads.mask_head.3.0"),
            ("mrcnn_mask_bn1", "roi_heads.mask_head.0.1"),
            ("mrcnn_mask", "roi_heads.mask_predictor.mask_fcn_logits"),
        ] {
            assert_eq!(matterport(keras).map(|target| target.name).as_deref(), Some(torch), "{keras}");
        }
        for unknown in
            ["res6a_branch1", "res2_branch1", "res2a", "fpn_p6", "fpn_c9p9", "mrcnn_mask_conv0", "fc1000", "bn"]
        {
            assert_eq!(matterport(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn parameters_of_old_and_new_files() {
        for (parameter, part) in [
            ("gamma", "weight"),
            ("bn_conv1_running_mean_1", "running_mean"),
            ("moving_variance", "running_var"),
            ("bn2a_branch1_running_std", "running_var"),
        ] {
            assert_eq!(norm_part(parameter), Some(part));
        }
        assert_eq!(
            ["kernel", "bias", "conv1_W_1", "conv1_b", "gamma"].map(is_kernel),
            [Some(true), Some(false), Some(true), Some(false), None]
        );
    }

    #[test]
    fn axes_move() {
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let (out, shape) = permuted(&values, &[2, 3, 4], &[2, 0, 1]);
        assert_eq!(shape, [4, 2, 3]);
        assert_eq!(out[(3 * 2 + 1) * 3 + 2], values[(3 + 2) * 4 + 3]);
    }
}
