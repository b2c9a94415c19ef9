//! Which anchors and proposals learn what (torchvision's `_utils.py`, `rpn.py`, `roi_heads.py`).
//!
//! Boxes are in pixels of the network's input. Everything is plain arithmetic on the host.

use crate::boxes::{self, BoxCoder};

use super::rng::TrainRng;

/// What a box is to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// It holds this object.
    Object(usize),
    /// It holds nothing.
    Background,
    /// Too near to an object to be background, too far to be it, or where nobody knows what is there: no part of the loss.
    Ignored,
}

/// `det_utils.Matcher`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matcher {
    /// From this IoU on a box is the object that it overlaps most.
    pub high: f32,
    /// Below this one it is background.
    pub low: f32,
    /// Whether the boxes that overlap an object most are its matches however little that is, so that every object has one.
    pub low_quality: bool,
}

impl Matcher {
    /// For each of `candidates` what it is among `objects`.
    ///
    /// Equal overlaps go to the first object, as in torch. An object that no candidate touches gets none (there torch
    /// would give it all candidates that overlap nothing).
    pub fn matches(&self, objects: &[[f32; 4]], candidates: &[[f32; 4]]) -> Vec<Match> {
        let mut best = vec![(0usize, -1f32); candidates.len()];
        let mut is_best_of_object = vec![false; candidates.len()];
        let mut overlaps = vec![0f32; candidates.len()];
        for (o, object) in objects.iter().enumerate() {
            let mut highest = 0f32;
            for ((candidate, overlap), best) in candidates.iter().zip(&mut overlaps).zip(&mut best) {
                *overlap = boxes::iou(*object, *candidate);
                highest = highest.max(*overlap);
                if *overlap > best.1 {
                    *best = (o, *overlap);
                }
            }
            if self.low_quality && highest > 0.0 {
                for (overlap, flag) in overlaps.iter().zip(&mut is_best_of_object) {
                    *flag |= *overlap == highest;
                }
            }
        }
        best.iter()
            .zip(is_best_of_object)
            .map(|(&(object, overlap), is_best)| match () {
                () if objects.is_empty() => Match::Background,
                () if overlap >= self.high || is_best => Match::Object(object),
                () if overlap < self.low => Match::Background,
                () => Match::Ignored,
            })
            .collect()
    }
}

/// The share of a candidate from which on it lies on a region.
const LIES_ON: f32 = 0.5;

/// What is known of one image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scene<'a> {
    pub objects: &'a [[f32; 4]],
    /// Neither object nor background.
    pub ignored: &'a [[f32; 4]],
    /// Objects are missing at unknown places: only what lies on a known object is surely none of them.
    pub incomplete: bool,
}

impl Scene<'_> {
    /// [`Matcher::matches`], with nothing taken for background of which nobody knows that it is.
    pub fn matches(&self, matcher: Matcher, candidates: &[[f32; 4]]) -> Vec<Match> {
        let mut matches = matcher.matches(self.objects, candidates);
        let lies_on = |candidate: [f32; 4], regions: &[[f32; 4]]| {
            regions.iter().any(|region| boxes::ioa(candidate, *region) >= LIES_ON)
        };
        for (found, candidate) in matches.iter_mut().zip(candidates).filter(|(found, _)| **found == Match::Background) {
            let unknown = lies_on(*candidate, self.ignored) || self.incomplete && !lies_on(*candidate, self.objects);
            if unknown {
                *found = Match::Ignored;
            }
        }
        matches
    }
}

/// `det_utils.BalancedPositiveNegativeSampler`: how many boxes enter a loss, and how many of them may be objects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalancedSampler {
    pub batch_size: usize,
    pub positive_fraction: f32,
}

/// Indices that were drawn, each list in rising order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sampled {
    pub positive: Vec<usize>,
    pub negative: Vec<usize>,
}

