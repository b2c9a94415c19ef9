//! The cell culture: number, position and shape of the cells.

use super::outline::{Outline, Spike};
use super::rng::SynthRng;

/// What the cells of one cell line have in common. Lengths are in pixels of an image like the Atlas's at 512 × 512.
pub(super) struct CellLine {
    /// Mean radius of a cell with enough space.
    radius: f32,
    /// Radius of the nucleus as a fraction of it.
    nucleus: f32,
    /// Range of the aspect ratio.
    aspect: [f32; 2],
    /// Minimum and maximum number of pointed processes.
    spikes: [u32; 2],
    /// Length of a process as a fraction of the radius.
    spike_length: f32,
    /// Range of the confluence: the covered fraction of the dish.
    coverage: [f32; 2],
    /// Probability that a cell settles next to another one.
    clumping: f32,
    /// Displacement of the border by blebs and ruffles, in pixels.
    pub roughness: f32,
}

/// Typical adherent human cell lines; none models a particular line.
#[rustfmt::skip]
pub(super) const CELL_LINES: [CellLine; 7] = [
    // Large flat polygons, as of osteosarcoma.
    CellLine { radius: 64.0, nucleus: 0.40, aspect: [1.0, 1.6], spikes: [2, 5], spike_length: 0.4, coverage: [0.4, 0.9], clumping: 0.2, roughness: 1.0 },
    // A closed epithelial sheet.
    CellLine { radius: 57.0, nucleus: 0.46, aspect: [1.0, 1.5], spikes: [0, 2], spike_length: 0.25, coverage: [0.8, 1.4], clumping: 0.5, roughness: 0.6 },
    // Spindles, as of glioma.
    CellLine { radius: 50.0, nucleus: 0.47, aspect: [1.2, 2.2], spikes: [1, 3], spike_length: 1.4, coverage: [0.3, 0.75], clumping: 0.4, roughness: 0.8 },
    // Rounded carcinoma cells with blebs.
    CellLine { radius: 42.0, nucleus: 0.54, aspect: [1.0, 1.5], spikes: [0, 2], spike_length: 0.5, coverage: [0.18, 0.45], clumping: 0.45, roughness: 2.6 },
    // Small kidney cells in clumps.
    CellLine { radius: 37.0, nucleus: 0.57, aspect: [1.0, 1.9], spikes: [1, 3], spike_length: 0.7, coverage: [0.18, 0.45], clumping: 0.8, roughness: 1.0 },
    // Very large flat cells, few in an image.
    CellLine { radius: 84.0, nucleus: 0.42, aspect: [1.0, 1.35], spikes: [0, 3], spike_length: 0.25, coverage: [0.6, 1.1], clumping: 0.2, roughness: 0.8 },
    // Thin fibroblasts.
    CellLine { radius: 49.0, nucleus: 0.44, aspect: [1.5, 2.6], spikes: [2, 4], spike_length: 1.7, coverage: [0.25, 0.6], clumping: 0.3, roughness: 0.7 },
];

/// A round spot, such as a nucleolus.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub at: [f32; 2],
    pub radius: f32,
}

/// One cell; positions are in pixels of the canvas.
pub(super) struct Cell {
    /// Centre of the nucleus.
    pub at: [f32; 2],
    pub nucleus: Outline,
    pub body: Outline,
    pub nucleus_radius: f32,
    /// The microtubule organising centre, next to the nucleus.
    pub organiser: [f32; 2],
    pub nucleoli: Vec<Spot>,
    /// Brightness of microtubules, nucleus and ER relative to the other cells of the image.
    pub brightness: [f32; 3],
    /// Expression of the protein relative to the other cells.
    pub expression: f32,
}

pub(super) struct Culture {
    pub line: &'static CellLine,
    pub cells: Vec<Cell>,
    /// Debris between the cells: shed blebs and fragments that are stained but not annotated.
    pub debris: Vec<Spot>,
    /// Margin of the canvas around the image, in pixels.
    pub margin: usize,
}

