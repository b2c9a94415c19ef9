//! Tables: boxes of many images (keras-frcnn's `filepath,x1,y1,x2,y2,class`, with or without a header) and Kaggle's
//! image-level labels (`Id,Target`).
//!
//! Corners are pixels from 0, the right and lower one excluded, as keras-frcnn takes them. A spreadsheet runs a cell that
//! starts with `=`, `+`, `-` or `@` as a formula; such a text is written behind a `'`, which the reader takes off again.

use std::borrow::Cow;
use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};
use serde::{Deserialize, Serialize};

use crate::annotations::{ImageAnnotations, Object, Parsed, brief, checked_box, label, names, quote, reference, text};
use crate::error::{Error, Result};
use crate::limits;

/// Image-level labels, as Kaggle's HPA table has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLabels {
    /// The image's name without channel and extension.
    pub image: String,
    pub labels: Vec<String>,
}

/// Where a box table keeps what; the default is keras-frcnn's order.
struct Columns {
    file: usize,
    corners: [usize; 4],
    class: usize,
}

impl Columns {
    /// `None` if the row is no header: its second field is a number, or nothing.
    fn from_header(file: &str, row: &StringRecord) -> Result<Option<Self>> {
        let is_number = |i: usize| row.get(i).is_none_or(|field| field.is_empty() || field.parse::<f64>().is_ok());
        if is_number(1) && is_number(2) {
            return Ok(None);
        }
        let find = |names: &[&str]| {
            let found = row.iter().position(|field| names.iter().any(|n| field.eq_ignore_ascii_case(n)));
            found.ok_or_else(|| {
                Error::annotation(
                    file,
                    format!("is no table of boxes: its header has no column {}", names.join(" or ")),
                )
            })
        };
        Ok(Some(Self {
            file: find(&["file", "filepath", "filename", "path", "image"])?,
            corners: [find(&["x1", "xmin"])?, find(&["y1", "ymin"])?, find(&["x2", "xmax"])?, find(&["y2", "ymax"])?],
            class: find(&["class", "label", "name"])?,
        }))
    }
}

fn rows(text: &str) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(text.as_bytes())
}

/// Reads a table of boxes; images stand in the order in which they first appear, with sizes still to be found. A row with
/// a file and nothing else is an image without objects. Objects are counted by rows, the header not counted.
///
/// # Errors
/// Not UTF-8, a header that lacks a column, or over a cap of [`limits`].
pub fn read_boxes(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let mut parsed = Parsed::new(Vec::new());
    let mut image_of: HashMap<String, usize> = HashMap::new();
    let mut columns = Columns { file: 0, corners: [1, 2, 3, 4], class: 5 };
    let mut number = 0;
    for (i, row) in rows(text(file, bytes, limits::TABLE_BYTES)?).records().enumerate() {
        let row = row.map_err(|e| Error::annotation(file, format!("is broken or no table: {}", brief(e))))?;
        if i == 0
            && let Some(found) = Columns::from_header(file, &row)?
        {
            columns = found;
            continue;
        }
        number += 1;
        let path = unguarded(row.get(columns.file).unwrap_or_default());
        if names::base_name(path).is_empty() {
            parsed.reject(file, number, "names no image file")?;
            continue;
        }
        let at = *image_of.entry(path.to_owned()).or_insert_with(|| {
            let (image, file) = (names::stem(path), names::base_name(path));
            parsed.value.push(ImageAnnotations {
                image,
                file,
                width: 0,
                height: 0,
                verified: false,
                objects: Vec::new(),
                ..ImageAnnotations::default()
            });
            parsed.value.len() - 1
        });
        limits::check(file, "the number of images", parsed.value.len() as u64, limits::TABLE_IMAGES as u64)?;
        if row.iter().enumerate().all(|(column, field)| column == columns.file || field.is_empty()) {
            continue;
        }
        match read_object(&row, &columns) {
            Ok((object, clipped)) => {
                if clipped {
                    let reason = "its box reaches up to a pixel over the edge of the image and was clipped";
                    parsed.warnings.push(format!("{file}, object {number}: {reason}"));
                }
                let objects = &mut parsed.value[at].objects;
                objects.push(object);
                limits::check(file, "the number of objects of an image", objects.len() as u64, limits::OBJECTS as u64)?;
            }
            Err(reason) => parsed.reject(file, number, reason)?,
        }
    }
    Ok(parsed)
}

fn read_object(row: &StringRecord, columns: &Columns) -> Result<(Object, bool), String> {
    let mut corners = [0f64; 4];
    for (corner, (column, name)) in corners.iter_mut().zip(columns.corners.into_iter().zip(["x1", "y1", "x2", "y2"])) {
        let field = row.get(column).ok_or_else(|| format!("has no {name}"))?;
        *corner = field.parse().map_err(|_| format!("has {} as {name}, which is no number", quote(field)))?;
    }
    let label = label::check(unguarded(row.get(columns.class).unwrap_or_default()))?;
    let (bbox, clipped) = checked_box(corners, 0, 0).map_err(|e| e.to_string())?;
    Ok((Object { bbox, label, difficult: false, truncated: false, mask: None }, clipped))
}

