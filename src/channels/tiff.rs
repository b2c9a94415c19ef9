//! TIFF files: 1 to 8 channels as samples of a pixel, chunky or planar, or as pages.
//!
//! The `tiff` crate parses directories and undoes compression. What the samples mean is decided here, from the tags of
//! TIFF 6.0: the decoder is shown every page as plain intensities (see [`as_intensities`]) and its strips and tiles are
//! put in place here, which also reads what it does not (palettes, planar tiles, inverted channels).

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::{TiffError, tags::Tag};

use super::decode::{Decoded, Header, Layout, alpha_warning, check_bytes, check_plausible, check_size, grey_if_equal};
use super::pixel_size::square;
use super::project::{Focus, Fold};
use super::reading::Reading;
use super::set::{Plane, Samples, zeros};
use super::sniff::FileKind;
use super::stack::{Chosen, Projection, StackPlane};
use super::tiff_description::Description;
use super::tiff_directory::{fits, set_number};
use super::tiff_page::{BLACK_IS_ZERO, Page};
use super::tiff_sample::reals;
use crate::error::{Error, Result};
use crate::limits;

pub(super) type Reader<'a> = Decoder<Cursor<&'a [u8]>>;

pub(super) fn probe(name: &str, bytes: &[u8], reading: Reading) -> Result<Header> {
    let file = File::read(name, bytes, reading)?;
    let page = &file.pages[0];
    // A palette may turn out to be grey; three planes are the most.
    let planes = if page.palette.is_some() { 3 } else { page.keep * file.chosen.steps[0].len() };
    Ok(Header { width: page.width, height: page.height, bits: page.depth(), planes })
}

/// How sharp each slice is that a projection is over.
pub(super) fn focus(name: &str, bytes: &[u8], reading: Reading) -> Result<Focus> {
    let file = File::read(name, bytes, reading)?;
    let mut shown = as_intensities(name, bytes, &file.pages)?;
    file.focus(name, &mut shown)
}

pub(super) fn decode(name: &str, bytes: &[u8], reading: Reading) -> Result<Decoded> {
    let file = File::read(name, bytes, reading)?;
    let mut shown = as_intensities(name, bytes, &file.pages)?;
    let (mut planes, stack) = file.planes(name, &mut shown, reading.step)?;
    let File { pages, warnings, description, chosen } = file;
    let mut layout = match (chosen.steps[0].len(), pages[0].layout) {
        (1, layout) => layout,
        _ => Layout::Channels,
    };
    if pages[0].palette.is_some() {
        grey_if_equal(&mut planes, &mut layout);
    }
    // Of colours for other planes than these nobody knows whose they are.
    let colours = if description.colours.len() == planes.len() { description.colours } else { Vec::new() };
    let stated = description.depth.or(pages[0].stated);
    let pixel_size = description.pixel_size.and_then(square);
    Ok(Decoded { kind: FileKind::Tiff, layout, planes, warnings, colours, stated, pixel_size, stack })
}

/// The pages of a file: at least one, all of one size and depth, and which of them are the image, within the caps.
struct File {
    pages: Vec<Page>,
    warnings: Vec<String>,
    description: Description,
    /// At least one step of at least one page.
    chosen: Chosen,
}

impl File {
    fn read(name: &str, bytes: &[u8], reading: Reading) -> Result<Self> {
        if !fits(bytes, limits::TIFF_PAGES) {
            return Err(Error::image(name, "the TIFF file is truncated or damaged: it claims more than it holds"));
        }
        let mut reader = open(name, bytes)?;
        let mut pages: Vec<Page> = Vec::new();
        let mut warnings = Vec::new();
        let first = reader.ifd_pointer().map_or(0, |pointer| pointer.0);
        let description = Description::read(bytes, first);
        for index in 0.. {
            if index >= limits::TIFF_PAGES {
                let many = format!("the file has more than {} pages; save a part of it", limits::TIFF_PAGES);
                return Err(Error::image(name, many));
            }
            match Page::read(name, &mut reader, index)? {
                page if page.reduced => {
                    warnings.push(format!("{name}: page {} is a preview and is left out", index + 1))
                }
                page => pages.push(page),
            }
            if !reader.more_images() {
                break;
            }
            reader.next_image().map_err(|e| broken(name, e))?;
        }
        let chosen = Chosen { steps: Vec::new(), plane: None, warning: None };
        let mut this = Self { pages, warnings, description, chosen };
        this.unfold(name, bytes.len())?;
        let Some(first) = this.pages.first() else {
            return Err(Error::image(name, "the file holds only previews, no image"));
        };
        this.chosen = reading.choose(name, &this.description, first.samples, this.pages.len())?;
        let warnings = this.check(name, bytes.len())?;
        Ok(Self { warnings, ..this })
    }

