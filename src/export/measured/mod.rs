//! Cells of an image with what was measured of them, as files for other programs.

mod archive;
mod csv;
mod geojson;
mod labels;
mod rings;
mod rois;
mod summary;
#[cfg(not(target_arch = "wasm32"))]
mod table_files;
mod tables;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::channels::{ChannelSet, Samples as Recorded};
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::measure::{self, Cell, Options, Plane, Samples, Table};

#[cfg(not(target_arch = "wasm32"))]
pub use table_files::TableFiles;
pub use tables::{CELLS, MeasuredCells, SUMMARY, tables};

/// A format that needs the image beside its detections, or that other programs for images read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredFormat {
    /// `measurements.csv`, one row a cell, and `measurements-summary.csv`.
    Measurements,
    /// `NAME_labels.tif`: a label image.
    Labels,
    /// `NAME_labels.png`: the same as PNG of 16 bits, or as TIFF where it has more than 65,535 cells.
    LabelsPng,
    /// `NAME_rois.zip`: outlines for ImageJ's ROI Manager.
    Rois,
    /// `NAME.geojson`: outlines with measurements for QuPath.
    #[serde(rename = "geojson")]
    GeoJson,
}

/// One file of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredFile {
    /// What stands behind the name of the image in its name.
    pub ending: &'static str,
    pub bytes: Vec<u8>,
    /// Why it is another file than was asked for.
    pub note: Option<String>,
}

impl MeasuredFormat {
    pub const ALL: [Self; 5] = [Self::Measurements, Self::Labels, Self::LabelsPng, Self::Rois, Self::GeoJson];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Measurements => "measurements",
            Self::Labels => "labels",
            Self::LabelsPng => "labels-png",
            Self::Rois => "rois",
            Self::GeoJson => "geojson",
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
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("the format {text:?} is unknown; there are {names}"))
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
pub fn measured_file(format: MeasuredFormat, image: &ImageDetections, table: &Table) -> Result<Option<MeasuredFile>> {
    let (ending, bytes) = match format {
        MeasuredFormat::Measurements => return Ok(None),
        MeasuredFormat::Labels => ("_labels.tif", labels::tiff(image)?),
        MeasuredFormat::LabelsPng => match labels::png(image)? {
            Some(bytes) => ("_labels.png", bytes),
            None => {
                let count = image.detections.len();
                let note = format!(
                    "{}: {count} cells are more than the 65,535 of a PNG; its label image is a TIFF of 32 bits",
                    image.image
                );
                return Ok(Some(MeasuredFile { ending: "_labels.tif", bytes: labels::tiff(image)?, note: Some(note) }));
            }
        },
        MeasuredFormat::Rois => ("_rois.zip", rois::archive(image)?),
        MeasuredFormat::GeoJson => (".geojson", geojson::collection(image, table)?),
    };
    Ok(Some(MeasuredFile { ending, bytes, note: None }))
}

/// The decimal number that a score is shown as elsewhere, and not that which is nearest to it in binary.
pub(super) fn score(score: f32) -> f64 {
    score.to_string().parse().unwrap_or(f64::from(score))
}

fn as_recorded(samples: &Recorded) -> Samples<'_> {
    match samples {
        Recorded::U8(samples) => Samples::U8(samples),
        Recorded::U16(samples) => Samples::U16(samples),
        Recorded::F32(samples) => Samples::F32(samples),
    }
}

fn cells(image: &ImageDetections) -> Vec<Cell<'_>> {
    image.detections.iter().map(|d| Cell { bbox: d.bbox, mask: d.mask.as_ref() }).collect()
}

#[cfg(test)]
mod tests;
