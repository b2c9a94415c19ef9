use std::fmt::Write;

use quick_xml::escape::partial_escape;

use crate::annotations::{ImageAnnotations, reference, shortest};

/// The file as LabelImg writes it: the same elements in the same order, indented by tabs. Whole corners are whole numbers;
/// others keep their fraction, which LabelImg cuts off when it reads. Masks have no place in it.
///
/// `path` is the file's path below the folder of all images, and `folder` is that path without the name of the file: where
/// an image lies on somebody's disk is nobody's business.
pub fn write(annotations: &ImageAnnotations) -> String {
    let path = reference::path(&annotations.file, &annotations.image);
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let [path, folder, file] = [&path, folder, file].map(partial_escape);
    let verified = if annotations.verified { " verified=\"yes\"" } else { "" };
    let (width, height) = (annotations.width, annotations.height);
    let mut xml = String::with_capacity(400 + 320 * annotations.objects.len());
    let _ = write!(
        xml,
        "<annotation{verified}>\n\t<folder>{folder}</folder>\n\t<filename>{file}</filename>\n\t<path>{path}</path>\n\
         \t<source>\n\t\t<database>Unknown</database>\n\t</source>\n\
         \t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>\n\
         \t<segmented>0</segmented>\n"
    );
    for object in &annotations.objects {
        let [x1, y1, x2, y2] = object.bbox.corners();
        let [(xmin, xmax), (ymin, ymax)] = [one_based(x1, x2, width), one_based(y1, y2, height)];
        // Writing to a String cannot fail.
        let _ = write!(
            xml,
            "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\
             \t\t<truncated>{}</truncated>\n\t\t<difficult>{}</difficult>\n\
             \t\t<bndbox>\n\t\t\t<xmin>{xmin}</xmin>\n\t\t\t<ymin>{ymin}</ymin>\n\
             \t\t\t<xmax>{xmax}</xmax>\n\t\t\t<ymax>{ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n",
            partial_escape(object.label.as_str()),
            u8::from(object.truncated),
            u8::from(object.difficult),
        );
    }
    xml.push_str("</annotation>\n");
    xml
}

/// One side of a box in VOC's count, `low < high` always; a side of one pixel or less is widened to two within the image.
fn one_based(low: f32, high: f32, side: u32) -> (f64, f64) {
    let (mut low, mut high) = (low, high);
    if f64::from(high) <= f64::from(low) + 1.0 {
        high = low.floor() + 2.0;
        if side > 0 && high > side as f32 {
            high = side as f32;
        }
        low = high - 2.0;
    }
    (shortest(f64::from(low) + 1.0, |v| (v - 1.0) as f32 == low), shortest(f64::from(high), |v| v as f32 == high))
}
