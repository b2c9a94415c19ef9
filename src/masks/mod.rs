//! Masks of single objects as run lengths, in the encoding of COCO (`maskApi.c` of pycocotools).
//!
//! A mask is read column by column; the first run is background, then object and background take turns. The compressed
//! text form is the one that pycocotools writes, so that files go both ways.

mod label;
mod outline;
mod pieces;
mod polygon;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits;

pub use label::LabelImage;
pub use pieces::Doubt;

/// The mask of one object over a whole image.
///
/// Always in canonical form: the runs add up to all pixels, and only the first may be empty. Equal masks are equal
/// values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CocoRle", into = "CocoRle")]
pub struct Rle {
    width: u32,
    height: u32,
    counts: Vec<u32>,
}

/// The form in COCO files: `size` is height and width; `counts` is compressed text or plain numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CocoRle {
    size: [u32; 2],
    counts: CocoCounts,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum CocoCounts {
    Text(String),
    Numbers(Vec<u32>),
}

impl TryFrom<CocoRle> for Rle {
    type Error = Error;

    fn try_from(CocoRle { size: [height, width], counts }: CocoRle) -> Result<Self> {
        match counts {
            CocoCounts::Text(text) => Self::from_coco_string(width, height, &text),
            CocoCounts::Numbers(counts) => Self::from_counts(width, height, counts),
        }
    }
}

impl From<Rle> for CocoRle {
    fn from(rle: Rle) -> Self {
        Self { size: [rle.height, rle.width], counts: CocoCounts::Text(rle.to_coco_string()) }
    }
}

/// A mask that cannot be used; the caller knows the file and the object and says so.
fn fault(reason: impl std::fmt::Display) -> Error {
    Error::Usage(format!("mask: {reason}"))
}

/// Pixels of a `width` × `height` mask.
///
/// # Errors
/// No pixels, or more than [`limits`] allow.
fn pixel_count(width: u32, height: u32) -> Result<u32> {
    if width == 0 || height == 0 {
        return Err(fault(format!("a size of {width} × {height} has no pixels")));
    }
    let pixels = u64::from(width) * u64::from(height);
    limits::check("mask", "the number of pixels", pixels, limits::MASK_PIXELS)?;
    // The cap is below 2³².
    Ok(pixels as u32)
}

impl Rle {
    /// From run lengths, the first of background.
    ///
    /// # Errors
    /// The runs do not add up to `width` × `height`, or that is none or too many.
    pub fn from_counts(width: u32, height: u32, counts: Vec<u32>) -> Result<Self> {
        let pixels = pixel_count(width, height)?;
        let mut canonical: Vec<u32> = Vec::with_capacity(counts.len());
        let mut sum = 0u64;
        // The last run is dropped when empty; one between two of the same kind joins them.
        let mut is_object = false;
        for count in counts {
            sum += u64::from(count);
            if sum > u64::from(pixels) {
                break;
            }
            if count > 0 {
                push_run(&mut canonical, is_object, count);
            }
            is_object = !is_object;
        }
        if sum != u64::from(pixels) {
            return Err(fault(format!("its runs do not add up to the {pixels} pixels of {width} × {height}")));
        }
        Ok(Self { width, height, counts: canonical })
    }

    /// From one value a pixel, row by row.
    ///
    /// # Errors
    /// `bitmap` does not have `width` × `height` values.
    pub fn from_bitmap(width: u32, height: u32, bitmap: &[bool]) -> Result<Self> {
        let pixels = pixel_count(width, height)? as usize;
        if bitmap.len() != pixels {
            return Err(fault(format!("{} values for {width} × {height} pixels", bitmap.len())));
        }
        let mut counts = Vec::new();
        for x in 0..width as usize {
            for y in 0..height as usize {
                push_run(&mut counts, bitmap[y * width as usize + x], 1);
            }
        }
        Ok(Self { width, height, counts })
    }

    /// The pixels whose centre lies in a box.
    ///
    /// # Errors
    /// No pixels, or too many.
    pub fn from_box(width: u32, height: u32, [x1, y1, x2, y2]: [f32; 4]) -> Result<Self> {
        let pixels = pixel_count(width, height)?;
        let index = |at: f32, side: u32| ((at - 0.5).ceil().max(0.0) as u32).min(side);
        let (x1, x2, y1, y2) = (index(x1, width), index(x2, width), index(y1, height), index(y2, height));
        let columns = (x1..x2).map(|x| (x * height + y1, x * height + y2)).filter(|(start, end)| start < end);
        Ok(Self::from_ranges(width, height, pixels, columns))
    }

    /// From the pixels of the object as half-open ranges of column-major indices, in rising order and apart.
    fn from_ranges(width: u32, height: u32, pixels: u32, ranges: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut counts = Vec::new();
        let mut at = 0;
        for (start, end) in ranges {
            push_run(&mut counts, false, start - at);
            push_run(&mut counts, true, end - start);
            at = end;
        }
        if pixels > at {
            push_run(&mut counts, false, pixels - at);
        }
        Self { width, height, counts }
    }

