//! A TIFF file of any size, region by region: strips and tiles are read as they are needed, and memory does not grow with the
//! image.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ::tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;

use super::decode::{Decoded, Layout, check_plausible};
use super::project::{Focus, Fold};
use super::reading::Reading;
use super::set::{Plane, Samples, zeros};
use super::sniff::FileKind;
use super::stack::{Chosen, Projection, StackPlane};
use super::tiff::{alpha_and_turned, broken};
use super::tiff_description::Description;
use super::tiff_head::head;
use super::tiff_page::{BLACK_IS_ZERO, Page};
use super::tiff_sample::Sample;
use crate::error::{Error, Result};
use crate::limits;

/// A TIFF file that stays on the disk.
pub struct RegionFile {
    name: String,
    /// The pages that the image is made of.
    pages: Vec<OnDisk>,
    /// Which of them are the planes of each step, of which there are several in a projection.
    steps: Vec<Vec<usize>>,
    stack: Option<StackPlane>,
    description: Description,
    warnings: Vec<String>,
    cache: Cache,
    bytes: u64,
}

/// One page and a decoder that stands on it.
struct OnDisk {
    page: Page,
    decoder: Decoder<BufReader<File>>,
    access: Access,
}

/// How the samples of a page are reached.
enum Access {
    /// Rows lie in the file as they are.
    Rows { file: File, offsets: Vec<u64>, little: bool },
    /// Whole chunks are decoded.
    Chunks,
}

/// Pages that are open at once, with a file each.
const PAGES: usize = 256;

/// The number of planes that stand one behind the other behind a single directory, as ImageJ writes files of more than 4 GiB:
/// described, not compressed, in one piece, and all in the file.
fn unfolded(pages: &[Page], description: &Description, bytes: u64) -> Option<usize> {
    let [page] = pages else { return None };
    let planes = description.axes.map_or(1, |axes| axes.pages(page.samples as u64));
    let is_plain = page.ratio == 1 && page.tile.is_none() && !page.planar && page.rows_per_strip >= page.height;
    let first = u64::from(page.strip?);
    let behind = first..first.saturating_add(page.raw_bytes().saturating_mul(planes));
    // What stands there instead, in the file of one plane out of many, is its own directory.
    let is_there = behind.end <= bytes && !behind.contains(&page.ifd) && planes <= limits::TIFF_PAGES as u64;
    usize::try_from(planes).ok().filter(|planes| *planes > 1 && is_plain && is_there)
}

/// Decoded chunks that were used last.
#[derive(Default)]
struct Cache {
    chunks: HashMap<(usize, u32), (u64, Arc<DecodingResult>)>,
    bytes: usize,
    clock: u64,
}

impl RegionFile {
    /// Opens a file and checks what its directories claim; no sample is read.
    ///
    /// # Errors
    /// A file that is no TIFF, is damaged, or is stored in a way that cannot be read in regions; the sentence says which.
    pub fn open(path: &Path, reading: impl Into<Reading>) -> Result<Self> {
        let reading = reading.into();
        let name = path.display().to_string();
        let io = |e: std::io::Error| Error::io(path, e);
        let open = || File::open(path).map_err(io);
        let mut file = BufReader::new(open()?);
        let bytes = file.get_ref().metadata().map_err(io)?.len();
        let cut = |_| Error::image(&name, "the TIFF file is truncated or damaged: its directory is not in it");
        let (described, ifd) = head(&mut file).map_err(cut)?;
        let description = Description::read(&described, ifd);
        let decoder = || -> Result<_> {
            let mut caps = Limits::default();
            caps.decoding_buffer_size = limits::CHUNK_BYTES;
            caps.intermediate_buffer_size = limits::CHUNK_BYTES;
            caps.ifd_value_size = limits::CHUNK_BYTES / 16;
            Ok(Decoder::new(BufReader::new(open()?)).map_err(|e| broken(&name, e))?.with_limits(caps))
        };
        let mut reader = decoder()?;
        let mut found = Vec::new();
        for index in 0..limits::TIFF_PAGES {
            let page = Page::read(&name, &mut reader, index)?;
            // Smaller copies are the levels of a pyramid.
            if !page.reduced {
                found.push(page);
            }
            if !reader.more_images() {
                break;
            }
            reader.next_image().map_err(|e| broken(&name, e))?;
        }
        let Some(samples) = found.first().map(|page| page.samples) else {
            return Err(Error::image(&name, "the file holds only previews, no image"));
        };
        let behind = unfolded(&found, &description, bytes);
        let planes = behind.unwrap_or(found.len());
        let Chosen { steps, plane: stack, warning } = reading.choose(&name, &description, samples, planes)?;
        let used: BTreeSet<usize> = steps.iter().flatten().copied().collect();
        if used.len() > PAGES {
            let reason =
                format!("a projection of {} planes cannot be read in regions; choose one plane, or fewer", used.len());
            return Err(Error::image(&name, reason));
        }
        let mut pages = Vec::new();
        for plane in &used {
            let Some(page) = found.get(if behind.is_some() { 0 } else { *plane }) else { continue };
            let (mut page, mut own) = (page.clone(), decoder()?);
            own.seek_to_image(page.index).map_err(|e| broken(&name, e))?;
            let mut access = Access::of(&name, &page, &mut own, open()?)?;
            match (&mut access, behind) {
                (Access::Rows { offsets, .. }, Some(_)) => {
                    let shift = page.raw_bytes().saturating_mul(*plane as u64);
                    offsets.iter_mut().for_each(|offset| *offset = offset.saturating_add(shift));
                }
                // The decoder has turned inverted samples already.
                (Access::Chunks, _) => page.photometric = BLACK_IS_ZERO,
                _ => {}
            }
            pages.push(OnDisk { page, decoder: own, access });
        }
        let place = |plane: &usize| used.iter().position(|one| one == plane);
        let steps = steps.iter().map(|planes| planes.iter().filter_map(place).collect()).collect();
        let warnings = warning.into_iter().collect();
        let mut this = Self { name, pages, steps, stack, description, warnings, cache: Cache::default(), bytes };
        this.check()?;
        Ok(this)
    }

