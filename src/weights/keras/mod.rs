//! Keras's weights (`.h5`, `.hdf5`) as a state dict with torchvision's names.
//!
//! matterport's Mask_RCNN has the same network as torchvision's Mask R-CNN, with other conventions ([`Dialect`]); where these can be
//! told by rearranging weights, they are:
//!
//! | there | here |
//! |---|---|
//! | kernels HWIO, dense (in, out), transposed (h, w, out, in) | torch's layouts |
//! | bias of a convolution before a batch norm | taken from the norm's mean |
//! | softmax of background and foreground in the RPN | one logit, their difference |
//! | dy, dx, dh, dw | dx, dy, dw, dh |
//! | Keras's ResNet-50 for ImageNet takes B, G, R | its first convolution takes R, G, B |
//! | 7×7 and 1×1 convolution with batch norm in the box head | two linear layers, norms folded |

mod file;
mod layers;
#[cfg(not(target_arch = "wasm32"))]
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

#[cfg(not(target_arch = "wasm32"))]
pub use write::write;

use file::{Place, Values, WeightsFile};
use layers::{Kind, Target};

use super::state::{RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Backbone, DetectorConfig, Dialect};

/// Whether a file is HDF5.
pub fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// Reads the weights of a detector, or of a backbone.
///
/// # Errors
/// A broken file, or one of another network.
pub fn read(file: &str, bytes: &[u8]) -> Result<StateDict<'static>> {
    limits::check(file, "its size in bytes", bytes.len() as u64, limits::DETECTOR_BYTES)?;
    let mut weights = WeightsFile::open(file, bytes)?;
    let places = weights.places()?;
    let has = |layer: &str| places.iter().any(|place| place.layer() == layer);
    let is_matterport = has("mrcnn_class_conv1") && has("fpn_c5p5");
    if !is_matterport && places.iter().any(|place| place.layer().starts_with("dense_class_")) {
        let reason = "it is a detector of keras-frcnn, whose network cytobox does not read";
        return Err(Error::weights(file, reason));
    }
    if !is_matterport && !has("res2a_branch2a") {
        let reason =
            "its Keras weights are of no network that cytobox reads (matterport's Mask_RCNN, or Keras's ResNet-50)";
        return Err(Error::weights(file, reason));
    }
    // Alone, a backbone is what matterport's training starts from.
    let dialect = Dialect::Matterport;
    let mut reader = Reader { file, state: StateDict { dialect, ..StateDict::default() }, norms: BTreeMap::new() };
    for place in &places {
        let target = if is_matterport { layers::matterport(place.layer()) } else { layers::backbone(place.layer()) };
        // What has no place is not read, however large it is.
        match target {
            Some(target) => reader.take(place, target, weights.values(place)?)?,
            None => {
                reader.state.left_out.push(format!("{}/{}", place.group, place.path));
            }
        }
    }
    if !is_matterport {
        reader.turn_colours()?;
    }
    reader.finish()
}

/// Puts a file's layers together.
struct Reader<'f> {
    file: &'f str,
    state: StateDict<'static>,
    /// The batch norms after linear layers, by the layer and the part.
    norms: BTreeMap<(String, &'static str), Vec<f32>>,
}

