//! Stacks: which of the planes of a file are the image, where it has several slices or time points.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the slices of a stack become one image. In JSON and on the command line `plane`, `max`, `mean`, `sharpest`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projection {
    /// One slice.
    #[default]
    Plane,
    /// The greatest sample of each pixel.
    Max,
    /// The mean of each pixel; of whole numbers it is rounded, so that it keeps their depth.
    Mean,
    /// The slice in focus: that with the greatest autocorrelation measure of Vollath (F4), summed over the channels, of which
    /// each counts alike. All channels are of this slice.
    Sharpest,
}

impl Projection {
    pub const ALL: [Self; 4] = [Self::Plane, Self::Max, Self::Mean, Self::Sharpest];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plane => "plane",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Sharpest => "sharpest",
        }
    }
}

impl FromStr for Projection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| Error::Usage(format!("a projection is one of {names}")))
    }
}

/// What is made of the stacks of a set.
///
/// A projection is over the slices of one time point; in a file that has time points alone it is over these, unless `t` picks
/// one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StackRule {
    pub projection: Projection,
    /// The slice, counted from 1; the middle one when absent. Only [`Projection::Plane`] has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z: Option<u32>,
    /// The time point, counted from 1; the first one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<u32>,
}

/// What an image is of the stack in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackPlane {
    pub slices: u32,
    pub frames: u32,
    pub projection: Projection,
    /// Counted from 1; none where all slices were projected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z: Option<u32>,
    /// Counted from 1; none where all time points were projected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<u32>,
}

impl StackPlane {
    /// The same with the slice, or time point, that was found to be the sharpest, counted from 0.
    pub(super) fn at(self, step: usize) -> Self {
        let step = Some(number(step + 1));
        if self.z.is_none() { Self { z: step, ..self } } else { Self { t: step, ..self } }
    }
}

impl fmt::Display for StackPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slices, frames, .. } = self;
        match self.projection {
            Projection::Plane => {}
            Projection::Max => f.write_str("maximum, ")?,
            Projection::Mean => f.write_str("mean, ")?,
            Projection::Sharpest => f.write_str("sharpest, ")?,
        }
        match self.z {
            Some(z) => write!(f, "z {z}/{slices}")?,
            None => write!(f, "z 1–{slices}")?,
        }
        match self.t {
            Some(t) => write!(f, ", t {t}/{frames}"),
            None => write!(f, ", t 1–{frames}"),
        }
    }
}

/// How a file is arranged: which page is which plane. The channels of a plane may be samples of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arranged {
    pub slices: usize,
    pub frames: usize,
    /// Pages of one plane.
    pub channels: usize,
    /// The pages, channel by channel, then slice by slice, then time point by time point.
    pub pages: Vec<usize>,
}

/// What is read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The pages of each plane that the image is made of, channel by channel. One plane unless it is a projection.
    pub steps: Vec<Vec<usize>>,
    /// `None` for a file that is no stack.
    pub plane: Option<StackPlane>,
    /// What the rule leaves open.
    pub warning: Option<String>,
}

impl Arranged {
    /// The pages of one plane, counted from 0.
    fn plane(&self, z: usize, t: usize) -> Vec<usize> {
        let from = (t * self.slices + z) * self.channels;
        self.pages.iter().skip(from).take(self.channels).copied().collect()
    }

