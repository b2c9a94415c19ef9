//! The second stage: classifies and refines each proposal (torchvision's `roi_heads.py`, `faster_rcnn.py`).

use std::collections::VecDeque;

use burn::module::Module;
use burn::tensor::{Tensor, Transaction};

use super::box_head::{BoxHead, FastRcnnPredictor};
use super::config::{DetectorConfig, ScoreRule};
use super::counts::{Counts, PATIENCE, Search};
use super::layers::Builder;
use super::mask_head::{MaskHead, MaskPredictor};
use super::pooler::MultiScaleRoiAlign;
use super::progress::{Progress, Stage};
use super::read::{self, softmax};
use super::rpn::{Proposal, boxes_at_least};
use super::transform::NetworkInput;
use crate::boxes::{self, BoxGrid};
use crate::error::Result;

/// Detections with a side shorter than this, in pixels of the network's input, are dropped.
const MIN_SIZE: f32 = 1e-2;
/// RoIs per pass of the box head, and detections per pass of the mask head, whose grids are larger. Together with the pyramid
/// they must fit a browser's memory, and a cancellation waits for at most one pass.
const ROIS_AT_A_TIME: usize = 256;
pub(super) const MASKS_AT_A_TIME: usize = 32;

/// `roi_heads`.
#[derive(Module, Debug)]
pub struct RoiHeads {
    pub box_head: BoxHead,
    pub box_predictor: FastRcnnPredictor,
    pub mask_head: Option<MaskHead>,
    pub mask_predictor: Option<MaskPredictor>,
}

/// The box head's predictions for the proposals of one image, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxPredictions {
    pub classes: usize,
    /// `[R, K]`
    pub logits: Vec<f32>,
    /// `[R, K]` of dx, dy, dw, dh
    pub deltas: Vec<[f32; 4]>,
}

/// A detection in pixels of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkDetection {
    pub corners: [f32; 4],
    /// Index into the configuration's classes; never 0 (background).
    pub class: usize,
    pub score: f32,
    /// Mask probabilities of its class on a square grid over the box, row by row.
    pub mask: Option<MaskGrid>,
}

/// Gives the proposals after the first ones.
pub type Further<'a> = dyn Fn(&[Proposal]) -> Vec<Proposal> + 'a;

/// The detections of one pass of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkDetections {
    /// Highest score first.
    pub detections: Vec<NetworkDetection>,
    /// Whether the search for cells ended at the most proposals allowed, while it still found new ones.
    pub cut: bool,
}

/// Mask probabilities on a square grid.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskGrid {
    pub side: usize,
    pub probabilities: Vec<f32>,
}