    /// The planes of one step, channel by channel.
    fn step(&self, name: &str, shown: &mut Cow<'_, [u8]>, pages: &[usize]) -> Result<Vec<Plane>> {
        let mut planes = Vec::new();
        for page in pages.iter().filter_map(|page| self.pages.get(*page)) {
            if let (Some(strip), true) = (page.strip, page.is_unfolded) {
                set(name, shown.to_mut(), page, Tag::StripOffsets, strip.saturating_add(page.shift))?;
            }
            let mut reader = open(name, shown)?;
            reader.seek_to_image(page.index).map_err(|e| broken(name, e))?;
            planes.extend(read_page(name, &mut reader, page)?);
        }
        Ok(planes)
    }

    fn focus(&self, name: &str, shown: &mut Cow<'_, [u8]>) -> Result<Focus> {
        let mut focus = Focus::default();
        for (step, pages) in self.chosen.steps.iter().enumerate() {
            let planes = self.step(name, shown, pages)?;
            planes.iter().enumerate().for_each(|(channel, plane)| focus.add(step, channel, plane));
        }
        Ok(focus)
    }

    /// The planes of the image, and what they are of a stack.
    fn planes(
        &self,
        name: &str,
        shown: &mut Cow<'_, [u8]>,
        known: Option<usize>,
    ) -> Result<(Vec<Plane>, Option<StackPlane>)> {
        let Chosen { steps, plane, .. } = &self.chosen;
        let Some((projection, plane)) = plane.map(|plane| (plane.projection, plane)).filter(|_| steps.len() > 1) else {
            return Ok((self.step(name, shown, &steps[0])?, *plane));
        };
        if projection == Projection::Sharpest {
            let best = match known.filter(|step| *step < steps.len()) {
                Some(step) => step,
                None => self.focus(name, shown)?.sharpest(),
            };
            return Ok((self.step(name, shown, &steps[best])?, Some(plane.at(best))));
        }
        let mut fold = Fold::new(projection, self.step(name, shown, &steps[0])?);
        for pages in &steps[1..] {
            fold.add(name, &self.step(name, shown, pages)?)?;
        }
        Ok((fold.finish(), Some(plane)))
    }

    /// Finds the planes that stand one behind the other behind a single directory, as ImageJ writes large files and
    /// MetaMorph all: described, not compressed, and all in the file.
    fn unfold(&mut self, name: &str, file_bytes: usize) -> Result<()> {
        let [page] = &self.pages[..] else { return Ok(()) };
        let planes = self.description.axes.map_or(1, |axes| axes.pages(page.samples as u64));
        let (size, first) = (page.raw_bytes(), u64::from(page.strip.unwrap_or(0)));
        if planes < 2 || page.ratio != 1 || page.tile.is_some() {
            return Ok(());
        }
        // What stands there instead, in the file of one plane out of many, is its own directory and description.
        let behind = first.saturating_add(size)..first.saturating_add(size.saturating_mul(planes));
        if behind.end > file_bytes as u64
            || behind.contains(&page.ifd)
            || behind.contains(&(self.description.at as u64))
        {
            return Ok(());
        }
        if page.strip.is_none() {
            let reason =
                format!("the file keeps {planes} planes behind one directory; open it in Fiji and save it again");
            return Err(Error::image(name, reason));
        }
        limits::check(name, "the number of planes", planes, limits::TIFF_PAGES as u64)?;
        let shifts = (0..planes).map(|plane| u32::try_from(plane * size).unwrap_or(u32::MAX));
        self.pages = shifts.map(|shift| Page { shift, is_unfolded: true, ..page.clone() }).collect();
        Ok(())
    }

