//! Which score threshold a class is to have, and what it costs: chosen on annotated images that the detector has not learned from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Evaluation, ap::Fate};

/// Scores that are tried: every hundredth from the lowest one that is detected with, as on the page's slider.
const SCORES: std::ops::RangeInclusive<u32> = 5..=99;

/// Detections of a class with at least a score, at IoU 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub score: f32,
    pub true_positives: usize,
    pub false_positives: usize,
}

/// What a threshold is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Goal {
    /// The greatest harmonic mean of precision and recall.
    BestF1,
    /// The greatest recall with at least this precision.
    Precision { least: f64 },
}

/// A threshold and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    pub score: f32,
    /// Share of true positives among the detections.
    pub precision: f64,
    /// Share of the annotated objects that are found.
    pub recall: f64,
    pub f1: f64,
}

/// Counts the detections of a class at each score; `fates` are those at IoU 0.5.
pub(super) fn kept(fates: &[(f32, Fate)]) -> Vec<Kept> {
    SCORES
        .map(|hundredths| {
            let score = hundredths as f32 / 100.0;
            let count = |wanted| fates.iter().filter(|(s, fate)| *s >= score && *fate == wanted).count();
            Kept { score, true_positives: count(Fate::Hit), false_positives: count(Fate::Miss) }
        })
        .collect()
}

impl Evaluation {
    /// The threshold of each class that is annotated; a class of which none reaches the goal is left out. Of thresholds that are
    /// equally good the highest is taken.
    pub fn thresholds(&self, goal: Goal) -> BTreeMap<String, Threshold> {
        let chosen = |(label, class): (&String, &super::ClassResult)| {
            let candidates = class.kept.iter().filter(|kept| kept.true_positives > 0).map(|k| k.threshold(class.boxes));
            let best = match goal {
                Goal::BestF1 => candidates.max_by(|a, b| a.f1.total_cmp(&b.f1)),
                Goal::Precision { least } => {
                    candidates.filter(|c| c.precision >= least).max_by(|a, b| a.recall.total_cmp(&b.recall))
                }
            };
            Some((label.clone(), best?))
        };
        self.per_class.iter().filter(|(_, class)| class.boxes > 0).filter_map(chosen).collect()
    }

    /// What one threshold for all classes costs each of them.
    pub fn at_score(&self, score: f32) -> BTreeMap<String, Threshold> {
        let at = |class: &super::ClassResult| {
            let kept = class.kept.iter().min_by(|a, b| (a.score - score).abs().total_cmp(&(b.score - score).abs()))?;
            Some(kept.threshold(class.boxes))
        };
        let annotated = self.per_class.iter().filter(|(_, class)| class.boxes > 0);
        annotated.filter_map(|(label, class)| Some((label.clone(), at(class)?))).collect()
    }
}

impl Kept {
    fn threshold(&self, objects: usize) -> Threshold {
        let (hits, found) = (self.true_positives as f64, (self.true_positives + self.false_positives) as f64);
        let share = |of: f64| if of > 0.0 { hits / of } else { 0.0 };
        let (precision, recall) = (share(found), share(objects as f64));
        Threshold { score: self.score, precision, recall, f1: share((found + objects as f64) / 2.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, evaluate};
    use super::*;
    use crate::annotations::{ImageAnnotations, Object};
    use crate::boxes::BoxXyxy;
    use crate::detections::{Detection, ImageDetections};

    /// Ten objects; nine are found with falling scores, and false ones lie between.
    fn evaluation() -> Evaluation {
        let place = |i: usize| BoxXyxy::new([i as f32 * 20.0, 0.0, i as f32 * 20.0 + 10.0, 10.0], 1000, 100).unwrap();
        let object = |i| Object { bbox: place(i), label: "a".into(), difficult: false, truncated: false, mask: None };
        let truth = ImageAnnotations {
            image: "x".into(),
            width: 1000,
            height: 100,
            objects: (0..10).map(object).collect(),
            ..ImageAnnotations::default()
        };
        let found = |bbox, score| Detection { bbox, label: "a".into(), score, mask: None };
        let scores = [0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15];
        let right = scores.into_iter().enumerate().map(|(i, score)| found(place(i), score));
        let wrong = [0.5, 0.3, 0.2, 0.1].into_iter().enumerate().map(|(i, score)| found(place(20 + i), score));
        let mut detections: Vec<Detection> = right.chain(wrong).collect();
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        let found =
            ImageDetections { image: "x".into(), width: 1000, height: 100, detections, ..ImageDetections::default() };
        evaluate(&[(&truth, &found)], &Options::default()).unwrap()
    }

    #[test]
    fn best_f1_and_a_wanted_precision() {
        let evaluation = evaluation();
        let best = evaluation.thresholds(Goal::BestF1)["a"];
        // By hand: at 0.21 to 0.25 eight of ten are found with two false ones; at 0.11 to 0.15 nine with three.
        let by_hand = |hits: f64, wrong: f64| 2.0 * hits / (hits + wrong + 10.0);
        assert!((best.f1 - by_hand(9.0, 3.0)).abs() < 1e-12 && best.score == 0.15, "{best:?}");
        let sure = evaluation.thresholds(Goal::Precision { least: 1.0 })["a"];
        assert_eq!((sure.score, sure.precision, sure.recall), (0.55, 1.0, 0.5));
        let most = evaluation.thresholds(Goal::Precision { least: 0.85 })["a"];
        assert_eq!((most.score, most.recall), (0.35, 0.7));
        let plain = evaluation.at_score(0.7)["a"];
        assert_eq!((plain.score, plain.precision, plain.recall), (0.7, 1.0, 0.3));
    }

    #[test]
    fn what_no_threshold_reaches_is_left_out() {
        let mut evaluation = evaluation();
        for kept in &mut evaluation.per_class.get_mut("a").unwrap().kept {
            kept.false_positives += 100;
        }
        assert!(evaluation.thresholds(Goal::Precision { least: 0.9 }).is_empty());
        assert_eq!(evaluation.thresholds(Goal::BestF1).len(), 1);
    }
}
