//! Tables: boxes of many images (keras-frcnn's `filepath,x1,y1,x2,y2,class`, with or without a header, and other columns
//! with one) and the Atlas's image-level labels (`Id,Target` and `ID,Label`). Commas, semicolons, tabs or `|` stand between
//! fields.
//!
//! Corners are pixels from 0, the right and lower one excluded, as keras-frcnn takes them. A spreadsheet runs a cell that
//! starts with `=`, `+`, `-` or `@` as a formula; such a text is written behind a `'`, which the reader takes off again.

use std::borrow::Cow;
use std::collections::HashMap;

use csv::{QuoteStyle, ReaderBuilder, StringRecord, Trim, WriterBuilder};
use serde::{Deserialize, Serialize};

use crate::annotations::{
    ImageAnnotations, Object, Parsed, brief, checked_box, label, left_out, names, quote, reference, text,
};
use crate::error::{Error, Result};
use crate::limits;

/// Image-level labels, as Kaggle's HPA table has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLabels {
    /// The image's name without channel and extension.
    pub image: String,
    pub labels: Vec<String>,
}

/// How the corners stand in a row.
#[derive(Clone, Copy)]
enum Place {
    /// `x1, y1, x2, y2`.
    Corners([usize; 4]),
    /// The upper left corner, width and height.
    Sides([usize; 4]),
    /// The centre, width and height.
    Centre([usize; 4]),
    /// One field with `[x, y, width, height]`.
    List(usize),
}

/// Where a box table keeps what; the default is keras-frcnn's order.
struct Columns {
    file: usize,
    place: Place,
    /// `None` where all objects are of one class.
    class: Option<usize>,
    /// Width and height of the image.
    size: Option<[usize; 2]>,
}

const FILES: &[&str] = &[
    "file",
    "filepath",
    "filename",
    "path",
    "image",
    "imageid",
    "imagename",
    "imagepath",
    "imagefile",
    "img",
    "imgname",
    "location",
    "frame",
];
const CLASSES: &[&str] = &[
    "class",
    "label",
    "name",
    "classname",
    "labelname",
    "category",
    "categoryname",
    "classid",
    "labels",
    "celltype",
    "type",
    "species",
];
const X1: &[&str] = &["x1", "xmin", "minx", "left", "xtl", "x0", "bboxx1", "bboxxmin", "boxxmin"];
const Y1: &[&str] = &["y1", "ymin", "miny", "top", "ytl", "y0", "bboxy1", "bboxymin", "boxymin"];
const X2: &[&str] = &["x2", "xmax", "maxx", "right", "xbr", "bboxx2", "bboxxmax", "boxxmax"];
const Y2: &[&str] = &["y2", "ymax", "maxy", "bottom", "ybr", "bboxy2", "bboxymax", "boxymax"];
const X: &[&str] = &["x", "bboxx", "boxx", "left", "xmin", "x1", "topleftx"];
const Y: &[&str] = &["y", "bboxy", "boxy", "top", "ymin", "y1", "toplefty"];
const CENTRE_X: &[&str] = &["xcenter", "centerx", "xcentre", "centrex", "cx", "xc"];
const CENTRE_Y: &[&str] = &["ycenter", "centery", "ycentre", "centrey", "cy", "yc"];
const WIDTHS: &[&str] = &["w", "bboxw", "bboxwidth", "boxw", "boxwidth", "width"];
const HEIGHTS: &[&str] = &["h", "bboxh", "bboxheight", "boxh", "boxheight", "height"];
const IMAGE_WIDTHS: &[&str] = &["imagewidth", "imgwidth", "imgw", "imagew", "width"];
const IMAGE_HEIGHTS: &[&str] = &["imageheight", "imgheight", "imgh", "imageh", "height"];