    fn check(&self, name: &str, file_bytes: usize) -> Result<Vec<String>> {
        let Some(first) = self.pages.first() else {
            return Err(Error::image(name, "the file holds only previews, no image"));
        };
        let pixels = check_size(name, first.width, first.height)?;
        // Pages of one plane of the image.
        let channels = self.chosen.steps.first().map_or(0, Vec::len);
        let mut warnings = self.warnings.clone();
        warnings.extend(self.chosen.warning.clone());
        for page in &self.pages {
            if (page.width, page.height, page.depth()) != (first.width, first.height, first.depth()) {
                let found = format!("page {} is {first}, page {} is {page}", first.index + 1, page.index + 1);
                return Err(Error::ChannelMismatch { image: name.to_owned(), found });
            }
            if channels > 1 && (page.layout == Layout::Rgb || page.palette.is_some()) {
                let reason =
                    format!("the file has {} pages, and they are in colour; save one page alone", self.pages.len());
                return Err(Error::image(name, reason));
            }
            check_plausible(name, page.raw_bytes(), file_bytes, page.ratio)?;
        }
        warnings.extend(alpha_and_turned(name, self.pages.iter()));
        if channels > limits::CHANNELS {
            let reason = format!(
                "the file has {} pages, and an image at most {} channels; if it is a stack, read its pages as slices (--pages slices)",
                self.pages.len(),
                limits::CHANNELS
            );
            return Err(Error::image(name, reason));
        }
        let kept: usize = channels * first.keep;
        limits::check(name, "the number of channels", kept as u64, limits::CHANNELS as u64)?;
        let planes = if first.palette.is_some() { 3 } else { channels * first.samples };
        // A projection holds the sums, or one more plane, beside the planes that it makes.
        let sums = if self.chosen.steps.len() > 1 { 2 } else { 0 };
        check_bytes(name, pixels, planes * (1 + sums), first.depth())?;
        Ok(warnings)
    }
}

/// What is left out of pages, and not done to them.
pub(super) fn alpha_and_turned<'a>(name: &str, pages: impl Iterator<Item = &'a Page> + Clone) -> Vec<String> {
    let mut warnings = Vec::new();
    if pages.clone().any(|page| page.samples > page.keep) {
        warnings.push(alpha_warning(name));
    }
    let mut pages = pages;
    if pages.any(|page| page.turned) {
        warnings.push(format!("{name}: its orientation tag is not applied; boxes belong to the image as it is stored"));
    }
    warnings
}

fn open<'a>(name: &str, bytes: &'a [u8]) -> Result<Reader<'a>> {
    let mut caps = Limits::default();
    caps.decoding_buffer_size = limits::IMAGE_BYTES as usize;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(|e| broken(name, e))?.with_limits(caps))
}

pub(super) fn broken(name: &str, error: TiffError) -> Error {
    match error {
        TiffError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Error::image(name, "the TIFF file is truncated; copy or download it again")
        }
        TiffError::UnsupportedError(e) => Error::image(name, format_args!("this kind of TIFF is not read ({e})")),
        e => Error::image(name, format_args!("the TIFF file is truncated or damaged ({e})")),
    }
}

/// The file with every page's PhotometricInterpretation set to BlackIsZero, so that the decoder hands out all samples as
/// they are, packed samples as the bytes that they lie in, and with RowsPerStrip no larger than the height: writers put 2³² − 1 there, which overflows on wasm32.
fn as_intensities<'a>(name: &str, bytes: &'a [u8], pages: &[Page]) -> Result<Cow<'a, [u8]>> {
    let mut shown = Cow::Borrowed(bytes);
    for page in pages {
        if page.photometric != BLACK_IS_ZERO {
            set(name, shown.to_mut(), page, Tag::PhotometricInterpretation, BLACK_IS_ZERO.into())?;
        }
        if page.is_packed() {
            set(name, shown.to_mut(), page, Tag::BitsPerSample, 8)?;
            set(name, shown.to_mut(), page, Tag::ImageWidth, page.as_shown().width)?;
        }
        if page.rows_per_strip > page.height {
            set(name, shown.to_mut(), page, Tag::RowsPerStrip, page.height)?;
        }
    }
    Ok(shown)
}

fn set(name: &str, bytes: &mut [u8], page: &Page, tag: Tag, value: u32) -> Result<()> {
    let damaged = || Error::image(name, "the TIFF file is damaged: its directory cannot be read twice");
    set_number(bytes, page.ifd, tag, value).ok_or_else(damaged)
}

