//! The numbers of a label image as they stand in the file: the index of a palette, not its colour; 1, 2 and 4 bits as they
//! are, not spread over 0–255; 32 bits where they hold whole numbers.

use std::collections::HashMap;
use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Limits};

use super::decode::probe;
use super::label_tiff;
use super::reading::Pages;
use super::set::zeros;
use super::sniff::{FileKind, sniff};
use crate::error::{Error, Result};
use crate::limits;

/// One number a pixel, row by row.
pub(crate) struct LabelSamples {
    pub width: u32,
    pub height: u32,
    pub values: Vec<u16>,
    /// Of a sample in the file: 1 to 64.
    pub bits: u8,
    /// Some values are larger than 65,535 and have got another number, from 65,535 down.
    pub renumbered: bool,
}

/// Reads the numbers of a PNG or TIFF file.
///
/// # Errors
/// Another kind of file, a colour image, values that are not object numbers, a broken file, or one over a cap of [`limits`].
pub(crate) fn label_samples(name: &str, bytes: &[u8]) -> Result<LabelSamples> {
    limits::check(name, "the file size in bytes", bytes.len() as u64, limits::FILE_BYTES)?;
    match sniff(bytes) {
        FileKind::Png => read_png(name, bytes),
        FileKind::Tiff => label_tiff::read(name, bytes),
        FileKind::Jpeg => Err(Error::image(name, "JPEG changes the numbers of a label image; save it as PNG or TIFF")),
        _ => Err(Error::image(name, "is not a PNG or TIFF; a label image must be one of the two")),
    }
}

fn read_png(name: &str, bytes: &[u8]) -> Result<LabelSamples> {
    let header = probe(name, bytes, Pages::Ask)?;
    let broken = |e: &dyn std::fmt::Display| Error::image(name, format!("cannot be read as a label image: {e}"));
    let mut reader = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: bytes.len() + (16 << 20) })
        .read_info()
        .map_err(|e| broken(&e))?;
    let (colour, depth) = reader.output_color_type();
    let interlaced = reader.info().interlaced;
    let (width, height) = (header.width as usize, header.height as usize);
    let row_bytes = reader.output_line_size(header.width).ok_or_else(|| broken(&"its rows are too long"))?;
    let mut values: Vec<u16> = zeros(name, width * height)?;
    let mut rows = values.chunks_exact_mut(width);
    let coloured = || Error::image(name, COLOURED);
    if interlaced {
        let mut all: Vec<u8> = zeros(name, row_bytes * height)?;
        reader.next_frame(&mut all).map_err(|e| broken(&e))?;
        for (row, out) in all.chunks_exact(row_bytes).zip(rows) {
            unpack(row, colour, depth, out).ok_or_else(coloured)?;
        }
    } else {
        while let Some(row) = reader.next_row().map_err(|e| broken(&e))? {
            let out = rows.next().ok_or_else(|| broken(&"it has too many rows"))?;
            unpack(row.data(), colour, depth, out).ok_or_else(coloured)?;
        }
        if rows.next().is_some() {
            return Err(broken(&"it has too few rows"));
        }
    }
    Ok(LabelSamples { width: header.width, height: header.height, values, bits: depth as u8, renumbered: false })
}

pub(super) const COLOURED: &str =
    "is a colour image; a label image has one number for each pixel: 0 for background, k for the k-th object";

/// One row; `None` where red, green and blue differ. Alpha says nothing.
fn unpack(row: &[u8], colour: ColorType, depth: BitDepth, out: &mut [u16]) -> Option<()> {
    let samples = colour.samples();
    let at = |i: usize| match depth {
        BitDepth::Sixteen => Some(u16::from_be_bytes([*row.get(2 * i)?, *row.get(2 * i + 1)?])),
        BitDepth::Eight => row.get(i).copied().map(u16::from),
        _ => packed(row, depth as usize, i).map(u16::from),
    };
    for (x, out) in out.iter_mut().enumerate() {
        *out = at(x * samples)?;
        if samples >= 3 && (at(x * samples + 1)? != *out || at(x * samples + 2)? != *out) {
            return None;
        }
    }
    Some(())
}

/// The `i`-th number of `bits` bits, the most significant first.
pub(super) fn packed(row: &[u8], bits: usize, i: usize) -> Option<u8> {
    let bit = i * bits;
    let mask = (0xffu16 >> (8 - bits)) as u8;
    Some(row.get(bit / 8)? >> (8 - bits - bit % 8) & mask)
}

/// Numbers of 16 bits for values of any size. A value keeps its number where it can; the others get those from 65,535 down,
/// which no object that a person boxed has.
pub(super) struct Numbering {
    /// The value of each number; [`Numbering::FREE`] where it has none.
    value_of: Vec<u64>,
    moved: HashMap<u64, u16>,
    next: u16,
}

impl Numbering {
    const FREE: u64 = u64::MAX;

    pub fn new() -> Self {
        Self { value_of: vec![Self::FREE; 1 << 16], moved: HashMap::new(), next: u16::MAX }
    }

    /// `None` where there are more values than an image may have objects.
    pub fn number(&mut self, value: u64) -> Option<u16> {
        if let Ok(own) = u16::try_from(value) {
            let owner = &mut self.value_of[usize::from(own)];
            if *owner == Self::FREE || *owner == value {
                *owner = value;
                return Some(own);
            }
        }
        if let Some(number) = self.moved.get(&value) {
            return Some(*number);
        }
        if self.moved.len() == limits::OBJECTS {
            return None;
        }
        while self.value_of[usize::from(self.next)] != Self::FREE {
            self.next = self.next.checked_sub(1)?;
        }
        self.value_of[usize::from(self.next)] = value;
        self.moved.insert(value, self.next);
        Some(self.next)
    }

    pub fn moved_any(&self) -> bool {
        !self.moved.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_get_free_numbers() {
        let mut numbering = Numbering::new();
        let numbers: Vec<_> = [0, 7, 70_000, 65_535, 70_000, 1 << 40, 65_535].map(|v| numbering.number(v)).into();
        assert_eq!(numbers, [0, 7, 65_535, 65_534, 65_535, 65_533, 65_534].map(Some));
        assert!(numbering.moved_any());
        let mut many = Numbering::new();
        assert!((0..20_000u64).any(|v| many.number(v << 20).is_none()), "more values than objects");
    }

    #[test]
    fn small_samples_are_packed_from_the_left() {
        let values: Vec<_> = (0..4).map(|i| packed(&[0b11_01_00_10], 2, i)).collect();
        assert_eq!(values, [3, 1, 0, 2].map(Some));
        assert_eq!(packed(&[1], 1, 8), None);
    }
}