impl RoiHeads {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let box_head = BoxHead::build(builder, &format!("{name}.box_head"), config)?;
        let box_predictor = FastRcnnPredictor::build(builder, &format!("{name}.box_predictor"), config)?;
        let (mut mask_head, mut mask_predictor) = (None, None);
        if config.has_mask() {
            mask_head = Some(MaskHead::build(builder, &format!("{name}.mask_head"), config)?);
            mask_predictor = Some(MaskPredictor::build(builder, &format!("{name}.mask_predictor"), config)?);
        }
        Ok(Self { box_head, box_predictor, mask_head, mask_predictor })
    }

    /// Logits `[R, K]` and deltas `[R, 4 K]` for the boxes of each image.
    pub fn box_outputs(
        &self,
        pool: &MultiScaleRoiAlign,
        features: &[Tensor<4>],
        boxes: &[Vec<[f32; 4]>],
    ) -> (Tensor<2>, Tensor<2>) {
        self.box_predictor.forward(self.box_head.forward(pool.forward(features, boxes)))
    }

    /// Mask logits `[R, 2 S, 2 S, K]` for the boxes of each image; `None` for a Faster R-CNN.
    pub fn mask_logits(
        &self,
        pool: &MultiScaleRoiAlign,
        features: &[Tensor<4>],
        boxes: &[Vec<[f32; 4]>],
    ) -> Option<Tensor<4>> {
        let (head, predictor) = (self.mask_head.as_ref()?, self.mask_predictor.as_ref()?);
        Some(predictor.forward(head.forward(pool.forward(features, boxes))))
    }

    /// The detections of one image: boxes for the proposals, of which the best are kept and get masks.
    ///
    /// `proposals` are torchvision's, and what gives those after them, which are looked at as long as `counts` allows and they
    /// turn out to be cells.
    ///
    /// # Errors
    /// A device that failed or returned values that are not finite, and errors of `progress`.
    pub async fn detect(
        &self,
        config: &DetectorConfig,
        counts: Counts,
        features: &[Tensor<4>],
        (proposals, further): (Vec<Proposal>, &Further<'_>),
        input: &NetworkInput,
        progress: &dyn Progress,
    ) -> Result<NetworkDetections> {
        let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
        let pool = |side| MultiScaleRoiAlign::of(config, &heights, input.size[0], input.padded, side);
        let box_pool = pool(config.box_roi_pool_size);
        let mut search = Search::new(config, &proposals.iter().map(|p| p.corners).collect::<Vec<_>>());
        let mut candidates = Candidates::default();
        let (mut seen, own) = (0, proposals.len());
        let mut passes: VecDeque<Vec<Proposal>> = proposals.chunks(ROIS_AT_A_TIME).map(<[_]>::to_vec).collect();
        let mut has_further = counts.proposals > own;
        loop {
            if passes.is_empty() && has_further && search.goes_on(seen) && search.is_crowded(own) {
                has_further = false;
                passes = further(&proposals).chunks(PATIENCE).map(<[_]>::to_vec).collect();
            }
            if seen >= own && !search.goes_on(seen) {
                break;
            }
            let Some(pass) = passes.pop_front() else { break };
            progress.at(Stage::Boxes, seen as f32 / own.max(seen + 1) as f32).await?;
            let boxes = pass.iter().map(|p| p.corners).collect();
            let (logits, deltas) = self.box_outputs(&box_pool, features, &[boxes]);
            let predictions = BoxPredictions::read(config.num_classes(), logits, deltas).await?;
            let from = candidates.corners.len();
            candidates.add(config, &pass, predictions, &|corners| input.clip(corners), seen);
            seen += pass.len();
            search.see(&candidates, from);
        }
        // Whether the search ended because the proposals allowed were used up.
        let cut = seen >= counts.proposals && counts.proposals > own && search.goes_on(seen);
        let mut detections = candidates.best(config, own, counts.detections);
        if self.mask_head.is_some() {
            let mask_pool = pool(config.mask_roi_pool_size);
            let total = detections.len();
            for (i, chunk) in detections.chunks_mut(MASKS_AT_A_TIME).enumerate() {
                progress.at(Stage::Masks, (i * MASKS_AT_A_TIME) as f32 / total as f32).await?;
                self.add_masks(&mask_pool, features, chunk).await?;
            }
        }
        Ok(NetworkDetections { detections, cut })
    }

    /// Predicts the mask of each detection for its class.
    async fn add_masks(
        &self,
        pool: &MultiScaleRoiAlign,
        features: &[Tensor<4>],
        detections: &mut [NetworkDetection],
    ) -> Result<()> {
        let boxes = detections.iter().map(|d| d.corners).collect();
        let Some(logits) = self.mask_logits(pool, features, &[boxes]) else { return Ok(()) };
        let classes: Vec<usize> = detections.iter().map(|d| d.class).collect();
        let side = logits.dims()[1];
        let probabilities = super::mask_head::class_probabilities(logits, &classes).await?;
        for (detection, probabilities) in detections.iter_mut().zip(probabilities) {
            detection.mask = Some(MaskGrid { side, probabilities });
        }
        Ok(())
    }
}

impl BoxPredictions {
    /// Reads them from the device.
    pub(super) async fn read(classes: usize, logits: Tensor<2>, deltas: Tensor<2>) -> Result<Self> {
        let device = logits.device();
        let mut data = read::execute(Transaction::default().register(logits).register(deltas), &device).await?;
        let deltas = data[1].as_chunks::<4>().0.to_vec();
        Ok(Self { classes, logits: data.swap_remove(0), deltas })
    }
}

