//! Whether the anchors fit the cells: an object that no anchor overlaps is learnt late or never.

use serde::{Deserialize, Serialize};

use crate::boxes;
use crate::model::DetectorConfig;
use crate::model::anchors::cell_anchors;

/// Strides of the five pyramid levels.
const STRIDES: [usize; 5] = [4, 8, 16, 32, 64];
/// Spacings of the sizes of neighbouring levels that are tried.
const SPACINGS: [f32; 3] = [2.0, 1.681_792_8, std::f32::consts::SQRT_2];
/// A set of anchors is suggested when it matches this much better (in the sum of both shares).
const WORTHWHILE: f32 = 0.02;

/// Boxes by which candidates are compared.
const COMPARED: usize = 200;

/// A box in pixels of the network's input, and height and width of that input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedBox {
    pub corners: [f32; 4],
    pub input: [usize; 2],
}

/// How a set of anchors fits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fit {
    /// Share of the boxes with an anchor at IoU ≥ 0.7, which learn at once.
    pub at_70: f32,
    /// The same at 0.5.
    pub at_50: f32,
    /// Mean over the boxes of the best IoU.
    pub mean_iou: f32,
}

impl Fit {
    fn score(&self) -> f32 {
        self.at_70 + self.at_50 + self.mean_iou
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnchorSet {
    pub sizes: Vec<Vec<f32>>,
    pub aspect_ratios: Vec<f32>,
}

impl AnchorSet {
    pub fn put_into(self, config: &mut DetectorConfig) {
        (config.anchor_sizes, config.aspect_ratios) = (self.sizes, self.aspect_ratios);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnchorReport {
    pub boxes: usize,
    /// 5 %, 50 % and 95 % quantiles of √area after the resize, in pixels.
    pub sides: [f32; 3],
    /// The same quantiles of height over width.
    pub ratios: [f32; 3],
    pub fit: Fit,
    /// A set with as many anchors at each place, and its fit, where it is clearly better.
    pub suggestion: Option<(AnchorSet, Fit)>,
}

/// Measures the anchors of a configuration, and looks for better ones.
pub fn check_anchors(boxes: &[PlacedBox], config: &DetectorConfig) -> AnchorReport {
    let present = AnchorSet { sizes: config.anchor_sizes.clone(), aspect_ratios: config.aspect_ratios.clone() };
    let fit = measure(boxes, &present);
    let sides = sorted(boxes.iter().map(|b| boxes::area(b.corners).max(0.0).sqrt()));
    let ratios = sorted(boxes.iter().map(|b| (b.corners[3] - b.corners[1]) / (b.corners[2] - b.corners[0]).max(1e-3)));
    // Evenly spread ones tell the candidates apart as well as all of them do.
    let some: Vec<PlacedBox> = boxes.iter().step_by(boxes.len().div_ceil(COMPARED).max(1)).copied().collect();
    let best = candidates(&present, &sides, &ratios)
        .into_iter()
        .map(|set| (measure(&some, &set), set))
        .max_by(|a, b| a.0.score().total_cmp(&b.0.score()))
        .map(|(_, set)| (measure(boxes, &set), set));
    let suggestion = best.filter(|(f, _)| f.at_70 + f.at_50 > fit.at_70 + fit.at_50 + WORTHWHILE).map(|(f, s)| (s, f));
    let quantiles = |v: &[f32]| [0.05, 0.5, 0.95].map(|q| quantile(v, q));
    AnchorReport { boxes: boxes.len(), sides: quantiles(&sides), ratios: quantiles(&ratios), fit, suggestion }
}

/// Sets with as many sizes and ratios as the present one, round the sizes and ratios that the boxes have.
fn candidates(present: &AnchorSet, sides: &[f32], ratios: &[f32]) -> Vec<AnchorSet> {
    let per_level = present.sizes.first().map_or(1, Vec::len).max(1);
    let mut shapes = vec![present.aspect_ratios.clone()];
    let n = present.aspect_ratios.len();
    if n > 1 && !ratios.is_empty() {
        let spread = |i: usize| 0.1 + 0.8 * i as f32 / (n - 1) as f32;
        shapes.push((0..n).map(|i| two_digits(quantile(ratios, spread(i)))).collect());
    }
    let (low, high) = (quantile(sides, 0.02).max(4.0), quantile(sides, 0.6).max(5.0));
    let mut sets = Vec::new();
    for spacing in SPACINGS {
        let mut base = low * 0.5;
        while base < high {
            let size = |level: usize, k: usize| {
                (base * spacing.powi(level as i32) * spacing.powf(k as f32 / per_level as f32)).round().max(2.0)
            };
            let sizes: Vec<Vec<f32>> =
                (0..STRIDES.len()).map(|level| (0..per_level).map(|k| size(level, k)).collect()).collect();
            sets.extend(shapes.iter().map(|r| AnchorSet { sizes: sizes.clone(), aspect_ratios: r.clone() }));
            base *= 1.15;
        }
    }
    sets
}

/// The best IoU of every box with any anchor.
fn measure(placed: &[PlacedBox], set: &AnchorSet) -> Fit {
    if placed.is_empty() {
        return Fit::default();
    }
    let cells: Vec<Vec<[f32; 4]>> = set.sizes.iter().map(|s| cell_anchors(s, &set.aspect_ratios, true)).collect();
    let best: Vec<f32> = placed
        .iter()
        .map(|b| STRIDES.iter().zip(&cells).map(|(stride, cell)| best_of_level(b, *stride, cell)).fold(0.0, f32::max))
        .collect();
    let share = |t: f32| best.iter().filter(|v| **v >= t).count() as f32 / best.len() as f32;
    Fit { at_70: share(0.7), at_50: share(0.5), mean_iou: best.iter().sum::<f32>() / best.len() as f32 }
}

/// Of one level only the anchors at the places round the box's centre can be the best: all are alike but for the place.
fn best_of_level(b: &PlacedBox, stride: usize, cell: &[[f32; 4]]) -> f32 {
    let places = |low: f32, high: f32, length: usize| {
        let last = (length.div_ceil(32) * 32 / stride).max(1) - 1;
        let at = 0.5 * (low + high) / stride as f32;
        [at.floor(), at.ceil()].map(|i| (i.max(0.0) as usize).min(last) as f32 * stride as f32)
    };
    let [x1, y1, x2, y2] = b.corners;
    let mut best = 0f32;
    for y in places(y1, y2, b.input[0]) {
        for x in places(x1, x2, b.input[1]) {
            for [a1, b1, a2, b2] in cell {
                best = best.max(boxes::iou(b.corners, [a1 + x, b1 + y, a2 + x, b2 + y]));
            }
        }
    }
    best
}

fn sorted(values: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> = values.filter(|v| v.is_finite()).collect();
    values.sort_by(f32::total_cmp);
    values
}

/// The nearest rank of a sorted list; 0 of an empty one.
fn quantile(sorted: &[f32], q: f32) -> f32 {
    let i = (q * sorted.len().saturating_sub(1) as f32).round() as usize;
    sorted.get(i).copied().unwrap_or(0.0)
}

fn two_digits(v: f32) -> f32 {
    ((v * 100.0).round() / 100.0).clamp(0.1, 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::rng::TrainRng;

    fn boxes_of(side: f32, n: usize) -> Vec<PlacedBox> {
        let mut rng = TrainRng::new(1);
        (0..n)
            .map(|_| {
                let (w, h) = (side * rng.range(0.8, 1.25), side * rng.range(0.8, 1.25));
                let (x, y) = (rng.range(0.0, 512.0 - w), rng.range(0.0, 512.0 - h));
                PlacedBox { corners: [x, y, x + w, y + h], input: [512, 512] }
            })
            .collect()
    }

    #[test]
    fn the_shortcut_finds_what_all_anchors_would() {
        let config = DetectorConfig::default();
        let set = AnchorSet { sizes: config.anchor_sizes.clone(), aspect_ratios: config.aspect_ratios.clone() };
        let grids: Vec<[usize; 2]> = STRIDES.iter().map(|s| [512 / s, 512 / s]).collect();
        let all: Vec<[f32; 4]> = crate::model::anchors::pyramid_anchors(&config, &grids, [512, 512]).concat();
        for b in boxes_of(45.0, 40) {
            let best = all.iter().map(|a| boxes::iou(*a, b.corners)).fold(0.0, f32::max);
            assert!((measure(&[b], &set).mean_iou - best).abs() < 1e-6);
        }
    }

    #[test]
    fn anchors_for_small_cells_are_suggested() {
        let config = DetectorConfig::default();
        let report = check_anchors(&boxes_of(14.0, 200), &config);
        assert!(report.fit.at_50 < 0.2, "{report:?}");
        let (set, fit) = report.suggestion.unwrap();
        assert!(fit.at_50 > 0.95 && fit.at_70 > 0.5, "{fit:?}");
        assert_eq!((set.sizes.len(), set.aspect_ratios.len()), (5, 3));
        assert!(set.sizes[0][0] < 20.0);
    }

    #[test]
    fn anchors_that_fit_are_left_alone_and_an_empty_set_is_no_error() {
        let config = DetectorConfig::default();
        assert_eq!(check_anchors(&[], &config).suggestion, None);
        let (set, _) = check_anchors(&boxes_of(20.0, 200), &config).suggestion.unwrap();
        let fitted = DetectorConfig { anchor_sizes: set.sizes, aspect_ratios: set.aspect_ratios, ..config };
        assert_eq!(check_anchors(&boxes_of(20.0, 200), &fitted).suggestion, None);
    }
}
