//! Where the pixels of tiles come from.

use std::borrow::Cow;
use std::ops::Range;

use crate::channels::MergedImage;
use crate::error::{Error, Result};

/// An image of which parts can be had.
pub trait Source {
    /// Height and width in pixels.
    fn size(&self) -> [usize; 2];

    /// The pixels of these rows and columns, which are in the image.
    ///
    /// # Errors
    /// A file that cannot be read there.
    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Cow<'_, MergedImage>>;

    /// The whole image where it is in memory.
    fn whole(&self) -> Option<&MergedImage> {
        None
    }
}

impl Source for MergedImage {
    fn size(&self) -> [usize; 2] {
        [self.height as usize, self.width as usize]
    }

    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Cow<'_, MergedImage>> {
        let [height, width] = self.size();
        if self.rgb.len() != height * width * 3 || rows.end > height || columns.end > width {
            return Err(Error::image("image", "the number of pixels does not match its width and height"));
        }
        if rows == (0..height) && columns == (0..width) {
            return Ok(Cow::Borrowed(self));
        }
        let mut rgb = Vec::with_capacity(rows.len() * columns.len() * 3);
        let (y, x) = (rows.len() as u32, columns.len() as u32);
        for row in rows {
            rgb.extend_from_slice(&self.rgb[(row * width + columns.start) * 3..(row * width + columns.end) * 3]);
        }
        Ok(Cow::Owned(MergedImage { width: x, height: y, rgb }))
    }

    fn whole(&self) -> Option<&MergedImage> {
        Some(self)
    }
}

/// Blocks of an overview along each axis, and their side in pixels.
const BLOCKS: usize = 16;
const BLOCK_SIDE: usize = 24;

/// Rows and columns of small evenly spread blocks of an image of that size.
pub fn blocks(size: [usize; 2]) -> Vec<[Range<usize>; 2]> {
    let block = |axis: usize, i: usize| {
        let side = BLOCK_SIDE.min(size[axis]);
        let start = (size[axis] - side) * i / (BLOCKS - 1);
        start..start + side
    };
    (0..BLOCKS).flat_map(|row| (0..BLOCKS).map(move |column| [block(0, row), block(1, column)])).collect()
}

/// The [`blocks`] of an image, each with its first row and column: what can be known of a large image without reading it.
///
/// # Errors
/// A file that cannot be read there.
pub fn overview(source: &dyn Source) -> Result<Vec<([usize; 2], MergedImage)>> {
    let block = |[rows, columns]: [Range<usize>; 2]| {
        let at = [rows.start, columns.start];
        Ok((at, source.region(rows, columns)?.into_owned()))
    };
    blocks(source.size()).into_iter().map(block).collect()
}
