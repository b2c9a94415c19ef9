//! The pixels of one cell within their bounding box.

use crate::masks::Rle;

/// A half-open range of row-major indices into the image.
pub(super) type Run = (u32, u32);

/// A cell of at least one pixel.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// `[x1, y1, x2, y2]`, the right and lower one excluded.
    pub bbox: [u32; 4],
    /// Width and height of the whole image.
    pub image: [u32; 2],
    /// 1 for the cell's pixels, row by row, with a margin of one pixel of background around the bounding box, so that every
    /// pixel of the cell has eight neighbours.
    padded: Vec<u8>,
}

impl Region {
    /// `None` for a mask without pixels.
    pub fn new(mask: &Rle) -> Option<Self> {
        let bbox = mask.bbox()?;
        let [x1, y1, x2, y2] = bbox;
        let stride = (x2 - x1) as usize + 2;
        let mut padded = vec![0; stride * ((y2 - y1) as usize + 2)];
        for_each_column(mask, |x, top, foot| {
            let first = (top - y1 + 1) as usize * stride + (x - x1 + 1) as usize;
            padded.iter_mut().skip(first).step_by(stride).take((foot - top) as usize).for_each(|pixel| *pixel = 1);
        });
        Some(Self { bbox, image: [mask.width(), mask.height()], padded })
    }

    pub fn width(&self) -> usize {
        (self.bbox[2] - self.bbox[0]) as usize
    }

    pub fn height(&self) -> usize {
        (self.bbox[3] - self.bbox[1]) as usize
    }

    /// Pixels and margin, row by row, and the length of a row.
    pub fn padded(&self) -> (&[u8], usize) {
        (&self.padded, self.width() + 2)
    }

    /// The rows of the bounding box from the top, without the margin.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let stride = self.width() + 2;
        self.padded.chunks_exact(stride).skip(1).take(self.height()).map(move |row| &row[1..stride - 1])
    }

    /// The cell's pixels in an image of that width.
    pub fn runs(&self, width: u32) -> Vec<Run> {
        let mut runs = Vec::new();
        for (y, row) in (self.bbox[1]..).zip(self.rows()) {
            push_runs(row.iter().map(|pixel| *pixel != 0), y * width + self.bbox[0], &mut runs);
        }
        runs
    }
}

/// Appends the runs of one row whose first pixel has the index `at`.
pub(super) fn push_runs(row: impl Iterator<Item = bool>, at: u32, runs: &mut Vec<Run>) {
    let mut inside = false;
    for (index, is_in) in (at..).zip(row) {
        match runs.last_mut() {
            Some(last) if is_in && inside => last.1 = index + 1,
            _ if is_in => runs.push((index, index + 1)),
            _ => {}
        }
        inside = is_in;
    }
}

/// Sets the pixels of a mask in an image, row by row.
pub(super) fn mark(mask: &Rle, image: &mut [bool]) {
    let width = mask.width() as usize;
    for_each_column(mask, |x, top, foot| {
        let first = top as usize * width + x as usize;
        image.iter_mut().skip(first).step_by(width).take((foot - top) as usize).for_each(|pixel| *pixel = true);
    });
}

/// Visits the stretches of a mask: column, first row, row behind the last.
fn for_each_column(mask: &Rle, mut visit: impl FnMut(u32, u32, u32)) {
    let height = mask.height();
    for (mut start, end) in mask.ranges() {
        while start < end {
            let x = start / height;
            let foot = ((x + 1) * height).min(end);
            visit(x, start - x * height, foot - x * height);
            start = foot;
        }
    }
}
