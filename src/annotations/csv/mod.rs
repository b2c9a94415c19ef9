//! Tables: boxes of many images (keras-frcnn's `filepath,x1,y1,x2,y2,class`, with or without a header, and other columns
//! with one) and the Atlas's image-level labels (`Id,Target` and `ID,Label`). Commas, semicolons, tabs or `|` stand between
//! fields.
//!
//! Corners are pixels from 0, the right and lower one excluded, as keras-frcnn takes them.

mod columns;
mod image_labels;
mod table;

use std::collections::HashMap;

use csv::StringRecord;

use columns::{Columns, Place};
pub(super) use image_labels::is_image_labels;
pub use image_labels::{ImageLabels, read_image_labels};
pub(super) use table::separator_of;
use table::{Table, table, unguarded};
pub(crate) use table::{guarded, write_rows};

use crate::annotations::{
    ImageAnnotations, Object, Parsed, brief, checked_box, label, left_out, names, quote, reference, text,
};
use crate::error::{Error, Result};
use crate::limits;

/// What objects are called where a table has no column of classes.
const UNNAMED: &str = "cell";

/// Reads a table of boxes; images stand in the order in which they first appear, with sizes still to be found unless the
/// table says them. A row with a file and otherwise empty fields is an image without objects. Objects are counted by rows,
/// the header not counted.
///
/// # Errors
/// Not text, a header that lacks a column, corners that are parts of the image, or over a cap of [`limits`].
pub fn read_boxes(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let mut parsed = Parsed::new(Vec::<ImageAnnotations>::new());
    let mut image_of: HashMap<String, usize> = HashMap::new();
    let mut columns = Columns { file: 0, place: Place::Corners([1, 2, 3, 4]), class: Some(5), size: None };
    let mut number = 0;
    let mut largest = 0f32;
    let text = text(file, bytes, limits::TABLE_BYTES)?;
    let Table { mut reader, separator } = table(&text);
    for (i, row) in reader.records().enumerate() {
        let row = row.map_err(|e| Error::annotation(file, format!("is broken or no table: {}", brief(e))))?;
        if i == 0
            && let Some(found) = Columns::from_header(file, &row)?
        {
            if found.class.is_none() {
                parsed.warnings.push(format!("{file}: has no column of classes; its objects are called {UNNAMED}"));
            }
            columns = found;
            continue;
        }
        number += 1;
        let path = unguarded(row.get(columns.file).unwrap_or_default());
        if !names::is_image_name(path) {
            parsed.reject(file, number, "names no image file")?;
            continue;
        }
        if row.len() == 1 {
            parsed.reject(file, number, format!("is one field, {}, and no row of a table", quote(path)))?;
            continue;
        }
        let at = *image_of.entry(path.to_owned()).or_insert_with(|| {
            let (image, file) = (names::stem(path), names::relative(path));
            parsed.value.push(ImageAnnotations { image, file, ..ImageAnnotations::default() });
            parsed.value.len() - 1
        });
        limits::check(file, "the number of images", parsed.value.len() as u64, limits::TABLE_IMAGES as u64)?;
        let image = &mut parsed.value[at];
        if let Some(size) = columns.size
            && !image.has_size()
        {
            let side = |column: usize| row.get(column)?.parse::<u32>().ok().filter(|s| *s <= limits::IMAGE_SIDE);
            (image.width, image.height) = side(size[0]).zip(side(size[1])).unwrap_or((0, 0));
        }
        let is_about_image =
            |column: usize| column == columns.file || columns.size.is_some_and(|s| s.contains(&column));
        if row.iter().enumerate().all(|(column, field)| is_about_image(column) || field.is_empty()) {
            continue;
        }
        match read_object(&row, &columns, separator, (image.width, image.height)) {
            Ok((object, clipped)) => {
                largest = largest.max(object.bbox.x2()).max(object.bbox.y2());
                image.objects.push(object);
                let found = image.objects.len() as u64;
                if clipped {
                    let reason = "its box reaches up to a pixel over the edge of the image and was clipped";
                    parsed.warnings.push(format!("{file}, object {number}: {reason}"));
                }
                limits::check(file, "the number of objects of an image", found, limits::OBJECTS as u64)?;
            }
            Err(reason) => {
                let corners = corners(&row, &columns, separator);
                image.leave_out(corners.map_or(left_out::Place::Unknown, left_out::Place::Within));
                parsed.reject(file, number, reason)?;
            }
        }
    }
    if number > 1 && largest > 0.0 && largest <= 1.0 {
        let reason = "has corners between 0 and 1, in parts of the image; give them in pixels, or use YOLO's format";
        return Err(Error::annotation(file, reason));
    }
    Ok(parsed)
}

