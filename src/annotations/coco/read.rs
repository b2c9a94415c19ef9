use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::tried::TriedList;
use crate::annotations::json::{flag, json_text, number, side, string};
use crate::annotations::left_out::Place;
use crate::annotations::outline::outlined;
use crate::annotations::{
    IgnoredReason, IgnoredRegion, ImageAnnotations, Object, Parsed, brief, checked_box, label, names, show,
};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::Rle;

#[derive(Deserialize)]
struct RawFile {
    images: TriedList<RawImage>,
    annotations: TriedList<RawAnnotation>,
    categories: TriedList<RawCategory>,
}

/// Programs number with whole numbers, with the same as floats or texts, or with names.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Id {
    Number(i64),
    Text(String),
}

struct RawImage {
    id: Id,
    file_name: String,
    width: u32,
    height: u32,
    verified: bool,
    incomplete: bool,
    ignored: Vec<IgnoredRegion>,
}

struct RawCategory {
    id: Id,
    name: String,
}

struct RawAnnotation {
    image_id: Id,
    category_id: Result<Id, String>,
    /// `[x, y, width, height]`.
    bbox: Result<Option<[f64; 4]>, String>,
    segmentation: Value,
    is_crowd: bool,
    difficult: bool,
    truncated: bool,
}

/// Reads an entry out of any JSON, with the reason where it is none.
macro_rules! from_value {
    ($($raw:ty),*) => {$(
        impl<'de> Deserialize<'de> for $raw {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
from_value!(RawImage, RawCategory, RawAnnotation);

impl Id {
    fn from_value(value: Option<&Value>, what: &str) -> Result<Self, String> {
        match value {
            // A text that is a number is the number's: VIA writes "0" in one list and 0 in another.
            Some(Value::String(text)) => Ok(text.parse().map_or_else(|_| Self::Text(text.clone()), Self::Number)),
            Some(Value::Number(n)) if n.is_i64() => {
                n.as_i64().map(Self::Number).ok_or_else(|| format!("has no {what}"))
            }
            Some(value) => match number(value).filter(|n| n.fract() == 0.0 && n.abs() < 9e15) {
                Some(n) => Ok(Self::Number(n as i64)),
                None => Err(format!("its {what} is neither a number nor text")),
            },
            None => Err(format!("has no {what}")),
        }
    }
}

impl RawImage {
    fn from_value(value: Value) -> Result<Self, String> {
        let file_name = string(value.get("file_name")).or(string(value.get("name")));
        let file_name = file_name.filter(|name| names::is_image_name(name)).ok_or("has no file_name")?;
        let ignored = value.get("ignored").map_or(Ok(Vec::new()), Vec::<IgnoredRegion>::deserialize);
        Ok(Self {
            id: Id::from_value(value.get("id"), "id")?,
            file_name: file_name.into_owned(),
            width: side(value.get("width"))?,
            height: side(value.get("height"))?,
            verified: flag(value.get("verified")),
            incomplete: flag(value.get("incomplete")),
            ignored: ignored.map_err(|e| format!("its ignored regions: {e}"))?,
        })
    }
}

impl RawCategory {
    fn from_value(value: Value) -> Result<Self, String> {
        let name = string(value.get("name")).ok_or("has no name")?.into_owned();
        Ok(Self { id: Id::from_value(value.get("id"), "id")?, name })
    }
}

impl RawAnnotation {
    fn from_value(mut value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("is not an annotation: it has no fields".to_owned());
        }
        Ok(Self {
            image_id: Id::from_value(value.get("image_id"), "image_id")?,
            category_id: Id::from_value(value.get("category_id"), "category_id"),
            bbox: bbox(value.get("bbox")),
            is_crowd: flag(value.get("iscrowd")),
            difficult: flag(value.get("difficult")),
            truncated: flag(value.get("truncated")),
            segmentation: value.get_mut("segmentation").map_or(Value::Null, Value::take),
        })
    }
}

/// `None` where there is no box: left out, null, or an empty list.
fn bbox(value: Option<&Value>) -> Result<Option<[f64; 4]>, String> {
    let list = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) if list.is_empty() => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => return Err("its bbox is not a list of x, y, width and height".to_owned()),
    };
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    let numbers = numbers.ok_or("its bbox has a value that is not a finite number")?;
    let four = numbers.as_slice().try_into().map_err(|_| format!("its bbox has {} numbers, not 4", numbers.len()))?;
    Ok(Some(four))
}

/// Reads a file with `images`, `annotations` and `categories`; the images keep the order of the file.
///
/// Crowds (`iscrowd`) are not single cells: they become ignored regions. Where there is no box, the segmentation's is taken.
/// Objects are counted through the whole `annotations` list.
///
/// # Errors
/// No JSON or not these three lists, an id that stands twice, or over a cap of [`limits`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageAnnotations>>> {
    read_sized(file, &json_text(file, bytes)?, |_| None)
}

