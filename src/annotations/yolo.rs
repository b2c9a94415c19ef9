//! YOLO: one text file an image, a line an object: `class centre_x centre_y width height`, in parts of the image's sides;
//! the classes are the lines of a file of their own (`classes.txt`), counted from 0.
//!
//! Lines with more numbers are polygons, as segmentation models write them: `class x1 y1 x2 y2 x3 y3 …`.

use std::fmt::Write;

use crate::annotations::left_out::Place;
use crate::annotations::outline::extent;
use crate::annotations::{ImageAnnotations, Object, Parsed, checked_box, label, names, quote, text};
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::Rle;

/// Reads `classes.txt`.
///
/// # Errors
/// Not UTF-8, a label that breaks the rule of [`label::check`], or over a cap of [`limits`].
pub fn read_classes(file: &str, bytes: &[u8]) -> Result<Vec<String>> {
    let text = text(file, bytes, limits::ANNOTATION_BYTES)?;
    let mut classes = Vec::new();
    for (i, line) in text.trim_end().lines().enumerate() {
        classes.push(label::check(line).map_err(|e| Error::annotation(file, format!("line {} {e}", i + 1)))?);
        limits::check(file, "the number of classes", classes.len() as u64, limits::CLASSES as u64)?;
    }
    Ok(classes)
}

pub fn write_classes(classes: &[String]) -> String {
    classes.iter().flat_map(|class| [class.as_str(), "\n"]).collect()
}

/// Reads the objects of an image of `width` × `height` pixels; without `classes` the numbers are the labels. Objects are
/// counted by lines.
///
/// # Errors
/// Not UTF-8, an image without a size, or over a cap of [`limits`].
pub fn read(
    file: &str,
    bytes: &[u8],
    classes: Option<&[String]>,
    width: u32,
    height: u32,
) -> Result<Parsed<ImageAnnotations>> {
    if width == 0 || height == 0 {
        return Err(Error::annotation(file, "is in parts of the image, and the image has no size"));
    }
    let image = names::stem(file);
    let mut parsed = Parsed::new(ImageAnnotations {
        image,
        file: String::new(),
        width,
        height,
        verified: false,
        objects: Vec::new(),
        ..ImageAnnotations::default()
    });
    if classes.is_none() {
        parsed.warnings.push(format!("{file}: no list of classes was found; their numbers are used as labels"));
    }
    let mut budget = limits::OUTLINE_PIXELS;
    let text = text(file, bytes, limits::ANNOTATION_BYTES)?;
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match read_line(line, classes, width, height, &mut budget) {
            Ok((object, clipped)) => {
                if clipped {
                    let reason = "its box reaches up to a pixel over the edge of the image and was clipped";
                    parsed.warnings.push(format!("{file}, object {}: {reason}", i + 1));
                }
                parsed.value.objects.push(object);
            }
            Err(reason) => {
                parsed.value.leave_out(place(line, width, height));
                parsed.reject(file, i + 1, reason)?;
            }
        }
        let found = parsed.value.objects.len() + parsed.rejected.len();
        limits::check(file, "the number of objects", found as u64, limits::OBJECTS as u64)?;
    }
    Ok(parsed)
}

fn read_line(
    line: &str,
    classes: Option<&[String]>,
    width: u32,
    height: u32,
    budget: &mut u64,
) -> Result<(Object, bool), String> {
    let mut words = line.split_ascii_whitespace();
    let class = words.next().unwrap_or_default();
    let index: usize = class.parse().map_err(|_| format!("has {} as class, which is not a number", quote(class)))?;
    let label = match classes {
        Some(classes) => classes.get(index).cloned().ok_or_else(|| {
            format!("has the class {index}, but the list of classes ends at {}", classes.len() as i64 - 1)
        })?,
        None => index.to_string(),
    };
    let parse = |word: &str| word.parse::<f64>().map_err(|_| format!("has {}, which is not a number", quote(word)));
    let numbers: Vec<f64> = words.map(parse).collect::<Result<_, _>>()?;
    let (w, h) = (f64::from(width), f64::from(height));
    let (corners, mask) = match numbers.as_slice() {
        // Detectors append a score.
        [x, y, bw, bh] | [x, y, bw, bh, _] => {
            ([(x - bw / 2.0) * w, (y - bh / 2.0) * h, (x + bw / 2.0) * w, (y + bh / 2.0) * h], None)
        }
        corners if corners.len() >= 6 && corners.len() % 2 == 0 => {
            let polygon: Vec<_> = corners.chunks_exact(2).map(|c| [c[0] * w, c[1] * h]).collect();
            let mask = Rle::from_polygons_within(width, height, std::slice::from_ref(&polygon), budget)
                .map_err(|e| e.to_string())?;
            if mask.area() == 0 {
                return Err("has an outline without pixels".to_owned());
            }
            let fold = |k: usize, f: fn(f64, f64) -> f64| polygon.iter().map(|p| p[k]).reduce(f).unwrap_or(f64::NAN);
            ([fold(0, f64::min), fold(1, f64::min), fold(0, f64::max), fold(1, f64::max)], Some(mask))
        }
        other => return Err(format!("has {} numbers after the class, not 4 (box) or pairs (polygon)", other.len())),
    };
    // Six decimals of a side are less than this; to warn of it would be noise.
    let slack = 0.01;
    let over = corners[0] < -slack || corners[1] < -slack || corners[2] > w + slack || corners[3] > h + slack;
    let (bbox, _) = checked_box(corners, width, height).map_err(|e| e.to_string())?;
    Ok((Object { bbox, label, difficult: false, truncated: false, mask }, over))
}