/// Sharpens the label probabilities `p` of one proposal to `P pˢ / Σ pˢ`, where `P = Σ p` is the probability that it is a cell at
/// all. A cell with an uncertain label then keeps its full score under one label, instead of being detected twice with half the
/// score under each. The price is a score that says less about the certainty of the label.
pub fn sharpen(labels: &mut [f32], sharpness: f32) {
    if sharpness == 1.0 {
        return;
    }
    let all: f32 = labels.iter().sum();
    let best = labels.iter().copied().fold(0.0, f32::max);
    if best > 0.0 {
        labels.iter_mut().for_each(|p| *p = (*p / best).powf(sharpness));
        let powers: f32 = labels.iter().sum();
        labels.iter_mut().for_each(|p| *p *= all / powers);
    }
}

/// What may become a detection: every foreground class of every proposal, in the order of proposals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidates {
    /// In pixels of the network's input.
    pub corners: Vec<[f32; 4]>,
    pub scores: Vec<f32>,
    pub labels: Vec<u32>,
    /// The number of the proposal that it comes from.
    pub proposals: Vec<usize>,
}

impl Candidates {
    /// Adds one.
    pub fn push(&mut self, corners: [f32; 4], score: f32, label: u32, proposal: usize) {
        self.corners.push(corners);
        self.scores.push(score);
        self.labels.push(label);
        self.proposals.push(proposal);
    }

    /// Adds those of `proposals`, the first of which has number `first`: above the score threshold, and not tiny.
    fn add(
        &mut self,
        config: &DetectorConfig,
        proposals: &[Proposal],
        mut predictions: BoxPredictions,
        clip: &dyn Fn([f32; 4]) -> [f32; 4],
        first: usize,
    ) {
        let coder = config.box_coder();
        let classes = predictions.classes;
        let threshold = config.box_score_thresh;
        for (r, row) in predictions.logits.chunks_exact_mut(classes).enumerate() {
            softmax(row);
            sharpen(&mut row[1..], config.class_sharpness);
            let best = boxes::argmax(row);
            for (class, &score) in row.iter().enumerate().skip(1) {
                let counts = match config.score_rule {
                    ScoreRule::EveryClass => score > threshold,
                    ScoreRule::BestClass => class == best && score >= threshold,
                };
                if !counts {
                    continue;
                }
                let clipped = clip(coder.decode(predictions.deltas[r * classes + class], proposals[r].corners));
                if boxes_at_least(clipped, MIN_SIZE) {
                    self.push(clipped, score, class as u32, first + r);
                }
            }
        }
    }

    /// What NMS within each class leaves, the best `most` of it, highest score first. Candidates of proposals after the first
    /// `own` count where none of those before was kept: they add cells, and change nothing of what torchvision finds.
    fn best(&self, config: &DetectorConfig, own: usize, most: usize) -> Vec<NetworkDetection> {
        let threshold = config.box_nms_thresh;
        let further = self.proposals.partition_point(|proposal| *proposal < own);
        let corners: Vec<_> = self.corners.iter().map(|c| config.corners.of_edges(*c)).collect();
        let nms = |from: usize, to: usize| {
            let kept =
                boxes::batched_nms(&corners[from..to], &self.scores[from..to], &self.labels[from..to], threshold);
            kept.into_iter().map(|i| from + i).collect::<Vec<_>>()
        };
        let mut kept = nms(0, further);
        if further < self.corners.len() {
            let mut taken = BoxGrid::for_boxes(&self.corners);
            for i in &kept {
                taken.push(self.corners[*i], 0);
            }
            kept.extend(
                nms(further, self.corners.len())
                    .into_iter()
                    .filter(|i| !taken.has_overlap(self.corners[*i], 0, threshold)),
            );
            kept.sort_by(|a, b| self.scores[*b].total_cmp(&self.scores[*a]));
        }
        kept.truncate(most);
        let detection = |i: usize| {
            let (corners, class, score) = (self.corners[i], self.labels[i] as usize, self.scores[i]);
            NetworkDetection { corners, class, score, mask: None }
        };
        kept.into_iter().map(detection).collect()
    }
}

