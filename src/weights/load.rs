//! From a state dict to a network: batch norms folded, every tensor accounted for.

use std::collections::BTreeSet;

use super::infer;
use super::names;
use super::report::{LoadReport, some_of};
use super::state::StateDict;
use crate::error::{Error, Result};
use crate::model::init::Seeded;
use crate::model::layers::{LayerKind, LayerSpec, LayerValues, ParameterSource};
use crate::model::{Detector, DetectorConfig};
use burn::tensor::Device;

/// Layers with outputs for every class, and how many a class has.
const CLASS_LAYERS: [(&str, usize); 3] = [
    ("roi_heads.box_predictor.cls_score", 1),
    ("roi_heads.box_predictor.bbox_pred", 4),
    ("roi_heads.mask_predictor.mask_fcn_logits", 1),
];

/// Loads a detector file onto a device. `file` is the name that errors speak of.
///
/// # Errors
/// A file that is broken, that is not a detector, or that lacks a tensor which its own configuration needs.
pub fn load(file: &str, bytes: &[u8], device: &Device) -> Result<(Detector, LoadReport)> {
    from_state(file, &super::read(file, bytes)?, device)
}

/// [`load`] from a state dict that was read already.
pub fn from_state(file: &str, state: &StateDict, device: &Device) -> Result<(Detector, LoadReport)> {
    let (config, warnings) = config_of(file, state)?;
    // The rest of a backbone alone is drawn, for a training that starts from it.
    let drawn = infer::is_backbone(state).then_some(Seeded { seed: 0 });
    let mut source = FileSource::new(file, state, config.batch_norm_eps, drawn);
    let detector = Detector::build(config, &mut source, device)?;
    source.finish(warnings).map(|report| (detector, report))
}

/// A detector of `config` that starts from what fits it in a file: for new classes, or from a backbone alone. What the
/// file lacks or has in another shape is drawn from `seed` and listed as missing.
///
/// What a head has learnt of a class is taken over by the name of the class, wherever it stands in the file; a class that
/// the file does not have begins as the mean of the file's classes, so that a detector of cells finds cells before the first
/// step. With `new_heads` all are drawn. Of a file that does not name its classes the heads are taken as they are, if they
/// are as many.
///
/// # Errors
/// A broken file or configuration, values that cannot be weights, or a file of which nothing fits.
pub fn load_into(
    config: DetectorConfig,
    file: &str,
    bytes: &[u8],
    new_heads: bool,
    seed: u64,
    device: &Device,
) -> Result<(Detector, LoadReport)> {
    let state = super::read(file, bytes)?;
    infer::refuse_keypoints(file, &state)?;
    let own = state.config.as_deref().map(DetectorConfig::from_json).transpose()?;
    // The file's own eps belongs to its batch norms, whatever the new detector's says.
    let eps = match &own {
        Some(own) => own.batch_norm_eps,
        None => infer::config(file, &state).map_or(config.batch_norm_eps, |(found, _)| found.batch_norm_eps),
    };
    let heads = match own {
        _ if new_heads => Some(Heads::Drawn(config.classes.clone())),
        Some(own) => Some(Heads::by_name(&config.classes, &own.classes)),
        None => None,
    };
    let warnings = state.notes.iter().cloned().chain(heads.as_ref().and_then(Heads::warning)).collect();
    let mut source = FileSource::new(file, &state, eps, Some(Seeded { seed }));
    source.heads = heads.as_ref();
    let detector = Detector::build(config, &mut source, device)?;
    source.finish(warnings).map(|report| (detector, report))
}

/// The configuration that a file names, or else that its shapes speak of, with sentences about what was assumed.
pub fn config_of(file: &str, state: &StateDict) -> Result<(DetectorConfig, Vec<String>)> {
    let (config, assumed) = match &state.config {
        Some(json) => {
            infer::refuse_keypoints(file, state)?;
            let config = DetectorConfig::from_json(json).map_err(|e| Error::weights(file, e))?;
            (config, Vec::new())
        }
        None => infer::config(file, state)?,
    };
    Ok((config, [state.notes.clone(), assumed].concat()))
}

/// What the heads of a new detector take from a file for each class.
enum Heads {
    /// Nothing, for classes of these names.
    Drawn(Vec<String>),
    FromFile {
        /// Each class with its place among those of the file.
        classes: Vec<(String, Option<usize>)>,
        /// Classes of the file.
        theirs: usize,
    },
}

