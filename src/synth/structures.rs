//! The three stained structures that every set shows: microtubules, the endoplasmic reticulum and DNA.
//!
//! Each is a [`Field`] over the canvas in arbitrary units; the camera scales it.

use super::culture::Cell;
use super::dice::{Dice, exp_minus, smooth_step};
use super::field::Field;
use super::scene::Scene;

/// How filaments of one kind run.
pub(super) struct Filament {
    /// Pixels from one point to the next.
    pub step: f32,
    /// How far chance bends it at each step; the bend dies away slowly.
    pub bend: f32,
    /// How strongly it turns away from the border of the cell and from the nucleus.
    pub avoid: f32,
}

/// Draws one filament from `at` towards `way` for `length` pixels, as long as it stays in the cell `label`.
pub(super) fn draw_filament(
    scene: &Scene,
    field: &mut Field,
    kind: &Filament,
    label: u16,
    (mut at, mut way): ([f32; 2], [f32; 2]),
    (length, weight): (f32, f32),
    dice: &mut Dice,
) {
    let mut curve = 0.0;
    let steps = (length / kind.step) as u32;
    for n in 0..steps {
        if scene.label_at(at) != label {
            return;
        }
        let (x, y) = (at[0] as usize, at[1] as usize);
        let (edge, nucleus) = (scene.edge.data[y * scene.width + x], scene.nucleus.data[y * scene.width + x]);
        let mut push = [0.0, 0.0];
        if edge < 4.0 {
            let [gx, gy] = scene.edge.gradient(x, y);
            push = [gx * (4.0 - edge), gy * (4.0 - edge)];
        }
        if nucleus < 1.5 {
            let [gx, gy] = scene.nucleus.gradient(x, y);
            push = [push[0] + gx * 2.0, push[1] + gy * 2.0];
        }
        curve = 0.92 * curve + kind.bend * dice.normal();
        let turned = [way[0] - curve * way[1] + kind.avoid * push[0], way[1] + curve * way[0] + kind.avoid * push[1]];
        let norm = (turned[0] * turned[0] + turned[1] * turned[1]).sqrt().max(1e-3);
        way = [turned[0] / norm, turned[1] / norm];
        // Ends fade, and over the nucleus little lies in the focal plane.
        let fade = (4.0 * (steps - n) as f32 / steps as f32).min(1.0) * if nucleus < 0.0 { 0.25 } else { 1.0 };
        field.splat(at[0], at[1], weight * fade);
        at = [at[0] + kind.step * way[0], at[1] + kind.step * way[1]];
    }
}

/// Curved filaments from the organiser and from round the nucleus outwards, and a faint haze of those out of focus.
pub(super) fn microtubules(scene: &Scene, size: f32, dice: &mut Dice) -> Field {
    let haze = Field::texture(scene.width, scene.height, 5.0 * size, dice);
    let density = dice.range(0.030, 0.055) / size;
    let kind = Filament { step: 0.8, bend: dice.range(0.02, 0.05) / size, avoid: 0.08 };
    let base = dice.range(0.12, 0.35);
    let mut field = scene.paint(|at, cell| {
        let cytoplasm = 0.08 + 0.92 * smooth_step(-1.5, 2.5, scene.nucleus.data[at]);
        let height = smooth_step(0.0, 3.0 * size, scene.edge.data[at]);
        base * cell.brightness[0] * cytoplasm * height * (1.0 + 0.3 * haze.data[at]).max(0.2)
    });
    let lengths: Vec<f32> = scene.areas.iter().map(|&area| (area as f32).sqrt() * 1.1).collect();
    // Longer filaments are fewer, so that large cells are not filled to an even grey.
    let share = |k: usize| density * 70.0 * size / lengths[k].max(1.0);
    for (k, cell) in scene.cells.iter().enumerate() {
        for _ in 0..(0.6 * scene.areas[k] as f32 * share(k)) as u32 {
            let start = filament_start(cell, dice);
            let run = lengths[k] * dice.range(0.3, 1.3);
            let weight = 0.55 * cell.brightness[0] * dice.range(0.5, 1.3);
            draw_filament(scene, &mut field, &kind, k as u16 + 1, start, (run, weight), dice);
        }
    }
    // The others start anywhere and lead on outwards, into processes that few reach from the middle.
    scene.scatter(density, dice, |_, label, place, dice| {
        let k = label as usize - 1;
        if dice.chance(0.5 * share(k) / density) {
            let cell = &scene.cells[k];
            let way = outwards([place[0] - cell.at[0], place[1] - cell.at[1]], 0.7, dice);
            let run = lengths[k] * dice.range(0.2, 0.8);
            let weight = 0.5 * cell.brightness[0] * dice.range(0.5, 1.3);
            draw_filament(scene, &mut field, &kind, label, (place, way), (run, weight), dice);
        }
    });
    shed(scene, &mut field, 1.0);
    field
}

