//! A training run as it stands between two steps, as one safetensors file: values as tensors, everything else as JSON in its
//! metadata. A run that resumes from it takes the same steps, on the CPU bit for bit.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::config::TrainConfig;
use super::rng::TrainRng;
use super::sampler::EpochSampler;
use super::smoothed::Smoothed;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::DetectorConfig;

/// Counts up when an older checkpoint can no longer be gone on from.
pub const VERSION: u32 = 1;
const KEY: &str = "cytobox-checkpoint";

/// What is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub detector: DetectorConfig,
    pub train: TrainConfig,
    /// Training images in their order, by name; another set cannot be gone on with.
    pub images: Vec<String>,
    /// Steps done.
    pub step: u64,
    /// Steps of the optimiser since it was last made.
    pub optimizer_steps: u64,
    /// Seconds trained, without validations and pauses.
    pub seconds: f64,
    /// The batch norms are folded, or there never were any.
    pub folded: bool,
    /// The step after which they were.
    pub folded_at: u64,
    pub rng: TrainRng,
    pub sampler: EpochSampler,
    /// The best validation so far, as mAP at IoU 0.5 and 0.5–0.95.
    pub best: Option<(f64, f64)>,
    #[serde(default)]
    pub smoothed: Option<Smoothed>,
    /// Epochs after which was validated last.
    pub validated: u64,
    /// The training run was validated at its end, and nothing is left to do.
    #[serde(default)]
    pub finished: bool,
    /// Times that the last good state was restored; each halved the learning rate.
    #[serde(default)]
    pub restored: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub state: State,
    /// `network:`, `average:`, `scale:` (of frozen norms) and the optimiser's tensors by name.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

impl Checkpoint {
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let sizes = self.tensors.iter().map(|(name, values)| (name.as_str(), values.len()));
        let mut bytes = header(&self.state, sizes)?;
        self.tensors.values().for_each(|values| bytes.extend(little_endian(values)));
        Ok(bytes)
    }

    /// # Errors
    /// Bytes that are not a whole checkpoint of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let fault = |e: String| Error::Training(format!("the checkpoint cannot be used: {e}"));
        if let Some(length) = bytes.first_chunk::<8>() {
            let length = u64::from_le_bytes(*length);
            limits::check("checkpoint", "its header in bytes", length, limits::SAFETENSORS_HEADER_BYTES)?;
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| fault(e.to_string()))?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| fault("it is none".into()))?;
        let state: State = serde_json::from_str(json).map_err(|e| fault(e.to_string()))?;
        if state.version != VERSION {
            return Err(fault(format!("it is of version {}, not {VERSION}", state.version)));
        }
        // A number beyond f32 became infinite, which JSON has no word for: this checkpoint could not be written again.
        let again = serde_json::to_string(&state).and_then(|json| serde_json::from_str::<State>(&json));
        if !again.is_ok_and(|again| again == state) {
            return Err(fault("a number in it is too large".into()));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| fault(e.to_string()))?;
        let values = |view: &TensorView| -> Result<Vec<f32>> {
            if view.dtype() != Dtype::F32 {
                return Err(fault("a tensor is not f32".into()));
            }
            // Bytes of a file need not lie where f32 may.
            Ok(bytemuck::pod_collect_to_vec(view.data()))
        };
        let tensors =
            tensors.iter().map(|(name, view)| Ok((name.to_owned(), values(&view)?))).collect::<Result<_>>()?;
        Ok(Self { state, tensors })
    }
}

/// The beginning of a checkpoint's file, up to the values of the first tensor; `sizes` are those of all tensors, in the
/// order in which their values follow.
///
/// # Errors
/// A state that JSON has no word for.
pub fn header<'a>(state: &State, sizes: impl Iterator<Item = (&'a str, usize)>) -> Result<Vec<u8>> {
    /// safetensors has the values begin at a multiple of this.
    const ALIGNMENT: usize = 8;
    let fault = |e: serde_json::Error| Error::Training(format!("the checkpoint could not be made: {e}"));
    let state = serde_json::to_string(state).map_err(fault)?;
    let mut entries = serde_json::Map::new();
    entries.insert("__metadata__".to_owned(), json!({ KEY: state }));
    let mut end = 0;
    for (name, values) in sizes {
        let start = end;
        end += values * size_of::<f32>();
        entries.insert(name.to_owned(), json!({"dtype": "F32", "shape": [values], "data_offsets": [start, end]}));
    }
    let mut json = serde_json::to_vec(&entries).map_err(fault)?;
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    Ok([(json.len() as u64).to_le_bytes().as_slice(), &json].concat())
}

