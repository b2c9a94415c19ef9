//! Image files to planes: PNG and JPEG here, TIFF in `tiff.rs`.
//!
//! The header is read first, and every cap of [`crate::limits`] is checked before memory is asked for. Colour profiles
//! and gamma are left alone: microscopes write intensities, and detectors are trained on the numbers in the file.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, Limits};

use super::depth::BitDepth;
use super::jpeg;
use super::project::Focus;
use super::reading::Reading;
use super::set::{Plane, Samples, zeros};
use super::sniff::{FileKind, sniff};
use super::stack::StackPlane;
use super::tiff;
use crate::error::{Error, Result};
use crate::limits;

/// What the planes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One plane.
    Grey,
    /// Three planes: red, green, blue.
    Rgb,
    /// Two to eight planes whose colours the file does not tell, in its order.
    Channels,
}

/// The planes of one file, all of one size and depth.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub kind: FileKind,
    pub layout: Layout,
    pub planes: Vec<Plane>,
    /// What was left out, as sentences that name the file.
    pub warnings: Vec<String>,
    /// The colour of each plane, 0–1 in red, green and blue, where the file states it; empty where it states none.
    pub colours: Vec<Option<[f32; 3]>>,
    /// What the camera digitised 16-bit samples to, where the file states it.
    pub stated: Option<BitDepth>,
    /// The side of a pixel in µm, where the file states it and it is a square.
    pub pixel_size: Option<f64>,
    /// What it is of the stack in its file.
    pub stack: Option<StackPlane>,
}

/// What a file claims before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub width: u32,
    pub height: u32,
    /// 8, 16 or 32, as decoded.
    pub bits: u8,
    /// Planes as decoded, at most; alpha is not among them.
    pub planes: usize,
}

/// Decodes an image file; `name` is for sentences only, the bytes tell the kind.
///
/// 8-bit and shallower samples become `u8` (1, 2 and 4 bit are spread over 0–255), 16-bit samples stay `u16`, and floating
/// point, signed numbers and more bits become `f32`, whose values are those of the file to seven digits. Alpha is dropped with a warning. A palette whose colours are all grey gives [`Layout::Grey`].
///
/// # Errors
/// [`Error::TooLarge`] over a cap; [`Error::Image`] for a file that is broken, cut off, or of a kind that is not read;
/// [`Error::ChannelMismatch`] for a TIFF whose pages differ; [`Error::PagesUnknown`] where the pages are [`super::Pages::Ask`]
/// and the file does not say what its pages are; a stack without a rule.
pub fn decode(name: &str, bytes: &[u8], reading: impl Into<Reading>) -> Result<Decoded> {
    match image_kind(name, bytes)? {
        FileKind::Png => decode_png(name, bytes),
        FileKind::Jpeg => decode_jpeg(name, bytes),
        _ => tiff::decode(name, bytes, reading.into()),
    }
}

/// How sharp each slice is that a projection is over; one that is not a stack has one.
pub(super) fn focus(name: &str, bytes: &[u8], reading: Reading) -> Result<Focus> {
    match image_kind(name, bytes)? {
        FileKind::Tiff => tiff::focus(name, bytes, reading),
        _ => Ok(Focus::default()),
    }
}

/// What [`decode`] would give, with its caps checked and no samples read.
pub(super) fn probe(name: &str, bytes: &[u8], reading: impl Into<Reading>) -> Result<Header> {
    match image_kind(name, bytes)? {
        FileKind::Png => {
            let ihdr = Ihdr::read(name, bytes)?;
            let bits = if ihdr.bits == 16 { 16 } else { 8 };
            Ok(Header { width: ihdr.width, height: ihdr.height, bits, planes: ihdr.planes() })
        }
        FileKind::Jpeg => {
            let frame = jpeg_frame(name, bytes)?;
            Ok(Header { width: frame.width, height: frame.height, bits: 8, planes: frame.components.into() })
        }
        _ => tiff::probe(name, bytes, reading.into()),
    }
}