/// `postprocess_detections` of one image. Every foreground class of every proposal is a candidate. Candidates above the score
/// threshold that are not tiny go through NMS within their class; the best are kept, highest score first.
pub fn postprocess_detections(
    config: &DetectorConfig,
    proposals: &[Proposal],
    predictions: BoxPredictions,
    size: [usize; 2],
) -> Vec<NetworkDetection> {
    let mut candidates = Candidates::default();
    let clip = |corners| config.corners.clip(corners, size[1] as f32, size[0] as f32);
    candidates.add(config, proposals, predictions, &clip, 0);
    candidates.best(config, proposals.len(), config.box_detections_per_img)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_an_uncertain_label_keeps_its_score() {
        let sharp = |labels: [f32; 3], sharpness| {
            let mut labels = labels;
            sharpen(&mut labels, sharpness);
            labels
        };
        assert_eq!(sharp([0.4, 0.3, 0.1], 1.0), [0.4, 0.3, 0.1]);
        let [a, b, c] = sharp([0.4, 0.2, 0.2], 2.0);
        assert!((a - 0.8 * 16.0 / 24.0).abs() < 1e-6 && (b - 0.8 * 4.0 / 24.0).abs() < 1e-6 && b == c);
        let [a, b, c] = sharp([0.45, 0.35, 0.0], 100.0);
        assert!(a > 0.799 && b < 1e-3 && c == 0.0);
        // Certain labels and the background are unchanged.
        assert_eq!(sharp([0.9, 0.0, 0.0], 10.0), [0.9, 0.0, 0.0]);
        assert_eq!(sharp([0.0; 3], 10.0), [0.0; 3]);
        assert!(sharp([f32::NAN, 0.5, 0.0], 10.0)[0].is_nan());
    }

    #[test]
    fn further_proposals_add_cells_and_change_none() {
        let config = DetectorConfig::default();
        let mut candidates = Candidates::default();
        candidates.push([0.0, 0.0, 10.0, 10.0], 0.6, 1, 0);
        candidates.push([40.0, 0.0, 50.0, 10.0], 0.3, 1, 1);
        // A better box of the first cell, the same cell under another label, and two of a new cell.
        candidates.push([0.0, 1.0, 10.0, 11.0], 0.9, 1, 2);
        candidates.push([0.0, 1.0, 10.0, 11.0], 0.8, 2, 2);
        candidates.push([80.0, 0.0, 90.0, 10.0], 0.5, 1, 3);
        candidates.push([80.0, 1.0, 90.0, 11.0], 0.4, 1, 4);
        let found = |own, most| {
            let best = candidates.best(&config, own, most);
            best.iter().map(|d| (d.corners[0], d.score)).collect::<Vec<_>>()
        };
        assert_eq!(found(2, 100), [(0.0, 0.6), (80.0, 0.5), (40.0, 0.3)]);
        assert_eq!(found(2, 1), [(0.0, 0.6)]);
        assert_eq!(found(5, 100), [(0.0, 0.9), (0.0, 0.8), (80.0, 0.5), (40.0, 0.3)], "all of them torchvision's");
    }

    #[test]
    fn class_sharpness_changes_the_scores_of_detections() {
        let classes = ["__background__", "a", "b"].map(str::to_owned).to_vec();
        let proposals = [Proposal { corners: [10.0, 10.0, 50.0, 50.0], score: 1.0 }];
        let scores = |class_sharpness| {
            let config = DetectorConfig { classes: classes.clone(), class_sharpness, ..DetectorConfig::default() };
            let logits = [0.2f32, 0.45, 0.35].map(f32::ln).to_vec();
            let predictions = BoxPredictions { classes: 3, logits, deltas: vec![[0.0; 4]; 3] };
            let found = postprocess_detections(&config, &proposals, predictions, [64, 64]);
            found.iter().map(|d| (d.class, (d.score * 1000.0).round())).collect::<Vec<_>>()
        };
        assert_eq!(scores(1.0), [(1, 450.0), (2, 350.0)]);
        // 0.8 · 0.45² / (0.45² + 0.35²); the rest has the other label.
        assert_eq!(scores(2.0), [(1, 498.0), (2, 302.0)]);
        assert_eq!(scores(20.0), [(1, 795.0)]);
    }
}
