//! Label images: 0 is background, value k is object k.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma};

use super::{Rle, fault, pixel_count};
use crate::channels::{LabelSamples, label_samples};
use crate::error::Result;
use crate::limits;

/// An image of object numbers, row by row.
#[derive(Debug, Clone)]
pub struct LabelImage {
    width: u32,
    height: u32,
    labels: Vec<u16>,
    bits: u8,
    renumbered: bool,
}

/// Equal where every pixel is, whatever the depth of the file.
impl PartialEq for LabelImage {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height) && self.labels == other.labels
    }
}

impl Eq for LabelImage {}

impl LabelImage {
    /// From one object number a pixel, row by row.
    ///
    /// # Errors
    /// `labels` does not have `width` × `height` values.
    pub fn new(width: u32, height: u32, labels: Vec<u16>) -> Result<Self> {
        if labels.len() != pixel_count(width, height)? as usize {
            return Err(fault(format!("{} labels for {width} × {height} pixels", labels.len())));
        }
        Ok(Self { width, height, labels, bits: 16, renumbered: false })
    }

    /// Draws `masks[k - 1]` with the value k; where masks overlap, the later one is on top.
    ///
    /// # Errors
    /// A mask of another size, or more than 65,535 masks.
    pub fn from_masks<'a>(width: u32, height: u32, masks: impl IntoIterator<Item = Option<&'a Rle>>) -> Result<Self> {
        let pixels = pixel_count(width, height)?;
        // Unlike runs, these are memory.
        limits::check("label image", "the number of pixels", pixels.into(), limits::IMAGE_PIXELS)?;
        let mut labels = vec![0; pixels as usize];
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
        Ok(Self { width, height, labels, bits: 16, renumbered: false })
    }

    /// Reads a PNG or TIFF as numbers: the index of a palette and not its colour, 1 to 64 bits as they are, whole numbers in
    /// floats. Values above 65,535 get other numbers, from 65,535 down.
    ///
    /// # Errors
    /// Another kind of file, a colour image, values that are not object numbers, a broken file, or one over a cap of
    /// [`limits`].
    pub fn decode(file: &str, bytes: &[u8]) -> Result<Self> {
        let LabelSamples { width, height, values, bits, renumbered } = label_samples(file, bytes)?;
        let this = Self { width, height, labels: values, bits, renumbered };
        limits::check(file, "the number of values", this.values().len() as u64, limits::OBJECTS as u64)?;
        limits::check(file, "the number of runs of one value", this.runs() as u64, limits::LABEL_RUNS)?;
        Ok(this)
    }

    /// The values that occur, but 0.
    fn values(&self) -> BTreeSet<u16> {
        let mut seen = vec![false; 1 << 16];
        self.labels.iter().for_each(|label| seen[usize::from(*label)] = true);
        (1..=u16::MAX).filter(|value| seen[usize::from(*value)]).collect()
    }

    /// Changes of the value from a pixel to the one below it.
    fn runs(&self) -> usize {
        let width = self.width as usize;
        self.labels.iter().zip(self.labels.iter().skip(width)).filter(|(above, below)| above != below).count() + width
    }

    /// Bits of a sample in the file that it was read from, or 16.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// A grey PNG, with 8 bits a pixel where they suffice.
    ///
    /// # Errors
    /// None that the data can cause; the encoder's are passed on.
    pub fn encode_png(&self) -> Result<Vec<u8>> {
        let narrow: Option<Vec<u8>> = self.labels.iter().map(|&l| u8::try_from(l).ok()).collect();
        let merged_image = match narrow {
            Some(narrow) => ImageBuffer::<Luma<u8>, _>::from_raw(self.width, self.height, narrow).map(Into::into),
            None => ImageBuffer::<Luma<u16>, _>::from_raw(self.width, self.height, self.labels.clone()).map(Into::into),
        };
        let merged_image: DynamicImage = merged_image.ok_or_else(|| fault("a label image of the wrong length"))?;
        let mut png = Cursor::new(Vec::new());
        merged_image.write_to(&mut png, ImageFormat::Png).map_err(|e| fault(format!("cannot write a PNG: {e}")))?;
        Ok(png.into_inner())
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether values above 65,535 have got other numbers.
    pub fn is_renumbered(&self) -> bool {
        self.renumbered
    }

    /// The mask of all that is not 0; `None` where nothing is.
    pub fn whole(&self) -> Option<Rle> {
        let bitmap: Vec<bool> = self.labels.iter().map(|label| *label != 0).collect();
        Rle::from_bitmap(self.width, self.height, &bitmap).ok().filter(|mask| mask.area() > 0)
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