impl Culture {
    /// Cells for an image of `width` × `height` pixels with a margin on all sides, so that the image border cuts some cells.
    /// `size` scales every length, `crowding` the confluence.
    pub fn grow(width: u32, height: u32, size: f32, crowding: f32, most: usize, rng: &mut SynthRng) -> Self {
        let line = &CELL_LINES[rng.count(0, CELL_LINES.len() as u32 - 1) as usize];
        let radius = line.radius * size * rng.range(0.85, 1.15);
        let margin = (1.4 * radius) as usize + 2;
        let (w, h) = ((width as usize + 2 * margin) as f32, (height as usize + 2 * margin) as f32);
        let coverage = rng.range(line.coverage[0], line.coverage[1]) * crowding;
        // A cell covers the disc of its radius, its processes a little more; overlap with neighbours takes some of it back.
        let wanted = (coverage * w * h / (std::f32::consts::PI * radius * radius * 1.05) + 0.5) as usize;
        let axis = rng.direction();
        let alignment = rng.range(0.0, 1.0);
        let mut culture = Self { line, cells: Vec::new(), debris: Vec::new(), margin };
        let mut tries = 0;
        while culture.cells.len() < wanted.clamp(1, most) && tries < 40 * wanted.max(1) {
            tries += 1;
            let nucleus_radius = radius * line.nucleus * (0.75 + 0.25 * rng.factor(0.35)) * rng.range(0.85, 1.15);
            let at = culture.place(w, h, radius, rng);
            if culture.has_room(at, nucleus_radius) {
                let own = rng.direction();
                let side = if own[0] * axis[0] + own[1] * axis[1] < 0.0 { -alignment } else { alignment };
                let mixed = [own[0] + 1.5 * side * axis[0], own[1] + 1.5 * side * axis[1]];
                let length = (mixed[0] * mixed[0] + mixed[1] * mixed[1]).sqrt().max(1e-3);
                culture.cells.push(cell(line, at, [mixed[0] / length, mixed[1] / length], radius, nucleus_radius, rng));
            }
        }
        culture.shed(size, rng);
        culture
    }

    /// Clusters of debris near the borders of some cells; rough cell lines shed more.
    fn shed(&mut self, size: f32, rng: &mut SynthRng) {
        let probability = 0.12 * self.line.roughness * rng.unit();
        for cell in &self.cells {
            while rng.chance(probability) {
                let (way, far) = (rng.direction(), cell.body.reach() * rng.range(0.7, 1.15));
                let heap = [cell.at[0] + way[0] * far, cell.at[1] + way[1] * far];
                for _ in 0..rng.count(1, 7) {
                    let [x, y] = rng.disc(6.0 * size);
                    self.debris.push(Spot { at: [heap[0] + x, heap[1] + y], radius: size * rng.range(1.2, 4.5) });
                }
            }
        }
    }

    /// A random position in the dish, or one cell's width away from an existing cell.
    fn place(&self, w: f32, h: f32, radius: f32, rng: &mut SynthRng) -> [f32; 2] {
        let free = [rng.range(0.0, w), rng.range(0.0, h)];
        if self.cells.is_empty() || !rng.chance(self.line.clumping) {
            return free;
        }
        let neighbour = &self.cells[rng.count(0, self.cells.len() as u32 - 1) as usize];
        let (way, far) = (rng.direction(), radius * rng.range(1.0, 1.9));
        let beside = [neighbour.at[0] + way[0] * far, neighbour.at[1] + way[1] * far];
        let inside = beside[0] >= 0.0 && beside[0] < w && beside[1] >= 0.0 && beside[1] < h;
        if inside { beside } else { free }
    }

    /// Whether the nucleus keeps its distance from all others. Linear in the number of cells, which is fast enough for thousands.
    fn has_room(&self, [x, y]: [f32; 2], nucleus_radius: f32) -> bool {
        self.cells.iter().all(|c| {
            let (dx, dy) = (c.at[0] - x, c.at[1] - y);
            let least = 1.3 * (c.nucleus_radius + nucleus_radius) + 2.0;
            dx * dx + dy * dy > least * least
        })
    }
}

