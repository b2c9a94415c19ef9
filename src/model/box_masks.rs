//! Masks of boxes that the network did not find itself.

use burn::tensor::Tensor;

use super::config::DetectorConfig;
use super::mask_head::class_probabilities;
use super::pooler::MultiScaleRoiAlign;
use super::roi_heads::{BoxPredictions, MASKS_AT_A_TIME, MaskGrid, RoiHeads};
use super::transform::NetworkInput;
use crate::error::Result;

/// A box in pixels of the network's input, and the class of what is in it where that is known.
pub type ClassedBox = ([f32; 4], Option<usize>);

impl RoiHeads {
    /// The mask of each box, of its class; of a box whose class is not known, of the one that the box head takes it for.
    /// Nothing from a network without a mask head.
    ///
    /// # Errors
    /// A device that failed or returned values that are not finite.
    pub async fn masks(
        &self,
        config: &DetectorConfig,
        features: &[Tensor<4>],
        boxes: &[ClassedBox],
        input: &NetworkInput,
    ) -> Result<Vec<MaskGrid>> {
        let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
        let pool = |side| MultiScaleRoiAlign::of(config, &heights, input.size[0], input.padded, side);
        let (box_pool, mask_pool) = (pool(config.box_roi_pool_size), pool(config.mask_roi_pool_size));
        let mut grids = Vec::with_capacity(boxes.len());
        for boxes in boxes.chunks(MASKS_AT_A_TIME) {
            let corners: Vec<[f32; 4]> = boxes.iter().map(|(corners, _)| *corners).collect();
            let classes: Vec<usize> = match boxes.iter().map(|(_, class)| *class).collect::<Option<_>>() {
                Some(known) => known,
                None => {
                    let (logits, deltas) = self.box_outputs(&box_pool, features, std::slice::from_ref(&corners));
                    let predictions = BoxPredictions::read(config.num_classes(), logits, deltas).await?;
                    let likely = predictions.logits.chunks_exact(predictions.classes).map(best_foreground);
                    boxes.iter().zip(likely).map(|((_, class), likely)| class.unwrap_or(likely)).collect()
                }
            };
            let Some(logits) = self.mask_logits(&mask_pool, features, &[corners]) else { return Ok(grids) };
            let side = logits.dims()[1];
            let probabilities = class_probabilities(logits, &classes).await?;
            grids.extend(probabilities.into_iter().map(|probabilities| MaskGrid { side, probabilities }));
        }
        Ok(grids)
    }
}

/// The most likely class of a row of logits that is not the background.
fn best_foreground(logits: &[f32]) -> usize {
    (1..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0)
}
