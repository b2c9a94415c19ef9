//! Detector files: reading, writing, and what they hold.
//!
//! ```text
//!  .safetensors ─► safetensors ───────────┐
//!                                         ├─► names ─► state dict ─► infer (no configuration) ─► load ─► network + report
//!  .pth ─► torch ─► pickle ─► checkpoint ─┤                                                       network ─► save
//!  .h5 ─► keras ──────────────────────────┘
//! ```
//!
//! No file is trusted: sizes have caps, every value must be finite, every tensor has the shape that the network needs,
//! and a network is built of a file's values or not at all.

pub mod checkpoint;
pub(crate) mod infer;
pub(crate) mod keras;
pub mod load;
pub mod names;
pub mod pickle;
pub(crate) mod report;
pub mod safetensors;
pub mod save;
pub mod state;
pub(crate) mod torch;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use load::{load, load_into};
pub use report::LoadReport;
pub use save::{Precision, save};
pub use state::StateDict;

use crate::error::{Error, Result};
use crate::model::DetectorConfig;
use crate::model::config::Changes;

/// Reads a file of any kind that cytobox knows; the content decides, not the name.
///
/// # Errors
/// What the readers say; a file of another kind.
pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<StateDict<'a>> {
    if torch::is_torch(bytes) {
        torch::read(file, bytes)
    } else if keras::is_hdf5(bytes) {
        keras::read(file, bytes)
    } else {
        safetensors::read(file, bytes)
    }
}

/// What a detector file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelInfo {
    pub config: DetectorConfig,
    /// The file has a configuration; else it was inferred from shapes.
    pub has_config: bool,
    pub parameters: usize,
    pub tensors: usize,
    /// Number types of its values.
    pub dtypes: Vec<&'static str>,
    pub warnings: Vec<String>,
}

/// Looks into a file without building its network.
///
/// # Errors
/// A file that cannot be read or is not a detector.
pub fn describe(file: &str, bytes: &[u8]) -> Result<ModelInfo> {
    let state = read(file, bytes)?;
    let (config, warnings) = load::config_of(file, &state)?;
    let dtypes: BTreeSet<_> = state.tensors.values().map(|t| t.dtype.name()).collect();
    Ok(ModelInfo {
        config,
        has_config: state.config.is_some(),
        parameters: state.parameters(),
        tensors: state.tensors.len(),
        dtypes: dtypes.into_iter().collect(),
        warnings,
    })
}

/// A detector file with present names and a configuration from any file that is read. Values and batch norms stay as
/// they are, `changes` are made to the configuration. The file is loaded on the CPU, so that what does not load is not
/// written.
///
/// # Errors
/// What `load` says; changes to what is not there or cannot be.
pub fn convert_bytes(file: &str, bytes: &[u8], changes: &Changes) -> Result<(Vec<u8>, LoadReport)> {
    let (state, _, report) = converted(file, bytes, changes)?;
    Ok((safetensors::write(file, &state)?, report))
}

fn converted<'a>(
    file: &str,
    bytes: &'a [u8],
    changes: &Changes,
) -> Result<(StateDict<'a>, DetectorConfig, LoadReport)> {
    let device = burn::tensor::Device::flex();
    let mut state = read(file, bytes)?;
    if infer::is_backbone(&state) {
        let reason =
            "it is a classification network, not a detector; start a training from it with cytobox train --init";
        return Err(Error::weights(file, reason));
    }
    let (config, _) = load::config_of(file, &state)?;
    let (_, report) = load::from_state(file, &state, &device)?;
    let config = config.with(changes)?;
    state.config = Some(config.to_json()?);
    if !changes.is_empty() {
        // The layers must still be those of the file.
        load::from_state(file, &state, &device)?;
    }
    state.tensors.retain(|name, _| !report.unexpected.contains(name) && !names::is_counter(name));
    Ok((state, config, report))
}

/// The same detector with a score threshold for some of its classes, in place of those that it had.
///
/// # Errors
/// A file that is not a detector; a class that it does not have, or a score that is not from 0 to 1.
pub fn with_thresholds(file: &str, bytes: &[u8], thresholds: BTreeMap<String, f32>) -> Result<Vec<u8>> {
    let mut state = read(file, bytes)?;
    let (config, _) = load::config_of(file, &state)?;
    let config = DetectorConfig { class_score_thresh: thresholds, ..config };
    config.validate()?;
    state.config = Some(config.to_json()?);
    safetensors::write(file, &state)
}

/// [`convert_bytes`] from file to file; to one that ends in `.h5` or `.hdf5` as matterport's Mask_RCNN loads it.
#[cfg(not(target_arch = "wasm32"))]
pub fn convert(from: &std::path::Path, to: &std::path::Path, changes: &Changes) -> Result<LoadReport> {
    let size = std::fs::metadata(from).map_err(|e| Error::io(from, e))?.len();
    crate::limits::check(&from.display().to_string(), "its size in bytes", size, crate::limits::DETECTOR_BYTES)?;
    let bytes = std::fs::read(from).map_err(|e| Error::io(from, e))?;
    let name = from.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let (state, config, report) = converted(&name, &bytes, changes)?;
    let is_keras = to.extension().is_some_and(|ending| ending == "h5" || ending == "hdf5");
    let written = if is_keras { keras::write(&name, &state, &config)? } else { safetensors::write(&name, &state)? };
    std::fs::write(to, written).map_err(|e| Error::io(to, e))?;
    Ok(report)
}