impl Heads {
    fn by_name(classes: &[String], theirs: &[String]) -> Self {
        // The background is the first everywhere, whatever it is called.
        let place = |name: &String| theirs.iter().skip(1).position(|other| other == name).map(|i| i + 1);
        let places = std::iter::once(Some(0)).chain(classes.iter().skip(1).map(place));
        Self::FromFile { classes: classes.iter().cloned().zip(places).collect(), theirs: theirs.len() }
    }

    fn warning(&self) -> Option<String> {
        match self {
            Self::Drawn(classes) => Some(format!("the heads know nothing yet of: {}", some_of(classes.get(1..)?))),
            Self::FromFile { classes, .. } => {
                let new = classes.iter().filter(|(_, place)| place.is_none());
                let new: Vec<String> = new.map(|(name, _)| name.clone()).collect();
                (!new.is_empty())
                    .then(|| format!("new classes, initialised as the mean of the known ones: {}", some_of(&new)))
            }
        }
    }
}

/// The outputs of the file's classes, in the order of `classes`; one that is not there gets the mean of those that are cells.
/// `each` outputs of `theirs` classes lie one behind the other.
fn by_place(classes: &[(String, Option<usize>)], theirs: usize, values: &[f32]) -> Vec<f32> {
    let size = values.len() / theirs.max(1);
    let cells = theirs.saturating_sub(1).max(1);
    let mut mean = vec![0f32; size];
    for class in values.chunks_exact(size.max(1)).skip(1) {
        mean.iter_mut().zip(class).for_each(|(sum, value)| *sum += value / cells as f32);
    }
    let of = |place: &Option<usize>| place.map_or(mean.as_slice(), |place| &values[place * size..][..size]);
    classes.iter().flat_map(|(_, place)| of(place).iter().copied()).collect()
}

/// Gives the layers of a file, and perhaps drawn ones where it has none.
struct FileSource<'a> {
    file: &'a str,
    state: &'a StateDict<'a>,
    eps: f32,
    otherwise: Option<Seeded>,
    /// `None` where all layers are taken by their shapes.
    heads: Option<&'a Heads>,
    loaded: BTreeSet<String>,
    missing: Vec<String>,
}

impl<'a> FileSource<'a> {
    fn new(file: &'a str, state: &'a StateDict, eps: f32, otherwise: Option<Seeded>) -> Self {
        Self { file, state, eps, otherwise, heads: None, loaded: BTreeSet::new(), missing: Vec::new() }
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
            .chain(&self.state.left_out)
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
            return Ok(LayerValues { weight, bias, scale: None });
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
        // What was folded for good, and written back as the identity, stays folded.
        let is_identity = scale.iter().all(|s| (s - 1.0).abs() < 1e-6);
        Ok(LayerValues { weight, bias, scale: (!is_identity).then_some(scale) })
    }

    /// A layer with outputs for every class, from what the file has of its classes; `drawn` where that is nothing.
    fn by_class(&mut self, spec: &LayerSpec, each: usize, heads: &Heads, drawn: LayerValues) -> Result<LayerValues> {
        let file = match heads {
            Heads::Drawn(_) => None,
            Heads::FromFile { classes, theirs } => {
                let output = theirs * each;
                let kind = match spec.kind {
                    LayerKind::Linear { input, .. } => LayerKind::Linear { input, output },
                    LayerKind::Conv { input, kernel, .. } => LayerKind::Conv { input, output, kernel },
                    other => other,
                };
                let layer = LayerSpec { kind, ..spec.clone() };
                self.lacks(&layer).is_empty().then_some((classes, *theirs, layer))
            }
        };
        let Some((classes, theirs, layer)) = file else {
            self.missing.extend(["weight", "bias"].map(|part| format!("{}.{part}", spec.name)));
            return Ok(drawn);
        };
        let values = self.read(&layer)?;
        let (weight, mut bias) = (by_place(classes, theirs, &values.weight), by_place(classes, theirs, &values.bias));
        if spec.name == CLASS_LAYERS[0].0 {
            // Several new classes share the score that one would have.
            let new = classes.iter().filter(|(_, place)| place.is_none()).count().max(1);
            let shares = bias.iter_mut().zip(classes).filter(|(_, (_, place))| place.is_none());
            shares.for_each(|(bias, _)| *bias -= (new as f32).ln());
        }
        Ok(LayerValues { weight, bias, scale: None })
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
        let each = CLASS_LAYERS.iter().find(|(name, _)| *name == spec.name);
        if let (Some((_, each)), Some(heads), Some(mut seeded)) = (each, self.heads, self.otherwise) {
            return self.by_class(spec, *each, heads, seeded.layer(spec)?);
        }
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
