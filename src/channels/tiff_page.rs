//! One page of a TIFF file: its tags, checked, and the meaning of its samples.

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Seek};
#[cfg(not(target_arch = "wasm32"))]
use std::ops::Range;

use ::tiff::decoder::{ChunkType, Decoder};
use ::tiff::tags::Tag;

use super::decode::Layout;
use super::depth::BitDepth;
use super::set::Samples;
use super::tiff::broken;
use super::tiff_sample::Coding;
use crate::error::{Error, Result};
use crate::limits;

#[derive(Clone)]
pub(super) struct Page {
    /// Counted from 0, previews included.
    pub index: usize,
    /// Where the directory stands in the file.
    pub ifd: u64,
    pub width: u32,
    pub height: u32,
    /// Samples of a pixel in the file: 1 to 9.
    pub samples: usize,
    /// The first samples of each pixel that are channels; the others are alpha.
    pub keep: usize,
    /// Of one sample: 1, 2, 4, 8, 10, 12, 14, 16, 32 or 64.
    pub bits: usize,
    pub coding: Coding,
    pub layout: Layout,
    pub planar: bool,
    pub photometric: u16,
    pub rows_per_strip: u32,
    /// Width and height, where the page is stored in tiles.
    pub tile: Option<(u32, u32)>,
    /// The colour of each sample value, where the samples are indices.
    pub palette: Option<Vec<[u8; 3]>>,
    /// A smaller copy of another page.
    pub reduced: bool,
    /// Stored turned or mirrored.
    pub turned: bool,
    /// The most bytes that this page's compression gives for one; 1 without any.
    pub ratio: u64,
    /// Where the samples stand, where they are one piece.
    pub strip: Option<u32>,
    /// Bytes behind them at which those of this plane stand: planes may follow one another behind one directory.
    pub shift: u32,
    /// One of such planes.
    pub is_unfolded: bool,
    /// What the camera digitised to, where the largest possible sample is stated.
    pub stated: Option<BitDepth>,
}

const WHITE_IS_ZERO: u16 = 0;
pub(super) const BLACK_IS_ZERO: u16 = 1;
const RGB: u16 = 2;
const PALETTE: u16 = 3;

/// What every program can write and is read here.
pub(super) const WAY_OUT: &str = "export it as OME-TIFF, uncompressed or with LZW or Deflate";

/// A compression that is not read, in words.
fn compression(number: u32) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        2 | 3 => "TIFF with fax compression",
        6 | 7 => "TIFF with JPEG compression",
        33_003 | 33_005 | 34_712 => "TIFF with JPEG 2000 compression",
        34_887 => "TIFF with LERC compression",
        34_925 => "TIFF with LZMA compression",
        34_926 | 50_000 => "TIFF with Zstandard compression",
        34_927 | 50_001 => "TIFF with WebP compression",
        22_610 | 34_934 | 34_892 => "TIFF with JPEG XR or lossy JPEG compression",
        50_002 | 52_546 => "TIFF with JPEG XL compression",
        other => return Cow::Owned(format!("TIFF with compression {other}")),
    })
}

