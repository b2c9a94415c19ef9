use std::borrow::Cow;
use std::io::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::annotations::{IgnoredReason, IgnoredRegion, ImageAnnotations, reference, shortest};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::masks::Rle;

/// One object of a COCO file.
pub struct CocoItem<'a> {
    pub bbox: BoxXyxy,
    pub label: Cow<'a, str>,
    /// Only where it was detected.
    pub score: Option<f32>,
    pub difficult: bool,
    pub truncated: bool,
    pub mask: Option<Cow<'a, Rle>>,
    /// What was measured of it, by name with unit; empty where nothing was.
    pub measurements: Map<String, Value>,
}

/// An image of a COCO file with its objects.
pub struct CocoImage<'a> {
    /// Its own `objects` are not looked at.
    pub header: ImageAnnotations,
    /// Fields of the image that COCO does not define, by name.
    pub extra: Map<String, Value>,
    pub items: Vec<CocoItem<'a>>,
}

#[derive(Serialize)]
struct Image<'a> {
    id: u64,
    file_name: &'a str,
    width: u32,
    height: u32,
    #[serde(skip_serializing_if = "is_false")]
    verified: bool,
    /// Those that are not crowds of one class, which stand among the annotations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<&'a IgnoredRegion>,
    #[serde(skip_serializing_if = "is_false")]
    incomplete: bool,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    id: u64,
    image_id: u64,
    category_id: usize,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: Segmentation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    #[serde(skip_serializing_if = "is_false")]
    difficult: bool,
    #[serde(skip_serializing_if = "is_false")]
    truncated: bool,
    #[serde(skip_serializing_if = "Map::is_empty")]
    measurements: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Segmentation<'a> {
    Mask(&'a Rle),
    None([u8; 0]),
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'a str,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// All images in one file; categories are numbered from 1 in the order of `classes`.
///
/// # Errors
/// A label that is not among `classes`.
pub fn write(images: &[ImageAnnotations], classes: &[String]) -> Result<Vec<u8>> {
    write_measured(images, classes, |_, _| Map::new())
}

/// As [`write`], with what `measurements` gives for an object of an image, both by their number.
///
/// # Errors
/// As [`write`].
pub fn write_measured(
    images: &[ImageAnnotations],
    classes: &[String],
    measurements: impl Fn(usize, usize) -> Map<String, Value>,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let source = || {
        images.iter().enumerate().map(|(at, image)| {
            let items = image.objects.iter().enumerate().map(|(i, o)| CocoItem {
                bbox: o.bbox,
                label: Cow::Borrowed(&o.label),
                score: None,
                difficult: o.difficult,
                truncated: o.truncated,
                mask: o.mask.as_ref().map(Cow::Borrowed),
                measurements: measurements(at, i),
            });
            let header = ImageAnnotations { objects: Vec::new(), ..image.clone() };
            Ok(CocoImage { header, extra: Map::new(), items: items.collect() })
        })
    };
    write_to(&mut bytes, source, classes)?;
    Ok(bytes)
}

/// Writes a COCO file without holding the images in memory: `source` is run through twice, once for the list of images
/// and once for their objects.
///
/// # Errors
/// Those of `source` and of writing, and a label that is not among `classes`.
pub fn write_to<'a, I>(out: &mut impl Write, source: impl Fn() -> I, classes: &[String]) -> Result<()>
where
    I: Iterator<Item = Result<CocoImage<'a>>>,
{
    let failed = |e: std::io::Error| Error::Io { path: "COCO file".to_owned(), reason: e.to_string() };
    out.write_all(b"{\"images\":[").map_err(failed)?;
    for (i, image) in source().enumerate() {
        let CocoImage { header: image, extra, .. } = &image?;
        let file_name = &reference::path(&image.file, &image.image);
        let (width, height) = (image.width, image.height);
        let ignored = image.ignored.iter().filter(|region| crowd_of(region).is_none()).collect();
        let (verified, incomplete) = (image.verified, image.incomplete);
        let id = i as u64 + 1;
        put(out, i == 0, &Image { id, file_name, width, height, verified, ignored, incomplete, extra })?;
    }
    out.write_all(b"\n],\"annotations\":[").map_err(failed)?;
    let mut id = 0;
    for (i, image) in source().enumerate() {
        let CocoImage { header: image, items, .. } = image?;
        let class_of = |label: &str| {
            classes
                .iter()
                .position(|c| c == label)
                .ok_or_else(|| Error::Usage(format!("{}: the label {label:?} is not among the classes", image.image)))
        };
        for item in items {
            id += 1;
            let class = class_of(&item.label)?;
            let bbox = xywh(item.bbox);
            let mask = item.mask.as_deref();
            let annotation = Annotation {
                id,
                image_id: i as u64 + 1,
                category_id: class + 1,
                bbox,
                area: mask.map_or_else(|| bbox[2] * bbox[3], |m| f64::from(m.area())),
                iscrowd: 0,
                segmentation: mask.map_or(Segmentation::None([]), Segmentation::Mask),
                score: item.score,
                difficult: item.difficult,
                truncated: item.truncated,
                measurements: item.measurements,
            };
            put(out, id == 1, &annotation)?;
        }
        for (region, label) in image.ignored.iter().filter_map(|region| Some((region, crowd_of(region)?))) {
            id += 1;
            let bbox = xywh(region.bbox);
            let crowd = Annotation {
                id,
                image_id: i as u64 + 1,
                category_id: class_of(label)? + 1,
                bbox,
                area: bbox[2] * bbox[3],
                iscrowd: 1,
                segmentation: Segmentation::None([]),
                score: None,
                difficult: false,
                truncated: false,
                measurements: Map::new(),
            };
            put(out, id == 1, &crowd)?;
        }
    }
    out.write_all(b"\n],\"categories\":[").map_err(failed)?;
    for (i, name) in classes.iter().enumerate() {
        put(out, i == 0, &Category { id: i + 1, name, supercategory: "" })?;
    }
    out.write_all(b"\n]}\n").map_err(failed)
}

/// The class of a region that COCO has a word for.
fn crowd_of(region: &IgnoredRegion) -> Option<&str> {
    region.label.as_deref().filter(|_| region.reason == IgnoredReason::Crowd)
}

/// One entry of a list, on a line of its own.
fn put(out: &mut impl Write, is_first: bool, entry: &impl Serialize) -> Result<()> {
    let failed = |e: std::io::Error| Error::Io { path: "COCO file".to_owned(), reason: e.to_string() };
    out.write_all(if is_first { b"\n" } else { b",\n" }).map_err(failed)?;
    serde_json::to_writer(&mut *out, entry).map_err(|e| failed(e.into()))
}

/// Corner and sides with few decimals, from which a reader makes the same box.
fn xywh(bbox: BoxXyxy) -> [f64; 4] {
    let [x1, y1, x2, y2] = bbox.corners();
    let side = |low: f32, high: f32| {
        let start = shortest(f64::from(low), |v| v as f32 == low);
        (start, shortest(f64::from(high) - start, |v| (start + v) as f32 == high))
    };
    let ((x, w), (y, h)) = (side(x1, x2), side(y1, y2));
    [x, y, w, h]
}