/// Png, Jpeg or Tiff; anything else is an error.
fn image_kind(name: &str, bytes: &[u8]) -> Result<FileKind> {
    check_fits(name, "the file's size in bytes", bytes.len() as u64, limits::FILE_BYTES)?;
    match sniff(bytes) {
        kind if kind.is_image() => Ok(kind),
        _ if bytes.is_empty() => Err(Error::image(name, "the file is empty; copy or download it again")),
        FileKind::Unknown => Err(Error::image(name, "this is not a PNG, JPEG or TIFF image")),
        kind => Err(Error::image(name, format_args!("this is a {} file, not a PNG, JPEG or TIFF image", kind.label()))),
    }
}

/// Refuses sizes over the caps and images without pixels; returns the pixels.
pub(super) fn check_size(name: &str, width: u32, height: u32) -> Result<u64> {
    if width == 0 || height == 0 {
        return Err(Error::image(name, format_args!("its header says {width} × {height} pixels: no image is in it")));
    }
    check_fits(name, "the width in pixels", width.into(), limits::IMAGE_SIDE.into())?;
    check_fits(name, "the height in pixels", height.into(), limits::IMAGE_SIDE.into())?;
    let pixels = u64::from(width) * u64::from(height);
    check_fits(name, "the number of pixels", pixels, limits::IMAGE_PIXELS)?;
    Ok(pixels)
}

/// Refuses what is over a limit of images in memory.
fn check_fits(name: &str, what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit {
        return Err(Error::ImageTooLarge { file: name.to_owned(), what, found, limit });
    }
    Ok(())
}

/// Refuses `samples` samples a pixel, alpha counted, that decode into more than the cap.
pub(super) fn check_bytes(name: &str, pixels: u64, samples: usize, bits: u8) -> Result<()> {
    let bytes = pixels * samples as u64 * u64::from(bits.div_ceil(8));
    check_fits(name, "the decoded size in bytes", bytes, limits::IMAGE_BYTES)
}

/// Refuses a file too short for what it claims: no compression gives more than `ratio` bytes for one.
pub(super) fn check_plausible(name: &str, raw_bytes: u64, file_bytes: usize, ratio: u64) -> Result<()> {
    if raw_bytes > (file_bytes as u64).saturating_mul(ratio) {
        let reason = format!("the file is truncated: {file_bytes} bytes cannot hold the image that its header claims");
        return Err(Error::image(name, reason));
    }
    Ok(())
}

pub(super) fn alpha_warning(name: &str) -> String {
    format!("{name}: its alpha channel (transparency) is dropped")
}

/// The header chunk of a PNG (W3C PNG, 11.2.1).
pub(super) struct Ihdr {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    colour: u8,
}

impl Ihdr {
    /// What stands there, unchecked.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let Some((b"\0\0\0\x0dIHDR", [w3, w2, w1, w0, h3, h2, h1, h0, bits, colour, ..])) =
            bytes.get(8..).and_then(|b| b.split_first_chunk::<8>())
        else {
            return Err(Error::image(name, "the PNG file is truncated or damaged: it has no header"));
        };
        Ok(Self {
            width: u32::from_be_bytes([*w3, *w2, *w1, *w0]),
            height: u32::from_be_bytes([*h3, *h2, *h1, *h0]),
            bits: *bits,
            colour: *colour,
        })
    }

    /// Checked against the caps; `bytes` are the whole file.
    fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        let this = Self::parse(name, bytes)?;
        let samples: u8 = match this.colour {
            0 | 3 => 1,
            4 => 2,
            2 => 3,
            6 => 4,
            _ => {
                return Err(Error::image(
                    name,
                    format_args!("the PNG file is damaged: it claims colour type {}", this.colour),
                ));
            }
        };
        let pixels = check_size(name, this.width, this.height)?;
        // One more sample for a transparent colour, which the decoder makes an alpha channel.
        check_bytes(name, pixels, this.planes() + 1, this.bits)?;
        let row = (u64::from(this.width) * u64::from(samples) * u64::from(this.bits)).div_ceil(8);
        // Deflate reaches 1032 to one at most.
        check_plausible(name, row * u64::from(this.height), bytes.len(), 1032)?;
        Ok(this)
    }

    fn is_palette(&self) -> bool {
        self.colour == 3
    }

    /// Without alpha.
    fn planes(&self) -> usize {
        if matches!(self.colour, 0 | 4) { 1 } else { 3 }
    }
}