fn cell(line: &CellLine, at: [f32; 2], axis: [f32; 2], radius: f32, nucleus_radius: f32, rng: &mut SynthRng) -> Cell {
    let aspect = rng.range(line.aspect[0], line.aspect[1]);
    // Nuclei are rounder than cells, and some are kidney-shaped.
    let nucleus_aspect = 1.0 + (aspect - 1.0) * rng.range(0.2, 0.55) + rng.range(0.0, 0.25);
    let nucleus_wobble = if rng.chance(0.15) { 0.13 } else { 0.05 };
    let nucleus = Outline::ellipse(nucleus_radius, nucleus_aspect, axis, nucleus_wobble, rng);
    let mut body = Outline::ellipse(radius * rng.factor(0.3), aspect, axis, 0.13, rng);
    for k in 0..rng.count(line.spikes[0], line.spikes[1]) {
        // The first two point along the axis, in opposite directions.
        let wild = rng.disc(if k < 2 { 0.35 } else { 8.0 });
        let side = if k % 2 == 0 { 1.0 } else { -1.0 };
        let (x, y) = (axis[0] * side + wild[0], axis[1] * side + wild[1]);
        let length = (x * x + y * y).sqrt().max(1e-3);
        body.add_spike(&Spike {
            direction: [x / length, y / length],
            width: rng.range(0.06, 0.3),
            length: radius * line.spike_length * rng.range(0.4, 1.5),
        });
    }
    body.enclose(&nucleus, 1.12, 2.0);
    let way = rng.direction();
    let organiser = [at[0] + way[0] * nucleus_radius * 1.15, at[1] + way[1] * nucleus_radius * 1.15];
    // Thick cells are bright in every stain of the cytoplasm.
    let thick = rng.factor(0.3);
    Cell {
        at,
        nucleoli: nucleoli(at, &nucleus, nucleus_radius, rng),
        nucleus,
        body,
        nucleus_radius,
        organiser,
        brightness: [thick * rng.factor(0.15), rng.factor(0.3), thick * rng.factor(0.15)],
        expression: rng.factor(0.4),
    }
}

/// Dark round holes in the DNA: a few large or several small ones, separate from each other and from the rim.
fn nucleoli(at: [f32; 2], nucleus: &Outline, nucleus_radius: f32, rng: &mut SynthRng) -> Vec<Spot> {
    let wanted = rng.count(1, 5);
    let mut spots: Vec<Spot> = Vec::new();
    for _ in 0..30 {
        if spots.len() == wanted as usize {
            break;
        }
        let radius = nucleus_radius * rng.range(0.1, 0.24);
        let [x, y] = rng.disc(nucleus_radius);
        let place = [at[0] + x, at[1] + y];
        let apart = spots.iter().all(|s| {
            let (dx, dy) = (s.at[0] - place[0], s.at[1] - place[1]);
            (dx * dx + dy * dy).sqrt() > 1.3 * (s.radius + radius)
        });
        if apart && nucleus.depth(x, y) + radius / nucleus_radius < 0.85 {
            spots.push(Spot { at: place, radius });
        }
    }
    spots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nuclei_do_not_overlap_and_cell_lines_differ() {
        let mut counts = Vec::new();
        for seed in 0..12 {
            let culture = Culture::grow(512, 512, 1.0, 1.0, 500, &mut SynthRng::new(seed, 0, 0));
            for (i, a) in culture.cells.iter().enumerate() {
                for b in &culture.cells[..i] {
                    let (dx, dy) = (a.at[0] - b.at[0], a.at[1] - b.at[1]);
                    assert!((dx * dx + dy * dy).sqrt() > a.nucleus_radius + b.nucleus_radius);
                }
            }
            counts.push(culture.cells.len());
        }
        assert!(counts.iter().max() > counts.iter().min().map(|n| 2 * n).as_ref(), "{counts:?}");
    }
}
