//! Where the objects lie that a reader had to leave out: there the image is neither object nor background.

use super::{IgnoredReason, IgnoredRegion, ImageAnnotations};
use crate::boxes::{BoxXyxy, clip};
use crate::limits;

/// Where something lies that is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// Nobody can tell.
    Unknown,
    /// Within these corners, which may be in any order.
    Within([f64; 4]),
}

impl ImageAnnotations {
    /// Marks where an object was left out. A box without width or height is a click without a drag, and no object.
    pub(super) fn leave_out(&mut self, place: Place) {
        let Place::Within([x1, y1, x2, y2]) = place else {
            self.incomplete = true;
            return;
        };
        if [x1, y1, x2, y2].iter().any(|c| !(*c as f32).is_finite()) {
            self.incomplete = true;
            return;
        }
        let corners = [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)].map(|c| c as f32);
        if corners[0] == corners[2] || corners[1] == corners[3] {
            return;
        }
        let side = |side: u32| if self.has_size() { side } else { limits::IMAGE_SIDE } as f32;
        match BoxXyxy::try_from(clip(corners, side(self.width), side(self.height))) {
            Ok(bbox) => self.ignored.push(IgnoredRegion { bbox, label: None, reason: IgnoredReason::Unreadable }),
            // It lies outside, so its place is wrong.
            Err(_) => self.incomplete = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_regions_with_known_boxes_are_kept_and_others_mark_the_image_incomplete() {
        let left = |place| {
            let mut image = ImageAnnotations { width: 20, height: 10, ..ImageAnnotations::default() };
            image.leave_out(place);
            (image.ignored.first().map(|region| region.bbox.corners()), image.incomplete)
        };
        assert_eq!(left(Place::Within([1.0, 2.0, 30.0, 4.0])), (Some([1.0, 2.0, 20.0, 4.0]), false));
        assert_eq!(left(Place::Within([9.0, 2.0, 1.0, 4.0])), (Some([1.0, 2.0, 9.0, 4.0]), false), "inverted");
        assert_eq!(left(Place::Within([9.0, 2.0, 9.0, 4.0])), (None, false), "a click");
        assert_eq!(left(Place::Within([30.0, 2.0, 40.0, 4.0])), (None, true), "outside");
        assert_eq!(left(Place::Within([f64::NAN, 2.0, 40.0, 4.0])), (None, true));
        assert_eq!(left(Place::Unknown), (None, true));
    }
}
