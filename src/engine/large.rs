//! Detection on an image that stays on the disk.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use super::images::{Asked, choose_merge};
use super::{Engine, Observer, Stages};
use crate::channels::{self, BitDepth, ChannelMap, LargeImage, Merge, MergedImage, SampleRange};
use crate::detections::ImageDetections;
use crate::error::Result;
use crate::predict::{self, DetectOptions, Found};
use crate::tiles::{self, Source};

/// A large image, merged region by region.
struct Merged<'a> {
    image: &'a LargeImage,
    merge: &'a Merge,
}

impl Source for Merged<'_> {
    fn size(&self) -> [usize; 2] {
        self.image.size()
    }

    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Cow<'_, MergedImage>> {
        channels::merge(&self.image.region(rows, columns)?, self.merge).map(Cow::Owned)
    }
}

/// What was decided for all images of a set.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetOptions<'a> {
    /// The weights of the channels.
    pub merge: Option<&'a Merge>,
    /// Which channel stands for which of the detector's.
    pub channels: Option<&'a ChannelMap>,
    /// What counts as full brightness in 16-bit samples.
    pub bit_depth: Option<BitDepth>,
    /// What is black and white in samples of any depth.
    pub range: Option<SampleRange>,
}

impl Engine {
    /// As [`Self::detect`], of an image that is too large for memory. `set` is what was
    /// decided for all images of the set.
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub async fn detect_large(
        &self,
        name: &str,
        image: LargeImage,
        set: &SetOptions<'_>,
        options: &DetectOptions,
        observer: &impl Observer,
    ) -> Result<(ImageDetections, Vec<String>)> {
        let (active, detector) = (self.device()?, self.detector()?);
        let size = image.size();
        let image = image.settled(set.range, set.bit_depth.or(detector.config.bit_depth), tiles::blocks(size))?;
        let mut first = image.region(0..1, 0..1)?;
        let asked = Asked { merge: set.merge, channels: set.channels };
        let merge = choose_merge(&mut first, asked, detector.config.merge.as_ref())?;
        let source = Merged { image: &image, merge: &merge };
        let stages = Stages { observer, tile: Cell::new((0, 1)) };
        let found = predict::detect(detector, &source, options, &stages).await;
        active.check()?;
        let Found { detections, limit_reached } = found?;
        active.device.memory_cleanup();
        let [height, width] = size.map(|side| side as u32);
        let detections = ImageDetections {
            image: name.to_owned(),
            file: image.file().to_owned(),
            width,
            height,
            detections,
            filled: first.filled,
            stack: first.stack,
            limit_reached,
            merge: Some(merge),
        };
        Ok((detections, first.warnings))
    }
}
