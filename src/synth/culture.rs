//! The culture in the dish: which cells there are, where they lie and what each is like.

use super::dice::Dice;
use super::outline::{Outline, Spike};

/// What the cells of one line have in common. Lengths are in pixels of an image like the Atlas's at 512 × 512.
pub(super) struct Line {
    /// Mean radius of a cell that has room.
    radius: f32,
    /// Radius of the nucleus as a share of it.
    nucleus: f32,
    /// Range of the ratio of the long to the short side.
    aspect: [f32; 2],
    /// Fewest and most pointed processes.
    spikes: [u32; 2],
    /// Length of a process as a share of the radius.
    spike_length: f32,
    /// Range of the share of the dish that is covered.
    coverage: [f32; 2],
    /// How likely a cell settles beside another one.
    clumping: f32,
    /// How far blebs and ruffles move the border, in pixels.
    pub roughness: f32,
}

/// Broad kinds of adherent human lines: none is a portrait of one line.
#[rustfmt::skip]
pub(super) const LINES: [Line; 7] = [
    // Large flat polygons, as of osteosarcoma.
    Line { radius: 64.0, nucleus: 0.40, aspect: [1.0, 1.6], spikes: [2, 5], spike_length: 0.4, coverage: [0.4, 0.9], clumping: 0.2, roughness: 1.0 },
    // A closed epithelial sheet.
    Line { radius: 57.0, nucleus: 0.46, aspect: [1.0, 1.5], spikes: [0, 2], spike_length: 0.25, coverage: [0.8, 1.4], clumping: 0.5, roughness: 0.6 },
    // Spindles, as of glioma.
    Line { radius: 50.0, nucleus: 0.47, aspect: [1.2, 2.2], spikes: [1, 3], spike_length: 1.4, coverage: [0.3, 0.75], clumping: 0.4, roughness: 0.8 },
    // Rounded carcinoma cells with blebs.
    Line { radius: 42.0, nucleus: 0.54, aspect: [1.0, 1.5], spikes: [0, 2], spike_length: 0.5, coverage: [0.18, 0.45], clumping: 0.45, roughness: 2.6 },
    // Small kidney cells in clumps.
    Line { radius: 37.0, nucleus: 0.57, aspect: [1.0, 1.9], spikes: [1, 3], spike_length: 0.7, coverage: [0.18, 0.45], clumping: 0.8, roughness: 1.0 },
    // Very large flat cells, few in an image.
    Line { radius: 84.0, nucleus: 0.42, aspect: [1.0, 1.35], spikes: [0, 3], spike_length: 0.25, coverage: [0.6, 1.1], clumping: 0.2, roughness: 0.8 },
    // Thin fibroblasts.
    Line { radius: 49.0, nucleus: 0.44, aspect: [1.5, 2.6], spikes: [2, 4], spike_length: 1.7, coverage: [0.25, 0.6], clumping: 0.3, roughness: 0.7 },
];

/// A round spot, such as a nucleolus.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub at: [f32; 2],
    pub radius: f32,
}

/// One cell; places are in pixels of the canvas.
pub(super) struct Cell {
    /// Centre of the nucleus.
    pub at: [f32; 2],
    pub nucleus: Outline,
    pub body: Outline,
    pub nucleus_radius: f32,
    /// The microtubule organising centre, beside the nucleus.
    pub organiser: [f32; 2],
    pub nucleoli: Vec<Spot>,
    /// Brightness of microtubules, nucleus and ER beside the other cells of the image.
    pub brightness: [f32; 3],
    /// How much of the protein it makes beside the other cells.
    pub expression: f32,
}

pub(super) struct Culture {
    pub line: &'static Line,
    pub cells: Vec<Cell>,
    /// Shed blebs and fragments between the cells: stained, but nothing that an annotator boxes.
    pub debris: Vec<Spot>,
    /// Pixels of the canvas on each side of the image.
    pub margin: usize,
}

impl Culture {
    /// Cells for an image of `width` × `height` pixels and a margin all round, so that the border cuts some.
    /// `size` multiplies every length, `crowding` the share of the dish that is covered.
    pub fn grow(width: u32, height: u32, size: f32, crowding: f32, most: usize, dice: &mut Dice) -> Self {
        let line = &LINES[dice.count(0, LINES.len() as u32 - 1) as usize];
        let radius = line.radius * size * dice.range(0.85, 1.15);
        let margin = (1.4 * radius) as usize + 2;
        let (w, h) = ((width as usize + 2 * margin) as f32, (height as usize + 2 * margin) as f32);
        let coverage = dice.range(line.coverage[0], line.coverage[1]) * crowding;
        // A cell takes the disc of its radius and its processes a little more; neighbours take some of it back.
        let wanted = (coverage * w * h / (std::f32::consts::PI * radius * radius * 1.05) + 0.5) as usize;
        let axis = dice.direction();
        let alignment = dice.range(0.0, 1.0);
        let mut culture = Self { line, cells: Vec::new(), debris: Vec::new(), margin };
        let mut tries = 0;
        while culture.cells.len() < wanted.clamp(1, most) && tries < 40 * wanted.max(1) {
            tries += 1;
            let nucleus_radius = radius * line.nucleus * (0.75 + 0.25 * dice.factor(0.35)) * dice.range(0.85, 1.15);
            let at = culture.place(w, h, radius, dice);
            if culture.has_room(at, nucleus_radius) {
                let own = dice.direction();
                let side = if own[0] * axis[0] + own[1] * axis[1] < 0.0 { -alignment } else { alignment };
                let mixed = [own[0] + 1.5 * side * axis[0], own[1] + 1.5 * side * axis[1]];
                let length = (mixed[0] * mixed[0] + mixed[1] * mixed[1]).sqrt().max(1e-3);
                culture.cells.push(cell(
                    line,
                    at,
                    [mixed[0] / length, mixed[1] / length],
                    radius,
                    nucleus_radius,
                    dice,
                ));
            }
        }
        culture.shed(size, dice);
        culture
    }

