//! COCO JSON: boxes `[x, y, width, height]` in pixels from 0, polygons, and run lengths (plain or compressed).
//!
//! What COCO has no word for stands under further keys, which other programs pass over: `verified`, `ignored` and
//! `incomplete` on an image, `difficult` and `truncated` on an annotation, each only where there is something to say.

mod read;
pub(in crate::annotations) mod tried;
mod write;

pub use read::read;
pub(in crate::annotations) use read::read_sized;
pub use write::{CocoImage, CocoItem, write, write_measured, write_to};

#[cfg(test)]
mod tests;