impl Columns {
    /// `None` if the row is no header: its second field is a number, or nothing.
    fn from_header(file: &str, row: &StringRecord) -> Result<Option<Self>> {
        let is_number = |i: usize| row.get(i).is_none_or(|field| field.is_empty() || field.parse::<f64>().is_ok());
        if is_number(1) && is_number(2) {
            return Ok(None);
        }
        let fields: Vec<String> = row.iter().take(256).map(bare).collect();
        let find = |names: &[&str]| names.iter().find_map(|name| fields.iter().position(|field| field == name));
        let four = |names: [&[&str]; 4]| {
            let found: Option<Vec<usize>> = names.into_iter().map(find).collect();
            found.and_then(|found| <[usize; 4]>::try_from(found).ok())
        };
        let corners = four([X1, Y1, X2, Y2]).map(Place::Corners);
        let sides = || four([X, Y, WIDTHS, HEIGHTS]).map(Place::Sides);
        let centre = || four([CENTRE_X, CENTRE_Y, WIDTHS, HEIGHTS]).map(Place::Centre);
        let list = || find(&["bbox", "box"]).map(Place::List);
        let place = corners.or_else(sides).or_else(centre).or_else(list);
        let missing =
            |what: &str| Error::annotation(file, format!("is no table of boxes: its header has no column {what}"));
        let size = match place {
            Some(Place::Corners(_) | Place::List(_)) => find(IMAGE_WIDTHS).zip(find(IMAGE_HEIGHTS)),
            _ => None,
        };
        Ok(Some(Self {
            file: find(FILES).ok_or_else(|| missing("file or filepath or filename or path or image"))?,
            place: place.ok_or_else(|| missing("x1 or xmin, y1, x2 and y2, nor x, y, width and height"))?,
            class: find(CLASSES),
            size: size.map(|(width, height)| [width, height]),
        }))
    }
}

/// A header's field without case, spaces and signs.
fn bare(field: &str) -> String {
    field.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(40).collect()
}

/// Rows of fields, and what stands between fields.
struct Table<'a> {
    reader: csv::Reader<&'a [u8]>,
    separator: u8,
}

/// The separator that the first line has most often; Excel may name it in a line of its own.
fn table(text: &str) -> Table<'_> {
    let text = text.trim_start_matches(['\r', '\n']);
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let named = first.trim().strip_prefix("sep=").and_then(|named| named.bytes().next());
    let text = if named.is_some() { rest } else { text };
    let separator = named.unwrap_or_else(|| separator_of(first.as_bytes()).0);
    let reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(separator)
        .from_reader(text.as_bytes());
    Table { reader, separator }
}