impl BalancedSampler {
    /// As many positives as the fraction allows, the rest negatives; fewer where there are not enough.
    pub fn sample(&self, matches: &[Match], rng: &mut TrainRng) -> Sampled {
        let of = |wanted: fn(&Match) -> bool| -> Vec<usize> {
            matches.iter().enumerate().filter(|(_, m)| wanted(m)).map(|(i, _)| i).collect()
        };
        let positive = of(|m| matches!(m, Match::Object(_)));
        let negative = of(|m| *m == Match::Background);
        let positives = positive.len().min((self.batch_size as f32 * self.positive_fraction) as usize);
        let negatives = negative.len().min(self.batch_size - positives);
        let mut draw = |from: &[usize], n: usize| {
            let mut drawn = rng.choose(from, n);
            drawn.sort_unstable();
            drawn
        };
        Sampled { positive: draw(&positive, positives), negative: draw(&negative, negatives) }
    }
}

/// What the RPN is to say of the sampled anchors of one image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RpnTargets {
    pub sampled: Sampled,
    /// The deltas of each of `sampled.positive`.
    pub deltas: Vec<[f32; 4]>,
}

/// Targets of one image: anchors of all levels one after another.
pub fn rpn_targets(
    matcher: Matcher,
    sampler: BalancedSampler,
    coder: BoxCoder,
    anchors: &[[f32; 4]],
    scene: Scene,
    rng: &mut TrainRng,
) -> RpnTargets {
    let matches = scene.matches(matcher, anchors);
    let sampled = sampler.sample(&matches, rng);
    let deltas = sampled
        .positive
        .iter()
        .filter_map(|&i| match matches[i] {
            Match::Object(o) => Some(coder.encode(scene.objects[o], anchors[i])),
            _ => None,
        })
        .collect();
    RpnTargets { sampled, deltas }
}

/// One sampled proposal of the box head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiTarget {
    pub corners: [f32; 4],
    /// The object that it holds and the deltas to it; `None` for background.
    pub object: Option<(usize, [f32; 4])>,
}

