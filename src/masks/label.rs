//! Label images: 0 is background, value k is object k.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, ImageReader, Luma};

use super::{Rle, fault, pixel_count};
use crate::error::{Error, Result};
use crate::limits;

/// An image of object numbers, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelImage {
    width: u32,
    height: u32,
    labels: Vec<u16>,
}

impl LabelImage {
    /// From one object number a pixel, row by row.
    ///
    /// # Errors
    /// `labels` does not have `width` × `height` values.
    pub fn new(width: u32, height: u32, labels: Vec<u16>) -> Result<Self> {
        if labels.len() != pixel_count(width, height)? as usize {
            return Err(fault(format!("{} labels for {width} × {height} pixels", labels.len())));
        }
        Ok(Self { width, height, labels })
    }

    /// Draws `masks[k - 1]` with the value k; where masks overlap, the later one is on top.
    ///
    /// # Errors
    /// A mask of another size, or more than 65,535 masks.
    pub fn from_masks<'a>(width: u32, height: u32, masks: impl IntoIterator<Item = Option<&'a Rle>>) -> Result<Self> {
        let mut labels = vec![0; pixel_count(width, height)? as usize];
        for (k, mask) in masks.into_iter().enumerate() {
            let value = u16::try_from(k + 1).map_err(|_| fault("more objects than a 16-bit label image can hold"))?;
            let Some(mask) = mask else { continue };
            if (mask.width, mask.height) != (width, height) {
                return Err(fault(format!("object {value} has another size than the {width} × {height} image")));
            }
            for (start, end) in mask.ranges() {
                for i in start as usize..end as usize {
                    labels[i % height as usize * width as usize + i / height as usize] = value;
                }
            }
        }
        Ok(Self { width, height, labels })
    }

    /// Reads an 8- or 16-bit grey PNG or TIFF.
    ///
    /// # Errors
    /// Another kind of file, a colour picture, a broken file, or one over a cap of [`limits`].
    pub fn decode(file: &str, bytes: &[u8]) -> Result<Self> {
        limits::check(file, "the file size in bytes", bytes.len() as u64, limits::FILE_BYTES)?;
        let broken = |e: &dyn std::fmt::Display| Error::image(file, format!("cannot be read as a label image: {e}"));
        let open = || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| broken(&e));
        let mut reader = open()?;
        if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Tiff)) {
            return Err(Error::image(file, "is no PNG or TIFF; a label image must be one of them"));
        }
        let (width, height) = open()?.into_dimensions().map_err(|e| broken(&e))?;
        limits::check(file, "a side in pixels", width.max(height).into(), limits::IMAGE_SIDE.into())?;
        let mut caps = image::Limits::default();
        caps.max_image_width = Some(limits::IMAGE_SIDE);
        caps.max_image_height = Some(limits::IMAGE_SIDE);
        caps.max_alloc = Some(limits::IMAGE_BYTES);
        reader.limits(caps);
        let labels = match reader.decode().map_err(|e| broken(&e))? {
            DynamicImage::ImageLuma8(grey) => grey.into_raw().into_iter().map(u16::from).collect(),
            DynamicImage::ImageLuma16(grey) => grey.into_raw(),
            _ => return Err(Error::image(file, "is a colour picture; a label image is 8- or 16-bit grey")),
        };
        Self::new(width, height, labels)
    }

    /// A grey PNG, with 8 bits a pixel where they suffice.
    ///
    /// # Errors
    /// None that the data can cause; the encoder's are passed on.
    pub fn encode_png(&self) -> Result<Vec<u8>> {
        let narrow: Option<Vec<u8>> = self.labels.iter().map(|&l| u8::try_from(l).ok()).collect();
        let picture = match narrow {
            Some(narrow) => ImageBuffer::<Luma<u8>, _>::from_raw(self.width, self.height, narrow).map(Into::into),
            None => ImageBuffer::<Luma<u16>, _>::from_raw(self.width, self.height, self.labels.clone()).map(Into::into),
        };
        let picture: DynamicImage = picture.ok_or_else(|| fault("a label image of the wrong length"))?;
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).map_err(|e| fault(format!("cannot write a PNG: {e}")))?;
        Ok(png.into_inner())
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// The mask of each value that occurs, but 0.
    pub fn masks(&self) -> BTreeMap<u16, Rle> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut ranges: BTreeMap<u16, Vec<(u32, u32)>> = BTreeMap::new();
        let (mut value, mut start) = (0, 0);
        for i in 0..=width * height {
            let next = if i < width * height { self.labels[i % height * width + i / height] } else { 0 };
            if next != value {
                if value != 0 {
                    ranges.entry(value).or_default().push((start, i as u32));
                }
                (value, start) = (next, i as u32);
            }
        }
        let pixels = self.width * self.height;
        let rle = |r: Vec<_>| Rle::from_ranges(self.width, self.height, pixels, r.into_iter());
        ranges.into_iter().map(|(value, r)| (value, rle(r))).collect()
    }
}
