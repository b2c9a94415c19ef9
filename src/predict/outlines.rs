//! Outlines of boxes that a person drew: the feature maps of the image are kept, so that each costs no more than RoIAlign and
//! the heads.

use burn::tensor::Tensor;

use super::seeing;
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::masks::Rle;
use crate::model::mask_head::paste_mask_by;
use crate::model::transform::{NetworkInput, Part};
use crate::model::{Detector, DetectorConfig, Progress, Stage};
use crate::tiles::{self, Source, Tile, Tiling};

/// Feature maps serve as long as the diameter of the cells is at most so many times larger or smaller than the one that they
/// were computed for: the levels of the pyramid are a factor of two apart.
const SAME_SCALE: f32 = 1.5;

/// The feature maps of an image; of one that takes several passes, those of one tile.
#[derive(Debug)]
pub struct ImageFeatures {
    config: DetectorConfig,
    diameter: Option<f32>,
    /// Without its values.
    input: NetworkInput,
    tile: Tile,
    levels: Vec<Tensor<4>>,
}

/// What a person says of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnBox<'a> {
    /// In pixels of the image.
    pub bbox: BoxXyxy,
    /// Its class, which the detector need not know.
    pub label: &'a str,
}

impl ImageFeatures {
    /// Computes them for the tile with the centre of `near`; `diameter` is that of the image's cells, as for a detection. Where
    /// the detector knows its own and this is absent, the cells are measured in a first look.
    ///
    /// # Errors
    /// A detector without a mask head; an image that it cannot take or that cannot be read; a device that failed; what
    /// `progress` answers.
    pub async fn new(
        detector: &Detector,
        image: &dyn Source,
        near: BoxXyxy,
        diameter: Option<f32>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        if !detector.config.has_mask() {
            let reason = "the detector has no mask head; load a Mask R-CNN to get outlines";
            return Err(Error::Usage(reason.to_owned()));
        }
        progress.at(Stage::Transform, 0.0).await?;
        let (config, window) = seeing(detector, image, diameter, progress).await?;
        let original = image.size();
        let whole = config.scaled_size(original)?;
        let in_whole = in_whole(near.corners(), original, whole);
        let tile = Tiling::new(&config, whole).tiles().find(|tile| tile.outside_core(in_whole) == 0.0);
        let tile = tile.ok_or_else(|| Error::image("image", "it has no pixels"))?;
        let part = Part { original, whole, seen: tile.seen.clone() };
        let mut input = tiles::input(image, &part, &config, window)?;
        let levels = detector.network.backbone.forward(input.to_tensor(&detector.device), progress).await?;
        input.values = Vec::new();
        Ok(Self { config, diameter, input, tile, levels })
    }

    /// Whether they serve for this box, where the cells have this diameter.
    pub fn serve(&self, bbox: BoxXyxy, diameter: Option<f32>) -> bool {
        let same_scale = match (self.diameter, diameter) {
            (Some(own), Some(other)) => (1.0 / SAME_SCALE..=SAME_SCALE).contains(&(other / own)),
            (own, other) => own == other,
        };
        let in_whole = in_whole(bbox.corners(), self.input.original, self.input.whole);
        same_scale && self.tile.outside_core(in_whole) == 0.0
    }

    /// The outline of each box, over the whole image: the largest piece of its mask. `None` where the detector sees nothing
    /// in the box.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn outlines(&self, detector: &Detector, boxes: &[DrawnBox<'_>]) -> Result<Vec<Option<Rle>>> {
        let classes = &self.config.classes;
        let class = |label: &str| classes.iter().skip(1).position(|known| known == label).map(|at| at + 1);
        let classed: Vec<_> =
            boxes.iter().map(|drawn| (self.input.to_network(drawn.bbox.corners()), class(drawn.label))).collect();
        let heads = &detector.network.roi_heads;
        let grids = heads.masks(&self.config, &self.levels, &classed, &self.input).await?;
        let [height, width] = self.input.original.map(|side| side as u32);
        let one = |(grid, drawn): (_, &DrawnBox)| {
            let mask = paste_mask_by(self.config.mask_rule, grid, drawn.bbox.corners(), width, height)?;
            Ok(mask.pieces(usize::MAX)?.into_iter().max_by_key(Rle::area))
        };
        grids.iter().zip(boxes).map(one).collect()
    }
}

/// A box of the image in pixels of the whole network input.
fn in_whole([x1, y1, x2, y2]: [f32; 4], original: [usize; 2], whole: [usize; 2]) -> [f32; 4] {
    let [h, w] = [0, 1].map(|axis| whole[axis] as f32 / original[axis] as f32);
    [x1 * w, y1 * h, x2 * w, y2 * h]
}
