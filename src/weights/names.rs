//! torchvision's parameter names, of both generations.
//!
//! Since 0.13 torchvision wraps the convolutions of the RPN, the pyramid and the mask head in a sequence; files from
//! before, its own published ones among them, have shorter names. `_load_from_state_dict` in `rpn.py`,
//! `feature_pyramid_network.py` and `mask_rcnn.py` renames them, and so does this.

/// What training scripts put a network into: `DataParallel`, `torch.compile`, and classes of their own.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "net."];

/// The names of wrappers, one within another, with which all names of a file begin.
pub fn wrapping<'a>(names: impl IntoIterator<Item = &'a str>) -> &'a str {
    let whole: Vec<&str> = names.into_iter().filter(|name| !is_counter(name)).collect();
    let mut rest = whole.clone();
    while !rest.is_empty() {
        let within = |wrapper: &&str| rest.iter().map(|name| name.strip_prefix(wrapper)).collect::<Option<Vec<_>>>();
        match WRAPPERS.iter().find_map(within) {
            Some(inner) => rest = inner,
            None => break,
        }
    }
    match (whole.first(), rest.first()) {
        (Some(whole), Some(rest)) => &whole[..whole.len() - rest.len()],
        _ => "",
    }
}

/// The present name of a parameter without what wraps it. A name that is not known stays as it is.
pub fn canonical(name: &str, wrapping: &str) -> String {
    let name = name.strip_prefix(wrapping).unwrap_or(name);
    rpn(name).or_else(|| pyramid(name)).or_else(|| mask_head(name)).or_else(|| classifier(name)).unwrap_or(name.into())
}

/// `rpn.head.conv.weight` → `rpn.head.conv.0.0.weight`
fn rpn(name: &str) -> Option<String> {
    let kind = name.strip_prefix("rpn.head.conv.")?;
    parameter(kind).then(|| format!("rpn.head.conv.0.0.{kind}"))
}

/// `backbone.fpn.inner_blocks.2.weight` → `backbone.fpn.inner_blocks.2.0.weight`
fn pyramid(name: &str) -> Option<String> {
    let rest = name.strip_prefix("backbone.fpn.")?;
    let (blocks, rest) = rest.split_once('.')?;
    let (i, kind) = rest.split_once('.')?;
    (parameter(kind) && matches!(blocks, "inner_blocks" | "layer_blocks"))
        .then(|| format!("backbone.fpn.{blocks}.{i}.0.{kind}"))
}

/// `roi_heads.mask_head.mask_fcn1.weight` → `roi_heads.mask_head.0.0.weight`
fn mask_head(name: &str) -> Option<String> {
    let (i, kind) = name.strip_prefix("roi_heads.mask_head.mask_fcn")?.split_once('.')?;
    let i = i.parse::<usize>().ok()?.checked_sub(1)?;
    parameter(kind).then(|| format!("roi_heads.mask_head.{i}.0.{kind}"))
}

/// A classification ResNet, as a backbone to start from: `layer1.0.conv1.weight` → `backbone.body.layer1.0.conv1.weight`
fn classifier(name: &str) -> Option<String> {
    ["conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4."]
        .iter()
        .any(|start| name.starts_with(start))
        .then(|| format!("backbone.body.{name}"))
}

fn parameter(kind: &str) -> bool {
    matches!(kind, "weight" | "bias")
}

/// A counter that training batch norms, and averages of weights, keep and nothing reads.
pub fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked") || name == "n_averaged"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_become_new_and_new_ones_stay() {
        for (old, new) in [
            ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
            ("rpn.head.conv.0.0.bias", "rpn.head.conv.0.0.bias"),
            ("rpn.head.cls_logits.weight", "rpn.head.cls_logits.weight"),
            ("backbone.fpn.inner_blocks.3.bias", "backbone.fpn.inner_blocks.3.0.bias"),
            ("backbone.fpn.layer_blocks.0.0.weight", "backbone.fpn.layer_blocks.0.0.weight"),
            ("roi_heads.mask_head.mask_fcn4.weight", "roi_heads.mask_head.3.0.weight"),
            ("roi_heads.mask_head.0.0.weight", "roi_heads.mask_head.0.0.weight"),
            ("roi_heads.mask_head.mask_fcn0.weight", "roi_heads.mask_head.mask_fcn0.weight"),
            ("layer4.2.bn3.running_var", "backbone.body.layer4.2.bn3.running_var"),
            ("fc.weight", "fc.weight"),
        ] {
            assert_eq!(canonical(old, ""), new);
            assert_eq!(canonical(new, ""), new);
            assert_eq!(canonical(&format!("module.{old}"), "module."), new);
        }
    }

    #[test]
    fn wrappers_are_those_that_all_names_share() {
        for (names, expected) in [
            (&["module.a", "module.b"][..], "module."),
            (&["module._orig_mod.model.net.a", "module._orig_mod.model.net.b.c"], "module._orig_mod.model.net."),
            (&["module.a", "module.module.b"], "module."),
            (&["module.a", "b"], ""),
            (&["model.a", "net.b"], ""),
            (&["models.a", "network.b"], ""),
            (&["n_averaged", "module.a"], "module."),
            (&["n_averaged"], ""),
            (&["net."], "net."),
            (&[], ""),
        ] {
            assert_eq!(wrapping(names.iter().copied()), expected, "{names:?}");
        }
    }
}
