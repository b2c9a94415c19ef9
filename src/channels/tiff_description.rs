//! What a TIFF file says of its pages: OME-XML, ImageJ, tifffile, LSM and MetaMorph.

use std::collections::HashMap;

use serde_json::Value;

use super::colour::{self, Colours};
use super::depth::BitDepth;
use super::ome_xml;
use super::pixel_size::{self, Sides};
use super::stack::Arranged;
use super::tiff_directory::{read_number, tag_bytes};

/// What the description of a file says of all its planes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    /// `None` where it says nothing.
    pub axes: Option<Axes>,
    /// The colour of each channel in the order of the planes; empty where none is stated.
    pub colours: Colours,
    pub depth: Option<BitDepth>,
    pub pixel_size: Option<Sides>,
    /// Which axis of the planes runs fastest through the pages, which next, and which slowest.
    pub order: [Axis; 3],
    /// The pages of planes, by channel, slice and time point, where the file lists them and `order` does not tell.
    pub places: HashMap<[u64; 3], usize>,
    /// Where the text of the description stands in the file.
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Channel,
    Slice,
    Frame,
}

/// ImageJ's, and that of most files.
pub(super) const USUAL_ORDER: [Axis; 3] = [Axis::Channel, Axis::Slice, Axis::Frame];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axes {
    pub channels: u64,
    pub slices: u64,
    pub frames: u64,
    /// Images of several channels, slices and time points each, as positions of a well.
    pub images: u64,
}

const IMAGE_DESCRIPTION: u16 = 270;
const METAMORPH_PLANES: u16 = 33_629;
const LSM_INFO: u16 = 34_412;
const IMAGEJ_COUNTS: u16 = 50_838;
const IMAGEJ_METADATA: u16 = 50_839;
const MICRO_MANAGER: u16 = 51_123;

impl Default for Description {
    fn default() -> Self {
        let (axes, colours, depth, pixel_size) = (None, Colours::new(), None, None);
        Self { axes, colours, depth, pixel_size, order: USUAL_ORDER, places: HashMap::new(), at: 0 }
    }
}

impl Description {
    /// From the directory at `ifd`, the first of the file.
    pub fn read(bytes: &[u8], ifd: u64) -> Self {
        let found = tag_bytes(bytes, ifd, IMAGE_DESCRIPTION);
        let text = decode_text(found.as_ref().map_or(&[], |found| found.bytes));
        let mut this =
            ome_xml::read(&text).or_else(|| image_j(&text, bytes, ifd)).or_else(|| tifffile(&text)).unwrap_or_default();
        this.at = found.map_or(0, |found| found.at);
        this.axes = this.axes.or_else(|| lsm(bytes, ifd)).or_else(|| metamorph(bytes, ifd));
        this.depth = this.depth.or_else(|| micro_manager(bytes, ifd));
        let stated = this.pixel_size.or_else(|| lsm_voxel(bytes, ifd));
        this.pixel_size = stated.or_else(|| pixel_size::of_tags(bytes, ifd));
        this
    }
}

impl Axes {
    /// Pages that it takes to store them with so many samples a pixel: the channels may be samples of one page.
    pub fn pages(&self, samples: u64) -> u64 {
        let channels = if self.channels == samples { 1 } else { self.channels };
        [channels, self.slices, self.frames, self.images].iter().fold(1, |all, n| all.saturating_mul(*n))
    }

    /// Why the planes are not those of one stack.
    pub fn images_sentence(&self) -> Option<String> {
        let images = self.images;
        (images > 1).then(|| format!("the file holds {images} images; save each of them as a file of its own"))
    }
}

