//! Annotations as files: the same formats as detections, without scores, and masks as label images.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{NamedBytes, unique};
use crate::annotations::{ImageAnnotations, coco, csv, voc, yolo};
use crate::error::Result;
use crate::masks::LabelImage;

/// A format that annotations are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnotationFormat {
    Voc,
    Coco,
    Yolo,
    /// keras-frcnn's table.
    Csv,
    /// `STEM_mask.png` for each image of which an object has a mask; value k is the k-th object.
    Masks,
}

/// The files of all images in each format; `classes` is without a background. Two images of one name get `-2`, `-3` …
/// behind it.
///
/// # Errors
/// A label that is not among `classes`, in formats that number the classes; an image without a size, in YOLO; a mask of
/// another size than its image.
pub fn annotated(
    images: &[ImageAnnotations],
    classes: &[String],
    formats: &[AnnotationFormat],
) -> Result<Vec<NamedBytes>> {
    let mut files = Vec::new();
    let mut taken = HashSet::new();
    let mut add = |name: &str, extension: &str, bytes: Vec<u8>| {
        files.push(NamedBytes { name: unique(name, extension, &mut taken), bytes });
    };
    for format in formats {
        match format {
            AnnotationFormat::Voc => images.iter().for_each(|i| add(&i.image, "xml", voc::write(i).into_bytes())),
            AnnotationFormat::Coco => add("annotations", "json", coco::write(images, classes)?),
            AnnotationFormat::Yolo => {
                // First, so that no image can take the name of the list.
                add("classes", "txt", yolo::write_classes(classes).into_bytes());
                for image in images {
                    add(&image.image, "txt", yolo::write(image, classes)?.into_bytes());
                }
            }
            AnnotationFormat::Csv => add("annotations", "csv", csv::write_boxes(images)?),
            AnnotationFormat::Masks => {
                for image in images.iter().filter(|i| i.objects.iter().any(|o| o.mask.is_some())) {
                    let masks = image.objects.iter().map(|o| o.mask.as_ref());
                    let labels = LabelImage::from_masks(image.width, image.height, masks)?;
                    add(&format!("{}_mask", image.image), "png", labels.encode_png()?);
                }
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::dataset::ImageInfo;
    use crate::annotations::gather::gather;
    use crate::annotations::{Object, names};
    use crate::boxes::BoxXyxy;
    use crate::masks::Rle;

    fn image(name: &str) -> ImageAnnotations {
        let mask = Rle::from_polygons(20, 10, &[vec![[2.0, 2.0], [8.0, 2.0], [8.0, 9.0], [2.0, 9.0]]]).unwrap();
        let object = |corners, label: &str, mask| Object {
            bbox: BoxXyxy::new(corners, 20, 10).unwrap(),
            label: label.into(),
            difficult: false,
            truncated: false,
            mask,
        };
        let objects = vec![object([2.0, 2.0, 8.0, 9.0], "a", Some(mask)), object([10.0, 0.0, 20.0, 10.0], "b", None)];
        let file = format!("{name}.png");
        ImageAnnotations { image: name.into(), file, width: 20, height: 10, objects, ..ImageAnnotations::default() }
    }

    #[test]
    fn every_format_comes_back() {
        let (images, classes) = ([image("one"), image("two")], ["a", "b"].map(str::to_owned));
        let there = ["one", "two"].map(|name| ImageInfo { name: name.into(), width: 20, height: 10 });
        use AnnotationFormat::*;
        for (formats, masks) in
            [(vec![Voc], false), (vec![Coco], true), (vec![Yolo], false), (vec![Csv], false), (vec![Voc, Masks], true)]
        {
            let files = annotated(&images, &classes, &formats).unwrap();
            let dropped: Vec<(&str, &[u8])> = files.iter().map(|f| (f.name.as_str(), &f.bytes[..])).collect();
            let back = gather(&dropped, &there, "cell");
            assert_eq!(back.rejected, Vec::<String>::new(), "{formats:?}");
            assert_eq!(back.annotations.len(), 2, "{formats:?}");
            for (image, original) in back.annotations.iter().zip(&images) {
                assert_eq!(image.image, names::stem(&original.file));
                for (object, first) in image.objects.iter().zip(&original.objects) {
                    assert_eq!((object.bbox, &object.label), (first.bbox, &first.label), "{formats:?}");
                    assert_eq!(object.mask, first.mask.clone().filter(|_| masks), "{formats:?}");
                }
            }
        }
    }
}
