//! A detector for programs: open it, detect with it, train it, save it.

use std::{fmt, path::Path};

use super::{
    bundled,
    image::{Content, Image},
    session::Session,
};
use crate::{
    detections::ImageDetections,
    device::{DeviceChoice, DeviceReport},
    error::{Error, Result},
    files,
    observe::{NoObserver, Observer},
    predict::{self, DEFAULT_SCORE},
    protocol::ModelReport,
    weights::Precision,
};

/// A Faster R-CNN or Mask R-CNN on a device.
///
/// What is odd about files is logged as a warning with [`log`]. Native only: it reads files and waits for the device. A
/// program opens the devices one after the other, and uses one at a time.
pub struct Detector {
    pub(super) session: Session,
    pub(super) model: ModelReport,
    device: DeviceReport,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Detector");
        shown.field("classes", &self.classes()).field("device", &self.device.name).finish_non_exhaustive()
    }
}

/// What is kept of what a detector finds.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectOptions {
    /// The lowest score that is kept, 0–1; 0.7 by default.
    pub score: f32,
    /// The most detections of one image, best first; as many as there are cells when absent.
    pub max_detections: Option<usize>,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self { score: DEFAULT_SCORE, max_detections: None }
    }
}

impl Detector {
    /// Opens a detector file, of cytobox, torchvision or matterport (`.safetensors`, `.pth`, `.h5`), or a bundled detector by its name
    /// (`general`, `atlas`), on the GPU where there is a suitable one, else on the CPU.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Weights`], [`Error::TooLarge`] or [`Error::Config`] for a file that is not a detector.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(DeviceChoice::Auto, path)
    }

    /// Opens a detector file on that device.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Device`] where there is no such device.
    pub fn open_on(device: DeviceChoice, path: impl AsRef<Path>) -> Result<Self> {
        let (name, bytes) = bundled::read(Some(path.as_ref()), || bundled::GENERAL)?;
        Self::from_bytes(device, &name, bytes)
    }

    /// The bundled detector for images of the Human Protein Atlas, on the GPU where there is a suitable one, else on the
    /// CPU. Its classes are `not_nucleoli` and `nucleoli`; it is meant to be fine-tuned.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed its self-test.
    pub fn bundled() -> Result<Self> {
        Self::bundled_on(DeviceChoice::Auto)
    }

    /// The bundled detector on that device.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no such device.
    pub fn bundled_on(device: DeviceChoice) -> Result<Self> {
        let (name, bytes) = bundled::ATLAS.read();
        Self::from_bytes(device, &name, bytes)
    }

    /// A detector from the bytes of its file; `name` is for errors.
    ///
    /// # Errors
    /// As [`Self::open_on`].
    pub fn from_bytes(device: DeviceChoice, name: &str, bytes: Vec<u8>) -> Result<Self> {
        let (mut session, device) = Session::open(device)?;
        let model = session.load(name.to_owned(), bytes)?;
        model.load.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        Ok(Self { session, model, device })
    }

    /// The classes that it tells apart, in the order of the network's outputs, without the background.
    pub fn classes(&self) -> &[String] {
        self.model.config.classes.get(1..).unwrap_or_default()
    }

    /// Which device it runs on, and why.
    pub fn device(&self) -> &DeviceReport {
        &self.device
    }

    /// The objects on an image: boxes, labels, scores and, of a Mask R-CNN, masks, in pixels of the image, best first; those
    /// with a score of at least 0.7.
    ///
    /// # Errors
    /// As [`Self::detect_with`].
    pub fn detect(&self, image: impl Into<Image>) -> Result<ImageDetections> {
        self.detect_with(image, &DetectOptions::default(), &NoObserver)
    }

    /// As [`Self::detect`]; `observer` is told of the stages of the network, and may cancel between them.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Image`] and their kin for an image that cannot be read; [`Error::Usage`] for options out of
    /// range; [`Error::DeviceFailed`], after which the detector must be opened again; [`Error::Cancelled`].
    pub fn detect_with(
        &self,
        image: impl Into<Image>,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<ImageDetections> {
        let DetectOptions { score, max_detections } = *options;
        if !(0.0..=1.0).contains(&score) {
            return Err(Error::Usage(format!("a score threshold of {score}; it must be from 0 to 1")));
        }
        let options =
            predict::DetectOptions { score: Some(score), max_detections, ..predict::DetectOptions::default() };
        let (image, engine) = (image.into(), self.session.engine());
        let (found, warnings) = match image.read()? {
            Content::Files(input) => pollster::block_on(engine.detect(&input, &options, observer))?,
            Content::Large(name, large) => {
                pollster::block_on(engine.detect_large(&name, *large, &image.options().for_set(), &options, observer))?
            }
            Content::Decoded(set) => {
                pollster::block_on(engine.detect_decoded(set, image.options().merge.as_ref(), &options, observer))?
            }
        };
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        Ok(found)
    }

    /// Writes the detector's file, which [`Self::open`], the page, the command line and torchvision load. A file of that
    /// name is replaced at once, never left half written.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::DeviceFailed`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write(path.as_ref(), Precision::F32)
    }

    /// As [`Self::save`], in half precision: half the size, relative errors of 5e-4.
    ///
    /// # Errors
    /// As [`Self::save`]; [`Error::Weights`] for weights that are too great for it.
    pub fn save_f16(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write(path.as_ref(), Precision::F16)
    }

    fn write(&self, path: &Path, precision: Precision) -> Result<()> {
        files::write_file(path, &pollster::block_on(self.session.engine().save(precision))?)
    }
}