impl Description {
    /// Which page is which plane, in a file of that many pages with that many samples a pixel; `None` where the description is
    /// of another number of pages, or of none.
    pub fn arranged(&self, samples: usize, pages: usize) -> Option<Arranged> {
        let axes = self.axes.filter(|axes| axes.images == 1 && axes.pages(samples as u64) == pages as u64)?;
        let count = |n: u64| usize::try_from(n).ok();
        let channels = if axes.channels == samples as u64 { 1 } else { count(axes.channels)? };
        let (slices, frames) = (count(axes.slices)?, count(axes.frames)?);
        let mut arranged = Arranged { slices, frames, channels, pages: Vec::with_capacity(pages) };
        for t in 0..frames {
            for z in 0..slices {
                for c in 0..channels {
                    let (plane, sizes) = ([c, z, t].map(|n| n as u64), [channels, slices, frames].map(|n| n as u64));
                    let page = match self.places.get(&plane) {
                        Some(page) => *page,
                        None => count(in_order(self.order, plane, sizes))?,
                    };
                    arranged.pages.push(Some(page).filter(|page| *page < pages)?);
                }
            }
        }
        Some(arranged)
    }
}

impl Axis {
    /// Among channel, slice and time point.
    pub fn place(self) -> usize {
        match self {
            Self::Channel => 0,
            Self::Slice => 1,
            Self::Frame => 2,
        }
    }
}

/// The index of a plane, its channel, slice and time point, where the axes run in that order and have those sizes.
pub(super) fn in_order(order: [Axis; 3], plane: [u64; 3], sizes: [u64; 3]) -> u64 {
    order.iter().rev().fold(0, |index, axis| index * sizes[axis.place()] + plane[axis.place()])
}

/// UTF-16 where it must be, else UTF-8, else Latin-1: programs declare the one and write a µ of the other, and what matters
/// here is ASCII.
fn decode_text(bytes: &[u8]) -> String {
    let pair = |order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xff, 0xfe, ..] | [b'<', 0, ..] => pair(u16::from_le_bytes),
        [0xfe, 0xff, ..] | [0, b'<', ..] => pair(u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    };
    text.trim_end_matches('\0').to_owned()
}

/// ImageJ and its successor SCIFIO: `ImageJ=1.53t`, then one `key=value` a line.
fn image_j(text: &str, bytes: &[u8], ifd: u64) -> Option<Description> {
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    if !matches!(lines.first(), Some(("ImageJ" | "SCIFIO", _))) {
        return None;
    }
    let number = |key: &str| lines.iter().find(|(found, _)| *found == key).and_then(|(_, n)| n.trim().parse().ok());
    let [channels, slices, frames] = ["channels", "slices", "frames"].map(|key| number(key).unwrap_or(1u64).max(1));
    let images = number("images").unwrap_or(1);
    // A plain stack says how many images it has and nothing else.
    let slices = slices.max(images / channels.saturating_mul(frames).max(1));
    let axes = Axes { channels, slices, frames, images: 1 };
    let (luts, labels) = image_j_channels(bytes, ifd).unwrap_or_default();
    let unit = lines.iter().find(|(key, _)| *key == "unit").and_then(|(_, unit)| pixel_size::micrometres(unit));
    // Programs that know nothing write inches too; those are as for any other TIFF.
    let unit = unit.filter(|unit| *unit < 1e4);
    let pixel_size = unit.and_then(|unit| pixel_size::of_resolution(bytes, ifd, unit));
    Some(Description { axes: Some(axes), colours: colour::stated(luts, labels), pixel_size, ..Description::default() })
}

