//! Weight initialisation from a seed, with torchvision's distributions.
//!
//! Every layer has its own random stream, derived from the seed and the layer's name. A new head thus gets the same values on
//! every device, whether or not the other layers come from a file. The distribution is torch's; the values are not.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::layers::{Initializer, LayerKind, LayerSpec, LayerValues, ParameterSource};
use crate::error::Result;

/// Initialises every layer from a seed.
#[derive(Debug, Clone, Copy)]
pub struct Seeded {
    pub seed: u64,
}

impl ParameterSource for Seeded {
    fn layer(&mut self, spec: &LayerSpec) -> Result<LayerValues> {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(spec.name.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
        let (fan_in, fan_out) = fans(spec.kind);
        let n = spec.kind.torch_shape().iter().product();
        let bound_default = 1.0 / (fan_in as f32).sqrt();
        let kaiming = (2.0 / fan_out as f32).sqrt();
        let weight = match spec.init {
            Initializer::Normal(std) => normal(&mut rng, n, std),
            Initializer::KaimingNormal | Initializer::KaimingNormalDefaultBias => normal(&mut rng, n, kaiming),
            // gain √(2 / (1 + a²)) = 1, bound = gain · √(3 / fan_in)
            Initializer::KaimingUniform => uniform(&mut rng, n, (3.0 / fan_in as f32).sqrt()),
            Initializer::Default => uniform(&mut rng, n, bound_default),
        };
        let outputs = spec.kind.output();
        let bias = match spec.init {
            Initializer::KaimingNormalDefaultBias | Initializer::Default => uniform(&mut rng, outputs, bound_default),
            _ => vec![0.0; outputs],
        };
        Ok(LayerValues { weight, bias, scale: None })
    }
}

/// Fan-in and fan-out as in torch's `_calculate_fan_in_and_fan_out`: from the weight's shape, even for a transposed convolution,
/// whose axes are swapped.
fn fans(kind: LayerKind) -> (usize, usize) {
    let shape = kind.torch_shape();
    let field: usize = shape[2..].iter().product();
    (shape[1] * field, shape[0] * field)
}

fn uniform(rng: &mut ChaCha8Rng, n: usize, bound: f32) -> Vec<f32> {
    (0..n).map(|_| (unit(rng) * 2.0 - 1.0) as f32 * bound).collect()
}

/// Box–Muller transform.
fn normal(rng: &mut ChaCha8Rng, n: usize, std: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(n + 1);
    while out.len() < n {
        let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit(rng)).sin_cos();
        out.extend([(radius * cos) as f32 * std, (radius * sin) as f32 * std]);
    }
    out.truncate(n);
    out
}

/// Uniform in `[0, 1)`, with 53 bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(name: &str, seed: u64, init: Initializer) -> LayerValues {
        let kind = LayerKind::Conv { input: 64, output: 32, kernel: 3 };
        Seeded { seed }.layer(&LayerSpec { name: name.into(), norm: None, kind, init }).unwrap()
    }

    #[test]
    fn a_layer_depends_only_on_its_name_and_the_seed() {
        let a = draw("a", 1, Initializer::KaimingNormal);
        assert_eq!(a, draw("a", 1, Initializer::KaimingNormal));
        assert_ne!(a, draw("a", 2, Initializer::KaimingNormal));
        assert_ne!(a, draw("b", 1, Initializer::KaimingNormal));
    }

    #[test]
    fn the_spread_is_torchs() {
        let std = |v: &[f32]| (v.iter().map(|x| (x * x) as f64).sum::<f64>() / v.len() as f64).sqrt();
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
        near(std(&draw("a", 1, Initializer::Normal(0.01)).weight), 0.01);
        near(std(&draw("a", 1, Initializer::KaimingNormal).weight), (2.0f64 / 288.0).sqrt());
        near(std(&draw("a", 1, Initializer::KaimingUniform).weight), (1.0f64 / 576.0).sqrt());
        near(std(&draw("a", 1, Initializer::Default).weight), (1.0f64 / 576.0 / 3.0).sqrt());
        assert!(draw("a", 1, Initializer::Normal(0.01)).bias.iter().all(|b| *b == 0.0));
        assert!(draw("a", 1, Initializer::Default).bias.iter().all(|b| b.abs() <= 1.0 / 24.0));
    }
}
