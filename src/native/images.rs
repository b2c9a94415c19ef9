//! The files of an image, read for the engine.

use crate::{
    channels::{BitDepth, ChannelMap, Groups, ImageEntry, LargeImage, Merge, Pages, Reading, SampleRange, StackRule},
    engine::SetOptions,
    error::{Error, Result},
    files,
    protocol::{ImageFile, ImageInput},
};

/// How an image is read where its files leave something open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageOptions {
    /// Fill the missing channels of a Human Protein Atlas image with black instead of refusing the image.
    pub fill_missing: bool,
    /// The weights of the channels. Without them those that the detector was trained with, provided that they name every
    /// channel of the image, else [`Merge::for_set`].
    pub merge: Option<Merge>,
    /// Which channels stand for which of the detector's. `merge` comes before.
    pub channels: Option<ChannelMap>,
    /// What the pages of a TIFF file are that does not say it.
    pub pages: Pages,
    /// What counts as full brightness in 16-bit samples. Without it what the detector was trained with, else what the
    /// files state, else what holds their samples.
    pub bit_depth: Option<BitDepth>,
    /// What is black and white in samples of any depth. Without it `bit_depth` counts, and for floating point the percentiles
    /// 1 and 99.8 of each image.
    pub range: Option<SampleRange>,
    /// What is read of stacks. Without a rule they are refused.
    pub stack: Option<StackRule>,
}

impl ImageOptions {
    /// Reads the files of one image; what its name alone rules out is not read.
    ///
    /// # Errors
    /// A channel that is missing; a file that cannot be read.
    #[doc(hidden)]
    pub fn read(&self, entry: &ImageEntry) -> Result<ImageInput> {
        entry.check()?;
        let fill = if self.fill_missing { entry.missing.clone() } else { Vec::new() };
        let files = entry
            .files
            .iter()
            .map(|file| Ok(ImageFile { bytes: files::read_file(file.file.as_ref())?, file: file.clone() }))
            .collect::<Result<_>>()?;
        let (name, merge, channels) = (entry.name.clone(), self.merge.clone(), self.channels.clone());
        let Self { pages, bit_depth, range, stack, .. } = *self;
        Ok(ImageInput { name, files, fill, merge, channels, detector_merge: None, pages, bit_depth, range, stack })
    }

    /// What holds for all images of a set, for those that are too large for memory.
    pub fn for_set(&self) -> SetOptions<'_> {
        SetOptions {
            merge: self.merge.as_ref(),
            channels: self.channels.as_ref(),
            bit_depth: self.bit_depth,
            range: self.range,
        }
    }

    /// Opens an image that is over the limits of images in memory; `None` for one that [`Self::read`] reads.
    ///
    /// # Errors
    /// A channel that is missing; a large file that is damaged or cannot be read in regions.
    #[doc(hidden)]
    pub fn open_large(&self, entry: &ImageEntry) -> Result<Option<LargeImage>> {
        entry.check()?;
        let fill = if self.fill_missing { entry.missing.clone() } else { Vec::new() };
        LargeImage::open(entry, fill, Reading::new(self.pages, self.stack))
    }
}

/// Says what is not an image, and what is odd about one.
///
/// # Errors
/// No image at all.
pub fn report_problems(groups: &Groups, say: &mut dyn FnMut(&str)) -> Result<()> {
    for ignored in &groups.ignored {
        say(&format!("left out: {}: {}", ignored.file, ignored.reason));
    }
    for image in &groups.images {
        // A channel that is missing is filled, and that is said, or the image fails for it.
        let odd = image.problems.iter().filter(|problem| problem.code != "channel-missing");
        odd.for_each(|problem| say(&problem.sentence));
    }
    if groups.images.is_empty() {
        return Err(Error::Usage("no images there; PNG, JPEG and TIFF are read".into()));
    }
    Ok(())
}
