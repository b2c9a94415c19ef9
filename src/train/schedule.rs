//! The learning rate over a training run.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Decay {
    Constant,
    /// Multiplied by `gamma` when each share (0–1) of the training run is done, as `MultiStepLR`.
    Step {
        shares: Vec<f64>,
        gamma: f64,
    },
    /// Half a cosine from 1 down to `end`, as `CosineAnnealingLR`.
    Cosine {
        end: f64,
    },
}

/// Warm-up, then decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate after the warm-up.
    pub base: f64,
    /// Steps over which the rate rises in a line from `warmup_factor` of its value to all of it.
    pub warmup_steps: u64,
    pub warmup_factor: f64,
    pub decay: Decay,
}

impl Schedule {
    /// The rate of a step, counted from 0, when `progress` (0–1) of the whole training is done.
    pub fn rate(&self, step: u64, progress: f64) -> f64 {
        let warmup = match self.warmup_steps {
            n if step < n => self.warmup_factor + (1.0 - self.warmup_factor) * step as f64 / n as f64,
            _ => 1.0,
        };
        let progress = progress.clamp(0.0, 1.0);
        let decay = match &self.decay {
            Decay::Constant => 1.0,
            Decay::Step { shares, gamma } => {
                let passed = shares.iter().filter(|share| progress >= **share).count();
                gamma.powi(passed as i32)
            }
            Decay::Cosine { end } => end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.base * warmup * decay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(decay: Decay) -> Schedule {
        Schedule { base: 0.02, warmup_steps: 10, warmup_factor: 0.1, decay }
    }

    #[test]
    fn it_warms_up_in_a_line() {
        let s = schedule(Decay::Constant);
        let near = |step, expected: f64| assert!((s.rate(step, 0.0) - expected).abs() < 1e-12);
        near(0, 0.002);
        near(5, 0.011);
        near(10, 0.02);
        near(1000, 0.02);
    }

    #[test]
    fn it_steps_and_it_bends() {
        let s = schedule(Decay::Step { shares: vec![0.6, 0.9], gamma: 0.1 });
        let rates = [0.5, 0.6, 0.95].map(|p| s.rate(100, p));
        for (rate, expected) in rates.into_iter().zip([0.02, 0.002, 0.0002]) {
            assert!((rate / expected - 1.0).abs() < 1e-6);
        }
        let s = schedule(Decay::Cosine { end: 0.0 });
        assert!((s.rate(100, 0.5) - 0.01).abs() < 1e-9 && s.rate(100, 1.0).abs() < 1e-12);
    }
}
