//! A detector on an image: detections in pixels of the image.

mod look;
mod outlines;

pub use outlines::{DrawnBox, ImageFeatures};

use crate::boxes::BoxXyxy;
use crate::detections::Detection;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::counts::Counts;
use crate::model::intensity::Window;
use crate::model::mask_head::paste_mask_by;
use crate::model::roi_heads::{NetworkDetection, NetworkDetections};
use crate::model::transform::{NetworkInput, Part};
use crate::model::{Detector, DetectorConfig, Go, Progress, Scale, Stage};
use crate::observe::Observer;
use crate::tiles::{self, Source, Tile, TileDetection, Tiling};

/// The least score of a detection that is asked for where all of them count: COCO's curves need low scores too, and what is
/// shown can be filtered without another run.
pub const LOWEST_SCORE: f32 = 0.05;

/// Corners that rounding moved over the edge of the image by less than this many pixels are moved back.
const EDGE_TOLERANCE: f32 = 1.0;
/// Masks that are pasted between two words to `progress`.
const MASKS_AT_A_TIME: usize = 16;

/// Detections whose centre is so far outside the core of their tile, in pixels of the network's input, count if the tile
/// that the place belongs to has none of the same cell: it may see the centre on the other side of the seam.
const NEAR_CORE: f32 = 8.0;

/// The score threshold of a user who chose none.
pub const DEFAULT_SCORE: f32 = 0.7;

/// What one run asks of a detector.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DetectOptions {
    /// Detections of a lower score are left out; `None` takes the detector's own setting (`box_score_thresh`).
    pub score: Option<f32>,
    /// Detections of one image, best first (`box_detections_per_img`). `None` takes as many as there are cells, up to a limit
    /// that follows the size of the image (see [`crate::model::counts`]), whatever the detector's own setting is.
    pub max_detections: Option<usize>,
    /// √(width · height) of the image's cells, in its pixels: it is brought to the diameter that the detector knows, where
    /// the detector says which.
    pub diameter: Option<f32>,
}

/// What a detector found on one image, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub detections: Vec<Detection>,
    /// The limit of detections an image, where there were more; they score no higher than the last one here. Of an image in
    /// tiles where one tile reached its own limit: the number of detections.
    pub limit_reached: Option<usize>,
}

/// Passes on a cancellation between the stages of an image but not its progress, for work that reports whole images.
pub struct CancelOnly<'a, O>(pub &'a O);

impl<O: Observer> Progress for CancelOnly<'_, O> {
    fn at(&self, _: Stage, _: f32) -> Go<'_> {
        Box::pin(async {
            self.0.yield_now().await;
            if self.0.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
        })
    }
}

/// Everything the detector finds above the score threshold, best first. The detector itself is left as it is.
///
/// An image that is larger at the detector's scale than one pass of the network is detected in [`tiles`]. `progress` is told of
/// every stage of every tile, may wait (for a browser's event loop) and may end the run.
///
/// # Errors
/// An image that the detector cannot take or that cannot be read, a diameter for a detector that does not know its own, or a
/// limit of detections that is 0 or over [`limits::DETECTIONS`]; [`crate::Error::DeviceFailed`] when the device fails or
/// computes what is not finite, in which case nothing is returned; what `progress` answers.
pub async fn detect(
    detector: &Detector,
    image: &dyn Source,
    options: &DetectOptions,
    progress: &dyn Progress,
) -> Result<Found> {
    progress.at(Stage::Transform, 0.0).await?;
    let most = limits::DETECTIONS;
    if let Some(limit) = options.max_detections.filter(|limit| !(1..=most).contains(limit)) {
        return Err(Error::Usage(format!("a limit of {limit} detections per image; it must be from 1 to {most}")));
    }
    let (mut config, window) = seeing(detector, image, options.diameter, progress).await?;
    config.box_score_thresh = options.score.unwrap_or(config.box_score_thresh);
    let tiling = Tiling::new(&config, config.scaled_size(image.size())?);
    detect_in_tiles(detector, image, (&config, window), &tiling, options.max_detections, progress).await
}

