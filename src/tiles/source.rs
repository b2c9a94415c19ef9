//! Where the pixels of tiles come from.

use std::borrow::Cow;
use std::ops::Range;

use crate::channels::MergedImage;
use crate::error::{Error, Result};
use crate::model::DetectorConfig;
use crate::model::intensity::Window;
use crate::model::transform::{NetworkInput, Part};

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

/// Pixels of the image that are read for an input at a time, 50 MB of them: at a tenth of its scale a tile covers a hundred
/// million.
const PIXELS_AT_A_TIME: usize = 4 << 20;

/// The network's input for a part of an image, read in bands of rows.
///
/// # Errors
/// A file that cannot be read there.
pub fn input(image: &dyn Source, part: &Part, config: &DetectorConfig, window: Window) -> Result<NetworkInput> {
    let [rows, columns] = part.seen.clone();
    let [needed_rows, needed_columns] = part.needed();
    let bands = (needed_rows.len() * needed_columns.len()).div_ceil(PIXELS_AT_A_TIME).max(1);
    let height = rows.len().div_ceil(bands);
    let mut all: Option<NetworkInput> = None;
    for start in rows.clone().step_by(height.max(1)) {
        let seen = [start..(start + height).min(rows.end), columns.clone()];
        let band = Part { seen, ..part.clone() };
        let [band_rows, band_columns] = band.needed();
        let at = [band_rows.start, band_columns.start];
        let input = NetworkInput::unpadded(&*image.region(band_rows, band_columns)?, at, &band, config, window)?;
        match &mut all {
            None => all = Some(input),
            Some(all) => {
                all.values.extend(input.values);
                all.padded[0] += input.padded[0];
                all.size[0] += input.size[0];
            }
        }
    }
    all.map(|all| all.pad(config)).ok_or_else(|| Error::image("image", "it has no pixels"))
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