    fn check(&mut self) -> Result<()> {
        let name = &self.name;
        let Some(OnDisk { page: first, .. }) = self.pages.first() else {
            return Err(Error::image(name, "the file holds no image"));
        };
        let channels = self.steps.first().map_or(0, Vec::len);
        let pixels = u64::from(first.width) * u64::from(first.height);
        if pixels == 0 {
            return Err(Error::image(name, "its header says that it has no pixels"));
        }
        limits::check(name, "the number of pixels", pixels, limits::MASK_PIXELS)?;
        for OnDisk { page, .. } in &self.pages {
            if (page.width, page.height, page.depth()) != (first.width, first.height, first.depth()) {
                let found = format!("page {} is {first}, page {} is {page}", first.index + 1, page.index + 1);
                return Err(Error::ChannelMismatch { image: name.clone(), found });
            }
            if channels > 1 && page.layout == Layout::Rgb {
                let reason = format!("the file has {channels} pages, and they are in colour; save one page alone");
                return Err(Error::image(name, reason));
            }
            check_plausible(name, page.raw_bytes(), usize::try_from(self.bytes).unwrap_or(usize::MAX), page.ratio)?;
        }
        limits::check(name, "the number of channels", (channels * first.keep) as u64, limits::CHANNELS as u64)?;
        self.warnings.extend(alpha_and_turned(name, self.pages.iter().map(|one| &one.page)));
        Ok(())
    }

    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.pages.first().map_or([0, 0], |one| [one.page.height as usize, one.page.width as usize])
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the samples of its channels, in memory.
    pub fn decoded_bytes(&self) -> u64 {
        let of = |place: &usize| self.pages.get(*place).map_or(0, |one| one.page.raw_bytes());
        let plane = self.steps.iter().take(1).flatten().map(of).fold(0, u64::saturating_add);
        // A projection holds its sums beside them.
        if self.steps.len() > 1 { plane.saturating_mul(3) } else { plane }
    }

    /// Adds how sharp the slices of a projection are there, whose channels have the numbers from `channel` on.
    ///
    /// # Errors
    /// As [`Self::region`].
    pub(super) fn focus(&mut self, focus: &mut Focus, channel: usize, region: [Range<usize>; 2]) -> Result<usize> {
        let [rows, columns] = region;
        let mut channels = 0;
        for step in 0..self.steps.len() {
            let planes = self.step(step, &rows, &columns)?;
            channels = planes.len();
            planes.iter().enumerate().for_each(|(i, plane)| focus.add(step, channel + i, plane));
        }
        Ok(channels)
    }

