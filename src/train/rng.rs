//! The random number generator of a training run: seeded, the same on every machine, and saved with the checkpoint.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A ChaCha8 stream with the few draws that training needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrainRng(ChaCha8Rng);

impl TrainRng {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// In `[0, 1)`, with 24 bits.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// In `[low, high)`; `low` where the range is empty.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low).max(0.0) * self.unit()
    }

    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// In `0..n`; 0 where `n` is 0. The bias of the multiplication is below 2⁻³² · n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }

    /// `k` of `values`, each subset as likely as another, in no order that means anything.
    pub fn choose<T: Copy>(&mut self, values: &[T], k: usize) -> Vec<T> {
        let mut pool = values.to_vec();
        let k = k.min(pool.len());
        for i in 0..k {
            let j = i + self.below(pool.len() - i);
            pool.swap(i, j);
        }
        pool.truncate(k);
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_stream_continues_where_it_was() {
        let mut rng = TrainRng::new(7);
        rng.shuffle(&mut [0; 13]);
        let json = serde_json::to_string(&rng).unwrap();
        let mut back: TrainRng = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (0..9).map(|_| rng.below(1000)).collect::<Vec<_>>(),
            (0..9).map(|_| back.below(1000)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn choices_are_subsets_without_repeats() {
        let mut rng = TrainRng::new(1);
        let values: Vec<usize> = (0..20).collect();
        let mut seen = [0usize; 20];
        for _ in 0..2000 {
            let mut chosen = rng.choose(&values, 5);
            chosen.iter().for_each(|&v| seen[v] += 1);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 5);
        }
        assert!(seen.iter().all(|n| (400..600).contains(n)), "{seen:?}");
        assert_eq!(rng.choose(&values, 50).len(), 20);
    }
}
