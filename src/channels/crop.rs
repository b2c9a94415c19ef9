//! Cells cut out of an image, for a gallery.

use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

use super::merge::{MergedImage, to_u8};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};

/// Side of the square over the longer side of the box, so that a cell is seen with a little of what is around it.
const ROOM: f32 = 1.25;
/// Quality at which a crop of 96 pixels takes 2 to 4 kB and shows no blocks.
const JPEG_QUALITY: u8 = 85;

/// The square around a box as `side * side` RGBA8 pixels with alpha 255, and transparent black beyond the image. Enlarged it is
/// interpolated, reduced each pixel is a mean of what it covers.
pub fn crop(merged_image: &MergedImage, bbox: BoxXyxy, side: u32) -> Vec<u8> {
    let [x1, y1, x2, y2] = bbox.corners();
    let length = (x2 - x1).max(y2 - y1) * ROOM;
    let (left, top) = ((x1 + x2 - length) / 2.0, (y1 + y2 - length) / 2.0);
    let step = length / side as f32;
    // Samples along a side of a pixel: one where it covers no more than one.
    let samples = (step.ceil() as u32).clamp(1, 8);
    let mut rgba = Vec::with_capacity(side as usize * side as usize * 4);
    for row in 0..side {
        for column in 0..side {
            let (mut sum, mut inside) = ([0f32; 3], 0f32);
            for i in 0..samples * samples {
                let along = |at: u32, within: u32| (at as f32 + (within as f32 + 0.5) / samples as f32) * step;
                let (x, y) = (left + along(column, i % samples), top + along(row, i / samples));
                if let Some(rgb) = sample(merged_image, x, y) {
                    (0..3).for_each(|c| sum[c] += rgb[c]);
                    inside += 1.0;
                }
            }
            match inside > 0.0 {
                true => rgba.extend([to_u8(sum[0] / inside), to_u8(sum[1] / inside), to_u8(sum[2] / inside), 255]),
                false => rgba.extend([0; 4]),
            }
        }
    }
    rgba
}

/// Bilinear at a point in pixels, whose first has its centre at (0.5, 0.5); `None` beyond the image.
fn sample(merged_image: &MergedImage, x: f32, y: f32) -> Option<[f32; 3]> {
    let (width, height) = (merged_image.width, merged_image.height);
    if x < 0.0 || y < 0.0 || x >= width as f32 || y >= height as f32 {
        return None;
    }
    let axis = |at: f32, length: u32| {
        let at = (at - 0.5).clamp(0.0, (length - 1) as f32);
        (at as usize, (at as usize + 1).min(length as usize - 1), at.fract())
    };
    let ((x0, x1, fx), (y0, y1, fy)) = (axis(x, width), axis(y, height));
    let pixels = merged_image.rgb.as_chunks::<3>().0;
    let at = |x: usize, y: usize| pixels.get(y * width as usize + x).copied().unwrap_or_default();
    let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
    let mixed = |i: usize| (a[i] * (1.0 - fx) + b[i] * fx) * (1.0 - fy) + (c[i] * (1.0 - fx) + d[i] * fx) * fy;
    Some([mixed(0), mixed(1), mixed(2)])
}

/// A crop as a JPEG file.
///
/// # Errors
/// Not `side * side` pixels.
pub fn crop_to_jpeg(rgba: &[u8], side: u32) -> Result<Vec<u8>> {
    let rgb: Vec<u8> = rgba.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
    if side == 0 || rgb.len() as u64 != u64::from(side) * u64::from(side) * 3 {
        return Err(Error::Usage(format!("{} bytes are not a square of {side} pixels", rgba.len())));
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .write_image(&rgb, side, side, ExtendedColorType::Rgb8)
        .map_err(|e| Error::image("a crop", format_args!("it cannot be written as JPEG ({e})")))?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red grows to the right, green downwards.
    fn ramp(width: u32, height: u32) -> MergedImage {
        let pixel = |i: u32| [(i % width) as f32 / width as f32, (i / width) as f32 / height as f32, 0.5];
        MergedImage { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
    }

    #[test]
    fn the_middle_of_a_crop_is_the_middle_of_its_box() {
        let image = ramp(100, 80);
        for (corners, side) in [([40.0, 20.0, 60.0, 60.0], 25), ([40.0, 20.0, 60.0, 60.0], 101)] {
            let crop = crop(&image, BoxXyxy::new(corners, 100, 80).unwrap(), side);
            let middle = ((side / 2 * side + side / 2) * 4) as usize;
            let [r, g, b, a] = crop[middle..middle + 4] else { panic!() };
            assert!(r.abs_diff(126) <= 1 && g.abs_diff(126) <= 1 && (b, a) == (128, 255), "{r} {g} {b} {a}");
            // The left edge is 25 pixels left of the middle: a square of 50 around a box of 40.
            let left = crop[(side / 2 * side * 4) as usize];
            assert!(left.abs_diff((25.5f32 / 100.0 * 255.0) as u8) <= 3, "{left}");
        }
    }

    #[test]
    fn beyond_the_image_there_is_nothing() {
        let crop = crop(&ramp(20, 20), BoxXyxy::new([0.0, 0.0, 8.0, 8.0], 20, 20).unwrap(), 10);
        assert_eq!(crop[..4], [0; 4]);
        assert_eq!(crop[(5 * 10 + 5) * 4 + 3], 255);
        let jpeg = crop_to_jpeg(&crop, 10).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && crop_to_jpeg(&crop, 11).is_err());
    }
}
