//! Objects from their outlines: a polygon without a box gives both its box and its mask.

use super::checked_box;
use crate::boxes::BoxXyxy;
use crate::masks::Rle;

/// What an outline gives.
pub(super) struct Outlined {
    pub bbox: BoxXyxy,
    /// `None` where the size of the image is not known.
    pub mask: Option<Rle>,
    /// The outline reaches over the edge of the image.
    pub clipped: bool,
}

/// The smallest corners around the polygons; not finite where there are none.
pub(super) fn extent<'a>(polygons: impl IntoIterator<Item = &'a Vec<[f64; 2]>>) -> [f64; 4] {
    let mut corners = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for &[x, y] in polygons.into_iter().flatten() {
        if x.is_nan() || y.is_nan() {
            return [f64::NAN; 4];
        }
        corners = [corners[0].min(x), corners[1].min(y), corners[2].max(x), corners[3].max(y)];
    }
    corners
}

/// The object that the polygons outline together, in an image of `size` (width and height, 0 where they are not known).
/// `budget` is the pixels along outlines that may still be walked.
pub(super) fn outlined(polygons: &[Vec<[f64; 2]>], size: (u32, u32), budget: &mut u64) -> Result<Outlined, String> {
    let (width, height) = size;
    let corners = extent(polygons);
    if width == 0 || height == 0 {
        let (bbox, clipped) = checked_box(corners, 0, 0).map_err(|e| e.to_string())?;
        return Ok(Outlined { bbox, mask: None, clipped });
    }
    let mask = Rle::from_polygons_within(width, height, polygons, budget).map_err(|e| e.to_string())?;
    let bounds = mask.bbox().ok_or("has an outline without pixels")?;
    match checked_box(corners, width, height) {
        Ok((bbox, clipped)) => Ok(Outlined { bbox, mask: Some(mask), clipped }),
        Err(_) => {
            let bbox = BoxXyxy::new(bounds.map(|v| v as f32), width, height).map_err(|e| e.to_string())?;
            Ok(Outlined { bbox, mask: Some(mask), clipped: true })
        }
    }
}

/// A polygon around a circle or an ellipse.
pub(super) fn ellipse([cx, cy]: [f64; 2], [rx, ry]: [f64; 2], angle: f64) -> Vec<[f64; 2]> {
    const CORNERS: usize = 64;
    let (sin, cos) = angle.sin_cos();
    let corner = |i: usize| {
        let (s, c) = (i as f64 * std::f64::consts::TAU / CORNERS as f64).sin_cos();
        let (x, y) = (rx * c, ry * s);
        [cx + x * cos - y * sin, cy + x * sin + y * cos]
    };
    (0..CORNERS).map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_gives_box_and_mask() {
        let square = vec![vec![[2.0, 2.0], [8.0, 2.0], [8.0, 6.0], [2.0, 6.0]]];
        let found = outlined(&square, (10, 10), &mut 1000).unwrap();
        assert_eq!((found.bbox.corners(), found.clipped), ([2.0, 2.0, 8.0, 6.0], false));
        assert_eq!(found.mask.map(|mask| mask.area()), Some(24));
        assert!(outlined(&square, (0, 0), &mut 1000).unwrap().mask.is_none());
        let over = outlined(&square, (5, 5), &mut 1000).unwrap();
        assert_eq!((over.bbox.corners(), over.clipped), ([2.0, 2.0, 5.0, 5.0], true));
        assert!(outlined(&square, (1, 1), &mut 1000).is_err(), "nothing of it is in the image");
        assert!(outlined(&[vec![[0.0, f64::NAN]; 3]], (0, 0), &mut 1000).is_err());
        assert!(outlined(&[], (10, 10), &mut 1000).is_err());
    }

    #[test]
    fn a_circle_is_round() {
        let [x1, y1, x2, y2] = extent(&[ellipse([10.0, 20.0], [4.0, 2.0], 0.0)]);
        assert!([x1 - 6.0, y1 - 18.0, x2 - 14.0, y2 - 22.0].iter().all(|d| d.abs() < 1e-9));
    }
}
