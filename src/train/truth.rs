//! What a detector learns from: images with objects, and the objects' masks as small bitmaps.

use crate::annotations::{IgnoredRegion, ImageAnnotations, Object};
use crate::boxes::{self, BoxXyxy};
use crate::channels::MergedImage;
use crate::error::{Error, Result};
use crate::masks::Rle;

/// The bitmap of one object within the window that holds it; outside it nothing is set. Pixels of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
    /// Row by row.
    pub bits: Vec<bool>,
}

impl Patch {
    /// Every pixel whose centre lies in the box.
    pub fn filled([x1, y1, x2, y2]: [f32; 4]) -> Self {
        let first = |a: f32| (a - 0.5).ceil().max(0.0) as usize;
        let (x, y) = (first(x1), first(y1));
        let (width, height) = (first(x2).saturating_sub(x), first(y2).saturating_sub(y));
        Self { x, y, width, height, bits: vec![true; width * height] }
    }

    /// From a mask over a whole image; `None` if it has no pixel.
    pub fn from_rle(mask: &Rle) -> Option<Self> {
        let [x1, y1, x2, y2] = mask.bbox()?.map(|v| v as usize);
        let mut patch =
            Self { x: x1, y: y1, width: x2 - x1, height: y2 - y1, bits: vec![false; (x2 - x1) * (y2 - y1)] };
        let (rows, mut at) = (mask.height() as usize, 0usize);
        for (i, run) in mask.counts().iter().enumerate() {
            let end = at + *run as usize;
            if i % 2 == 1 {
                for p in at..end {
                    patch.bits[(p % rows - y1) * patch.width + p / rows - x1] = true;
                }
            }
            at = end;
        }
        Some(patch)
    }

    pub fn at(&self, x: usize, y: usize) -> bool {
        match (x.checked_sub(self.x), y.checked_sub(self.y)) {
            (Some(dx), Some(dy)) if dx < self.width && dy < self.height => self.bits[dy * self.width + dx],
            _ => false,
        }
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub corners: [f32; 4],
    /// Index into the configuration's classes; never 0.
    pub class: usize,
    /// Without one it teaches the mask head nothing, unless no object of the training run has one.
    pub mask: Option<Patch>,
    /// Hard even for a person.
    pub difficult: bool,
}

/// An image with its objects, in its own pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The stem, by which faults name it.
    pub name: String,
    pub merged_image: MergedImage,
    pub objects: Vec<Truth>,
    /// Where the image is neither object nor background.
    pub ignored: Vec<IgnoredRegion>,
    /// Objects were left out whose place is not known.
    pub incomplete: bool,
}

impl Example {
    /// An image with its annotations; `classes` are those of a detector, the background first.
    ///
    /// # Errors
    /// An object of another class, a box or mask that does not fit the image. Of an ignored region the part within the
    /// image counts.
    pub fn new(merged_image: MergedImage, annotations: &ImageAnnotations, classes: &[String]) -> Result<Self> {
        let (width, height) = (merged_image.width, merged_image.height);
        let truth = |(i, object): (usize, &Object)| {
            let fault = |reason: String| Error::Object { file: annotations.image.clone(), object: i + 1, reason };
            let class = classes.iter().position(|c| *c == object.label).filter(|class| *class > 0);
            let class = class.ok_or_else(|| fault(format!("the detector has no class {}", object.label)))?;
            let corners = object.bbox.corners();
            BoxXyxy::new(corners, width, height).map_err(|e| fault(e.to_string()))?;
            if object.mask.as_ref().is_some_and(|m| (m.width(), m.height()) != (width, height)) {
                return Err(fault(format!("its mask is not of the image's {width} × {height} pixels")));
            }
            let mask = object.mask.as_ref().and_then(Patch::from_rle);
            Ok(Truth { corners, class, mask, difficult: object.difficult })
        };
        let objects = annotations.objects.iter().enumerate().map(truth).collect::<Result<_>>()?;
        let within = |region: &IgnoredRegion| {
            let bbox = BoxXyxy::try_from(boxes::clip(region.bbox.corners(), width as f32, height as f32)).ok()?;
            Some(IgnoredRegion { bbox, ..region.clone() })
        };
        let ignored = annotations.ignored.iter().filter_map(within).collect();
        Ok(Self { name: annotations.image.clone(), merged_image, objects, ignored, incomplete: annotations.incomplete })
    }

