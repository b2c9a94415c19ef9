//! The engine as native programs drive it: by the protocol, one command after another, waiting for each.

use crate::{
    channels::LargeImage,
    detections::ImageDetections,
    device::{DeviceChoice, DeviceReport},
    engine::{Engine, Host, NoObserver, Opened, SetOptions},
    error::{Error, Result},
    observe::{Observer, Progress},
    predict::DetectOptions,
    protocol::{Command, ImageInput, ModelReport, Outcome},
    train::{Store, TrainControl, TrainEvent, TrainObserver},
};

/// An engine that nobody else uses.
#[derive(Default)]
pub struct Session {
    engine: Engine,
}

impl Session {
    /// A session with a device, and which one it is.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is not there or failed its self-test.
    pub fn open(device: DeviceChoice) -> Result<(Self, DeviceReport)> {
        let mut session = Self::default();
        match session.run(Command::Start { device, probe: None })? {
            Outcome::Device(report) => Ok((session, report)),
            other => Err(unexpected(&other)),
        }
    }

    /// Replaces the detector; `name` is for errors.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::TooLarge`] or [`Error::Config`] for a file that is not a detector.
    pub fn load(&mut self, name: String, bytes: Vec<u8>) -> Result<ModelReport> {
        match self.run(Command::LoadModel { name, bytes })? {
            Outcome::Model(report) => Ok(*report),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Decodes and merges an image as the detector was trained to see it; several threads may.
    ///
    /// # Errors
    /// No detector; an image that cannot be read.
    pub fn prepare(&self, image: &ImageInput) -> Result<Opened> {
        self.engine.open_for_detector(image)
    }

    /// Finds the cells of a prepared image, and what is odd about its files. On the CPU several threads may; the results name
    /// no file.
    ///
    /// # Errors
    /// Those of a detection.
    pub fn detect(&self, image: Opened, options: &DetectOptions) -> Result<(ImageDetections, Vec<String>)> {
        pollster::block_on(self.engine.detect_on(image, options, &NoObserver))
    }

    /// Finds the cells of an image that stays on the disk, and what is odd about its files.
    ///
    /// # Errors
    /// Those of a detection; a file that cannot be read.
    pub fn detect_large(
        &self,
        name: &str,
        image: LargeImage,
        set: &SetOptions<'_>,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<(ImageDetections, Vec<String>)> {
        pollster::block_on(self.engine.detect_large(name, image, set, options, observer))
    }

    /// Does one command that nobody watches.
    ///
    /// # Errors
    /// Those of the command.
    pub fn run(&mut self, command: Command) -> Result<Outcome> {
        self.run_for(command, &NoObserver)
    }

    /// Does one command for `host`.
    ///
    /// # Errors
    /// Those of the command; [`Error::Cancelled`].
    pub fn run_for(&mut self, command: Command, host: &impl Host) -> Result<Outcome> {
        pollster::block_on(self.engine.run(command, host))
    }
}

/// Whoever watches a command, and the one store that its checkpoints go to.
pub(super) struct Watched<'a, O, S> {
    pub observer: &'a O,
    pub store: S,
}

impl<O: Observer, S> Observer for Watched<'_, O, S> {
    fn progress(&self, progress: Progress) {
        self.observer.progress(progress);
    }

    fn is_cancelled(&self) -> bool {
        self.observer.is_cancelled()
    }

    async fn yield_now(&self) {
        self.observer.yield_now().await;
    }
}

impl<O: TrainObserver, S> TrainObserver for Watched<'_, O, S> {
    fn event(&self, event: TrainEvent) {
        self.observer.event(event);
    }

    fn control(&self) -> TrainControl {
        self.observer.control()
    }

    async fn wait_while_paused(&self) {
        self.observer.wait_while_paused().await;
    }
}

impl<O: TrainObserver, S: Store + Clone> Host for Watched<'_, O, S> {
    type Store = S;

    fn store(&self, _: &str) -> S {
        self.store.clone()
    }
}

/// An answer of another kind than the protocol promises.
pub fn unexpected(outcome: &Outcome) -> Error {
    Error::Usage(format!("the engine gave an unexpected answer: {outcome:?}"))
}
