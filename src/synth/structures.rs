//! The three structures stained in every image: microtubules, the endoplasmic reticulum and DNA.
//!
//! Each is a [`Field`] over the canvas in arbitrary units; the camera scales it.

use super::culture::Cell;
use super::field::Field;
use super::rng::{SynthRng, exp_minus, smooth_step};
use super::scene::Scene;

/// The shape of one kind of filament.
pub(super) struct Filament {
    /// Step length in pixels.
    pub step: f32,
    /// Random bending at each step; the curvature decays slowly.
    pub bend: f32,
    /// How strongly it avoids the cell border and the nucleus.
    pub avoid: f32,
}

/// Draws one filament from `at` in the direction `heading` for up to `length` pixels, while it stays in cell `label`.
pub(super) fn draw_filament(
    scene: &Scene,
    field: &mut Field,
    kind: &Filament,
    label: u16,
    (mut at, mut heading): ([f32; 2], [f32; 2]),
    (length, weight): (f32, f32),
    rng: &mut SynthRng,
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
        curve = 0.92 * curve + kind.bend * rng.normal();
        let turned = [
            heading[0] - curve * heading[1] + kind.avoid * push[0],
            heading[1] + curve * heading[0] + kind.avoid * push[1],
        ];
        let norm = (turned[0] * turned[0] + turned[1] * turned[1]).sqrt().max(1e-3);
        heading = [turned[0] / norm, turned[1] / norm];
        // Ends fade, and over the nucleus little is in the focal plane.
        let fade = (4.0 * (steps - n) as f32 / steps as f32).min(1.0) * if nucleus < 0.0 { 0.25 } else { 1.0 };
        field.splat(at[0], at[1], weight * fade);
        at = [at[0] + kind.step * heading[0], at[1] + kind.step * heading[1]];
    }
}

/// Curved filaments that radiate from the organising centre and from around the nucleus, and a faint haze of those out of focus.
pub(super) fn microtubules(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let haze = Field::texture(scene.width, scene.height, 5.0 * size, rng);
    let density = rng.range(0.030, 0.055) / size;
    let kind = Filament { step: 0.8, bend: rng.range(0.02, 0.05) / size, avoid: 0.08 };
    let base = rng.range(0.12, 0.35);
    let mut field = scene.paint(|at, cell| {
        let cytoplasm = 0.08 + 0.92 * smooth_step(-1.5, 2.5, scene.nucleus.data[at]);
        let height = smooth_step(0.0, 3.0 * size, scene.edge.data[at]);
        base * cell.brightness[0] * cytoplasm * height * (1.0 + 0.3 * haze.data[at]).max(0.2)
    });
    let lengths: Vec<f32> = scene.areas.iter().map(|&area| (area as f32).sqrt() * 1.1).collect();
    // Larger cells get fewer, longer filaments, so that they are not filled with uniform grey.
    let share = |k: usize| density * 70.0 * size / lengths[k].max(1.0);
    for (k, cell) in scene.cells.iter().enumerate() {
        for _ in 0..(0.6 * scene.areas[k] as f32 * share(k)) as u32 {
            let start = filament_start(cell, rng);
            let run = lengths[k] * rng.range(0.3, 1.3);
            let weight = 0.55 * cell.brightness[0] * rng.range(0.5, 1.3);
            draw_filament(scene, &mut field, &kind, k as u16 + 1, start, (run, weight), rng);
        }
    }
    // The others start anywhere and lead outwards, into processes that few filaments reach from the centre.
    scene.scatter(density, rng, |_, label, place, rng| {
        let k = label as usize - 1;
        if rng.chance(0.5 * share(k) / density) {
            let cell = &scene.cells[k];
            let heading = outwards([place[0] - cell.at[0], place[1] - cell.at[1]], 0.7, rng);
            let run = lengths[k] * rng.range(0.2, 0.8);
            let weight = 0.5 * cell.brightness[0] * rng.range(0.5, 1.3);
            draw_filament(scene, &mut field, &kind, label, (place, heading), (run, weight), rng);
        }
    });
    shed(scene, &mut field, 1.0);
    field
}

/// Adds the debris between the cells, with brightness `weight` at its centre.
fn shed(scene: &Scene, field: &mut Field, weight: f32) {
    for spot in &scene.debris {
        scene.for_disc(spot.at, spot.radius, |at, share| {
            if scene.labels[at] == 0 {
                field.data[at] += weight * (1.0 - smooth_step(0.4, 1.0, share));
            }
        });
    }
}

/// A start position and outward direction: at the organising centre, at the rim of the nucleus, or between it and the border.
fn filament_start(cell: &Cell, rng: &mut SynthRng) -> ([f32; 2], [f32; 2]) {
    let kind = rng.unit();
    let out = rng.direction();
    if kind < 0.3 {
        let [x, y] = rng.disc(2.0);
        return ([cell.organiser[0] + x, cell.organiser[1] + y], out);
    }
    let far = cell.nucleus_radius * if kind < 0.6 { 1.15 } else { rng.range(1.1, 2.4) };
    let heading = outwards(out, 1.0, rng);
    ([cell.at[0] + out[0] * far, cell.at[1] + out[1] * far], heading)
}

/// A unit vector along `ray` with a random deviation of up to `spread` times its length.
fn outwards(ray: [f32; 2], spread: f32, rng: &mut SynthRng) -> [f32; 2] {
    let length = (ray[0] * ray[0] + ray[1] * ray[1]).sqrt().max(1e-3);
    let [x, y] = rng.direction();
    let heading = [ray[0] / length + spread * x, ray[1] / length + spread * y];
    let norm = (heading[0] * heading[0] + heading[1] * heading[1]).sqrt();
    if norm > 0.1 { [heading[0] / norm, heading[1] / norm] } else { [x, y] }
}

/// A mesh of thin tubes, denser and brighter around the nucleus, with dark vacuoles in some cultures.
pub(super) fn reticulum(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let (w, h) = (scene.width, scene.height);
    let mut mesh = Field::texture(w, h, 1.2 * size, rng);
    let contrast = rng.range(0.3, 0.8);
    let grain = Field::texture(w, h, 0.7, rng);
    for (m, g) in mesh.data.iter_mut().zip(&grain.data) {
        *m = (0.6 + contrast * (1.0 - (m.abs() / 0.8).min(1.0)) + 0.28 * g).max(0.05);
    }
    drop(grain);
    let patches = Field::texture(w, h, 7.0 * size, rng);
    let vacuoles = if rng.chance(0.3) { rng.range(1.6, 2.2) } else { 9.0 };
    let holes = Field::texture(w, h, 2.2 * size, rng);
    let (near, reach) = (rng.range(0.3, 1.2), rng.range(0.4, 1.0));
    let rim = if rng.chance(0.5) { rng.range(0.3, 1.2) } else { 0.0 };
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

/// Nuclei with chromatin texture, a slightly brighter rim, and holes at the nucleoli.
pub(super) fn nuclei(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let (w, h) = (scene.width, scene.height);
    let mut chromatin = Field::texture(w, h, 1.4 * size, rng);
    let coarse = Field::texture(w, h, 3.5 * size, rng);
    let (fine, rough) = (rng.range(0.08, 0.28), rng.range(0.05, 0.18));
    for (c, r) in chromatin.data.iter_mut().zip(&coarse.data) {
        *c = (1.0 + fine * *c + rough * r).max(0.1);
    }
    let depth = rng.range(0.45, 0.85);
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
