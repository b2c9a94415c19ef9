//! The protein of interest: where in the cell it is, and what that makes of the cell's class.

use super::compartments::spread;
use super::dice::{Dice, smooth_step};
use super::field::Field;
use super::scene::Scene;

/// Compartments of the Atlas that the generator draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    Nucleoli,
    FibrillarCentre,
    Speckles,
    Bodies,
    Nucleoplasm,
    Cytosol,
    Reticulum,
    Microtubules,
    PlasmaMembrane,
    Mitochondria,
    Vesicles,
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

/// The least number of pixels of a spot in the frame for the spot to count.
const SPOT_PIXELS: u32 = 3;

/// The green channel of one image and, for each cell, whether its nucleus shows spots in the frame.
pub(super) struct Protein {
    pub field: Field,
    pub spotted: Vec<bool>,
    /// The pattern that the image is of.
    pub main: Pattern,
}

/// `nucleolar` is the probability that the image is of a pattern of spots. Of such an image some cells show none, and
/// a second, weaker pattern lies in all cells, as antibodies seldom bind in one place alone.
pub(super) fn protein(scene: &Scene, tubules: &Field, size: f32, nucleolar: f32, dice: &mut Dice) -> Protein {
    let spots = dice.chance(nucleolar);
    let main = if spots { pick(&SPOTS, dice) } else { pick(&OTHERS, dice) };
    let second = pick(&OTHERS, dice);
    // What the spots stand out from; without a main pattern besides, it is what is seen of the protein at all.
    let share = if spots { dice.range(0.06, 0.38) } else { dice.range(0.0, 0.4) };
    let mut field = spread(scene, second, tubules, size, dice);
    rescale(&mut field, share);
    let mut spotted = vec![false; scene.cells.len()];
    if spots {
        let expressing = dice.range(0.6, 1.0);
        let nucleoplasm = dice.range(0.0, 0.25);
        for (out, (&nucleus, &label)) in field.data.iter_mut().zip(scene.nucleus.data.iter().zip(&scene.labels)) {
            if label > 0 {
                *out += nucleoplasm * smooth_step(-1.0, 1.0, -nucleus);
            }
        }
        for (k, spotted) in spotted.iter_mut().enumerate() {
            if dice.chance(expressing) {
                *spotted = draw_spots(scene, &mut field, main, k, size, dice);
            }
        }
    } else {
        let mut first = spread(scene, main, tubules, size, dice);
        rescale(&mut first, 1.0);
        for (out, v) in field.data.iter_mut().zip(&first.data) {
            *out += v;
        }
    }
    // Antibodies bind in grains.
    let grain = Field::texture(scene.width, scene.height, 0.75, dice);
    let amount = dice.range(0.1, 0.35);
    for ((out, &label), grain) in field.data.iter_mut().zip(&scene.labels).zip(&grain.data) {
        if label > 0 {
            let factor = (1.0 + amount * grain).max(0.1);
            *out *= scene.cells[label as usize - 1].expression * factor * factor;
        }
    }
    Protein { field, spotted, main }
}

fn pick(patterns: &[Pattern], dice: &mut Dice) -> Pattern {
    patterns[dice.count(0, patterns.len() as u32 - 1) as usize]
}

/// Makes the 99th percentile `level`, so that patterns can be mixed by shares.
fn rescale(field: &mut Field, level: f32) {
    let top = field.quantile(0.99);
    if top > 0.0 {
        for v in &mut field.data {
            *v *= level / top;
        }
    }
}

/// Bright spots in the nucleus of cell `k`; whether one of them can be seen in the frame.
fn draw_spots(scene: &Scene, field: &mut Field, pattern: Pattern, k: usize, size: f32, dice: &mut Dice) -> bool {
    let cell = &scene.cells[k];
    let mut spots: Vec<([f32; 2], f32, f32)> = Vec::new();
    let anywhere = |dice: &mut Dice| {
        let [x, y] = dice.disc(0.85 * cell.nucleus_radius);
        [cell.at[0] + x, cell.at[1] + y]
    };
    match pattern {
        FibrillarCentre => {
            for spot in &cell.nucleoli {
                for _ in 0..dice.count(1, 4) {
                    let [x, y] = dice.disc(0.6 * spot.radius);
                    let radius = size * dice.range(1.2, 2.0);
                    spots.push(([spot.at[0] + x, spot.at[1] + y], radius, dice.range(0.8, 1.3)));
                }
            }
        }
        Speckles => {
            for _ in 0..dice.count(10, 26) {
                spots.push((anywhere(dice), size * dice.range(1.2, 2.8), dice.range(0.5, 1.1)));
            }
        }
        Bodies => {
            for _ in 0..dice.count(2, 9) {
                spots.push((anywhere(dice), size * dice.range(1.1, 2.0), dice.range(0.7, 1.4)));
            }
        }
        _ => spots.extend(cell.nucleoli.iter().map(|s| (s.at, s.radius * 1.1, dice.range(0.75, 1.2)))),
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
