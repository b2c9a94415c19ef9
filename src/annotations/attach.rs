//! Label images (`STEM_mask.png`): value k is the mask of the k-th object of the annotation file beside it, or where there
//! is none, an object by itself.

use crate::annotations::left_out::Place;
use crate::annotations::{ImageAnnotations, Object, Parsed};
use crate::boxes::{BoxXyxy, iou};
use crate::error::{Error, Result};
use crate::masks::{LabelImage, Rle};

/// Pixels by which a side of a box and of its mask may differ before a warning.
const SLACK: f32 = 2.0;

/// Gives each object its mask. Objects that were rejected keep their number, so that the others get the right mask.
///
/// An object whose value does not occur stays without a mask, with a warning; so do values without an object, and masks
/// that do not fit their box.
///
/// # Errors
/// The label image has another size than the image.
pub fn attach_masks(parsed: &mut Parsed<ImageAnnotations>, file: &str, labels: &LabelImage) -> Result<()> {
    let Parsed { value: annotations, warnings, rejected } = parsed;
    let (width, height) = (labels.width(), labels.height());
    if annotations.has_size() && (annotations.width, annotations.height) != (width, height) {
        let (w, h) = (annotations.width, annotations.height);
        let reason = format!("is {width} × {height} pixels, but the annotated image is {w} × {h}");
        return Err(Error::annotation(file, reason));
    }
    let skipped: Vec<usize> = rejected
        .iter()
        .filter_map(|e| match e {
            Error::Object { object, .. } => Some(*object),
            _ => None,
        })
        .collect();
    let mut masks = labels.masks();
    let mut numbers = (1usize..).filter(|n| !skipped.contains(n));
    for object in &mut annotations.objects {
        let Some(number) = numbers.next() else { break };
        let Some(mask) = u16::try_from(number).ok().and_then(|n| masks.remove(&n)) else {
            warnings.push(format!("{file}: no pixel belongs to object {number}; it stays without a mask"));
            continue;
        };
        if let Some(bounds) = mask.bbox() {
            let corners = object.bbox.corners();
            if bounds.iter().zip(corners).any(|(m, b)| (*m as f32 - b).abs() > SLACK) {
                let [x1, y1, x2, y2] = bounds;
                warnings.push(format!(
                    "{file}: the mask of object {number} reaches from ({x1}, {y1}) to ({x2}, {y2}), its box from ({}, {}) to ({}, {})",
                    corners[0], corners[1], corners[2], corners[3]
                ));
            }
        }
        object.mask = Some(mask);
    }
    masks.retain(|value, _| !skipped.contains(&usize::from(*value)));
    let unused: Vec<String> = masks.keys().take(10).map(u16::to_string).collect();
    if !unused.is_empty() {
        warnings.push(format!("{file}: no object belongs to the values {}", unused.join(", ")));
    }
    // Something is there that nobody boxed.
    for bounds in masks.values().filter_map(Rle::bbox) {
        annotations.leave_out(Place::Within(bounds.map(f64::from)));
    }
    Ok(())
}

/// Overlap from which a box and a mask are of the same object.
const SAME_OBJECT: f32 = 0.5;

/// Gives masks in no order to the boxes that they fill best; whether each found one. Where not, nothing is changed.
pub(super) fn attach_by_overlap(annotations: &mut ImageAnnotations, masks: &[Rle]) -> bool {
    let boxes: Vec<BoxXyxy> = annotations.objects.iter().map(|object| object.bbox).collect();
    let Some(found) = by_overlap(&boxes, masks) else { return false };
    for (object, k) in annotations.objects.iter_mut().zip(found) {
        if let Some(k) = k {
            object.mask = Some(masks[k].clone());
        }
    }
    true
}

