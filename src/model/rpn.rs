//! The region proposal network (Ren et al. 2015, torchvision's `rpn.py`).
//!
//! The head runs on the device. Its output is read back once; decoding, top-k, clipping and NMS run on the host.

use std::collections::HashSet;

use burn::module::Module;
use burn::tensor::{Tensor, Transaction};

use super::config::DetectorConfig;
use super::layers::{Builder, Conv2d, Initializer};
use super::read::{self, sigmoid};
use crate::boxes;
use crate::error::Result;

/// Proposals with a side shorter than this, in pixels of the network's input, are dropped.
const MIN_SIZE: f32 = 1e-3;

/// Anchors of a level that are looked at for each of the further proposals: NMS leaves one of several on a cell.
const ANCHORS_OF_A_PROPOSAL: usize = 4;

/// `rpn.head`: shared 3×3 convolutions (one, or v2's two), then an objectness logit and four deltas for each anchor.
#[derive(Module, Debug)]
pub struct RpnHead {
    pub conv: Vec<Conv2d>,
    pub cls_logits: Conv2d,
    pub bbox_pred: Conv2d,
}

/// The head's output for one pyramid level, on the device.
#[derive(Debug, Clone)]
pub struct HeadOutput {
    /// `[N, H, W, A]`
    pub objectness: Tensor<4>,
    /// `[N, H, W, 4 A]`: dx, dy, dw, dh of one anchor after another
    pub deltas: Tensor<4>,
}

/// The head's predictions for one level of one image, on the host, in the order of [`super::anchors::grid_anchors`].
#[derive(Debug, Clone, PartialEq)]
pub struct LevelPrediction {
    pub objectness: Vec<f32>,
    pub deltas: Vec<[f32; 4]>,
}

/// A region proposal: a box in pixels of the network's input, and its objectness (0–1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    pub corners: [f32; 4],
    pub score: f32,
}

impl RpnHead {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let (mut input, anchors) = (config.fpn_channels, config.num_anchors_per_location());
        let channels = config.rpn_channels.unwrap_or(input);
        let init = Initializer::Normal(0.01);
        let mut conv = Vec::with_capacity(config.rpn_convs);
        for i in 0..config.rpn_convs {
            conv.push(builder.conv(format!("{name}.conv.{i}.0"), [input, channels, 3], 1, init)?);
            input = channels;
        }
        Ok(Self {
            conv,
            cls_logits: builder.conv(format!("{name}.cls_logits"), [channels, anchors, 1], 1, init)?,
            bbox_pred: builder.conv(format!("{name}.bbox_pred"), [channels, 4 * anchors, 1], 1, init)?,
        })
    }

    /// Predictions for one level `[N, H, W, C]`.
    pub fn forward(&self, level: Tensor<4>) -> HeadOutput {
        let x = self.conv.iter().fold(level, |x, conv| conv.forward_relu(x));
        HeadOutput { objectness: self.cls_logits.forward(x.clone()), deltas: self.bbox_pred.forward(x) }
    }
}

/// Reads the predictions of every level in one transfer, as `[image][level]`.
///
/// # Errors
/// [`crate::Error::DeviceFailed`] if the transfer fails or a value is not finite.
pub async fn read_predictions(outputs: &[HeadOutput]) -> Result<Vec<Vec<LevelPrediction>>> {
    let Some(first) = outputs.first() else { return Ok(Vec::new()) };
    let (device, images) = (first.objectness.device(), first.objectness.dims()[0]);
    Ok(split_predictions(&read::execute(register_predictions(outputs), &device).await?, images))
}

/// Registers the objectness and deltas of every level for reading.
pub fn register_predictions(outputs: &[HeadOutput]) -> Transaction {
    outputs.iter().fold(Transaction::default(), |transaction, level| {
        transaction.register(level.objectness.clone()).register(level.deltas.clone())
    })
}

/// The data read by [`register_predictions`], as `[image][level]`.
pub fn split_predictions(data: &[Vec<f32>], images: usize) -> Vec<Vec<LevelPrediction>> {
    let mut predictions = vec![Vec::with_capacity(data.len() / 2); images];
    for level in data.chunks_exact(2) {
        let (objectness, deltas) = (&level[0], &level[1]);
        let anchors = objectness.len() / images.max(1);
        for (image, of_image) in predictions.iter_mut().enumerate() {
            let range = image * anchors..(image + 1) * anchors;
            let (deltas, _) = deltas[range.start * 4..range.end * 4].as_chunks::<4>();
            of_image.push(LevelPrediction { objectness: objectness[range].to_vec(), deltas: deltas.to_vec() });
        }
    }
    predictions
}

/// Number of proposals kept before and after NMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopN {
    /// Before NMS, per level.
    pub pre_nms: usize,
    /// After NMS, per image.
    pub post_nms: usize,
}

impl TopN {
    pub fn test(config: &DetectorConfig) -> Self {
        Self { pre_nms: config.rpn_pre_nms_top_n_test, post_nms: config.rpn_post_nms_top_n_test }
    }

    pub fn train(config: &DetectorConfig) -> Self {
        Self { pre_nms: config.rpn_pre_nms_top_n_train, post_nms: config.rpn_post_nms_top_n_train }
    }
}

