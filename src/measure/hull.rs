//! The convex hull of a cell's pixels and its longest diameter.
//!
//! As `convex_hull_image` of scikit-image (`morphology/convex_hull.py`, with `offset_coordinates`), each pixel stands for the
//! middles of its four sides. Coordinates are doubled, which makes them whole numbers and every comparison exact.

use super::region::Region;

/// x and y, doubled; even numbers are centres of pixels.
type Point = [i64; 2];

/// The pixels whose centre lies in the hull or on its rim: in each row of the bounding box those from the first to the last.
pub(super) struct ConvexImage {
    /// First and last column, both included; the first behind the last where no centre lies in the hull.
    rows: Vec<Option<[i64; 2]>>,
}

impl ConvexImage {
    pub fn of(region: &Region) -> Self {
        let mut points = Vec::new();
        for (y, row) in (0i64..).zip(region.rows()) {
            let first = row.iter().position(|pixel| *pixel != 0);
            let last = row.iter().rposition(|pixel| *pixel != 0);
            for x in first.into_iter().chain(last) {
                push_sides(&mut points, x as i64, y);
            }
        }
        let hull = convex_hull(points);
        let mut rows = vec![None; region.height()];
        for (i, &from) in hull.iter().enumerate() {
            let to = hull[(i + 1) % hull.len()];
            mark_edge(&mut rows, if from[1] < to[1] { [from, to] } else { [to, from] });
        }
        Self { rows }
    }

    /// Number of pixels (`area_convex`).
    pub fn area(&self) -> u64 {
        self.stretches().map(|(_, [first, last])| (last - first + 1) as u64).sum()
    }

    /// The rows that have pixels, which those between two pieces need not.
    fn stretches(&self) -> impl Iterator<Item = (i64, [i64; 2])> {
        let rows = (0i64..).zip(&self.rows).filter_map(|(y, row)| Some((y, (*row)?)));
        rows.filter(|(_, [first, last])| first <= last)
    }
}

/// `feret_diameter_max` of scikit-image: the longest distance between two points of the outline of the convex image, which
/// runs through the middles of its pixels' sides; in pixels.
pub(super) fn feret_max(convex: &ConvexImage) -> f64 {
    let mut points = Vec::new();
    for (y, ends) in convex.stretches() {
        ends.into_iter().for_each(|x| push_sides(&mut points, x, y));
    }
    // The points farthest apart are corners of the hull.
    let hull = convex_hull(points);
    let squared = |a: Point, b: Point| (a[0] - b[0]).pow(2) + (a[1] - b[1]).pow(2);
    let pairs = hull.iter().enumerate().flat_map(|(i, a)| hull[i + 1..].iter().map(move |b| squared(*a, *b)));
    (pairs.max().unwrap_or(0) as f64).sqrt() / 2.0
}

/// The middles of a pixel's four sides.
fn push_sides(points: &mut Vec<Point>, x: i64, y: i64) {
    points.extend([[2 * x - 1, 2 * y], [2 * x + 1, 2 * y], [2 * x, 2 * y - 1], [2 * x, 2 * y + 1]]);
}

/// Corners of the convex hull in order, none of them on a straight line between its neighbours (A. M. Andrew: Another
/// efficient algorithm for convex hulls in two dimensions, 1979).
fn convex_hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_unstable();
    points.dedup();
    let turn = |a: Point, b: Point, c: Point| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let chain = |points: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for point in points {
            while let [.., a, b] = chain[..] {
                if turn(a, b, point) > 0 {
                    break;
                }
                chain.pop();
            }
            chain.push(point);
        }
        // It is the first of the other chain.
        chain.pop();
        chain
    };
    let mut hull = chain(&mut points.iter().copied());
    hull.extend(chain(&mut points.iter().rev().copied()));
    hull
}

/// Widens the rows that an edge crosses by the pixels at their ends there. An edge along a row is covered by its neighbours.
fn mark_edge(rows: &mut [Option<[i64; 2]>], [[x0, y0], [x1, y1]]: [Point; 2]) {
    let (dx, dy) = (x1 - x0, y1 - y0);
    if dy == 0 {
        return;
    }
    let first = (y0 + 1).div_euclid(2).max(0);
    for (y, row) in (first..=y1.div_euclid(2)).zip(rows.iter_mut().skip(first as usize)) {
        // Where the edge crosses the row, as a fraction with the denominator 2·dy. An edge on the left is rounded up, one on
        // the right down; the wider
        // of both is on its own side.
        let crossing = x0 * dy + dx * (2 * y - y0);
        let (down, up) = (crossing.div_euclid(2 * dy), -(-crossing).div_euclid(2 * dy));
        *row = Some(row.map_or([up, down], |[first, last]| [first.min(up), last.max(down)]));
    }
}
