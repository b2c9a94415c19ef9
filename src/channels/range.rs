//! What is black and what is white in samples that have no full scale: those of floating point, and any that the user gives a
//! range for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::set::{Plane, Samples};
use crate::error::{Error, Result};

/// The samples that become 0 and 1. In JSON `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f32; 2]", into = "[f32; 2]")]
pub struct SampleRange([f32; 2]);

/// What stands for black in planes of floating point that have no file: no sample that was recorded is darker.
pub(super) const BLACK: f32 = f32::NEG_INFINITY;

/// The percentiles that fluorescence images are stretched between in this field: one sample in 500 may be brighter than white.
const PERCENTILES: [f64; 2] = [1.0, 99.8];
/// Samples of a plane that are counted: evenly spread ones say as much as all.
pub(super) const COUNTED: usize = 1 << 17;

impl SampleRange {
    /// From black to white.
    ///
    /// # Errors
    /// A number that is NaN or infinite; a white that is not above black.
    pub fn new(low: f32, high: f32) -> Result<Self> {
        if low.is_finite() && high.is_finite() && low < high {
            return Ok(Self([low, high]));
        }
        Err(Error::Config(format!(
            "an intensity range is two numbers, the first one below the second, not {low} and {high}"
        )))
    }

    /// Becomes 0.
    pub fn low(self) -> f32 {
        self.0[0]
    }

    /// Becomes 1.
    pub fn high(self) -> f32 {
        self.0[1]
    }

    /// From the least 1st to the greatest 99.8th percentile of all planes, so that their colours stay what they are; where these
    /// are equal, as in an image that is nearly all background, from the least to the greatest sample. NaN and infinite samples
    /// do not count.
    pub(super) fn of<'a>(planes: impl Iterator<Item = &'a Plane>) -> Self {
        let mut samples = Spread::default();
        for plane in planes {
            samples.add(plane, COUNTED);
        }
        samples.range()
    }
}

/// Samples of an image that comes in parts, of each channel.
#[derive(Default)]
pub(super) struct Spread {
    planes: Vec<Vec<f32>>,
    extremes: Option<[f32; 2]>,
}

impl Spread {
    /// Adds up to `count` finite samples of a plane as one more channel.
    pub fn add(&mut self, plane: &Plane, count: usize) {
        self.planes.push(Vec::new());
        self.extend(self.planes.len() - 1, plane, count);
    }

    /// Adds up to `count` finite samples of another part of a channel.
    pub fn extend(&mut self, channel: usize, plane: &Plane, count: usize) {
        if self.planes.len() <= channel {
            self.planes.resize_with(channel + 1, Vec::new);
        }
        let step = plane.samples.len().div_ceil(count).max(1);
        let kept = &mut self.planes[channel];
        let mut extremes = self.extremes;
        let mut take = |(i, value): (usize, f32)| {
            if value.is_finite() {
                extremes = Some(extremes.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)]));
                if i.is_multiple_of(step) {
                    kept.push(value);
                }
            }
        };
        match &plane.samples {
            Samples::U8(v) => v.iter().map(|v| f32::from(*v)).enumerate().for_each(&mut take),
            Samples::U16(v) => v.iter().map(|v| f32::from(*v)).enumerate().for_each(&mut take),
            Samples::F32(v) => v.iter().copied().enumerate().for_each(&mut take),
        }
        self.extremes = extremes;
    }

    /// As [`SampleRange::of`].
    pub fn range(mut self) -> SampleRange {
        let [mut low, mut high] = [f32::INFINITY, f32::NEG_INFINITY];
        for samples in self.planes.iter_mut().filter(|samples| !samples.is_empty()) {
            let [dark, bright] = PERCENTILES.map(|percent| percentile(samples, percent));
            (low, high) = (low.min(dark), high.max(bright));
        }
        let [least, most] = self.extremes.unwrap_or_default();
        let one_above = |low: f32| SampleRange::new(low, low + 1.0).or_else(|_| SampleRange::new(0.0, 1.0));
        SampleRange::new(low, high)
            .or_else(|_| SampleRange::new(least, most))
            .or_else(|_| one_above(least))
            .unwrap_or(SampleRange([0.0, 1.0]))
    }
}

/// The nearest rank of at least one value.
fn percentile(values: &mut [f32], percent: f64) -> f32 {
    let rank = (percent / 100.0 * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

/// Says how many pixels are no numbers, if any are.
pub(super) fn not_finite<'a>(name: &str, planes: impl Iterator<Item = &'a Plane>) -> Option<String> {
    let of = |plane: &Plane| match &plane.samples {
        Samples::F32(v) => v.iter().filter(|v| !v.is_finite()).count(),
        _ => 0,
    };
    let count: usize = planes.map(of).sum();
    let noun = if count == 1 { "sample is" } else { "samples are" };
    (count > 0).then(|| {
        format!(
            "{name}: {count} {noun} NaN or infinite; NaN is shown black, and a cell with a NaN has no intensity measurements in \
             that channel"
        )
    })
}

impl fmt::Display for SampleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.low(), self.high())
    }
}

impl TryFrom<[f32; 2]> for SampleRange {
    type Error = Error;

    fn try_from([low, high]: [f32; 2]) -> Result<Self> {
        Self::new(low, high)
    }
}

impl From<SampleRange> for [f32; 2] {
    fn from(range: SampleRange) -> Self {
        range.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(samples: Vec<f32>) -> Plane {
        Plane { width: samples.len() as u32, height: 1, samples: Samples::F32(samples) }
    }

    fn of(planes: &[Vec<f32>]) -> [f32; 2] {
        let planes: Vec<Plane> = planes.iter().cloned().map(plane).collect();
        SampleRange::of(planes.iter()).into()
    }

    #[test]
    fn percentiles_of_all_planes_without_what_is_no_number() {
        let ramp: Vec<f32> = (0..=1000).map(|i| i as f32 - 200.0).collect();
        assert_eq!(of(std::slice::from_ref(&ramp)), [-190.0, 798.0]);
        let mut odd = ramp.clone();
        odd.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
        assert_eq!(of(&[odd]), [-190.0, 798.0]);
        let dim: Vec<f32> = ramp.iter().map(|v| v / 4.0 - 300.0).collect();
        assert_eq!(of(&[ramp, dim]), [-347.5, 798.0]);
    }

    #[test]
    fn flat_images_have_a_range_too() {
        let mut spot = vec![0.25; 10_000];
        spot[77] = 8.0;
        assert_eq!(of(&[spot]), [0.25, 8.0]);
        assert_eq!(of(&[vec![5.0; 9]]), [5.0, 6.0]);
        assert_eq!(of(&[vec![3e38; 9]]), [0.0, 1.0]);
        for nothing in [vec![], vec![f32::NAN; 4]] {
            assert_eq!(of(&[nothing]), [0.0, 1.0]);
        }
        assert_eq!(of(&[]), [0.0, 1.0]);
    }

    #[test]
    fn a_range_is_two_numbers_in_order() {
        assert_eq!(serde_json::from_str::<SampleRange>("[-1.5,20]").unwrap(), SampleRange([-1.5, 20.0]));
        for bad in ["[1,1]", "[2,1]", "[1,1e39]", "[1]"] {
            assert!(serde_json::from_str::<SampleRange>(bad).is_err(), "{bad}");
        }
    }
}
