//! What the mask head is to draw: the object's mask, cut out by the proposal (`project_masks_on_boxes` of torchvision,
//! which is RoIAlign of the bitmap with `aligned = False` and as many samples a bin as it has pixels).

use std::borrow::Cow;

use super::truth::{Patch, Truth};

/// The mask of `object` within `roi` on a `side` × `side` grid, row by row, values 0–1. `size` is height and width of
/// the sample. `None` for an object without a mask, unless its box is to stand in.
pub fn mask_target(
    object: &Truth,
    boxes_for_masks: bool,
    roi: [f32; 4],
    side: usize,
    size: [usize; 2],
) -> Option<Vec<f32>> {
    let patch = match &object.mask {
        Some(mask) => Cow::Borrowed(mask),
        None if boxes_for_masks => Cow::Owned(Patch::filled(object.corners)),
        None => return None,
    };
    let columns = samples(roi[0], roi[2], side, size[1]);
    let rows = samples(roi[1], roi[3], side, size[0]);
    let count = (columns[0].len() * rows[0].len()).max(1) as f32;
    let value = |x: usize, y: usize| f32::from(u8::from(patch.at(x, y)));
    let mut out = Vec::with_capacity(side * side);
    for row in &rows {
        for column in &columns {
            let mut sum = 0.0;
            for y in row {
                for x in column {
                    let line = |at: usize| x.low_weight * value(x.low, at) + x.high_weight * value(x.high, at);
                    sum += y.low_weight * line(y.low) + y.high_weight * line(y.high);
                }
            }
            out.push(sum / count);
        }
    }
    Some(out)
}

/// Two pixels of an axis and how much each counts.
#[derive(Debug, Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    low_weight: f32,
    high_weight: f32,
}

/// The samples of each bin of an axis of `length` pixels, as `bilinear_interpolate` of `roi_align_kernel.cpp` places
/// them.
fn samples(start: f32, end: f32, bins: usize, length: usize) -> Vec<Vec<Tap>> {
    let extent = (end - start).max(1.0);
    let bin = extent / bins as f32;
    let per_bin = (extent / bins as f32).ceil() as usize;
    (0..bins)
        .map(|b| {
            (0..per_bin)
                .map(|s| tap(start + b as f32 * bin + (s as f32 + 0.5) * bin / per_bin as f32, length))
                .collect()
        })
        .collect()
}

fn tap(at: f32, length: usize) -> Tap {
    if at < -1.0 || at > length as f32 || length == 0 {
        return Tap { low: 0, high: 0, low_weight: 0.0, high_weight: 0.0 };
    }
    let at = at.max(0.0);
    let low = at as usize;
    if low >= length - 1 {
        return Tap { low: length - 1, high: length - 1, low_weight: 1.0, high_weight: 0.0 };
    }
    let high_weight = at - low as f32;
    Tap { low, high: low + 1, low_weight: 1.0 - high_weight, high_weight }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_seen_through_itself_is_full() {
        let object = Truth { corners: [4.0, 4.0, 60.0, 32.0], class: 1, mask: None, difficult: false };
        let target = |roi| mask_target(&object, true, roi, 28, [64, 64]).unwrap();
        let grid = target(object.corners);
        // The pixel grid and the box grid are half a pixel apart (aligned = False): the last row and column see the edge.
        assert!(grid.iter().enumerate().all(|(i, v)| i % 28 == 27 || i / 28 == 27 || *v == 1.0));
        assert!(target([0.0, 40.0, 30.0, 60.0]).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn a_box_does_not_stand_in_for_a_mask_where_others_have_outlines() {
        let object = Truth { corners: [4.0, 4.0, 60.0, 32.0], class: 1, mask: None, difficult: false };
        assert_eq!(mask_target(&object, false, object.corners, 28, [64, 64]), None);
    }

    #[test]
    fn half_a_mask_covers_half_the_grid() {
        let mut mask = Patch::filled([0.0, 0.0, 56.0, 56.0]);
        mask.bits.iter_mut().enumerate().for_each(|(i, bit)| *bit = i % 56 < 28);
        let object = Truth { corners: [0.0, 0.0, 56.0, 56.0], class: 1, mask: Some(mask), difficult: false };
        let grid = mask_target(&object, false, object.corners, 28, [64, 64]).unwrap();
        assert_eq!((grid[5 * 28 + 3], grid[5 * 28 + 20]), (1.0, 0.0));
    }
}
