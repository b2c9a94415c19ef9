//! The outlines of a mask as polygons with holes, valid by the rules of GeoJSON and JTS: no ring touches itself.

use crate::masks::Rle;

/// Corners in order; the last is joined to the first.
pub(super) type Ring = Vec<[f32; 2]>;

/// An outer ring and the holes in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Polygon {
    pub outer: Ring,
    pub holes: Vec<Ring>,
}

/// All pieces of a mask. Pixels that meet at a corner only belong to separate polygons.
pub(super) fn polygons(mask: &Rle) -> Vec<Polygon> {
    let rings: Vec<Ring> = mask.outlines().iter().flat_map(|outline| simple(outline)).collect();
    // y points down: outer rings run clockwise on the screen, which has a positive area there.
    let (outer, holes): (Vec<Ring>, Vec<Ring>) = rings.into_iter().partition(|ring| area(ring) > 0.0);
    let mut polygons: Vec<Polygon> = outer.into_iter().map(|outer| Polygon { outer, holes: Vec::new() }).collect();
    for hole in holes {
        let Some(pixel) = pixel_beside(&hole) else { continue };
        // Of rings within one another, as those of a cell in the hole of a piece, the smallest is its own.
        let around = polygons.iter_mut().filter(|polygon| contains(&polygon.outer, pixel));
        if let Some(owner) = around.min_by(|a, b| area(&a.outer).total_cmp(&area(&b.outer))) {
            owner.holes.push(hole);
        }
    }
    polygons
}

/// Cuts an outline where it comes back to a corner that it has passed, as around two pixels of background that meet there.
fn simple(outline: &[[f32; 2]]) -> Vec<Ring> {
    let mut rings = Vec::new();
    let mut passed: Ring = Vec::new();
    // Corners are whole numbers, which bits tell apart as well as values do.
    let key = |corner: &[f32; 2]| corner.map(f32::to_bits);
    let mut at: std::collections::HashMap<[u32; 2], usize> = std::collections::HashMap::new();
    for corner in outline {
        if let Some(start) = at.get(&key(corner)).copied() {
            let ring: Ring = passed.drain(start..).collect();
            for corner in &ring {
                at.remove(&key(corner));
            }
            rings.push(ring);
        }
        at.insert(key(corner), passed.len());
        passed.push(*corner);
    }
    rings.push(passed);
    rings
}

/// Signed area by the shoelace formula.
pub(super) fn area(ring: &[[f32; 2]]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    let cross = |(a, b): (&[f32; 2], &[f32; 2])| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1]);
    ring.iter().zip(next).map(cross).sum::<f64>() / 2.0
}

/// The centre of the mask's pixel at the right hand of the first edge.
fn pixel_beside(ring: &[[f32; 2]]) -> Option<[f32; 2]> {
    let [a, b, ..] = ring else { return None };
    let step = [(b[0] - a[0]).signum() * 0.5, (b[1] - a[1]).signum() * 0.5];
    // signum is 1 for a zero.
    let [along_x, along_y] = [if b[0] == a[0] { 0.0 } else { step[0] }, if b[1] == a[1] { 0.0 } else { step[1] }];
    Some([a[0] + along_x - along_y, a[1] + along_y + along_x])
}

/// By the even-odd rule, for a point between the edges of pixels.
fn contains(ring: &[[f32; 2]], [x, y]: [f32; 2]) -> bool {
    let edges = ring.iter().zip(ring.iter().cycle().skip(1));
    edges.filter(|(a, b)| a[0] == b[0] && a[0] < x && (a[1] > y) != (b[1] > y)).count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[&str]) -> (Rle, Vec<Polygon>) {
        let bitmap: Vec<bool> = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        let mask = Rle::from_bitmap(rows[0].len() as u32, rows.len() as u32, &bitmap).unwrap();
        let polygons = polygons(&mask);
        (mask, polygons)
    }

    fn shape(rows: &[&str]) -> Vec<usize> {
        of(rows).1.iter().map(|polygon| polygon.holes.len()).collect()
    }

    #[test]
    fn pieces_and_holes() {
        assert_eq!(shape(&["##.", "..#"]), [0, 0]);
        assert_eq!(shape(&["###", "#.#", "###"]), [1]);
        // Holes that meet at a corner, and a hole that meets the outside.
        assert_eq!(shape(&["####", "#.##", "##.#", "####"]), [2]);
        assert_eq!(shape(&["###.", "#.##", "####"]), [1]);
        assert_eq!(shape(&["##.#", "#.##", "####"]), [1]);
        // A piece within the hole of another, with a hole of its own.
        let nested = ["#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"];
        assert_eq!(shape(&nested), [1, 1]);
        assert_eq!(shape(&["..", ".."]), [0usize; 0]);
    }

    proptest! {
        #[test]
        fn rings_are_simple_and_cover_the_mask(w in 1u32..9, h in 1u32..9, bits in any::<u64>()) {
            let bitmap: Vec<bool> = (0..w * h).map(|i| bits >> (i % 64) & 1 == 1).collect();
            let mask = Rle::from_bitmap(w, h, &bitmap).unwrap();
            let mut covered = 0.0;
            for Polygon { outer, holes } in polygons(&mask) {
                prop_assert!(area(&outer) > 0.0 && holes.iter().all(|hole| area(hole) < 0.0));
                for ring in holes.iter().chain([&outer]) {
                    covered += area(ring);
                    let mut corners = ring.clone();
                    corners.sort_by(|a, b| a.partial_cmp(b).unwrap());
                    corners.dedup();
                    prop_assert_eq!(corners.len(), ring.len());
                }
            }
            prop_assert_eq!(covered, f64::from(mask.area()));
        }
    }
}