/// Adds the debris between the cells, its middle `weight` bright.
fn shed(scene: &Scene, field: &mut Field, weight: f32) {
    for spot in &scene.debris {
        scene.for_disc(spot.at, spot.radius, |at, share| {
            if scene.labels[at] == 0 {
                field.data[at] += weight * (1.0 - smooth_step(0.4, 1.0, share));
            }
        });
    }
}

/// From the organiser, from the rim of the nucleus, or from between it and the border: a place and a way outwards.
fn filament_start(cell: &Cell, dice: &mut Dice) -> ([f32; 2], [f32; 2]) {
    let kind = dice.unit();
    let out = dice.direction();
    if kind < 0.3 {
        let [x, y] = dice.disc(2.0);
        return ([cell.organiser[0] + x, cell.organiser[1] + y], out);
    }
    let far = cell.nucleus_radius * if kind < 0.6 { 1.15 } else { dice.range(1.1, 2.4) };
    let way = outwards(out, 1.0, dice);
    ([cell.at[0] + out[0] * far, cell.at[1] + out[1] * far], way)
}

/// A unit vector about along `ray`, off by chance up to `spread` times its length.
fn outwards(ray: [f32; 2], spread: f32, dice: &mut Dice) -> [f32; 2] {
    let length = (ray[0] * ray[0] + ray[1] * ray[1]).sqrt().max(1e-3);
    let [x, y] = dice.direction();
    let way = [ray[0] / length + spread * x, ray[1] / length + spread * y];
    let norm = (way[0] * way[0] + way[1] * way[1]).sqrt();
    if norm > 0.1 { [way[0] / norm, way[1] / norm] } else { [x, y] }
}

/// A mesh of thin tubes, denser and brighter round the nucleus, with dark vacuoles in some cultures.
pub(super) fn reticulum(scene: &Scene, size: f32, dice: &mut Dice) -> Field {
    let (w, h) = (scene.width, scene.height);
    let mut mesh = Field::texture(w, h, 1.2 * size, dice);
    let contrast = dice.range(0.3, 0.8);
    let grain = Field::texture(w, h, 0.7, dice);
    for (m, g) in mesh.data.iter_mut().zip(&grain.data) {
        *m = (0.6 + contrast * (1.0 - (m.abs() / 0.8).min(1.0)) + 0.28 * g).max(0.05);
    }
    drop(grain);
    let patches = Field::texture(w, h, 7.0 * size, dice);
    let vacuoles = if dice.chance(0.3) { dice.range(1.6, 2.2) } else { 9.0 };
    let holes = Field::texture(w, h, 2.2 * size, dice);
    let (near, reach) = (dice.range(0.3, 1.2), dice.range(0.4, 1.0));
    let rim = if dice.chance(0.5) { dice.range(0.3, 1.2) } else { 0.0 };
    let mut field = scene.paint(|at, cell| {
        let (nucleus, edge) = (scene.nucleus.data[at], scene.edge.data[at]);
        let cytoplasm = 0.10 + 0.90 * smooth_step(-1.5, 1.5, nucleus);
        let round_nucleus = 0.5 + near * exp_minus(nucleus.max(0.0) / (reach * cell.nucleus_radius));
        let height = 0.25 + 0.75 * smooth_step(0.0, 6.0 * size, edge) + rim * exp_minus(edge / (1.5 * size));
        let patch = (1.0 + 0.35 * patches.data[at]).max(0.2);
        let hole = 1.0 - 0.85 * smooth_step(vacuoles, vacuoles + 0.4, holes.data[at]);
        cell.brightness[2] * cytoplasm * round_nucleus * height * patch * hole * mesh.data[at]
    });
    shed(scene, &mut field, 0.9);
    field
}

/// Nuclei with chromatin texture, a slightly brighter rim, and holes where the nucleoli are.
pub(super) fn nuclei(scene: &Scene, size: f32, dice: &mut Dice) -> Field {
    let (w, h) = (scene.width, scene.height);
    let mut chromatin = Field::texture(w, h, 1.4 * size, dice);
    let coarse = Field::texture(w, h, 3.5 * size, dice);
    let (fine, rough) = (dice.range(0.08, 0.28), dice.range(0.05, 0.18));
    for (c, r) in chromatin.data.iter_mut().zip(&coarse.data) {
        *c = (1.0 + fine * *c + rough * r).max(0.1);
    }
    let depth = dice.range(0.45, 0.85);
    let mut field = scene.paint(|at, cell| {
        let inside = -scene.nucleus.data[at];
        if inside < -1.0 {
            return 0.0;
        }
        let rim = 1.0 + 0.18 * exp_minus(inside.max(0.0) / 2.0);
        let chromatin = if inside > 0.0 { chromatin.data[at] } else { 1.0 };
        cell.brightness[1] * smooth_step(-0.8, 1.2, inside) * rim * chromatin
    });
    for cell in &scene.cells {
        for spot in &cell.nucleoli {
            scene.for_disc(spot.at, spot.radius * 1.25, |at, share| {
                let ragged = share + 0.12 * coarse.data[at];
                field.data[at] *= 1.0 - depth * (1.0 - smooth_step(0.5, 1.0, ragged));
            });
        }
    }
    field
}
