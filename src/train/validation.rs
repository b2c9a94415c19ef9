//! A detector on examples that it was not trained on.

use super::truth::Example;
use crate::detections::ImageDetections;
use crate::error::Result;
use crate::evaluate::{self, Evaluation, Options};
use crate::limits;
use crate::model::Detector;
use crate::observe::Observer;
use crate::predict::{self, CancelOnly, DetectOptions, Found};

/// The agreement of boxes and labels; `None` without examples. Masks are left out: they take most of the time and change
/// no box.
///
/// # Errors
/// What a detection says; [`crate::Error::Cancelled`].
pub async fn validate(
    detector: &Detector,
    examples: &[Example],
    observer: &impl Observer,
) -> Result<Option<Evaluation>> {
    if examples.is_empty() {
        return Ok(None);
    }
    let mut detector = detector.clone();
    (detector.network.roi_heads.mask_head, detector.network.roi_heads.mask_predictor) = (None, None);
    // A detector that is still unsure finds cells everywhere; more than twice as many as there are tell nothing new.
    let most = examples.iter().map(|e| e.objects.len()).max().unwrap_or(0);
    let max_detections = Some((2 * most).clamp(evaluate::COCO_MAX_DETECTIONS, limits::PROPOSALS));
    let options = DetectOptions { max_detections, ..DetectOptions::default() };
    let mut found = Vec::with_capacity(examples.len());
    for (i, example) in examples.iter().enumerate() {
        observer.stage("validation", i as u32, examples.len() as u32).await?;
        let merged_image = &example.merged_image;
        let Found { detections, limit_reached } =
            predict::detect(&detector, merged_image, &options, &CancelOnly(observer)).await?;
        let detections = ImageDetections {
            image: example.name.clone(),
            width: merged_image.width,
            height: merged_image.height,
            detections,
            limit_reached,
            ..ImageDetections::default()
        };
        found.push((example.annotations(&detector.config.classes)?, detections));
        detector.device.memory_cleanup();
    }
    let pairs: Vec<_> = found.iter().map(|(annotations, detections)| (annotations, detections)).collect();
    evaluate::evaluate(&pairs, &Options::default()).map(Some)
}
