//! Results into a folder, one image in memory at a time.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::{
    CSV_HEADER, Format, YOLO_CLASSES, YOLO_RESERVED, csv_rows, file_names, jsonl_line_measured, voc_file, write_coco,
    yolo_file,
};
use crate::annotations::yolo;
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::files;
use crate::measure::Table;

/// Writes what [`super::export_measured`] makes, with the same names, into `out`. `source` is run through once for CSV and JSON lines,
/// else twice.
///
/// # Errors
/// Those of `source` and of the disk, and those of [`super::export`].
pub fn write_folder<I>(out: &Path, format: Format, classes: &[String], source: impl Fn() -> I) -> Result<()>
where
    I: Iterator<Item = Result<(ImageDetections, Option<Table>)>>,
{
    match format.table() {
        Some(name) => write_table(&out.join(name), format, classes, source),
        None => write_each(out, format, classes, source),
    }
}

/// The table appears under its name when it is whole.
fn write_table<I>(path: &Path, format: Format, classes: &[String], source: impl Fn() -> I) -> Result<()>
where
    I: Iterator<Item = Result<(ImageDetections, Option<Table>)>>,
{
    let part = path.with_extension("part");
    let failed = |e: std::io::Error| Error::io(path, e);
    let mut file = BufWriter::new(File::create(&part).map_err(failed)?);
    match format {
        Format::Coco => write_coco(&mut file, source, classes)?,
        Format::Csv => {
            file.write_all(CSV_HEADER.as_bytes()).map_err(failed)?;
            for image in source() {
                file.write_all(&csv_rows(&image?.0)?).map_err(failed)?;
            }
        }
        _ => {
            for image in source() {
                let (image, table) = image?;
                file.write_all(jsonl_line_measured(&image, table.as_ref())?.as_bytes()).map_err(failed)?;
            }
        }
    }
    file.flush().map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

fn write_each<I>(out: &Path, format: Format, classes: &[String], source: impl Fn() -> I) -> Result<()>
where
    I: Iterator<Item = Result<(ImageDetections, Option<Table>)>>,
{
    let write = |name: &str, text: String| files::write_file(&out.join(name), text.as_bytes());
    // Names of all images come first: which are alike cannot be told from one.
    let images: Vec<String> = source().map(|image| Ok(image?.0.image)).collect::<Result<_>>()?;
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let reserved: &[&str] = if format == Format::Yolo { &YOLO_RESERVED } else { &[] };
    if format == Format::Yolo {
        write(YOLO_CLASSES, yolo::write_classes(classes))?;
    }
    for (image, name) in source().zip(file_names(&images, reserved)) {
        let (image, _) = image?;
        let text = if format == Format::Yolo { yolo_file(&image, classes)? } else { voc_file(&image) };
        write(&format!("{name}.{}", format.extension()), text)?;
    }
    Ok(())
}
