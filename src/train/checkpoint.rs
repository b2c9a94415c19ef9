//! A training as it stands between two steps, as one safetensors file: values as tensors, everything else as JSON in its
//! metadata. A training that goes on from it takes the same way, on the CPU bit for bit.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::rng::TrainRng;
use super::sampler::EpochSampler;
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
    /// Epochs after which was validated last.
    pub validated: u64,
    /// The training was validated at its end, and nothing is left to do.
    #[serde(default)]
    pub finished: bool,
    /// Times that the last good state was restored; each halved the learning rate.
    #[serde(default)]
    pub restored: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub state: State,
    /// `network:`, `average:` and the optimiser's tensors by name.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

impl Checkpoint {
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let fault = |e: String| Error::Training(format!("the checkpoint could not be made: {e}"));
        let json = serde_json::to_string(&self.state).map_err(|e| fault(e.to_string()))?;
        let views = self
            .tensors
            .iter()
            .map(|(name, values)| {
                let view = TensorView::new(Dtype::F32, vec![values.len()], bytemuck::cast_slice(values));
                view.map(|view| (name, view)).map_err(|e| fault(e.to_string()))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| fault(e.to_string()))
    }

    /// # Errors
    /// Bytes that are no whole checkpoint of this version.
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

/// Where checkpoints and the best detector are kept.
pub trait Store {
    /// Keeps a checkpoint; it is safe when this returns, and the one before it is kept too.
    fn put(&mut self, step: u64, checkpoint: Vec<u8>) -> impl Future<Output = Result<()>>;

    /// The newest checkpoint that is whole.
    fn latest(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>>;

    /// Keeps a detector file as the best of the training.
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
    async fn put(&mut self, _: u64, checkpoint: Vec<u8>) -> Result<()> {
        self.checkpoint = Some(checkpoint);
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
