//! The shape of a cell from its pixels alone.

use std::f64::consts::PI;

use super::hull::{self, ConvexImage};
use super::perimeter::perimeter;
use super::region::Region;
use crate::masks::Rle;

/// Lengths in pixels, areas in square pixels. The name that scikit-image gives a quantity is in brackets.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Number of pixels (`area`).
    pub area: f64,
    /// Length of the line through the centres of the boundary pixels, with the weights of Benkrid & Crookes for straight and
    /// diagonal steps (`perimeter`, neighbourhood 4). 0 for one pixel.
    pub perimeter: f64,
    /// Diameter of the circle of that area (`equivalent_diameter_area`).
    pub equivalent_diameter: f64,
    /// Length of the major axis of the ellipse with the same second central moments (`axis_major_length`).
    pub major_axis: f64,
    /// Of the minor axis (`axis_minor_length`).
    pub minor_axis: f64,
    /// Angle in radians from the y axis, which points down, to the major axis, towards the x axis: −π/2 to π/2
    /// (`orientation`). `None` where all directions are alike, for which scikit-image writes ±π/4.
    pub orientation: Option<f64>,
    /// Of that ellipse: 0 for a circle, towards 1 for a line (`eccentricity`).
    pub eccentricity: f64,
    /// Area over the area of the convex hull (`solidity`).
    pub solidity: f64,
    /// Area over the area of the bounding box (`extent`).
    pub extent: f64,
    /// The longest distance between two points of the convex hull's outline (`feret_diameter_max`).
    pub feret_max: f64,
    /// Mean x and y of the pixels (`centroid`, there row and column). The centre of the image's first pixel is (0, 0), half a
    /// pixel less than in the coordinates of boxes.
    pub centroid: [f64; 2],
    /// `[x1, y1, x2, y2]`, the right and lower one excluded (`bbox`).
    pub bbox: [u32; 4],
    /// Whether a pixel lies at the edge of the image, so that the cell may be cut off.
    pub touches_border: bool,
}

/// The shape of a mask; `None` where it has no pixel.
pub fn shape(mask: &Rle) -> Option<Shape> {
    Region::new(mask).as_ref().map(of)
}

pub(super) fn of(region: &Region) -> Shape {
    let moments = Moments::of(region);
    let axes = moments.axes();
    let convex = ConvexImage::of(region);
    let area = moments.count as f64;
    let [x1, y1, x2, y2] = region.bbox;
    let [width, height] = region.image;
    Shape {
        area,
        perimeter: perimeter(region),
        equivalent_diameter: (4.0 * area / PI).sqrt(),
        major_axis: axes.major,
        minor_axis: axes.minor,
        orientation: axes.orientation,
        eccentricity: axes.eccentricity,
        solidity: area / convex.area() as f64,
        extent: area / (region.width() as f64 * region.height() as f64),
        feret_max: hull::feret_max(&convex),
        centroid: [f64::from(x1) + moments.mean(moments.x), f64::from(y1) + moments.mean(moments.y)],
        bbox: region.bbox,
        touches_border: x1 == 0 || y1 == 0 || x2 == width || y2 == height,
    }
}

/// Sums over the pixels, in coordinates of the bounding box. Whole numbers, so that symmetric shapes are symmetric.
#[derive(Default)]
struct Moments {
    count: i128,
    x: i128,
    y: i128,
    xx: i128,
    yy: i128,
    xy: i128,
}

struct Axes {
    major: f64,
    minor: f64,
    orientation: Option<f64>,
    eccentricity: f64,
}

impl Moments {
    fn of(region: &Region) -> Self {
        let mut all = Self::default();
        for (y, row) in (0i128..).zip(region.rows()) {
            // A row of 2¹³ pixels: the sum of the squares of x is below 2³⁹.
            let (mut count, mut x_sum, mut xx_sum) = (0u64, 0u64, 0u64);
            for (x, pixel) in (0u64..).zip(row) {
                let pixel = u64::from(*pixel);
                count += pixel;
                x_sum += pixel * x;
                xx_sum += pixel * x * x;
            }
            let [count, x_sum, xx_sum] = [count, x_sum, xx_sum].map(i128::from);
            all.count += count;
            all.x += x_sum;
            all.xx += xx_sum;
            all.y += count * y;
            all.yy += count * y * y;
            all.xy += x_sum * y;
        }
        all
    }

    fn mean(&self, sum: i128) -> f64 {
        sum as f64 / self.count as f64
    }

    /// From the eigenvalues of the covariance of the pixels' coordinates: an ellipse with semi-axis a has variance a²/4 along
    /// it. (`inertia_tensor` and `inertia_tensor_eigvals` of scikit-image's `_moments.py`, whose tensor has the variance of
    /// the columns first.)
    fn axes(&self) -> Axes {
        // All sums are below 2⁵³, so the differences of products are exact.
        let n = self.count;
        let (a, c) = (n * self.xx - self.x * self.x, n * self.yy - self.y * self.y);
        let b = n * self.xy - self.x * self.y;
        let scale = (n as f64).powi(2);
        let [xx, yy, xy] = [a, c, b].map(|sum| sum as f64 / scale);
        let middle = 0.5 * (xx + yy);
        let spread = (0.5 * (xx - yy)).hypot(xy);
        let (largest, smallest) = (middle + spread, (middle - spread).max(0.0));
        // The angle is of (−2b, c − a) in scikit-image's terms, where b has the other sign.
        let orientation = match (a == c, b.signum()) {
            (true, 0) => None,
            (true, sign) => Some(sign as f64 * PI / 4.0),
            (false, _) => Some(0.5 * (2.0 * xy).atan2(yy - xx)),
        };
        Axes {
            major: 4.0 * largest.sqrt(),
            minor: 4.0 * smallest.sqrt(),
            orientation,
            eccentricity: if largest > 0.0 { (1.0 - smallest / largest).sqrt() } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rows(rows: &[&str]) -> Option<Shape> {
        let bitmap: Vec<bool> = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        shape(&Rle::from_bitmap(rows[0].len() as u32, rows.len() as u32, &bitmap).unwrap())
    }

    #[test]
    fn a_mask_without_pixels_has_no_shape() {
        assert_eq!(of_rows(&["...", "..."]), None);
    }

    #[test]
    fn one_pixel_has_no_direction() {
        let one = of_rows(&["...", ".#.", "..."]).unwrap();
        assert_eq!((one.area, one.perimeter, one.major_axis, one.orientation), (1.0, 0.0, 0.0, None));
        assert_eq!((one.solidity, one.extent, one.feret_max, one.centroid), (1.0, 1.0, 1.0, [1.0, 1.0]));
        assert!(!one.touches_border);
    }

    #[test]
    fn lines_have_directions() {
        let angle = |rows: &[&str]| of_rows(rows).unwrap().orientation.unwrap();
        assert_eq!(angle(&[".#.", ".#.", ".#."]), 0.0);
        assert_eq!(angle(&["...", "###", "..."]), PI / 2.0);
        assert_eq!(angle(&["#..", ".#.", "..#"]), PI / 4.0);
        assert_eq!(angle(&["..#", ".#.", "#.."]), -PI / 4.0);
    }
}
