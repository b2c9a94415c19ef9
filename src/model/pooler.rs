//! From boxes to feature grids: the assignment of boxes to pyramid levels, and RoIAlign (torchvision's `ops/poolers.py`).

use burn::tensor::Tensor;

use super::config::{DetectorConfig, RoiRule};
use crate::boxes::Corners;
use crate::kernels::{self, Roi, RoiAlignOptions};

/// Number of pyramid levels that boxes are pooled from; the fifth is used only by the RPN.
pub const POOLED_LEVELS: usize = 4;
/// A box with this side is assigned to [`CANONICAL_LEVEL`].
const CANONICAL_SCALE: f32 = 224.0;
const CANONICAL_LEVEL: f32 = 4.0;

/// Pools boxes from the four finest levels.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiScaleRoiAlign {
    /// Scale of each level relative to the network's input, a power of two.
    scales: Vec<f32>,
    output_size: usize,
    sampling_ratio: usize,
    rule: RoiRule,
    /// Height and width of the network's input with its padding, where boxes are relative to it.
    input: [usize; 2],
}

impl MultiScaleRoiAlign {
    /// `level_heights` are the heights of the feature maps, `image_height` is the largest height of the resized images of the
    /// batch, without padding. torchvision infers the scales from these (`_infer_scale`).
    pub fn new(level_heights: &[usize], image_height: usize, output_size: usize, sampling_ratio: usize) -> Self {
        let scale = |h: &usize| (*h as f32 / image_height.max(1) as f32).log2().round_ties_even().exp2();
        let scales = level_heights.iter().take(POOLED_LEVELS).map(scale).collect();
        Self { scales, output_size, sampling_ratio, rule: RoiRule::Align, input: [0; 2] }
    }

    /// By the rule of a detector, for an input whose padded height and width are `input`; the rest as for [`Self::new`].
    pub fn of(
        config: &DetectorConfig,
        level_heights: &[usize],
        image_height: usize,
        input: [usize; 2],
        output_size: usize,
    ) -> Self {
        // torchvision's padding is small enough for its inference; a square input may be half padding.
        let height = if config.roi_rule == RoiRule::Align { image_height } else { input[0] };
        let align = Self::new(level_heights, height, output_size, config.roi_sampling_ratio);
        Self { rule: config.roi_rule, input, ..align }
    }

    /// The level of a box, counted from the finest: equation 1 of the FPN paper.
    pub fn level(&self, corners: [f32; 4]) -> usize {
        let stride_bits = |scale: Option<&f32>| -scale.map_or(0.0, |s| s.log2());
        let (finest, coarsest) = (stride_bits(self.scales.first()), stride_bits(self.scales.last()));
        let level = match self.rule {
            RoiRule::Align => {
                let side = crate::boxes::area(corners).max(0.0).sqrt();
                (CANONICAL_LEVEL + (side / CANONICAL_SCALE).log2() + 1e-6).floor()
            }
            RoiRule::CropAndResize => {
                // Sides between pixel centres, as shares of the input's; then of its area in pixels.
                let [x1, y1, x2, y2] = Corners::PixelCentres.of_edges(corners);
                let [height, width] = self.input.map(|side| side as f32);
                let share = ((y2 - y1) / (height - 1.0)) * ((x2 - x1) / (width - 1.0));
                let side = share.max(0.0).sqrt() * (height * width).sqrt();
                CANONICAL_LEVEL + (side / CANONICAL_SCALE).log2().round_ties_even()
            }
        };
        (level.clamp(finest, coarsest) - finest) as usize
    }

    /// Pools the boxes of each image, in pixels of the network's input → `[boxes, S, S, C]`.
    pub fn forward(&self, features: &[Tensor<4>], boxes: &[Vec<[f32; 4]>]) -> Tensor<4> {
        let rois: Vec<Roi> = boxes
            .iter()
            .enumerate()
            .flat_map(|(image, boxes)| boxes.iter().map(move |corners| (image, *corners)))
            .map(|(image, corners)| Roi { image: image as u32, level: self.level(corners) as u32, corners })
            .collect();
        if self.rule == RoiRule::CropAndResize {
            return kernels::crop_and_resize(&features[..POOLED_LEVELS], &rois, self.output_size, self.input);
        }
        let options = RoiAlignOptions {
            output_size: self.output_size,
            sampling_ratio: self.sampling_ratio,
            scales: self.scales.clone(),
        };
        kernels::roi_align(&features[..POOLED_LEVELS], &rois, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_levels_are_torchvisions() {
        let pool = MultiScaleRoiAlign::new(&[128, 64, 32, 16, 8], 512, 7, 2);
        assert_eq!(pool.scales, [0.25, 0.125, 0.0625, 0.03125]);
        // LevelMapper(2, 5) on squares of these sides
        for (side, level) in [(1.0, 0), (111.0, 0), (112.0, 1), (223.0, 1), (224.0, 2), (448.0, 3), (2000.0, 3)] {
            assert_eq!(pool.level([0.0, 0.0, side, side]), level, "{side}");
        }
        assert_eq!(pool.level([0.0; 4]), 0);
    }

    #[test]
    fn a_padded_height_rounds_to_the_power_of_two() {
        // 100 pixels padded to 128: the finest map has 32 rows.
        assert_eq!(MultiScaleRoiAlign::new(&[32, 16, 8, 4], 100, 7, 2).scales[0], 0.25);
    }
}
