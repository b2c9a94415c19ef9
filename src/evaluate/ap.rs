//! Average precision, step for step as `COCOeval.evaluateImg` and `COCOeval.accumulate` over all areas.

use serde::{Deserialize, Serialize};

use super::thresholds::{self, Kept};
use super::{Ignored, Options, Pair, by_score, overlaps};
use crate::annotations::Object;
use crate::boxes::argsort_descending;
use crate::detections::Detection;
use crate::error::Result;

/// IoU 0.5, 0.55 … 0.95.
const THRESHOLDS: usize = 10;
/// Recall 0, 0.01 … 1.
const RECALLS: usize = 101;

/// Average precision; `None` where nothing is annotated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Average {
    /// At IoU 0.5.
    pub ap_50: Option<f64>,
    /// Mean over IoU 0.5, 0.55 … 0.95.
    pub ap_50_95: Option<f64>,
}

/// Precision and score at recall 0, 0.01 … 1; both 0 where the recall is not reached. Empty where nothing is annotated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// The best precision at this recall or a higher one.
    pub precision: Vec<f64>,
    /// The score from which detections must be taken.
    pub score: Vec<f32>,
}

/// The detections of a class on one image: what became of each at each threshold.
struct Outcome {
    scores: Vec<f32>,
    fates: Vec<[Fate; THRESHOLDS]>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Hit,
    Miss,
    /// It found a difficult object, or lies on an ignored region.
    Ignored,
}

/// Average precision of one class, or of all taken as one; the curve at IoU 0.5, what is kept at each score there, and the number
/// of objects that count.
pub(super) fn average_precision(
    pairs: &[Pair],
    class: Option<usize>,
    options: &Options,
) -> Result<(Average, Curve, Vec<Kept>, usize)> {
    let (mut scores, mut fates, mut positives) = (Vec::new(), Vec::new(), 0);
    for pair in pairs {
        let is_wanted = |c: usize| class.is_none_or(|class| class == c);
        let objects: Vec<&Object> = pair.objects.iter().filter(|(c, _)| is_wanted(*c)).map(|(_, o)| *o).collect();
        let found: Vec<&Detection> = pair.detections.iter().filter(|(c, _)| is_wanted(*c)).map(|(_, d)| *d).collect();
        positives += objects.iter().filter(|o| !o.difficult).count();
        let applies = |region: &&Ignored| region.class.is_none_or(is_wanted);
        let ignored: Vec<&Ignored> = pair.ignored.iter().filter(applies).collect();
        let outcome = match_image(objects, &ignored, &found, options)?;
        scores.extend(outcome.scores);
        fates.extend(outcome.fates);
    }
    if positives == 0 {
        return Ok((Average { ap_50: None, ap_50_95: None }, Curve::default(), Vec::new(), 0));
    }
    let order = argsort_descending(&scores);
    let curves: Vec<Curve> =
        (0..THRESHOLDS).map(|t| curve(order.iter().map(|&i| (scores[i], fates[i][t])), positives)).collect();
    let averages: Vec<f64> = curves.iter().map(|c| c.precision.iter().sum::<f64>() / RECALLS as f64).collect();
    let ap_50_95 = averages.iter().sum::<f64>() / THRESHOLDS as f64;
    let at_50 = curves.into_iter().next().unwrap_or_default();
    let fates_at_50: Vec<(f32, Fate)> = scores.iter().zip(&fates).map(|(score, fates)| (*score, fates[0])).collect();
    let average = Average { ap_50: averages.first().copied(), ap_50_95: Some(ap_50_95) };
    Ok((average, at_50, thresholds::kept(&fates_at_50), positives))
}

/// Gives each detection, best first, the free object that it overlaps most; difficult ones, and ignored regions, which take
/// any number of detections, only when no other will do.
fn match_image(
    mut objects: Vec<&Object>,
    ignored: &[&Ignored],
    found: &[&Detection],
    options: &Options,
) -> Result<Outcome> {
    objects.sort_by_key(|o| o.difficult);
    let cap = options.max_detections.unwrap_or(usize::MAX);
    let best: Vec<&Detection> = by_score(found).into_iter().take(cap).map(|i| found[i]).collect();
    let overlaps = overlaps(&best, &objects, options.measure)?;
    let lies_on = |detection: &&Detection| {
        ignored.iter().try_fold(0f64, |most, region| Ok(most.max(region.overlap(detection, options.measure)?)))
    };
    let on_ignored: Vec<f64> = best.iter().map(lies_on).collect::<Result<_>>()?;
    let mut fates = vec![[Fate::Miss; THRESHOLDS]; best.len()];
    for t in 0..THRESHOLDS {
        let threshold = threshold(t).min(1.0 - 1e-10);
        let mut taken = vec![false; objects.len()];
        for ((fate, overlaps), on_ignored) in fates.iter_mut().zip(&overlaps).zip(&on_ignored) {
            let (mut at_least, mut matched) = (threshold, None);
            for (g, object) in objects.iter().enumerate() {
                if taken[g] {
                    continue;
                }
                if object.difficult && matched.is_some_and(|m: usize| !objects[m].difficult) {
                    break;
                }
                // Of equal overlaps the later object wins, as there.
                if overlaps[g] >= at_least {
                    (at_least, matched) = (overlaps[g], Some(g));
                }
            }
            let counts = matched.is_some_and(|g| !objects[g].difficult);
            if !counts && *on_ignored >= at_least {
                // A difficult object that it lies on less stays free for others.
                fate[t] = Fate::Ignored;
            } else if let Some(g) = matched {
                taken[g] = true;
                fate[t] = if counts { Fate::Hit } else { Fate::Ignored };
            }
        }
    }
    Ok(Outcome { scores: best.iter().map(|d| d.score).collect(), fates })
}

/// `np.linspace(0.5, 0.95, 10)[t]`, to the last bit.
fn threshold(t: usize) -> f64 {
    if t == THRESHOLDS - 1 { 0.95 } else { t as f64 * ((0.95 - 0.5) / (THRESHOLDS - 1) as f64) + 0.5 }
}

/// The interpolated curve of detections in the order of their scores.
fn curve(fates: impl Iterator<Item = (f32, Fate)>, positives: usize) -> Curve {
    let (mut hits, mut misses) = (0.0, 0.0);
    let mut points: Vec<(f64, f64, f32)> = Vec::new();
    for (score, fate) in fates {
        match fate {
            Fate::Hit => hits += 1.0,
            Fate::Miss => misses += 1.0,
            Fate::Ignored => {}
        }
        points.push((hits / positives as f64, hits / (misses + hits + f64::EPSILON), score));
    }
    for i in (1..points.len()).rev() {
        points[i - 1].1 = points[i - 1].1.max(points[i].1);
    }
    let mut curve = Curve::default();
    for i in 0..RECALLS {
        // `np.linspace(0, 1, 101)[i]`.
        let recall = if i == RECALLS - 1 { 1.0 } else { i as f64 * 0.01 };
        let at = points.partition_point(|(r, _, _)| *r < recall);
        let (precision, score) = points.get(at).map_or((0.0, 0.0), |(_, p, s)| (*p, *s));
        curve.precision.push(precision);
        curve.score.push(score);
    }
    curve
}