/// [`read`] of the text; `size_of` knows the size of an image by its file, where the file does not say it.
pub(in crate::annotations) fn read_sized(
    file: &str,
    json: &str,
    size_of: impl Fn(&str) -> Option<(u32, u32)>,
) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let raw: RawFile = serde_json::from_str(json)
        .map_err(|e| Error::annotation(file, format!("is broken or no COCO file: {}", brief(e))))?;
    limits::check(file, "the number of images", raw.images.0.len() as u64, limits::TABLE_IMAGES as u64)?;

    let mut parsed = Parsed::new(Vec::with_capacity(raw.images.0.len()));
    let mut image_of: HashMap<Id, usize> = HashMap::new();
    for (i, image) in raw.images.0.into_iter().enumerate() {
        let image = match image {
            Ok(image) => image,
            Err(reason) => {
                parsed.rejected.push(Error::annotation(file, format!("image {} of its list {}", i + 1, brief(reason))));
                continue;
            }
        };
        if image_of.insert(image.id, parsed.value.len()).is_some() {
            let name = names::base_name(&image.file_name);
            return Err(Error::annotation(file, format!("has two images with one id ({name} is the second)")));
        }
        let (width, height) = match (image.width, image.height) {
            (0, _) | (_, 0) => size_of(&image.file_name).unwrap_or((0, 0)),
            size => size,
        };
        let is_within = |region: &IgnoredRegion| region.bbox.x2() <= width as f32 && region.bbox.y2() <= height as f32;
        let ignored = image.ignored.into_iter().filter(|region| width == 0 || is_within(region)).collect();
        parsed.value.push(ImageAnnotations {
            image: names::stem(&image.file_name),
            file: names::relative(&image.file_name),
            width,
            height,
            verified: image.verified,
            objects: Vec::new(),
            ignored,
            incomplete: image.incomplete,
        });
    }
    let mut label_of: HashMap<Id, Result<String, String>> = HashMap::new();
    for (i, category) in raw.categories.0.into_iter().enumerate() {
        let category = match category {
            Ok(category) => category,
            Err(reason) => {
                parsed.rejected.push(Error::annotation(file, format!("category {} {}", i + 1, brief(reason))));
                continue;
            }
        };
        if label_of.insert(category.id, label::check(&category.name)).is_some() {
            return Err(Error::annotation(file, "has two categories with one id"));
        }
    }

    let mut outline_budget = limits::OUTLINE_PIXELS;
    let mut without_size = 0usize;
    for (i, annotation) in raw.annotations.0.into_iter().enumerate() {
        let number = i + 1;
        let annotation = match annotation {
            Ok(annotation) => annotation,
            Err(reason) => {
                parsed.reject(file, number, reason)?;
                continue;
            }
        };
        let Some(&at) = image_of.get(&annotation.image_id) else {
            parsed.reject(file, number, "belongs to an image that the file does not list")?;
            continue;
        };
        let image = &mut parsed.value[at];
        let label = annotation.category_id.clone().and_then(|id| {
            label_of.get(&id).cloned().unwrap_or_else(|| Err("has a category that the file does not list".to_owned()))
        });
        let place = annotation.place();
        let size = (image.width, image.height);
        without_size += usize::from(image.width == 0 && !annotation.segmentation.is_null());
        let read = label.and_then(|label| annotation.check(label, size, &mut outline_budget));
        match read {
            Ok(Read::Object(object, warning)) => {
                image.objects.push(object);
                let found = (image.objects.len() + image.ignored.len()) as u64;
                parsed.warnings.extend(warning.map(|w| format!("{file}, object {number}: {w}")));
                limits::check(file, "the number of objects of an image", found, limits::OBJECTS as u64)?;
            }
            Ok(Read::Crowd(region)) => {
                image.ignored.push(region);
                let found = (image.objects.len() + image.ignored.len()) as u64;
                limits::check(file, "the number of objects of an image", found, limits::OBJECTS as u64)?;
            }
            Err(reason) => {
                image.leave_out(place);
                parsed.reject(file, number, reason)?;
            }
        }
    }
    if without_size > 0 {
        let reason = "its outlines are left out where it does not say the size of the image";
        parsed.warnings.push(format!("{file}: {reason} ({without_size} objects)"));
    }
    Ok(parsed)
}

enum Read {
    Object(Object, Option<String>),
    Crowd(IgnoredRegion),
}

impl RawAnnotation {
    /// Where it lies, for one that cannot be used.
    fn place(&self) -> Place {
        match self.bbox {
            Ok(Some([x, y, w, h])) => Place::Within([x, y, x + w, y + h]),
            _ => Place::Unknown,
        }
    }

