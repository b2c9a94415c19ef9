//! A detector on an image: detections in pixels of the image.

use crate::boxes::BoxXyxy;
use crate::channels::MergedImage;
use crate::detections::Detection;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::counts::Counts;
use crate::model::mask_head::paste_mask;
use crate::model::roi_heads::{NetworkDetection, NetworkDetections};
use crate::model::transform::NetworkInput;
use crate::model::{Detector, DetectorConfig, Go, Progress, Stage};
use crate::observe::Observer;

/// The least score of a detection that is asked for where all of them count: COCO's curves need low scores too, and what is
/// shown can be filtered without another run.
pub const LOWEST_SCORE: f32 = 0.05;

/// Corners that rounding moved over the edge of the image by less than this many pixels are moved back.
const EDGE_TOLERANCE: f32 = 1.0;
/// Masks that are pasted between two words to `progress`.
const MASKS_AT_A_TIME: usize = 16;

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
}

/// What a detector found on one image, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub detections: Vec<Detection>,
    /// The limit of detections an image, where there were more; they score no higher than the last one here.
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
/// `progress` is told of every stage, may wait (for a browser's event loop) and may end the run.
///
/// # Errors
/// An image that the detector cannot take, or a limit of detections that is 0 or over [`limits::PROPOSALS`];
/// [`crate::Error::DeviceFailed`] when the device fails or computes what is not finite, in which case nothing is returned;
/// what `progress` answers.
pub async fn detect(
    detector: &Detector,
    merged_image: &MergedImage,
    options: &DetectOptions,
    progress: &dyn Progress,
) -> Result<Found> {
    progress.at(Stage::Transform, 0.0).await?;
    let most = limits::PROPOSALS;
    if let Some(limit) = options.max_detections.filter(|limit| !(1..=most).contains(limit)) {
        return Err(Error::Usage(format!("a limit of {limit} detections per image; it must be from 1 to {most}")));
    }
    let score = options.score.unwrap_or(detector.config.box_score_thresh);
    let config = DetectorConfig { box_score_thresh: score, ..detector.config.clone() };
    let input = NetworkInput::new(merged_image, &config)?;
    let counts = Counts::for_input(&config, input.size, options.max_detections);
    let limit = counts.detections;
    // One more than is wanted shows whether there are more.
    let counts = Counts { detections: limit + 1, ..counts };
    let NetworkDetections { detections: mut found, cut } =
        detector.network.forward(&config, counts, &input, &detector.device, progress).await?;
    let limit_reached = (cut || found.len() > limit).then_some(limit.min(found.len()));
    found.truncate(limit);
    let mut detections = Vec::with_capacity(found.len());
    for (i, one) in found.iter().enumerate() {
        if i % MASKS_AT_A_TIME == 0 {
            progress.at(Stage::Paste, i as f32 / found.len() as f32).await?;
        }
        if let Some(detection) = to_image_pixels(detector, merged_image, &input, one)? {
            detections.push(detection);
        }
    }
    Ok(Found { detections, limit_reached })
}

/// `None` for a box so small that no width is left of it in the image's pixels.
fn to_image_pixels(
    detector: &Detector,
    merged_image: &MergedImage,
    input: &NetworkInput,
    one: &NetworkDetection,
) -> Result<Option<Detection>> {
    let corners = input.to_original(one.corners);
    let Ok((bbox, _)) = BoxXyxy::new_clipped(corners, merged_image.width, merged_image.height, EDGE_TOLERANCE) else {
        return Ok(None);
    };
    let mask = match &one.mask {
        Some(grid) => Some(paste_mask(grid, corners, merged_image.width, merged_image.height)?),
        None => None,
    };
    let label = detector.config.classes.get(one.class).cloned().unwrap_or_default();
    Ok(Some(Detection { bbox, label, score: one.score, mask }))
}
