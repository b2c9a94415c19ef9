//! The course of the validations of a run with its swings evened out: on a few images a single one is chance.

use serde::{Deserialize, Serialize};

/// How much of the earlier validations stays in the figure.
const INERTIA: f64 = 0.5;

/// AP50, each validation averaged with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    now: f64,
    most: f64,
    /// How much of the budget was used up when it was highest, 0–1.
    pub best_at: f64,
}

impl Smoothed {
    /// With one more validation, of `ap_50`, at this progress of the run.
    pub fn after(before: Option<Self>, ap_50: f64, progress: f64) -> Self {
        let Some(before) = before else { return Self { now: ap_50, most: ap_50, best_at: progress } };
        let now = INERTIA * before.now + (1.0 - INERTIA) * ap_50;
        // Of equal ones the later has seen more.
        if now >= before.most { Self { now, most: now, best_at: progress } } else { Self { now, ..before } }
    }

    /// Whether the last validation is the one to keep the detector of.
    pub fn is_best(self) -> bool {
        self.now >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_lucky_validation_is_followed_by_no_fall() {
        let figures = [0.30, 0.68, 0.38, 0.60, 0.62, 0.64, 0.20];
        let mut smoothed = None;
        let mut best = Vec::new();
        for (i, ap_50) in figures.into_iter().enumerate() {
            let now = Smoothed::after(smoothed, ap_50, i as f64 / 10.0);
            best.push(now.is_best());
            smoothed = Some(now);
        }
        assert_eq!(best, [true, true, false, true, true, true, false]);
        assert_eq!(smoothed.unwrap().best_at, 0.5);
    }

    #[test]
    fn nothing_learnt_yet_counts_the_latest() {
        let first = Smoothed::after(None, 0.0, 0.1);
        assert!(first.is_best() && Smoothed::after(Some(first), 0.0, 0.2).is_best());
    }
}
