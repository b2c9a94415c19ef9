//! A label image: 0 is background, value k is the k-th cell of the table.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype};

use super::cells;
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::limits;

/// Where cells overlap, the one with the smaller number is on top, which has the higher score.
///
/// # Errors
/// A mask of another size than the image; an image without pixels, or with more than [`limits::IMAGE_PIXELS`].
fn values(image: &ImageDetections) -> Result<Vec<u32>> {
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
    Ok(labels)
}

fn in_16_bits(labels: &[u32]) -> Option<Vec<u16>> {
    labels.iter().map(|label| u16::try_from(*label).ok()).collect()
}

fn failed(reason: impl std::fmt::Display) -> Error {
    Error::Io { path: "label image".to_owned(), reason: reason.to_string() }
}

/// A TIFF: 16 bits a pixel where they suffice for all cells, else 32.
///
/// # Errors
/// A mask of another size than the image, or an image without pixels.
pub(super) fn tiff(image: &ImageDetections) -> Result<Vec<u8>> {
    let (labels, (width, height)) = (values(image)?, (image.width, image.height));
    let mut bytes = Cursor::new(Vec::new());
    let compression = Compression::Deflate(DeflateLevel::Balanced);
    let mut encoder = TiffEncoder::new(&mut bytes).map_err(failed)?.with_compression(compression);
    match in_16_bits(&labels) {
        Some(narrow) => encoder.write_image::<colortype::Gray16>(width, height, &narrow),
        None => encoder.write_image::<colortype::Gray32>(width, height, &labels),
    }
    .map_err(failed)?;
    Ok(bytes.into_inner())
}

/// A PNG of 16 bits a pixel, which the format ends at; `None` where they do not suffice for all cells.
///
/// # Errors
/// As [`tiff`].
pub(super) fn png(image: &ImageDetections) -> Result<Option<Vec<u8>>> {
    let Some(narrow) = in_16_bits(&values(image)?) else { return Ok(None) };
    let buffer = ImageBuffer::<Luma<u16>, _>::from_raw(image.width, image.height, narrow);
    let buffer: DynamicImage = buffer.ok_or_else(|| failed("it has the wrong length"))?.into();
    let mut bytes = Cursor::new(Vec::new());
    buffer.write_to(&mut bytes, ImageFormat::Png).map_err(failed)?;
    Ok(Some(bytes.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::BoxXyxy;
    use crate::detections::Detection;
    use crate::export::{MeasuredFormat, measured_file};
    use crate::measure::Table;

    /// One cell a pixel, row by row.
    fn crowd(width: u32, height: u32) -> ImageDetections {
        let cell = |i: u32| {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let bbox = BoxXyxy::new([x, y, x + 1.0, y + 1.0], width, height).unwrap();
            Detection { bbox, label: "a".into(), score: 0.5, mask: None }
        };
        let detections = (0..width * height).map(cell).collect();
        ImageDetections { image: "crowd".into(), width, height, detections, ..ImageDetections::default() }
    }

    fn decoded(bytes: Vec<u8>) -> tiff::decoder::DecodingResult {
        tiff::decoder::Decoder::new(Cursor::new(bytes)).unwrap().read_image().unwrap()
    }

    #[test]
    fn more_cells_than_16_bits_count_take_32_and_no_png() {
        use tiff::decoder::DecodingResult;
        let few = crowd(257, 255);
        assert_eq!(few.detections.len(), 65_535);
        let expected: Vec<u16> = (1..=65_535).collect();
        assert!(matches!(decoded(tiff(&few).unwrap()), DecodingResult::U16(v) if v == expected));
        let back = image::load_from_memory(&png(&few).unwrap().unwrap()).unwrap();
        assert_eq!(back.into_luma16().into_raw(), expected);

        let many = crowd(256, 257);
        let expected: Vec<u32> = (1..=65_792).collect();
        assert!(matches!(decoded(tiff(&many).unwrap()), DecodingResult::U32(v) if v == expected));
        let file = measured_file(MeasuredFormat::LabelsPng, &many, &Table::default()).unwrap().unwrap();
        assert_eq!(file.ending, "_labels.tif");
        assert!(file.note.unwrap().contains("65792 cells"));
        assert!(matches!(decoded(file.bytes), DecodingResult::U32(v) if v == expected));
    }
}