/// The brightest colour of each look-up table, and the colours that the labels of the planes name, from ImageJ's private
/// tags: four letters for each kind of entry and its count, then the entries, whose lengths stand in a tag of their own.
fn image_j_channels(bytes: &[u8], ifd: u64) -> Option<(Colours, Colours)> {
    let little = bytes.starts_with(b"II");
    let counts = tag_bytes(bytes, ifd, IMAGEJ_COUNTS)?;
    let data = tag_bytes(bytes, ifd, IMAGEJ_METADATA)?.bytes;
    let number = |bytes: &[u8]| read_number(bytes, little);
    let mut lengths = counts.bytes.chunks_exact(4).map(number);
    let header = data.get(4..lengths.next()?)?;
    let mut at = 4 + header.len();
    let (mut luts, mut labels) = (Vec::new(), Vec::new());
    for entry in header.chunks_exact(8) {
        let mut kind = [entry[0], entry[1], entry[2], entry[3]];
        if little {
            kind.reverse();
        }
        for _ in 0..number(&entry[4..]) {
            let length = lengths.next()?;
            let block = data.get(at..at.checked_add(length)?)?;
            at += length;
            match &kind {
                b"luts" if length == 768 => luts.push(colour::from_rgb8([block[255], block[511], block[767]])),
                b"labl" => {
                    let units: Vec<u16> = block.chunks_exact(2).map(|pair| number(pair) as u16).collect();
                    labels.push(colour::of_name(&String::from_utf16_lossy(&units)));
                }
                _ => {}
            }
        }
    }
    Some((luts, labels))
}

/// tifffile, and scikit-image and napari on top of it: `{"shape": [5, 512, 512], "axes": "ZYX"}`. Without axes it does not say
/// what the pages are.
fn tifffile(text: &str) -> Option<Description> {
    let value: Value = serde_json::from_str(text).ok()?;
    let shape = value.get("shape")?.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()?;
    let names = value.get("axes").and_then(Value::as_str).unwrap_or_default();
    if names.chars().count() != shape.len() {
        return Some(Description::default());
    }
    let mut axes = Axes { channels: 1, slices: 1, frames: 1, images: 1 };
    let mut order = Vec::new();
    for (name, size) in names.chars().zip(shape) {
        match name.to_ascii_uppercase() {
            'X' | 'Y' | 'S' => {}
            'C' => {
                axes.channels = size;
                order.push(Axis::Channel);
            }
            'Z' => {
                axes.slices = size;
                order.push(Axis::Slice);
            }
            'T' => {
                axes.frames = size;
                order.push(Axis::Frame);
            }
            // Positions, tiles, angles and the like; `Q` and `I` stand for what the writer did not know.
            'Q' | 'I' if size > 1 => return Some(Description::default()),
            _ => axes.images = axes.images.saturating_mul(size),
        }
    }
    let names = value.get("Channel").and_then(|channel| channel.get("Name")).and_then(Value::as_array);
    let names = names.into_iter().flatten().map(|name| name.as_str().and_then(colour::of_name)).collect();
    // The last one runs fastest; what is not named has one place.
    order.reverse();
    order.extend(USUAL_ORDER.iter().filter(|axis| !order.contains(axis)).copied().collect::<Vec<_>>());
    let order = [order[0], order[1], order[2]];
    let colours = colour::stated(Vec::new(), names);
    Some(Description { axes: Some(axes), colours, order, ..Description::default() })
}

/// Zeiss: the channels are samples of a pixel, the pages slices and time points.
fn lsm(bytes: &[u8], ifd: u64) -> Option<Axes> {
    let info = tag_bytes(bytes, ifd, LSM_INFO)?.bytes;
    let number = |at: usize| Some(read_number(info.get(at..at + 4)?, bytes.starts_with(b"II")) as u64);
    Some(Axes { slices: number(16)?, channels: number(20)?, frames: number(24)?, images: 1 })
}

/// Zeiss, in metres.
fn lsm_voxel(bytes: &[u8], ifd: u64) -> Option<Sides> {
    let info = tag_bytes(bytes, ifd, LSM_INFO)?.bytes;
    let little = bytes.starts_with(b"II");
    let side = |at: usize| {
        let digits: [u8; 8] = info.get(at..at + 8)?.try_into().ok()?;
        Some(1e6 * if little { f64::from_le_bytes(digits) } else { f64::from_be_bytes(digits) })
    };
    Some([side(40)?, side(48)?])
}

