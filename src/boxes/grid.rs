//! Boxes by the place where they lie, so that a box is compared with its neighbours alone: non-maximum suppression of ten
//! thousand boxes compares each with some twenty.

use std::collections::HashMap;

use super::iou;

/// A box over more cells along an axis is kept apart and always compared.
const MOST_CELLS: i64 = 16;

/// Boxes in groups, found by their overlap with another box of the group.
#[derive(Debug)]
pub struct BoxGrid {
    /// Side of a cell, in the unit of the boxes.
    side: f32,
    boxes: Vec<[f32; 4]>,
    groups: Vec<u32>,
    /// Indices of the boxes that touch a cell, by group, column and row.
    cells: HashMap<(u32, i64, i64), Vec<usize>>,
    /// Indices of the large ones, by group.
    large: HashMap<u32, Vec<usize>>,
}

impl BoxGrid {
    /// An empty grid whose cells are as large as most of `boxes`.
    pub fn for_boxes(boxes: &[[f32; 4]]) -> Self {
        let mut sides: Vec<f32> = boxes.iter().map(|[x1, y1, x2, y2]| (x2 - x1).max(y2 - y1)).collect();
        let middle = sides.len() / 2;
        let side = if sides.is_empty() { 1.0 } else { *sides.select_nth_unstable_by(middle, f32::total_cmp).1 };
        let side = if side.is_finite() { side.max(1.0) } else { 1.0 };
        Self { side, boxes: Vec::new(), groups: Vec::new(), cells: HashMap::new(), large: HashMap::new() }
    }

    /// Columns and rows that a box touches; `None` for a large one.
    fn cells_of(&self, [x1, y1, x2, y2]: [f32; 4]) -> Option<impl Iterator<Item = (i64, i64)> + use<>> {
        let cell = |v: f32| (v / self.side).floor() as i64;
        let (columns, rows) = (cell(x1)..=cell(x2), cell(y1)..=cell(y2));
        let long = |from: i64, to: i64| to.saturating_sub(from) >= MOST_CELLS;
        let is_large = long(*columns.start(), *columns.end()) || long(*rows.start(), *rows.end());
        (!is_large).then(|| columns.flat_map(move |column| rows.clone().map(move |row| (column, row))))
    }

    /// Adds a box and returns its index.
    pub fn push(&mut self, corners: [f32; 4], group: u32) -> usize {
        let index = self.boxes.len();
        self.boxes.push(corners);
        self.groups.push(group);
        match self.cells_of(corners) {
            Some(cells) => cells.for_each(|(x, y)| self.cells.entry((group, x, y)).or_default().push(index)),
            None => self.large.entry(group).or_default().push(index),
        }
        index
    }

    /// The boxes of a group that may overlap this one, by index; one may come several times.
    pub fn near(&self, corners: [f32; 4], group: u32) -> Box<dyn Iterator<Item = usize> + '_> {
        let large = self.large.get(&group).into_iter().flatten().copied();
        match self.cells_of(corners) {
            Some(cells) => {
                let found = cells.filter_map(move |(x, y)| self.cells.get(&(group, x, y)));
                Box::new(large.chain(found.flatten().copied()))
            }
            // The cells of a large box may be more than the boxes.
            None => Box::new((0..self.boxes.len()).filter(move |&i| self.groups[i] == group)),
        }
    }

    /// Whether a box of the group has an IoU with this one of more than `threshold`, which is not negative.
    pub fn has_overlap(&self, corners: [f32; 4], group: u32, threshold: f32) -> bool {
        self.near(corners, group).any(|i| iou(self.boxes[i], corners) > threshold)
    }
}
