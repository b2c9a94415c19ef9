//! From a state dict to a weights file that matterport's Mask_RCNN loads: what [`super::read`] does, the other way round.
//!
//! What was folded comes back as the identity: convolutions before a batch norm have biases of 0, and the norms of the box head change
//! nothing. The logits of background and foreground are half of their difference each.

use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};

use super::file::Values;
use super::layers::{self, Kind};
use super::{permuted, swapped_axes};
use crate::error::{Error, Result};
use crate::model::{DetectorConfig, Dialect};
use crate::weights::state::StateDict;

/// The version of Keras whose layout it is.
const KERAS_VERSION: &str = "2.2.4";

/// The bytes of a weights file.
///
/// # Errors
/// A detector of another system, or one that lacks a tensor.
pub fn write(file: &str, state: &StateDict, config: &DetectorConfig) -> Result<Vec<u8>> {
    let fault = |reason: String| Error::weights(file, reason);
    if config.dialect != Dialect::Matterport || !config.has_mask() || !config.backbone.bottleneck() {
        let reason = format!(
            "only a Mask R-CNN that began as one of matterport's can be written as .h5, and this one is of {}; write .safetensors",
            config.dialect
        );
        return Err(fault(reason));
    }
    let groups = groups(config);
    let mut builder = FileBuilder::new();
    builder.set_attr("layer_names", names(groups.iter().map(|(group, _)| group.clone()).collect()));
    builder.set_attr("backend", AttrValue::AsciiString("tensorflow".into()));
    builder.set_attr("keras_version", AttrValue::AsciiString(KERAS_VERSION.into()));
    for (group, members) in &groups {
        let mut folder = builder.create_group(group);
        let mut weight_names = Vec::new();
        for layer in members {
            let parameters = Layer { file, state, config }.parameters(layer)?;
            weight_names.extend(parameters.iter().map(|(name, _)| format!("{layer}/{name}:0")));
            add(&mut folder, layer, &parameters);
        }
        folder.set_attr("weight_names", names(weight_names));
        builder.add_group(folder.finish());
    }
    builder.finish().map_err(|e| fault(e.to_string()))
}

fn names(names: Vec<String>) -> AttrValue {
    AttrValue::AsciiStringArray(names)
}

fn add(group: &mut GroupBuilder, layer: &str, parameters: &[(&str, Values)]) {
    let mut folder = group.create_group(layer);
    for (name, Values { shape, values }) in parameters {
        let shape: Vec<u64> = shape.iter().map(|side| *side as u64).collect();
        folder.create_dataset(&format!("{name}:0")).with_f32_data(values).with_shape(&shape);
    }
    group.add_group(folder.finish());
}

/// The groups of the file with their layers, in the original's order, by which Keras may assign them.
fn groups(config: &DetectorConfig) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<String> = vec!["conv1".into(), "bn_conv1".into()];
    for (stage, blocks) in config.backbone.blocks().into_iter().enumerate() {
        for block in 0..blocks {
            let name = format!("{}{}", stage + 2, char::from(b'a' + block as u8));
            for branch in ["2a", "2b"] {
                all.extend([format!("res{name}_branch{branch}"), format!("bn{name}_branch{branch}")]);
            }
            let last: &[&str] = if block == 0 { &["2c", "1"] } else { &["2c"] };
            all.extend(last.iter().map(|branch| format!("res{name}_branch{branch}")));
            all.extend(last.iter().map(|branch| format!("bn{name}_branch{branch}")));
        }
    }
    all.extend(
        ["fpn_c5p5", "fpn_c4p4", "fpn_c3p3", "fpn_c2p2", "fpn_p5", "fpn_p2", "fpn_p3", "fpn_p4"].map(String::from),
    );
    let mut groups: Vec<(String, Vec<String>)> = all.into_iter().map(|layer| (layer.clone(), vec![layer])).collect();
    groups.push(("rpn_model".into(), ["rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"].map(String::from).to_vec()));
    let heads = [
        "mrcnn_mask_conv1",
        "mrcnn_mask_bn1",
        "mrcnn_mask_conv2",
        "mrcnn_mask_bn2",
        "mrcnn_class_conv1",
        "mrcnn_class_bn1",
        "mrcnn_mask_conv3",
        "mrcnn_mask_bn3",
        "mrcnn_class_conv2",
        "mrcnn_class_bn2",
        "mrcnn_mask_conv4",
        "mrcnn_mask_bn4",
        "mrcnn_bbox_fc",
        "mrcnn_mask_deconv",
        "mrcnn_class_logits",
        "mrcnn_mask",
    ];
    groups.extend(heads.map(|layer| (layer.to_owned(), vec![layer.to_owned()])));
    groups
}

