//! Boxes: a checked type, IoU, non-maximum suppression and the box coder.
//!
//! [`BoxXyxy`] is in pixels of the original merged image, x to the right and y down, with continuous coordinates: a box
//! over the whole of a W × H image is `(0, 0, W, H)`. The arithmetic follows torchvision (`ops/boxes.py` and
//! `models/detection/_utils.py`).

mod coder;
mod corners;
mod grid;

use serde::{Deserialize, Serialize};

pub use coder::{BBOX_XFORM_CLIP, BoxCoder};
pub use corners::Corners;
pub use grid::BoxGrid;

use crate::error::{Error, Result};

/// A box with `0 ≤ x1 < x2 ≤ W` and `0 ≤ y1 < y2 ≤ H`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f32; 4]", into = "[f32; 4]")]
pub struct BoxXyxy {
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

impl BoxXyxy {
    /// A box inside an image of `width` × `height` pixels.
    ///
    /// # Errors
    /// NaN or infinite corners, an empty or inverted box, or a corner outside the image.
    pub fn new(corners: [f32; 4], width: u32, height: u32) -> Result<Self> {
        let this = Self::try_from(corners)?;
        if this.x2 > width as f32 || this.y2 > height as f32 {
            return Err(fault(corners, "extends outside the image"));
        }
        Ok(this)
    }

    /// Like [`BoxXyxy::new`], but clips a box that extends beyond the image by at most `tolerance` pixels. The second value tells
    /// whether it was clipped.
    pub fn new_clipped(corners: [f32; 4], width: u32, height: u32, tolerance: f32) -> Result<(Self, bool)> {
        let (w, h) = (width as f32, height as f32);
        if corners.iter().any(|c| !c.is_finite()) {
            return Err(fault(corners, "has a coordinate that is not finite"));
        }
        let [x1, y1, x2, y2] = corners;
        if x1 < -tolerance || y1 < -tolerance || x2 > w + tolerance || y2 > h + tolerance {
            return Err(fault(corners, "extends outside the image"));
        }
        let clipped = clip(corners, w, h);
        Ok((Self::try_from(clipped)?, clipped != corners))
    }

    /// The left edge.
    pub fn x1(&self) -> f32 {
        self.x1
    }

    /// The upper edge.
    pub fn y1(&self) -> f32 {
        self.y1
    }

    /// The right edge.
    pub fn x2(&self) -> f32 {
        self.x2
    }

    /// The lower edge.
    pub fn y2(&self) -> f32 {
        self.y2
    }

    /// `x2 − x1`.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// `y2 − y1`.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// In square pixels.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// `[x1, y1, x2, y2]`.
    pub fn corners(&self) -> [f32; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }
}

/// Checks everything except the right and lower bounds, which depend on the image.
impl TryFrom<[f32; 4]> for BoxXyxy {
    type Error = Error;

    fn try_from(corners: [f32; 4]) -> Result<Self> {
        let [x1, y1, x2, y2] = corners;
        if corners.iter().any(|c| !c.is_finite()) {
            return Err(fault(corners, "has a coordinate that is not finite"));
        }
        if x2 < x1 || y2 < y1 {
            return Err(fault(corners, "is inverted: x2 < x1 or y2 < y1"));
        }
        if x2 == x1 || y2 == y1 {
            return Err(fault(corners, "is empty: its width or height is zero"));
        }
        if x1 < 0.0 || y1 < 0.0 {
            return Err(fault(corners, "extends outside the image"));
        }
        Ok(Self { x1, y1, x2, y2 })
    }
}

impl From<BoxXyxy> for [f32; 4] {
    fn from(b: BoxXyxy) -> Self {
        b.corners()
    }
}

fn fault([x1, y1, x2, y2]: [f32; 4], reason: &'static str) -> Error {
    Error::Box { x1, y1, x2, y2, reason }
}

/// Corners moved into `[0, width] × [0, height]`, as `clip_boxes_to_image` does.
pub fn clip([x1, y1, x2, y2]: [f32; 4], width: f32, height: f32) -> [f32; 4] {
    [x1.clamp(0.0, width), y1.clamp(0.0, height), x2.clamp(0.0, width), y2.clamp(0.0, height)]
}

pub fn area([x1, y1, x2, y2]: [f32; 4]) -> f32 {
    (x2 - x1) * (y2 - y1)
}

/// Intersection over union; 0 where the union is empty.
pub fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let w = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let h = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let inter = w * h;
    let union = area(a) + area(b) - inter;
    if union > 0.0 { inter / union } else { 0.0 }
}

/// The share of `a` that lies within `b`; 0 where `a` is empty. COCO's overlap with a crowd.
pub fn ioa(a: [f32; 4], b: [f32; 4]) -> f32 {
    let w = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let h = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let whole = area(a);
    if whole > 0.0 { w * h / whole } else { 0.0 }
}

/// Indices of `scores` in descending order. Equal scores keep their order, and NaN comes last.
pub fn argsort_descending(scores: &[f32]) -> Vec<usize> {
    let key = |i: usize| if scores[i].is_nan() { f32::NEG_INFINITY } else { scores[i] };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    order
}