    /// Of the image, in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Of the image, in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Run lengths, the first of background.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The object's pixels as half-open ranges of column-major indices.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut at = 0;
        self.counts.iter().enumerate().filter_map(move |(i, &count)| {
            let start = at;
            at += count;
            (i % 2 == 1).then_some((start, at))
        })
    }

    /// One value a pixel, row by row.
    pub fn to_bitmap(&self) -> Vec<bool> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut bitmap = vec![false; width * height];
        for (start, end) in self.ranges() {
            for i in start as usize..end as usize {
                bitmap[i % height * width + i / height] = true;
            }
        }
        bitmap
    }

    /// Pixels of the object.
    pub fn area(&self) -> u32 {
        self.ranges().map(|(start, end)| end - start).sum()
    }

    /// The smallest `[x1, y1, x2, y2]` round the object, continuous as [`crate::boxes::BoxXyxy`]; `None` if it has no
    /// pixel.
    pub fn bbox(&self) -> Option<[u32; 4]> {
        let mut bounds: Option<[u32; 4]> = None;
        for (start, end) in self.ranges() {
            let (first, last) = (start / self.height, (end - 1) / self.height);
            // A run over the foot of a column covers that column's foot and the next one's head.
            let (top, foot) =
                if first == last { (start % self.height, (end - 1) % self.height + 1) } else { (0, self.height) };
            let [x1, y1, x2, y2] = bounds.unwrap_or([first, top, last + 1, foot]);
            bounds = Some([x1.min(first), y1.min(top), x2.max(last + 1), y2.max(foot)]);
        }
        bounds
    }

    /// Pixels that both masks have.
    ///
    /// # Errors
    /// The masks differ in size.
    pub fn intersection(&self, other: &Self) -> Result<u32> {
        self.check_size(other)?;
        let (mut a, mut b) = (self.ranges().peekable(), other.ranges().peekable());
        let mut common = 0;
        while let (Some(&(a1, a2)), Some(&(b1, b2))) = (a.peek(), b.peek()) {
            common += a2.min(b2).saturating_sub(a1.max(b1));
            if a2 <= b2 {
                a.next();
            } else {
                b.next();
            }
        }
        Ok(common)
    }

    /// Intersection over union; 0 where both are empty. As `maskUtils.iou` without crowds.
    ///
    /// # Errors
    /// The masks differ in size.
    pub fn iou(&self, other: &Self) -> Result<f64> {
        let common = self.intersection(other)?;
        let union = self.area() + other.area() - common;
        Ok(if union == 0 { 0.0 } else { f64::from(common) / f64::from(union) })
    }

    /// Pixels that one mask or the other has.
    ///
    /// # Errors
    /// The masks differ in size.
    pub fn union(&self, other: &Self) -> Result<Self> {
        self.check_size(other)?;
        let ranges = self.ranges().chain(other.ranges()).collect();
        Ok(Self::from_loose_ranges(self.width, self.height, self.width * self.height, ranges))
    }

    /// [`Rle::from_ranges`] of ranges in any order, which may overlap.
    fn from_loose_ranges(width: u32, height: u32, pixels: u32, mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match joined.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        Self::from_ranges(width, height, pixels, joined.into_iter())
    }

    fn check_size(&self, other: &Self) -> Result<()> {
        if (self.width, self.height) != (other.width, other.height) {
            let (w, h, v, g) = (self.width, self.height, other.width, other.height);
            return Err(fault(format!("sizes of {w} × {h} and {v} × {g} do not fit together")));
        }
        Ok(())
    }

    /// The compressed text of COCO: each run less the one two before it, in groups of five bits, lowest first.
    pub fn to_coco_string(&self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 2);
        for (i, &count) in self.counts.iter().enumerate() {
            let mut x = i64::from(count);
            if i > 2 {
                x -= i64::from(self.counts[i - 2]);
            }
            loop {
                let mut c = (x & 0x1f) as u8;
                x >>= 5;
                // Bit 4 is the sign: no further group when the rest is only sign.
                let more = if c & 0x10 != 0 { x != -1 } else { x != 0 };
                if more {
                    c |= 0x20;
                }
                text.push(char::from(c + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }

    /// Reads [`Rle::to_coco_string`].
    ///
    /// # Errors
    /// Other characters than the encoding has, a broken end, or runs that do not add up to `width` × `height`.
    pub fn from_coco_string(width: u32, height: u32, text: &str) -> Result<Self> {
        let mut counts: Vec<u32> = Vec::with_capacity(text.len().min(1 << 16));
        let mut bytes = text.bytes();
        while let Some(first) = bytes.next() {
            let (mut x, mut shift, mut byte) = (0i64, 0, first);
            loop {
                let group = byte.checked_sub(48).filter(|g| *g < 64).ok_or_else(|| fault("not COCO's run lengths"))?;
                x |= i64::from(group & 0x1f) << shift;
                shift += 5;
                if group & 0x20 == 0 {
                    if group & 0x10 != 0 {
                        x |= -1 << shift;
                    }
                    break;
                }
                if shift > 40 {
                    return Err(fault("a run that is far too long"));
                }
                byte = bytes.next().ok_or_else(|| fault("its run lengths break off"))?;
            }
            if counts.len() > 2 {
                x += i64::from(counts[counts.len() - 2]);
            }
            counts.push(u32::try_from(x).map_err(|_| fault("a negative or far too long run"))?);
        }
        Self::from_counts(width, height, counts)
    }
}

/// Appends `count` pixels of one kind; odd positions are the object's.
fn push_run(counts: &mut Vec<u32>, is_object: bool, count: u32) {
    if counts.is_empty() && is_object {
        counts.push(0);
    }
    if counts.len() % 2 == usize::from(is_object) {
        // The last run is of the other kind, or there is none yet.
        counts.push(count);
    } else if let Some(last) = counts.last_mut() {
        *last += count;
    }
}

#[cfg(test)]
mod tests;
