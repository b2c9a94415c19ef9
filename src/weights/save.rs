//! From a network to a detector file that cytobox and torchvision load.
//!
//! A frozen batch norm that is folded into a convolution is written back beside it: weight the scale, bias the folded bias,
//! mean 0, variance 1 − eps. Then `load_state_dict(strict=True)` finds every name it wants, the results agree, and who goes
//! on from the file, here or there, trains the same weights. One that was trained and folded for good becomes an identity:
//! scale 1.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, Transaction};
use std::collections::HashMap;

use super::safetensors;
use super::state::{RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::model::layers::{Layer, inverse_scale};
use crate::model::{Detector, DetectorConfig};

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Half the size; relative errors of 5e-4.
    F16,
}

/// The bytes of a detector file.
///
/// # Errors
/// A device that failed, weights that are not finite, or too great for f16.
pub async fn save(detector: &Detector, precision: Precision) -> Result<Vec<u8>> {
    safetensors::write("detector", &state_dict(detector, precision).await?)
}

/// What [`save`] writes.
pub async fn state_dict(detector: &Detector, precision: Precision) -> Result<StateDict<'static>> {
    let mut collector = Collector::default();
    detector.network.visit(&mut collector);
    let mut state = StateDict { config: Some(detector.config.to_json()?), ..StateDict::default() };
    for layer in &detector.layers {
        let parameters = collector.read(layer).await?;
        for (name, shape, values) in named(layer, parameters, &detector.config) {
            let tensor = encode(&name, shape, &values, precision)?;
            state.tensors.insert(name, tensor);
        }
    }
    Ok(state)
}

type Named = (String, Vec<usize>, Vec<f32>);

/// A layer's tensors under torchvision's names, in torch's layout.
fn named(layer: &Layer, (weight, bias): (Vec<f32>, Vec<f32>), config: &DetectorConfig) -> Vec<Named> {
    let spec = &layer.spec;
    let outputs = vec![spec.kind.output()];
    let constant = |value: f32| vec![value; spec.kind.output()];
    let mut weight = spec.kind.to_torch(&weight);
    if let Some(scale) = &layer.scale {
        let per_output = weight.len() / scale.len().max(1);
        for (kernel, scale) in weight.chunks_exact_mut(per_output.max(1)).zip(scale) {
            let inverse = inverse_scale(*scale);
            kernel.iter_mut().for_each(|w| *w *= inverse);
        }
    }
    let scale = layer.scale.clone().unwrap_or_else(|| constant(1.0));
    let mut tensors = vec![(format!("{}.weight", spec.name), spec.kind.torch_shape(), weight)];
    match &spec.norm {
        None => tensors.push((format!("{}.bias", spec.name), outputs, bias)),
        Some(norm) => tensors.extend([
            (format!("{norm}.weight"), outputs.clone(), scale),
            (format!("{norm}.bias"), outputs.clone(), bias),
            (format!("{norm}.running_mean"), outputs.clone(), constant(0.0)),
            (format!("{norm}.running_var"), outputs, constant(1.0 - config.batch_norm_eps)),
        ]),
    }
    tensors
}

fn encode(name: &str, shape: Vec<usize>, values: &[f32], precision: Precision) -> Result<RawTensor<'static>> {
    let fault = |reason: &str| Error::weights("detector", format!("tensor {name}: {reason}"));
    if values.iter().any(|v| !v.is_finite()) {
        return Err(fault("it holds values that are not finite numbers"));
    }
    let tensor = RawTensor::from_f32(shape, values);
    match precision {
        Precision::F32 => Ok(tensor),
        Precision::F16 => tensor.to_f16().map_err(|e| fault(&e)),
    }
}

/// Finds parameters by id; their values stay on the device until they are read.
#[derive(Default)]
struct Collector {
    tensors: HashMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let values = tensor.dims().iter().product::<usize>();
        self.tensors.insert(param.id, tensor.reshape([values]));
    }
}

impl Collector {
    async fn read(&self, layer: &Layer) -> Result<(Vec<f32>, Vec<f32>)> {
        let find = |id: &ParamId| {
            let lost = || Error::weights("detector", format!("layer {} is not in the network", layer.spec.name));
            self.tensors.get(id).cloned().ok_or_else(lost)
        };
        let (weight, bias) = (find(&layer.weight)?, find(&layer.bias)?);
        let device = weight.device();
        let transaction = Transaction::default().register(weight).register(bias);
        let mut data = crate::model::read::execute(transaction, &device).await?;
        let bias = data.pop().unwrap_or_default();
        Ok((data.pop().unwrap_or_default(), bias))
    }
}