impl Page {
    /// The page that the reader stands on.
    pub fn read<R: Read + Seek>(name: &str, reader: &mut Decoder<R>, index: usize) -> Result<Self> {
        let refuse = |reason: String| Err(Error::image(name, reason));
        let (width, height) = reader.dimensions().map_err(|e| broken(name, e))?;
        let mut numbers = |tag| reader.find_tag_unsigned_vec::<u32>(tag).map_err(|e| broken(name, e));
        let mut first =
            |tag, default| Ok::<u32, Error>(numbers(tag)?.and_then(|v| v.first().copied()).unwrap_or(default));

        let ratio = match first(Tag::Compression, 1)? {
            1 => 1,
            5 => 4096,
            8 | 0x80b2 => 1032,
            0x8005 => 128,
            // A white line may take one bit.
            4 => u64::from(width),
            other => return refuse(format!("{} is not read; {WAY_OUT}", compression(other))),
        };
        let bits = first(Tag::BitsPerSample, 1)?;
        let coding = match (first(Tag::SampleFormat, 1)?, bits) {
            // 4 is undefined data, which some programs write for plain numbers.
            (1 | 4, 1 | 2 | 4 | 8 | 10 | 12 | 14 | 16) | (1, 32 | 64) => Coding::Unsigned,
            (2, 8 | 16 | 32 | 64) => Coding::Signed,
            (3, 16 | 32 | 64) => Coding::Float,
            (5 | 6, _) => return refuse("its samples are complex numbers; convert it to 32-bit floating point".into()),
            _ => return refuse(format!("its samples have {bits} bits; convert it to 8, 16 or 32 bit")),
        };
        if first(Tag::FillOrder, 1)? != 1 {
            return refuse("its bits are stored in reverse order (FillOrder 2); save it again".into());
        }
        let samples = first(Tag::SamplesPerPixel, 1)? as usize;
        limits::check(name, "the number of channels", samples as u64, limits::CHANNELS as u64 + 1)?;
        let photometric = first(Tag::PhotometricInterpretation, u32::MAX)?;
        let tiles = first(Tag::TileWidth, 0)? > 0;
        if matches!(bits, 10 | 12 | 14) && (samples > 1 || tiles || first(Tag::Predictor, 1)? != 1) {
            let how = "in tiles, as differences or several in a pixel";
            return refuse(format!("its {bits}-bit samples are stored {how}; convert it to 16 bit"));
        }
        let planar = first(Tag::PlanarConfiguration, 1)? == 2;
        let rows_per_strip = first(Tag::RowsPerStrip, height)?;
        let tile = (first(Tag::TileWidth, 0)?, first(Tag::TileLength, 0)?);
        let tile = Some(tile).filter(|(width, height)| *width > 0 && *height > 0);
        let reduced = first(Tag::NewSubfileType, 0)? & 1 == 1;
        let turned = first(Tag::Orientation, 1)? != 1;
        let extra = numbers(Tag::ExtraSamples)?;
        let colours = if photometric == u32::from(PALETTE) { numbers(Tag::ColorMap)? } else { None };

        // 1 and 2 are premultiplied and plain alpha.
        let alpha = samples > 1 && extra.as_ref().and_then(|e| e.last()).is_some_and(|e| matches!(e, 1 | 2));
        let keep = samples - usize::from(alpha);
        let mut palette = None;
        let (layout, keep) = match u16::try_from(photometric).unwrap_or(u16::MAX) {
            WHITE_IS_ZERO | BLACK_IS_ZERO if keep == 1 => (Layout::Grey, 1),
            WHITE_IS_ZERO | BLACK_IS_ZERO => (Layout::Channels, keep),
            // Many writers leave out what the fourth sample is; it is alpha then.
            RGB if keep == 3 || (samples == 4 && extra.is_none()) => (Layout::Rgb, 3),
            RGB if keep > 3 => (Layout::Channels, keep),
            PALETTE if samples == 1 && bits <= 8 && coding == Coding::Unsigned => {
                palette = Some(read_palette(name, colours.unwrap_or_default(), bits)?);
                (Layout::Rgb, 3)
            }
            _ => return refuse("its colours are coded in a way that is not read; save it as grey or RGB".into()),
        };
        // Of a file of more than 4 GiB it may stand beyond what fits; such files are read by rows.
        let strip =
            match reader.find_tag_unsigned_vec::<u64>(Tag::StripOffsets).map_err(|e| broken(name, e))?.as_deref() {
                Some([at]) => u32::try_from(*at).ok(),
                _ => None,
            };
        let mut largest = |tag| match reader.find_tag_unsigned_vec::<u64>(tag) {
            Ok(Some(values)) if bits == 16 && coding == Coding::Unsigned => {
                values.into_iter().map(BitDepth::with_full_scale).max().flatten()
            }
            _ => None,
        };
        let stated = BitDepth::stated(bits.into()).filter(|_| coding == Coding::Unsigned);
        let stated = stated.or_else(|| largest(Tag::SMaxSampleValue)).or_else(|| largest(Tag::MaxSampleValue));
        let ifd = reader.ifd_pointer().map_or(0, |pointer| pointer.0);
        Ok(Self {
            index,
            ifd,
            width,
            height,
            samples,
            keep: if palette.is_some() { 1 } else { keep },
            bits: bits as usize,
            coding,
            layout,
            planar,
            photometric: photometric as u16,
            rows_per_strip,
            tile,
            palette,
            reduced,
            turned,
            ratio,
            strip,
            shift: 0,
            is_unfolded: false,
            stated,
        })
    }