/// How the detector sees an image: its configuration with the scale decided, and what becomes 0 and 1 of the pixels.
async fn seeing(
    detector: &Detector,
    image: &dyn Source,
    diameter: Option<f32>,
    progress: &dyn Progress,
) -> Result<(DetectorConfig, Window)> {
    let mut config = detector.config.clone();
    let window = look::window(image, config.intensity)?;
    if let Some(diameter) = diameter {
        let Some(wanted) = config.cell_diameter else {
            let reason = "the detector file records no cell diameter, so images cannot be scaled by theirs; leave the diameter out";
            return Err(Error::Usage(reason.to_owned()));
        };
        config.scale = Scale::between(diameter, wanted);
    }
    if config.scale == Scale::Cells {
        config.scale = look::scale(detector, image, window, &config, progress).await?;
    }
    Ok((config, window))
}

/// As [`detect`], with all settings decided.
pub async fn detect_in_tiles(
    detector: &Detector,
    image: &dyn Source,
    (config, window): (&DetectorConfig, Window),
    tiling: &Tiling,
    max_detections: Option<usize>,
    progress: &dyn Progress,
) -> Result<Found> {
    let original = image.size();
    let tiles = tiling.len();
    let (mut found, mut limit_reached) = (Vec::new(), false);
    for (index, tile) in tiling.tiles().enumerate() {
        if tiles > 1 {
            progress.tile(index, tiles);
            progress.at(Stage::Transform, 0.0).await?;
        }
        let part = Part { original, whole: tile.whole, seen: tile.seen.clone() };
        let input = tiles::input(image, &part, config, window)?;
        let counts = Counts::for_input(config, input.size, max_detections);
        let limit = counts.detections;
        // One more than is wanted shows whether there are more.
        let counts = Counts { detections: limit + 1, ..counts };
        let NetworkDetections { detections: mut of_tile, cut } =
            detector.network.forward(config, counts, &input, &detector.device, progress).await?;
        limit_reached |= cut || of_tile.len() > limit;
        of_tile.truncate(limit);
        for (i, one) in of_tile.iter().enumerate() {
            if i % MASKS_AT_A_TIME == 0 {
                progress.at(Stage::Paste, i as f32 / of_tile.len() as f32).await?;
            }
            found.extend(in_image(detector, &input, (index, &tile), one)?);
        }
        if tiles > 1 {
            detector.device.memory_cleanup();
        }
        if found.len() > limits::DETECTIONS {
            limit_reached = true;
            break;
        }
    }
    let mut detections =
        if tiles > 1 { tiles::join(found)?.detections } else { found.into_iter().map(|d| d.detection).collect() };
    let limit = max_detections.unwrap_or(limits::DETECTIONS);
    if tiles > 1 {
        limit_reached |= detections.len() > limit;
        detections.truncate(limit);
    }
    let limit_reached = limit_reached.then_some(detections.len());
    Ok(Found { detections, limit_reached })
}

/// A detection of a tile in pixels of the image. `None` for a box so small that no width is left of it there, and for one that
/// another tile counts.
fn in_image(
    detector: &Detector,
    input: &NetworkInput,
    (index, tile): (usize, &Tile),
    one: &NetworkDetection,
) -> Result<Option<TileDetection>> {
    let in_whole = input.to_whole(one.corners);
    let outside = tile.outside_core(in_whole);
    if outside > NEAR_CORE {
        return Ok(None);
    }
    let (corners, [height, width]) = (input.to_original(one.corners), input.original.map(|n| n as u32));
    let Ok((bbox, _)) = BoxXyxy::new_clipped(corners, width, height, EDGE_TOLERANCE) else {
        return Ok(None);
    };
    let mask = match &one.mask {
        Some(grid) => Some(paste_mask_by(detector.config.mask_rule, grid, corners, width, height)?),
        None => None,
    };
    let label = detector.config.classes.get(one.class).cloned().unwrap_or_default();
    let seen = [0, 1].map(|axis| {
        let to_image = |n: usize| n as f32 * input.original[axis] as f32 / input.whole[axis] as f32;
        to_image(tile.seen[axis].start)..to_image(tile.seen[axis].end)
    });
    let (cut, in_core) = (tile.cuts(in_whole), outside == 0.0);
    let detection = Detection { bbox, label, score: one.score, mask };
    Ok(Some(TileDetection { detection, tile: index, seen, cut, in_core }))
}