    /// Whether it is a projection to the sharpest slice, which is still to be found.
    pub(super) fn is_unfocused(&self) -> bool {
        self.steps.len() > 1 && self.stack.is_some_and(|stack| stack.projection == Projection::Sharpest)
    }

    /// Takes this one of its slices alone.
    pub(super) fn take_step(&mut self, step: usize) {
        if step < self.steps.len() {
            self.stack = self.stack.map(|stack| stack.at(step));
            self.steps = vec![self.steps.swap_remove(step)];
        }
    }

    /// The planes of one step, in a region that is in the image.
    fn step(&mut self, step: usize, rows: &Range<usize>, columns: &Range<usize>) -> Result<Vec<Plane>> {
        let (width, height) = (columns.len() as u32, rows.len() as u32);
        let mut planes = Vec::new();
        for index in self.steps.get(step).into_iter().flatten() {
            let Some(one) = self.pages.get_mut(*index) else { continue };
            let (name, cache) = (&self.name, &mut self.cache);
            let raw: Vec<Samples> = match one.page.depth() {
                32 => one.gather(name, *index, cache, rows, columns)?.into_iter().map(Samples::F32).collect(),
                16 => one.gather(name, *index, cache, rows, columns)?.into_iter().map(Samples::U16).collect(),
                _ => one.gather(name, *index, cache, rows, columns)?.into_iter().map(Samples::U8).collect(),
            };
            let samples = one.page.interpret(name, raw)?;
            planes.extend(samples.into_iter().map(|samples| Plane { width, height, samples }));
        }
        Ok(planes)
    }

    /// These rows and columns of every plane, as [`super::decode`] gives them of the whole image.
    ///
    /// # Errors
    /// Samples that cannot be read or decoded; no memory.
    pub fn region(&mut self, rows: Range<usize>, columns: Range<usize>) -> Result<Decoded> {
        let [height, width] = self.size();
        let (rows, columns) = (rows.start..rows.end.min(height), columns.start..columns.end.min(width));
        if rows.is_empty() || columns.is_empty() {
            return Err(Error::image(&self.name, "a region outside the image was asked for"));
        }
        let mut planes = self.step(0, &rows, &columns)?;
        if let (Some(stack), 2..) = (self.stack, self.steps.len()) {
            let mut fold = Fold::new(stack.projection, planes);
            for step in 1..self.steps.len() {
                fold.add(&self.name.clone(), &self.step(step, &rows, &columns)?)?;
            }
            planes = fold.finish();
        }
        let first = &self.pages[0].page;
        let layout = if self.steps[0].len() == 1 { first.layout } else { Layout::Channels };
        let Description { colours, depth, pixel_size, .. } = &self.description;
        let colours = if colours.len() == planes.len() { colours.clone() } else { Vec::new() };
        Ok(Decoded {
            kind: FileKind::Tiff,
            layout,
            planes,
            warnings: self.warnings.clone(),
            colours,
            stated: depth.or(first.stated),
            pixel_size: pixel_size.and_then(super::pixel_size::square),
            stack: self.stack,
        })
    }
}

impl Access {
    fn of(name: &str, page: &Page, decoder: &mut Decoder<BufReader<File>>, mut file: File) -> Result<Self> {
        const WAY_OUT: &str = "export it as OME-TIFF, in tiles, with LZW or Deflate";
        let refuse = |reason: String| Err(Error::image(name, format!("{reason}; {WAY_OUT}")));
        if !matches!(page.bits, 8 | 16 | 32 | 64) || page.palette.is_some() {
            return refuse(format!("an image so large is not read with a palette or with {}-bit samples", page.bits));
        }
        let predictor = decoder.find_tag_unsigned::<u16>(Tag::Predictor).map_err(|e| broken(name, e))?.unwrap_or(1);
        let is_plain = page.ratio == 1 && predictor == 1 && decoder.get_chunk_type() == ChunkType::Strip;
        if is_plain {
            let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets).map_err(|e| broken(name, e))?;
            let mut order = [0; 2];
            file.read_exact(&mut order).map_err(|e| Error::image(name, e))?;
            return Ok(Self::Rows { file, offsets, little: &order == b"II" });
        }
        let grid = page.grid(name, decoder)?;
        let samples = if page.planar { 1 } else { page.samples };
        let bytes = (grid.width as u64) * (grid.height as u64) * (samples * page.bits / 8) as u64;
        if bytes > limits::CHUNK_BYTES as u64 {
            let mib = bytes >> 20;
            return refuse(format!(
                "its samples are compressed in pieces of {mib} MiB, which cannot be read in regions"
            ));
        }
        Ok(Self::Chunks)
    }
}