/// Where a line that cannot be used has its object.
fn place(line: &str, width: u32, height: u32) -> Place {
    let numbers: Option<Vec<f64>> = line.split_ascii_whitespace().skip(1).map(|word| word.parse().ok()).collect();
    let (w, h) = (f64::from(width), f64::from(height));
    match numbers.as_deref() {
        Some(&[x, y, bw, bh] | &[x, y, bw, bh, _]) => {
            Place::Within([(x - bw / 2.0) * w, (y - bh / 2.0) * h, (x + bw / 2.0) * w, (y + bh / 2.0) * h])
        }
        Some(corners) if corners.len() >= 6 && corners.len() % 2 == 0 => {
            Place::Within(extent(&[corners.chunks_exact(2).map(|c| [c[0] * w, c[1] * h]).collect()]))
        }
        _ => Place::Unknown,
    }
}

/// The text file of an image, boxes only.
///
/// # Errors
/// A label that is not among `classes`, an image without a size.
pub fn write(annotations: &ImageAnnotations, classes: &[String]) -> Result<String> {
    let (w, h) = (f64::from(annotations.width), f64::from(annotations.height));
    if annotations.width == 0 || annotations.height == 0 {
        return Err(Error::Usage(format!("{}: YOLO needs the size of the image", annotations.image)));
    }
    let mut lines = String::new();
    for object in &annotations.objects {
        let class = classes.iter().position(|c| *c == object.label).ok_or_else(|| {
            Error::Usage(format!("{}: the label {:?} is not among the classes", annotations.image, object.label))
        })?;
        let [x1, y1, x2, y2] = object.bbox.corners().map(f64::from);
        let (x, y, bw, bh) = ((x1 + x2) / 2.0 / w, (y1 + y2) / 2.0 / h, (x2 - x1) / w, (y2 - y1) / h);
        // Eight places are 1e-4 pixels on the largest image. Writing to a String cannot fail.
        let _ = writeln!(lines, "{class} {x:.8} {y:.8} {bw:.8} {bh:.8}");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_polygons_are_read() {
        let classes = read_classes("classes.txt", b"cell\r\nlarge cell\r\n\n").unwrap();
        assert_eq!(classes, ["cell", "large cell"]);
        let lines = b"1 0.5 0.5 0.25 0.5\n\n0 0.1 0.1 0.5 0.1 0.5 0.9\n0 0.5 0.5 1 1 0.87\n";
        let parsed = read("a.txt", lines, Some(&classes), 40, 20).unwrap();
        assert!(parsed.rejected.is_empty() && parsed.warnings.is_empty(), "{:?}", parsed.rejected);
        let [a, b, c] = parsed.value.objects.as_slice() else { panic!("three objects") };
        assert_eq!((a.label.as_str(), a.bbox.corners()), ("large cell", [15.0, 5.0, 25.0, 15.0]));
        assert_eq!(b.bbox.corners(), [4.0, 2.0, 20.0, 18.0]);
        assert!(b.mask.as_ref().is_some_and(|m| (100..150).contains(&m.area())), "half of 16 × 16");
        assert_eq!(c.bbox.corners(), [0.0, 0.0, 40.0, 20.0]);
        assert_eq!(read("a.txt", b"3 0.5 0.5 1 1", None, 9, 9).unwrap().value.objects[0].label, "3");
    }

    #[test]
    fn bad_lines_are_named_and_the_others_kept() {
        let classes = ["cell".to_owned()];
        for bad in [
            "1 .5 .5 .1 .1",
            "-1 .5 .5 .1 .1",
            "x",
            "0",
            "0 .5 .5",
            "0 .5 .5 0 .1",
            "0 .5 .5 -.1 .1",
            "0 NaN .5 .1 .1",
            "0 2 .5 .1 .1",
            // An outline that runs to and fro on a line.
            "0 .2 .2 .4 .4 .2 .2",
        ] {
            let lines = format!("0 .5 .5 .1 .1\n{bad}\n0 .5 .5 .2 .2\n");
            let parsed = read("a.txt", lines.as_bytes(), Some(&classes), 100, 100).unwrap();
            assert_eq!(parsed.value.objects.len(), 2, "{bad}");
            let is_click = bad.contains(" 0 .1");
            assert_eq!(
                parsed.value.ignored.len() + usize::from(parsed.value.incomplete),
                usize::from(!is_click),
                "{bad}"
            );
            assert!(
                matches!(parsed.rejected.as_slice(), [Error::Object { object: 2, .. }]),
                "{bad}: {:?}",
                parsed.rejected
            );
        }
        assert!(read("a.txt", b"", None, 0, 5).is_err());
        assert!(read_classes("c.txt", b"a\n\nb\n").is_err());
    }
}
