//! Detector files: `.safetensors` with torchvision's names, and the configuration in the metadata.

use std::collections::HashMap;

use safetensors::tensor::{Dtype as FileDtype, SafeTensors, TensorView};

use super::names;
use super::state::{Dtype, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::limits;

/// The metadata key of the configuration.
const CONFIG_KEY: &str = "config";

/// Reads a file's tensors, under the names of torchvision's present generation.
///
/// # Errors
/// What is over a cap; a broken header; offsets that leave the file, overlap or leave gaps; number types that no
/// weights have; two tensors with one name.
pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    limits::check(file, "its size in bytes", bytes.len() as u64, limits::DETECTOR_BYTES)?;
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Error::weights(file, "it is too short for a safetensors file"));
    };
    let length = u64::from_le_bytes(*length);
    limits::check(file, "the size of its header in bytes", length, limits::SAFETENSORS_HEADER_BYTES)?;
    if length > rest.len() as u64 || rest.first() != Some(&b'{') {
        return Err(Error::weights(file, "not a safetensors file, or its header is cut off"));
    }
    let broken = |e: safetensors::SafeTensorError| Error::weights(file, format!("it is broken ({e})"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let config = metadata.metadata().as_ref().and_then(|entries| entries.get(CONFIG_KEY).cloned());
    let parsed = SafeTensors::deserialize(bytes).map_err(broken)?;
    limits::check(file, "the number of its tensors", parsed.len() as u64, limits::TENSORS as u64)?;
    let mut state = StateDict { config, ..StateDict::default() };
    let tensors = parsed.tensors();
    let wrapping = names::wrapping(tensors.iter().map(|(name, _)| name.as_str()));
    for (name, view) in &tensors {
        let fault = |reason: String| Error::weights(file, format!("tensor {name}: {reason}"));
        let dtype = dtype(view.dtype()).ok_or_else(|| fault(format!("its type {} is not read", view.dtype())))?;
        let tensor = RawTensor::new(dtype, view.shape().to_vec(), borrowed(view)).map_err(fault)?;
        let canonical = names::canonical(name, wrapping);
        if state.tensors.insert(canonical.clone(), tensor).is_some() {
            return Err(fault(format!("the name {canonical} comes twice")));
        }
    }
    Ok(state)
}

fn borrowed<'a>(view: &TensorView<'a>) -> &'a [u8] {
    view.data()
}

/// The bytes of a detector file.
pub fn write(file: &str, state: &StateDict) -> Result<Vec<u8>> {
    let mut views = Vec::with_capacity(state.tensors.len());
    for (name, tensor) in &state.tensors {
        let view = TensorView::new(file_dtype(tensor.dtype), tensor.shape.clone(), &tensor.bytes)
            .map_err(|e| Error::weights(file, format!("tensor {name}: {e}")))?;
        views.push((name.as_str(), view));
    }
    // One key at most: several would be written in an order of chance, and equal detectors would be unequal files.
    let metadata = state.config.as_ref().map(|config| HashMap::from([(CONFIG_KEY.to_owned(), config.clone())]));
    safetensors::serialize(views, metadata).map_err(|e| Error::weights(file, e))
}

fn dtype(dtype: FileDtype) -> Option<Dtype> {
    match dtype {
        FileDtype::F64 => Some(Dtype::F64),
        FileDtype::F32 => Some(Dtype::F32),
        FileDtype::F16 => Some(Dtype::F16),
        FileDtype::BF16 => Some(Dtype::Bf16),
        FileDtype::I64 => Some(Dtype::I64),
        _ => None,
    }
}

fn file_dtype(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F64 => FileDtype::F64,
        Dtype::F32 => FileDtype::F32,
        Dtype::F16 => FileDtype::F16,
        Dtype::Bf16 => FileDtype::BF16,
        Dtype::I64 => FileDtype::I64,
    }
}
