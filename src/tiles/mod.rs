//! Large images in overlapping tiles: no cell is split, doubled or lost where two of them meet.
//!
//! An image that is larger at the detector's scale than one pass of the network takes is cut into a [`Tiling`] of the image *as
//! it enters the network*. Each tile is the part of the whole resized image that a single pass would have seen: the same
//! samples, and anchors at the same places. [`join`] puts the detections of the tiles together; a [`Source`] gives the pixels
//! of one tile at a time, so that the image itself need not fit in memory.

mod join;
mod source;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use join::{Joined, TileDetection, join};
pub use source::{Source, blocks, input, overview};

use crate::model::DetectorConfig;

/// An input of up to this side is one pass: torchvision's largest, 1333, padded to a multiple of 32.
const ONE_PASS: usize = 1344;
/// Side of a tile. The feature maps of a ResNet-50 take 300 MiB for it, which a browser has, and context at its edges is lost
/// for a tenth of its area.
const SIDE: usize = 1024;
/// Tiles begin at multiples of the stride of the topmost level of the pyramid, so that the anchors of all tiles are those of
/// the whole image.
const ALIGNED: usize = 64;
/// Cell diameters that tiles overlap: the median cell is whole in the tile that counts it, with a diameter of context, and so
/// is every cell of three times its diameter.
const DIAMETERS: f32 = 3.0;
/// The same where only the anchors tell how large cells may be: of the largest one.
const LARGEST_ANCHORS: f32 = 1.5;

/// How an image is cut. All lengths are pixels of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiling {
    rows: Vec<Span>,
    columns: Vec<Span>,
}

/// A tile along one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    /// What the network sees.
    seen: Range<usize>,
    /// The part of which its detections count; the cores of all tiles are the whole axis.
    core: Range<usize>,
}

/// One tile of a [`Tiling`], in pixels of the whole network input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Rows and columns that the network sees.
    pub seen: [Range<usize>; 2],
    /// Rows and columns of the centres of the detections that count in this tile.
    pub core: [Range<usize>; 2],
    /// Height and width of the whole input.
    pub whole: [usize; 2],
}

impl Tiling {
    /// For an input of that height and width: one tile if the network takes it in one pass.
    pub fn new(config: &DetectorConfig, whole: [usize; 2]) -> Self {
        if whole.iter().all(|side| *side <= ONE_PASS) {
            return Self::with(whole, ONE_PASS, 0, [0, 0]);
        }
        let largest = config.anchor_sizes.iter().flatten().copied().fold(0.0, f32::max);
        let wanted = config.cell_diameter.map_or(LARGEST_ANCHORS * largest, |diameter| DIAMETERS * diameter);
        // At least half of each tile is new.
        Self::with(whole, SIDE, (wanted.ceil() as usize).clamp(ALIGNED, SIDE / 2), [0, 0])
    }

    /// Tiles of a side with an overlap of at least that many pixels. The first ones are shorter by `offset`, which moves every
    /// seam.
    pub fn with(whole: [usize; 2], side: usize, overlap: usize, offset: [usize; 2]) -> Self {
        let [rows, columns] = [0, 1].map(|axis| spans(whole[axis], side, overlap, offset[axis]));
        Self { rows, columns }
    }

    /// The tiles, row by row.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> + '_ {
        let end = |spans: &[Span]| spans.last().map_or(0, |span| span.seen.end);
        let whole = [end(&self.rows), end(&self.columns)];
        self.rows.iter().flat_map(move |row| {
            self.columns.iter().map(move |column| Tile {
                seen: [row.seen.clone(), column.seen.clone()],
                core: [row.core.clone(), column.core.clone()],
                whole,
            })
        })
    }

    /// How many tiles there are.
    pub fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Whether there is none: an image without pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn spans(length: usize, side: usize, overlap: usize, offset: usize) -> Vec<Span> {
    let step = side.saturating_sub(overlap);
    let step = if step > ALIGNED { step / ALIGNED * ALIGNED } else { step.max(1) };
    let mut spans: Vec<Span> = Vec::new();
    let mut end = side.saturating_sub(offset).max(1);
    loop {
        // The seam is in the middle of what two tiles share, as if the first ones were not cut off by the image.
        let from = spans.last_mut().map_or(0, |before| {
            let seam = (before.seen.end + end).saturating_sub(side) / 2;
            before.core.end = seam;
            seam
        });
        let seen = end.saturating_sub(side)..end.min(length);
        spans.push(Span { core: from..seen.end, seen });
        if end >= length {
            return spans;
        }
        end += step;
    }
}

impl Tile {
    /// How far the centre of a box is outside the core, in pixels; 0 inside.
    pub fn outside_core(&self, [x1, y1, x2, y2]: [f32; 4]) -> f32 {
        let along = |axis: usize, at: f32| {
            let Range { start, end } = &self.core[axis];
            let (first, last) = (*start == 0, *end == self.whole[axis]);
            let below = if first { 0.0 } else { *start as f32 - at };
            // A centre on the seam belongs to the tile behind it.
            let above = if last || at < *end as f32 { 0.0 } else { (at - *end as f32).max(f32::MIN_POSITIVE) };
            below.max(above).max(0.0)
        };
        along(0, (y1 + y2) / 2.0).max(along(1, (x1 + x2) / 2.0))
    }

    /// Whether a box touches an edge of the tile that is none of the image's, so that it may go on there.
    pub fn cuts(&self, [x1, y1, x2, y2]: [f32; 4]) -> bool {
        /// A box that the network clipped ends on the edge; one that it guessed a little short of it is cut as well.
        const NEAR: f32 = 2.0;
        let along = |axis: usize, low: f32, high: f32| {
            let Range { start, end } = &self.seen[axis];
            (*start > 0 && low < *start as f32 + NEAR) || (*end < self.whole[axis] && high > *end as f32 - NEAR)
        };
        along(0, y1, y2) || along(1, x1, x2)
    }
}
