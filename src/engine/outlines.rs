//! Outlines of boxes that a person drew: only the first on an image costs the backbone.

use super::images::{Seen, merged_image_with};
use super::{Engine, Observer};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::model::Scale;
use crate::predict::{CancelOnly, DrawnBox, ImageFeatures};
use crate::protocol::{ImageInput, Outcome};

/// The feature maps of the image that a person works on.
pub(super) struct Kept {
    key: String,
    features: ImageFeatures,
}

impl Engine {
    /// See [`crate::protocol::Command::OutlineBoxes`].
    pub(super) async fn outline_boxes(
        &mut self,
        (key, image): (String, Option<&ImageInput>),
        boxes: &[BoxXyxy],
        labels: &[String],
        diameter: Option<f32>,
        observer: &impl Observer,
    ) -> Result<Outcome> {
        let mut kept = self.kept.take().filter(|kept| kept.key == key);
        let (active, detector) = (self.device()?, self.detector()?);
        if boxes.len() != labels.len() {
            let (boxes, labels) = (boxes.len(), labels.len());
            return Err(Error::Usage(format!("{boxes} boxes and {labels} labels; each box must have one")));
        }
        // Any other detector has a scale of its own, whatever size a box has.
        let diameter = diameter.filter(|_| detector.config.scale == Scale::Cells);
        let drawn: Vec<DrawnBox> =
            boxes.iter().zip(labels).map(|(bbox, label)| DrawnBox { bbox: *bbox, label }).collect();
        let mut masks = vec![None; drawn.len()];
        let mut opened = None;
        let mut open: Vec<usize> = (0..drawn.len()).collect();
        while let Some(&first) = open.first() {
            let near = drawn[first].bbox;
            let features = match kept.filter(|kept| kept.features.serve(near, diameter)) {
                Some(kept) => kept.features,
                None => {
                    let merged_image = match (opened.take(), image) {
                        (Some(opened), _) => opened,
                        (None, Some(image)) => merged_image_with(image, Seen::by(&detector.config))?.merged_image,
                        (None, None) => return Ok(Outcome::BoxOutlines { masks: None }),
                    };
                    let merged_image = opened.insert(merged_image);
                    ImageFeatures::new(detector, merged_image, near, diameter, &CancelOnly(observer)).await?
                }
            };
            let (here, rest): (Vec<usize>, Vec<usize>) =
                open.into_iter().partition(|i| *i == first || features.serve(drawn[*i].bbox, diameter));
            let boxes: Vec<DrawnBox> = here.iter().map(|i| drawn[*i]).collect();
            let found = features.outlines(detector, &boxes).await;
            active.check()?;
            for (i, mask) in here.into_iter().zip(found?) {
                masks[i] = mask;
            }
            open = rest;
            kept = Some(Kept { key: key.clone(), features });
        }
        self.kept = kept;
        Ok(Outcome::BoxOutlines { masks: Some(masks) })
    }
}
