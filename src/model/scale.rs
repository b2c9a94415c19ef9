//! At what size an image enters the network.

use serde::{Deserialize, Serialize};

use super::config::DetectorConfig;
use super::config::Resize;
use super::resample::matterport_size;
use super::transform::resized_for_tiles;
use crate::boxes;
use crate::error::{Error, Result};
use crate::limits;

/// How many pixels of the network's input a pixel of the image becomes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// As torchvision: the short side becomes `min_size`, unless the long one would exceed `max_size`.
    #[default]
    Size,
    /// As many for every image, whatever its size: images of one magnification.
    Fixed(f32),
    /// Such that the image's cells have the detector's `cell_diameter`. What diameter they have is seen in a first
    /// detection at the size of [`Self::Size`].
    Cells,
}

/// Scales that a detector may have.
const SCALES: std::ops::RangeInclusive<f32> = 0.01..=16.0;

impl Scale {
    /// The scale that brings cells of one diameter in the image to another in the network's input, both in pixels.
    pub fn between(in_image: f32, in_network: f32) -> Self {
        Self::Fixed((in_network / in_image.max(1e-3)).clamp(*SCALES.start(), *SCALES.end()))
    }

    /// # Errors
    /// A scale beyond all magnifications; one of cells without their diameter.
    pub(super) fn validate(self, cell_diameter: Option<f32>) -> Result<()> {
        if let Some(diameter) = cell_diameter.filter(|d| !(1.0..=limits::NETWORK_SIDE as f32).contains(d)) {
            let most = limits::NETWORK_SIDE;
            return Err(Error::Config(format!("cell_diameter is {diameter}; it must be from 1 to {most} pixels")));
        }
        match self {
            Self::Fixed(scale) if !SCALES.contains(&scale) => {
                let (least, most) = (SCALES.start(), SCALES.end());
                Err(Error::Config(format!("scale is {scale}; it must be from {least} to {most}")))
            }
            Self::Cells if cell_diameter.is_none() => {
                Err(Error::Config("scale is that of the cells, but there is no cell_diameter".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl DetectorConfig {
    /// Height and width of an image of this height and width in the network's input. For [`Scale::Cells`] those of the
    /// first look.
    ///
    /// # Errors
    /// An image without pixels, of which too few would be left, or whose input would be larger than
    /// [`limits::NETWORK_SIDE`].
    pub fn input_size(&self, original: [usize; 2]) -> Result<[usize; 2]> {
        let size = self.scaled_size(original)?;
        let longest = size[0].max(size[1]) as u64;
        limits::check("image", "its longer side after resizing", longest, u64::from(limits::NETWORK_SIDE))?;
        Ok(size)
    }

    /// As [`Self::input_size`], for a detection in tiles: without the limit of one pass of the network.
    ///
    /// # Errors
    /// An image without pixels, or of which too few would be left.
    pub fn scaled_size(&self, original: [usize; 2]) -> Result<[usize; 2]> {
        match self.scale {
            Scale::Fixed(scale) if !original.contains(&0) => {
                Ok(original.map(|n| ((n as f64 * f64::from(scale)).floor() as usize).max(1)))
            }
            Scale::Fixed(_) => Err(Error::image("image", "it has no pixels")),
            Scale::Size | Scale::Cells => match self.resize {
                Resize::Torchvision => resized_for_tiles(original, self.min_size, self.max_size),
                Resize::Square => self.matterport_size(original, Some(self.max_size)),
                Resize::Pad64 => self.matterport_size(original, None),
            },
        }
    }

    fn matterport_size(&self, original: [usize; 2], max_size: Option<u32>) -> Result<[usize; 2]> {
        if original.contains(&0) {
            return Err(Error::image("image", "it has no pixels"));
        }
        let size = matterport_size(original, self.min_size, max_size, self.resize_min_scale);
        match size.contains(&0) {
            true => Err(Error::image("image", "it is too narrow for its length")),
            false => Ok(size),
        }
    }

    /// The configuration with which an image is trained on whose annotated boxes are known: their diameter needs no first
    /// look.
    pub fn knowing(&self, boxes: impl Iterator<Item = [f32; 4]>) -> Self {
        let mut config = self.clone();
        if let (Scale::Cells, Some(wanted), Some(found)) = (self.scale, self.cell_diameter, median_diameter(boxes)) {
            config.scale = Scale::between(found, wanted);
        }
        config
    }
}

/// The median of √(width · height) of boxes, in their pixels; `None` without boxes.
pub fn median_diameter(corners: impl Iterator<Item = [f32; 4]>) -> Option<f32> {
    let mut sides: Vec<f32> = corners.map(|c| boxes::area(c).max(0.0).sqrt()).filter(|side| *side > 0.0).collect();
    let middle = sides.len() / 2;
    (!sides.is_empty()).then(|| *sides.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_scale_does_not_depend_on_the_images_size() {
        let config = DetectorConfig { scale: Scale::between(40.0, 20.0), ..DetectorConfig::default() };
        assert_eq!(config.scale, Scale::Fixed(0.5));
        for [height, width] in [[512, 512], [301, 900], [2048, 40]] {
            assert_eq!(config.input_size([height, width]).unwrap(), [height / 2, width / 2]);
        }
        assert!(config.input_size([20_000, 20_000]).is_err());
        assert_eq!(DetectorConfig::default().input_size([480, 640]).unwrap(), [800, 1066]);
    }

    #[test]
    fn annotated_boxes_stand_for_the_first_look() {
        let config = DetectorConfig { scale: Scale::Cells, cell_diameter: Some(32.0), ..DetectorConfig::default() };
        let boxes = [[0.0, 0.0, 8.0, 32.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 105.0, 105.0]];
        assert_eq!(config.knowing(boxes.into_iter()).scale, Scale::Fixed(2.0));
        assert_eq!(config.knowing(std::iter::empty()).scale, Scale::Cells);
    }

    #[test]
    fn impossible_scales_are_refused() {
        let refused = |json: &str| DetectorConfig::from_json(json).unwrap_err().to_string();
        assert!(refused(r#"{"scale": {"fixed": 1000}}"#).contains("scale is 1000"));
        assert!(refused(r#"{"scale": "cells"}"#).contains("no cell_diameter"));
        assert!(refused(r#"{"cell_diameter": 0}"#).contains("cell_diameter is 0"));
        DetectorConfig::from_json(r#"{"scale": "cells", "cell_diameter": 32}"#).unwrap();
    }
}
