//! Detections as files: Pascal VOC XML, COCO JSON, YOLO text, CSV and JSON lines.
//!
//! [`export`] makes the files of all images at once, for a download. A program that goes through a folder with constant
//! memory writes image by image: [`voc_file`] and [`yolo_file`] are whole files, [`csv_rows`] and [`jsonl_line`] are
//! appended to one file, and [`write_coco`] is run at the end over [`read_jsonl`].

mod annotated;
mod file_names;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod measured;

use std::borrow::Cow;
use std::io::{BufRead, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::annotations::coco::{self, CocoImage, CocoItem};
use crate::annotations::{ImageAnnotations, Object, brief, csv, reference, voc, yolo};
use crate::detections::{Detection, ImageDetections};
use crate::error::{Error, Result};
use crate::measure::Table;

pub use annotated::{AnnotationFormat, annotated, annotated_measured};
pub use file_names::{file_names, safe_path};
#[cfg(not(target_arch = "wasm32"))]
pub use folder::write_folder;
#[cfg(not(target_arch = "wasm32"))]
pub use measured::TableFiles;
pub use measured::{CELLS, MeasuredCells, MeasuredFile, MeasuredFormat, SUMMARY, measured, measured_file, tables};

/// A format that detections are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pascal VOC XML as LabelImg writes it: one file an image, boxes only, no scores.
    Voc,
    /// One JSON file with scores and masks as compressed run lengths.
    Coco,
    /// One text file an image and `classes.txt`; boxes only, no scores.
    Yolo,
    /// One table with scores; boxes only.
    Csv,
    /// `detections.jsonl`: one line an image, with everything that is known of it.
    Jsonl,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Voc, Self::Coco, Self::Yolo, Self::Csv, Self::Jsonl];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Voc => "voc",
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The ending of its files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Voc => "xml",
            Self::Coco => "json",
            Self::Yolo => "txt",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The file that holds all images; `None` for a format of one file an image.
    pub fn table(self) -> Option<&'static str> {
        match self {
            Self::Voc | Self::Yolo => None,
            Self::Coco => Some("detections.json"),
            Self::Csv => Some("detections.csv"),
            Self::Jsonl => Some("detections.jsonl"),
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| {
            Error::Usage(format!("the format {text:?} is unknown; there are voc, coco, yolo, csv and jsonl"))
        })
    }
}

/// The list of classes beside YOLO's files.
pub const YOLO_CLASSES: &str = "classes.txt";

/// Names that no file of an image may have there.
const YOLO_RESERVED: [&str; 1] = ["classes"];

/// The header of the table that [`csv_rows`] appends to.
pub const CSV_HEADER: &str = "file,x1,y1,x2,y2,class,score\n";

/// A file to be written; the name is safe on every system, and may have folders, separated by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBytes {
    pub name: String,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The files of all images in each format; `classes` is without the background, in the model's order. Where there is one
/// file an image, `file_names` says what it is called.
///
/// # Errors
/// A label that is not among `classes`, in formats that number the classes; an image without a size, in YOLO.
pub fn export(images: &[ImageDetections], classes: &[String], formats: &[Format]) -> Result<Vec<NamedBytes>> {
    export_measured(images, &[], classes, formats)
}

/// As [`export`]; what was measured of the cells of each image, as far as `tables` goes, stands in COCO and JSON lines too.
///
/// # Errors
/// As [`export`].
pub fn export_measured(
    images: &[ImageDetections],
    tables: &[Table],
    classes: &[String],
    formats: &[Format],
) -> Result<Vec<NamedBytes>> {
    let measured = || images.iter().enumerate().map(|(i, image)| (image, tables.get(i)));
    let names: Vec<&str> = images.iter().map(|image| image.image.as_str()).collect();
    let mut files = Vec::new();
    for format in Format::ALL.into_iter().filter(|f| formats.contains(f)) {
        let mut bytes = Vec::new();
        match format {
            Format::Voc => {
                for (image, name) in images.iter().zip(file_names(&names, &[])) {
                    files.push(NamedBytes { name: format!("{name}.xml"), bytes: voc_file(image).into_bytes() });
                }
            }
            Format::Yolo => {
                files.push(NamedBytes {
                    name: YOLO_CLASSES.to_owned(),
                    bytes: yolo::write_classes(classes).into_bytes(),
                });
                for (image, name) in images.iter().zip(file_names(&names, &YOLO_RESERVED)) {
                    let bytes = yolo_file(image, classes)?.into_bytes();
                    files.push(NamedBytes { name: format!("{name}.txt"), bytes });
                }
            }
            Format::Coco => {
                let source = || measured().map(|(image, table)| Ok((image.clone(), table.cloned())));
                write_coco(&mut bytes, source, classes)?;
            }
            Format::Csv => {
                bytes.extend(CSV_HEADER.as_bytes());
                for image in images {
                    bytes.extend(csv_rows(image)?);
                }
            }
            Format::Jsonl => {
                for (image, table) in measured() {
                    bytes.extend(jsonl_line_measured(image, table)?.into_bytes());
                }
            }
        }
        if let Some(name) = format.table() {
            files.push(NamedBytes { name: name.to_owned(), bytes });
        }
    }
    Ok(files)
}

