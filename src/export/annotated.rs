//! Annotations as files: the same formats as detections, without scores, and masks as label images.

use serde::{Deserialize, Serialize};

use super::{NamedBytes, YOLO_CLASSES, YOLO_RESERVED, file_names, measurements};
use crate::annotations::{ImageAnnotations, coco, csv, jsonl, voc, yolo};
use crate::error::Result;
use crate::masks::LabelImage;
use crate::measure::Table;

/// A format that annotations are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnotationFormat {
    Voc,
    Coco,
    Yolo,
    /// keras-frcnn's table.
    Csv,
    /// `annotations.jsonl`: one line an image, with everything that is known of it.
    Jsonl,
    /// `STEM_mask.png` for each image of which an object has a mask; value k is the k-th object.
    Masks,
}

/// The files of all images in each format; `classes` is without a background. Where there is one file an image,
/// `file_names` says what it is called; its mask has the same name with `_mask` behind it.
///
/// # Errors
/// A label that is not among `classes`, in formats that number the classes; an image without a size, in YOLO; a mask of
/// another size than its image.
pub fn annotated(
    images: &[ImageAnnotations],
    classes: &[String],
    formats: &[AnnotationFormat],
) -> Result<Vec<NamedBytes>> {
    annotated_measured(images, &[], classes, formats)
}

/// As [`annotated`]; what was measured of the objects of each image, as far as `tables` goes, stands in COCO and in JSON lines too.
///
/// # Errors
/// As [`annotated`].
pub fn annotated_measured(
    images: &[ImageAnnotations],
    tables: &[Table],
    classes: &[String],
    formats: &[AnnotationFormat],
) -> Result<Vec<NamedBytes>> {
    let measured = |image: usize, object| tables.get(image).map(|t| measurements(t, object)).unwrap_or_default();
    let names: Vec<&str> = images.iter().map(|image| image.image.as_str()).collect();
    let mut files = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| files.push(NamedBytes { name, bytes });
    for format in formats {
        match format {
            AnnotationFormat::Voc => {
                for (image, name) in images.iter().zip(file_names(&names, &[])) {
                    add(format!("{name}.xml"), voc::write(image).into_bytes());
                }
            }
            AnnotationFormat::Coco => {
                add("annotations.json".to_owned(), coco::write_measured(images, classes, measured)?)
            }
            AnnotationFormat::Yolo => {
                add(YOLO_CLASSES.to_owned(), yolo::write_classes(classes).into_bytes());
                for (image, name) in images.iter().zip(file_names(&names, &YOLO_RESERVED)) {
                    add(format!("{name}.txt"), yolo::write(image, classes)?.into_bytes());
                }
            }
            AnnotationFormat::Csv => add("annotations.csv".to_owned(), csv::write_boxes(images)?),
            AnnotationFormat::Jsonl => {
                let lines =
                    images.iter().enumerate().map(|(at, image)| jsonl::line(image, |object| measured(at, object)));
                add("annotations.jsonl".to_owned(), lines.collect::<Result<String>>()?.into_bytes())
            }
            AnnotationFormat::Masks => {
                let masked = |image: &ImageAnnotations| image.objects.iter().any(|o| o.mask.is_some());
                // Of all images, so that a mask is called as the boxes are.
                let named = images.iter().zip(file_names(&names, &[]));
                for (image, name) in named.filter(|(image, _)| masked(image)) {
                    let masks = image.objects.iter().map(|o| o.mask.as_ref());
                    let labels = LabelImage::from_masks(image.width, image.height, masks)?;
                    add(format!("{name}_mask.png"), labels.encode_png()?);
                }
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Object;
    use crate::annotations::dataset::ImageInfo;
    use crate::annotations::gather::gather;
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

    /// Writes the images in each format, reads the files again and compares.
    fn come_back(images: &[ImageAnnotations; 2]) {
        let classes = ["a", "b"].map(str::to_owned);
        let there = images.clone().map(|i| ImageInfo { files: vec![i.file], ..ImageInfo::new(&i.image, 20, 10) });
        use AnnotationFormat::*;
        for (formats, masks) in [
            (vec![Voc], false),
            (vec![Coco], true),
            (vec![Yolo], false),
            (vec![Csv], false),
            (vec![Jsonl], true),
            (vec![Voc, Masks], true),
        ] {
            let files = annotated(images, &classes, &formats).unwrap();
            let dropped: Vec<(&str, &[u8])> = files.iter().map(|f| (f.name.as_str(), &f.bytes[..])).collect();
            let back = gather(&dropped, &there, "cell");
            assert_eq!((&back.rejected, &back.without_image), (&vec![], &vec![]), "{formats:?}");
            assert_eq!(back.annotations.len(), 2, "{formats:?}");
            for original in images {
                let image = back.annotations.iter().find(|image| image.image == original.image).unwrap();
                assert_eq!(image.objects.len(), original.objects.len(), "{formats:?}");
                for (object, first) in image.objects.iter().zip(&original.objects) {
                    assert_eq!((object.bbox, &object.label), (first.bbox, &first.label), "{formats:?}");
                    assert_eq!(object.mask, first.mask.clone().filter(|_| masks), "{formats:?}");
                }
            }
        }
    }

    #[test]
    fn every_format_comes_back() {
        come_back(&["one", "two"].map(image));
    }

    #[test]
    fn images_of_one_name_in_two_plates_come_back_apart() {
        let mut plates = ["plateA/f01", "plateB/f01"].map(image);
        plates[1].objects.remove(0);
        come_back(&plates);
    }
}
