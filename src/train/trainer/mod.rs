//! The training loop: epochs, schedule, the fold of the norms, validations, checkpoints, events.

mod extend;
mod state;
mod stream;

use burn::module::Module;
use web_time::Instant;

use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Detector, Scale};
use crate::train::average::MovingAverage;
use crate::train::checkpoint::Store;
use crate::train::config::{Budget, TrainConfig};
use crate::train::events::{TrainControl, TrainEvent, TrainObserver, Validation};
use crate::train::norms;
use crate::train::optimizer::Optimizer;
use crate::train::parameters::Names;
use crate::train::rng::TrainRng;
use crate::train::sampler::EpochSampler;
use crate::train::selection::Selection;
use crate::train::smoothed::Smoothed;
use crate::train::step::{Batch, Learner, StepFault, Stepped};
use crate::train::truth::Example;
use crate::train::validation::validate;
use crate::weights::{self, Precision};

/// Steps that may be thrown away one after another before the last good state is restored; a second time the training run
/// ends.
const SKIPS: u32 = 3;
/// The factor on the learning rate after the last good state was restored.
const GENTLER: f64 = 0.5;
/// After the fold the optimiser starts over, with a rate that rises over as many steps.
const SECOND_WARMUP: u64 = 20;

/// A training run between two steps.
pub struct Trainer {
    config: TrainConfig,
    /// The detector without what it learns: configuration, layers, device without autodiff.
    frame: Detector,
    learner: Learner,
    average: Option<MovingAverage>,
    examples: Vec<Example>,
    validation: Vec<Example>,
    rng: TrainRng,
    sampler: EpochSampler,
    step: u64,
    seconds: f64,
    folded: bool,
    folded_at: u64,
    best: Option<(f64, f64)>,
    smoothed: Option<Smoothed>,
    validated: u64,
    finished: bool,
    restored: u32,
    /// Of the images, to be told at the beginning.
    notices: Vec<String>,
}

/// How a training run ended.
#[derive(Debug)]
pub struct Finished {
    /// The best detector by validation; without one, the last.
    pub detector: Detector,
    pub best: Option<(f64, f64)>,
    pub steps: u64,
    pub seconds: f64,
}

impl Finished {
    /// How the detector came about, for its file.
    pub fn sentence(&self) -> String {
        let best = self.best.map_or_else(String::new, |(ap, _)| format!(", AP50 {ap:.3} on the validation images"));
        // Without the time that it took: equal trainings give equal files.
        let (version, steps) = (env!("CARGO_PKG_VERSION"), self.steps);
        format!("cytobox {version}: {steps} steps{best}")
    }
}

impl Trainer {
    /// Begins with `detector`, which lies on a device without autodiff.
    ///
    /// # Errors
    /// Settings that cannot work; nothing to train on.
    pub fn new(
        config: TrainConfig,
        mut detector: Detector,
        examples: Vec<Example>,
        validation: Vec<Example>,
    ) -> Result<Self> {
        config.validate()?;
        let Selection { examples, masks_from_boxes, notices } =
            Selection::new(examples, &config, detector.config.has_mask());
        detector.config.masks_from_boxes = masks_from_boxes;
        if examples.is_empty() {
            let sentences: Vec<String> =
                std::iter::once("there are no images to train on".to_owned()).chain(notices).collect();
            return Err(Error::Training(sentences.join("; ")));
        }
        if examples.iter().all(|e| e.objects.is_empty()) {
            return Err(Error::Training("no image has a box; there is nothing to learn".into()));
        }
        match config.norm {
            Some(norm) => norms::install(&mut detector, norm.scope),
            None => norms::unfold(&mut detector),
        }
        let folded = config.norm.is_none();
        let (rng, sampler) = (TrainRng::new(config.seed), EpochSampler::new(examples.len() * config.repeats));
        let learner = learner(&detector, &config, Optimizer::new(config.optimizer));
        let average = (config.ema_decay > 0.0).then(|| MovingAverage::new(detector.network.clone()));
        Ok(Self {
            frame: detector,
            learner,
            average,
            examples,
            validation,
            rng,
            sampler,
            step: 0,
            seconds: 0.0,
            folded,
            folded_at: 0,
            best: None,
            smoothed: None,
            validated: 0,
            finished: false,
            restored: 0,
            notices,
            config,
        })
    }

