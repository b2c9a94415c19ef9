//! How bright full brightness is in 16-bit samples.
//!
//! Cameras digitise to 10, 12 or 14 bits and programs store that in 16. Which of them it was decides by what factor an image
//! is dark, so it is decided once for all images of a run, and a detector keeps what it was trained with.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::set::{Plane, Samples};
use crate::error::{Error, Result};

/// The bits that a camera digitises to: the sample `2^bits − 1` counts as full brightness. A plain number in JSON. Larger
/// depths are greater, so the depth of a set is the maximum of its images'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct BitDepth(u8);

/// The fewest and the most bits of a sample that does not fit into 8.
const DEPTHS: RangeInclusive<u8> = 9..=16;

impl BitDepth {
    /// All of a 16-bit sample.
    pub const FULL: BitDepth = BitDepth(16);
    /// What cameras have, in 16-bit samples.
    const USUAL: [BitDepth; 4] = [BitDepth(10), BitDepth(12), BitDepth(14), BitDepth::FULL];

    /// A depth of that many bits.
    ///
    /// # Errors
    /// Bits that are not among [`DEPTHS`].
    pub fn new(bits: u8) -> Result<Self> {
        if DEPTHS.contains(&bits) {
            return Ok(Self(bits));
        }
        let (least, most) = (DEPTHS.start(), DEPTHS.end());
        Err(Error::Config(format!("a bit depth of 16-bit images is from {least} to {most}, not {bits}")))
    }

    /// 9–16.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The sample value of full brightness.
    pub fn full_scale(self) -> u16 {
        u16::MAX >> (16 - self.0)
    }

    /// The depth whose full scale a writer gives as the largest sample; `None` for other values, which are measured or
    /// chosen for the screen, and for 65535, which is what the file type holds anyway.
    pub(super) fn with_full_scale(value: u64) -> Option<Self> {
        (9..16).map(BitDepth).find(|depth| u64::from(depth.full_scale()) == value)
    }

    /// The depth that a file states in bits; 16 states nothing.
    pub(super) fn stated(bits: u64) -> Option<Self> {
        u8::try_from(bits).ok().filter(|bits| *bits < 16).and_then(|bits| Self::new(bits).ok())
    }

    /// The least usual depth for samples that reach `value`.
    fn holding(value: u16) -> Self {
        Self::USUAL.into_iter().find(|depth| value <= depth.full_scale()).unwrap_or(Self::FULL)
    }

    /// What an image by itself asks for: what its file states, where its samples keep to it; else the least usual depth that
    /// holds `reached`.
    pub(super) fn of_image(stated: Option<Self>, reached: u16) -> Self {
        stated.filter(|depth| reached <= depth.full_scale()).unwrap_or_else(|| Self::holding(reached))
    }
}

impl TryFrom<u8> for BitDepth {
    type Error = Error;

    fn try_from(bits: u8) -> Result<Self> {
        Self::new(bits)
    }
}

impl From<BitDepth> for u8 {
    fn from(depth: BitDepth) -> u8 {
        depth.0
    }
}

/// Of ten thousand samples one may be a hot pixel or a cosmic ray, and a few in any image.
const ONE_OF: usize = 10_000;
const A_FEW: usize = 8;

/// The sample that all but the brightest ten-thousandth of each plane stay within: the 99.99 % quantile, the largest of all
/// planes. At least eight samples a plane are left aside, unless that were more than a hundredth of it.
pub(super) fn reached<'a>(planes: impl IntoIterator<Item = &'a Plane>) -> u16 {
    planes.into_iter().map(quantile).max().unwrap_or(0)
}

fn quantile(plane: &Plane) -> u16 {
    let mut counts = vec![0usize; 1 << 16];
    match &plane.samples {
        Samples::U8(v) => v.iter().for_each(|v| counts[usize::from(*v)] += 1),
        Samples::U16(v) => v.iter().for_each(|v| counts[usize::from(*v)] += 1),
        // They were not digitised to whole numbers, and have a range instead.
        Samples::F32(_) => return 0,
    }
    let all = plane.samples.len();
    let mut aside = (all / ONE_OF).max(A_FEW).min(all / 100);
    for (value, count) in counts.iter().enumerate().rev() {
        if *count > aside {
            return value as u16;
        }
        aside -= count;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(samples: Vec<u16>) -> Plane {
        Plane { width: samples.len() as u32, height: 1, samples: Samples::U16(samples) }
    }

    #[test]
    fn a_hot_pixel_does_not_count_and_a_bright_cell_does() {
        let with = |bright: usize| {
            let mut samples = vec![1000; 100_000];
            samples[500..500 + bright].fill(60_000);
            reached(&[plane(samples), plane(vec![7; 100_000])])
        };
        assert_eq!([with(0), with(1), with(10), with(11)], [1000, 1000, 1000, 60_000]);
        // Of two pixels none is left aside.
        assert_eq!(reached(&[plane(vec![3, 9])]), 9);
        assert_eq!(reached(&[plane(vec![])]), 0);
    }

    #[test]
    fn the_least_usual_depth_holds_the_samples() {
        let bits = |stated: Option<u8>, reached| BitDepth::of_image(stated.map(BitDepth), reached).bits();
        assert_eq!([0, 1023, 1024, 4095, 4096, 16_383, 16_384].map(|v| bits(None, v)), [10, 10, 12, 12, 14, 14, 16]);
        assert_eq!((bits(Some(12), 700), bits(Some(11), 2000)), (12, 11));
        assert_eq!(bits(Some(12), 9000), 14, "what the file states does not hold");
    }

    #[test]
    fn statements_of_files() {
        assert_eq!(BitDepth::with_full_scale(4095), Some(BitDepth(12)));
        assert_eq!([255, 4094, 65_535, u64::MAX].map(BitDepth::with_full_scale), [None; 4]);
        assert_eq!(BitDepth::stated(14), Some(BitDepth(14)));
        assert_eq!([0, 8, 16, 32].map(BitDepth::stated), [None; 4]);
    }

    #[test]
    fn a_plain_number_in_json() {
        assert_eq!(serde_json::to_string(&BitDepth(12)).unwrap(), "12");
        assert_eq!(serde_json::from_str::<BitDepth>("12").unwrap().full_scale(), 4095);
        assert!(serde_json::from_str::<BitDepth>("8").is_err() && serde_json::from_str::<BitDepth>("17").is_err());
    }
}
