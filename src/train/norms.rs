//! The batch norms of a training run. From scratch they learn: put in, taken along, folded away. Those of a detector that is
//! fine-tuned are frozen: their scale stays beside the weights, which learn as in torchvision, and is folded into them for
//! detection.

use std::collections::HashMap;

use burn::module::ParamId;

use super::config::NormScope;
use crate::model::layers::Conv2d;
use crate::model::norm::BatchNorm;
use crate::model::{Detector, GeneralizedRcnn};

/// Every convolution that may have a norm: those of the ResNet, and with [`NormScope::All`] those of the pyramid and the
/// heads. The RPN's is shared by levels of different statistics and has none, as in torchvision's v2 detectors.
fn convolutions(network: &mut GeneralizedRcnn, scope: NormScope) -> Vec<&mut Conv2d> {
    let body = &mut network.backbone.body;
    let mut convs = vec![&mut body.conv1];
    for block in [&mut body.layer1, &mut body.layer2, &mut body.layer3, &mut body.layer4].into_iter().flatten() {
        convs.extend([&mut block.conv1, &mut block.conv2]);
        convs.extend(block.conv3.iter_mut().chain(&mut block.downsample));
    }
    if scope == NormScope::All {
        let fpn = &mut network.backbone.fpn;
        convs.extend(fpn.inner_blocks.iter_mut().chain(&mut fpn.layer_blocks));
        convs.extend(&mut network.roi_heads.box_head.convs);
        convs.extend(network.roi_heads.mask_head.iter_mut().flat_map(|head| &mut head.convs));
    }
    convs
}

/// Gives every convolution of the scope a fresh norm. Frozen ones that were folded are part of the weights from now on.
pub fn install(detector: &mut Detector, scope: NormScope) {
    for conv in convolutions(&mut detector.network, scope) {
        conv.norm = Some(BatchNorm::new(conv.bias.val(), &detector.device));
        // The norm's beta stands for it.
        conv.bias = conv.bias.clone().set_require_grad(false);
    }
    detector.layers.iter_mut().for_each(|layer| layer.scale = None);
}

/// Takes the scales of frozen norms out of the weights that they are folded into.
pub fn unfold(detector: &mut Detector) {
    let layers = detector.layers.iter();
    let scales: HashMap<ParamId, &[f32]> = layers.filter_map(|l| Some((l.weight, l.scale.as_deref()?))).collect();
    for conv in convolutions(&mut detector.network, NormScope::All) {
        if let Some(scale) = scales.get(&conv.weight.id) {
            conv.unfold(scale);
        }
    }
}

/// The network without norms that does in detection what this one has learnt.
pub fn folded(network: &GeneralizedRcnn) -> GeneralizedRcnn {
    let mut network = network.clone();
    for conv in convolutions(&mut network, NormScope::All) {
        conv.fold();
        if let Some(norm) = conv.norm.take() {
            *conv = norm.fold(conv);
            conv.bias = conv.bias.clone().set_require_grad(true);
        }
    }
    network
}

/// Takes the last batch into the running moments.
pub fn commit(network: &mut GeneralizedRcnn, momentum: f32) {
    convolutions(network, NormScope::All).into_iter().filter_map(|c| c.norm.as_mut()).for_each(|n| n.commit(momentum));
}

/// Forgets the last batch.
pub fn discard(network: &mut GeneralizedRcnn) {
    convolutions(network, NormScope::All).into_iter().filter_map(|c| c.norm.as_ref()).for_each(BatchNorm::discard);
}

/// The parameters of every norm: the id of its convolution's weight, the rest of its name, its own id.
pub fn parameters(network: &mut GeneralizedRcnn) -> Vec<(ParamId, &'static str, ParamId)> {
    let mut found = Vec::new();
    for conv in convolutions(network, NormScope::All) {
        if let Some(norm) = &conv.norm {
            let of = conv.weight.id;
            found.extend([
                (of, "norm.gamma", norm.gamma.id),
                (of, "norm.beta", norm.beta.id),
                (of, "norm.running_mean", norm.running_mean.id),
                (of, "norm.running_var", norm.running_var.id),
            ]);
        }
    }
    found
}