    /// Trains to the end of the budget, or until the observer wants it to stop, and gives the best detector; one that was
    /// resumed at its end gives it at once.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; several consecutive steps that gave NaN or infinity, for the second time; a device that failed. What
    /// the store has by then is kept.
    pub async fn run(&mut self, store: &mut impl Store, observer: &impl TrainObserver) -> Result<Finished> {
        observer.event(TrainEvent::Started {
            images: self.examples.len(),
            validation_images: self.validation.len(),
            steps: self.steps(),
            from_step: self.step,
        });
        if self.step == 0 {
            for sentence in std::mem::take(&mut self.notices) {
                observer.event(TrainEvent::Notice { step: 0, sentence });
            }
            // A rate that is too high shows in the first steps, before a checkpoint is due.
            match store.put(0, self.stream()?).await {
                Err(error @ (Error::DeviceFailed { .. } | Error::Training(_))) => return Err(error),
                stored => self.tell_unsaved(stored, observer),
            };
            // A detector that knows such cells may be better than what a few images make of it.
            if self.folded {
                self.validate(store, observer).await?;
            }
        }
        let (mut skipped, mut saved, mut saved_step) = (0, Instant::now(), self.step);
        while !self.finished {
            observer.yield_now().await;
            if observer.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match observer.control() {
                TrainControl::Pause => {
                    // Whoever pauses may well close the page.
                    if saved_step != self.step {
                        self.save(store, observer).await?;
                        (saved, saved_step) = (Instant::now(), self.step);
                    }
                    observer.wait_while_paused().await;
                    continue;
                }
                TrainControl::Stop => break,
                TrainControl::Continue if self.is_out_of_patience() => {
                    let sentence =
                        "stopped early: the validation AP has not improved for a large part of the budget".to_owned();
                    observer.event(TrainEvent::Notice { step: self.step, sentence });
                    break;
                }
                TrainControl::Continue if self.progress() >= 1.0 => break,
                TrainControl::Continue => {}
            }
            // Before the step and not after it, so that one that was cut off is made up for.
            let epochs = self.epochs() as u64;
            if epochs >= self.validated + u64::from(self.config.validate_every) {
                self.validated = epochs;
                match self.validate(store, observer).await {
                    // Weights beyond all bounds look like a device that fails; the next steps tell which it is.
                    Err(error @ Error::DeviceFailed { .. }) if self.restored == 0 => {
                        observer.event(TrainEvent::Skipped { step: self.step, sentence: error.to_string() });
                    }
                    done => done?,
                }
            }
            if !self.folded && self.config.norm.is_some_and(|n| self.progress() >= f64::from(n.fold_at)) {
                self.fold();
                observer.event(TrainEvent::Folded { step: self.step });
            }
            let started = Instant::now();
            match self.step().await {
                Ok((stepped, rate)) => {
                    skipped = 0;
                    observer.event(self.step_event(stepped, rate, started.elapsed().as_secs_f64()));
                }
                Err(StepFault::NotFinite(fault)) => {
                    skipped += 1;
                    let error = Error::from(fault);
                    observer.event(TrainEvent::Skipped { step: self.step, sentence: error.to_string() });
                    if skipped == SKIPS && self.restored > 0 {
                        return Err(error);
                    }
                    if skipped == SKIPS {
                        self.restore(store, observer).await?;
                        (skipped, saved_step) = (0, self.step);
                        continue;
                    }
                }
                Err(StepFault::Other(error)) => return Err(error),
            }
            // Until a step goes well, the state is none to go back to.
            if skipped == 0 && saved.elapsed().as_secs_f64() >= self.config.checkpoint_seconds {
                self.save(store, observer).await?;
                (saved, saved_step) = (Instant::now(), self.step);
            }
        }
        if saved_step != self.step {
            // A validation may take long.
            self.save(store, observer).await?;
        }
        self.finish(store, observer).await
    }

    /// One step; a step that is thrown away still uses up its images.
    ///
    /// # Errors
    /// See [`Learner::step`]; an image that cannot be used.
    pub async fn step(&mut self) -> Result<(Stepped, f64), StepFault> {
        let started = Instant::now();
        let rate = self.rate();
        let mut samples = Vec::with_capacity(self.config.batch_size);
        for i in self.sampler.batch(self.config.batch_size, &mut self.rng) {
            let example = &self.examples[i % self.examples.len()];
            let mut sample = self.config.augment.apply(example, &self.frame.config, &mut self.rng)?;
            if !self.config.use_difficult {
                sample.ignore_difficult();
            }
            samples.push(sample);
        }
        let batch = Batch::new(samples);
        let stepped = self.learner.step(&self.frame.config, &self.config, &batch, &mut self.rng, rate).await;
        self.step += 1;
        if let (Some(average), Ok(_)) = (&mut self.average, &stepped) {
            average.update(&self.learner.network, &self.learner.names, self.config.ema_decay, self.step);
        }
        self.seconds += started.elapsed().as_secs_f64();
        stepped.map(|stepped| (stepped, rate))
    }

    /// The learning rate of the next step.
    fn rate(&self) -> f64 {
        let rate = self.config.schedule.rate(self.step, self.progress()) * GENTLER.powi(self.restored as i32);
        let since = self.step - self.folded_at;
        let again = self.folded_at > 0 && since < SECOND_WARMUP;
        if again { rate * (since + 1) as f64 / SECOND_WARMUP as f64 } else { rate }
    }

    /// How much of the budget is used up, 0–1.
    pub fn progress(&self) -> f64 {
        let done = match self.config.budget {
            Budget::Epochs(epochs) => self.epochs() / f64::from(epochs),
            Budget::Minutes(minutes) => self.seconds / (60.0 * f64::from(minutes)),
        };
        done.min(1.0)
    }

