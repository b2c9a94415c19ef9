//! The second stage: classifies and refines each proposal (torchvision's `roi_heads.py`, `faster_rcnn.py`).

use burn::module::Module;
use burn::tensor::{Tensor, Transaction};

use super::config::DetectorConfig;
use super::layers::{Builder, Linear};
use super::mask_head::{MaskHead, MaskPredictor};
use super::pooler::MultiScaleRoiAlign;
use super::progress::{Progress, Stage};
use super::read::{self, softmax};
use super::rpn::{Proposal, boxes_at_least};
use crate::boxes;
use crate::error::Result;

/// Detections with a side shorter than this, in pixels of the network's input, are dropped.
const MIN_SIZE: f32 = 1e-2;
/// RoIs per pass of the box head, and detections per pass of the mask head, whose grids are larger. Together with the pyramid
/// they must fit a browser's memory, and a cancellation waits for at most one pass.
const ROIS_AT_A_TIME: usize = 256;
const MASKS_AT_A_TIME: usize = 32;

/// `box_head`: two fully connected layers.
#[derive(Module, Debug)]
pub struct TwoMlpHead {
    pub fc6: Linear,
    pub fc7: Linear,
}

impl TwoMlpHead {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let (channels, width) = (config.fpn_channels, config.representation_size);
        Ok(Self {
            fc6: builder.linear_after_pool(format!("{name}.fc6"), [channels, config.box_roi_pool_size, width])?,
            fc7: builder.linear(format!("{name}.fc7"), [width, width])?,
        })
    }

    /// `[R, S, S, C]` → `[R, representation]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        self.fc7.forward_relu(self.fc6.forward_relu(x.flatten(1, 3)))
    }
}

/// `box_predictor`: a logit and four deltas for each class, including the background.
#[derive(Module, Debug)]
pub struct FastRcnnPredictor {
    pub cls_score: Linear,
    pub bbox_pred: Linear,
}

impl FastRcnnPredictor {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let (width, classes) = (config.representation_size, config.num_classes());
        Ok(Self {
            cls_score: builder.linear(format!("{name}.cls_score"), [width, classes])?,
            bbox_pred: builder.linear(format!("{name}.bbox_pred"), [width, 4 * classes])?,
        })
    }

    /// `[R, representation]` → logits `[R, K]` and deltas `[R, 4 K]`
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        (self.cls_score.forward(x.clone()), self.bbox_pred.forward(x))
    }
}

/// `roi_heads`.
#[derive(Module, Debug)]
pub struct RoiHeads {
    pub box_head: TwoMlpHead,
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

/// Mask probabilities on a square grid.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskGrid {
    pub side: usize,
    pub probabilities: Vec<f32>,
}

impl RoiHeads {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let box_head = TwoMlpHead::build(builder, &format!("{name}.box_head"), config)?;
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

    /// The detections of one image: boxes for every proposal, of which the best are kept and get masks.
    ///
    /// `size` is the height and width of the resized image without padding.
    ///
    /// # Errors
    /// A device that failed or returned values that are not finite, and errors of `progress`.
    pub async fn detect(
        &self,
        config: &DetectorConfig,
        features: &[Tensor<4>],
        proposals: &[Proposal],
        size: [usize; 2],
        progress: &dyn Progress,
    ) -> Result<Vec<NetworkDetection>> {
        let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
        let pool = |side| MultiScaleRoiAlign::new(&heights, size[0], side, config.roi_sampling_ratio);
        let box_pool = pool(config.box_roi_pool_size);
        let mut predictions = BoxPredictions { classes: config.num_classes(), logits: Vec::new(), deltas: Vec::new() };
        for (i, chunk) in proposals.chunks(ROIS_AT_A_TIME).enumerate() {
            progress.at(Stage::Boxes, (i * ROIS_AT_A_TIME) as f32 / proposals.len() as f32).await?;
            let boxes = chunk.iter().map(|p| p.corners).collect();
            let (logits, deltas) = self.box_outputs(&box_pool, features, &[boxes]);
            predictions.append(logits, deltas).await?;
        }
        let mut detections = postprocess_detections(config, proposals, predictions, size);
        if self.mask_head.is_some() {
            let mask_pool = pool(config.mask_roi_pool_size);
            let total = detections.len();
            for (i, chunk) in detections.chunks_mut(MASKS_AT_A_TIME).enumerate() {
                progress.at(Stage::Masks, (i * MASKS_AT_A_TIME) as f32 / total as f32).await?;
                self.add_masks(&mask_pool, features, chunk).await?;
            }
        }
        Ok(detections)
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
    /// Appends further rows from the device.
    pub async fn append(&mut self, logits: Tensor<2>, deltas: Tensor<2>) -> Result<()> {
        let device = logits.device();
        let data = read::execute(Transaction::default().register(logits).register(deltas), &device).await?;
        self.logits.extend(&data[0]);
        self.deltas.extend(data[1].as_chunks::<4>().0);
        Ok(())
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

/// `postprocess_detections` of one image. Every foreground class of every proposal is a candidate. Candidates above the score
/// threshold that are not tiny go through NMS within their class; the best are kept, highest score first.
pub fn postprocess_detections(
    config: &DetectorConfig,
    proposals: &[Proposal],
    mut predictions: BoxPredictions,
    size: [usize; 2],
) -> Vec<NetworkDetection> {
    let coder = config.box_coder();
    let classes = predictions.classes;
    let (mut corners, mut scores, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (r, row) in predictions.logits.chunks_exact_mut(classes).enumerate() {
        softmax(row);
        sharpen(&mut row[1..], config.class_sharpness);
        for (class, &score) in row.iter().enumerate().skip(1) {
            if score <= config.box_score_thresh {
                continue;
            }
            let decoded = coder.decode(predictions.deltas[r * classes + class], proposals[r].corners);
            let clipped = boxes::clip(decoded, size[1] as f32, size[0] as f32);
            if boxes_at_least(clipped, MIN_SIZE) {
                corners.push(clipped);
                scores.push(score);
                labels.push(class as u32);
            }
        }
    }
    let mut kept = boxes::batched_nms(&corners, &scores, &labels, config.box_nms_thresh);
    kept.truncate(config.box_detections_per_img);
    kept.into_iter()
        .map(|i| NetworkDetection { corners: corners[i], class: labels[i] as usize, score: scores[i], mask: None })
        .collect()
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
