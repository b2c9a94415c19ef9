//! The ring around a cell in which its background is measured.

use super::region::{Region, Run, push_runs};
use crate::error::{Error, Result};
use crate::limits;

/// The pixels whose distance to the cell is more than `inner` and at most `outer`, and that belong to no cell. The distance is
/// that of a pixel's centre to the nearest centre of a pixel of the cell, as `distance_transform_edt` of SciPy gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    inner: u32,
    outer: u32,
}

/// Two pixels for the blur of the cell's edge, then three.
impl Default for Ring {
    fn default() -> Self {
        Self { inner: 2, outer: 5 }
    }
}

impl Ring {
    /// Distances in pixels.
    ///
    /// # Errors
    /// `outer` is not more than `inner`, or more than [`limits::RING_PIXELS`].
    pub fn new(inner: u32, outer: u32) -> Result<Self> {
        if inner >= outer || outer > limits::RING_PIXELS {
            let most = limits::RING_PIXELS;
            return Err(Error::Usage(format!(
                "a ring from {inner} to {outer} pixels: the outer distance must exceed the inner one, and be at most {most}"
            )));
        }
        Ok(Self { inner, outer })
    }

    pub fn inner(self) -> u32 {
        self.inner
    }

    pub fn outer(self) -> u32 {
        self.outer
    }

    /// The ring of a region of a `width` × `height` image; `occupied` are the pixels of all cells, row by row.
    pub(super) fn around(self, region: &Region, width: u32, height: u32, occupied: &[bool]) -> Vec<Run> {
        let [x1, y1, x2, y2] = region.bbox;
        let window = [
            x1.saturating_sub(self.outer),
            y1.saturating_sub(self.outer),
            x2.saturating_add(self.outer).min(width),
            y2.saturating_add(self.outer).min(height),
        ];
        let columns = (window[2] - window[0]) as usize;
        let vertical = self.vertical(region, window);
        let (inner, outer) = (self.inner * self.inner, self.outer * self.outer);
        let reach = (self.outer as usize).min(columns - 1);
        let mut squares = vec![0u32; columns];
        let mut nearest = vec![0u32; columns];
        let mut runs = Vec::new();
        for (y, row) in (window[1]..).zip(vertical.chunks_exact(columns)) {
            for (square, distance) in squares.iter_mut().zip(row) {
                *square = u32::from(*distance).pow(2);
            }
            // d² = min over dx of dx² + (distance within that column)², for dx in both directions.
            nearest.copy_from_slice(&squares);
            for dx in 1..=reach {
                let step = (dx * dx) as u32;
                let pull = |to: &mut u32, from: &u32| *to = (*to).min(*from + step);
                nearest.iter_mut().zip(&squares[dx..]).for_each(|(to, from)| pull(to, from));
                nearest[dx..].iter_mut().zip(&squares).for_each(|(to, from)| pull(to, from));
            }
            let at = y * width + window[0];
            let free = occupied.iter().skip(at as usize);
            let is_ring = nearest.iter().zip(free).map(|(d, taken)| *d > inner && *d <= outer && !taken);
            push_runs(is_ring, at, &mut runs);
        }
        runs
    }

    /// The distance of each pixel of the window to the nearest pixel of the region in its column; all that is beyond the ring is
    /// one more than its outer distance.
    fn vertical(self, region: &Region, [left, top, right, foot]: [u32; 4]) -> Vec<u8> {
        let (columns, rows) = ((right - left) as usize, (foot - top) as usize);
        // The cap of the outer distance is below 255.
        let far = (self.outer + 1).min(255) as u8;
        let mut distance = vec![far; columns * rows];
        let first = (region.bbox[1] - top) as usize * columns + (region.bbox[0] - left) as usize;
        for (i, row) in region.rows().enumerate() {
            let line = distance.iter_mut().skip(first + i * columns);
            line.zip(row).filter(|(_, pixel)| **pixel != 0).for_each(|(distance, _)| *distance = 0);
        }
        for i in columns..distance.len() {
            distance[i] = distance[i].min(distance[i - columns].saturating_add(1));
        }
        for i in (columns..distance.len()).rev() {
            distance[i - columns] = distance[i - columns].min(distance[i].saturating_add(1));
        }
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::Rle;

    #[test]
    fn distances_must_be_in_order() {
        assert!(Ring::new(2, 2).is_err() && Ring::new(3, 2).is_err() && Ring::new(0, limits::RING_PIXELS + 1).is_err());
        assert!(Ring::new(0, limits::RING_PIXELS).is_ok());
    }

    #[test]
    fn a_ring_leaves_out_other_cells_and_ends_at_the_edge() {
        let one = Rle::from_box(9, 9, [0.0, 0.0, 1.0, 1.0]).unwrap();
        let mut occupied = vec![false; 81];
        (occupied[0], occupied[1]) = (true, true);
        let region = Region::new(&one).unwrap();
        // (0, 1) and (1, 1) are at 1 and √2; (1, 0) is taken.
        assert_eq!(Ring::new(0, 1).unwrap().around(&region, 9, 9, &occupied), [(9, 10)]);
        assert_eq!(Ring::new(1, 2).unwrap().around(&region, 9, 9, &occupied), [(2, 3), (10, 11), (18, 19)]);
    }
}
