//! The whole detector on one screen: torchvision's `GeneralizedRCNN.forward`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::anchors::pyramid_anchors;
use super::config::DetectorConfig;
use super::counts::Counts;
use super::fpn::BackboneWithFpn;
use super::layers::Builder;
use super::progress::{Progress, Stage};
use super::roi_heads::{NetworkDetections, RoiHeads};
use super::rpn::{self, HeadOutput, Proposal, RpnHead, TopN};
use super::transform::NetworkInput;
use crate::error::Result;

/// Faster R-CNN, or Mask R-CNN with two more fields in `roi_heads`.
#[derive(Module, Debug)]
pub struct GeneralizedRcnn {
    pub backbone: BackboneWithFpn,
    pub rpn: RpnHead,
    pub roi_heads: RoiHeads,
}

impl GeneralizedRcnn {
    pub fn build(builder: &mut Builder, config: &DetectorConfig) -> Result<Self> {
        Ok(Self {
            backbone: BackboneWithFpn::build(builder, "backbone", config)?,
            rpn: RpnHead::build(builder, "rpn.head", config)?,
            roi_heads: RoiHeads::build(builder, "roi_heads", config)?,
        })
    }

    /// The detections of one image, highest score first, in pixels of the network's input, as many as `counts` says.
    ///
    /// # Errors
    /// [`crate::Error::DeviceFailed`] if the device fails or returns values that are not finite; errors of `progress`.
    pub async fn forward(
        &self,
        config: &DetectorConfig,
        counts: Counts,
        input: &NetworkInput,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<NetworkDetections> {
        let features = self.backbone.forward(input.to_tensor(device), progress).await?;
        progress.at(Stage::Rpn, 0.0).await?;
        let outputs = self.rpn_outputs(&features);
        progress.at(Stage::Proposals, 0.0).await?;
        let predictions = rpn::read_predictions(&outputs).await?.pop().unwrap_or_default();
        let anchors = pyramid_anchors(config, &grids(&features), input.padded);
        let proposals = rpn::filter_proposals(config, TopN::test(config), &predictions, &anchors, input.canvas());
        let further = |first: &[Proposal]| {
            rpn::further_proposals(config, counts.proposals, first, &predictions, &anchors, input.canvas())
        };
        self.roi_heads.detect(config, counts, &features, (proposals, &further), input, progress).await
    }

    /// Applies the RPN head to every level.
    pub fn rpn_outputs(&self, features: &[Tensor<4>]) -> Vec<HeadOutput> {
        features.iter().map(|level| self.rpn.forward(level.clone())).collect()
    }
}

/// Height and width of every level.
pub fn grids(features: &[Tensor<4>]) -> Vec<[usize; 2]> {
    features.iter().map(|level| [level.dims()[1], level.dims()[2]]).collect()
}
