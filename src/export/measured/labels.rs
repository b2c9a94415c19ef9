//! A label image as TIFF: 0 is background, value k is the k-th cell of the table.

use std::io::Cursor;

use tiff::encoder::compression::DeflateLevel;
use tiff::encoder::{Compression, TiffEncoder, colortype};

use super::cells;
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::limits;

/// 16 bits a pixel where they suffice for all cells, else 32. Where cells overlap, the one with the smaller number is on top,
/// which has the higher score.
///
/// # Errors
/// A mask of another size than the image; an image without pixels, or with more than [`limits::IMAGE_PIXELS`].
pub(super) fn tiff(image: &ImageDetections) -> Result<Vec<u8>> {
    let (width, height) = (image.width, image.height);
    let pixels = u64::from(width) * u64::from(height);
    limits::check(&image.image, "the number of pixels of a label image", pixels, limits::IMAGE_PIXELS)?;
    let mut labels = vec![0u32; pixels as usize];
    for (i, cell) in cells(image).iter().enumerate().rev() {
        let mask = cell.pixels(width, height)?;
        for index in mask.ranges().flat_map(|(start, end)| start..end) {
            // Masks are read column by column.
            let (x, y) = (index / height, index % height);
            if let Some(label) = labels.get_mut(y as usize * width as usize + x as usize) {
                *label = u32::try_from(i + 1).unwrap_or(u32::MAX);
            }
        }
    }
    let failed = |e: tiff::TiffError| Error::Io { path: "label image".to_owned(), reason: e.to_string() };
    let mut bytes = Cursor::new(Vec::new());
    let compression = Compression::Deflate(DeflateLevel::Balanced);
    let mut encoder = TiffEncoder::new(&mut bytes).map_err(failed)?.with_compression(compression);
    match labels.iter().map(|label| u16::try_from(*label)).collect::<std::result::Result<Vec<_>, _>>() {
        Ok(narrow) => encoder.write_image::<colortype::Gray16>(width, height, &narrow),
        Err(_) => encoder.write_image::<colortype::Gray32>(width, height, &labels),
    }
    .map_err(failed)?;
    Ok(bytes.into_inner())
}
