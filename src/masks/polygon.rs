//! Polygons to masks, pixel for pixel as `rleFrPoly` of pycocotools (`maskApi.c`) does it.

use super::{Rle, fault, pixel_count};
use crate::error::Result;
use crate::limits;

/// The boundary is walked on a grid this much finer than the pixels.
const SCALE: f64 = 5.0;

impl Rle {
    /// The union of polygons with corners `[x, y]` in pixels.
    ///
    /// # Errors
    /// No polygon, one of fewer than three corners, a corner that is not finite or is farther outside than the image is
    /// wide or high, or outlines that are too long together ([`limits::OUTLINE_PIXELS`]).
    pub fn from_polygons(width: u32, height: u32, polygons: &[Vec<[f64; 2]>]) -> Result<Self> {
        Self::from_polygons_within(width, height, polygons, &mut { limits::OUTLINE_PIXELS })
    }

    /// [`Rle::from_polygons`] for one object of many, which share `budget`: pixels along outlines that may still be
    /// walked.
    pub(crate) fn from_polygons_within(
        width: u32,
        height: u32,
        polygons: &[Vec<[f64; 2]>],
        budget: &mut u64,
    ) -> Result<Self> {
        if polygons.is_empty() {
            return Err(fault("no polygon"));
        }
        let mut ranges = Vec::new();
        for polygon in polygons {
            ranges.extend(from_polygon(width, height, polygon, budget)?.ranges());
        }
        Ok(Self::from_loose_ranges(width, height, pixel_count(width, height)?, ranges))
    }
}

fn from_polygon(width: u32, height: u32, polygon: &[[f64; 2]], budget: &mut u64) -> Result<Rle> {
    let pixels = pixel_count(width, height)?;
    if polygon.len() < 3 {
        return Err(fault(format!("a polygon of {} corners", polygon.len())));
    }
    let (w, h) = (f64::from(width), f64::from(height));
    let mut corners = Vec::with_capacity(polygon.len() + 1);
    for &[x, y] in polygon {
        // Also false for NaN.
        if !((-w..=2.0 * w).contains(&x) && (-h..=2.0 * h).contains(&y)) {
            return Err(fault(format!("a polygon has a corner ({x}, {y}) far outside {width} × {height} pixels")));
        }
        corners.push([(SCALE * x + 0.5) as i64, (SCALE * y + 0.5) as i64]);
    }
    corners.push(corners[0]);
    let length: u64 = corners.windows(2).map(|e| e[0][0].abs_diff(e[1][0]).max(e[0][1].abs_diff(e[1][1])) + 1).sum();
    *budget = budget.checked_sub(length / SCALE as u64).ok_or_else(|| fault("its polygons are far too long"))?;

    // Column-major indices at which inside and outside change.
    let mut changes: Vec<u32> = Vec::new();
    let mut previous: Option<[i64; 2]> = None;
    for edge in corners.windows(2) {
        walk(edge[0], edge[1], |point| {
            if let Some(before) = previous.replace(point) {
                changes.extend(crossing(before, point, width, height));
            }
        });
    }
    changes.sort_unstable();
    // Two changes at the same place cancel, which `from_counts` does with the empty run between them.
    changes.push(pixels);
    let mut at = 0;
    let counts = changes.into_iter().map(|change| change - std::mem::replace(&mut at, change)).collect();
    Rle::from_counts(width, height, counts)
}

/// Visits the points of the fine grid from `start` to `end`, both included.
fn walk(start: [i64; 2], end: [i64; 2], mut visit: impl FnMut([i64; 2])) {
    let (dx, dy) = ((end[0] - start[0]).abs(), (end[1] - start[1]).abs());
    let flip = (dx >= dy && start[0] > end[0]) || (dx < dy && start[1] > end[1]);
    let ([xs, ys], [xe, ye]) = if flip { (end, start) } else { (start, end) };
    let steps = dx.max(dy);
    let slope = match steps {
        0 => 0.0,
        _ if dx >= dy => (ye - ys) as f64 / dx as f64,
        _ => (xe - xs) as f64 / dy as f64,
    };
    for d in 0..=steps {
        let t = if flip { steps - d } else { d };
        if dx >= dy {
            visit([t + xs, (ys as f64 + slope * t as f64 + 0.5) as i64]);
        } else {
            visit([(xs as f64 + slope * t as f64 + 0.5) as i64, t + ys]);
        }
    }
}

/// The index of the pixel where the boundary crosses the middle of a column of pixels, if it does.
fn crossing([u0, v0]: [i64; 2], [u1, v1]: [i64; 2], width: u32, height: u32) -> Option<u32> {
    if u1 == u0 {
        return None;
    }
    let x = ((if u1 < u0 { u1 } else { u1 - 1 }) as f64 + 0.5) / SCALE - 0.5;
    if x.floor() != x || x < 0.0 || x > f64::from(width - 1) {
        return None;
    }
    let y = (v1.min(v0) as f64 + 0.5) / SCALE - 0.5;
    let y = y.clamp(0.0, f64::from(height)).ceil();
    Some(x as u32 * height + y as u32)
}