/// The index of the greatest value, the first of equal ones; 0 where there is none.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// Greedy non-maximum suppression within each group, as in `batched_nms`. Returns the indices of the boxes to keep, highest
/// score first.
///
/// A box is suppressed if its IoU with a higher-scoring box of its group exceeds `threshold`.
pub fn batched_nms(boxes: &[[f32; 4]], scores: &[f32], groups: &[u32], threshold: f32) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    let mut grid = BoxGrid::for_boxes(boxes);
    for i in argsort_descending(scores) {
        if !grid.has_overlap(boxes[i], groups[i], threshold) {
            grid.push(boxes[i], groups[i]);
            kept.push(i);
        }
    }
    kept
}

/// [`batched_nms`] with a single group.
pub fn nms(boxes: &[[f32; 4]], scores: &[f32], threshold: f32) -> Vec<usize> {
    batched_nms(boxes, scores, &vec![0; boxes.len()], threshold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_box() -> impl Strategy<Value = [f32; 4]> {
        (0f32..500.0, 0f32..500.0, 1f32..300.0, 1f32..300.0).prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
    }

    #[test]
    fn constructor_names_the_fault() {
        let reason = |c| match BoxXyxy::new(c, 100, 50) {
            Err(Error::Box { reason, .. }) => reason,
            other => panic!("expected a fault, got {other:?}"),
        };
        assert!(reason([f32::NAN, 0.0, 1.0, 1.0]).contains("finite"));
        assert!(reason([5.0, 0.0, 1.0, 1.0]).contains("inverted"));
        assert!(reason([5.0, 0.0, 5.0, 1.0]).contains("empty"));
        assert!(reason([-0.5, 0.0, 5.0, 1.0]).contains("outside"));
        assert!(reason([0.0, 0.0, 5.0, 50.5]).contains("outside"));
        assert_eq!(BoxXyxy::new([0.0, 0.0, 100.0, 50.0], 100, 50).map(|b| b.area()), Ok(5000.0));
    }

    #[test]
    fn a_box_slightly_outside_is_clipped_and_reported() {
        let (b, clipped) = BoxXyxy::new_clipped([-1.0, 0.0, 101.0, 50.0], 100, 50, 1.0).unwrap();
        assert_eq!((b.corners(), clipped), ([0.0, 0.0, 100.0, 50.0], true));
        assert!(BoxXyxy::new_clipped([-1.5, 0.0, 10.0, 5.0], 100, 50, 1.0).is_err());
        assert!(BoxXyxy::new_clipped([100.2, 0.0, 100.9, 5.0], 100, 50, 1.0).is_err());
    }

    #[test]
    fn invalid_boxes_cannot_be_deserialised() {
        assert!(serde_json::from_str::<BoxXyxy>("[0,0,10,10]").is_ok());
        assert!(serde_json::from_str::<BoxXyxy>("[10,0,0,10]").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            let v = iou(a, b);
            prop_assert!((0.0..=1.0).contains(&v));
            prop_assert_eq!(v, iou(b, a));
            prop_assert!((iou(a, a) - 1.0).abs() < 1e-5);
        }

        #[test]
        fn decode_undoes_encode(a in any_box(), b in any_box(), w in 1f32..10.0) {
            let coder = BoxCoder::new([w, w, w / 2.0, w / 2.0]);
            prop_assume!((b[2] - b[0]) / (a[2] - a[0]) < 62.0 && (b[3] - b[1]) / (a[3] - a[1]) < 62.0);
            let back = coder.decode(coder.encode(b, a), a);
            for (x, y) in back.iter().zip(b) {
                prop_assert!((x - y).abs() < 0.01, "{:?} came back as {:?}", b, back);
            }
        }

        #[test]
        fn nms_compares_as_if_with_all(
            boxes in prop::collection::vec((any_box(), 0u32..3, 0.01f32..4.0), 0..80),
            threshold in 0f32..0.9,
        ) {
            // Sides from a hundredth to four times that: some of the boxes are large ones of the grid.
            let groups: Vec<u32> = boxes.iter().map(|(_, group, _)| *group).collect();
            let sized = |[x1, y1, x2, y2]: [f32; 4], s: f32| [x1, y1, x1 + (x2 - x1) * s * s, y1 + (y2 - y1) * s * s];
            let boxes: Vec<_> = boxes.into_iter().map(|(b, _, s)| sized(b, s)).collect();
            let scores: Vec<f32> = (0..boxes.len()).map(|i| (i * 7919 % 101) as f32).collect();
            let mut expected: Vec<usize> = Vec::new();
            for i in argsort_descending(&scores) {
                if !expected.iter().any(|&k| groups[k] == groups[i] && iou(boxes[k], boxes[i]) > threshold) {
                    expected.push(i);
                }
            }
            prop_assert_eq!(batched_nms(&boxes, &scores, &groups, threshold), expected);
        }

        #[test]
        fn nms_is_idempotent(boxes in prop::collection::vec(any_box(), 0..30), seed in 0u32..1000) {
            let scores: Vec<f32> = (0..boxes.len()).map(|i| ((i as u32 * 7919 + seed) % 101) as f32).collect();
            let kept = nms(&boxes, &scores, 0.5);
            let boxes: Vec<_> = kept.iter().map(|&i| boxes[i]).collect();
            let scores: Vec<_> = kept.iter().map(|&i| scores[i]).collect();
            prop_assert_eq!(nms(&boxes, &scores, 0.5), (0..kept.len()).collect::<Vec<_>>());
        }
    }
}