    /// # Errors
    /// A stack without a rule; a slice or time point that it does not have.
    pub fn choose(&self, name: &str, rule: Option<StackRule>) -> Result<Chosen> {
        let Self { slices, frames, .. } = *self;
        if slices * frames == 1 {
            return Ok(Chosen { steps: vec![self.plane(0, 0)], plane: None, warning: None });
        }
        let Some(StackRule { projection, z, t }) = rule else {
            return Err(Error::image(name, stack_sentence(slices as u64, frames as u64)));
        };
        let is_plane = projection == Projection::Plane;
        let over_frames = !is_plane && slices == 1 && t.is_none();
        let over_slices = !is_plane && !over_frames;
        let at = |what: &str, asked: Option<u32>, count: usize, usual: usize| match asked {
            None => Ok(usual),
            Some(n) if n >= 1 && n as usize <= count => Ok(n as usize - 1),
            Some(n) => Err(Error::image(name, format!("it has {}, and no {what} {n}", counted(count as u64, what)))),
        };
        let z = if over_slices { None } else { Some(at("slice", z.filter(|_| is_plane), slices, (slices - 1) / 2)?) };
        let t_index = if over_frames { None } else { Some(at("time point", t, frames, 0)?) };
        let steps = match (z, t_index) {
            (Some(z), Some(t)) => vec![self.plane(z, t)],
            (None, Some(t)) => (0..slices).map(|z| self.plane(z, t)).collect(),
            (z, None) => (0..frames).map(|t| self.plane(z.unwrap_or(0), t)).collect(),
        };
        let first_of_many = frames > 1 && t.is_none() && !over_frames;
        let warning = first_of_many.then(|| format!("{name}: the first of {frames} time points is used"));
        let [z, t] = [z, t_index].map(|at| at.map(|at| number(at + 1)));
        let plane = StackPlane { slices: number(slices), frames: number(frames), projection, z, t };
        Ok(Chosen { steps, plane: Some(plane), warning })
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// That a file is a stack, and how to choose from it.
pub(super) fn stack_sentence(slices: u64, frames: u64) -> String {
    let size = format!("{} and {}", counted(slices, "slice"), counted(frames, "time point"));
    format!("the file is a stack of {size}; choose what to read of it (--z, --t or --projection)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(slices: usize, frames: usize) -> Arranged {
        Arranged { slices, frames, channels: 2, pages: (0..slices * frames * 2).collect() }
    }

    fn rule(projection: Projection, z: Option<u32>, t: Option<u32>) -> Option<StackRule> {
        Some(StackRule { projection, z, t })
    }

    #[test]
    fn a_plane_is_the_middle_of_the_first_time_point_unless_told() {
        let choose = |z, t| arranged(5, 3).choose("a", rule(Projection::Plane, z, t)).unwrap();
        let usual = choose(None, None);
        assert_eq!(usual.steps, [vec![4, 5]]);
        assert_eq!(usual.plane.unwrap().to_string(), "z 3/5, t 1/3");
        assert_eq!(usual.warning.as_deref(), Some("a: the first of 3 time points is used"));
        let told = choose(Some(5), Some(2));
        assert_eq!((told.steps, told.warning), (vec![vec![18, 19]], None));
        let sentence =
            |z, t| arranged(5, 3).choose("a", rule(Projection::Plane, Some(z), Some(t))).unwrap_err().to_string();
        assert!(sentence(6, 1).contains("it has 5 slices, and no slice 6"), "{}", sentence(6, 1));
        assert!(sentence(0, 1).contains("no slice 0") && sentence(1, 4).contains("no time point 4"));
        assert!(arranged(5, 3).choose("a", None).unwrap_err().to_string().contains("5 slices and 3 time points"));
    }

    #[test]
    fn a_projection_is_over_slices_and_over_time_points_alone() {
        let steps = |slices, frames, t| {
            let chosen = arranged(slices, frames).choose("a", rule(Projection::Max, Some(9), t)).unwrap();
            (chosen.steps.len(), chosen.plane.unwrap().to_string())
        };
        assert_eq!(steps(5, 3, Some(2)), (5, "maximum, z 1–5, t 2/3".to_owned()));
        assert_eq!(steps(1, 3, None), (3, "maximum, z 1/1, t 1–3".to_owned()));
        assert_eq!(steps(1, 3, Some(2)), (1, "maximum, z 1–1, t 2/3".to_owned()));
        let single = arranged(1, 1).choose("a", None).unwrap();
        assert_eq!((single.steps, single.plane), (vec![vec![0, 1]], None));
    }
}
