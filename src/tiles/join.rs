//! The detections of all tiles as those of one image.

use std::ops::Range;

use crate::boxes::{self, BoxGrid};
use crate::detections::Detection;
use crate::error::Result;
use crate::masks::Rle;

/// Detections of two tiles that overlap more than this are of one cell. Masks are compared where there are some: the boxes of
/// crowded neighbours overlap more than the cells do.
const SAME: f64 = 0.5;
/// The same for two labels: the tiles disagree about one cell. A cell and what is in it do not overlap so much.
const SAME_WITH_OTHER_LABEL: f64 = 0.8;
/// The share of a cut detection that lies on the whole one which it gives way to.
const PART_OF: f64 = 0.5;

/// A detection of one tile.
#[derive(Debug, Clone, PartialEq)]
pub struct TileDetection {
    /// In pixels of the image.
    pub detection: Detection,
    /// The number of its tile.
    pub tile: usize,
    /// Rows and columns of the image that its tile shows.
    pub seen: [Range<f32>; 2],
    /// Whether it touches an inner edge of the tile: it may be a part of a cell.
    pub cut: bool,
    /// Whether its centre is in the core of the tile, and not only near it.
    pub in_core: bool,
}

/// What [`join`] gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Joined {
    /// Best first.
    pub detections: Vec<Detection>,
    /// Cells that no tile shows whole, put together from their parts.
    pub stitched: usize,
}

/// A cell so far: one detection, or the parts of several tiles.
struct Cell {
    whole: Detection,
    parts: Vec<TileDetection>,
}

/// One detection for each cell.
///
/// Within a tile the network's own NMS has decided; here detections of different tiles are compared alone. Whole ones come
/// first, of these the ones of the tile whose core holds their centre, then better scores, then earlier tiles; each gives way
/// to one before it that is of the same cell. Cut ones give way to whole ones that they are a part of, and join other parts
/// that agree with them where both tiles look.
///
/// # Errors
/// Masks of different sizes.
pub fn join(mut found: Vec<TileDetection>) -> Result<Joined> {
    // Stable, so that equal ones stay in the order of tiles.
    found.sort_by(|a, b| {
        let rank = |d: &TileDetection| (d.cut, !d.in_core);
        rank(a).cmp(&rank(b)).then(b.detection.score.total_cmp(&a.detection.score))
    });
    let corners: Vec<_> = found.iter().map(|d| d.detection.bbox.corners()).collect();
    let mut grid = BoxGrid::for_boxes(&corners);
    // Which cell each box of the grid is of.
    let mut owners: Vec<usize> = Vec::new();
    let mut cells: Vec<Cell> = Vec::new();
    for one in found {
        let bbox = one.detection.bbox.corners();
        let mut near: Vec<usize> = grid.near(bbox, 0).map(|i| owners[i]).collect();
        near.sort_unstable();
        near.dedup();
        let (mut parts_of, mut is_known) = (Vec::new(), false);
        for cell in near {
            match relation(&cells[cell], &one)? {
                Relation::Same => is_known = true,
                Relation::Part => parts_of.push(cell),
                Relation::None => {}
            }
        }
        if is_known {
            continue;
        }
        grid.push(bbox, 0);
        let Some((&first, others)) = parts_of.split_first() else {
            owners.push(cells.len());
            cells.push(Cell { whole: one.detection.clone(), parts: vec![one] });
            continue;
        };
        owners.push(first);
        cells[first].add(one)?;
        // Parts of tiles that have nothing in common were two cells until now.
        for &other in others {
            for part in std::mem::take(&mut cells[other].parts) {
                cells[first].add(part)?;
            }
            owners.iter_mut().filter(|owner| **owner == other).for_each(|owner| *owner = first);
        }
    }
    cells.retain(|cell| !cell.parts.is_empty());
    let stitched = cells.iter().filter(|cell| cell.parts.len() > 1).count();
    let mut detections: Vec<Detection> = cells.into_iter().map(|cell| cell.whole).collect();
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(Joined { detections, stitched })
}

enum Relation {
    /// Of another cell.
    None,
    /// Of this cell, which is known already.
    Same,
    /// A further part of this cell.
    Part,
}

fn relation(cell: &Cell, one: &TileDetection) -> Result<Relation> {
    for part in &cell.parts {
        if part.tile == one.tile {
            continue;
        }
        let common = intersection(&part.detection, &one.detection)?;
        if common == 0.0 {
            continue;
        }
        let (area, other) = (area(&one.detection), area(&part.detection));
        let is_same_label = part.detection.label == one.detection.label;
        // Each of two large parts may have what the other lacks.
        if one.cut && part.cut && is_same_label && common > SAME * (shared_area(part, one)? - common) {
            return Ok(Relation::Part);
        }
        let same = if is_same_label { SAME } else { SAME_WITH_OTHER_LABEL };
        let is_part_of = one.cut && !part.cut && is_same_label && common > PART_OF * area;
        if is_part_of || common > same * (area + other - common) {
            return Ok(Relation::Same);
        }
    }
    Ok(Relation::None)
}

impl Cell {
    fn add(&mut self, part: TileDetection) -> Result<()> {
        let whole = &mut self.whole;
        let ([a1, b1, a2, b2], [c1, d1, c2, d2]) = (whole.bbox.corners(), part.detection.bbox.corners());
        whole.bbox = [a1.min(c1), b1.min(d1), a2.max(c2), b2.max(d2)].try_into()?;
        whole.mask = match (&whole.mask, &part.detection.mask) {
            (Some(a), Some(b)) => Some(a.union(b)?),
            _ => None,
        };
        whole.score = whole.score.max(part.detection.score);
        self.parts.push(part);
        Ok(())
    }
}

fn area(detection: &Detection) -> f64 {
    match &detection.mask {
        Some(mask) => f64::from(mask.area()),
        None => f64::from(detection.bbox.area()),
    }
}

fn intersection(a: &Detection, b: &Detection) -> Result<f64> {
    let boxes = overlap(a.bbox.corners(), b.bbox.corners());
    match (&a.mask, &b.mask) {
        (Some(a), Some(b)) if boxes > 0.0 => Ok(f64::from(a.intersection(b)?)),
        _ => Ok(f64::from(boxes)),
    }
}

fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    boxes::ioa(a, b) * boxes::area(a)
}

/// The areas of two parts within what both tiles see, added up.
fn shared_area(a: &TileDetection, b: &TileDetection) -> Result<f64> {
    let along = |axis: usize| a.seen[axis].start.max(b.seen[axis].start)..a.seen[axis].end.min(b.seen[axis].end);
    let (rows, columns) = (along(0), along(1));
    let window = [columns.start, rows.start, columns.end.max(columns.start), rows.end.max(rows.start)];
    let within = |detection: &Detection| match &detection.mask {
        Some(mask) => {
            let window = Rle::from_box(mask.width(), mask.height(), window)?;
            mask.intersection(&window).map(f64::from)
        }
        None => Ok(f64::from(overlap(detection.bbox.corners(), window))),
    };
    Ok(within(&a.detection)? + within(&b.detection)?)
}
