//! The connected pieces of a mask, and whether a label image tells objects apart.

use std::collections::BTreeMap;
use std::fmt;

use super::{LabelImage, Rle, fault};
use crate::error::Result;
use crate::limits;

/// A piece that has less of the largest piece's area than this is a crumb, which is nobody's second object.
const CRUMB: f64 = 0.05;

/// A stretch of pixels in one column.
struct Stretch {
    start: u32,
    end: u32,
    /// Another stretch of the same piece; itself for the first.
    parent: usize,
}

impl Rle {
    /// The pieces whose pixels touch, at a side or a corner, ordered from the left.
    ///
    /// # Errors
    /// More than `at_most` pieces.
    pub fn pieces(&self, at_most: usize) -> Result<Vec<Self>> {
        let mut stretches = self.stretches();
        join_neighbours(&mut stretches, self.height);
        let mut pieces: BTreeMap<usize, Vec<(u32, u32)>> = BTreeMap::new();
        for i in 0..stretches.len() {
            let root = root(&mut stretches, i);
            pieces.entry(root).or_default().push((stretches[i].start, stretches[i].end));
            if pieces.len() > at_most {
                return Err(fault(format!("more than {at_most} separate pieces")));
            }
        }
        let pixels = self.width * self.height;
        Ok(pieces
            .into_values()
            .map(|ranges| Self::from_ranges(self.width, self.height, pixels, ranges.into_iter()))
            .collect())
    }

    fn stretches(&self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for (mut start, end) in self.ranges() {
            while start < end {
                let foot = (start / self.height + 1) * self.height;
                let parent = stretches.len();
                stretches.push(Stretch { start, end: end.min(foot), parent });
                start = foot;
            }
        }
        stretches
    }
}

/// Joins what touches in neighbouring columns: both are walked from the head to the foot at once.
fn join_neighbours(stretches: &mut [Stretch], height: u32) {
    let (mut left, mut right) = (0, 0);
    while left < stretches.len() {
        let column = stretches[left].start / height;
        while right < stretches.len() && stretches[right].start / height <= column {
            right += 1;
        }
        let Some(next) = stretches.get(right) else { return };
        if next.start / height > column + 1 {
            left += 1;
            continue;
        }
        let (a, b) = (left, right);
        let (a1, a2) = (stretches[a].start % height, (stretches[a].end - 1) % height);
        let (b1, b2) = (stretches[b].start % height, (stretches[b].end - 1) % height);
        if a1 <= b2 + 1 && b1 <= a2 + 1 {
            let (one, other) = (root(stretches, a), root(stretches, b));
            stretches[one.max(other)].parent = one.min(other);
        }
        // The one that ends first touches nothing below; where both end alike, the next of either may touch the other.
        if a2 <= b2 {
            left += 1;
        } else {
            right += 1;
        }
    }
}

fn root(stretches: &mut [Stretch], mut at: usize) -> usize {
    while stretches[at].parent != at {
        let above = stretches[at].parent;
        stretches[at].parent = stretches[above].parent;
        at = above;
    }
    at
}

/// What makes a label image look as if it did not tell objects apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Only one value, and several pieces that have it.
    OneValue { value: u16, pieces: usize },
    /// Values whose pieces lie far apart, of so many values.
    FarApart { values: Vec<u16>, of: usize },
    /// All values of 8 bits are used up.
    RanOut,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::OneValue { value, pieces } => write!(f, "has one value ({value}) for {pieces} pieces"),
            Self::FarApart { values, of } => {
                let some: Vec<String> = values.iter().take(5).map(u16::to_string).collect();
                let more = if values.len() > 5 { " …" } else { "" };
                let (some, number) = (some.join(", "), values.len());
                write!(f, "has pieces far apart with one value: {some}{more} ({number} of its {of} values)")
            }
            Self::RanOut => {
                f.write_str("uses every value of its 8 bits, so objects beyond the 255th have none of their own")
            }
        }
    }
}

impl LabelImage {
    /// What is doubtful, and whether so much that the values cannot be taken for objects.
    pub fn doubts(&self) -> (Vec<Doubt>, bool) {
        let masks = self.masks();
        let mut doubts = Vec::new();
        let mut far = Vec::new();
        let mut is_binary = false;
        for (&value, mask) in &masks {
            // More pieces than an image may have objects are noise.
            let Ok(pieces) = mask.pieces(limits::OBJECTS) else {
                far.push(value);
                is_binary |= masks.len() == 1;
                continue;
            };
            let pieces = large(&pieces);
            let apart = are_far_apart(&pieces);
            let typical = value == 255 || self.bits() == 1 || pieces.len() > 3;
            if masks.len() == 1 && pieces.len() > 1 && (apart || typical) {
                doubts.push(Doubt::OneValue { value, pieces: pieces.len() });
                is_binary = true;
            } else if apart {
                far.push(value);
            }
        }
        let ran_out = self.bits() == 8 && masks.len() == 255;
        let useless = is_binary || (far.len() * 2 >= masks.len() || ran_out) && !far.is_empty();
        if !far.is_empty() {
            doubts.push(Doubt::FarApart { values: far, of: masks.len() });
        }
        if ran_out {
            doubts.push(Doubt::RanOut);
        }
        (doubts, useless)
    }

