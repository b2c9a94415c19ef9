//! The outline of a mask along pixel edges, for drawing.

use super::Rle;

/// Right, down, left, up: each a quarter turn to the right of the one before (y points down).
const STEPS: [(i32, i32); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

impl Rle {
    /// Closed polygons `[x, y]` along the edges of the pixels, outer rims clockwise on the screen and holes the other way
    /// round; the last point is joined to the first. Filled by the even-odd rule they are the mask again. Pixels that
    /// meet only at a corner belong to separate polygons.
    pub fn outlines(&self) -> Vec<Vec<[f32; 2]>> {
        let Some([x1, y1, x2, y2]) = self.bbox() else { return Vec::new() };
        // One vertex a corner of a pixel within the box; a bit for each direction in which an edge leaves it.
        let grid_width = (x2 - x1 + 1) as usize;
        let mut leaving = vec![0u8; grid_width * (y2 - y1 + 1) as usize];
        let vertex = |x: u32, y: u32| (y - y1) as usize * grid_width + (x - x1) as usize;
        for_each_pixel(self, |x, y| {
            // The four edges, with the pixel on the right hand. An edge between two pixels is met twice, in both
            // directions, and cancels.
            let corners = [vertex(x, y), vertex(x + 1, y), vertex(x + 1, y + 1), vertex(x, y + 1)];
            for direction in 0..4 {
                let (from, to) = (corners[direction], corners[(direction + 1) % 4]);
                let back = 1 << ((direction + 2) % 4);
                if leaving[to] & back != 0 {
                    leaving[to] &= !back;
                } else {
                    leaving[from] |= 1 << direction;
                }
            }
        });

        let mut polygons = Vec::new();
        for start in 0..leaving.len() {
            while leaving[start] != 0 {
                polygons.push(trace(&mut leaving, start, grid_width, [x1, y1]));
            }
        }
        polygons
    }
}

/// Walks one rim from `start` until it closes, and takes its edges out of `leaving`.
fn trace(leaving: &mut [u8], start: usize, grid_width: usize, origin: [u32; 2]) -> Vec<[f32; 2]> {
    let mut polygon = Vec::new();
    let mut direction = leaving[start].trailing_zeros() as usize;
    let first_direction = direction;
    let mut at = start;
    loop {
        leaving[at] &= !(1 << direction);
        let (dx, dy) = STEPS[direction];
        at = at.wrapping_add_signed(dx as isize + dy as isize * grid_width as isize);
        let point = [(at % grid_width) as u32 + origin[0], (at / grid_width) as u32 + origin[1]].map(|c| c as f32);
        if at == start && leaving[at] & (1 << ((direction + 1) % 4)) == 0 {
            if direction != first_direction {
                polygon.push(point);
            }
            return polygon;
        }
        // Turning right first keeps to the pixel at hand where two meet at a corner.
        let turns = [(direction + 1) % 4, direction, (direction + 3) % 4];
        let Some(next) = turns.into_iter().find(|turn| leaving[at] & (1 << turn) != 0) else { return polygon };
        if next != direction {
            polygon.push(point);
        }
        direction = next;
    }
}

fn for_each_pixel(rle: &Rle, mut visit: impl FnMut(u32, u32)) {
    for (start, end) in rle.ranges() {
        for i in start..end {
            visit(i / rle.height, i % rle.height);
        }
    }
}
