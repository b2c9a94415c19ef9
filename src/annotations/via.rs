//! The JSON of the VGG Image Annotator, version 2: a project, or its images alone. Each image has regions with a shape and
//! attributes that its user named; no size of the image is in it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::coco::tried::Bounded;
use super::json::{json_text, number, string};
use super::left_out::Place;
use super::outline::{ellipse, extent, outlined};
use super::{ImageAnnotations, Object, Parsed, brief, checked_box, label, names, quote};
use crate::error::{Error, Result};
use crate::limits;

/// Names that users give to the attribute with the class, before any other.
const CLASS_KEYS: [&str; 6] = ["label", "class", "name", "type", "category", "object"];

/// The images of a project, or of its part that holds them.
struct Images(Vec<Value>);

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ImagesVisitor)
    }
}

struct ImagesVisitor;

impl<'de> Visitor<'de> for ImagesVisitor {
    type Value = Images;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("images with regions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Images, A::Error> {
        let (mut images, mut left) = (Vec::new(), limits::PROJECT_VALUES);
        while let Some(key) = entries.next_key::<String>()? {
            if key == "_via_img_metadata" {
                images.extend(entries.next_value::<Self::Value>()?.0);
            } else if key.starts_with("_via_") {
                entries.next_value::<IgnoredAny>()?;
            } else {
                images.push(entries.next_value_seed(Bounded(&mut left))?);
            }
            if images.len() > limits::TABLE_IMAGES {
                return Err(A::Error::custom(format!("more than {} images", limits::TABLE_IMAGES)));
            }
        }
        Ok(Images(images))
    }
}

/// Reads a file. Objects are counted through all regions; `label` is what those without a class are called.
///
/// # Errors
/// No JSON or not VIA's, or over a cap of [`limits`].
pub fn read(file: &str, bytes: &[u8], label: &str) -> Result<Parsed<Vec<ImageAnnotations>>> {
    read_sized(file, &json_text(file, bytes)?, label, |_| None)
}

/// [`read`] of the text; `size_of` knows the size of an image by its file.
pub(super) fn read_sized(
    file: &str,
    json: &str,
    label: &str,
    size_of: impl Fn(&str) -> Option<(u32, u32)>,
) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let Images(images) = serde_json::from_str(json)
        .map_err(|e| Error::annotation(file, format!("is broken or no file of VIA: {}", brief(e))))?;
    let mut parsed = Parsed::new(Vec::new());
    let mut budget = limits::OUTLINE_PIXELS;
    let (mut number, mut unnamed) = (0, 0usize);
    for value in images {
        let Some(path) = string(value.get("filename")).filter(|path| names::is_image_name(path)) else {
            parsed.rejected.push(Error::annotation(file, "has an image without a filename"));
            limits::check(
                file,
                "the number of images without a name",
                parsed.rejected.len() as u64,
                limits::OBJECTS as u64,
            )?;
            continue;
        };
        let (width, height) = size_of(&path).unwrap_or((0, 0));
        let (image, relative) = (names::stem(&path), names::relative(&path));
        let mut annotations = ImageAnnotations { image, file: relative, width, height, ..ImageAnnotations::default() };
        for region in regions(&value) {
            number += 1;
            let shape = shape(region);
            let class = class(region);
            unnamed += usize::from(class.is_none());
            let class = class.unwrap_or_else(|| label.to_owned());
            let read = shape.and_then(|(polygon, is_box)| {
                let label = label::check(&class).map_err(|e| (e, Some(polygon.clone())))?;
                let polygons = [polygon];
                let found = if is_box {
                    let corners = extent(&polygons);
                    checked_box(corners, width, height).map(|(bbox, _)| (bbox, None)).map_err(|e| e.to_string())
                } else {
                    outlined(&polygons, (width, height), &mut budget).map(|found| (found.bbox, found.mask))
                };
                let [polygon] = polygons;
                let (bbox, mask) = found.map_err(|reason| (reason, Some(polygon)))?;
                Ok(Object { bbox, label, difficult: false, truncated: false, mask })
            });
            match read {
                Ok(object) => annotations.objects.push(object),
                Err((reason, polygon)) => {
                    annotations.leave_out(polygon.map_or(Place::Unknown, |polygon| Place::Within(extent(&[polygon]))));
                    parsed.reject(file, number, reason)?;
                }
            }
            let found = annotations.objects.len() as u64;
            limits::check(file, "the number of objects of an image", found, limits::OBJECTS as u64)?;
        }
        parsed.value.push(annotations);
    }
    if unnamed > 0 {
        parsed.warnings.push(format!("{file}: {unnamed} regions have no class; they are called {}", quote(label)));
    }
    Ok(parsed)
}

