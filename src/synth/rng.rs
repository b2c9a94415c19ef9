//! The random number generator and its distributions, bit-identical on every machine.
//!
//! Only `+ - * /`, square roots and comparisons of f32 are used, because IEEE 754 defines their rounding; the platform's `sin`,
//! `exp` and `ln` may differ. For the same reason directions are unit vectors, not angles.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(super) struct SynthRng(ChaCha8Rng);

impl SynthRng {
    /// Each part of an image has its own `stream`: drawing more numbers in one part leaves the others unchanged.
    pub fn new(seed: u64, index: u32, stream: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(index) << 32 | u64::from(stream));
        Self(rng)
    }

    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform integer in `low..=high`.
    pub fn count(&mut self, low: u32, high: u32) -> u32 {
        low + (self.unit() * (high - low + 1) as f32) as u32
    }

    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// Approximately normal with mean 0 and variance 1, within ±3.5: the sum of four uniform numbers.
    pub fn normal(&mut self) -> f32 {
        let (a, b) = (self.0.next_u32(), self.0.next_u32());
        let sum = (a & 0xFFFF) + (a >> 16) + (b & 0xFFFF) + (b >> 16);
        (sum as f32 - 131_070.0) * (1.0 / 37_837.0)
    }

    /// A positive factor with median about 1; a `spread` of 0.5 gives mostly 0.6–1.6.
    pub fn factor(&mut self, spread: f32) -> f32 {
        let n = self.normal() * spread;
        if n < 0.0 { 1.0 / (1.0 - n) } else { 1.0 + n }
    }

    /// A unit vector in a random direction.
    pub fn direction(&mut self) -> [f32; 2] {
        loop {
            let (x, y) = (self.range(-1.0, 1.0), self.range(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.01 && square < 1.0 {
                let length = square.sqrt();
                return [x / length, y / length];
            }
        }
    }

    /// A uniformly distributed point in the disc around (0, 0).
    pub fn disc(&mut self, radius: f32) -> [f32; 2] {
        loop {
            let (x, y) = (self.range(-1.0, 1.0), self.range(-1.0, 1.0));
            if x * x + y * y < 1.0 {
                return [x * radius, y * radius];
            }
        }
    }

    /// Poisson-distributed: exact inversion up to a mean of 12, the normal approximation beyond.
    pub fn poisson(&mut self, mean: f32) -> f32 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean > 12.0 {
            return (mean + self.normal() * mean.sqrt()).max(0.0);
        }
        let u = self.unit();
        let mut term = exp_minus(mean);
        let (mut sum, mut k) = (term, 0.0);
        while u > sum && k < 60.0 {
            k += 1.0;
            term *= mean / k;
            sum += term;
        }
        k
    }
}

/// `exp(-x)` for `x` ≥ 0: relative error 1e-4 up to 12, decreasing towards 0 beyond.
pub(super) fn exp_minus(x: f32) -> f32 {
    let y = x.min(80.0) * (1.0 / 128.0);
    let mut p = 1.0 - y * (1.0 - y * (0.5 - y * (1.0 / 6.0 - y * (1.0 / 24.0))));
    for _ in 0..7 {
        p *= p;
    }
    p
}

/// 0 below `low`, 1 above `high`, smooth between (Hermite).
pub(super) fn smooth_step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        for i in 0..=1200 {
            let x = i as f32 / 100.0;
            assert!((exp_minus(x) / (-x).exp() - 1.0).abs() < 1e-4, "{x}: {}", exp_minus(x));
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = SynthRng::new(1, 2, 3);
        let moments = |v: Vec<f32>| {
            let mean = v.iter().sum::<f32>() / v.len() as f32;
            (mean, v.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / v.len() as f32)
        };
        for mean in [0.3, 3.0, 11.0, 40.0] {
            let (m, v) = moments((0..20_000).map(|_| rng.poisson(mean)).collect());
            assert!((m / mean - 1.0).abs() < 0.05 && (v / mean - 1.0).abs() < 0.08, "{mean}: {m} {v}");
        }
        let (m, v) = moments((0..20_000).map(|_| rng.normal()).collect());
        assert!(m.abs() < 0.03 && (v - 1.0).abs() < 0.05, "{m} {v}");
    }

    #[test]
    fn streams_differ_and_are_reproducible() {
        let draw = |seed, index, stream| SynthRng::new(seed, index, stream).bits();
        assert_eq!(draw(7, 1, 2), draw(7, 1, 2));
        let all = [draw(7, 1, 2), draw(8, 1, 2), draw(7, 2, 2), draw(7, 1, 3)];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])));
    }
}
