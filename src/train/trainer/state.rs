//! A training run as a checkpoint, and back.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use super::stream::Stream;
use super::{GENTLER, SKIPS, Trainer, learner};
use crate::error::{Error, Result};
use crate::model::Detector;
use crate::train::checkpoint::{Checkpoint, State, Store, VERSION, whole};
use crate::train::config::TrainConfig;
use crate::train::events::{TrainEvent, TrainObserver};
use crate::train::optimizer::Optimizer;
use crate::train::parameters;
use crate::train::truth::Example;

impl Trainer {
    /// Resumes from a checkpoint, with the images of the training run that made it.
    ///
    /// # Errors
    /// A checkpoint that is broken or of another training.
    pub fn resume(bytes: &[u8], examples: Vec<Example>, validation: Vec<Example>, device: &Device) -> Result<Self> {
        let Checkpoint { state, tensors } = Checkpoint::from_bytes(bytes)?;
        let informative = examples.iter().filter(|e| e.is_informative(state.train.use_difficult));
        let names: Vec<&str> = informative.map(|e| e.name.as_str()).collect();
        if state.images != names {
            let reason = "the checkpoint was made with other images; start a new run, or use the same images";
            return Err(Error::Training(reason.into()));
        }
        let (mut network, mut average, mut moments) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut scales = BTreeMap::new();
        for (key, values) in tensors {
            match key.split_once(':') {
                Some(("network", name)) => drop(network.insert(name.to_owned(), values)),
                Some(("average", name)) => drop(average.insert(name.to_owned(), values)),
                Some(("scale", name)) => drop(scales.insert(name.to_owned(), values)),
                _ => drop(moments.insert(key, values)),
            }
        }
        let mut detector = Detector::init(state.detector.clone(), state.train.seed, device)?;
        for layer in &mut detector.layers {
            layer.scale = scales.remove(&layer.spec.name).filter(|scale| scale.len() == layer.spec.kind.output());
        }
        let unfolded = TrainConfig { norm: if state.folded { None } else { state.train.norm }, ..state.train.clone() };
        let mut this = Self::new(unfolded, detector, examples, validation)?;
        this.config = state.train;
        let optimizer = Optimizer::restore(this.config.optimizer, state.optimizer_steps, moments, device);
        this.frame.network = parameters::restore(this.frame.network.clone(), &this.learner.names, &mut network)?;
        if let Some(kept) = &mut this.average {
            kept.restore(&this.learner.names, &mut average)?;
        }
        this.learner = learner(&this.frame, &this.config, optimizer);
        (this.rng, this.sampler, this.step, this.seconds) = (state.rng, state.sampler, state.step, state.seconds);
        (this.folded, this.folded_at) = (state.folded, state.folded_at);
        (this.best, this.smoothed, this.validated) = (state.best, state.smoothed, state.validated);
        (this.finished, this.restored) = (state.finished, state.restored);
        Ok(this)
    }

    /// Everything that [`Self::resume`] needs, read from the device as it is asked for.
    ///
    /// # Errors
    /// A state that cannot be written. Of the parts: a device that failed; [`Error::Training`] for values that are not
    /// finite numbers, from which nothing can continue.
    pub fn stream(&self) -> Result<Stream<'_>> {
        let named = |of: &str, network| -> Vec<(String, Tensor<1>)> {
            let values = parameters::collect(network, &self.learner.names);
            values.into_iter().map(|(name, values)| (format!("{of}:{name}"), values)).collect()
        };
        let mut tensors = named("network", &self.learner.network);
        tensors.extend(self.average.iter().flat_map(|average| named("average", average.network())));
        tensors.extend(self.learner.optimizer.state());
        let device = &self.frame.device;
        tensors.extend(self.frame.layers.iter().filter_map(|layer| {
            let scale = Tensor::from_floats(layer.scale.as_deref()?, device);
            Some((format!("scale:{}", layer.spec.name), scale))
        }));
        Stream::new(&self.state(), tensors, device)
    }

    /// [`Self::stream`] in one.
    ///
    /// # Errors
    /// The same.
    pub async fn checkpoint(&self) -> Result<Vec<u8>> {
        whole(self.stream()?).await
    }

    fn state(&self) -> State {
        State {
            version: VERSION,
            detector: self.frame.config.clone(),
            train: self.config.clone(),
            images: self.examples.iter().map(|e| e.name.clone()).collect(),
            step: self.step,
            optimizer_steps: self.learner.optimizer.steps(),
            seconds: self.seconds,
            folded: self.folded,
            folded_at: self.folded_at,
            rng: self.rng.clone(),
            sampler: self.sampler.clone(),
            best: self.best,
            smoothed: self.smoothed,
            validated: self.validated,
            finished: self.finished,
            restored: self.restored,
        }
    }

    /// Back to the last checkpoint, and on from there at a lower learning rate.
    pub(super) async fn restore(&mut self, store: &mut impl Store, observer: &impl TrainObserver) -> Result<()> {
        let step = self.step;
        if let Ok(Some(bytes)) = store.latest().await {
            let (examples, validation) = (std::mem::take(&mut self.examples), std::mem::take(&mut self.validation));
            let earlier = Self::resume(&bytes, examples, validation, &self.frame.device)?;
            // The best detector lies in the store, whenever it was found.
            *self = Self { best: self.best, smoothed: self.smoothed, ..earlier };
        }
        self.restored += 1;
        let sentence = format!(
            "{SKIPS} consecutive steps gave NaN or infinity; the run continues from step {} at {GENTLER} times the learning rate",
            self.step
        );
        observer.event(TrainEvent::Notice { step, sentence });
        Ok(())
    }

    pub(super) async fn save(&self, store: &mut impl Store, observer: &impl TrainObserver) -> Result<()> {
        let stored = match store.put(self.step, self.stream()?).await {
            Err(error @ Error::DeviceFailed { .. }) => return Err(error),
            stored => stored,
        };
        if self.tell_unsaved(stored, observer) {
            observer.event(TrainEvent::Checkpoint { step: self.step });
        }
        Ok(())
    }

    /// A store that is full must not cost the training run that it is to save. Gives whether it was saved.
    pub(super) fn tell_unsaved(&self, stored: Result<()>, observer: &impl TrainObserver) -> bool {
        if let Err(error) = &stored {
            observer.event(TrainEvent::Unsaved { step: self.step, sentence: error.to_string() });
        }
        stored.is_ok()
    }
}
