use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::tried::TriedList;
use crate::annotations::{ImageAnnotations, Object, Parsed, brief, checked_box, label, names, show, text};
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::Rle;

#[derive(Deserialize)]
struct RawFile {
    images: Vec<RawImage>,
    annotations: TriedList<RawAnnotation>,
    categories: Vec<RawCategory>,
}

/// Programs number with integers or with names.
#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
struct RawImage {
    id: Id,
    file_name: String,
    width: u32,
    height: u32,
    #[serde(default)]
    verified: bool,
}

#[derive(Deserialize)]
struct RawCategory {
    id: Id,
    name: String,
}

#[derive(Deserialize)]
struct RawAnnotation {
    image_id: Id,
    category_id: Id,
    #[serde(default)]
    bbox: Option<[f64; 4]>,
    #[serde(default)]
    segmentation: Option<Value>,
    #[serde(default)]
    iscrowd: u8,
    #[serde(default)]
    difficult: bool,
    #[serde(default)]
    truncated: bool,
}

/// Reads a file with `images`, `annotations` and `categories`; the images keep the order of the file.
///
/// Crowds (`iscrowd`) are not single cells: they become `difficult` objects, with a warning. Where there is no box, the
/// mask's is taken. Objects are counted through the whole `annotations` list.
///
/// # Errors
/// No JSON or not these three lists, an id that stands twice, or over a cap of [`limits`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let json = text(file, bytes, limits::TABLE_BYTES)?;
    let raw: RawFile = serde_json::from_str(json)
        .map_err(|e| Error::annotation(file, format!("is broken or no COCO file: {}", brief(e))))?;
    limits::check(file, "the number of images", raw.images.len() as u64, limits::TABLE_IMAGES as u64)?;

    let mut parsed = Parsed::new(Vec::with_capacity(raw.images.len()));
    let mut image_of: HashMap<Id, usize> = HashMap::new();
    for image in raw.images {
        limits::check(file, "a side in pixels", image.width.max(image.height).into(), limits::IMAGE_SIDE.into())?;
        if image_of.insert(image.id, parsed.value.len()).is_some() {
            let name = names::base_name(&image.file_name);
            return Err(Error::annotation(file, format!("has two images with one id ({name} is the second)")));
        }
        parsed.value.push(ImageAnnotations {
            image: names::stem(&image.file_name),
            file: names::base_name(&image.file_name),
            width: image.width,
            height: image.height,
            verified: image.verified,
            objects: Vec::new(),
            ..ImageAnnotations::default()
        });
    }
    let mut label_of: HashMap<Id, Result<String, String>> = HashMap::new();
    for category in raw.categories {
        if label_of.insert(category.id, label::check(&category.name)).is_some() {
            return Err(Error::annotation(file, "has two categories with one id"));
        }
    }

    let mut outline_budget = limits::OUTLINE_PIXELS;
    for (i, annotation) in raw.annotations.0.into_iter().enumerate() {
        let object = annotation.and_then(|a| {
            let &at = image_of.get(&a.image_id).ok_or("belongs to an image that the file does not list")?;
            let label = label_of.get(&a.category_id).ok_or("has a category that the file does not list")?.clone()?;
            let image = &parsed.value[at];
            let (object, warning) = a.check(label, image.width, image.height, &mut outline_budget)?;
            Ok((at, object, warning))
        });
        match object {
            Ok((at, object, warning)) => {
                parsed.warnings.extend(warning.map(|w| format!("{file}, object {}: {w}", i + 1)));
                parsed.value[at].objects.push(object);
                let found = parsed.value[at].objects.len();
                limits::check(file, "the number of objects of an image", found as u64, limits::OBJECTS as u64)?;
            }
            Err(reason) => parsed.reject(file, i + 1, reason)?,
        }
    }
    Ok(parsed)
}

impl RawAnnotation {
    fn check(
        self,
        label: String,
        width: u32,
        height: u32,
        budget: &mut u64,
    ) -> Result<(Object, Option<String>), String> {
        if width == 0 || height == 0 {
            return Err("belongs to an image without a size".to_owned());
        }
        let mask = match self.segmentation {
            Some(value) => mask(value, width, height, budget)?,
            None => None,
        };
        let (corners, found) = match (self.bbox, &mask) {
            (Some([x, y, w, h]), _) => ([x, y, x + w, y + h], "box"),
            (None, Some(mask)) => match mask.bbox() {
                Some(bbox) => (bbox.map(f64::from), "mask"),
                None => return Err("has no box, and a mask without pixels".to_owned()),
            },
            (None, None) => return Err("has no box and no mask".to_owned()),
        };
        let (bbox, clipped) = checked_box(corners, width, height).map_err(|e| match e {
            Error::Box { reason, .. } => {
                let [x1, y1, x2, y2] = corners.map(show);
                format!("its {found} ({x1}, {y1}) to ({x2}, {y2}) {reason} ({width} × {height} pixels)")
            }
            other => other.to_string(),
        })?;
        let warning = match (clipped, self.iscrowd != 0) {
            (_, true) => Some("is a crowd, not one cell; taken as difficult".to_owned()),
            // Sums of fractions miss the edge by a hair, which is nobody's fault.
            (true, _) if corners[0] < -1e-3 || corners[1] < -1e-3 => Some(CLIPPED.to_owned()),
            (true, _) if corners[2] > f64::from(width) + 1e-3 || corners[3] > f64::from(height) + 1e-3 => {
                Some(CLIPPED.to_owned())
            }
            _ => None,
        };
        let difficult = self.difficult || self.iscrowd != 0;
        Ok((Object { bbox, label, difficult, truncated: self.truncated, mask }, warning))
    }
}

const CLIPPED: &str = "its box reaches up to a pixel over the edge of the image and was clipped";

/// The mask of a `segmentation`: `None` where it is an empty list.
fn mask(value: Value, width: u32, height: u32, budget: &mut u64) -> Result<Option<Rle>, String> {
    let mask = match value {
        Value::Null => return Ok(None),
        Value::Array(polygons) if polygons.is_empty() => return Ok(None),
        Value::Array(polygons) => {
            let polygons =
                Vec::<Vec<f64>>::deserialize(Value::Array(polygons)).map_err(|e| format!("its polygons: {e}"))?;
            if polygons.iter().any(|p| p.len() % 2 != 0) {
                return Err("has a polygon with an x but no y".to_owned());
            }
            let corners = |p: &Vec<f64>| p.chunks_exact(2).map(|c| [c[0], c[1]]).collect::<Vec<_>>();
            let polygons: Vec<_> = polygons.iter().map(corners).collect();
            Rle::from_polygons_within(width, height, &polygons, budget).map_err(|e| e.to_string())?
        }
        rle => Rle::deserialize(rle).map_err(|e| e.to_string())?,
    };
    if (mask.width(), mask.height()) != (width, height) {
        let (w, h) = (mask.width(), mask.height());
        return Err(format!("has a mask of {w} × {h} pixels in an image of {width} × {height}"));
    }
    Ok(Some(mask))
}