    /// `size` is the image's, 0 × 0 where nobody knows it; then only the left and upper edge are checked.
    fn check(self, label: String, size: (u32, u32), budget: &mut u64) -> Result<Read, String> {
        let given = self.bbox?;
        let segmented = segmented(self.segmentation, size, budget)?;
        // A box of nothing beside an outline of something says nothing.
        let given = given.filter(|[_, _, w, h]| segmented.is_none() || *w != 0.0 || *h != 0.0);
        let (mut bbox, mut warning, mut mask) = (None, None, None);
        if let Some(Segmented { bbox: around, mask: drawn, clipped }) = segmented {
            bbox = Some(around);
            mask = drawn;
            warning = clipped.then(|| "its outline reaches over the edge of the image".to_owned());
        }
        if let Some([x, y, w, h]) = given {
            let (checked, clipped) = upright([x, y, x + w, y + h], size)?;
            bbox = Some(checked);
            warning = clipped.then(|| CLIPPED.to_owned());
        }
        let bbox = bbox.ok_or("has no box and no mask")?;
        if self.is_crowd {
            return Ok(Read::Crowd(IgnoredRegion { bbox, label: Some(label), reason: IgnoredReason::Crowd }));
        }
        let Self { difficult, truncated, .. } = self;
        Ok(Read::Object(Object { bbox, label, difficult, truncated, mask }, warning))
    }
}

/// The box of these corners, and whether it was clipped by more than a hair.
fn upright(corners: [f64; 4], (width, height): (u32, u32)) -> Result<(BoxXyxy, bool), String> {
    let (bbox, clipped) = checked_box(corners, width, height).map_err(|e| match e {
        Error::Box { reason, .. } => {
            let [x1, y1, x2, y2] = corners.map(show);
            format!("its box ({x1}, {y1}) to ({x2}, {y2}) {reason} ({width} × {height} pixels)")
        }
        other => other.to_string(),
    })?;
    // Sums of fractions miss the edge by a hair, which is nobody's fault.
    let over = |low: f64, high: f64, side: u32| low < -1e-3 || (side > 0 && high > f64::from(side) + 1e-3);
    let is_said = over(corners[0], corners[2], width) || over(corners[1], corners[3], height);
    Ok((bbox, clipped && is_said))
}

const CLIPPED: &str = "its box reaches up to a pixel over the edge of the image and was clipped";

/// What a `segmentation` gives.
struct Segmented {
    bbox: BoxXyxy,
    mask: Option<Rle>,
    clipped: bool,
}

/// `None` where the `segmentation` is empty.
fn segmented(value: Value, size: (u32, u32), budget: &mut u64) -> Result<Option<Segmented>, String> {
    let polygons = match value {
        Value::Null | Value::Bool(_) => return Ok(None),
        Value::Array(list) if list.iter().all(|part| part.as_array().is_some_and(Vec::is_empty)) => return Ok(None),
        // VIA writes a polygon alone, without the list of polygons around it.
        Value::Array(list) if list.iter().all(|part| !part.is_array()) => vec![Value::Array(list)],
        Value::Array(list) => list,
        rle @ Value::Object(_) => return run_lengths(rle, size).map(Some),
        _ => return Err("its segmentation is neither a list of polygons nor a mask".to_owned()),
    };
    let polygons: Vec<Vec<[f64; 2]>> = polygons.iter().map(polygon).collect::<Result<_, _>>()?;
    let found = outlined(&polygons, size, budget)?;
    Ok(Some(Segmented { bbox: found.bbox, mask: found.mask, clipped: found.clipped }))
}

fn polygon(value: &Value) -> Result<Vec<[f64; 2]>, String> {
    let list = value.as_array().ok_or("its polygons: one is not a list of numbers")?;
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    let numbers = numbers.ok_or("its polygons: a corner is not a finite number")?;
    if numbers.len() % 2 != 0 {
        return Err("has a polygon with an x but no y".to_owned());
    }
    Ok(numbers.chunks_exact(2).map(|c| [c[0], c[1]]).collect())
}

fn run_lengths(value: Value, (width, height): (u32, u32)) -> Result<Segmented, String> {
    let mask = Rle::deserialize(value).map_err(|e| e.to_string())?;
    if width > 0 && (mask.width(), mask.height()) != (width, height) {
        let (w, h) = (mask.width(), mask.height());
        return Err(format!("has a mask of {w} × {h} pixels in an image of {width} × {height}"));
    }
    let bounds = mask.bbox().ok_or("has a mask without pixels")?;
    let bbox = BoxXyxy::new(bounds.map(|v| v as f32), mask.width(), mask.height()).map_err(|e| e.to_string())?;
    Ok(Segmented { bbox, mask: (width > 0).then_some(mask), clipped: false })
}
