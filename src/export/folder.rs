//! Results into a folder, one image in memory at a time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::{CSV_HEADER, Format, YOLO_CLASSES, csv_rows, jsonl_line, unique, voc_file, write_coco, yolo_file};
use crate::annotations::yolo;
use crate::detections::ImageDetections;
use crate::error::{Error, Result};

/// Writes what [`super::export`] makes, with the same names, into `out`. `source` is run through once, for COCO twice.
///
/// # Errors
/// Those of `source` and of the disk, and those of [`super::export`].
pub fn write_folder<I>(out: &Path, format: Format, classes: &[String], source: impl Fn() -> I) -> Result<()>
where
    I: Iterator<Item = Result<ImageDetections>>,
{
    match format.table() {
        Some(name) => write_table(&out.join(name), format, classes, source),
        None => write_each(out, format, classes, source()),
    }
}

/// The table appears under its name when it is whole.
fn write_table<I>(path: &Path, format: Format, classes: &[String], source: impl Fn() -> I) -> Result<()>
where
    I: Iterator<Item = Result<ImageDetections>>,
{
    let part = path.with_extension("part");
    let failed = |e: std::io::Error| Error::io(path, e);
    let mut file = BufWriter::new(File::create(&part).map_err(failed)?);
    match format {
        Format::Coco => write_coco(&mut file, source, classes)?,
        Format::Csv => {
            file.write_all(CSV_HEADER.as_bytes()).map_err(failed)?;
            for image in source() {
                file.write_all(&csv_rows(&image?)?).map_err(failed)?;
            }
        }
        _ => {
            for image in source() {
                file.write_all(jsonl_line(&image?)?.as_bytes()).map_err(failed)?;
            }
        }
    }
    file.flush().map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

fn write_each(
    out: &Path,
    format: Format,
    classes: &[String],
    images: impl Iterator<Item = Result<ImageDetections>>,
) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        fs::write(&path, text).map_err(|e| Error::io(&path, e))
    };
    let mut taken = HashSet::new();
    if format == Format::Yolo {
        taken.insert(YOLO_CLASSES.to_owned());
        write(YOLO_CLASSES, yolo::write_classes(classes))?;
    }
    for image in images {
        let image = image?;
        let text = if format == Format::Yolo { yolo_file(&image, classes)? } else { voc_file(&image) };
        write(&unique(&image.image, format.extension(), &mut taken), text)?;
    }
    Ok(())
}
