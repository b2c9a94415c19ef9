//! TIFF files as label images: one sample a pixel, of 1 to 64 bits, whose value is a number and never a colour.

use std::borrow::Cow;
use std::io::Cursor;

use ::tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;

use super::decode::{check_bytes, check_plausible, check_size};
use super::label_samples::{COLOURED, LabelSamples, Numbering, packed};
use super::set::zeros;
use super::tiff::{Reader, broken};
use super::tiff_directory::{fits, set_number};
use super::tiff_page::BLACK_IS_ZERO;
use crate::error::{Error, Result};
use crate::limits;

/// What the first page says of itself.
struct Shape {
    width: u32,
    height: u32,
    bits: u8,
    rows_per_strip: u32,
    photometric: u32,
    /// Where its directory stands in the file.
    ifd: u64,
}

/// Reads the numbers of the first page; smaller copies of it may follow.
///
/// # Errors
/// Several pages or samples, values that are not object numbers, a broken file, or one over a cap of [`limits`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<LabelSamples> {
    if !fits(bytes, limits::TIFF_PAGES) {
        return Err(Error::image(name, "the TIFF file is truncated or damaged: it claims more than it holds"));
    }
    let mut reader = open(name, bytes)?;
    let shape = Shape::read(name, &mut reader, bytes.len())?;
    refuse_pages(name, &mut reader)?;
    let shown = plain(name, bytes, &shape)?;
    let mut reader = open(name, &shown)?;
    if reader.dimensions().map_err(|e| broken(name, e))? != (shape.width, shape.height) {
        return Err(Error::image(name, "the TIFF file is damaged: its directories overlap"));
    }
    let mut numbering = Numbering::new();
    let values = samples(name, &mut reader, &shape, &mut numbering)?;
    let Shape { width, height, bits, .. } = shape;
    Ok(LabelSamples { width, height, values, bits, renumbered: numbering.moved_any() })
}

fn open<'a>(name: &str, bytes: &'a [u8]) -> Result<Reader<'a>> {
    let mut caps = Limits::default();
    caps.decoding_buffer_size = limits::IMAGE_BYTES as usize;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(|e| broken(name, e))?.with_limits(caps))
}

impl Shape {
    fn read(name: &str, reader: &mut Reader, file_bytes: usize) -> Result<Self> {
        let refuse = |reason: String| Err(Error::image(name, reason));
        let (width, height) = reader.dimensions().map_err(|e| broken(name, e))?;
        let pixels = check_size(name, width, height)?;
        let mut first = |tag, default| {
            let numbers = reader.find_tag_unsigned_vec::<u32>(tag).map_err(|e| broken(name, e))?;
            Ok::<u32, Error>(numbers.and_then(|v| v.first().copied()).unwrap_or(default))
        };
        // The most bytes that a compression gives for one.
        let ratio = match first(Tag::Compression, 1)? {
            1 => 1,
            5 => 4096,
            8 | 0x80b2 => 1032,
            0x8005 => 128,
            6 | 7 => {
                return refuse("JPEG changes the numbers of a label image; save it uncompressed or with LZW".into());
            }
            other => return refuse(format!("TIFF compression {other} is not read; save it uncompressed, or with LZW")),
        };
        let bits = match first(Tag::BitsPerSample, 1)? {
            bits @ (1 | 2 | 4 | 8 | 16 | 32 | 64) => bits as u8,
            other => return refuse(format!("its samples have {other} bits; save the label image with 16 bits")),
        };
        if first(Tag::FillOrder, 1)? != 1 {
            return refuse("its bits are stored in reverse order (FillOrder 2); save it again".into());
        }
        match first(Tag::SamplesPerPixel, 1)? {
            1 => {}
            3 | 4 => return refuse(COLOURED.into()),
            other => return refuse(format!("has {other} channels; a label image has one")),
        }
        let rows_per_strip = first(Tag::RowsPerStrip, height)?;
        let photometric = first(Tag::PhotometricInterpretation, u32::MAX)?;
        let tile = (first(Tag::TileWidth, 0)?, first(Tag::TileLength, 0)?);
        let row = |width: u32| (u64::from(width) * u64::from(bits)).div_ceil(8);
        let raw = (row(width) * u64::from(height)).max(row(tile.0).saturating_mul(tile.1.into()));
        check_plausible(name, raw, file_bytes, ratio)?;
        check_bytes(name, pixels, 1, bits)?;
        limits::check(name, "the size of a tile in bytes", raw, limits::IMAGE_BYTES)?;
        let ifd = reader.ifd_pointer().map_or(0, |pointer| pointer.0);
        Ok(Self { width, height, bits, rows_per_strip, photometric, ifd })
    }
}

