//! How well detections agree with annotations: average precision as COCO defines it (`cocoeval.py` of pycocotools), curves
//! of precision and recall, a confusion matrix with background, and the images with most mistakes.
//!
//! Objects marked `difficult` are neither asked for nor held against a detection, as COCO's `ignore`; nor are detections
//! held for right or wrong that lie on an ignored region, as on COCO's crowds, or find nothing on an image of which it is
//! not known where all objects are. An image of which everything was left out does not count.

mod ap;
mod confusion;
mod thresholds;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::annotations::{IgnoredReason, ImageAnnotations, Object};
use crate::boxes::BoxXyxy;
use crate::detections::{Detection, ImageDetections};
use crate::error::{Error, Result};
use crate::masks::Rle;

pub use ap::{Average, Curve};
pub use confusion::{Confusion, ImageScore};
pub use thresholds::{Goal, Kept, Threshold};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    Boxes,
    Masks,
}

/// COCO's `maxDets`.
pub const COCO_MAX_DETECTIONS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub measure: Measure,
    /// Detections of one class that count on one image, best first; `None` for as many as the image with the most objects has,
    /// at least [`COCO_MAX_DETECTIONS`].
    pub max_detections: Option<usize>,
    /// For the confusion matrix and the scores of images, which need a decision: detections below it are left out.
    pub score: f32,
    /// For the same: overlap from which a detection has found an object.
    pub iou: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { measure: Measure::Boxes, max_detections: None, score: 0.5, iou: 0.5 }
    }
}

/// The outcome; as JSON it has the keys `map_50`, `map_50_95`, `per_class`, `images`, `boxes` and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean over the classes that occur of AP at IoU 0.5; `None` where nothing is annotated.
    pub map_50: Option<f64>,
    /// The same over IoU 0.5, 0.55 … 0.95.
    pub map_50_95: Option<f64>,
    /// Of each class, in the order of names.
    pub per_class: BTreeMap<String, ClassResult>,
    /// AP with all cells taken for one class: how well they are found, apart from their labels.
    #[serde(alias = "class_agnostic")] // Its name in evaluations of earlier versions.
    pub class_agnostic: Average,
    pub images: usize,
    /// Annotated objects, without difficult ones.
    pub boxes: usize,
    pub measure: Measure,
    pub confusion: Confusion,
    /// The worst first.
    pub worst_images: Vec<ImageScore>,
    /// Detections of one class that counted on one image in average precision: [`Options::max_detections`], or what stood for it;
    /// `None` for all of them, in evaluations of earlier versions.
    #[serde(default)]
    pub max_detections: Option<usize>,
    /// Images with more detections than that, of all classes together, so that average precision leaves some out.
    #[serde(default)]
    pub cut_images: Vec<String>,
    /// Images on which the detector reached its own limit, so that it may have left out cells.
    #[serde(default)]
    pub limited_images: Vec<String>,
}

impl Evaluation {
    /// What limits left out, in sentences; none where they left out nothing.
    pub fn limits(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(cap) = self.max_detections
            && !self.cut_images.is_empty()
        {
            let images = in_words(&self.cut_images);
            sentences.push(format!("Only the best {cap} detections of each class count in {images}."));
        }
        if !self.limited_images.is_empty() {
            let images = in_words(&self.limited_images);
            sentences.push(format!(
                "The detector reached its limit of detections in {images}; cells may count as missed that it would have found."
            ));
        }
        sentences
    }
}

