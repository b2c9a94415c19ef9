//! The protein of interest: its localisation, and the cell class that follows from it.

use super::compartments::spread;
use super::field::Field;
use super::rng::{SynthRng, smooth_step};
use super::scene::Scene;

/// Compartments of the Atlas that the generator draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Large spots in the nucleus.
    Nucleoli,
    /// Small spots within the nucleoli.
    FibrillarCentre,
    /// Many fine spots in the nucleus.
    Speckles,
    /// A few small spots in the nucleus.
    Bodies,
    /// The nucleus without its spots.
    Nucleoplasm,
    /// The cell without its nucleus.
    Cytosol,
    /// The endoplasmic reticulum.
    Reticulum,
    /// Filaments from near the nucleus to the edge.
    Microtubules,
    /// The edge of the cell.
    PlasmaMembrane,
    /// Short threads around the nucleus.
    Mitochondria,
    /// Small spots in the cytosol.
    Vesicles,
    /// A patch beside the nucleus.
    Golgi,
}

use Pattern::{
    Bodies, Cytosol, FibrillarCentre, Golgi, Microtubules, Mitochondria, Nucleoli, Nucleoplasm, PlasmaMembrane,
    Reticulum, Speckles, Vesicles,
};

/// Patterns of bright spots in the nucleus: class `nucleoli`.
const SPOTS: [Pattern; 4] = [Nucleoli, FibrillarCentre, Speckles, Bodies];
/// The others: class `not_nucleoli`.
const OTHERS: [Pattern; 8] =
    [Nucleoplasm, Cytosol, Reticulum, Microtubules, PlasmaMembrane, Mitochondria, Vesicles, Golgi];

/// The minimum number of visible pixels for a spot to count.
const SPOT_PIXELS: u32 = 3;

/// The green channel of one image and, for each cell, whether its nucleus shows spots within the image.
pub(super) struct Protein {
    pub field: Field,
    pub spotted: Vec<bool>,
    /// The pattern of the image.
    pub main: Pattern,
}

/// `nucleolar` is the probability of a pattern with spots. In such an image some cells show none, and all cells have a second,
/// weaker pattern, because antibodies rarely bind in one place only.
pub(super) fn protein(scene: &Scene, tubules: &Field, size: f32, nucleolar: f32, rng: &mut SynthRng) -> Protein {
    let spots = rng.chance(nucleolar);
    let main = if spots { pick(&SPOTS, rng) } else { pick(&OTHERS, rng) };
    let second = pick(&OTHERS, rng);
    // Weight of the second pattern, the background that the spots stand out from.
    let share = if spots { rng.range(0.06, 0.38) } else { rng.range(0.0, 0.4) };
    let mut field = spread(scene, second, tubules, size, rng);
    rescale(&mut field, share);
    let mut spotted = vec![false; scene.cells.len()];
    if spots {
        let expressing = rng.range(0.6, 1.0);
        let nucleoplasm = rng.range(0.0, 0.25);
        for (out, (&nucleus, &label)) in field.data.iter_mut().zip(scene.nucleus.data.iter().zip(&scene.labels)) {
            if label > 0 {
                *out += nucleoplasm * smooth_step(-1.0, 1.0, -nucleus);
            }
        }
        for (k, spotted) in spotted.iter_mut().enumerate() {
            if rng.chance(expressing) {
                *spotted = draw_spots(scene, &mut field, main, k, size, rng);
            }
        }
    } else {
        let mut first = spread(scene, main, tubules, size, rng);
        rescale(&mut first, 1.0);
        for (out, v) in field.data.iter_mut().zip(&first.data) {
            *out += v;
        }
    }
    // Antibody staining is granular.
    let grain = Field::texture(scene.width, scene.height, 0.75, rng);
    let amount = rng.range(0.1, 0.35);
    for ((out, &label), grain) in field.data.iter_mut().zip(&scene.labels).zip(&grain.data) {
        if label > 0 {
            let factor = (1.0 + amount * grain).max(0.1);
            *out *= scene.cells[label as usize - 1].expression * factor * factor;
        }
    }
    Protein { field, spotted, main }
}

fn pick(patterns: &[Pattern], rng: &mut SynthRng) -> Pattern {
    patterns[rng.count(0, patterns.len() as u32 - 1) as usize]
}

/// Scales the 99th percentile to `level`, so that patterns can be mixed by weight.
fn rescale(field: &mut Field, level: f32) {
    let top = field.quantile(0.99);
    if top > 0.0 {
        for v in &mut field.data {
            *v *= level / top;
        }
    }
}

/// Draws bright spots in the nucleus of cell `k` and returns whether one of them is visible in the image.
fn draw_spots(scene: &Scene, field: &mut Field, pattern: Pattern, k: usize, size: f32, rng: &mut SynthRng) -> bool {
    let cell = &scene.cells[k];
    let mut spots: Vec<([f32; 2], f32, f32)> = Vec::new();
    let anywhere = |rng: &mut SynthRng| {
        let [x, y] = rng.disc(0.85 * cell.nucleus_radius);
        [cell.at[0] + x, cell.at[1] + y]
    };
    match pattern {
        FibrillarCentre => {
            for spot in &cell.nucleoli {
                for _ in 0..rng.count(1, 4) {
                    let [x, y] = rng.disc(0.6 * spot.radius);
                    let radius = size * rng.range(1.2, 2.0);
                    spots.push(([spot.at[0] + x, spot.at[1] + y], radius, rng.range(0.8, 1.3)));
                }
            }
        }
        Speckles => {
            for _ in 0..rng.count(10, 26) {
                spots.push((anywhere(rng), size * rng.range(1.2, 2.8), rng.range(0.5, 1.1)));
            }
        }
        Bodies => {
            for _ in 0..rng.count(2, 9) {
                spots.push((anywhere(rng), size * rng.range(1.1, 2.0), rng.range(0.7, 1.4)));
            }
        }
        _ => spots.extend(cell.nucleoli.iter().map(|s| (s.at, s.radius * 1.1, rng.range(0.75, 1.2)))),
    }
    let mut visible = false;
    for (at, radius, weight) in spots {
        let mut seen = 0;
        scene.for_disc(at, radius * 1.4, |at, share| {
            if scene.nucleus.data[at] < -0.5 && scene.labels[at] == k as u16 + 1 {
                let body = 1.0 - smooth_step(0.35, 1.0, share);
                field.data[at] += weight * body;
                seen += u32::from(body > 0.4 && scene.in_frame(at));
            }
        });
        visible |= seen >= SPOT_PIXELS;
    }
    visible
}
