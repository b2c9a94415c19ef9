//! The data check before a training run: what a person should look at first.

use serde::{Deserialize, Serialize};

use crate::annotations::{ImageAnnotations, dataset};
use crate::boxes;

/// Cells below which a class can hardly be learned.
pub const FEW_CELLS: usize = 20;
/// Overlap from which two boxes of one class are taken for one cell boxed twice.
pub const DUPLICATE_IOU: f32 = 0.95;
/// Pixels of a side at and below which a box is taken for a slip of the mouse.
pub const SLIP_SIDE: f32 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A box of a pixel or less.
    Degenerate,
    /// A box that reaches over the edge of the image.
    Outside,
    /// The same cell boxed twice.
    Duplicate,
    /// An image without boxes: a valid negative sample, or forgotten.
    NoBoxes,
    /// An image of which objects were left out, so that it teaches less than it could.
    LeftOut,
    /// A class with fewer cells than [`FEW_CELLS`].
    FewExamples,
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    /// `None` where it is about all images.
    pub image: Option<String>,
    /// The number of the object in `objects`, from 0.
    pub object: Option<usize>,
    pub sentence: String,
}

/// Everything that looks wrong, image by image, then the classes.
pub fn check(annotations: &[ImageAnnotations]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for image in annotations {
        check_image(image, &mut findings);
    }
    for class in dataset::class_counts(annotations) {
        if class.cells < FEW_CELLS {
            let (label, cells) = (class.label, class.cells);
            let sentence = format!("the class {label} has only {cells} cells; box more of them, {FEW_CELLS} at least");
            findings.push(Finding { kind: Kind::FewExamples, image: None, object: None, sentence });
        }
    }
    findings
}

fn check_image(image: &ImageAnnotations, findings: &mut Vec<Finding>) {
    let name = &image.image;
    let mut add = |kind, object: Option<usize>, sentence| {
        findings.push(Finding { kind, image: Some(name.clone()), object, sentence });
    };
    let left_out = image.incomplete || !image.ignored.is_empty();
    if image.objects.is_empty() && left_out {
        let sentence = format!("{name}: every object was left out; the image is not trained on");
        add(Kind::LeftOut, None, sentence);
    } else if image.objects.is_empty() {
        let sentence = format!("{name} has no boxes; it is trained on as an image without cells");
        add(Kind::NoBoxes, None, sentence);
    } else if image.incomplete {
        let sentence =
            format!("{name}: objects at unknown places were left out; unannotated areas do not count as background");
        add(Kind::LeftOut, None, sentence);
    }
    // From left to right, so that only boxes that begin before another ends need to be compared.
    let mut order: Vec<usize> = (0..image.objects.len()).collect();
    order.sort_by(|&a, &b| image.objects[a].bbox.x1().total_cmp(&image.objects[b].bbox.x1()));
    for (at, &i) in order.iter().enumerate() {
        let object = &image.objects[i];
        let (bbox, number) = (object.bbox, i + 1);
        if bbox.width() <= SLIP_SIDE || bbox.height() <= SLIP_SIDE {
            let sentence =
                format!("{name}, object {number}: its box is only {} × {} pixels", bbox.width(), bbox.height());
            add(Kind::Degenerate, Some(i), sentence);
        }
        if bbox.x2() > image.width as f32 || bbox.y2() > image.height as f32 {
            let (w, h) = (image.width, image.height);
            add(Kind::Outside, Some(i), format!("{name}, object {number}: its box reaches outside {w} × {h} pixels"));
        }
        for &j in order[at + 1..].iter().take_while(|&&j| image.objects[j].bbox.x1() < bbox.x2()) {
            let other = &image.objects[j];
            if other.label == object.label && boxes::iou(bbox.corners(), other.bbox.corners()) >= DUPLICATE_IOU {
                let (first, second) = (i.min(j), i.max(j));
                let sentence = format!("{name}, object {}: the same box as object {}", second + 1, first + 1);
                add(Kind::Duplicate, Some(second), sentence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::csv;

    #[test]
    fn each_fault_is_found_once() {
        let table =
            b"a.png,1,1,9,9,c\na.png,1,1,9.1,9,c\na.png,1,1,9,9,d\na.png,3,3,3.5,9,c\na.png,4,4,99,9,c\nb.png,,,,,\n";
        let mut annotations = csv::read_boxes("t.csv", table).unwrap().value;
        (annotations[0].width, annotations[0].height) = (20, 20);
        annotations.push(ImageAnnotations { image: "c".into(), incomplete: true, ..ImageAnnotations::default() });
        let found: Vec<_> = check(&annotations).into_iter().map(|f| (f.kind, f.image, f.object)).collect();
        let a = || Some("a".to_owned());
        let expected = [
            (Kind::Duplicate, a(), Some(1)),
            (Kind::Degenerate, a(), Some(3)),
            (Kind::Outside, a(), Some(4)),
            (Kind::NoBoxes, Some("b".to_owned()), None),
            (Kind::LeftOut, Some("c".to_owned()), None),
            (Kind::FewExamples, None, None),
            (Kind::FewExamples, None, None),
        ];
        assert_eq!(found, expected);
    }
}