    /// The same pixels with a number for each connected piece, counted value by value and from the left.
    ///
    /// # Errors
    /// More pieces than an image may have objects.
    pub fn number_pieces(&self) -> Result<Self> {
        let mut pieces = Vec::new();
        for mask in self.masks().into_values() {
            pieces.extend(mask.pieces(limits::OBJECTS)?);
            limits::check("label image", "the number of pieces", pieces.len() as u64, limits::OBJECTS as u64)?;
        }
        Self::from_masks(self.width(), self.height(), pieces.iter().map(Some))
    }
}

/// The pieces that are not crumbs.
fn large(pieces: &[Rle]) -> Vec<&Rle> {
    let most = pieces.iter().map(Rle::area).max().unwrap_or(0);
    pieces.iter().filter(|piece| f64::from(piece.area()) >= CRUMB * f64::from(most)).collect()
}

/// Whether a piece is farther from the largest than that is long: no cell looks like this, even where others lie over it.
fn are_far_apart(pieces: &[&Rle]) -> bool {
    let Some(largest) = pieces.iter().max_by_key(|piece| piece.area()).and_then(|piece| piece.bbox()) else {
        return false;
    };
    let [x1, y1, x2, y2] = largest;
    let length = (x2 - x1).max(y2 - y1);
    pieces.iter().filter_map(|piece| piece.bbox()).any(|[a1, b1, a2, b2]| {
        let gap = |low: u32, high: u32, from: u32, to: u32| from.saturating_sub(high).max(low.saturating_sub(to));
        gap(x1, x2, a1, a2).max(gap(y1, y2, b1, b2)) > length
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label_image(rows: &[&str]) -> LabelImage {
        let labels = rows.iter().flat_map(|row| row.bytes().map(|b| if b == b'.' { 0 } else { u16::from(b - b'0') }));
        LabelImage::new(rows[0].len() as u32, rows.len() as u32, labels.collect()).unwrap()
    }

    #[test]
    fn pieces_touch_at_sides_and_corners() {
        let image = label_image(&["11..1", "..1.1", "1...1", "1.11."]);
        let pieces = image.masks()[&1].pieces(9).unwrap();
        assert_eq!(pieces.iter().map(Rle::area).collect::<Vec<_>>(), [3, 2, 5]);
        assert!(image.masks()[&1].pieces(2).is_err());
    }

    #[test]
    fn a_mask_that_does_not_tell_objects_apart_is_named() {
        let two = label_image(&["11......11", "11......11"]);
        let (doubts, useless) = two.doubts();
        assert_eq!((doubts[0].to_string().as_str(), useless), ("has one value (1) for 2 pieces", true));
        assert_eq!(two.number_pieces().unwrap().masks().keys().copied().collect::<Vec<_>>(), [1, 2]);

        let classes = label_image(&["11......11", "22......22"]);
        let (doubts, useless) = classes.doubts();
        assert_eq!((doubts, useless), (vec![Doubt::FarApart { values: vec![1, 2], of: 2 }], true));
        assert_eq!(classes.number_pieces().unwrap().masks().len(), 4);
    }

    #[test]
    fn cells_cut_in_two_by_others_raise_no_warning() {
        let image = label_image(&["1112211133", "1112211133"]);
        assert_eq!(image.doubts(), (vec![], false));
        let one = label_image(&["..111.....", "..111....."]);
        assert_eq!(one.doubts(), (vec![], false));
        assert_eq!(LabelImage::new(3, 1, vec![0; 3]).unwrap().doubts(), (vec![], false));
    }

    #[test]
    fn label_values_that_ran_out_at_8_bits_are_reported() {
        let png = |labels: Vec<u16>| {
            let bytes = LabelImage::new(labels.len() as u32, 1, labels).unwrap().encode_png().unwrap();
            LabelImage::decode("m.png", &bytes).unwrap().doubts()
        };
        assert_eq!(png((0..=255).collect()), (vec![Doubt::RanOut], false), "perhaps just so many");
        let (doubts, useless) = png((0..=255).chain([0, 0, 255, 0, 0, 255]).collect());
        assert_eq!((doubts.len(), useless), (2, true), "{doubts:?}");
    }

    /// The pieces found pixel by pixel.
    fn flooded(width: usize, bitmap: &[bool]) -> usize {
        let (mut seen, mut pieces) = (vec![false; bitmap.len()], 0);
        for first in 0..bitmap.len() {
            let mut open = vec![first];
            pieces += usize::from(bitmap[first] && !seen[first]);
            while let Some(at) = open.pop() {
                if !bitmap[at] || std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                let (x, y) = ((at % width) as isize, (at / width) as isize);
                for (dx, dy) in (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy))) {
                    let (nx, ny) = (x + dx, y + dy);
                    if nx >= 0 && ny >= 0 && (nx as usize) < width && ny as usize * width < bitmap.len() {
                        open.push(ny as usize * width + nx as usize);
                    }
                }
            }
        }
        pieces
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn pieces_are_those_of_a_flood(width in 1usize..9, height in 1usize..9, bits in any::<[bool; 64]>()) {
            let bitmap = &bits[..width * height];
            let mask = Rle::from_bitmap(width as u32, height as u32, bitmap).unwrap();
            let pieces = mask.pieces(64).unwrap();
            prop_assert_eq!(pieces.len(), flooded(width, bitmap));
            prop_assert_eq!(pieces.iter().map(Rle::area).sum::<u32>(), mask.area());
        }
    }
}
