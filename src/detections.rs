//! What a detector found on one image.

use serde::{Deserialize, Serialize};

use crate::annotations::label;
use crate::boxes::BoxXyxy;
use crate::channels::{Channel, Merge, StackPlane};
use crate::error::{Error, Result};
use crate::masks::Rle;

/// One cell that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Pixels of the original merged image.
    #[serde(rename = "box")]
    pub bbox: BoxXyxy,
    /// The class.
    #[serde(deserialize_with = "label::deserialize")]
    pub label: String,
    /// 0–1.
    pub score: f32,
    /// Over the whole image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Rle>,
}

/// Everything that was found on one image, and what the image was made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageDetections {
    /// The image's name without channel and extension; with its folder where another image has that name.
    pub image: String,
    /// The file that tables name: its path below the folder that was scanned or dropped, parts separated by `/`; empty
    /// where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Best first.
    pub detections: Vec<Detection>,
    /// Weights with which channels were merged; `None` for an image that was taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Merge>,
    /// Channels that were missing and taken as black.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<Channel>,
    /// What the image was of the stack in its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackPlane>,
    /// The limit of detections an image, where it was reached: there may be more cells, which score no higher than the
    /// last detection here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_reached: Option<usize>,
}

impl ImageDetections {
    /// Checks what the types alone cannot, for detections that come from a file.
    ///
    /// # Errors
    /// A box that reaches outside the image, a score that is not in 0–1, a mask of another size than the image.
    pub fn check(&self) -> Result<()> {
        for detection in &self.detections {
            BoxXyxy::new(detection.bbox.corners(), self.width, self.height)?;
            let fits = |mask: &Rle| (mask.width(), mask.height()) == (self.width, self.height);
            if !detection.mask.as_ref().is_none_or(fits) {
                return Err(Error::Usage(format!("{}: a mask has another size than the image", self.image)));
            }
            if !(0.0..=1.0).contains(&detection.score) {
                return Err(Error::Usage(format!("{}: {} is not a score from 0 to 1", self.image, detection.score)));
            }
        }
        Ok(())
    }

    /// The same image with the detections of at least this score. Where some are below it, the limit left out none that
    /// is not.
    pub fn above(&self, score: f32) -> Self {
        self.above_each(|_| score)
    }

    /// As [`Self::above`], with a score for each class.
    pub fn above_each(&self, score: impl Fn(&str) -> f32) -> Self {
        let detections: Vec<_> = self.detections.iter().filter(|d| d.score >= score(&d.label)).cloned().collect();
        let limit_reached = self.limit_reached.filter(|_| detections.len() == self.detections.len());
        Self { detections, limit_reached, ..self.clone() }
    }
}