/// The Pascal VOC XML of one image. As in LabelImg, a box that touches the edge is `truncated`.
pub fn voc_file(image: &ImageDetections) -> String {
    voc::write(&as_annotations(image))
}

/// The YOLO text of one image.
///
/// # Errors
/// A label that is not among `classes`, an image without a size.
pub fn yolo_file(image: &ImageDetections, classes: &[String]) -> Result<String> {
    yolo::write(&as_annotations(image), classes)
}

/// The rows of one image, without the header; an image without detections is a row with its file only.
///
/// # Errors
/// None that the data can cause; the writer's are passed on.
pub fn csv_rows(image: &ImageDetections) -> Result<Vec<u8>> {
    let file = reference::path(&image.file, &image.image);
    let file = csv::guarded(&file).into_owned();
    if image.detections.is_empty() {
        let empty = String::new;
        return csv::write_rows([[file, empty(), empty(), empty(), empty(), empty(), empty()]]);
    }
    csv::write_rows(image.detections.iter().map(|d| {
        let [x1, y1, x2, y2] = d.bbox.corners().map(|c| c.to_string());
        [file.clone(), x1, y1, x2, y2, csv::guarded(&d.label).into_owned(), d.score.to_string()]
    }))
}

/// One image as a line of `detections.jsonl`, with its end.
///
/// # Errors
/// None that the data can cause; the writer's are passed on.
pub fn jsonl_line(image: &ImageDetections) -> Result<String> {
    jsonl_line_measured(image, None)
}

/// As [`jsonl_line`], with `measurements` of each detection: by name with unit, what is undefined left out.
///
/// # Errors
/// As [`jsonl_line`].
pub fn jsonl_line_measured(image: &ImageDetections, table: Option<&Table>) -> Result<String> {
    let failed = |e: serde_json::Error| Error::Io { path: "detections.jsonl".to_owned(), reason: e.to_string() };
    let mut line = match table {
        None => serde_json::to_string(image).map_err(failed)?,
        Some(table) => {
            let bare = ImageDetections { detections: Vec::new(), ..image.clone() };
            let mut whole = serde_json::to_value(bare).map_err(failed)?;
            let mut detections = Vec::new();
            for (i, detection) in image.detections.iter().enumerate() {
                let mut one = serde_json::to_value(detection).map_err(failed)?;
                // A single-precision number as it is written elsewhere, and not with the digits of a double.
                one["score"] = measured::score(detection.score).into();
                one["box"] = detection.bbox.corners().map(measured::score).to_vec().into();
                one["measurements"] = measurements(table, i).into();
                detections.push(one);
            }
            whole["detections"] = detections.into();
            whole.to_string()
        }
    };
    line.push('\n');
    Ok(line)
}

/// A row of a table as a JSON object.
fn measurements(table: &Table, row: usize) -> Map<String, Value> {
    table.named(row).filter_map(|(name, value)| Some((name, serde_json::to_value(value).ok()?))).collect()
}