/// Errors where another page follows that is no smaller copy of the first.
fn refuse_pages(name: &str, reader: &mut Reader) -> Result<()> {
    let mut pages = 1;
    while reader.more_images() {
        reader.next_image().map_err(|e| broken(name, e))?;
        let kind = reader.find_tag_unsigned_vec::<u32>(Tag::NewSubfileType).map_err(|e| broken(name, e))?;
        if kind.and_then(|v| v.first().copied()).unwrap_or(0) & 1 == 0 {
            return Err(Error::image(
                name,
                "has several pages; a label image has one. Save the page of this image alone",
            ));
        }
        pages += 1;
        limits::check(name, "the number of pages", pages, limits::TIFF_PAGES as u64)?;
    }
    Ok(())
}

/// The file as one of plain intensities, which the decoder hands out as they are; 2³² − 1 rows in a strip would overflow on
/// wasm32.
fn plain<'a>(name: &str, bytes: &'a [u8], shape: &Shape) -> Result<Cow<'a, [u8]>> {
    let mut shown = Cow::Borrowed(bytes);
    let mut set = |tag, value| {
        let damaged = || Error::image(name, "the TIFF file is damaged: its directory cannot be read twice");
        set_number(shown.to_mut(), shape.ifd, tag, value).ok_or_else(damaged)
    };
    if !matches!(shape.photometric, 0 | 1 | 3) {
        return Err(Error::image(name, COLOURED));
    }
    if shape.photometric != u32::from(BLACK_IS_ZERO) {
        set(Tag::PhotometricInterpretation, BLACK_IS_ZERO.into())?;
    }
    if shape.rows_per_strip > shape.height {
        set(Tag::RowsPerStrip, shape.height)?;
    }
    Ok(shown)
}

fn samples(name: &str, reader: &mut Reader, shape: &Shape, numbering: &mut Numbering) -> Result<Vec<u16>> {
    let damaged = || Error::image(name, "the TIFF file is damaged: its strips or tiles do not make up the image");
    let (width, height) = (shape.width as usize, shape.height as usize);
    let (chunk_width, chunk_height) = reader.chunk_dimensions();
    if chunk_width == 0 || chunk_height == 0 {
        return Err(damaged());
    }
    let across = shape.width.div_ceil(chunk_width);
    let chunks = across.checked_mul(shape.height.div_ceil(chunk_height)).ok_or_else(damaged)?;
    let count = match reader.get_chunk_type() {
        ChunkType::Strip => reader.strip_count(),
        ChunkType::Tile => reader.tile_count(),
    };
    if count.map_err(|e| broken(name, e))? < chunks {
        return Err(damaged());
    }
    let mut values: Vec<u16> = zeros(name, width * height)?;
    for chunk in 0..chunks {
        let (x, y) = ((chunk % across * chunk_width) as usize, (chunk / across * chunk_height) as usize);
        let (columns, rows) = ((chunk_width as usize).min(width - x), (chunk_height as usize).min(height - y));
        let (data_columns, data_rows) = reader.chunk_data_dimensions(chunk);
        if data_columns as usize != columns || (data_rows as usize) < rows {
            return Err(damaged());
        }
        let data = reader.read_chunk(chunk).map_err(|e| broken(name, e))?;
        for row in 0..rows {
            let at = (y + row) * width + x;
            numbers(&data, shape.bits, row, &mut values[at..at + columns], numbering)
                .map_err(|reason| reason.map_or_else(damaged, |reason| Error::image(name, reason)))?;
        }
    }
    Ok(values)
}

