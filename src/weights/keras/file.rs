//! The layers of a Keras weights file, as Keras lists them.
//!
//! `save_weights` writes the attribute `layer_names` and a group for each layer, whose attribute `weight_names` has the paths of its
//! values inside the group. `save` puts all of that into the group `model_weights`. Links to other files are not followed: hdf5-pure
//! has no file system to follow them in.

use hdf5_pure::{DType, Dataset, File, Group};

use crate::error::{Error, Result};
use crate::limits;

/// Bytes that values may have beyond [`limits::TENSOR_EXPANSION`] times the file's, for the smallest files.
const SMALL: u64 = 1 << 20;

/// A weights file.
pub struct WeightsFile {
    name: String,
    root: Group,
    /// Bytes that its values may still take.
    left: u64,
}

/// Where a file has the values of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The group of the layer.
    pub group: String,
    /// The path inside of it, such as `conv1/kernel:0`.
    pub path: String,
}

impl Place {
    /// The layer that the parameter is of, which in a model within a model is not its group.
    pub fn layer(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.group, |(layers, _)| layers.rsplit('/').next().unwrap_or(layers))
    }

    /// Its name without the layer, and without what Keras counts with: `kernel`.
    pub fn parameter(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split_once(':').map_or(name, |(name, _)| name)
    }
}

/// The values of a parameter, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl WeightsFile {
    /// # Errors
    /// A file that is broken, or has no list of layers.
    pub fn open(name: &str, bytes: &[u8]) -> Result<Self> {
        let left = bytes.len() as u64 * limits::TENSOR_EXPANSION + SMALL;
        let file = File::from_bytes(bytes.to_vec()).map_err(|e| broken(name, e))?;
        let mut root = file.root();
        if strings(&root, "layer_names").is_none() {
            root = root.group("model_weights").map_err(|_| {
                let reason = "it is an HDF5 file without Keras weights; save them with model.save_weights()";
                Error::weights(name, reason)
            })?;
        }
        Ok(Self { name: name.to_owned(), root, left })
    }

    /// The places of all parameters, in the file's order.
    ///
    /// # Errors
    /// A layer that is listed and not there; too many parameters.
    pub fn places(&self) -> Result<Vec<Place>> {
        let fault = |reason: String| Error::weights(&self.name, reason);
        let layers = strings(&self.root, "layer_names")
            .ok_or_else(|| fault("it has no list of its layers (layer_names)".into()))?;
        let mut places = Vec::new();
        for layer in layers {
            let group = self.root.group(&layer).map_err(|e| fault(format!("layer {layer}: {e}")))?;
            let paths = strings(&group, "weight_names").unwrap_or_default();
            places.extend(paths.into_iter().map(|path| Place { group: layer.clone(), path }));
            limits::check(&self.name, "the number of its tensors", places.len() as u64, limits::TENSORS as u64)?;
        }
        Ok(places)
    }

    /// The values at a place.
    ///
    /// # Errors
    /// Nothing there, numbers of another kind, more than the file can hold, or a file that is cut off.
    pub fn values(&mut self, place: &Place) -> Result<Values> {
        let fault =
            |reason: String| Error::weights(&self.name, format!("tensor {}/{}: {reason}", place.group, place.path));
        let dataset = self
            .root
            .group(&place.group)
            .and_then(|group| group.dataset(&place.path))
            .map_err(|e| fault(e.to_string()))?;
        let shape = dataset.shape().map_err(|e| fault(e.to_string()))?;
        let elements = product(&shape).ok_or_else(|| fault("its shape is too large".into()))?;
        // A chunk is made whole in memory even where the tensor has but a corner of it.
        let chunk = dataset.chunk_shape().map_err(|e| fault(e.to_string()))?;
        let chunk = chunk.map_or(Some(0), |shape| product(&shape));
        let bytes = chunk.and_then(|chunk| chunk.max(elements).checked_mul(8));
        match bytes {
            Some(bytes) if bytes / 2 <= self.left => self.left -= (elements * 4).min(self.left),
            _ => {
                let reason = "it would take more memory than a file of this size can fill: the file is damaged, or made to \
                              exhaust memory";
                return Err(fault(reason.into()));
            }
        }
        let values = floats(&dataset).map_err(fault)?;
        if values.len() as u64 != elements {
            return Err(fault(format!("it has {} values for its shape {shape:?}", values.len())));
        }
        Ok(Values { shape: shape.iter().map(|side| *side as usize).collect(), values })
    }
}

fn product(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, side| n.checked_mul(*side))
}

fn floats(dataset: &Dataset) -> Result<Vec<f32>, String> {
    match dataset.dtype().map_err(|e| e.to_string())? {
        DType::F32 => dataset.read_f32().map_err(|e| e.to_string()),
        DType::F64 => Ok(dataset.read_f64().map_err(|e| e.to_string())?.into_iter().map(|v| v as f32).collect()),
        other => Err(format!("its values are of the type {other}, which no weights have")),
    }
}

/// A list of names. One that is longer than an attribute may be is written in parts: `NAME0`, `NAME1` …
fn strings(group: &Group, name: &str) -> Option<Vec<String>> {
    let attributes = group.attrs().ok()?;
    let list = |name: &str| Some(attributes.get(name)?.as_strings()?.to_vec());
    list(name).or_else(|| {
        let parts: Vec<_> = (0..).map_while(|i| list(&format!("{name}{i}"))).collect();
        (!parts.is_empty()).then(|| parts.concat())
    })
}

fn broken(name: &str, error: hdf5_pure::Error) -> Error {
    Error::weights(name, format!("it is no HDF5 file that can be read, or cut off ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_parameters_of_places() {
        let place = |group: &str, path: &str| {
            let place = Place { group: group.into(), path: path.into() };
            (place.layer().to_owned(), place.parameter().to_owned())
        };
        let named = |layer: &str, parameter: &str| (layer.to_owned(), parameter.to_owned());
        assert_eq!(place("conv1", "conv1/kernel:0"), named("conv1", "kernel"));
        assert_eq!(place("rpn_model", "rpn_conv_shared/kernel:0"), named("rpn_conv_shared", "kernel"));
        assert_eq!(place("bn_conv1", "bn_conv1_gamma_1:0"), named("bn_conv1", "bn_conv1_gamma_1"));
    }
}