impl OnDisk {
    /// One vector for each sample of a pixel.
    fn gather<T: Sample>(
        &mut self,
        name: &str,
        index: usize,
        cache: &mut Cache,
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Result<Vec<Vec<T>>> {
        let damaged = || Error::image(name, "the TIFF file is damaged: its strips or tiles do not make up the image");
        let page = &self.page;
        let width = columns.len();
        let mut planes = Vec::new();
        for _ in 0..page.samples {
            planes.push(zeros::<T>(name, rows.len() * width)?);
        }
        let in_chunk = if page.planar { 1 } else { page.samples };
        let grid = page.grid(name, &self.decoder)?;
        if let Access::Rows { file, offsets, little } = &mut self.access {
            let size = page.bits / 8;
            let mut line = vec![0; width * in_chunk * size];
            for plane in 0..page.samples / in_chunk {
                for (to, row) in rows.clone().enumerate() {
                    let strip = row / grid.height + plane * (page.height as usize).div_ceil(grid.height);
                    let within = ((row % grid.height) * page.width as usize + columns.start) * in_chunk * size;
                    let at = offsets.get(strip).and_then(|at| at.checked_add(within as u64)).ok_or_else(damaged)?;
                    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut line));
                    read.map_err(|_| Error::image(name, "the TIFF file is truncated; copy or download it again"))?;
                    for (i, bytes) in line.chunks_exact(size).enumerate() {
                        planes[plane + i % in_chunk][to * width + i / in_chunk] =
                            T::from_bytes(bytes, page.coding, *little);
                    }
                }
            }
            return Ok(planes);
        }
        for chunk in grid.over(page, rows, columns) {
            let (x, y, plane) = grid.place(chunk);
            let (across, down) = (grid.width.min(page.width as usize - x), grid.height.min(page.height as usize - y));
            let number = u32::try_from(chunk).map_err(|_| damaged())?;
            let data = cache.get((index, number), || {
                let (chunk_columns, chunk_rows) = self.decoder.chunk_data_dimensions(number);
                if chunk_columns as usize != across || (chunk_rows as usize) < down {
                    return Err(damaged());
                }
                self.decoder.read_chunk(number).map_err(|e| broken(name, e))
            })?;
            let (left, right) = (columns.start.max(x), columns.end.min(x + across));
            let mut line = vec![T::default(); (right - left) * in_chunk];
            for row in rows.start.max(y)..rows.end.min(y + down) {
                let from = ((row - y) * across + left - x) * in_chunk;
                if !T::copy(&data, from, &mut line) {
                    return Err(damaged());
                }
                let to = (row - rows.start) * width + left - columns.start;
                for (i, value) in line.iter().enumerate() {
                    planes[plane + i % in_chunk][to + i / in_chunk] = *value;
                }
            }
        }
        Ok(planes)
    }
}

impl Cache {
    fn get(&mut self, key: (usize, u32), read: impl FnOnce() -> Result<DecodingResult>) -> Result<Arc<DecodingResult>> {
        self.clock += 1;
        if let Some((used, data)) = self.chunks.get_mut(&key) {
            *used = self.clock;
            return Ok(data.clone());
        }
        let data = Arc::new(read()?);
        self.bytes += bytes_of(&data);
        while self.bytes > limits::CHUNK_BYTES {
            let Some(oldest) = self.chunks.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key) else {
                break;
            };
            if let Some((_, gone)) = self.chunks.remove(&oldest) {
                self.bytes -= bytes_of(&gone);
            }
        }
        self.chunks.insert(key, (self.clock, data.clone()));
        Ok(data)
    }
}

fn bytes_of(data: &DecodingResult) -> usize {
    match data {
        DecodingResult::U8(v) => v.len(),
        DecodingResult::I8(v) => v.len(),
        DecodingResult::U16(v) => v.len() * 2,
        DecodingResult::I16(v) => v.len() * 2,
        DecodingResult::F16(v) => v.len() * 2,
        DecodingResult::U32(v) => v.len() * 4,
        DecodingResult::I32(v) => v.len() * 4,
        DecodingResult::F32(v) => v.len() * 4,
        DecodingResult::U64(v) => v.len() * 8,
        DecodingResult::I64(v) => v.len() * 8,
        DecodingResult::F64(v) => v.len() * 8,
    }
}