/// The number of the mask that each box gets, of masks in no order, which go to the boxes that they fill best; `None` where a
/// mask has no box.
pub fn by_overlap(boxes: &[BoxXyxy], masks: &[Rle]) -> Option<Vec<Option<usize>>> {
    let boxes: Vec<[f32; 4]> = boxes.iter().map(BoxXyxy::corners).collect();
    // From left to right, so that only boxes that begin before a mask ends are compared with it.
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| boxes[a][0].total_cmp(&boxes[b][0]));
    let mut owner: Vec<Option<usize>> = vec![None; boxes.len()];
    for (k, mask) in masks.iter().enumerate() {
        let Some(bounds) = mask.bbox().map(|bounds| bounds.map(|v| v as f32)) else { continue };
        let near = order.iter().copied().take_while(|&i| boxes[i][0] < bounds[2]).filter(|&i| owner[i].is_none());
        let best = near.map(|i| (i, iou(boxes[i], bounds))).max_by(|a, b| a.1.total_cmp(&b.1));
        match best.filter(|(_, overlap)| *overlap >= SAME_OBJECT) {
            Some((i, _)) => owner[i] = Some(k),
            None => return None,
        }
    }
    Some(owner)
}

/// The objects of a label image that nobody boxed, each in the box round its pixels.
///
/// # Errors
/// None that a label image can cause.
pub fn objects_of(image: &str, labels: &LabelImage, label: &str) -> Result<ImageAnnotations> {
    let (width, height) = (labels.width(), labels.height());
    let mut objects = Vec::new();
    for mask in labels.masks().into_values() {
        let Some(bounds) = mask.bbox() else { continue };
        let bbox = BoxXyxy::new(bounds.map(|v| v as f32), width, height)?;
        objects.push(Object { bbox, label: label.to_owned(), difficult: false, truncated: false, mask: Some(mask) });
    }
    Ok(ImageAnnotations { image: image.to_owned(), width, height, objects, ..ImageAnnotations::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::voc;

    const XML: &str = "<annotation><size><width>4</width><height>2</height></size>\
        <object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>\
        <object><name>b</name><bndbox><xmin>3</xmin><ymin>1</ymin><xmax>3</xmax><ymax>1</ymax></bndbox></object>\
        <object><name>c</name><bndbox><xmin>3</xmin><ymin>1</ymin><xmax>4</xmax><ymax>2</ymax></bndbox></object>\
        </annotation>";

    #[test]
    fn a_rejected_object_does_not_shift_the_masks() {
        let mut parsed = voc::read("x.xml", XML.as_bytes()).unwrap();
        assert_eq!(parsed.rejected.len(), 1);
        let labels = LabelImage::new(4, 2, vec![1, 1, 2, 3, 1, 1, 7, 3]).unwrap();
        attach_masks(&mut parsed, "x_mask.png", &labels).unwrap();
        let bounds: Vec<_> = parsed.value.objects.iter().map(|o| o.mask.as_ref().unwrap().bbox().unwrap()).collect();
        assert_eq!(bounds, [[0, 0, 2, 2], [3, 0, 4, 2]]);
        assert!(parsed.warnings.last().unwrap().ends_with("the values 7"), "{:?}", parsed.warnings);
        let ignored: Vec<_> = parsed.value.ignored.iter().map(|region| region.bbox.corners()).collect();
        assert_eq!(ignored, [[2.0, 1.0, 3.0, 2.0]], "what nobody boxed is no background");
    }

    #[test]
    fn masks_without_numbers_go_to_the_boxes_that_they_fill() {
        let mut image = voc::read("x.xml", XML.as_bytes()).unwrap().value;
        let masks = |labels: Vec<u16>| LabelImage::new(4, 2, labels).unwrap().masks().into_values().collect::<Vec<_>>();
        assert!(!attach_by_overlap(&mut image, &masks(vec![1, 0, 2, 2, 0, 0, 2, 2])), "a mask of a quarter of its box");
        assert!(image.objects.iter().all(|object| object.mask.is_none()));
        assert!(attach_by_overlap(&mut image, &masks(vec![2, 2, 1, 1, 2, 2, 1, 1])));
        assert_eq!(image.objects[0].mask.as_ref().unwrap().bbox(), Some([0, 0, 2, 2]));
    }

    #[test]
    fn another_size_is_an_error_and_a_missing_value_a_warning() {
        let mut parsed = voc::read("x.xml", XML.as_bytes()).unwrap();
        assert!(attach_masks(&mut parsed, "m.png", &LabelImage::new(2, 4, vec![0; 8]).unwrap()).is_err());
        attach_masks(&mut parsed, "m.png", &LabelImage::new(4, 2, vec![0; 8]).unwrap()).unwrap();
        assert_eq!(parsed.warnings.len(), 2);
        assert!(parsed.value.objects.iter().all(|o| o.mask.is_none()));
    }
}
