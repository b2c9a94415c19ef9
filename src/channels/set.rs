//! What one decoded image is made of: channels, planes of samples, and the set that holds them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::depth::{self, BitDepth};
use super::range::{self, SampleRange};
use super::stack::StackPlane;
use crate::error::{Error, Result};
use crate::limits;

/// A channel of an image. In JSON and in words: `red`, `green`, `blue`, `yellow`, `grey`, `channel1`, `channel2`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Channel {
    /// Microtubules, in the Atlas.
    Red,
    /// The protein of interest, in the Atlas.
    Green,
    /// The nucleus, in the Atlas.
    Blue,
    /// The endoplasmic reticulum, in the Atlas.
    Yellow,
    /// The only channel of an image without colours.
    Grey,
    /// A channel without a colour of its own, counted from 1.
    Index(u8),
}

impl Channel {
    /// The channels of a Human Protein Atlas image: microtubules, the protein of interest, nucleus, endoplasmic
    /// reticulum.
    pub const HPA: [Channel; 4] = [Channel::Red, Channel::Green, Channel::Blue, Channel::Yellow];
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Red => f.write_str("red"),
            Self::Green => f.write_str("green"),
            Self::Blue => f.write_str("blue"),
            Self::Yellow => f.write_str("yellow"),
            Self::Grey => f.write_str("grey"),
            Self::Index(n) => write!(f, "channel{n}"),
        }
    }
}

impl FromStr for Channel {
    type Err = Error;

    /// Upper and lower case are the same, and so are `grey` and `gray`.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "red" => Self::Red,
            "green" => Self::Green,
            "blue" => Self::Blue,
            "yellow" => Self::Yellow,
            "grey" | "gray" => Self::Grey,
            _ => match lower.strip_prefix("channel").and_then(|n| n.parse::<u8>().ok()) {
                Some(n) if (1..=limits::CHANNELS).contains(&usize::from(n)) => Self::Index(n),
                _ => return Err(Error::Config(format!("“{}” is not a channel", text.escape_debug()))),
            },
        })
    }
}

impl TryFrom<String> for Channel {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> Self {
        channel.to_string()
    }
}

/// `red`, `red and green`, `red, green and blue`.
pub(super) fn in_words(channels: &[Channel]) -> String {
    match channels {
        [] => String::new(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(Channel::to_string).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}

/// The samples of one plane, row by row from the top left, in the depth of their file.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// 8 bit.
    U8(Vec<u8>),
    /// 16 bit.
    U16(Vec<u16>),
    /// 32-bit floating point, of any range and sign; some may be NaN or infinite.
    F32(Vec<f32>),
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 8, 16 or 32.
    pub fn bits(&self) -> u8 {
        match self {
            Self::U8(_) => 8,
            Self::U16(_) => 16,
            Self::F32(_) => 32,
        }
    }
}

/// One channel's image: `width * height` samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row by row from the top left.
    pub samples: Samples,
}

/// One image, decoded and with nothing merged. Its planes have one size and one depth.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelSet {
    /// The name of the image in results and errors.
    pub name: String,
    /// One image for each channel.
    pub planes: BTreeMap<Channel, Plane>,
    /// Channels that had no file and are black because that was asked for.
    pub filled: Vec<Channel>,
    /// What was odd about the files.
    pub warnings: Vec<String>,
    /// The sample value that the merge takes for 0, the same for every channel: 0 unless a [`SampleRange`] was chosen or measured.
    pub black: f32,
    /// The sample value that the merge takes for 1.0, the same for every channel: 255 for 8 bit; for 16 bit the full scale of
    /// a [`BitDepth`]; the upper end of a [`SampleRange`].
    pub white: f32,
    /// The bit depth that this image by itself asks for: what its files state, else what holds its samples; `None` for 8 bit.
    pub own_depth: Option<BitDepth>,
    /// Weights into red, green and blue that the file states for channels without a colour of their own.
    pub colours: BTreeMap<Channel, [f32; 3]>,
    /// The side of a pixel in µm, where the files state it and it is a square.
    pub pixel_size: Option<f64>,
    /// What the image is of a stack.
    pub stack: Option<StackPlane>,
}

impl ChannelSet {
    /// An image of these channels: nothing filled, nothing odd, all of the samples' range.
    pub fn new(name: &str, planes: BTreeMap<Channel, Plane>) -> Self {
        let bits = planes.values().map(|p| p.samples.bits()).max();
        Self {
            name: name.to_owned(),
            planes,
            filled: Vec::new(),
            warnings: Vec::new(),
            black: 0.0,
            white: match bits {
                Some(32) => 1.0,
                Some(16) => u16::MAX.into(),
                _ => u8::MAX.into(),
            },
            own_depth: None,
            colours: BTreeMap::new(),
            pixel_size: None,
            stack: None,
        }
    }

