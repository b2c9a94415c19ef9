//! What the corners of a box mean to a detector.
//!
//! Everywhere in this crate they are edges. A detector of another convention computes offsets, overlaps and limits in its own
//! corners, and gives edges again.

use serde::{Deserialize, Serialize};

use super::clip;

/// Which points of an image the corners of a box are, where a detector computes with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corners {
    /// The edges of its first and last pixels, as in torchvision: a box of n pixels is n wide.
    #[default]
    Edges,
    /// The centres of its first and last pixels, as in matterport's Mask_RCNN, where 0 and 1 are the first and last pixel of
    /// an image: a box of n pixels is n − 1 wide.
    PixelCentres,
}

impl Corners {
    /// From edges to these corners, counted from the centre of the first pixel where they are centres.
    pub fn of_edges(self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        match self {
            Self::Edges => [x1, y1, x2, y2],
            Self::PixelCentres => [x1, y1, x2 - 1.0, y2 - 1.0],
        }
    }

    /// The way back.
    pub fn to_edges(self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        match self {
            Self::Edges => [x1, y1, x2, y2],
            Self::PixelCentres => [x1, y1, x2 + 1.0, y2 + 1.0],
        }
    }

    /// A box moved into `[0, width] × [0, height]`. Outside the image nothing is left of it but a corner or an edge, which
    /// between pixel centres is still a pixel.
    pub fn clip(self, corners: [f32; 4], width: f32, height: f32) -> [f32; 4] {
        match self {
            Self::Edges => clip(corners, width, height),
            Self::PixelCentres => self.to_edges(clip(self.of_edges(corners), width - 1.0, height - 1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::BoxCoder;

    #[test]
    fn a_box_outside_keeps_a_pixel_between_centres() {
        let outside = [40.0, 2.0, 50.0, 8.0];
        assert_eq!(Corners::Edges.clip(outside, 32.0, 16.0), [32.0, 2.0, 32.0, 8.0]);
        assert_eq!(Corners::PixelCentres.clip(outside, 32.0, 16.0), [31.0, 2.0, 32.0, 8.0]);
    }

    #[test]
    fn deltas_between_centres_are_relative_to_one_pixel_less() {
        let coder = BoxCoder { corners: Corners::PixelCentres, ..BoxCoder::new([1.0; 4]) };
        let (reference, target) = ([0.0, 0.0, 11.0, 21.0], [5.0, 0.0, 26.0, 21.0]);
        let deltas = coder.encode(target, reference);
        assert_eq!(deltas, [1.0, 0.0, 2f32.ln(), 0.0]);
        assert_eq!(coder.decode(deltas, reference), target);
    }
}
