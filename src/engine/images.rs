//! Images as the engine opens them: decoded, and merged as they ask for, or as the detector was trained.

use crate::{
    channels::{self, BitDepth, Channel, ChannelMap, ChannelSet, Merge, MergedImage, ReadOptions},
    error::Result,
    model::DetectorConfig,
    protocol::{ImageInput, LayerImage, Measured, OpenedImage, Thumbnail},
};

/// An image, decoded and merged.
pub struct Opened {
    pub set: ChannelSet,
    pub merge: Merge,
    pub merged_image: MergedImage,
}

/// Decodes and merges an image with its own weights, or the default of its channels.
pub fn merged_image(image: &ImageInput) -> Result<Opened> {
    merged_image_with(image, Seen::default())
}

/// How a detector was trained to see images.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen<'a> {
    pub merge: Option<&'a Merge>,
    pub bit_depth: Option<BitDepth>,
}

impl<'a> Seen<'a> {
    pub(super) fn by(config: &'a DetectorConfig) -> Self {
        Self { merge: config.merge.as_ref(), bit_depth: config.bit_depth }
    }
}

/// As [`merged_image`]; where the image has no weights of its own, those that a detector was trained with come before the
/// default, provided that they name every channel of the image; so does the detector's bit depth.
pub(super) fn merged_image_with(image: &ImageInput, seen: Seen) -> Result<Opened> {
    let depth = image.bit_depth.or(seen.bit_depth);
    let set = channels::assemble(&image.name, &files_of(image), &options_of(image, depth))?;
    let asked = Asked { merge: image.merge.as_ref(), channels: image.channels.as_ref() };
    merged(set, asked, seen.merge.or(image.detector_merge.as_ref()))
}

/// What was asked for of the weights of channels.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub merge: Option<&'a Merge>,
    pub channels: Option<&'a ChannelMap>,
}

/// The merge of a set: its own, else the detector's weights for the channels that were mapped, else those of a detector that
/// names every channel, else the default; where the detector does not, that is said.
pub(super) fn choose_merge(set: &mut ChannelSet, asked: Asked, trained_with: Option<&Merge>) -> Result<Merge> {
    if let Some(own) = asked.merge {
        return Ok(own.clone());
    }
    if let Some(map) = asked.channels {
        return map.merge(trained_with);
    }
    let channels = set.channels();
    let fits = |merge: &&Merge| channels.iter().all(|channel| merge.weights(*channel).is_some());
    set.warnings.extend(trained_with.and_then(|merge| ChannelMap::mismatch(merge, &channels)));
    Ok(trained_with.filter(fits).cloned().unwrap_or_else(|| Merge::for_set(set)))
}

/// Channels as one image: by their own weights, else by those of a detector that name every channel, else by the default.
pub(super) fn merged(mut set: ChannelSet, asked: Asked, trained_with: Option<&Merge>) -> Result<Opened> {
    let merge = choose_merge(&mut set, asked, trained_with)?;
    let merged_image = channels::merge(&set, &merge)?;
    Ok(Opened { set, merge, merged_image })
}

pub(super) fn files_of(image: &ImageInput) -> Vec<(Option<Channel>, String, &Vec<u8>)> {
    image.files.iter().map(|f| (f.file.channel, f.file.file.clone(), &f.bytes)).collect()
}

pub(super) fn options_of(image: &ImageInput, depth: Option<BitDepth>) -> ReadOptions<'_> {
    ReadOptions { fill: &image.fill, pages: image.pages, depth, range: image.range, stack: image.stack }
}

/// The bit depth that an image by itself asks for; `None` for 8 bit.
///
/// # Errors
/// What keeps the image from being read.
pub fn survey(image: &ImageInput) -> Result<Option<BitDepth>> {
    channels::depth_of(&image.name, &files_of(image), &options_of(image, None))
}

pub(super) fn open(image: &ImageInput, side: u32) -> Result<OpenedImage> {
    let Opened { set, merge, merged_image } = merged_image(image)?;
    let layers = channels::layers(&set, &merge)?
        .into_iter()
        .map(|layer| LayerImage { channel: layer.channel, rgba: layer.rgba })
        .collect();
    let (width, height, rgba) = channels::thumbnail(&merged_image, side);
    let channels = set.channels();
    let trained = image.detector_merge.as_ref();
    let others = trained.filter(|trained| ChannelMap::mismatch(trained, &channels).is_some());
    let proposal = others.map(|trained| ChannelMap::proposed(trained, &channels));
    Ok(OpenedImage {
        name: image.name.clone(),
        width: merged_image.width,
        height: merged_image.height,
        bits: set.bits(),
        black: set.black,
        white: set.white,
        merge,
        filled: set.filled,
        proposal,
        stack: set.stack,
        orientation: orientation(image),
        warnings: set.warnings,
        layers,
        thumbnail: Thumbnail { width, height, rgba },
    })
}

pub(super) fn measure(image: &ImageInput) -> Result<Measured> {
    let Opened { set, merged_image, .. } = merged_image(image)?;
    let (width, height) = (merged_image.width, merged_image.height);
    Ok(Measured { width, height, orientation: orientation(image), warnings: set.warnings })
}

fn orientation(image: &ImageInput) -> u8 {
    match image.files.as_slice() {
        [only] => channels::orientation(&only.bytes),
        // No camera writes channels into files of their own and turns them.
        _ => 1,
    }
}

/// The file that results name, as far as one image tells: its own, or for a channel set the image that they would be merged
/// to. Who knows all images names them by [`reference::files_of`].
pub(super) fn display_name(image: &ImageInput) -> String {
    match image.files.as_slice() {
        [only] => only.file.file.rsplit(['/', '\\']).next().unwrap_or(&only.file.file).to_owned(),
        _ => format!("{}.png", image.name),
    }
}
