//! A run with another budget or learning rate than it had.

use super::Trainer;
use crate::train::config::TrainConfig;

impl Trainer {
    /// Goes on with other settings, of which [`crate::train::resume::settings`] has seen to it that they can change. A run
    /// that was at its end has steps to do again where its budget is longer now.
    pub fn extend(&mut self, config: TrainConfig) {
        self.config = config;
        self.finished &= self.progress() >= 1.0;
    }
}
