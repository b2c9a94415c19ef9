//! From a state dict to a network: batch norms folded, every tensor accounted for.

use std::collections::BTreeSet;

use super::infer;
use super::names;
use super::report::{LoadReport, some_of};
use super::state::StateDict;
use crate::error::{Error, Result};
use crate::model::init::Seeded;
use crate::model::layers::{LayerSpec, LayerValues, ParameterSource};
use crate::model::{Detector, DetectorConfig};
use burn::tensor::Device;

/// Loads a detector file onto a device. `file` is the name that errors speak of.
///
/// # Errors
/// A file that is broken, that is no detector, or that lacks a tensor which its own configuration needs.
pub fn load(file: &str, bytes: &[u8], device: &Device) -> Result<(Detector, LoadReport)> {
    from_state(file, &super::read(file, bytes)?, device)
}

/// [`load`] from a state dict that was read already.
pub fn from_state(file: &str, state: &StateDict, device: &Device) -> Result<(Detector, LoadReport)> {
    let (config, warnings) = config_of(file, state)?;
    let mut source = FileSource::new(file, state, config.batch_norm_eps, None);
    let detector = Detector::build(config, &mut source, device)?;
    source.finish(warnings).map(|report| (detector, report))
}

/// A detector of `config` that starts from what fits it in a file: for new classes, or from a backbone alone. What the
/// file lacks or has in another shape is drawn from `seed` and listed as missing.
///
/// # Errors
/// A broken file or configuration, values that cannot be weights, or a file of which nothing fits.
pub fn load_into(
    config: DetectorConfig,
    file: &str,
    bytes: &[u8],
    seed: u64,
    device: &Device,
) -> Result<(Detector, LoadReport)> {
    let state = super::read(file, bytes)?;
    infer::refuse_other_architectures(file, &state)?;
    // The file's own eps belongs to its batch norms, whatever the new detector's says.
    let eps = match &state.config {
        Some(json) => DetectorConfig::from_json(json)?.batch_norm_eps,
        None => infer::config(file, &state).map_or(config.batch_norm_eps, |(found, _)| found.batch_norm_eps),
    };
    let mut source = FileSource::new(file, &state, eps, Some(Seeded { seed }));
    let detector = Detector::build(config, &mut source, device)?;
    source.finish(Vec::new()).map(|report| (detector, report))
}

/// The configuration that a file names, or else that its shapes speak of, with sentences about what was assumed.
pub fn config_of(file: &str, state: &StateDict) -> Result<(DetectorConfig, Vec<String>)> {
    match &state.config {
        Some(json) => {
            infer::refuse_other_architectures(file, state)?;
            let config = DetectorConfig::from_json(json).map_err(|e| Error::weights(file, e))?;
            Ok((config, Vec::new()))
        }
        None => infer::config(file, state),
    }
}

/// Gives the layers of a file, and perhaps drawn ones where it has none.
struct FileSource<'a> {
    file: &'a str,
    state: &'a StateDict<'a>,
    eps: f32,
    otherwise: Option<Seeded>,
    loaded: BTreeSet<String>,
    missing: Vec<String>,
}

impl<'a> FileSource<'a> {
    fn new(file: &'a str, state: &'a StateDict, eps: f32, otherwise: Option<Seeded>) -> Self {
        Self { file, state, eps, otherwise, loaded: BTreeSet::new(), missing: Vec::new() }
    }

    fn finish(self, warnings: Vec<String>) -> Result<LoadReport> {
        if self.loaded.is_empty() {
            return Err(Error::weights(self.file, "nothing in it fits this detector"));
        }
        let unexpected: Vec<String> = self
            .state
            .tensors
            .keys()
            .filter(|name| !self.loaded.contains(*name) && !names::is_counter(name))
            .cloned()
            .collect();
        let mut report =
            LoadReport { loaded: self.loaded.into_iter().collect(), missing: self.missing, unexpected, warnings };
        if !report.unexpected.is_empty() {
            report.warnings.push(format!("not used: {}", some_of(&report.unexpected)));
        }
        Ok(report)
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.state.values(self.file, name, shape)?;
        self.loaded.insert(name.to_owned());
        Ok(values)
    }

    fn read(&mut self, spec: &LayerSpec) -> Result<LayerValues> {
        let outputs = [spec.kind.output()];
        let mut weight = self.take(&format!("{}.weight", spec.name), &spec.kind.torch_shape())?;
        if weight.iter().all(|w| *w == 0.0) {
            let reason = format!("tensor {}.weight: it is all zero, as if it had never been written", spec.name);
            return Err(Error::weights(self.file, reason));
        }
        let Some(norm) = &spec.norm else {
            let bias = self.take(&format!("{}.bias", spec.name), &outputs)?;
            return Ok(LayerValues { weight, bias });
        };
        let gamma = self.take(&format!("{norm}.weight"), &outputs)?;
        let beta = self.take(&format!("{norm}.bias"), &outputs)?;
        let mean = self.take(&format!("{norm}.running_mean"), &outputs)?;
        let var = self.take(&format!("{norm}.running_var"), &outputs)?;
        let scale: Vec<f32> = gamma.iter().zip(&var).map(|(g, v)| g / (v + self.eps).sqrt()).collect();
        let bias: Vec<f32> = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        let per_output = weight.len() / outputs[0];
        for (kernel, s) in weight.chunks_exact_mut(per_output).zip(&scale) {
            kernel.iter_mut().for_each(|w| *w *= s);
        }
        if !weight.iter().chain(&bias).all(|v| v.is_finite()) {
            let reason = format!("batch norm {norm}: its variance does not give finite weights");
            return Err(Error::weights(self.file, reason));
        }
        Ok(LayerValues { weight, bias })
    }

    /// The tensors of a layer that the file lacks or has in another shape.
    fn lacks(&self, spec: &LayerSpec) -> Vec<String> {
        let outputs = vec![spec.kind.output()];
        let mut needed = vec![(format!("{}.weight", spec.name), spec.kind.torch_shape())];
        match &spec.norm {
            None => needed.push((format!("{}.bias", spec.name), outputs)),
            Some(norm) => {
                for part in ["weight", "bias", "running_mean", "running_var"] {
                    needed.push((format!("{norm}.{part}"), outputs.clone()));
                }
            }
        }
        let absent = |name: &str, shape: &[usize]| match self.state.shape(name) {
            Some(found) => found != shape && self.otherwise.is_some(),
            None => true,
        };
        needed.into_iter().filter(|(name, shape)| absent(name, shape)).map(|(name, _)| name).collect()
    }
}

impl ParameterSource for FileSource<'_> {
    fn layer(&mut self, spec: &LayerSpec) -> Result<LayerValues> {
        let lacks = self.lacks(spec);
        if lacks.is_empty() {
            return self.read(spec);
        }
        self.missing.extend(lacks);
        match &mut self.otherwise {
            Some(seeded) => seeded.layer(spec),
            None => {
                let reason = format!("it lacks what this detector needs: {}", some_of(&self.missing));
                Err(Error::weights(self.file, reason))
            }
        }
    }
}