/// Reads what [`jsonl_line`] wrote, line by line; `file` is for the sentences. A line that does not hold detections, or
/// breaks [`ImageDetections::check`], is an `Err`; the lines after it can still be read.
pub fn read_jsonl<R: BufRead>(file: &str, reader: R) -> impl Iterator<Item = Result<ImageDetections>> + use<R> {
    let file = file.to_owned();
    let is_blank = |line: &std::io::Result<Vec<u8>>| line.as_ref().is_ok_and(|l| l.trim_ascii().is_empty());
    let lines = reader.split(b'\n').enumerate().filter(move |(_, line)| !is_blank(line));
    lines.map(move |(i, line)| {
        let line = line.map_err(|e| Error::Io { path: file.clone(), reason: e.to_string() })?;
        read_jsonl_line(&line).map_err(|reason| {
            Error::annotation(file.clone(), format!("line {} does not hold detections: {reason}", i + 1))
        })
    })
}

/// One line of [`read_jsonl`], or what is wrong with it.
pub(crate) fn read_jsonl_line(line: &[u8]) -> Result<ImageDetections, String> {
    let image: ImageDetections = serde_json::from_slice(line).map_err(brief)?;
    image.check().map_err(brief)?;
    Ok(image)
}

/// Writes one COCO file of all images, holding one at a time: `source` is run through twice. How an image was merged, which
/// channels were filled and whether the limit of detections was reached stand beside its name, as in the JSON lines.
///
/// # Errors
/// Those of `source` and of writing, and a label that is not among `classes`.
pub fn write_coco<I>(out: &mut impl Write, source: impl Fn() -> I, classes: &[String]) -> Result<()>
where
    I: Iterator<Item = Result<(ImageDetections, Option<Table>)>>,
{
    let failed = |e: serde_json::Error| Error::Io { path: "COCO file".to_owned(), reason: e.to_string() };
    let item = |d: Detection, measurements| CocoItem {
        bbox: d.bbox,
        label: Cow::Owned(d.label),
        score: Some(d.score),
        difficult: false,
        truncated: false,
        mask: d.mask.map(Cow::Owned),
        measurements,
    };
    let split = |image: Result<(ImageDetections, Option<Table>)>| {
        let (image, table) = image?;
        let ImageDetections { image, file, width, height, detections, merge, filled, stack, limit_reached } = image;
        let header = ImageAnnotations { image, file, width, height, ..ImageAnnotations::default() };
        let mut extra = Map::new();
        if let Some(merge) = merge {
            extra.insert("merge".to_owned(), serde_json::to_value(merge).map_err(failed)?);
        }
        if !filled.is_empty() {
            extra.insert("filled".to_owned(), serde_json::to_value(filled).map_err(failed)?);
        }
        if let Some(stack) = stack {
            extra.insert("stack".to_owned(), serde_json::to_value(stack).unwrap_or_default());
        }
        if let Some(limit) = limit_reached {
            extra.insert("limit_reached".to_owned(), limit.into());
        }
        let of = |i: usize| table.as_ref().map(|table| measurements(table, i)).unwrap_or_default();
        let items = detections.into_iter().enumerate().map(|(i, d)| item(d, of(i))).collect();
        Ok(CocoImage { header, extra, items })
    };
    coco::write_to(out, || source().map(split), classes)
}

/// Detections as if a person had drawn them: accepted on the page, or for a format that knows no scores.
pub fn as_annotations(image: &ImageDetections) -> ImageAnnotations {
    let (width, height) = (image.width as f32, image.height as f32);
    let object = |d: &Detection| {
        let [x1, y1, x2, y2] = d.bbox.corners();
        let truncated = x1 <= 0.0 || y1 <= 0.0 || x2 >= width || y2 >= height;
        Object { bbox: d.bbox, label: d.label.clone(), difficult: false, truncated, mask: d.mask.clone() }
    };
    ImageAnnotations {
        image: image.image.clone(),
        file: image.file.clone(),
        width: image.width,
        height: image.height,
        verified: false,
        objects: image.detections.iter().map(object).collect(),
        ..ImageAnnotations::default()
    }
}

/// Annotations as cells to be measured: without scores, which are NaN.
pub fn as_cells(image: &ImageAnnotations) -> ImageDetections {
    let cell = |object: &Object| Detection {
        bbox: object.bbox,
        label: object.label.clone(),
        score: f32::NAN,
        mask: object.mask.clone(),
    };
    ImageDetections {
        image: image.image.clone(),
        file: image.file.clone(),
        width: image.width,
        height: image.height,
        detections: image.objects.iter().map(cell).collect(),
        ..ImageDetections::default()
    }
}

#[cfg(test)]
mod tests;