/// How many images, and which.
fn in_words(images: &[String]) -> String {
    const NAMED: usize = 5;
    let named = images[..images.len().min(NAMED)].join(", ");
    let more = if images.len() > NAMED { ", …" } else { "" };
    match images.len() {
        1 => format!("1 image ({named})"),
        n => format!("{n} images ({named}{more})"),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassResult {
    #[serde(flatten)]
    pub average: Average,
    /// Annotated objects, without difficult ones.
    pub boxes: usize,
    /// At IoU 0.5.
    pub curve: Curve,
    /// What each score threshold keeps, from the lowest on; empty in evaluations of earlier versions.
    #[serde(default)]
    pub kept: Vec<Kept>,
}

/// Compares each image's annotations with its detections.
///
/// # Errors
/// Masks are asked for and an object or detection has none, or two masks of one image differ in size.
pub fn evaluate(images: &[(&ImageAnnotations, &ImageDetections)], options: &Options) -> Result<Evaluation> {
    let images: Vec<_> = images.iter().copied().filter(|(a, _)| !is_left_out(a)).collect();
    let mut classes: Vec<&str> = images
        .iter()
        .flat_map(|(a, d)| {
            let annotated = a.objects.iter().map(|o| o.label.as_str());
            annotated.chain(d.detections.iter().map(|d| d.label.as_str()))
        })
        .collect();
    classes.sort_unstable();
    classes.dedup();
    let class_of = |label: &str| classes.binary_search(&label).unwrap_or(classes.len());

    let most_objects = images.iter().map(|(a, _)| a.objects.len()).max().unwrap_or(0);
    let cap = options.max_detections.unwrap_or(most_objects.max(COCO_MAX_DETECTIONS));
    let options = &Options { max_detections: Some(cap), ..*options };
    let pairs = images.iter().map(|(a, d)| Pair::new(a, d, class_of, options.measure)).collect::<Result<Vec<_>>>()?;
    let mut per_class = BTreeMap::new();
    for (class, label) in classes.iter().enumerate() {
        let (average, curve, kept, boxes) = ap::average_precision(&pairs, Some(class), options)?;
        per_class.insert((*label).to_owned(), ClassResult { average, boxes, curve, kept });
    }
    let (class_agnostic, _, _, boxes) = ap::average_precision(&pairs, None, options)?;
    let (confusion, worst_images) = confusion::confuse(&pairs, &classes, options)?;
    let cut = pairs.iter().filter(|pair| pair.detections.len() > cap);
    let limited = images.iter().filter(|(_, d)| d.limit_reached.is_some());
    Ok(Evaluation {
        max_detections: options.max_detections,
        cut_images: cut.map(|pair| pair.image.to_owned()).collect(),
        limited_images: limited.map(|(a, _)| a.image.clone()).collect(),
        map_50: mean(per_class.values().filter_map(|c| c.average.ap_50)),
        map_50_95: mean(per_class.values().filter_map(|c| c.average.ap_50_95)),
        per_class,
        class_agnostic,
        images: images.len(),
        boxes,
        measure: options.measure,
        confusion,
        worst_images,
    })
}

/// Whether nothing is known of an image but that what was annotated could not be read. Of an image with nothing but crowds
/// more is known: there is background round them.
fn is_left_out(annotations: &ImageAnnotations) -> bool {
    let unreadable = annotations.ignored.iter().any(|region| region.reason == IgnoredReason::Unreadable);
    annotations.objects.is_empty() && (annotations.incomplete || unreadable)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// One image with the class numbers of its objects and detections, both in the order of classes.
struct Pair<'a> {
    image: &'a str,
    objects: Vec<(usize, &'a Object)>,
    detections: Vec<(usize, &'a Detection)>,
    ignored: Vec<Ignored>,
}

/// Where a detection that finds no object is neither right nor wrong.
#[derive(Clone, Copy)]
struct Ignored {
    /// `None` for detections of any class.
    class: Option<usize>,
    /// `None` for the whole image.
    bbox: Option<BoxXyxy>,
}

impl Ignored {
    /// The share of a detection that lies on it, as COCO's overlap with a crowd.
    fn overlap(&self, detection: &Detection, measure: Measure) -> Result<f64> {
        let Some(bbox) = self.bbox else { return Ok(1.0) };
        match (measure, &detection.mask) {
            (Measure::Masks, Some(mask)) => {
                let region = Rle::from_box(mask.width(), mask.height(), bbox.corners())?;
                let area = mask.area();
                Ok(if area == 0 { 0.0 } else { f64::from(mask.intersection(&region)?) / f64::from(area) })
            }
            _ => Ok(intersection(detection.bbox, bbox) / area(detection.bbox)),
        }
    }
}

impl<'a> Pair<'a> {
    fn new(
        annotations: &'a ImageAnnotations,
        detections: &'a ImageDetections,
        class_of: impl Fn(&str) -> usize,
        measure: Measure,
    ) -> Result<Self> {
        let image = annotations.image.as_str();
        let masks = || {
            let objects = annotations.objects.iter().map(|o| o.mask.is_some());
            objects.chain(detections.detections.iter().map(|d| d.mask.is_some()))
        };
        if measure == Measure::Masks && !masks().all(|has_mask| has_mask) {
            return Err(Error::Usage(format!(
                "{image}: masks cannot be compared, as some cells have none; compare boxes"
            )));
        }
        let mut objects: Vec<_> = annotations.objects.iter().map(|o| (class_of(&o.label), o)).collect();
        let mut detections: Vec<_> = detections.detections.iter().map(|d| (class_of(&d.label), d)).collect();
        // Stable: within a class the given order stays, which decides between equal scores.
        objects.sort_by_key(|(class, _)| *class);
        detections.sort_by_key(|(class, _)| *class);
        let regions = annotations.ignored.iter();
        let regions = regions.map(|r| Ignored { class: r.label.as_deref().map(&class_of), bbox: Some(r.bbox) });
        let ignored = regions.chain(annotations.incomplete.then_some(Ignored { class: None, bbox: None })).collect();
        Ok(Self { image, objects, detections, ignored })
    }
}

/// Overlap of every detection (row) with every object.
fn overlaps(detections: &[&Detection], objects: &[&Object], measure: Measure) -> Result<Vec<Vec<f64>>> {
    let row = |detection: &&Detection| {
        objects
            .iter()
            .map(|object| match (measure, &detection.mask, &object.mask) {
                (Measure::Masks, Some(a), Some(b)) => a.iou(b),
                _ => Ok(box_iou(detection.bbox, object.bbox)),
            })
            .collect()
    };
    detections.iter().map(row).collect()
}

/// In double precision, as `bbIou` of pycocotools: thresholds are met or missed by the last bit.
fn box_iou(a: BoxXyxy, b: BoxXyxy) -> f64 {
    let common = intersection(a, b);
    if common == 0.0 { 0.0 } else { common / (area(a) + area(b) - common) }
}

fn intersection(a: BoxXyxy, b: BoxXyxy) -> f64 {
    let (a, b) = (a.corners().map(f64::from), b.corners().map(f64::from));
    let w = a[2].min(b[2]) - a[0].max(b[0]);
    let h = a[3].min(b[3]) - a[1].max(b[1]);
    if w <= 0.0 || h <= 0.0 { 0.0 } else { w * h }
}

fn area(bbox: BoxXyxy) -> f64 {
    let [x1, y1, x2, y2] = bbox.corners().map(f64::from);
    (x2 - x1) * (y2 - y1)
}

/// Indices by score, best first; equal scores keep their order.
fn by_score(detections: &[&Detection]) -> Vec<usize> {
    let scores: Vec<f32> = detections.iter().map(|d| d.score).collect();
    crate::boxes::argsort_descending(&scores)
}

#[cfg(test)]
mod tests;
