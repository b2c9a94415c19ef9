//! Annotations that were made on a photograph as it is seen upright, brought to the image as it is stored.
//!
//! Images keep the order of their stored pixels; a program that obeys the EXIF orientation shows them turned, and what
//! was drawn there is in other coordinates.

use super::{ImageAnnotations, Object};
use crate::boxes::BoxXyxy;
use crate::error::Result;
use crate::masks::Rle;

/// The orientations by which width and height change places: only of these does the annotated size tell which view was
/// annotated.
pub fn swaps_sides(orientation: u8) -> bool {
    matches!(orientation, 5..=8)
}

/// From the upright view, whose size the annotations have, to the stored image.
///
/// # Errors
/// A box that leaves the image, which one within the upright view does not.
pub fn to_stored(annotations: &mut ImageAnnotations, orientation: u8) -> Result<()> {
    if !swaps_sides(orientation) {
        return Ok(());
    }
    let upright = [annotations.width, annotations.height];
    for object in &mut annotations.objects {
        turn(object, orientation, upright)?;
    }
    for region in &mut annotations.ignored {
        region.bbox = turned_box(region.bbox, orientation, upright)?;
    }
    [annotations.height, annotations.width] = upright;
    Ok(())
}

fn turn(object: &mut Object, orientation: u8, upright: [u32; 2]) -> Result<()> {
    object.bbox = turned_box(object.bbox, orientation, upright)?;
    if let Some(mask) = &object.mask {
        object.mask = Some(turned(mask, orientation)?);
    }
    Ok(())
}

fn turned_box(bbox: BoxXyxy, orientation: u8, upright: [u32; 2]) -> Result<BoxXyxy> {
    let [x1, y1, x2, y2] = bbox.corners();
    let sides = upright.map(|side| side as f32);
    let ([ax, ay], [bx, by]) = (place([x1, y1], orientation, sides), place([x2, y2], orientation, sides));
    BoxXyxy::new([ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)], upright[1], upright[0])
}

/// A point of the upright view of `sides` (width, height) on the stored image (EXIF 2.3, tag 274).
fn place([x, y]: [f32; 2], orientation: u8, [width, height]: [f32; 2]) -> [f32; 2] {
    match orientation {
        5 => [y, x],
        6 => [y, width - x],
        7 => [height - y, width - x],
        _ => [height - y, x],
    }
}

/// Pixel by pixel of the object alone.
fn turned(mask: &Rle, orientation: u8) -> Result<Rle> {
    let sides = [mask.width() as f32, mask.height() as f32];
    let (rows, stored_rows) = (mask.height(), mask.width());
    let (mut pixels, mut at) = (Vec::new(), 0);
    for (i, &run) in mask.counts().iter().enumerate() {
        if i % 2 == 1 {
            pixels.extend((at..at + run).map(|p| {
                let [x, y] = place([(p / rows) as f32 + 0.5, (p % rows) as f32 + 0.5], orientation, sides);
                x as u32 * stored_rows + y as u32
            }));
        }
        at += run;
    }
    pixels.sort_unstable();
    let (mut counts, mut end) = (Vec::new(), 0);
    for pixel in pixels {
        counts.extend([pixel - end, 1]);
        end = pixel + 1;
    }
    counts.push(at - end);
    Rle::from_counts(mask.height(), mask.width(), counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A view of 4 × 2 pixels with one cell in its upper left pixel.
    fn upright() -> ImageAnnotations {
        let mut bitmap = [false; 8];
        bitmap[0] = true;
        let object = Object {
            bbox: BoxXyxy::new([0.0, 0.0, 1.0, 1.0], 4, 2).unwrap(),
            label: "a".into(),
            difficult: false,
            truncated: false,
            mask: Some(Rle::from_bitmap(4, 2, &bitmap).unwrap()),
        };
        let json = r#"{"image": "x", "width": 4, "height": 2, "objects": []}"#;
        ImageAnnotations { objects: vec![object], ..serde_json::from_str(json).unwrap() }
    }

    /// What the upper left of the upright view is of the stored image, by the words of the EXIF standard: for 6 the
    /// stored first row is the view's right side and the first column its top.
    #[test]
    fn each_orientation_has_its_corner() {
        for (orientation, corners) in [(5, [0, 0, 1, 1]), (6, [0, 3, 1, 4]), (7, [1, 3, 2, 4]), (8, [1, 0, 2, 1])] {
            let mut annotations = upright();
            to_stored(&mut annotations, orientation).unwrap();
            assert_eq!((annotations.width, annotations.height), (2, 4));
            let object = &annotations.objects[0];
            assert_eq!(object.bbox.corners(), corners.map(|c| c as f32), "{orientation}");
            assert_eq!(object.mask.as_ref().unwrap().bbox(), Some(corners), "{orientation}");
        }
    }

    #[test]
    fn a_view_of_the_same_sides_stays() {
        let mut annotations = upright();
        to_stored(&mut annotations, 3).unwrap();
        assert_eq!(annotations, upright());
    }
}