    /// 8, 16 or 32, as decoded.
    pub fn depth(&self) -> u8 {
        match self.coding {
            Coding::Unsigned if self.bits <= 8 => 8,
            Coding::Unsigned if self.bits <= 16 => 16,
            _ => 32,
        }
    }

    /// Whether samples of more than 8 bits lie without gaps, which the decoder does not read.
    pub fn is_packed(&self) -> bool {
        self.bits > 8 && self.bits < 16
    }

    /// As the decoder is shown it: packed samples are rows of bytes.
    pub fn as_shown(&self) -> Self {
        if !self.is_packed() {
            return self.clone();
        }
        let bytes = (u64::from(self.width) * self.bits as u64).div_ceil(8);
        Self { width: u32::try_from(bytes).unwrap_or(u32::MAX), bits: 8, ..self.clone() }
    }

    /// Of the whole page, and of one tile, before compression; the larger.
    pub fn raw_bytes(&self) -> u64 {
        let (width, height) = self.tile.unwrap_or((self.width, self.height));
        let row = |width: u32, samples: usize| (u64::from(width) * samples as u64 * self.bits as u64).div_ceil(8);
        let page = row(self.width, self.samples) * u64::from(self.height);
        page.max(row(width, if self.planar { 1 } else { self.samples }).saturating_mul(height.into()))
    }

    /// Errors where the reader now sees another page than before.
    pub fn check_unchanged<R: Read + Seek>(&self, name: &str, reader: &mut Decoder<R>) -> Result<()> {
        let again = Self::read(name, reader, self.index)?;
        let shape = |p: &Self| {
            (
                p.width,
                p.height,
                p.samples,
                (p.bits, p.coding),
                p.planar,
                p.rows_per_strip.min(p.height),
                p.tile,
                p.ratio,
            )
        };
        if shape(&again) != shape(self) {
            return Err(Error::image(name, "the TIFF file is damaged: its directories overlap"));
        }
        Ok(())
    }

    pub fn grid<R: Read + Seek>(&self, name: &str, reader: &Decoder<R>) -> Result<Grid> {
        let (width, height) = match (reader.get_chunk_type(), self.tile) {
            (ChunkType::Strip, _) => (self.width, self.rows_per_strip.min(self.height)),
            (ChunkType::Tile, Some(tile)) => tile,
            (ChunkType::Tile, None) => (0, 0),
        };
        if width == 0 || height == 0 {
            return Err(Error::image(name, "the TIFF file is damaged: its strips or tiles are empty"));
        }
        let (across, down) = (self.width.div_ceil(width) as usize, self.height.div_ceil(height) as usize);
        Ok(Grid { width: width as usize, height: height as usize, across, down })
    }

    /// From raw samples to intensities: `planes` as in the file, the result without alpha.
    pub fn interpret(&self, name: &str, mut planes: Vec<Samples>) -> Result<Vec<Samples>> {
        if let Some(palette) = &self.palette {
            let Some(Samples::U8(indices)) = planes.first() else {
                return Err(Error::image(name, "the TIFF file is damaged: its palette indices are missing"));
            };
            // The palette has a colour for every value that the bits allow.
            let plane = |c: usize| Samples::U8(indices.iter().map(|i| palette[usize::from(*i)][c]).collect());
            return Ok((0..3).map(plane).collect());
        }
        planes.truncate(self.keep);
        let spread = if self.bits < 8 { 255 / ((1u8 << self.bits) - 1) } else { 1 };
        for plane in &mut planes {
            match plane {
                Samples::U8(v) if spread > 1 => v.iter_mut().for_each(|v| *v *= spread),
                _ => {}
            }
            if self.photometric == WHITE_IS_ZERO {
                match plane {
                    Samples::U8(v) => v.iter_mut().for_each(|v| *v = !*v),
                    Samples::U16(v) => {
                        v.iter_mut().for_each(|v| *v = (u16::MAX >> (16 - self.bits)).saturating_sub(*v))
                    }
                    // They have no largest value to be taken from.
                    Samples::F32(_) => {}
                }
            }
        }
        Ok(planes)
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} with {} bit", self.width, self.height, self.depth())
    }
}

