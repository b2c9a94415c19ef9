//! Training a [`Detector`] on a folder of annotated images.

use std::path::{Path, PathBuf};

use super::{
    data::{self, DataOptions},
    detector::Detector,
    session::{Session, Watched, unexpected},
};
use crate::{
    engine::Host,
    error::Result,
    model::config::Changes,
    observe::NoObserver,
    protocol::{AnnotatedInput, Command, Outcome, TrainJob, Trained},
    train::{Budget, FolderStore, MemoryStore, Overrides, Plan, Start, Store, TrainObserver},
};

/// How a detector is fine-tuned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainOptions {
    /// Epochs, learning rate and the like; what is absent is chosen for the images.
    pub settings: Overrides,
    /// Re-initialise the heads also for classes that the detector knows.
    pub new_heads: bool,
    /// A folder to validate with; a share of the images is held out when absent.
    pub validation: Option<PathBuf>,
    /// A folder for the checkpoints of this run alone, outside that of the images. A run that finds some there resumes from
    /// the last; then only its budget and learning rate may differ, and a finished run gives its detector again. Without a
    /// folder a run that ends early is lost.
    pub checkpoints: Option<PathBuf>,
    /// How images and annotations are read.
    pub data: DataOptions,
}

impl TrainOptions {
    /// The defaults for that many passes over the images.
    pub fn epochs(epochs: u32) -> Self {
        let settings = Overrides { budget: Some(Budget::Epochs(epochs)), ..Overrides::default() };
        Self { settings, ..Self::default() }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSummary {
    /// Average precision at IoU 0.5, the mean over the classes, in the best validation, whose weights the detector has.
    /// `None` where no image was held out.
    pub ap_50: Option<f64>,
    /// The same, averaged over IoU 0.5 to 0.95.
    pub ap_50_95: Option<f64>,
    /// Steps of the optimiser.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Images that were held out for validation.
    pub validation_images: Vec<String>,
}

impl From<Trained> for TrainSummary {
    fn from(trained: Trained) -> Self {
        let Trained { best, steps, seconds, validation_images, .. } = trained;
        let (ap_50, ap_50_95) = best.unzip();
        Self { ap_50, ap_50_95, steps, seconds, validation_images }
    }
}

impl Detector {
    /// Fine-tunes the detector on a folder of images with annotations: Pascal VOC, COCO, YOLO, labelme, VIA, CSV or label
    /// images. It then knows the classes of the annotations, and keeps what its heads know of classes of the same name.
    ///
    /// # Errors
    /// As [`Self::train_with`].
    pub fn train(&mut self, folder: impl AsRef<Path>, options: &TrainOptions) -> Result<TrainSummary> {
        self.train_with(folder, options, &NoObserver)
    }

    /// As [`Self::train`]; `observer` is told of every step, and may pause, end or cancel the run.
    ///
    /// After an error the detector is as it was.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for images or annotations that cannot be used, all of them in one list;
    /// [`Error::Training`](crate::Error::Training) for settings that cannot work;
    /// [`Error::DeviceFailed`](crate::Error::DeviceFailed), after which the detector must be opened again;
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn train_with(
        &mut self,
        folder: impl AsRef<Path>,
        options: &TrainOptions,
        observer: &impl TrainObserver,
    ) -> Result<TrainSummary> {
        let mut read = |folder: &Path| {
            data::read(&mut self.session, folder, &options.data, &mut |sentence| log::warn!("{sentence}"))
        };
        let images = read(folder.as_ref())?;
        let validation = options.validation.as_deref().map(read).transpose()?.unwrap_or_default();
        let job = options.job(&self.model.name, images, validation);
        let trained = match &options.checkpoints {
            Some(folder) => {
                let mut store = FolderStore::new(folder);
                let resume = pollster::block_on(store.latest())?.is_some();
                run(&mut self.session, TrainJob { resume, ..job }, &Watched { observer, store })?
            }
            None => run(&mut self.session, job, &Watched { observer, store: MemoryStore::default() })?,
        };
        self.model = trained.report.clone();
        Ok(trained.into())
    }
}

impl TrainOptions {
    fn job(&self, name: &str, images: Vec<AnnotatedInput>, validation: Vec<AnnotatedInput>) -> TrainJob {
        let plan = Plan {
            start: Start::Detector { architecture: None, new_heads: self.new_heads },
            settings: None,
            overrides: self.settings.clone(),
            anchors: None,
            detector: Changes::new(),
        };
        let (name, store) = (name.to_owned(), String::new());
        TrainJob { name, plan, images, validation, store, resume: false, known_steps: 0, f16: false }
    }
}

fn run(session: &mut Session, job: TrainJob, host: &impl Host) -> Result<Trained> {
    match session.run_for(Command::Train(Box::new(job)), host)? {
        Outcome::Trained(trained) => Ok(*trained),
        other => Err(unexpected(&other)),
    }
}
