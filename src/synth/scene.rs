//! The scene: which cell each pixel of the canvas belongs to, the nuclei, and distances to their borders.

use super::culture::{Cell, Culture, Spot};
use super::field::{Field, border_distance};
use super::rng::SynthRng;

pub(super) struct Scene {
    pub width: usize,
    pub height: usize,
    pub margin: usize,
    pub cells: Vec<Cell>,
    pub debris: Vec<Spot>,
    /// 0 for the background, k for `cells[k - 1]`.
    pub labels: Vec<u16>,
    /// Number of pixels of each cell.
    pub areas: Vec<u32>,
    /// Distance in pixels to the border of the cell; in the background, to the nearest cell.
    pub edge: Field,
    /// Signed distance in pixels to the border of the nearest nucleus: positive outside, negative inside.
    pub nucleus: Field,
}

impl Scene {
    /// Each pixel is assigned to the cell in which it lies deepest, so that neighbours share a border and never overlap. A warp
    /// makes the borders ragged.
    pub fn new(culture: Culture, width: u32, height: u32, size: f32, rng: &mut SynthRng) -> Self {
        let Culture { line, cells, debris, margin } = culture;
        let (w, h) = (width as usize + 2 * margin, height as usize + 2 * margin);
        let warp = [warp(w, h, line.roughness, size, rng), warp(w, h, line.roughness, size, rng)];
        let mut labels = vec![0u16; w * h];
        let mut deepest = Field::new(w, h);
        deepest.data.fill(1.0);
        let mut seeds = vec![(2.0, 0); cells.len()];
        for (k, cell) in cells.iter().enumerate() {
            for_box(cell, cell.body.reach() + 8.0 * line.roughness * size, w, h, |at, dx, dy| {
                let depth = cell.body.depth(dx + warp[0].data[at], dy + warp[1].data[at]);
                if depth < deepest.data[at] {
                    deepest.data[at] = depth;
                    labels[at] = k as u16 + 1;
                    if depth < seeds[k].0 {
                        seeds[k] = (depth, at);
                    }
                }
            });
        }
        drop(deepest);
        keep_connected(w, h, &mut labels, &seeds);
        let mut inside = vec![0u16; w * h];
        for (k, cell) in cells.iter().enumerate() {
            for_box(cell, cell.nucleus.reach() + 6.0, w, h, |at, dx, dy| {
                let (u, v) = (0.3 * warp[0].data[at], 0.3 * warp[1].data[at]);
                if labels[at] == k as u16 + 1 && cell.nucleus.depth(dx + u, dy + v) < 1.0 {
                    inside[at] = 1;
                }
            });
        }
        let mut areas = vec![0u32; cells.len()];
        for &label in labels.iter().filter(|&&l| l > 0) {
            areas[label as usize - 1] += 1;
        }
        let edge = border_distance(w, h, &labels);
        let mut nucleus = border_distance(w, h, &inside);
        for (distance, &inside) in nucleus.data.iter_mut().zip(&inside) {
            if inside == 1 {
                *distance = -*distance;
            }
        }
        Self { width: w, height: h, margin, cells, debris, labels, areas, edge, nucleus }
    }

    /// The cell at a point of the canvas, counted from 1; 0 for the background.
    pub fn label_at(&self, [x, y]: [f32; 2]) -> u16 {
        if x < 0.0 || y < 0.0 || x >= self.width as f32 || y >= self.height as f32 {
            return 0;
        }
        self.labels[y as usize * self.width + x as usize]
    }

    /// Whether pixel `at` of the canvas lies in the image.
    pub fn in_frame(&self, at: usize) -> bool {
        let (x, y) = (at % self.width, at / self.width);
        let m = self.margin;
        x >= m && y >= m && x < self.width - m && y < self.height - m
    }

