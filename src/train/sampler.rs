//! In which order the images come: shuffled again every epoch, and savable in the middle of one.

use serde::{Deserialize, Serialize};

use super::rng::TrainRng;

/// Goes through `0..length` again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochSampler {
    order: Vec<usize>,
    position: usize,
    epoch: u64,
}

impl EpochSampler {
    pub fn new(length: usize) -> Self {
        Self { order: (0..length).collect(), position: length, epoch: 0 }
    }

    /// Images of one epoch.
    pub fn length(&self) -> usize {
        self.order.len()
    }

    /// Whole epochs behind.
    pub fn finished_epochs(&self) -> u64 {
        if self.epoch > 0 && self.position < self.order.len() { self.epoch - 1 } else { self.epoch }
    }

    /// The next `size` images; an epoch's last batch is filled from the next epoch, so that every batch is full.
    pub fn batch(&mut self, size: usize, rng: &mut TrainRng) -> Vec<usize> {
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size && !self.order.is_empty() {
            if self.position >= self.order.len() {
                rng.shuffle(&mut self.order);
                self.position = 0;
                self.epoch += 1;
            }
            batch.push(self.order[self.position]);
            self.position += 1;
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_image_once() {
        let (mut sampler, mut rng) = (EpochSampler::new(10), TrainRng::new(5));
        let drawn: Vec<usize> = (0..10).flat_map(|_| sampler.batch(3, &mut rng)).collect();
        for epoch in drawn.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..10], drawn[10..20]);
        assert_eq!(sampler.finished_epochs(), 3);
        sampler.batch(1, &mut rng);
        assert_eq!(sampler.finished_epochs(), 3);
    }

    #[test]
    fn no_images_no_batch() {
        assert!(EpochSampler::new(0).batch(4, &mut TrainRng::new(0)).is_empty());
    }
}
