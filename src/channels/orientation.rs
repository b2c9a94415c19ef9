//! How a camera says that its image is to be turned.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;

use super::sniff::{FileKind, sniff};

/// The EXIF orientation of a JPEG or PNG file, 1–8; 1, upright as stored, for every other file and where nothing is said.
pub fn orientation(bytes: &[u8]) -> u8 {
    let said = match sniff(bytes) {
        FileKind::Jpeg => JpegDecoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.orientation()),
        FileKind::Png => PngDecoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.orientation()),
        _ => return 1,
    };
    said.map_or(1, |orientation| orientation.to_exif())
}
