//! Channels to one image: every channel has a weight in red, green and blue.

use std::collections::BTreeMap;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use super::set::{Channel, ChannelSet, Plane, Samples, in_words, zeros};
use crate::error::{Error, Result};

/// How much each channel adds to red, green and blue. In JSON a plain map, `{"red":[1,0,0],"yellow":[0.5,0.5,0]}`.
///
/// Weights are finite and from 0 to 16. A channel without weights adds nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Channel, [f32; 3]>", into = "BTreeMap<Channel, [f32; 3]>")]
pub struct Merge(BTreeMap<Channel, [f32; 3]>);

/// The largest weight: four stops brighter than the sample.
const LARGEST_WEIGHT: f32 = 16.0;

impl Merge {
    /// The weights of each channel into red, green and blue.
    ///
    /// # Errors
    /// No channel at all, or a weight that is not a number from 0 to 16.
    pub fn new(weights: BTreeMap<Channel, [f32; 3]>) -> Result<Self> {
        if weights.is_empty() {
            return Err(Error::Config("the merge names no channel".to_owned()));
        }
        for (channel, weights) in &weights {
            // NaN is in no range.
            if let Some(bad) = weights.iter().find(|w| !(0.0..=LARGEST_WEIGHT).contains(*w)) {
                let sentence =
                    format!("the merge weight {bad} of {channel} is not a number from 0 to {LARGEST_WEIGHT}");
                return Err(Error::Config(sentence));
            }
        }
        Ok(Self(weights))
    }

    /// R = red + yellow / 2, G = green + yellow / 2, B = blue: the merge of Human Protein Atlas images.
    pub fn hpa() -> Self {
        Self::for_channels(&Channel::HPA)
    }

    /// The usual colours: each named channel its own, grey in all three, and numbered ones red, green, blue, then half
    /// magenta, half cyan, half yellow, half grey and orange.
    pub fn for_channels(channels: &[Channel]) -> Self {
        let weights = |channel: &Channel| match channel {
            Channel::Red | Channel::Index(1) => [1.0, 0.0, 0.0],
            Channel::Green | Channel::Index(2) => [0.0, 1.0, 0.0],
            Channel::Blue | Channel::Index(3) => [0.0, 0.0, 1.0],
            Channel::Yellow | Channel::Index(6) => [0.5, 0.5, 0.0],
            Channel::Grey => [1.0, 1.0, 1.0],
            Channel::Index(4) => [0.5, 0.0, 0.5],
            Channel::Index(5) => [0.0, 0.5, 0.5],
            Channel::Index(8) => [0.5, 0.25, 0.0],
            Channel::Index(_) => [0.5, 0.5, 0.5],
        };
        Self(channels.iter().map(|c| (*c, weights(c))).collect())
    }

    /// The usual colours of the channels of an image, or those that its file states.
    pub fn for_set(set: &ChannelSet) -> Self {
        let Self(mut weights) = Self::for_channels(&set.channels());
        weights.extend(set.colours.iter().map(|(channel, weights)| (*channel, *weights)));
        Self(weights)
    }

    /// Weights into red, green and blue.
    pub fn weights(&self, channel: Channel) -> Option<[f32; 3]> {
        self.0.get(&channel).copied()
    }

    /// Each channel with its weights into red, green and blue.
    pub fn iter(&self) -> impl Iterator<Item = (Channel, [f32; 3])> {
        self.0.iter().map(|(c, w)| (*c, *w))
    }

    /// The planes of `set` that have weights, in the order of the channels.
    pub(super) fn weighted<'a>(&self, set: &'a ChannelSet) -> Result<Vec<(Channel, &'a Plane, [f32; 3])>> {
        let planes: Vec<_> = set.planes.iter().filter_map(|(c, p)| Some((*c, p, self.weights(*c)?))).collect();
        if planes.is_empty() {
            let (ours, theirs) = (in_words(&set.channels()), self.0.keys().copied().collect::<Vec<_>>());
            let sentence = format!("the merge is for {}, but {} has {ours}", in_words(&theirs), set.name);
            return Err(Error::Config(sentence));
        }
        Ok(planes)
    }
}

impl TryFrom<BTreeMap<Channel, [f32; 3]>> for Merge {
    type Error = Error;

    fn try_from(weights: BTreeMap<Channel, [f32; 3]>) -> Result<Self> {
        Self::new(weights)
    }
}

impl From<Merge> for BTreeMap<Channel, [f32; 3]> {
    fn from(merge: Merge) -> Self {
        merge.0
    }
}

/// A merged image: red, green and blue of each pixel, row by row (HWC), from 0 to 1, clipped, not rounded to 8 bit.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedImage {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<f32>,
}

/// The weighted sum of the channels over the set's `black`, divided by what `white` is over it and clipped at 1. A sample that
/// is NaN counts as black, and an infinite one as the black or white that it is beyond.
///
/// # Errors
/// A merge that shares no channel with the set; no memory.
pub fn merge(set: &ChannelSet, merge: &Merge) -> Result<MergedImage> {
    let planes = merge.weighted(set)?;
    let (width, height) = set.size();
    let mut rgb: Vec<f32> = zeros(&set.name, width as usize * height as usize * 3)?;
    let span = set.white - set.black;
    for (y, row) in rgb.chunks_exact_mut(width as usize * 3).enumerate() {
        for (_, plane, weights) in &planes {
            add_row(plane, y, set.black, *weights, row);
        }
        row.iter_mut().for_each(|v| *v = (*v / span).min(1.0));
    }
    Ok(MergedImage { width, height, rgb })
}

/// Adds row `y` of a plane over `black`, weighted, to a row of interleaved R, G, B in units of samples.
pub(super) fn add_row(plane: &Plane, y: usize, black: f32, weights: [f32; 3], row: &mut [f32]) {
    fn add<T: Copy + Into<f32>>(samples: &[T], black: f32, weights: [f32; 3], row: &mut [f32]) {
        for (rgb, sample) in row.chunks_exact_mut(3).zip(samples) {
            let above: f32 = (*sample).into() - black;
            // False for NaN; infinity would make NaN of a weight of 0.
            let above = if above > 0.0 { above.min(f32::MAX) } else { 0.0 };
            for (sum, weight) in rgb.iter_mut().zip(weights) {
                *sum += weight * above;
            }
        }
    }
    let width = plane.width as usize;
    match &plane.samples {
        Samples::U8(v) => add(&v[y * width..(y + 1) * width], black, weights, row),
        Samples::U16(v) => add(&v[y * width..(y + 1) * width], black, weights, row),
        Samples::F32(v) => add(&v[y * width..(y + 1) * width], black, weights, row),
    }
}

impl MergedImage {
    /// Rounded to 8 bit, alpha 255: `width * height * 4` bytes.
    pub fn to_rgba8(&self) -> Vec<u8> {
        self.rgb.as_chunks::<3>().0.iter().flat_map(|rgb| [to_u8(rgb[0]), to_u8(rgb[1]), to_u8(rgb[2]), 255]).collect()
    }

    /// An 8-bit RGB PNG file.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let rgb: Vec<u8> = self.rgb.iter().map(|v| to_u8(*v)).collect();
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|e| Error::image("the merged image", format_args!("it cannot be written as PNG ({e})")))?;
        Ok(png)
    }
}

pub(super) fn to_u8(v: f32) -> u8 {
    (v * 255.0).round() as u8
}
