//! Outlines for ImageJ's ROI Manager: a zip with one `.roi` file for each cell.
//!
//! The format is that of `ij/io/RoiEncoder.java` of ImageJ: big-endian, 64 bytes of header, the coordinates, and a second header
//! that says where the name stands and which plane of a stack it is on. A cell of one outline is a polygon; one with holes or of several pieces is a composite.

use super::{archive::zip, cells};
use crate::annotations::names;
use crate::channels::StackPlane;
use crate::detections::ImageDetections;
use crate::error::Result;
use crate::export::NamedBytes;

const VERSION: i16 = 227;
const POLYGON: u8 = 0;
/// What composites are stored as, with the length of their path.
const RECTANGLE: u8 = 1;
const HEADER: usize = 64;
/// Commands of a path (`java.awt.geom.PathIterator`).
const MOVE_TO: f32 = 0.0;
const LINE_TO: f32 = 1.0;
const CLOSE: f32 = 4.0;

/// Each cell under its number and class; one without pixels has no outline and is left out.
///
/// # Errors
/// A mask of another size than the image.
pub(super) fn archive(image: &ImageDetections) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for (i, (cell, detection)) in cells(image).iter().zip(&image.detections).enumerate() {
        let outlines = cell.pixels(image.width, image.height)?.outlines();
        let name = format!("{:04} {}", i + 1, detection.label);
        if let Some(bytes) = roi(&name, &outlines, image.stack) {
            let name = format!("{:04} {}.roi", i + 1, names::safe_name(&detection.label));
            files.push(NamedBytes { name, bytes });
        }
    }
    zip(&files)
}

/// One `.roi` file of closed polygons along the edges of pixels; `None` without polygons. It shows on the slice and the time
/// point that it was found on, in every channel, and where these were projected on all of them.
fn roi(name: &str, outlines: &[Vec<[f32; 2]>], stack: Option<StackPlane>) -> Option<Vec<u8>> {
    let corners = || outlines.iter().flatten();
    let first = corners().next()?;
    let [left, top, right, bottom] = corners()
        .fold([first[0], first[1], first[0], first[1]], |[l, t, r, b], [x, y]| {
            [l.min(*x), t.min(*y), r.max(*x), b.max(*y)]
        });
    // Sides of images are capped far below 2¹⁵.
    let whole = |coordinate: f32| coordinate as i16;
    let (kind, count, path, coordinates) = match outlines {
        [only] if u16::try_from(only.len()).is_ok() => {
            let along = |axis: usize, from: f32| only.iter().flat_map(move |p| whole(p[axis] - from).to_be_bytes());
            (POLYGON, only.len() as u16, 0, along(0, left).chain(along(1, top)).collect::<Vec<u8>>())
        }
        _ => {
            let path: Vec<f32> = outlines.iter().flat_map(|outline| commands(outline)).collect();
            (RECTANGLE, 0, i32::try_from(path.len()).ok()?, path.iter().flat_map(|v| v.to_be_bytes()).collect())
        }
    };
    let header2 = HEADER + coordinates.len();
    let name: Vec<u16> = name.encode_utf16().collect();

    let mut bytes = vec![0; HEADER];
    put(&mut bytes, 0, b"Iout");
    put(&mut bytes, 4, &VERSION.to_be_bytes());
    put(&mut bytes, 6, &[kind]);
    for (at, side) in [(8, top), (10, left), (12, bottom), (14, right)] {
        put(&mut bytes, at, &whole(side).to_be_bytes());
    }
    put(&mut bytes, 16, &count.to_be_bytes());
    put(&mut bytes, 36, &path.to_be_bytes());
    put(&mut bytes, 60, &i32::try_from(header2).ok()?.to_be_bytes());
    bytes.extend(coordinates);
    let mut second = [0; HEADER];
    for (at, position) in [(8, stack.and_then(|plane| plane.z)), (12, stack.and_then(|plane| plane.t))] {
        put(&mut second, at, &position.unwrap_or(0).to_be_bytes());
    }
    put(&mut second, 16, &i32::try_from(header2 + HEADER).ok()?.to_be_bytes());
    put(&mut second, 20, &i32::try_from(name.len()).ok()?.to_be_bytes());
    bytes.extend(second);
    bytes.extend(name.iter().flat_map(|unit| unit.to_be_bytes()));
    Some(bytes)
}

/// A closed piece of a composite's path.
fn commands(outline: &[[f32; 2]]) -> impl Iterator<Item = f32> + '_ {
    let point = |(i, [x, y]): (usize, &[f32; 2])| [if i == 0 { MOVE_TO } else { LINE_TO }, *x, *y];
    outline.iter().enumerate().flat_map(point).chain([CLOSE])
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
