//! labelme's JSON (`labelme/_label_file.py`): one file an image, with polygons, rectangles and circles in pixels.
//!
//! Shapes of one label and `group_id` are parts of one object. What is not an outline (points and lines) marks an object whose
//! extent nobody knows.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::coco::tried::TriedList;
use super::json::{json_text, number, side, string};
use super::left_out::Place;
use super::outline::{ellipse, extent, outlined};
use super::{ImageAnnotations, Object, Parsed, brief, checked_box, label, names, quote};
use crate::error::{Error, Result};
use crate::limits;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    shapes: TriedList<Value>,
    image_path: Option<String>,
    #[serde(default)]
    image_height: Value,
    #[serde(default)]
    image_width: Value,
}

/// An object, and whether it is a box alone.
struct Shape {
    label: String,
    polygon: Vec<[f64; 2]>,
    is_box: bool,
    group: Option<String>,
}

/// Reads one file. Objects are counted by shapes.
///
/// # Errors
/// No JSON or no list of shapes, or over a cap of [`limits`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<ImageAnnotations>> {
    read_sized(file, &json_text(file, bytes)?, |_| None)
}

/// [`read`] of the text; `size_of` knows the size of an image by its file, where the file does not say it.
pub(super) fn read_sized(
    file: &str,
    json: &str,
    size_of: impl Fn(&str) -> Option<(u32, u32)>,
) -> Result<Parsed<ImageAnnotations>> {
    let raw: RawFile = serde_json::from_str(json)
        .map_err(|e| Error::annotation(file, format!("is broken or no labelme file: {}", brief(e))))?;
    limits::check(file, "the number of objects", raw.shapes.0.len() as u64, limits::OBJECTS as u64)?;
    let path = raw.image_path.unwrap_or_default();
    let said = |value: &Value| side(Some(value)).map_err(|e| Error::annotation(file, format!("says {e}")));
    let size = match (said(&raw.image_width)?, said(&raw.image_height)?) {
        (0, _) | (_, 0) => size_of(&path).unwrap_or((0, 0)),
        size => size,
    };
    let mut parsed = Parsed::new(ImageAnnotations {
        image: names::stem(file),
        file: names::base_name(&path),
        width: size.0,
        height: size.1,
        ..ImageAnnotations::default()
    });
    // The parts of each object, in the order of their first.
    let mut objects: Vec<(usize, Vec<Shape>)> = Vec::new();
    let mut groups: HashMap<(String, String), usize> = HashMap::new();
    for (i, value) in raw.shapes.0.into_iter().enumerate() {
        match value.and_then(|value| Shape::read(&value)) {
            Ok(shape) => {
                let group = shape.group.clone().map(|group| (shape.label.clone(), group));
                let next = objects.len();
                match group.map_or(next, |group| *groups.entry(group).or_insert(next)) {
                    first if first < next => objects[first].1.push(shape),
                    _ => objects.push((i + 1, vec![shape])),
                }
            }
            Err(reason) => {
                parsed.value.leave_out(Place::Unknown);
                parsed.reject(file, i + 1, reason)?;
            }
        }
    }
    let mut budget = limits::OUTLINE_PIXELS;
    for (number, parts) in objects {
        let polygons: Vec<_> = parts.iter().map(|part| part.polygon.clone()).collect();
        let corners = extent(&polygons);
        let label = parts.into_iter().next().map(|part| (part.label, part.is_box && polygons.len() == 1));
        let Some((label, is_box)) = label else { continue };
        let found = if is_box {
            checked_box(corners, size.0, size.1).map(|(bbox, clipped)| (bbox, None, clipped)).map_err(|e| e.to_string())
        } else {
            outlined(&polygons, size, &mut budget).map(|found| (found.bbox, found.mask, found.clipped))
        };
        match found {
            Ok((bbox, mask, clipped)) => {
                if clipped {
                    parsed.warnings.push(format!("{file}, object {number}: it reaches over the edge of the image"));
                }
                parsed.value.objects.push(Object { bbox, label, difficult: false, truncated: false, mask });
            }
            Err(reason) => {
                parsed.value.leave_out(Place::Within(corners));
                parsed.reject(file, number, reason)?;
            }
        }
    }
    if parsed.value.width == 0 {
        parsed.warnings.push(format!("{file}: says no size of the image; its boxes are checked with the image"));
    }
    Ok(parsed)
}

impl Shape {
    fn read(value: &Value) -> Result<Self, String> {
        let label = label::check(&string(value.get("label")).unwrap_or_default())?;
        let points = value.get("points").and_then(Value::as_array).ok_or("has no points")?;
        let point = |point: &Value| Some([number(point.get(0)?)?, number(point.get(1)?)?]);
        let points: Option<Vec<[f64; 2]>> = points.iter().map(point).collect();
        let points = points.ok_or("has a point that is not two finite numbers")?;
        let kind = string(value.get("shape_type")).unwrap_or("polygon".into());
        let polygon = match (kind.as_ref(), points.as_slice()) {
            ("polygon", corners) if corners.len() >= 3 => points,
            // A mask of labelme is an image within two corners; the box is what is taken of it.
            ("rectangle" | "mask", &[[x1, y1], [x2, y2]]) => vec![[x1, y1], [x2, y1], [x2, y2], [x1, y2]],
            ("circle", &[[x, y], [to_x, to_y]]) => {
                let radius = (to_x - x).hypot(to_y - y);
                ellipse([x, y], [radius, radius], 0.0)
            }
            (kind, points) => {
                let (kind, number) = (quote(kind), points.len());
                return Err(format!(
                    "is a {kind} of {number} points, which has no outline; draw a polygon or a rectangle"
                ));
            }
        };
        let is_box = matches!(kind.as_ref(), "rectangle" | "mask");
        Ok(Self { label, polygon, is_box, group: string(value.get("group_id")).map(|group| group.into_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_objects() {
        let json = r#"{"version":"5.4.1","flags":{},"imagePath":"..\\img\\a.png","imageData":null,"imageHeight":20,"imageWidth":30,
            "shapes":[{"label":"cell","points":[[9,8],[2,3]],"group_id":null,"shape_type":"rectangle","flags":{}},
            {"label":"cell","points":[[2,2],[10,2],[10,10]],"shape_type":"polygon","group_id":1},
            {"label":"dead","points":[[20,10],[20,15]],"shape_type":"circle"},
            {"label":"cell","points":[[12,2],[16,2],[16,10]],"shape_type":"polygon","group_id":1},
            {"label":"cell","points":[[3,3]],"shape_type":"point"},
            {"label":"","points":[[2,2],[10,2],[10,10]]}]}"#;
        let parsed = read("a.json", json.as_bytes()).unwrap();
        let found: Vec<_> =
            parsed.value.objects.iter().map(|o| (o.label.as_str(), o.bbox.corners(), o.mask.is_some())).collect();
        assert_eq!(found.len(), 3, "{:?}", parsed.rejected);
        assert_eq!(found[0], ("cell", [2.0, 3.0, 9.0, 8.0], false));
        assert_eq!(found[1], ("cell", [2.0, 2.0, 16.0, 10.0], true), "two parts of one cell");
        assert_eq!((found[2].0, found[2].2), ("dead", true));
        assert!(found[2].1.iter().zip([15.0, 5.0, 25.0, 15.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
        assert_eq!((parsed.rejected.len(), parsed.value.incomplete), (2, true));
        assert_eq!((parsed.value.image.as_str(), parsed.value.file.as_str()), ("a", "a.png"));
        assert!(read("a.json", b"{\"shapes\":3}").is_err());
    }
}
