//! Cells of an image with what was measured of them, as files for other programs.

mod archive;
#[cfg(not(target_arch = "wasm32"))]
mod csv;
mod geojson;
mod labels;
mod rings;
mod rois;
#[cfg(not(target_arch = "wasm32"))]
mod summary;
#[cfg(not(target_arch = "wasm32"))]
mod tables;

use std::str::FromStr;

use crate::channels::{ChannelSet, Samples as Recorded};
use crate::detections::{Detection, ImageDetections};
use crate::error::{Error, Result};
use crate::measure::{self, Cell, Options, Plane, Samples, Table};

#[cfg(not(target_arch = "wasm32"))]
pub use tables::TableFiles;

/// A format that needs the image beside its detections, or that other programs for images read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasuredFormat {
    /// `measurements.csv`, one row a cell, and `measurements-summary.csv`.
    Measurements,
    /// `NAME_labels.tif`: a label image.
    Labels,
    /// `NAME_rois.zip`: outlines for ImageJ's ROI Manager.
    Rois,
    /// `NAME.geojson`: outlines with measurements for QuPath.
    GeoJson,
}

impl MeasuredFormat {
    pub const ALL: [Self; 4] = [Self::Measurements, Self::Labels, Self::Rois, Self::GeoJson];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measurements => "measurements",
            Self::Labels => "labels",
            Self::Rois => "rois",
            Self::GeoJson => "geojson",
        }
    }

    /// What stands behind the name of the image in the name of its file; `None` for a format of one file for all images.
    pub fn ending(self) -> Option<&'static str> {
        match self {
            Self::Measurements => None,
            Self::Labels => Some("_labels.tif"),
            Self::Rois => Some("_rois.zip"),
            Self::GeoJson => Some(".geojson"),
        }
    }

    /// Whether it needs the samples of the image, and not only its detections.
    pub fn needs_samples(self) -> bool {
        matches!(self, Self::Measurements | Self::GeoJson)
    }
}

impl FromStr for MeasuredFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| {
            Error::Usage(format!("the format {text:?} is unknown; there are measurements, labels, rois and geojson"))
        })
    }
}

/// Measures the detections of an image in every channel that it has; one that was missing and taken as black is left out.
///
/// # Errors
/// An image of another size than the detections are for, and those of [`measure::measure`].
pub fn measured(image: &ImageDetections, set: &ChannelSet, options: &Options) -> Result<Table> {
    let (width, height) = set.size();
    if (width, height) != (image.width, image.height) {
        return Err(Error::Usage(format!(
            "the image has {width} × {height} pixels, but its detections are for {} × {}",
            image.width, image.height
        )));
    }
    let recorded = set.planes.iter().filter(|(channel, _)| !set.filled.contains(channel));
    let planes: Vec<Plane> =
        recorded.map(|(channel, p)| Plane { name: channel.to_string(), samples: as_recorded(&p.samples) }).collect();
    measure::measure(width, height, &cells(image), &planes, options)
}

/// The file of one image in a format that has one; `table` is what [`measured`] gave, if the format needs it.
///
/// # Errors
/// A mask of another size than the image, or an image without pixels.
pub fn measured_file(format: MeasuredFormat, image: &ImageDetections, table: &Table) -> Result<Option<Vec<u8>>> {
    match format {
        MeasuredFormat::Measurements => Ok(None),
        MeasuredFormat::Labels => labels::tiff(image).map(Some),
        MeasuredFormat::Rois => rois::archive(image).map(Some),
        MeasuredFormat::GeoJson => geojson::collection(image, table).map(Some),
    }
}

/// The decimal number that the score is shown as elsewhere, and not that which is nearest to it in binary.
fn score(detection: &Detection) -> f64 {
    detection.score.to_string().parse().unwrap_or(f64::from(detection.score))
}

fn as_recorded(samples: &Recorded) -> Samples<'_> {
    match samples {
        Recorded::U8(samples) => Samples::U8(samples),
        Recorded::U16(samples) => Samples::U16(samples),
    }
}

fn cells(image: &ImageDetections) -> Vec<Cell<'_>> {
    image.detections.iter().map(|d| Cell { bbox: d.bbox, mask: d.mask.as_ref() }).collect()
}

#[cfg(test)]
mod tests;