/// The bytes of values as a file has them.
pub fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A file that comes in parts, so that never more than one of them is in memory.
pub trait Parts {
    /// Bytes of all parts together.
    fn length(&self) -> u64;

    /// The next part; `None` after the last.
    ///
    /// # Errors
    /// What hinders the rest from being made; what came before is of no use then.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>>;
}

/// All parts in one.
///
/// # Errors
/// What hinders one of them from being made.
pub async fn whole(mut parts: impl Parts) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(parts.length() as usize);
    while let Some(part) = parts.next().await? {
        bytes.extend(part);
    }
    Ok(bytes)
}

/// Where checkpoints and the best detector are kept.
pub trait Store {
    /// Keeps a checkpoint; it is safe when this returns, and the one before it is kept too. When a part of it fails, what is
    /// kept already stays as it is.
    fn put(&mut self, step: u64, checkpoint: impl Parts) -> impl Future<Output = Result<()>>;

    /// The newest checkpoint that is whole.
    fn latest(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>>;

    /// Keeps a detector file as the best of the training run.
    fn put_best(&mut self, detector: Vec<u8>) -> impl Future<Output = Result<()>>;

    fn best(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>>;

    /// Forgets everything that is kept.
    fn clear(&mut self) -> impl Future<Output = Result<()>>;
}

/// Keeps things as long as the program runs.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    pub checkpoint: Option<Vec<u8>>,
    pub best: Option<Vec<u8>>,
}

impl Store for MemoryStore {
    async fn put(&mut self, _: u64, checkpoint: impl Parts) -> Result<()> {
        self.checkpoint = Some(whole(checkpoint).await?);
        Ok(())
    }

    async fn latest(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.checkpoint.clone())
    }

    async fn put_best(&mut self, detector: Vec<u8>) -> Result<()> {
        self.best = Some(detector);
        Ok(())
    }

    async fn best(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.best.clone())
    }

    async fn clear(&mut self) -> Result<()> {
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let (mut rng, mut sampler) = (TrainRng::new(3), EpochSampler::new(5));
        sampler.batch(3, &mut rng);
        let state = State {
            version: VERSION,
            detector: DetectorConfig::default(),
            train: TrainConfig::from_scratch(),
            images: vec!["a".into()],
            step: 7,
            optimizer_steps: 7,
            seconds: 1.5,
            folded: false,
            folded_at: 0,
            rng,
            sampler,
            best: Some((0.25, 0.1)),
            smoothed: Some(Smoothed::after(None, 0.25, 0.5)),
            validated: 2,
            finished: false,
            restored: 1,
        };
        let tensors =
            BTreeMap::from([("network:a".to_owned(), vec![1.0, -0.0, 1e-40]), ("first:a".to_owned(), vec![2.0; 3])]);
        Checkpoint { state, tensors }
    }

    #[test]
    fn bytes_come_back_bit_for_bit() {
        let checkpoint = checkpoint();
        let bytes = checkpoint.to_bytes().unwrap();
        let back = Checkpoint::from_bytes(&bytes).unwrap();
        assert_eq!(back, checkpoint);
        assert_eq!(back.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn numbers_beyond_their_type_are_refused() {
        let state = serde_json::to_string(&checkpoint().state).unwrap();
        let huge = state.replacen("\"rpn_nms_thresh\":0.7", "\"rpn_nms_thresh\":1e300", 1);
        assert_ne!(huge, state);
        let json = serde_json::to_vec(&json!({"__metadata__": { KEY: huge }})).unwrap();
        let bytes = [(json.len() as u64).to_le_bytes().as_slice(), &json].concat();
        assert!(Checkpoint::from_bytes(&bytes).unwrap_err().to_string().contains("too large"));
    }

    #[test]
    fn what_is_broken_is_refused() {
        let bytes = checkpoint().to_bytes().unwrap();
        for end in (0..bytes.len()).step_by(37) {
            assert!(Checkpoint::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        let mut newer = checkpoint();
        newer.state.version = 99;
        assert!(Checkpoint::from_bytes(&newer.to_bytes().unwrap()).unwrap_err().to_string().contains("99"));
    }
}