/// A list, or in the first versions a map from numbers.
fn regions(image: &Value) -> Vec<&Value> {
    match image.get("regions") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(map)) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// The class among the attributes of a region: a text, or the chosen one of several boxes to tick.
fn class(region: &Value) -> Option<String> {
    let attributes = region.get("region_attributes")?.as_object()?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(options) => {
            options.iter().find(|(_, on)| **on == Value::Bool(true)).map(|(name, _)| name.clone())
        }
        _ => None,
    };
    let known = CLASS_KEYS.iter().filter_map(|key| attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)));
    let all = known.map(|(_, value)| value).chain(attributes.values());
    all.filter_map(text).find(|text| !text.trim().is_empty())
}

/// What is wrong with a region, and an outline that only tells its place.
type Fault = (String, Option<Vec<[f64; 2]>>);

/// The outline, and whether it is that of a box.
fn shape(region: &Value) -> Result<(Vec<[f64; 2]>, bool), Fault> {
    let fault = |reason: &str| (reason.to_owned(), None);
    let shape = region.get("shape_attributes").ok_or_else(|| fault("has no shape"))?;
    let kind = string(shape.get("name")).unwrap_or_default();
    let value = |name: &str| shape.get(name).and_then(number).ok_or_else(|| fault("has a shape without its numbers"));
    let list = |name: &str| -> Option<Vec<f64>> { shape.get(name)?.as_array()?.iter().map(number).collect() };
    match kind.as_ref() {
        "rect" => {
            let (x, y, w, h) = (value("x")?, value("y")?, value("width")?, value("height")?);
            Ok((vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]], true))
        }
        "circle" => Ok((ellipse([value("cx")?, value("cy")?], [value("r")?; 2], 0.0), false)),
        "ellipse" => {
            let angle = value("theta").unwrap_or(0.0);
            Ok((ellipse([value("cx")?, value("cy")?], [value("rx")?, value("ry")?], angle), false))
        }
        "polygon" => {
            let (xs, ys) = (list("all_points_x"), list("all_points_y"));
            let (xs, ys) =
                xs.zip(ys).filter(|(xs, ys)| xs.len() == ys.len()).ok_or_else(|| fault("has a broken polygon"))?;
            Ok((xs.into_iter().zip(ys).map(|(x, y)| [x, y]).collect(), false))
        }
        other => Err(fault(&format!("is a {}, which has no outline; draw a polygon or a rectangle", quote(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: &str = r#"{"a.png99":{"filename":"d/a.png","size":99,"file_attributes":{},"regions":[
        {"shape_attributes":{"name":"rect","x":1,"y":2,"width":3,"height":4},"region_attributes":{"quality":"","Class":"cell"}},
        {"shape_attributes":{"name":"polygon","all_points_x":[2,8,8],"all_points_y":[2,2,9]},"region_attributes":{"kind":{"dead":true}}},
        {"shape_attributes":{"name":"point","cx":1,"cy":2},"region_attributes":{}},
        {"shape_attributes":{"name":"circle","cx":10,"cy":10,"r":2},"region_attributes":{}}]},
        "b.png1":{"filename":"b.png","regions":{"0":{"shape_attributes":{"name":"rect","x":-9,"y":2,"width":12,"height":4}}}}}"#;

    #[test]
    fn regions_become_objects_in_every_version() {
        for json in [IMAGES.to_owned(), format!(r#"{{"_via_settings":{{"x":[1]}},"_via_img_metadata":{IMAGES}}}"#)] {
            let sized = read_sized("v.json", &json, "thing", |path| (path == "d/a.png").then_some((20, 20))).unwrap();
            let [a, b] = sized.value.as_slice() else { panic!("{:?}", sized.value) };
            let found: Vec<_> = a.objects.iter().map(|o| (o.label.as_str(), o.mask.is_some())).collect();
            assert_eq!(found, [("cell", false), ("dead", true), ("thing", true)]);
            assert_eq!((a.file.as_str(), a.objects[1].bbox.corners()), ("d/a.png", [2.0, 2.0, 8.0, 9.0]));
            assert!(a.incomplete && !b.incomplete);
            assert_eq!((b.objects.len(), b.ignored[0].bbox.corners()), (0, [0.0, 2.0, 3.0, 6.0]));
            assert_eq!(sized.rejected.len(), 2);
            assert!(read("v.json", json.as_bytes(), "thing").unwrap().value[0].objects[1].mask.is_none());
        }
        assert!(read("v.json", b"[]", "thing").is_err());
    }
}