/// MetaMorph: all planes of a stack stand behind one directory, and this tag has as many values.
fn metamorph(bytes: &[u8], ifd: u64) -> Option<Axes> {
    let slices = tag_bytes(bytes, ifd, METAMORPH_PLANES)?.count;
    Some(Axes { channels: 1, slices, frames: 1, images: 1 })
}

fn micro_manager(bytes: &[u8], ifd: u64) -> Option<BitDepth> {
    let text = decode_text(tag_bytes(bytes, ifd, MICRO_MANAGER)?.bytes);
    BitDepth::stated(serde_json::from_str::<Value>(&text).ok()?.get("BitDepth")?.as_u64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str) -> Option<[u64; 4]> {
        let found = image_j(text, b"II*\0", 8).or_else(|| tifffile(text))?.axes?;
        Some([found.channels, found.slices, found.frames, found.images])
    }

    #[test]
    fn image_j_hyperstacks() {
        assert_eq!(axes("ImageJ=1.53\nimages=6\nchannels=2\nslices=3\n"), Some([2, 3, 1, 1]));
        assert_eq!(axes("ImageJ=1.53\r\nimages=4\r\nframes=4\r\n"), Some([1, 1, 4, 1]));
        assert_eq!(axes("ImageJ=1.53\nimages=5\n"), Some([1, 5, 1, 1]));
        assert_eq!(axes("SCIFIO=0.42\nimages=3\nchannels=3\n"), Some([3, 1, 1, 1]));
        assert_eq!(axes("ImageJ=1.53\nmin=0.0\n"), Some([1, 1, 1, 1]));
    }

    #[test]
    fn tifffile_axes() {
        assert_eq!(axes(r#"{"shape": [5, 9, 9], "axes": "ZYX"}"#), Some([1, 5, 1, 1]));
        assert_eq!(axes(r#"{"axes":"tcyx","shape":[2,3,9,9]}"#), Some([3, 1, 2, 1]));
        assert_eq!(axes(r#"{"shape": [3, 9, 9, 3], "axes": "RYXS"}"#), Some([1, 1, 1, 3]));
        for unsaid in
            [r#"{"shape": [5, 9, 9]}"#, r#"{"shape": [5, 9, 9], "axes": "QYX"}"#, r#"{"shape":[5],"axes":"YX"}"#]
        {
            assert_eq!(axes(unsaid), None, "{unsaid}");
        }
    }

    #[test]
    fn channels_may_be_samples_of_a_page() {
        let axes = Axes { channels: 3, slices: 5, frames: 1, images: 1 };
        assert_eq!((axes.pages(1), axes.pages(3)), (15, 5));
    }

    #[test]
    fn texts_of_any_encoding() {
        let utf16: Vec<u8> = "<OME>µ".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&b"<OME>\xb5\0"[..], "<OME>µ\0".as_bytes(), &utf16] {
            assert_eq!(decode_text(bytes), "<OME>µ");
        }
    }

    #[test]
    fn pages_are_found_in_every_order() {
        let described = |text: &str| tifffile(text).unwrap().arranged(1, 12).unwrap().pages;
        assert_eq!(described(r#"{"shape": [2, 3, 2, 9, 9], "axes": "TZCYX"}"#), (0..12).collect::<Vec<_>>());
        let slices_first = described(r#"{"shape": [2, 2, 3, 9, 9], "axes": "TCZYX"}"#);
        assert_eq!(slices_first, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        let channels_last = described(r#"{"shape": [2, 2, 3, 9, 9], "axes": "CTZYX"}"#);
        assert_eq!(channels_last, [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
        let text = r#"{"shape": [3, 9, 9, 3], "axes": "ZYXS"}"#;
        assert_eq!(tifffile(text).unwrap().arranged(3, 3).unwrap().pages, [0, 1, 2]);
        assert!(tifffile(text).unwrap().arranged(3, 4).is_none(), "another number of pages");
        assert!(tifffile(r#"{"shape": [3, 9, 9], "axes": "RYX"}"#).unwrap().arranged(1, 3).is_none(), "images");
    }
}