    /// Calls `f` with each pixel of the canvas in a disc and its distance from the centre as a fraction of `radius`.
    pub fn for_disc(&self, [cx, cy]: [f32; 2], radius: f32, mut f: impl FnMut(usize, f32)) {
        let ((x0, x1), (y0, y1)) = (span(cx, radius, self.width), span(cy, radius, self.height));
        for y in y0..y1 {
            for x in x0..x1 {
                let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
                let share = (dx * dx + dy * dy).sqrt() / radius;
                if share < 1.0 {
                    f(y * self.width + x, share);
                }
            }
        }
    }

    /// Calls `f` with random points in cells, `density` per pixel: the pixel, its cell counted from 1, and the point.
    pub fn scatter(&self, density: f32, rng: &mut SynthRng, mut f: impl FnMut(usize, u16, [f32; 2], &mut SynthRng)) {
        for _ in 0..(density * self.labels.len() as f32) as u32 {
            let point = [rng.range(0.0, self.width as f32), rng.range(0.0, self.height as f32)];
            let label = self.label_at(point);
            if label > 0 {
                f(point[1] as usize * self.width + point[0] as usize, label, point, rng);
            }
        }
    }

    /// `value` of each pixel of the canvas that belongs to a cell, 0 elsewhere.
    pub fn paint(&self, mut value: impl FnMut(usize, &Cell) -> f32) -> Field {
        let mut field = Field::new(self.width, self.height);
        for (at, (out, &label)) in field.data.iter_mut().zip(&self.labels).enumerate() {
            if label > 0 {
                *out = value(at, &self.cells[label as usize - 1]);
            }
        }
        field
    }
}

/// Displacements along one axis: smooth bends plus fine ruffles scaled by `roughness`.
fn warp(w: usize, h: usize, roughness: f32, size: f32, rng: &mut SynthRng) -> Field {
    let mut slow = Field::texture(w, h, 16.0 * size, rng);
    let quick = Field::texture(w, h, 5.0 * size, rng);
    for (s, q) in slow.data.iter_mut().zip(&quick.data) {
        *s = size * (3.5 * *s + roughness * q);
    }
    slow
}

/// Calls `f` with each pixel of the canvas in the square around the cell and its offset from the cell's centre.
fn for_box(cell: &Cell, reach: f32, w: usize, h: usize, mut f: impl FnMut(usize, f32, f32)) {
    let [cx, cy] = cell.at;
    let ((x0, x1), (y0, y1)) = (span(cx, reach, w), span(cy, reach, h));
    for y in y0..y1 {
        for x in x0..x1 {
            f(y * w + x, x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
        }
    }
}

/// The first and one past the last pixel within `reach` of `centre`.
fn span(centre: f32, reach: f32, end: usize) -> (usize, usize) {
    let last = (centre + reach).max(0.0) as usize + 1;
    ((centre - reach).max(0.0) as usize, last.min(end))
}

/// Removes from each cell whatever is not connected with its seed, the pixel where it is deepest.
fn keep_connected(w: usize, h: usize, labels: &mut [u16], seeds: &[(f32, usize)]) {
    const REACHED: u16 = 1 << 15;
    let mut open = Vec::new();
    for (k, &(_, seed)) in seeds.iter().enumerate() {
        let label = k as u16 + 1;
        if labels[seed] != label {
            continue;
        }
        labels[seed] |= REACHED;
        open.push(seed);
        while let Some(at) = open.pop() {
            let (x, y) = (at % w, at / w);
            let beside = [
                (x > 0).then(|| at - 1),
                (x + 1 < w).then(|| at + 1),
                (y > 0).then(|| at - w),
                (y + 1 < h).then(|| at + w),
            ];
            for next in beside.into_iter().flatten() {
                if labels[next] == label {
                    labels[next] |= REACHED;
                    open.push(next);
                }
            }
        }
    }
    for label in labels {
        *label = if *label & REACHED != 0 { *label & !REACHED } else { 0 };
    }
}