/// keras-frcnn's table, without a header; an image without objects is a row with its file only.
pub fn write_boxes(images: &[ImageAnnotations]) -> Result<Vec<u8>> {
    let mut rows = Vec::new();
    for image in images {
        let file = reference::path(&image.file, &image.image);
        let file = guarded(&file);
        if image.objects.is_empty() {
            rows.push([file.to_string(), String::new(), String::new(), String::new(), String::new(), String::new()]);
        }
        for object in &image.objects {
            let [x1, y1, x2, y2] = object.bbox.corners().map(|c| c.to_string());
            rows.push([file.to_string(), x1, y1, x2, y2, guarded(&object.label).into_owned()]);
        }
    }
    write_rows(rows)
}

/// Rows of fields as text with commas, quoted where needed.
pub(crate) fn write_rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Io { path: "table".to_owned(), reason };
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        writer.write_record(&row).map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

/// Reads Kaggle's `Id,Target`, where `Target` holds codes of [`label::HPA_CLASSES`] with spaces between. Objects are
/// counted by rows, the header not counted.
///
/// # Errors
/// Not UTF-8, another header, or over a cap of [`limits`].
pub fn read_image_labels(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageLabels>>> {
    let mut parsed = Parsed::new(Vec::new());
    let mut rows = rows(text(file, bytes, limits::TABLE_BYTES)?).into_records();
    let broken = |e: csv::Error| Error::annotation(file, format!("is broken or no table: {}", brief(e)));
    let header = rows.next().transpose().map_err(broken)?.unwrap_or_default();
    if header.iter().ne(["Id", "Target"]) {
        return Err(Error::annotation(file, "is no table of image labels: its header is not \"Id,Target\""));
    }
    for (i, row) in rows.enumerate() {
        let row = row.map_err(broken)?;
        let codes = row.get(1).unwrap_or_default().split_whitespace();
        let name =
            |code: &str| code.parse().ok().and_then(|code: usize| label::HPA_CLASSES.get(code)).ok_or(code.to_owned());
        let labels: Result<Vec<String>, String> = codes.map(|code| name(code).map(|n| (*n).to_owned())).collect();
        let image = names::stem(row.get(0).unwrap_or_default());
        match labels {
            _ if image.is_empty() || row.len() != 2 => {
                parsed.reject(file, i + 1, "is no row of an id and its codes")?
            }
            Ok(labels) => parsed.value.push(ImageLabels { image, labels }),
            Err(code) => parsed.reject(file, i + 1, format!("has the code {}; they go from 0 to 27", quote(&code)))?,
        }
        limits::check(file, "the number of images", i as u64 + 1, limits::TABLE_IMAGES as u64)?;
    }
    Ok(parsed)
}

fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// The text so that no spreadsheet runs it.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Undoes [`guarded`].
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(inner) if is_formula(text) => inner,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_header_and_one_with() {
        let plain = b"img/a.png,1,2,30,40,cell\nimg/b.png,,,,,\nimg/a.png,5,5,9.5,9,\"x, y\"\n";
        let parsed = read_boxes("annot.txt", plain).unwrap();
        assert_eq!((parsed.warnings.len(), parsed.rejected.len()), (0, 0));
        let [a, b] = parsed.value.as_slice() else { panic!("two images") };
        assert_eq!((a.image.as_str(), a.file.as_str(), a.objects.len()), ("a", "a.png", 2));
        assert_eq!((a.objects[1].bbox.corners(), a.objects[1].label.as_str()), ([5.0, 5.0, 9.5, 9.0], "x, y"));
        assert_eq!((b.image.as_str(), b.objects.len()), ("b", 0));

        let headed = b"class,file,x1,y1,x2,y2,kind\r\nnucleus,q.png,46,180,64,200,fluor\r\n";
        let parsed = read_boxes("t.csv", headed).unwrap();
        assert_eq!(parsed.value[0].objects[0].bbox.corners(), [46.0, 180.0, 64.0, 200.0]);
        assert!(read_boxes("t.csv", b"Id,Target\nx,1").is_err());
        assert!(read_boxes("t.csv", b"").unwrap().value.is_empty());
    }

    #[test]
    fn bad_rows_are_named_and_the_others_kept() {
        let rows =
            b"a.png,1,2,30,40,cell\na.png,x,2,30,40,cell\na.png,1,2\n,1,2,3,4,c\na.png,9,9,9,9,c\na.png,1,2,3,4,\n";
        let parsed = read_boxes("t.csv", rows).unwrap();
        assert_eq!(parsed.value[0].objects.len(), 1);
        let numbers: Vec<usize> = parsed
            .rejected
            .iter()
            .map(|e| match e {
                Error::Object { object, .. } => *object,
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn no_formula_leaves_and_every_label_comes_back() {
        for label in ["=1+1", "+x", "-x", "@SUM(A1)", "'=1", "''x", "'", "x", "\"=1\"", "a,b"] {
            assert!(!guarded(label).starts_with(['=', '+', '-', '@']), "{label}");
            assert_eq!(unguarded(&guarded(label)), label);
        }
    }

    #[test]
    fn kaggle_codes_have_names() {
        let parsed = read_image_labels("train.csv", b"Id,Target\nabc,16 0\ndef,28\nghi,x\n").unwrap();
        assert_eq!(parsed.value.len(), 1);
        assert_eq!(parsed.value[0].labels, ["Cytokinetic bridge", "Nucleoplasm"]);
        assert_eq!(parsed.rejected.len(), 2);
        assert!(read_image_labels("t.csv", b"a,b\n1,2\n").is_err());
        assert!(read_image_labels("t.csv", b"").is_err());
    }
}