/// One row of a chunk; the error is a sentence, or nothing where the row is not there.
fn numbers(
    data: &DecodingResult,
    bits: u8,
    row: usize,
    out: &mut [u16],
    numbering: &mut Numbering,
) -> Result<(), Option<&'static str>> {
    let range = row * out.len()..(row + 1) * out.len();
    let mut put = |values: &mut dyn Iterator<Item = Option<u64>>| {
        for (out, value) in out.iter_mut().zip(values) {
            let value = value.ok_or(Some("has values that are not object numbers: negative or fractional"))?;
            *out = numbering.number(value).ok_or(Some("has more values than an image may have objects"))?;
        }
        Ok(())
    };
    macro_rules! whole {
        ($data:expr) => {
            put(&mut $data.get(range).ok_or(None)?.iter().map(|v| u64::try_from(*v).ok()))
        };
    }
    match data {
        DecodingResult::U8(data) if bits < 8 => {
            let stride = (range.len() * usize::from(bits)).div_ceil(8);
            let data = data.get(row * stride..(row + 1) * stride).ok_or(None)?;
            put(&mut (0..range.len()).map(|i| packed(data, bits.into(), i).map(u64::from)))
        }
        DecodingResult::U8(data) => whole!(data),
        DecodingResult::U16(data) => whole!(data),
        DecodingResult::U32(data) => whole!(data),
        DecodingResult::U64(data) => whole!(data),
        DecodingResult::I8(data) => whole!(data),
        DecodingResult::I16(data) => whole!(data),
        DecodingResult::I32(data) => whole!(data),
        DecodingResult::I64(data) => whole!(data),
        DecodingResult::F16(data) => put(&mut data.get(range).ok_or(None)?.iter().map(|v| whole_number(v.to_f64()))),
        DecodingResult::F32(data) => put(&mut data.get(range).ok_or(None)?.iter().map(|v| whole_number((*v).into()))),
        DecodingResult::F64(data) => put(&mut data.get(range).ok_or(None)?.iter().map(|v| whole_number(*v))),
    }
}

/// The value as an object number; floats hold whole numbers exactly up to 2⁵³.
fn whole_number(value: f64) -> Option<u64> {
    (value.fract() == 0.0 && (0.0..9e15).contains(&value)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ::tiff::encoder::{TiffEncoder, colortype};

    use super::*;

    fn file<C: colortype::ColorType>(data: &[C::Inner]) -> Vec<u8>
    where
        [C::Inner]: ::tiff::encoder::TiffValue,
    {
        let mut out = Cursor::new(Vec::new());
        TiffEncoder::new(&mut out).unwrap().write_image::<C>(2, 2, data).unwrap();
        out.into_inner()
    }

    #[test]
    fn whole_numbers_of_every_depth_are_read() {
        let expected = vec![0u16, 1, 300, 2];
        for (bits, bytes) in [
            (16, file::<colortype::Gray16>(&[0, 1, 300, 2])),
            (32, file::<colortype::Gray32>(&[0, 1, 300, 2])),
            (32, file::<colortype::GrayI32>(&[0, 1, 300, 2])),
            (32, file::<colortype::Gray32Float>(&[0.0, 1.0, 300.0, 2.0])),
            (64, file::<colortype::Gray64>(&[0, 1, 300, 2])),
        ] {
            let read = read("m.tif", &bytes).unwrap();
            assert_eq!((read.values, read.bits, read.renumbered), (expected.clone(), bits, false));
        }
        let large = read("m.tif", &file::<colortype::Gray32>(&[0, 1, 1 << 24, 2])).unwrap();
        assert_eq!((large.values, large.renumbered), (vec![0, 1, 65_535, 2], true));
    }

    #[test]
    fn values_that_are_not_object_numbers_are_reported() {
        for bytes in [
            file::<colortype::GrayI32>(&[0, -1, 3, 2]),
            file::<colortype::Gray32Float>(&[0.0, 0.5, 3.0, 2.0]),
            file::<colortype::Gray32Float>(&[0.0, f32::NAN, 3.0, 2.0]),
        ] {
            let sentence = read("m.tif", &bytes).err().unwrap().to_string();
            assert!(sentence.contains("not object numbers"), "{sentence}");
        }
        let colour = file::<colortype::RGB8>(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert!(read("m.tif", &colour).err().unwrap().to_string().contains("colour"));
    }
}