/// `filter_proposals` of one image: the best anchors of each level, decoded and clipped to `size` (height and width of the resized
/// image, without padding). Tiny and unlikely ones are dropped, then NMS runs within each level. Highest objectness first.
///
/// With [`DetectorConfig::rpn_per_level`] off, all levels are one.
pub fn filter_proposals(
    config: &DetectorConfig,
    top_n: TopN,
    levels: &[LevelPrediction],
    anchors: &[Vec<[f32; 4]>],
    size: [usize; 2],
) -> Vec<Proposal> {
    let (coder, rule) = (config.rpn_box_coder(), config.corners);
    let (mut corners, mut scores, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for (level, i) in best_anchors(config, top_n.pre_nms, levels) {
        let decoded = coder.decode(levels[level].deltas[i], anchors[level][i]);
        let clipped = rule.clip(decoded, size[1] as f32, size[0] as f32);
        let score = sigmoid(levels[level].objectness[i]);
        if boxes_at_least(clipped, MIN_SIZE) && score >= config.rpn_score_thresh {
            corners.push(clipped);
            scores.push(score);
            groups.push(if config.rpn_per_level { level as u32 } else { 0 });
        }
    }
    let compared: Vec<_> = corners.iter().map(|c| rule.of_edges(*c)).collect();
    let mut kept = boxes::batched_nms(&compared, &scores, &groups, config.rpn_nms_thresh);
    kept.truncate(top_n.post_nms);
    kept.into_iter().map(|i| Proposal { corners: corners[i], score: scores[i] }).collect()
}

/// The level and index of the anchors that enter the NMS: the best `n` of each level, or of all levels together.
fn best_anchors(config: &DetectorConfig, n: usize, levels: &[LevelPrediction]) -> Vec<(usize, usize)> {
    if config.rpn_per_level {
        let of_level = |(level, prediction): (usize, &LevelPrediction)| {
            top_k(&prediction.objectness, n).into_iter().map(move |i| (level, i))
        };
        return levels.iter().enumerate().flat_map(of_level).collect();
    }
    // By probability, as there: logits that are 1 as probabilities are equal, and the first of them is the best.
    let all = |(level, prediction): (usize, &LevelPrediction)| {
        (0..prediction.objectness.len()).map(move |i| (level, i)).collect::<Vec<_>>()
    };
    let places: Vec<(usize, usize)> = levels.iter().enumerate().flat_map(all).collect();
    let scores: Vec<f32> = levels.iter().flat_map(|l| l.objectness.iter().map(|x| sigmoid(*x))).collect();
    top_k(&scores, n).into_iter().map(|i| places[i]).collect()
}

/// The proposals after `first`, which [`filter_proposals`] gave for smaller numbers: those that they cut off.
pub fn further_proposals(
    config: &DetectorConfig,
    most: usize,
    first: &[Proposal],
    levels: &[LevelPrediction],
    anchors: &[Vec<[f32; 4]>],
    size: [usize; 2],
) -> Vec<Proposal> {
    let key = |p: &Proposal| (p.corners.map(f32::to_bits), p.score.to_bits());
    let known: HashSet<_> = first.iter().map(key).collect();
    // A level's NMS judges a proposal by better ones alone, so that the first ones come out as before.
    let top_n = TopN { pre_nms: ANCHORS_OF_A_PROPOSAL * most, post_nms: most };
    let mut all = filter_proposals(config, top_n, levels, anchors, size);
    all.retain(|p| !known.contains(&key(p)));
    all.truncate(most.saturating_sub(first.len()));
    all
}

/// Whether both sides of a box are at least `min_size` (`remove_small_boxes`).
pub(super) fn boxes_at_least([x1, y1, x2, y2]: [f32; 4], min_size: f32) -> bool {
    x2 - x1 >= min_size && y2 - y1 >= min_size
}

/// Indices of the `k` largest values in descending order; equal values keep their order.
fn top_k(values: &[f32], k: usize) -> Vec<usize> {
    let order = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
    let mut indices: Vec<usize> = (0..values.len()).collect();
    if k < indices.len() {
        indices.select_nth_unstable_by(k, order);
        indices.truncate(k);
    }
    indices.sort_unstable_by(order);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_is_a_prefix_of_the_sorted_order() {
        let values = [0.5, -1.0, 3.0, 0.5, 2.0, 3.0];
        assert_eq!(top_k(&values, 4), [2, 5, 4, 0]);
        assert_eq!(top_k(&values, 10), [2, 5, 4, 0, 3, 1]);
        assert_eq!(top_k(&values, 0), [0usize; 0]);
    }

    #[test]
    fn proposals_are_clipped_filtered_and_suppressed_within_a_level() {
        let config = DetectorConfig::default();
        let level = |objectness: Vec<f32>| LevelPrediction { deltas: vec![[0.0; 4]; objectness.len()], objectness };
        let big = [-5.0, -5.0, 20.0, 20.0];
        let anchors = vec![vec![big, big, [40.0, 0.0, 60.0, 10.0]], vec![big]];
        let levels = [level(vec![2.0, 1.0, 3.0]), level(vec![0.0])];
        let found = filter_proposals(&config, TopN { pre_nms: 9, post_nms: 9 }, &levels, &anchors, [32, 32]);
        // The third is outside the image, the second duplicates the first; the duplicate on another level is kept.
        assert_eq!(found.iter().map(|p| p.corners).collect::<Vec<_>>(), [[0.0, 0.0, 20.0, 20.0]; 2]);
        assert_eq!(found[1].score, 0.5);
        let one = filter_proposals(&config, TopN { pre_nms: 9, post_nms: 1 }, &levels, &anchors, [32, 32]);
        assert_eq!(one.len(), 1);
    }
}