    /// Heaps of debris by the borders of some cells, more of it in rough lines.
    fn shed(&mut self, size: f32, dice: &mut Dice) {
        let probability = 0.12 * self.line.roughness * dice.unit();
        for cell in &self.cells {
            while dice.chance(probability) {
                let (way, far) = (dice.direction(), cell.body.reach() * dice.range(0.7, 1.15));
                let heap = [cell.at[0] + way[0] * far, cell.at[1] + way[1] * far];
                for _ in 0..dice.count(1, 7) {
                    let [x, y] = dice.disc(6.0 * size);
                    self.debris.push(Spot { at: [heap[0] + x, heap[1] + y], radius: size * dice.range(1.2, 4.5) });
                }
            }
        }
    }

    /// Somewhere in the dish, or a cell's width away from a cell that is there.
    fn place(&self, w: f32, h: f32, radius: f32, dice: &mut Dice) -> [f32; 2] {
        let free = [dice.range(0.0, w), dice.range(0.0, h)];
        if self.cells.is_empty() || !dice.chance(self.line.clumping) {
            return free;
        }
        let neighbour = &self.cells[dice.count(0, self.cells.len() as u32 - 1) as usize];
        let (way, far) = (dice.direction(), radius * dice.range(1.0, 1.9));
        let beside = [neighbour.at[0] + way[0] * far, neighbour.at[1] + way[1] * far];
        let inside = beside[0] >= 0.0 && beside[0] < w && beside[1] >= 0.0 && beside[1] < h;
        if inside { beside } else { free }
    }

    /// Whether nuclei keep apart. Linear in the cells: thousands of cells are a few million steps.
    fn has_room(&self, [x, y]: [f32; 2], nucleus_radius: f32) -> bool {
        self.cells.iter().all(|c| {
            let (dx, dy) = (c.at[0] - x, c.at[1] - y);
            let least = 1.3 * (c.nucleus_radius + nucleus_radius) + 2.0;
            dx * dx + dy * dy > least * least
        })
    }
}

fn cell(line: &Line, at: [f32; 2], axis: [f32; 2], radius: f32, nucleus_radius: f32, dice: &mut Dice) -> Cell {
    let aspect = dice.range(line.aspect[0], line.aspect[1]);
    // Nuclei are rounder than their cells, and some are kidney-shaped.
    let nucleus_aspect = 1.0 + (aspect - 1.0) * dice.range(0.2, 0.55) + dice.range(0.0, 0.25);
    let nucleus_wobble = if dice.chance(0.15) { 0.13 } else { 0.05 };
    let nucleus = Outline::ellipse(nucleus_radius, nucleus_aspect, axis, nucleus_wobble, dice);
    let mut body = Outline::ellipse(radius * dice.factor(0.3), aspect, axis, 0.13, dice);
    for k in 0..dice.count(line.spikes[0], line.spikes[1]) {
        // The first two go along the axis, to both sides.
        let wild = dice.disc(if k < 2 { 0.35 } else { 8.0 });
        let side = if k % 2 == 0 { 1.0 } else { -1.0 };
        let (x, y) = (axis[0] * side + wild[0], axis[1] * side + wild[1]);
        let length = (x * x + y * y).sqrt().max(1e-3);
        body.add_spike(&Spike {
            direction: [x / length, y / length],
            width: dice.range(0.06, 0.3),
            length: radius * line.spike_length * dice.range(0.4, 1.5),
        });
    }
    body.enclose(&nucleus, 1.12, 2.0);
    let way = dice.direction();
    let organiser = [at[0] + way[0] * nucleus_radius * 1.15, at[1] + way[1] * nucleus_radius * 1.15];
    // Thick cells are bright in every stain of the cytoplasm.
    let thick = dice.factor(0.3);
    Cell {
        at,
        nucleoli: nucleoli(at, &nucleus, nucleus_radius, dice),
        nucleus,
        body,
        nucleus_radius,
        organiser,
        brightness: [thick * dice.factor(0.15), dice.factor(0.3), thick * dice.factor(0.15)],
        expression: dice.factor(0.4),
    }
}

/// Dark round holes in the DNA: a few large ones or several small ones, apart from each other and from the rim.
fn nucleoli(at: [f32; 2], nucleus: &Outline, nucleus_radius: f32, dice: &mut Dice) -> Vec<Spot> {
    let wanted = dice.count(1, 5);
    let mut spots: Vec<Spot> = Vec::new();
    for _ in 0..30 {
        if spots.len() == wanted as usize {
            break;
        }
        let radius = nucleus_radius * dice.range(0.1, 0.24);
        let [x, y] = dice.disc(nucleus_radius);
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
    fn nuclei_keep_apart_and_lines_differ() {
        let mut counts = Vec::new();
        for seed in 0..12 {
            let culture = Culture::grow(512, 512, 1.0, 1.0, 500, &mut Dice::new(seed, 0, 0));
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