    /// Whether it teaches anything: an object, or that there is none. Where everything was left out nobody knows.
    pub fn is_informative(&self, use_difficult: bool) -> bool {
        self.objects.iter().any(|o| use_difficult || !o.difficult)
            || (self.objects.is_empty() && self.ignored.is_empty() && !self.incomplete)
    }

    /// The boxes and labels, for an evaluation.
    ///
    /// # Errors
    /// A box that is none.
    pub fn annotations(&self, classes: &[String]) -> Result<ImageAnnotations> {
        let object = |truth: &Truth| {
            let label = classes.get(truth.class).cloned().unwrap_or_default();
            let bbox = BoxXyxy::try_from(truth.corners)?;
            Ok(Object { bbox, label, difficult: truth.difficult, truncated: false, mask: None })
        };
        Ok(ImageAnnotations {
            image: self.name.clone(),
            file: String::new(),
            width: self.merged_image.width,
            height: self.merged_image.height,
            verified: false,
            objects: self.objects.iter().map(object).collect::<Result<_>>()?,
            ignored: self.ignored.clone(),
            incomplete: self.incomplete,
        })
    }
}

/// An image as the network takes it, with its objects in pixels of that input.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    pub name: String,
    /// `[height, width, 3]`, normalised.
    pub values: Vec<f32>,
    /// Height and width.
    pub size: [usize; 2],
    pub objects: Vec<Truth>,
    /// Boxes of what is neither object nor background.
    pub ignored: Vec<[f32; 4]>,
    /// Where nothing is annotated there need not be background.
    pub incomplete: bool,
}

impl Sample {
    pub fn boxes(&self) -> Vec<[f32; 4]> {
        self.objects.iter().map(|o| o.corners).collect()
    }

    /// Difficult objects are neither learnt nor taken for background.
    pub fn ignore_difficult(&mut self) {
        let (difficult, objects) = std::mem::take(&mut self.objects).into_iter().partition(|o| o.difficult);
        self.objects = objects;
        self.ignored.extend(difficult.into_iter().map(|o: Truth| o.corners));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::IgnoredReason;

    #[test]
    fn ignored_regions_come_along_within_the_image() {
        let region = |corners: [f32; 4]| IgnoredRegion {
            bbox: BoxXyxy::try_from(corners).unwrap(),
            label: None,
            reason: IgnoredReason::Crowd,
        };
        let annotations = ImageAnnotations {
            image: "a".into(),
            ignored: vec![region([2.0, 2.0, 30.0, 5.0]), region([20.0, 2.0, 30.0, 5.0])],
            incomplete: true,
            ..ImageAnnotations::default()
        };
        let merged_image = MergedImage { width: 10, height: 8, rgb: vec![0.0; 240] };
        let example = Example::new(merged_image, &annotations, &["__background__".to_owned()]).unwrap();
        assert_eq!(example.ignored, [region([2.0, 2.0, 10.0, 5.0])]);
        let back = example.annotations(&["__background__".to_owned()]).unwrap();
        assert_eq!((back.ignored, back.incomplete), (example.ignored, true));
    }

    #[test]
    fn difficult_objects_are_neither_foreground_nor_background() {
        let object = |x: f32, difficult| Truth { corners: [x, 0.0, x + 4.0, 4.0], class: 1, mask: None, difficult };
        let mut sample = Sample { objects: vec![object(0.0, false), object(8.0, true)], ..Sample::default() };
        sample.ignore_difficult();
        assert_eq!((sample.objects.len(), sample.ignored), (1, vec![[8.0, 0.0, 12.0, 4.0]]));
    }
}
