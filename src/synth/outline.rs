//! Closed outlines in polar form: a radius for each direction.

use super::rng::{SynthRng, smooth_step};

/// Directions of an outline, evenly spaced on the diamond |x| + |y| = 1, which needs no arc tangent.
const STEPS: usize = 256;

/// A star-shaped outline: the distance of the border from the centre in each of [`STEPS`] directions.
pub(super) struct Outline {
    radii: Vec<f32>,
}

/// A pointed process of a cell.
pub(super) struct Spike {
    pub direction: [f32; 2],
    /// 1 − cos of the angle from the axis at which it vanishes.
    pub width: f32,
    /// Length at the tip in pixels.
    pub length: f32,
}

impl Outline {
    /// An ellipse with mean radius `radius`, aspect ratio `aspect` and its long side along `axis`, made irregular by the first
    /// four harmonics with amplitudes of about `wobble` (a fraction of the radius).
    pub fn ellipse(radius: f32, aspect: f32, axis: [f32; 2], wobble: f32, rng: &mut SynthRng) -> Self {
        let (a, b) = (radius * aspect.sqrt(), radius / aspect.sqrt());
        let phases: Vec<[f32; 2]> = (0..4)
            .map(|k| {
                let [x, y] = rng.direction();
                let size = wobble * rng.range(0.4, 1.2) / (1.0 + 0.5 * k as f32);
                [x * size, y * size]
            })
            .collect();
        let radius_towards = |k: usize| {
            let [x, y] = direction(k);
            let (u, v) = (x * axis[0] + y * axis[1], y * axis[0] - x * axis[1]);
            let mut factor = 1.0;
            let mut power = [1.0, 0.0];
            for [px, py] in &phases {
                power = [power[0] * u - power[1] * v, power[0] * v + power[1] * u];
                factor += power[0] * px + power[1] * py;
            }
            a * b / ((b * u) * (b * u) + (a * v) * (a * v)).sqrt() * factor.max(0.35)
        };
        Self { radii: (0..STEPS).map(radius_towards).collect() }
    }

    pub fn add_spike(&mut self, spike: &Spike) {
        for (k, radius) in self.radii.iter_mut().enumerate() {
            let [x, y] = direction(k);
            let beside = 1.0 - (x * spike.direction[0] + y * spike.direction[1]);
            let share = 1.0 - smooth_step(0.0, 1.0, (beside / spike.width).sqrt());
            *radius += spike.length * share * share;
        }
    }

    /// Grows the outline to at least `factor` times `inner` plus `margin` in every direction.
    pub fn enclose(&mut self, inner: &Self, factor: f32, margin: f32) {
        for (radius, inside) in self.radii.iter_mut().zip(&inner.radii) {
            *radius = radius.max(inside * factor + margin);
        }
    }

    /// Distance from the centre relative to the border's: below 1 inside.
    pub fn depth(&self, dx: f32, dy: f32) -> f32 {
        let sum = dx.abs() + dy.abs();
        if sum == 0.0 {
            return 0.0;
        }
        let t = dy / sum;
        let turn = if dx < 0.0 {
            2.0 - t
        } else if t < 0.0 {
            4.0 + t
        } else {
            t
        };
        let place = turn * (STEPS as f32 / 4.0);
        let (k, part) = (place as usize, place - (place as usize) as f32);
        let (a, b) = (self.radii[k % STEPS], self.radii[(k + 1) % STEPS]);
        (dx * dx + dy * dy).sqrt() / (a + (b - a) * part)
    }

    pub fn reach(&self) -> f32 {
        self.radii.iter().fold(0.0, |a, &b| a.max(b))
    }
}

fn direction(k: usize) -> [f32; 2] {
    let turn = k as f32 * (4.0 / STEPS as f32);
    let t = if turn <= 1.0 {
        turn
    } else if turn <= 3.0 {
        2.0 - turn
    } else {
        turn - 4.0
    };
    let x = if turn > 1.0 && turn < 3.0 { t.abs() - 1.0 } else { 1.0 - t.abs() };
    let length = (x * x + t * t).sqrt();
    [x / length, t / length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_round_in_every_direction() {
        let circle = Outline::ellipse(10.0, 1.0, [1.0, 0.0], 0.0, &mut SynthRng::new(0, 0, 0));
        for k in 0..STEPS {
            let [x, y] = direction(k);
            assert!((x * x + y * y - 1.0).abs() < 1e-5);
            assert!((circle.depth(10.0 * x, 10.0 * y) - 1.0).abs() < 1e-4, "direction {k}");
        }
    }

    #[test]
    fn an_ellipse_follows_its_axis_and_a_spike_extends_it() {
        let mut e = Outline::ellipse(10.0, 4.0, [0.6, 0.8], 0.0, &mut SynthRng::new(0, 0, 0));
        assert!((e.depth(12.0, 16.0) - 1.0).abs() < 0.02 && (e.depth(-4.0, 3.0) - 1.0).abs() < 0.02);
        e.add_spike(&Spike { direction: [-0.8, 0.6], width: 0.1, length: 20.0 });
        assert!((e.depth(-20.0, 15.0) - 1.0).abs() < 0.05);
        assert!((e.depth(12.0, 16.0) - 1.0).abs() < 0.02);
    }
}
