//! An image that is too large for memory, in the same channels as if it were not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use super::assemble::{by_itself, with_own_depth};
use super::depth::BitDepth;
use super::group::ImageEntry;
use super::project::Focus;
use super::range::{BLACK, COUNTED, SampleRange, Spread};
use super::reading::Reading;
use super::region::RegionFile;
use super::set::{Channel, ChannelSet, Plane, Samples};
use super::sniff::{FileKind, HEAD_BYTES, sniff};
use crate::error::{Error, Result};
use crate::limits;

/// A TIFF file, or one for each channel, of which regions are read as they are needed.
pub struct LargeImage {
    name: String,
    file: String,
    files: RefCell<Vec<(Option<Channel>, RegionFile)>>,
    /// Channels that have no file and are black.
    fill: Vec<Channel>,
    size: [usize; 2],
    /// What is black and white, the same in all regions; `None` before it is settled and for 8 bit.
    range: Option<SampleRange>,
}

impl LargeImage {
    /// Opens an image that is over the limits of images in memory; `None` for one that is not, and for one that is no TIFF.
    ///
    /// # Errors
    /// A large file that is damaged or cannot be read in regions; channels of different sizes.
    pub fn open(entry: &ImageEntry, fill: Vec<Channel>, reading: impl Into<Reading>) -> Result<Option<Self>> {
        let reading = reading.into();
        let mut files = Vec::new();
        let mut is_large = false;
        for file in &entry.files {
            let path = Path::new(&file.file);
            let is_long = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > limits::FILE_BYTES);
            if !is_tiff(path) {
                return Ok(None);
            }
            match RegionFile::open(path, reading) {
                Ok(open) => {
                    is_large |= is_long || is_over(&open);
                    files.push((file.channel, open));
                }
                // A file in memory is read more widely, and its own sentence says what is wrong with it.
                Err(Error::Image { .. } | Error::PagesUnknown { .. } | Error::ChannelMismatch { .. }) if !is_long => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let Some((_, first)) = files.first().filter(|_| is_large) else { return Ok(None) };
        let size = first.size();
        if files.iter().any(|(_, file)| file.size() != size) {
            let found = "they have different sizes".to_owned();
            return Err(Error::ChannelMismatch { image: entry.name.clone(), found });
        }
        let file = match &entry.files[..] {
            [only] => only.file.rsplit(['/', '\\']).next().unwrap_or(&only.file).to_owned(),
            _ => format!("{}.png", entry.name),
        };
        Ok(Some(Self { name: entry.name.clone(), file, files: RefCell::new(files), fill, size, range: None }))
    }

    /// The file that results name: its own, or for a channel set the image that they would be merged to.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The same image with one black and white for all of its regions: the range that was chosen, else of 16-bit samples the
    /// depth that was decided or that `blocks` ask for, else of floating point the percentiles of the blocks, which are spread
    /// over the image.
    ///
    /// # Errors
    /// As [`Self::region`].
    pub fn settled(
        self,
        range: Option<SampleRange>,
        depth: Option<BitDepth>,
        blocks: Vec<[Range<usize>; 2]>,
    ) -> Result<Self> {
        self.focus(&blocks)?;
        let bits = self.region(0..1, 0..1)?.bits();
        let range = match (range, bits) {
            (Some(range), _) => Some(range),
            (None, 16) => {
                let depth = match depth {
                    Some(depth) => depth,
                    None => self.own_depth(blocks)?.unwrap_or(BitDepth::FULL),
                };
                Some(SampleRange::new(0.0, depth.full_scale().into())?)
            }
            (None, 32) => {
                let count = COUNTED.div_ceil(blocks.len().max(1));
                let mut spread = Spread::default();
                for [rows, columns] in blocks {
                    let set = self.region(rows, columns)?;
                    set.recorded().enumerate().for_each(|(channel, plane)| spread.extend(channel, plane, count));
                }
                Some(spread.range())
            }
            (None, _) => None,
        };
        Ok(Self { range, ..self })
    }

    /// Rows and columns of all channels.
    ///
    /// # Errors
    /// Samples that cannot be read; a file of several channels that is named as one.
    pub fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<ChannelSet> {
        let mut files = self.files.borrow_mut();
        let mut set = if let [(None, file)] = &mut files[..] {
            by_itself(&self.name, file.region(rows, columns)?)
        } else {
            // One file for each channel.
            let mut planes = BTreeMap::new();
            let (mut warnings, mut stated, mut stack) = (Vec::new(), None, None);
            for (channel, file) in files.iter_mut() {
                let mut decoded = file.region(rows.clone(), columns.clone())?;
                let (Some(channel), 1) = (*channel, decoded.planes.len()) else {
                    let reason = "it is not the grey image of one channel that its name says; give a grey file";
                    return Err(Error::image(&self.name, reason));
                };
                warnings.append(&mut decoded.warnings);
                stated = stated.max(decoded.stated);
                stack = decoded.stack;
                planes.insert(channel, decoded.planes.swap_remove(0));
            }
            let like: Option<Plane> = planes.values().next().cloned();
            for (channel, plane) in self.fill.iter().zip(std::iter::repeat(like)) {
                planes.extend(plane.map(|plane| (*channel, black(plane))));
            }
            let bits: Vec<u8> = planes.values().map(|plane| plane.samples.bits()).collect();
            if bits.windows(2).any(|pair| pair[0] != pair[1]) {
                let found = "they have samples of different bits".to_owned();
                return Err(Error::ChannelMismatch { image: self.name.clone(), found });
            }
            let set = ChannelSet { filled: self.fill.clone(), warnings, stack, ..ChannelSet::new(&self.name, planes) };
            with_own_depth(set, stated)
        };
        if let Some(range) = self.range {
            (set.black, set.white) = (range.low(), range.high());
        }
        Ok(set)
    }

    /// Finds the slice that is in focus in all channels, where that was asked for.
    fn focus(&self, blocks: &[[Range<usize>; 2]]) -> Result<()> {
        let mut files = self.files.borrow_mut();
        if !files.iter().any(|(_, file)| file.is_unfocused()) {
            return Ok(());
        }
        let mut focus = Focus::default();
        for block in blocks {
            let mut channel = 0;
            for (_, file) in files.iter_mut() {
                channel += file.focus(&mut focus, channel, block.clone())?;
            }
        }
        let best = focus.sharpest();
        files.iter_mut().for_each(|(_, file)| file.take_step(best));
        Ok(())
    }

    /// The bit depth that these regions ask for; `None` for 8 bit.
    fn own_depth(&self, blocks: impl IntoIterator<Item = [Range<usize>; 2]>) -> Result<Option<BitDepth>> {
        blocks.into_iter().try_fold(None, |most: Option<BitDepth>, [rows, columns]| {
            Ok(most.max(self.region(rows, columns)?.own_depth))
        })
    }
}

fn black(plane: Plane) -> Plane {
    let samples = match plane.samples {
        Samples::U8(v) => Samples::U8(vec![0; v.len()]),
        Samples::U16(v) => Samples::U16(vec![0; v.len()]),
        Samples::F32(v) => Samples::F32(vec![BLACK; v.len()]),
    };
    Plane { samples, ..plane }
}

fn is_tiff(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    read.is_ok() && sniff(&head) == FileKind::Tiff
}

/// Whether a file is more than an image in memory may be.
fn is_over(file: &RegionFile) -> bool {
    let [height, width] = file.size().map(|side| side as u64);
    height.max(width) > u64::from(limits::IMAGE_SIDE)
        || height * width > limits::IMAGE_PIXELS
        || file.decoded_bytes() > limits::IMAGE_BYTES
}
