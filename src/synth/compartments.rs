//! Compartments without spots in the nucleus, each as a [`Field`] over the canvas, the same for all cells.

use super::field::Field;
use super::protein::Pattern;
use super::rng::{SynthRng, exp_minus, smooth_step};
use super::scene::Scene;
use super::structures::{Filament, draw_filament, reticulum};

/// The field of `pattern`; patterns of spots in the nucleus give the surrounding nucleoplasm.
pub(super) fn spread(scene: &Scene, pattern: Pattern, tubules: &Field, size: f32, rng: &mut SynthRng) -> Field {
    match pattern {
        Pattern::Cytosol => cytosol(scene, size, rng),
        Pattern::Reticulum => reticulum(scene, size, rng),
        Pattern::Microtubules => tubules.clone(),
        Pattern::PlasmaMembrane => plasma_membrane(scene, size, rng),
        Pattern::Mitochondria => mitochondria(scene, size, rng),
        Pattern::Vesicles => vesicles(scene, size, rng),
        Pattern::Golgi => golgi(scene, size, rng),
        Pattern::Nucleoplasm | Pattern::Nucleoli | Pattern::FibrillarCentre | Pattern::Speckles | Pattern::Bodies => {
            nucleoplasm(scene, size, rng)
        }
    }
}

fn cytosol(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let cloud = Field::texture(scene.width, scene.height, 3.0 * size, rng);
    let inside = rng.range(0.1, 0.7);
    scene.paint(|at, _| {
        let place = inside + (1.0 - inside) * smooth_step(-1.0, 1.0, scene.nucleus.data[at]);
        let height = 0.3 + 0.7 * smooth_step(0.0, 6.0 * size, scene.edge.data[at]);
        place * height * (1.0 + 0.25 * cloud.data[at]).max(0.1)
    })
}

fn plasma_membrane(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let cloud = Field::texture(scene.width, scene.height, 3.0 * size, rng);
    let (width, rest) = (size * rng.range(1.0, 2.0), rng.range(0.1, 0.35));
    scene.paint(|at, _| (rest + exp_minus(scene.edge.data[at] / width)) * (1.0 + 0.4 * cloud.data[at]).max(0.1))
}

fn nucleoplasm(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let grain = Field::texture(scene.width, scene.height, 1.5 * size, rng);
    let (amount, outside) = (rng.range(0.1, 0.35), rng.range(0.03, 0.2));
    let mut field = scene.paint(|at, _| {
        let inside = smooth_step(-1.0, 1.0, -scene.nucleus.data[at]);
        (outside + (1.0 - outside) * inside) * (1.0 + amount * grain.data[at]).max(0.1)
    });
    for spot in scene.cells.iter().flat_map(|c| &c.nucleoli) {
        scene.for_disc(spot.at, spot.radius * 1.25, |at, share| {
            field.data[at] *= 1.0 - 0.6 * (1.0 - smooth_step(0.6, 1.0, share));
        });
    }
    field
}

/// Short curved filaments, thicker than microtubules, most of them near the nucleus.
fn mitochondria(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let kind = Filament { step: 0.8, bend: 0.12 / size, avoid: 0.3 };
    let mut field = Field::new(scene.width, scene.height);
    let density = rng.range(0.010, 0.020) / (size * size);
    scene.scatter(density, rng, |at, label, place, rng| {
        let radius = scene.cells[label as usize - 1].nucleus_radius;
        if scene.nucleus.data[at] > 0.5 && rng.chance(0.15 + exp_minus(scene.nucleus.data[at] / radius)) {
            let run = (size * rng.range(4.0, 16.0), rng.range(0.5, 1.2));
            let heading = rng.direction();
            draw_filament(scene, &mut field, &kind, label, (place, heading), run, rng);
        }
    });
    field.blur(0.75 * size);
    field
}

/// Dots in the cytoplasm, few of them over the nucleus.
fn vesicles(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let mut field = scene.paint(|at, _| 0.06 * smooth_step(0.0, 4.0 * size, scene.edge.data[at]));
    let density = rng.range(0.004, 0.012) / (size * size);
    scene.scatter(density, rng, |at, label, place, rng| {
        if scene.nucleus.data[at] > 0.0 || rng.chance(0.05) {
            let (radius, weight) = (size * rng.range(0.9, 2.0), rng.range(0.4, 1.3));
            dot(scene, &mut field, label, place, radius, weight);
        }
    });
    field
}

/// A cluster of blobs and ribbons on one side of the nucleus, around the microtubule organising centre.
fn golgi(scene: &Scene, size: f32, rng: &mut SynthRng) -> Field {
    let mut field = scene.paint(|at, _| 0.05 * smooth_step(0.0, 4.0 * size, scene.edge.data[at]));
    for (k, cell) in scene.cells.iter().enumerate() {
        let [ox, oy] = [cell.organiser[0] - cell.at[0], cell.organiser[1] - cell.at[1]];
        for _ in 0..rng.count(12, 35) {
            // Spread along the nucleus on the organising centre's side, not only on a straight line through it.
            let [x, y] = rng.disc(0.75 * cell.nucleus_radius);
            let place = [cell.at[0] + 1.1 * ox + x, cell.at[1] + 1.1 * oy + y];
            let at = place[0].max(0.0) as usize + place[1].max(0.0) as usize * scene.width;
            if scene.label_at(place) == k as u16 + 1 && scene.nucleus.data[at] > 0.5 {
                let (radius, weight) = (size * rng.range(1.5, 3.2), rng.range(0.3, 0.9));
                dot(scene, &mut field, k as u16 + 1, place, radius, weight);
            }
        }
    }
    field
}

/// A soft dot that stays in its cell.
fn dot(scene: &Scene, field: &mut Field, label: u16, place: [f32; 2], radius: f32, weight: f32) {
    scene.for_disc(place, radius * 1.4, |at, share| {
        if scene.labels[at] == label {
            field.data[at] += weight * (1.0 - smooth_step(0.2, 1.0, share));
        }
    });
}