fn decode_png(name: &str, bytes: &[u8]) -> Result<Decoded> {
    let ihdr = Ihdr::read(name, bytes)?;
    let decoder =
        PngDecoder::with_limits(Cursor::new(bytes), decoder_limits(bytes.len())).map_err(|e| broken(name, "PNG", e))?;
    let mut warnings = Vec::new();
    if decoder.is_apng().unwrap_or(false) {
        warnings.push(format!("{name}: this is an animation; only its first image is read"));
    }
    let mut decoded = read(name, "PNG", FileKind::Png, decoder, warnings)?;
    if ihdr.is_palette() {
        grey_if_equal(&mut decoded.planes, &mut decoded.layout);
    }
    decoded.stated = significant_bits(bytes).filter(|_| ihdr.bits == 16);
    Ok(decoded)
}

/// The most of the sBIT chunk (W3C PNG, 11.3.2.4). Its samples ought to be spread over the file's depth; those that go beyond
/// what it states are, and those that do not are a camera's.
fn significant_bits(bytes: &[u8]) -> Option<BitDepth> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (kind, data) = behind.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        match kind {
            b"sBIT" => return data.get(..length)?.iter().max().and_then(|bits| BitDepth::stated(u64::from(*bits))),
            b"IDAT" => return None,
            _ => rest = data.get(length.checked_add(4)?..)?,
        }
    }
}

fn jpeg_frame(name: &str, bytes: &[u8]) -> Result<jpeg::Frame> {
    let frame = jpeg::frame(bytes).map_err(|reason| Error::image(name, reason))?;
    let pixels = check_size(name, frame.width, frame.height)?;
    if frame.precision != 8 {
        let reason = format!("this JPEG has {} bits a sample; only 8 are read. Save it as TIFF", frame.precision);
        return Err(Error::image(name, reason));
    }
    if !matches!(frame.components, 1 | 3) {
        let reason = format!("this JPEG has {} colour components; save it as grey or RGB", frame.components);
        return Err(Error::image(name, reason));
    }
    check_bytes(name, pixels, frame.components.into(), 8)?;
    // A block of 64 samples takes one bit at least, for its DC coefficient.
    check_plausible(name, pixels, bytes.len(), 512)?;
    Ok(frame)
}

fn decode_jpeg(name: &str, bytes: &[u8]) -> Result<Decoded> {
    let frame = jpeg_frame(name, bytes)?;
    let Some(end) = frame.end else { return decode_whole_jpeg(name, bytes, frame) };
    let mut decoded = decode_whole_jpeg(name, &jpeg::whole(bytes, end), frame)?;
    // Two patterns, as one may happen to be what a decoder puts in for what is missing.
    for data in [0x55, 0xaa] {
        match decode_whole_jpeg(name, &jpeg::other_end(bytes, end, data), frame) {
            Ok(other) if other.planes == decoded.planes => {}
            _ => return Err(Error::image(name, jpeg::CUT)),
        }
    }
    decoded.warnings.push(format!("{name}: the file lacks its end marker, but all of its image is there"));
    Ok(decoded)
}

fn decode_whole_jpeg(name: &str, bytes: &[u8], frame: jpeg::Frame) -> Result<Decoded> {
    let mut decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| broken(name, "JPEG", e))?;
    if decoder.dimensions() != (frame.width, frame.height) {
        return Err(Error::image(name, "the JPEG file is damaged: its headers contradict each other"));
    }
    decoder.set_limits(decoder_limits(bytes.len())).map_err(|e| broken(name, "JPEG", e))?;
    let mut warnings = Vec::new();
    if decoder.orientation().is_ok_and(|o| o != Orientation::NoTransforms) {
        warnings
            .push(format!("{name}: its EXIF orientation is not applied; boxes belong to the image as it is stored"));
    }
    read(name, "JPEG", FileKind::Jpeg, decoder, warnings)
}

/// What a decoder may take beside the image: metadata as long as the file, and some unpacked.
fn decoder_limits(file_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(limits::IMAGE_SIDE);
    limits.max_image_height = Some(limits::IMAGE_SIDE);
    limits.max_alloc = Some(file_bytes as u64 + (16 << 20));
    limits
}

fn broken(name: &str, format: &str, error: ImageError) -> Error {
    Error::image(name, format_args!("the {format} file is truncated or damaged ({error})"))
}