    fn is_out_of_patience(&self) -> bool {
        let waited = self.smoothed.map_or(0.0, |smoothed| self.progress() - smoothed.best_at);
        self.config.patience > 0.0 && waited > f64::from(self.config.patience)
    }

    /// Times through the images, with the fraction of the present one.
    fn epochs(&self) -> f64 {
        (self.step * self.config.batch_size as u64) as f64 / self.sampler.length().max(1) as f64
    }

    fn steps(&self) -> Option<u64> {
        match self.config.budget {
            Budget::Epochs(epochs) => {
                Some((u64::from(epochs) * self.sampler.length() as u64).div_ceil(self.config.batch_size as u64))
            }
            Budget::Minutes(_) => None,
        }
    }

    fn step_event(&self, stepped: Stepped, rate: f64, seconds: f64) -> TrainEvent {
        let progress = self.progress();
        let left = match self.config.budget {
            Budget::Minutes(minutes) => 60.0 * f64::from(minutes) - self.seconds,
            Budget::Epochs(_) => self.seconds * (1.0 - progress) / progress.max(1e-9),
        };
        TrainEvent::Step {
            step: self.step,
            epoch: self.epochs() as f32,
            losses: stepped.losses,
            total: stepped.losses.total(),
            gradient_norm: stepped.gradient_norm,
            learning_rate: rate,
            images_per_second: (self.config.batch_size as f64 / seconds.max(1e-9)) as f32,
            progress: progress as f32,
            seconds_left: left.max(0.0) as f32,
        }
    }

    /// Folds the norms into the convolutions. Weights change their scale, so the optimiser starts over.
    fn fold(&mut self) {
        self.frame.network = norms::folded(&self.learner.network).valid();
        self.learner = learner(&self.frame, &self.config, Optimizer::new(self.config.optimizer));
        (self.folded, self.folded_at) = (true, self.step);
        if let Some(average) = &mut self.average {
            average.fold();
        }
    }

    /// The detector as it is now, for detection: the average where there is one.
    pub fn detector(&self) -> Detector {
        let network = self.average.as_ref().map_or(&self.learner.network, MovingAverage::network);
        let mut detector = Detector { network: norms::folded(network).valid(), ..self.frame.clone() };
        let (config, times) = (&mut detector.config, self.config.detection_scale);
        for side in [&mut config.min_size, &mut config.max_size] {
            *side = ((*side as f32 * times).round() as u32).clamp(1, limits::NETWORK_SIDE);
        }
        if let Scale::Fixed(scale) = &mut config.scale {
            *scale *= times;
        }
        config.cell_diameter = config.cell_diameter.map(|diameter| diameter * times);
        detector
    }

    async fn validate(&mut self, store: &mut impl Store, observer: &impl TrainObserver) -> Result<()> {
        let detector = self.detector();
        let Some(found) = validate(&detector, &self.validation, observer).await? else { return Ok(()) };
        let map = (found.map_50.unwrap_or(0.0), found.map_50_95.unwrap_or(0.0));
        // On a few images one validation is chance: what lasts counts.
        let smoothed = Smoothed::after(self.smoothed, map.0, self.progress());
        self.smoothed = Some(smoothed);
        let best = smoothed.is_best();
        if best {
            self.best = Some(map);
            let file = weights::save(&detector, Precision::F32).await?;
            self.tell_unsaved(store.put_best(file).await, observer);
        }
        let per_class = found.per_class.iter().map(|(name, class)| (name.clone(), class.average.ap_50.unwrap_or(0.0)));
        observer.event(TrainEvent::Validation(Validation {
            step: self.step,
            epoch: self.epochs() as f32,
            map_50: map.0,
            map_50_95: map.1,
            class_agnostic_50: found.class_agnostic.ap_50.unwrap_or(0.0),
            per_class: per_class.collect(),
            best,
        }));
        Ok(())
    }

    async fn finish(&mut self, store: &mut impl Store, observer: &impl TrainObserver) -> Result<Finished> {
        if !self.finished {
            self.validate(store, observer).await?;
            self.finished = true;
            if self.step > 0 && self.smoothed.is_some_and(|smoothed| smoothed.best_at == 0.0) {
                let sentence = "no validation was better than that of the detector before training, which is kept; \
                    more annotated images may help";
                observer.event(TrainEvent::Notice { step: self.step, sentence: sentence.to_owned() });
            }
            self.save(store, observer).await?;
        }
        let mut detector = self.detector();
        if self.best.is_some()
            && let Ok(Some(bytes)) = store.best().await
        {
            detector = weights::load("the best detector", &bytes, &self.frame.device)?.0;
        }
        Ok(Finished { detector, best: self.best, steps: self.step, seconds: self.seconds })
    }
}

/// The detector's network as it learns.
fn learner(detector: &Detector, config: &TrainConfig, optimizer: Optimizer) -> Learner {
    let names = Names::new(detector);
    let network = names.freeze(detector.network.clone().train(), config.trainable, config.norm.is_none());
    let class_loss_weight = config.class_loss_weight;
    Learner { network, names, optimizer, class_loss_weight, device: detector.device.clone().autodiff() }
}
