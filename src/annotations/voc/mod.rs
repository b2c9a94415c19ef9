//! Pascal VOC XML, as LabelImg (`libs/pascal_voc_io.py`) reads and writes it.
//!
//! Corners in the file are 1-based pixels, both included: a box `(x1, y1, x2, y2)` is `xmin = x1 + 1`, `ymin = y1 + 1`,
//! `xmax = x2`, `ymax = y2`. LabelImg writes `xmin = xmax` for a click without a drag, so such an object is not a box; a box
//! of one pixel or less cannot be said in this format and is written two pixels wide.

mod object;
mod read;
mod write;

pub use read::read;
pub(in crate::annotations) use read::read_with_places;
pub use write::write;

#[cfg(test)]
mod tests;