impl Reader<'_> {
    fn take(&mut self, place: &Place, target: Target, values: Values) -> Result<()> {
        let fault =
            |reason: &str| Error::weights(self.file, format!("tensor {}/{}: {reason}", place.group, place.path));
        let parameter = place.parameter();
        let Target { name, kind } = target;
        if matches!(kind, Kind::Norm | Kind::LinearNorm) {
            let part = layers::norm_part(parameter).ok_or_else(|| fault("it is no part of a batch norm"))?;
            if kind == Kind::LinearNorm {
                self.norms.insert((name, part), values.values);
                return Ok(());
            }
            return self.insert(format!("{name}.{part}"), values);
        }
        let is_kernel = layers::is_kernel(parameter).ok_or_else(|| fault("it is neither a kernel nor a bias"))?;
        let part = if is_kernel { "weight" } else { "bias" };
        let torch = match values.shape.as_slice() {
            // Outputs first, whatever they are.
            [h, w, input, output] if name.ends_with(".fc6") || name.ends_with(".fc7") => {
                let (values, _) = layers::permuted(&values.values, &values.shape, &[3, 2, 0, 1]);
                Values { values, shape: vec![*output, h * w * input] }
            }
            // (h, w, out, in) → [in, out, h, w], (h, w, in, out) → [out, in, h, w]
            [_, _, _, _] => permuted(&values, &[3, 2, 0, 1]),
            [_, _] => permuted(&values, &[1, 0]),
            [_] => values,
            _ => return Err(fault(&format!("its shape is {:?}", values.shape))),
        };
        let done = match kind {
            Kind::Objectness => difference_of_pairs(torch),
            Kind::Deltas => swapped_axes(torch),
            _ => Some(torch),
        };
        let done = done.ok_or_else(|| fault("its outputs are not as many as anchors or classes need"))?;
        self.insert(format!("{name}.{part}"), done)
    }

    fn insert(&mut self, name: String, Values { shape, values }: Values) -> Result<()> {
        if self.state.tensors.insert(name.clone(), RawTensor::from_f32(shape, &values)).is_some() {
            return Err(Error::weights(self.file, format!("the name {name} comes twice")));
        }
        Ok(())
    }

    /// From B, G, R to R, G, B.
    fn turn_colours(&mut self) -> Result<()> {
        let name = "backbone.body.conv1.weight";
        let (Some(values), Some(&[_, 3, h, w])) = (self.values(name)?, self.state.shape(name)) else { return Ok(()) };
        let shape = self.state.shape(name).unwrap_or_default().to_vec();
        let turned = |kernel: &[f32]| kernel.chunks_exact((h * w).max(1)).rev().flatten().copied().collect::<Vec<_>>();
        let values: Vec<f32> = values.chunks_exact((3 * h * w).max(1)).flat_map(turned).collect();
        self.state.tensors.insert(name.to_owned(), RawTensor::from_f32(shape, &values));
        Ok(())
    }

    fn finish(mut self) -> Result<StateDict<'static>> {
        self.fold_linear_norms()?;
        self.move_biases()?;
        Ok(self.state)
    }

    fn values(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let fault = |reason: String| Error::weights(self.file, format!("tensor {name}: {reason}"));
        self.state.tensors.get(name).map(|tensor| tensor.values().map_err(fault)).transpose()
    }

    /// Folds the batch norms after linear layers into these.
    fn fold_linear_norms(&mut self) -> Result<()> {
        let norms = std::mem::take(&mut self.norms);
        let layers: std::collections::BTreeSet<&String> = norms.keys().map(|(layer, _)| layer).collect();
        let eps = DetectorConfig::matterport(Backbone::ResNet50).batch_norm_eps;
        for layer in layers {
            let part = |part: &'static str| norms.get(&(layer.clone(), part));
            let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
            let parts = (part("weight"), part("bias"), part("running_mean"), part("running_var"));
            let (Some(gamma), Some(beta), Some(mean), Some(var)) = parts else {
                return Err(Error::weights(self.file, format!("a part of the batch norm after {layer} is missing")));
            };
            let (Some(mut w), Some(mut b)) = (self.values(&weight)?, self.values(&bias)?) else { continue };
            let n = b.len();
            if [gamma, beta, mean, var].iter().any(|values| values.len() != n) || n == 0 || w.len() % n != 0 {
                return Err(Error::weights(self.file, format!("the batch norm after {layer} is not of its size")));
            }
            let scale: Vec<f32> = gamma.iter().zip(var).map(|(g, v)| g / (v + eps).sqrt()).collect();
            let inputs = w.len() / n;
            for (row, s) in w.chunks_exact_mut(inputs.max(1)).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= s);
            }
            for i in 0..n {
                b[i] = (b[i] - mean[i]) * scale[i] + beta[i];
            }
            for (name, values) in [(weight, w), (bias, b)] {
                let shape = self.state.shape(&name).unwrap_or_default().to_vec();
                self.state.tensors.insert(name, RawTensor::from_f32(shape, &values));
            }
        }
        Ok(())
    }

    /// A convolution before a batch norm has no bias in torch: the norm takes it from its mean.
    fn move_biases(&mut self) -> Result<()> {
        let norms: Vec<String> =
            self.state.tensors.keys().filter_map(|n| Some(n.strip_suffix(".running_mean")?.into())).collect();
        for norm in norms {
            let Some(bias) = convolution_before(&norm).map(|conv| format!("{conv}.bias")) else { continue };
            let mean = format!("{norm}.running_mean");
            if let (Some(bias_values), Some(mut values)) = (self.values(&bias)?, self.values(&mean)?) {
                if bias_values.len() != values.len() {
                    return Err(Error::weights(self.file, format!("tensor {bias}: it is not of the size of {mean}")));
                }
                values.iter_mut().zip(&bias_values).for_each(|(mean, bias)| *mean -= bias);
                let shape = vec![values.len()];
                self.state.tensors.insert(mean, RawTensor::from_f32(shape, &values));
                self.state.tensors.remove(&bias);
            }
        }
        Ok(())
    }
}

/// The convolution that a batch norm follows, by torchvision's names: `bn2` after `conv2`, `X.1` after `X.0`.
fn convolution_before(norm: &str) -> Option<String> {
    let (before, last) = norm.rsplit_once('.')?;
    match last.strip_prefix("bn") {
        Some(number) => Some(format!("{before}.conv{number}")),
        None => (last == "1").then(|| format!("{before}.0")),
    }
}

fn permuted(values: &Values, order: &[usize]) -> Values {
    let (values, shape) = layers::permuted(&values.values, &values.shape, order);
    Values { shape, values }
}

/// Of each two outputs the second minus the first.
fn difference_of_pairs(Values { mut shape, values }: Values) -> Option<Values> {
    let outputs = *shape.first()?;
    let each = values.len().checked_div(outputs)?;
    if outputs % 2 != 0 || each == 0 {
        return None;
    }
    let pair = |pair: &[f32]| (0..each).map(|i| pair[each + i] - pair[i]).collect::<Vec<_>>();
    shape[0] = outputs / 2;
    Some(Values { shape, values: values.chunks_exact(2 * each).flat_map(pair).collect() })
}

/// Outputs in the order y, x, h, w become x, y, w, h.
fn swapped_axes(Values { shape, mut values }: Values) -> Option<Values> {
    let outputs = *shape.first()?;
    let each = values.len().checked_div(outputs)?;
    if outputs % 4 != 0 || each == 0 {
        return None;
    }
    for pair in values.chunks_exact_mut(2 * each) {
        let (first, second) = pair.split_at_mut(each);
        first.swap_with_slice(second);
    }
    Some(Values { shape, values })
}