struct Layer<'a> {
    file: &'a str,
    state: &'a StateDict<'a>,
    config: &'a DetectorConfig,
}

impl Layer<'_> {
    /// The parameters of a layer with their names there, in Keras's order.
    fn parameters(&self, layer: &str) -> Result<Vec<(&'static str, Values)>> {
        let target = layers::matterport(layer).ok_or_else(|| self.missing(layer))?;
        let (name, eps) = (target.name, self.config.batch_norm_eps);
        match target.kind {
            Kind::Norm => Ok(vec![
                ("gamma", self.get(&format!("{name}.weight"))?),
                ("beta", self.get(&format!("{name}.bias"))?),
                ("moving_mean", self.get(&format!("{name}.running_mean"))?),
                ("moving_variance", self.get(&format!("{name}.running_var"))?),
            ]),
            Kind::LinearNorm => {
                let n = self.get(&format!("{name}.bias"))?.values.len();
                let constant = |value: f32| Values { shape: vec![n], values: vec![value; n] };
                Ok(vec![
                    ("gamma", constant(1.0)),
                    ("beta", constant(0.0)),
                    ("moving_mean", constant(0.0)),
                    ("moving_variance", constant(1.0 - eps)),
                ])
            }
            kind => {
                let weight = self.get(&format!("{name}.weight"))?;
                let outputs = weight.shape[usize::from(name.ends_with("conv5_mask"))];
                let bias = match self.state.shape(&format!("{name}.bias")) {
                    Some(_) => self.get(&format!("{name}.bias"))?,
                    None => Values { shape: vec![outputs], values: vec![0.0; outputs] },
                };
                let there = |values: Values| match kind {
                    Kind::Objectness => Some(halves(values)),
                    Kind::Deltas => swapped_axes(values),
                    _ => Some(values),
                };
                let (weight, bias) = (there(weight), there(bias));
                let (Some(weight), Some(bias)) = (weight, bias) else { return Err(self.missing(layer)) };
                Ok(vec![("kernel", self.kernel(&name, weight)), ("bias", bias)])
            }
        }
    }

    /// A weight in Keras's layout. Linear layers of the box head are convolutions there.
    fn kernel(&self, name: &str, mut weight: Values) -> Values {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
        if name.ends_with(".fc6") {
            let side = self.config.box_roi_pool_size;
            weight.shape = vec![outputs, inputs / (side * side), side, side];
        } else if name.ends_with(".fc7") {
            weight.shape = vec![outputs, inputs, 1, 1];
        }
        let order: &[usize] = if weight.shape.len() == 4 { &[2, 3, 1, 0] } else { &[1, 0] };
        permuted(&weight, order)
    }

    fn get(&self, name: &str) -> Result<Values> {
        let tensor = self.state.tensors.get(name).ok_or_else(|| self.missing(name))?;
        let values = tensor.values().map_err(|e| Error::weights(self.file, format!("tensor {name}: {e}")))?;
        Ok(Values { shape: tensor.shape.clone(), values })
    }

    fn missing(&self, name: &str) -> Error {
        Error::weights(self.file, format!("it lacks {name}, which matterport's Mask_RCNN has"))
    }
}

/// Each output as two of half its size, the first with the other sign.
fn halves(Values { mut shape, values }: Values) -> Values {
    let each = values.len() / shape[0].max(1);
    shape[0] *= 2;
    let pair = |row: &[f32]| row.iter().map(|v| -v / 2.0).chain(row.iter().map(|v| v / 2.0)).collect::<Vec<_>>();
    Values { shape, values: values.chunks_exact(each.max(1)).flat_map(pair).collect() }
}