/// Of a line, and how often it stands there.
pub(super) fn separator_of(line: &[u8]) -> (u8, usize) {
    // What stands within quotes is part of a name.
    let bare: Vec<u8> = line.split(|b| *b == b'"').step_by(2).flatten().copied().collect();
    let count = |separator: u8| bare.iter().filter(|b| **b == separator).count();
    let mut best = (b',', count(b','));
    for separator in [b';', b'\t', b'|'] {
        let found = count(separator);
        if found > best.1 {
            best = (separator, found);
        }
    }
    best
}

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
        if reference::path(path, "").is_empty() {
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
            *number = parse(field).ok_or_else(|| format!("has {} as {name}, which is no number", quote(field)))?;
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

/// Rows of fields as text with commas, quoted where needed: all of them where a name holds what else may stand between
/// fields, since a reader would have to guess.
pub(crate) fn write_rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::Io { path: "table".to_owned(), reason };
    let rows: Vec<_> = rows.into_iter().collect();
    let is_ambiguous = rows.iter().flatten().any(|field| field.contains([';', '\t', '|']));
    let style = if is_ambiguous { QuoteStyle::Always } else { QuoteStyle::Necessary };
    let mut writer = WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    for row in rows {
        writer.write_record(&row).map_err(|e| failed(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| failed(e.to_string()))
}

/// The two tables of the Atlas: of 2018 with spaces between codes, of 2021 with `|`.
const ATLAS_TABLES: [(&str, &str, char, &[&str]); 2] =
    [("Id", "Target", ' ', &label::HPA_CLASSES), ("ID", "Label", '|', &label::HPA_CLASSES_2021)];

/// Whether the first line is the header of a table of image labels.
pub(super) fn is_image_labels(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let fields: Vec<&str> = line.split([',', ';', '\t']).map(|field| field.trim().trim_matches('"')).collect();
    ATLAS_TABLES.iter().any(|(id, codes, ..)| is_header(fields.iter().copied(), id, codes))
}

fn is_header<'a>(fields: impl Iterator<Item = &'a str>, id: &str, codes: &str) -> bool {
    fields.map(str::to_ascii_lowercase).eq([id.to_ascii_lowercase(), codes.to_ascii_lowercase()])
}

/// Reads the Atlas's `Id,Target` of 2018, where `Target` holds codes of [`label::HPA_CLASSES`] with spaces between, and its
/// `ID,Label` of 2021 with codes of [`label::HPA_CLASSES_2021`] and `|` between. Objects are counted by rows, the header not
/// counted.
///
/// # Errors
/// Not text, another header, or over a cap of [`limits`].
pub fn read_image_labels(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageLabels>>> {
    let mut parsed = Parsed::new(Vec::new());
    let text = text(file, bytes, limits::TABLE_BYTES)?;
    // The codes of the second table have a separator of their own; the header tells that of the fields.
    let mut rows = table(&text).reader.into_records();
    let broken = |e: csv::Error| Error::annotation(file, format!("is broken or no table: {}", brief(e)));
    let header = rows.next().transpose().map_err(broken)?.unwrap_or_default();
    let known = ATLAS_TABLES.iter().find(|(id, codes, ..)| is_header(header.iter(), id, codes));
    let Some((_, _, between, classes)) = known else {
        let reason = "is no table of image labels: its header is neither \"Id,Target\" nor \"ID,Label\"";
        return Err(Error::annotation(file, reason));
    };
    for (i, row) in rows.enumerate() {
        let row = row.map_err(broken)?;
        let codes = row.get(1).unwrap_or_default().split([*between, ' ']).filter(|code| !code.is_empty());
        let name = |code: &str| code.parse().ok().and_then(|code: usize| classes.get(code)).ok_or(code.to_owned());
        let labels: Result<Vec<String>, String> = codes.map(|code| name(code).map(|n| (*n).to_owned())).collect();
        let image = names::stem(row.get(0).unwrap_or_default());
        match labels {
            _ if image.is_empty() || row.len() != 2 => {
                parsed.reject(file, i + 1, "is no row of an id and its codes")?
            }
            Ok(labels) => parsed.value.push(ImageLabels { image, labels }),
            Err(code) => {
                let last = classes.len() - 1;
                parsed.reject(file, i + 1, format!("has the code {}; they go from 0 to {last}", quote(&code)))?;
            }
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
    fn a_row_of_one_field_is_no_image() {
        let parsed = read_boxes("t.csv", b"a.png,1,2,30,40,cell\nb.png 2 0 57 38 cell\n").unwrap();
        assert_eq!((parsed.value.len(), parsed.rejected.len()), (1, 1));
    }

    #[test]
    fn rows_that_are_left_out_are_no_background() {
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
        for path in [".", "./", ".."] {
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
        let parsed = read_image_labels("train.csv", b"ID,Label\nabc,8|5|0\ndef,18\nghi,19\n").unwrap();
        assert_eq!(parsed.value[0].labels, ["Intermediate filaments", "Nuclear bodies", "Nucleoplasm"]);
        assert_eq!((parsed.value[1].labels[0].as_str(), parsed.rejected.len()), ("Negative", 1));
        assert!(read_image_labels("t.csv", b"a,b\n1,2\n").is_err());
        assert!(read_image_labels("t.csv", b"").is_err());
    }
}