/// Samples proposals of one image, to which the objects' own boxes are added (`select_training_samples`), in the order
/// of the proposals.
pub fn roi_targets(
    matcher: Matcher,
    sampler: BalancedSampler,
    coder: BoxCoder,
    proposals: &[[f32; 4]],
    scene: Scene,
    rng: &mut TrainRng,
) -> Vec<RoiTarget> {
    let candidates: Vec<[f32; 4]> = proposals.iter().chain(scene.objects).copied().collect();
    let matches = scene.matches(matcher, &candidates);
    let Sampled { positive, negative } = sampler.sample(&matches, rng);
    let mut sampled = [positive, negative].concat();
    sampled.sort_unstable();
    sampled
        .into_iter()
        .map(|i| {
            let object = match matches[i] {
                Match::Object(o) => Some((o, coder.encode(scene.objects[o], candidates[i]))),
                _ => None,
            };
            RoiTarget { corners: candidates[i], object }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RPN: Matcher = Matcher { high: 0.7, low: 0.3, low_quality: true };

    #[test]
    fn thresholds_and_low_quality_matches() {
        let objects = [[0.0, 0.0, 10.0, 10.0], [100.0, 100.0, 110.0, 110.0]];
        let candidates = [
            [0.0, 0.0, 10.0, 9.0],        // 0.9
            [0.0, 0.0, 10.0, 5.0],        // 0.5
            [0.0, 0.0, 10.0, 2.0],        // 0.2
            [100.0, 100.0, 104.0, 105.0], // 0.2, but the second object has no better
            [105.0, 105.0, 109.0, 110.0], // 0.2, as good
            [300.0, 300.0, 310.0, 310.0], // 0
        ];
        let found = RPN.matches(&objects, &candidates);
        use Match::*;
        assert_eq!(found, [Object(0), Ignored, Background, Object(1), Object(1), Background]);
        let strict = Matcher { low_quality: false, ..RPN };
        assert_eq!(strict.matches(&objects, &candidates)[3], Background);
    }

    #[test]
    fn without_objects_everything_is_background() {
        assert_eq!(RPN.matches(&[], &[[0.0, 0.0, 1.0, 1.0]; 3]), [Match::Background; 3]);
        let rois = roi_targets(
            Matcher { high: 0.5, low: 0.5, low_quality: false },
            BalancedSampler { batch_size: 512, positive_fraction: 0.25 },
            BoxCoder::new([10.0, 10.0, 5.0, 5.0]),
            &[[0.0, 0.0, 5.0, 5.0]],
            Scene::default(),
            &mut TrainRng::new(0),
        );
        assert_eq!(rois, [RoiTarget { corners: [0.0, 0.0, 5.0, 5.0], object: None }]);
    }

    #[test]
    fn anchors_on_ignored_regions_are_not_background() {
        let objects = [[0.0, 0.0, 10.0, 10.0]];
        let ignored = [[100.0, 100.0, 200.0, 200.0], [0.0, 0.0, 40.0, 10.0]];
        let candidates = [
            [0.0, 0.0, 10.0, 10.0],       // the object, ignored region or not
            [120.0, 120.0, 130.0, 130.0], // within the region
            [195.0, 110.0, 205.0, 120.0], // half of it
            [196.0, 110.0, 206.0, 120.0], // less than half
            [90.0, 90.0, 300.0, 300.0],   // round the region
            [20.0, 0.0, 30.0, 10.0],      // beside the object, on the second region
        ];
        use Match::*;
        let scene = Scene { objects: &objects, ignored: &ignored, incomplete: false };
        let found = scene.matches(RPN, &candidates);
        assert_eq!(found, [Object(0), Ignored, Ignored, Background, Background, Ignored]);
        let rois = roi_targets(
            Matcher { high: 0.5, low: 0.5, low_quality: false },
            BalancedSampler { batch_size: 512, positive_fraction: 0.25 },
            BoxCoder::new([10.0, 10.0, 5.0, 5.0]),
            &candidates,
            scene,
            &mut TrainRng::new(0),
        );
        let negatives: Vec<_> = rois.iter().filter(|roi| roi.object.is_none()).map(|roi| roi.corners).collect();
        assert_eq!(negatives, candidates[3..5]);
    }

    #[test]
    fn with_missing_objects_only_parts_of_known_ones_are_background() {
        let objects = [[0.0, 0.0, 10.0, 10.0]];
        let candidates = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 4.0, 5.0], [50.0, 50.0, 60.0, 60.0]];
        let scene = Scene { objects: &objects, incomplete: true, ..Scene::default() };
        use Match::*;
        assert_eq!(scene.matches(RPN, &candidates), [Object(0), Background, Ignored]);
        assert_eq!(Scene { incomplete: false, ..scene }.matches(RPN, &candidates), [Object(0), Background, Background]);
    }

    #[test]
    fn samples_are_balanced() {
        let mut matches = vec![Match::Background; 1000];
        matches[..300].fill(Match::Object(0));
        matches[300..400].fill(Match::Ignored);
        let sampler = BalancedSampler { batch_size: 256, positive_fraction: 0.5 };
        let drawn = sampler.sample(&matches, &mut TrainRng::new(3));
        assert_eq!((drawn.positive.len(), drawn.negative.len()), (128, 128));
        assert!(drawn.positive.iter().all(|i| *i < 300) && drawn.negative.iter().all(|i| *i >= 400));
        // Few positives: negatives fill up.
        matches[10..300].fill(Match::Ignored);
        let drawn = sampler.sample(&matches, &mut TrainRng::new(3));
        assert_eq!((drawn.positive.len(), drawn.negative.len()), (10, 246));
        assert_eq!(drawn, sampler.sample(&matches, &mut TrainRng::new(3)));
        assert_ne!(drawn, sampler.sample(&matches, &mut TrainRng::new(4)));
    }

    #[test]
    fn objects_are_proposals_of_themselves() {
        let objects = [[10.0, 10.0, 50.0, 40.0]];
        let rois = roi_targets(
            Matcher { high: 0.5, low: 0.5, low_quality: false },
            BalancedSampler { batch_size: 512, positive_fraction: 0.25 },
            BoxCoder::new([10.0, 10.0, 5.0, 5.0]),
            &[[200.0, 200.0, 250.0, 250.0]],
            Scene { objects: &objects, ..Scene::default() },
            &mut TrainRng::new(0),
        );
        assert_eq!(rois[1], RoiTarget { corners: objects[0], object: Some((0, [0.0; 4])) });
        assert_eq!(rois[0].object, None);
    }
}
