//! The box branch: features of a RoI to class logits and deltas (torchvision's `faster_rcnn.py`).

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::DetectorConfig;
use super::layers::{Builder, Conv2d, Initializer, Linear};
use crate::error::Result;

/// `box_head`: two fully connected layers (`TwoMLPHead`), or 3×3 convolutions and one (v2's `FastRCNNConvFCHead`).
#[derive(Module, Debug)]
pub struct BoxHead {
    pub convs: Vec<Conv2d>,
    pub fc6: Linear,
    pub fc7: Option<Linear>,
}

impl BoxHead {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let (channels, width) = (config.fpn_channels, config.representation_size);
        let convs = config.box_head_convs;
        let pooled = [channels, config.box_roi_pool_size, width];
        if convs == 0 {
            return Ok(Self {
                convs: Vec::new(),
                fc6: builder.linear_after_pool(format!("{name}.fc6"), pooled)?,
                fc7: Some(builder.linear(format!("{name}.fc7"), [width, width])?),
            });
        }
        let mut conv = |i| {
            let init = Initializer::KaimingNormal;
            builder.sequence(format!("{name}.{i}"), [channels, channels, 3], true, init)
        };
        Ok(Self {
            convs: (0..convs).map(&mut conv).collect::<Result<_>>()?,
            // The flattening between them has a number too.
            fc6: builder.linear_after_pool(format!("{name}.{}", convs + 1), pooled)?,
            fc7: None,
        })
    }

    /// `[R, S, S, C]` → `[R, representation]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.convs.iter().fold(x, |x, conv| conv.forward_relu(x));
        let x = self.fc6.forward_relu(x.flatten(1, 3));
        match &self.fc7 {
            Some(fc7) => fc7.forward_relu(x),
            None => x,
        }
    }
}

/// `box_predictor`: a logit and four deltas for each class, including the background.
#[derive(Module, Debug)]
pub struct FastRcnnPredictor {
    pub cls_score: Linear,
    pub bbox_pred: Linear,
}

impl FastRcnnPredictor {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let (width, classes) = (config.representation_size, config.num_classes());
        Ok(Self {
            cls_score: builder.linear(format!("{name}.cls_score"), [width, classes])?,
            bbox_pred: builder.linear(format!("{name}.bbox_pred"), [width, 4 * classes])?,
        })
    }

    /// `[R, representation]` → logits `[R, K]` and deltas `[R, 4 K]`
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        (self.cls_score.forward(x.clone()), self.bbox_pred.forward(x))
    }
}