/// How strips or tiles cover a page; a strip is as wide as the page.
pub(super) struct Grid {
    pub width: usize,
    pub height: usize,
    across: usize,
    down: usize,
}

impl Grid {
    pub fn chunks(&self, page: &Page) -> usize {
        self.across * self.down * if page.planar { page.samples } else { 1 }
    }

    /// The chunks that have pixels of these rows and columns, of all planes.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn over(&self, page: &Page, rows: &Range<usize>, columns: &Range<usize>) -> Vec<usize> {
        let planes = if page.planar { page.samples } else { 1 };
        let (across, down) = (self.across, self.down);
        let (first, last) = (rows.start / self.height, rows.end.div_ceil(self.height).min(down));
        let (left, right) = (columns.start / self.width, columns.end.div_ceil(self.width).min(across));
        let of_plane = |plane: usize| {
            let row = move |row: usize| (left..right).map(move |column| (plane * down + row) * across + column);
            (first..last).flat_map(row)
        };
        (0..planes).flat_map(of_plane).collect()
    }

    /// Left edge, upper edge, and the plane (0 unless planar).
    pub fn place(&self, chunk: usize) -> (usize, usize, usize) {
        let (plane, within) = (chunk / (self.across * self.down), chunk % (self.across * self.down));
        (within % self.across * self.width, within / self.across * self.height, plane)
    }
}

/// All reds, all greens, all blues, 16 bit each; as libtiff does, a map without any larger value is taken for 8 bit.
fn read_palette(name: &str, map: Vec<u32>, bits: u32) -> Result<Vec<[u8; 3]>> {
    let colours = 1usize << bits;
    if map.len() != 3 * colours {
        return Err(Error::image(name, "the TIFF file is damaged: its palette has the wrong length"));
    }
    let shift = if map.iter().any(|v| *v > 255) { 8 } else { 0 };
    let at = |i: usize| (map[i] >> shift) as u8;
    Ok((0..colours).map(|i| [at(i), at(i + colours), at(i + 2 * colours)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_palette_is_16_bit_unless_it_is_small() {
        let grey: Vec<u32> = [0, 0x5500, 0xaa00, 0xff00].repeat(3);
        let expected: Vec<[u8; 3]> = vec![[0; 3], [0x55; 3], [0xaa; 3], [0xff; 3]];
        assert_eq!(read_palette("a", grey, 2), Ok(expected.clone()));
        assert_eq!(read_palette("a", [0, 0x55, 0xaa, 0xff].repeat(3), 2), Ok(expected));
        assert!(read_palette("a", vec![0; 11], 2).is_err());
    }

    #[test]
    fn chunks_have_places() {
        let grid = Grid { width: 16, height: 32, across: 3, down: 2 };
        assert_eq!(grid.place(0), (0, 0, 0));
        assert_eq!(grid.place(4), (16, 32, 0));
        assert_eq!(grid.place(6), (0, 0, 1));
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn a_region_needs_the_chunks_under_it() {
        let page = Page { planar: true, samples: 2, ..page() };
        let grid = Grid { width: 16, height: 32, across: 3, down: 2 };
        assert_eq!(grid.over(&page, &(0..32), &(0..16)), [0, 6]);
        assert_eq!(grid.over(&page, &(31..33), &(15..40)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(grid.over(&Page { planar: false, ..page }, &(40..60), &(16..17)), [4]);
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn page() -> Page {
        Page {
            index: 0,
            ifd: 8,
            width: 48,
            height: 64,
            samples: 1,
            keep: 1,
            bits: 8,
            coding: Coding::Unsigned,
            layout: Layout::Grey,
            planar: false,
            photometric: BLACK_IS_ZERO,
            rows_per_strip: 64,
            tile: None,
            palette: None,
            reduced: false,
            turned: false,
            ratio: 1,
            strip: None,
            shift: 0,
            is_unfolded: false,
            stated: None,
        }
    }
}