fn read(
    name: &str,
    format: &str,
    kind: FileKind,
    decoder: impl ImageDecoder,
    mut warnings: Vec<String>,
) -> Result<Decoded> {
    let (width, height) = decoder.dimensions();
    let pixels = check_size(name, width, height)?;
    let (samples, deep) = match decoder.color_type() {
        ColorType::L8 => (1, false),
        ColorType::La8 => (2, false),
        ColorType::Rgb8 => (3, false),
        ColorType::Rgba8 => (4, false),
        ColorType::L16 => (1, true),
        ColorType::La16 => (2, true),
        ColorType::Rgb16 => (3, true),
        ColorType::Rgba16 => (4, true),
        other => return Err(Error::image(name, format_args!("{format} files with {other:?} samples are not read"))),
    };
    check_bytes(name, pixels, samples, if deep { 16 } else { 8 })?;
    let keep = if samples < 3 { 1 } else { 3 };
    if samples > keep {
        warnings.push(alpha_warning(name));
    }
    let count = pixels as usize * samples;
    let planes: Vec<Samples> = if deep {
        let mut data: Vec<u16> = zeros(name, count)?;
        decoder.read_image(bytemuck::cast_slice_mut(&mut data)).map_err(|e| broken(name, format, e))?;
        apart(name, data, samples, keep)?.into_iter().map(Samples::U16).collect()
    } else {
        let mut data: Vec<u8> = zeros(name, count)?;
        decoder.read_image(&mut data).map_err(|e| broken(name, format, e))?;
        apart(name, data, samples, keep)?.into_iter().map(Samples::U8).collect()
    };
    let planes = planes.into_iter().map(|samples| Plane { width, height, samples }).collect();
    Ok(Decoded {
        kind,
        layout: if keep == 1 { Layout::Grey } else { Layout::Rgb },
        planes,
        warnings,
        colours: Vec::new(),
        stated: None,
        pixel_size: None,
        stack: None,
    })
}

/// The first `keep` of the `samples` interleaved samples of each pixel, each in a plane of its own.
fn apart<T: Copy + Default>(name: &str, data: Vec<T>, samples: usize, keep: usize) -> Result<Vec<Vec<T>>> {
    if samples == 1 {
        return Ok(vec![data]);
    }
    (0..keep)
        .map(|c| {
            let mut plane = zeros(name, data.len() / samples)?;
            for (to, from) in plane.iter_mut().zip(data.chunks_exact(samples)) {
                *to = from[c];
            }
            Ok(plane)
        })
        .collect()
}

/// Makes three equal planes one grey plane.
pub(super) fn grey_if_equal(planes: &mut Vec<Plane>, layout: &mut Layout) {
    if planes.len() == 3 && planes[0] == planes[1] && planes[1] == planes[2] {
        planes.truncate(1);
        *layout = Layout::Grey;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_apart() {
        assert_eq!(apart("a", vec![1u8, 2, 3, 4, 5, 6, 7, 8], 4, 3), Ok(vec![vec![1, 5], vec![2, 6], vec![3, 7]]));
        assert_eq!(apart("a", vec![1u16, 2], 1, 1), Ok(vec![vec![1, 2]]));
    }

    #[test]
    fn other_kinds_are_named() {
        let sentence = |bytes: &[u8]| decode("x.png", bytes, Reading::default()).unwrap_err().to_string();
        assert!(sentence(b"").contains("x.png: the file is empty"));
        assert!(sentence(b"<annotation>").contains("this is a XML file"));
        assert!(sentence(b"hello").contains("not a PNG, JPEG or TIFF"));
        assert!(sentence(b"\x89PNG\r\n\x1a\n").contains("no header"));
    }

    #[test]
    fn caps_come_before_memory() {
        assert_eq!(check_size("a", 0, 5).unwrap_err().code(), "image");
        assert_eq!(check_size("a", 8193, 5).unwrap_err().code(), "too-large");
        assert_eq!(check_size("a", 8192, 8192), Ok(limits::IMAGE_PIXELS));
        assert_eq!(check_bytes("a", limits::IMAGE_PIXELS, 4, 16), Ok(()));
        assert!(check_bytes("a", limits::IMAGE_PIXELS, 5, 16).is_err());
        assert!(check_plausible("a", 1033, 1, 1032).is_err());
    }
}
