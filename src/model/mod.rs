//! The detectors: Faster R-CNN and Mask R-CNN with a ResNet and a feature pyramid, in torchvision's layout.
//!
//! ```text
//!  image ─► transform ─► backbone: resnet ─► fpn ─┬─► rpn ─► proposals ─► roi_heads ─► boxes ─► mask_head ─► masks
//!                                                 └───────────────────────────▲───────────────────▲
//! ```
//!
//! Each file is one part, named as in torchvision. Tensors are `[N, H, W, C]`. Everything that is not dense arithmetic (anchors,
//! decoding, NMS, pasting) runs on the host. The modules are trainable burn modules; training itself is in [`crate::train`].

pub mod anchors;
pub mod architecture;
pub mod box_head;
mod box_masks;
pub mod coco;
pub mod config;
pub mod counts;
pub(crate) mod fpn;
pub mod init;
pub mod intensity;
pub mod layers;
pub mod mask_head;
pub mod norm;
pub mod pooler;
pub mod progress;
pub mod rcnn;
pub(crate) mod read;
pub mod resample;
pub(crate) mod resnet;
pub mod roi_heads;
pub mod rpn;
pub mod scale;
pub mod transform;

use burn::tensor::Device;

pub use architecture::{Architecture, Backbone, Dialect};
pub use config::DetectorConfig;
pub use intensity::IntensityRange;
pub use progress::{Go, Progress, Stage};
pub use rcnn::GeneralizedRcnn;
pub use scale::Scale;

use crate::error::Result;
use layers::{Builder, Layer, ParameterSource};

/// A network and its configuration, on a device.
#[derive(Debug, Clone)]
pub struct Detector {
    pub config: DetectorConfig,
    pub network: GeneralizedRcnn,
    /// Every layer by torchvision's name. Its parameters are found in `network` by id; training preserves the ids.
    pub layers: Vec<Layer>,
    pub device: Device,
}

impl Detector {
    /// Builds the network of `config` with parameters from `source`.
    ///
    /// # Errors
    /// An invalid configuration, and errors of `source`.
    pub fn build(config: DetectorConfig, source: &mut dyn ParameterSource, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut builder = Builder::new(source, device);
        let network = GeneralizedRcnn::build(&mut builder, &config)?;
        let layers = builder.finish();
        Ok(Self { config, network, layers, device: device.clone() })
    }

    /// A network with torchvision's random initialisation, from `seed`.
    pub fn init(config: DetectorConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, &mut init::Seeded { seed }, device)
    }
}