/// The planes of the page that the reader stands on.
fn read_page(name: &str, reader: &mut Reader, page: &Page) -> Result<Vec<Plane>> {
    let as_shown = page.as_shown();
    as_shown.check_unchanged(name, reader)?;
    let planes: Vec<Samples> = if page.is_packed() {
        let rows = gather(name, reader, &as_shown, |data, row, out: &mut [u8]| {
            let DecodingResult::U8(data) = data else { return false };
            data.get(row * out.len()..(row + 1) * out.len()).map(|from| out.copy_from_slice(from)).is_some()
        })?;
        let (width, stride) = (page.width as usize, as_shown.width as usize);
        let mut samples = zeros::<u16>(name, width * page.height as usize)?;
        for (to, from) in samples.chunks_exact_mut(width).zip(rows[0].chunks_exact(stride)) {
            unpack_deep(from, page.bits, to);
        }
        vec![Samples::U16(samples)]
    } else if page.depth() == 32 {
        let planes = gather(name, reader, page, |data, row, out: &mut [f32]| reals(data, row * out.len(), out))?;
        planes.into_iter().map(Samples::F32).collect()
    } else if page.depth() == 16 {
        let planes = gather(name, reader, page, |data, row, out: &mut [u16]| {
            let DecodingResult::U16(data) = data else { return false };
            data.get(row * out.len()..(row + 1) * out.len()).map(|from| out.copy_from_slice(from)).is_some()
        })?;
        planes.into_iter().map(Samples::U16).collect()
    } else {
        let planes = gather(name, reader, page, |data, row, out: &mut [u8]| {
            let DecodingResult::U8(data) = data else { return false };
            let stride = (out.len() * page.bits).div_ceil(8);
            data.get(row * stride..(row + 1) * stride).map(|from| unpack(from, page.bits, out)).is_some()
        })?;
        planes.into_iter().map(Samples::U8).collect()
    };
    let plane = |samples| Plane { width: page.width, height: page.height, samples };
    page.interpret(name, planes).map(|planes| planes.into_iter().map(plane).collect())
}

/// Most significant bits first, as FillOrder 1 says.
fn unpack(packed: &[u8], bits: usize, out: &mut [u8]) {
    let mask = (0xffu16 >> (8 - bits)) as u8;
    for (i, to) in out.iter_mut().enumerate() {
        let bit = i * bits;
        *to = packed[bit / 8] >> (8 - bits - bit % 8) & mask;
    }
}

/// As [`unpack`], for samples of 9 to 15 bits, which lie in up to three bytes.
fn unpack_deep(packed: &[u8], bits: usize, out: &mut [u16]) {
    let mask = u16::MAX >> (16 - bits);
    for (i, to) in out.iter_mut().enumerate() {
        let bit = i * bits;
        let byte = |n: usize| packed.get(bit / 8 + n).map_or(0, |byte| u32::from(*byte));
        let three = byte(0) << 16 | byte(1) << 8 | byte(2);
        *to = (three >> (24 - bits - bit % 8)) as u16 & mask;
    }
}

/// Reads every strip or tile and puts its rows in place. `row_of` copies one row of a chunk, all its samples.
fn gather<T: Copy + Default>(
    name: &str,
    reader: &mut Reader,
    page: &Page,
    row_of: impl Fn(&DecodingResult, usize, &mut [T]) -> bool,
) -> Result<Vec<Vec<T>>> {
    let damaged = || Error::image(name, "the TIFF file is damaged: its strips or tiles do not make up the image");
    let (width, height) = (page.width as usize, page.height as usize);
    let grid = page.grid(name, reader)?;
    let mut planes = Vec::new();
    for _ in 0..page.samples {
        planes.push(zeros::<T>(name, width * height)?);
    }
    let in_chunk = if page.planar { 1 } else { page.samples };
    for chunk in 0..grid.chunks(page) {
        let (x, y, plane) = grid.place(chunk);
        let columns = grid.width.min(width - x);
        // The decoder pads the lowest tiles of all planes but the first; rows below the image are left out.
        let rows = grid.height.min(height - y);
        let index = u32::try_from(chunk).map_err(|_| damaged())?;
        let (chunk_columns, chunk_rows) = reader.chunk_data_dimensions(index);
        if chunk_columns as usize != columns || (chunk_rows as usize) < rows {
            return Err(damaged());
        }
        let data = reader.read_chunk(index).map_err(|e| broken(name, e))?;
        let mut line = zeros::<T>(name, columns * in_chunk)?;
        for row in 0..rows {
            if !row_of(&data, row, &mut line) {
                return Err(damaged());
            }
            let at = (y + row) * width + x;
            for c in 0..in_chunk {
                let to = &mut planes[plane + c][at..at + columns];
                for (to, from) in to.iter_mut().zip(line.chunks_exact(in_chunk)) {
                    *to = from[c];
                }
            }
        }
    }
    Ok(planes)
}