    /// Checks what the type does not say, for a set that no reader of files made.
    ///
    /// # Errors
    /// No channel, more than [`limits::CHANNELS`], an image over the limits; [`Error::ChannelMismatch`] for planes of
    /// different size or depth; a plane that has more or fewer samples than pixels; a `white` that is not above `black`.
    pub fn check(&self) -> Result<()> {
        let Some(first) = self.planes.values().next() else {
            return Err(Error::image(&self.name, "it has no channel"));
        };
        let (width, height, bits) = (first.width, first.height, first.samples.bits());
        let pixels = u64::from(width) * u64::from(height);
        limits::check(&self.name, "the number of channels", self.planes.len() as u64, limits::CHANNELS as u64)?;
        limits::check(&self.name, "its longer side in pixels", width.max(height).into(), limits::IMAGE_SIDE.into())?;
        limits::check(&self.name, "its number of pixels", pixels, limits::IMAGE_PIXELS)?;
        if pixels == 0 {
            return Err(Error::image(&self.name, "it has no pixels"));
        }
        SampleRange::new(self.black, self.white).map_err(|e| Error::image(&self.name, e))?;
        for (channel, plane) in &self.planes {
            if (plane.width, plane.height, plane.samples.bits()) != (width, height, bits) {
                let (image, found) = (self.name.clone(), format!("{channel} differs"));
                return Err(Error::ChannelMismatch { image, found });
            }
            if plane.samples.len() as u64 != pixels {
                let samples = plane.samples.len();
                return Err(Error::image(&self.name, format!("{channel} has {samples} samples for {pixels} pixels")));
            }
        }
        Ok(())
    }

    /// What is black and what is white: the range that was chosen, if any; for 16 bit full brightness as decided for all
    /// images of a run, or else as this one asks for; for floating point the percentiles of this image. An image that goes
    /// beyond what was decided is named.
    pub(super) fn choose_white(&mut self, range: Option<SampleRange>, decided: Option<BitDepth>) {
        self.warnings.extend(range::not_finite(&self.name, self.recorded()));
        let range = range.or_else(|| (self.bits() == 32).then(|| SampleRange::of(self.recorded())));
        if let Some(range) = range {
            (self.black, self.white) = (range.low(), range.high());
            return;
        }
        let Some(own) = self.own_depth else { return };
        let white = decided.unwrap_or(own).full_scale();
        self.white = white.into();
        let (name, bits) = (&self.name, own.bits());
        if decided.is_some_and(|decided| decided < own) && depth::reached(self.planes.values()) > white {
            self.warnings.push(format!(
                "{name}: its samples exceed {white}, the full brightness of this set, and are clipped there; it looks like a \
                 {bits}-bit image. Process it by itself, or choose the bit depth"
            ));
        }
    }

    /// The planes that were recorded, and not filled with black.
    pub(super) fn recorded(&self) -> impl Iterator<Item = &Plane> {
        self.planes.iter().filter(|(channel, _)| !self.filled.contains(channel)).map(|(_, plane)| plane)
    }

    /// Width and height in pixels; a set without planes, which `assemble` never makes, is 0 × 0.
    pub fn size(&self) -> (u32, u32) {
        self.planes.values().next().map_or((0, 0), |p| (p.width, p.height))
    }

    /// 8, 16 or 32.
    pub fn bits(&self) -> u8 {
        self.planes.values().next().map_or(8, |p| p.samples.bits())
    }

    /// The channels in order.
    pub fn channels(&self) -> Vec<Channel> {
        self.planes.keys().copied().collect()
    }
}

/// `count` zeros, or a sentence where the memory is not there.
pub(super) fn zeros<T: Clone + Default>(subject: &str, count: usize) -> Result<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(count).map_err(|_| {
        let mib = (count * size_of::<T>()).div_ceil(1 << 20);
        Error::image(subject, format_args!("there is not enough memory to open it ({mib} MiB are needed)"))
    })?;
    out.resize(count, T::default());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_spelled_one_way() {
        for channel in Channel::HPA.into_iter().chain([Channel::Grey, Channel::Index(1), Channel::Index(8)]) {
            assert_eq!(channel.to_string().parse::<Channel>(), Ok(channel));
            assert_eq!(serde_json::to_string(&channel).unwrap(), format!("\"{channel}\""));
        }
        assert_eq!("GRAY".parse::<Channel>(), Ok(Channel::Grey));
        for bad in ["", "channel", "channel0", "channel9", "channel-1", "purple"] {
            assert!(bad.parse::<Channel>().is_err(), "{bad}");
        }
    }

    #[test]
    fn channels_in_words() {
        assert_eq!(in_words(&Channel::HPA), "red, green, blue and yellow");
        assert_eq!(in_words(&[Channel::Red]), "red");
    }

    #[test]
    fn memory_that_is_not_there_is_a_sentence() {
        assert!(zeros::<u16>("a.png", isize::MAX as usize / 2).is_err());
        assert_eq!(zeros::<u8>("a.png", 3), Ok(vec![0; 3]));
    }
}