fn read_object(
    row: &StringRecord,
    columns: &Columns,
    separator: u8,
    (width, height): (u32, u32),
) -> Result<(Object, bool), String> {
    let corners = corners(row, columns, separator)?;
    let label = match columns.class {
        Some(class) => label::check(unguarded(row.get(class).unwrap_or_default()))?,
        None => UNNAMED.to_owned(),
    };
    let (bbox, clipped) = checked_box(corners, width, height).map_err(|e| e.to_string())?;
    Ok((Object { bbox, label, difficult: false, truncated: false, mask: None }, clipped))
}

fn corners(row: &StringRecord, columns: &Columns, separator: u8) -> Result<[f64; 4], String> {
    // Where something else stands between fields, a comma may be the decimal point.
    let parse = |field: &str| match separator {
        b',' => field.parse::<f64>().ok(),
        _ => field.replace(',', ".").parse().ok(),
    };
    let read = |at: [usize; 4], names: [&str; 4]| -> Result<[f64; 4], String> {
        let mut numbers = [0f64; 4];
        for (number, (column, name)) in numbers.iter_mut().zip(at.into_iter().zip(names)) {
            let field = row.get(column).ok_or_else(|| format!("has no {name}"))?;
            *number = parse(field).ok_or_else(|| format!("has {} as {name}, which is not a number", quote(field)))?;
        }
        Ok(numbers)
    };
    Ok(match columns.place {
        Place::Corners(at) => read(at, ["x1", "y1", "x2", "y2"])?,
        Place::Sides(at) => {
            let [x, y, w, h] = read(at, ["x", "y", "width", "height"])?;
            [x, y, x + w, y + h]
        }
        Place::Centre(at) => {
            let [x, y, w, h] = read(at, ["centre x", "centre y", "width", "height"])?;
            [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
        }
        Place::List(at) => {
            let field = row.get(at).unwrap_or_default();
            let inner = field.trim_matches(['[', ']', '(', ')', ' ']);
            let numbers: Option<Vec<f64>> =
                inner.split([',', ' ']).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect();
            match numbers.as_deref() {
                Some(&[x, y, w, h]) => [x, y, x + w, y + h],
                _ => return Err(format!("has {} as box, which is not x, y, width and height", quote(field))),
            }
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_header_and_one_with() {
        let plain = b"img/a.png,1,2,30,40,cell\nimg/b.png,,,,,\nimg/a.png,5,5,9.5,9,\"x, y\"\n";
        let parsed = read_boxes("annot.txt", plain).unwrap();
        assert_eq!((parsed.warnings.len(), parsed.rejected.len()), (0, 0));
        let [a, b] = parsed.value.as_slice() else { panic!("two images") };
        assert_eq!((a.image.as_str(), a.file.as_str(), a.objects.len()), ("a", "img/a.png", 2));
        assert_eq!((a.objects[1].bbox.corners(), a.objects[1].label.as_str()), ([5.0, 5.0, 9.5, 9.0], "x, y"));
        assert_eq!((b.image.as_str(), b.objects.len()), ("b", 0));

        let headed = b"class,file,x1,y1,x2,y2,kind\r\nnucleus,q.png,46,180,64,200,fluor\r\n";
        let parsed = read_boxes("t.csv", headed).unwrap();
        assert_eq!(parsed.value[0].objects[0].bbox.corners(), [46.0, 180.0, 64.0, 200.0]);
        assert!(read_boxes("t.csv", b"Id,Target\nx,1").is_err());
        assert!(read_boxes("t.csv", b"").unwrap().value.is_empty());
    }

    #[test]
    fn usual_separators_and_headers_are_read() {
        for (table, width) in [
            ("filename;xmin;ymin;xmax;ymax;class\na.png;1;2;3,5;4;cell\n", 0),
            ("a.png\t1\t2\t3.5\t4\tcell\n", 0),
            ("filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,30,cell,1,2,3.5,4\n", 40),
            ("location,x_min,y_min,x_max,y_max,class_name\na.png,1,2,3.5,4,cell\n", 0),
            ("Image Name|Label|X|Y|W|H\na.png|cell|1|2|2.5|2\n", 0),
            ("image_id,width,height,bbox,label\na.png,40,30,\"[1.0, 2.0, 2.5, 2.0]\",cell\n", 40),
            ("image_path,x_center,y_center,width,height\na.png,2.25,3,2.5,2\n", 0),
            ("sep=;\r\nfile;left;top;right;bottom;label\r\na.png;1;2;3.5;4;cell\r\n", 0),
        ] {
            let parsed = read_boxes("t.csv", table.as_bytes()).unwrap();
            assert!(parsed.rejected.is_empty(), "{table}: {:?}", parsed.rejected);
            let [image] = parsed.value.as_slice() else { panic!("{table}: {:?}", parsed.value) };
            let object = &image.objects[0];
            assert_eq!((image.file.as_str(), image.width), ("a.png", width), "{table}");
            assert_eq!((object.bbox.corners(), object.label.as_str()), ([1.0, 2.0, 3.5, 4.0], "cell"), "{table}");
        }
        let excel: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("a.png\t1\t2\t3\t4\tcell\n".bytes().flat_map(|b| [b, 0])).collect();
        assert_eq!(read_boxes("t.csv", &excel).unwrap().value[0].objects.len(), 1);
        let parts = b"image,xmin,ymin,xmax,ymax,label\na,0.1,0.1,0.5,0.5,c\na,0.2,0.1,0.5,0.5,c\n";
        assert!(read_boxes("t.csv", parts).unwrap_err().to_string().contains("parts of the image"));
    }

    #[test]
    fn a_row_of_one_field_is_not_an_image() {
        let parsed = read_boxes("t.csv", b"a.png,1,2,30,40,cell\nb.png 2 0 57 38 cell\n").unwrap();
        assert_eq!((parsed.value.len(), parsed.rejected.len()), (1, 1));
    }

    #[test]
    fn rows_that_are_left_out_are_not_background() {
        let parsed = read_boxes("t.csv", b"a.png,1,2,30,40,\nb.png,x,2,30,40,cell\nc.png,5,5,5,5,cell\n").unwrap();
        let found: Vec<_> = parsed.value.iter().map(|image| (image.ignored.len(), image.incomplete)).collect();
        assert_eq!(found, [(1, false), (0, true), (0, false)]);
    }

    #[test]
    fn names_that_hold_other_separators_come_back() {
        let table = b"\"a;1;2;3;4;5;6.png\",1,2,3,4,\"c|d|e\"\n";
        let images = read_boxes("t.csv", table).unwrap().value;
        assert_eq!((images[0].image.as_str(), images[0].objects[0].label.as_str()), ("a;1;2;3;4;5;6", "c|d|e"));
        assert_eq!(read_boxes("t.csv", &write_boxes(&images).unwrap()).unwrap().value, images);
    }

    #[test]
    fn a_row_of_a_folder_is_named() {
        for path in [".", "./", "..", "plate/", "a/b//:/", "a/ .", "a/ .png", "a/ .."] {
            let parsed = read_boxes("t.csv", format!("{path},1,2,3,4,c\n").as_bytes()).unwrap();
            assert!(parsed.value.is_empty() && parsed.rejected.len() == 1, "{path}: {:?}", parsed.value);
        }
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
}
