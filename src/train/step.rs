//! One step of training: forward, losses, backward, and the update, if everything in it is a number.
//!
//! The device is read twice: the RPN's answers, from which proposals and targets are made on the host, and at the end
//! the losses with the sizes of all gradients. Only then is it known that the step is sound, and parameters change.

use burn::tensor::{Device, Tensor, TensorData, Transaction};
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::loss::{self, BoxTargets, RpnLoss};
use super::mask_target::mask_target;
use super::norms;
use super::optimizer::Optimizer;
use super::parameters::{Names, ParameterGradients};
use super::rng::TrainRng;
use super::targets::{BalancedSampler, Matcher, RoiTarget, RpnTargets, Scene, roi_targets, rpn_targets};
use super::truth::Sample;
use crate::error::{Error, Result};
use crate::model::anchors::pyramid_anchors;
use crate::model::config::SIZE_DIVISIBLE;
use crate::model::pooler::MultiScaleRoiAlign;
use crate::model::rcnn::grids;
use crate::model::read;
use crate::model::rpn::{self, LevelPrediction, TopN};
use crate::model::{DetectorConfig, GeneralizedRcnn};

/// The losses of a step, named as in torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Losses {
    /// Cross-entropy of the box head's classes.
    pub loss_classifier: f32,
    /// Smooth L1 of the box head's corners.
    pub loss_box_reg: f32,
    /// Binary cross-entropy of the masks; 0 for a Faster R-CNN.
    pub loss_mask: f32,
    /// Binary cross-entropy of the RPN's objectness.
    pub loss_objectness: f32,
    /// Smooth L1 of the RPN's corners.
    pub loss_rpn_box_reg: f32,
}

impl Losses {
    /// Each loss under its name.
    pub fn named(&self) -> [(&'static str, f32); 5] {
        [
            ("loss_classifier", self.loss_classifier),
            ("loss_box_reg", self.loss_box_reg),
            ("loss_mask", self.loss_mask),
            ("loss_objectness", self.loss_objectness),
            ("loss_rpn_box_reg", self.loss_rpn_box_reg),
        ]
    }

    /// What is minimised: their sum.
    pub fn total(&self) -> f32 {
        self.named().iter().map(|(_, v)| v).sum()
    }
}

/// Samples of one step; all are padded to the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub samples: Vec<Sample>,
    /// Height and width of the network's input.
    pub padded: [usize; 2],
}

impl Batch {
    pub fn new(samples: Vec<Sample>) -> Self {
        let greatest = |axis: usize| samples.iter().map(|s| s.size[axis]).max().unwrap_or(0);
        let padded = [0, 1].map(|axis| greatest(axis).next_multiple_of(SIZE_DIVISIBLE));
        Self { samples, padded }
    }

    /// `[N, H, W, 3]`, zeros right of and below each image.
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let [height, width] = self.padded;
        let mut values = vec![0f32; self.samples.len() * height * width * 3];
        for (image, sample) in values.chunks_exact_mut(height * width * 3).zip(&self.samples) {
            let row = sample.size[1] * 3;
            for (to, from) in image.chunks_exact_mut(width * 3).zip(sample.values.chunks_exact(row.max(1))) {
                to[..row].copy_from_slice(from);
            }
        }
        Tensor::from_data(TensorData::new(values, [self.samples.len(), height, width, 3]), device)
    }

    fn names(&self) -> String {
        self.samples.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A loss or a gradient that is not a finite number. Nothing was changed by its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFinite {
    /// The loss, or `gradient of` a parameter.
    pub term: String,
    /// The image, or those that it is among.
    pub image: String,
}

impl From<NotFinite> for Error {
    fn from(fault: NotFinite) -> Self {
        Self::Training(format!(
            "{} is not a finite number, with image {}. Nothing of that step was kept; a lower learning rate may help",
            fault.term, fault.image
        ))
    }
}

/// What ends a step early.
#[derive(Debug, Clone, PartialEq)]
pub enum StepFault {
    NotFinite(NotFinite),
    Other(Error),
}

impl From<Error> for StepFault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The losses of a batch before anything is read back.
#[derive(Debug)]
pub struct Forward {
    pub rpn: RpnLoss,
    pub classifier: Tensor<1>,
    pub box_reg: Tensor<1>,
    /// `None` where no object with a mask was sampled, or the detector has no masks.
    pub mask: Option<Tensor<1>>,
    /// A number with the gradient of the sum of all five.
    pub total: Tensor<1>,
    /// `[R, K]`, to find the image when something is wrong.
    logits: Tensor<2>,
    /// RoIs of each image.
    rois: Vec<usize>,
}

/// Runs the network in training: `GeneralizedRCNN.forward` with targets.
///
/// # Errors
/// What is not finite in the RPN's answers, with its image; a device that failed.
pub async fn forward(
    network: &GeneralizedRcnn,
    config: &DetectorConfig,
    batch: &Batch,
    class_loss_weight: f32,
    rng: &mut TrainRng,
    device: &Device,
) -> Result<Forward, StepFault> {
    let samples = &batch.samples;
    let features = network.backbone.forward(batch.to_tensor(device), &()).await?;
    let outputs = network.rpn_outputs(&features);
    let data = read::execute_unchecked(rpn::register_predictions(&outputs), device).await?;
    let predictions = rpn::split_predictions(&data, samples.len());
    for (levels, sample) in predictions.iter().zip(samples) {
        check_predictions(levels, sample)?;
    }

    let anchors = pyramid_anchors(config, &grids(&features), batch.padded);
    let all_anchors = anchors.concat();
    let (mut rpn_wanted, mut rois): (Vec<RpnTargets>, Vec<Vec<RoiTarget>>) = (Vec::new(), Vec::new());
    for (levels, sample) in predictions.iter().zip(samples) {
        let objects = sample.boxes();
        let scene = Scene { objects: &objects, ignored: &sample.ignored, incomplete: sample.incomplete };
        rpn_wanted.push(rpn_targets(
            rpn_matcher(config),
            rpn_sampler(config),
            config.rpn_box_coder(),
            &all_anchors,
            scene,
            rng,
        ));
        let proposals = rpn::filter_proposals(config, TopN::train(config), levels, &anchors, sample.size);
        let proposals: Vec<[f32; 4]> = proposals.iter().map(|p| p.corners).collect();
        let coder = config.box_coder();
        rois.push(roi_targets(roi_matcher(config), roi_sampler(config), coder, &proposals, scene, rng));
    }
    let is_idle = keep_box_head_busy(&mut rois, samples);
    let rpn = RpnLoss::new(&predictions, &rpn_wanted);

    let heights: Vec<usize> = features.iter().map(|level| level.dims()[1]).collect();
    let tallest = samples.iter().map(|s| s.size[0]).max().unwrap_or(0);
    let pool = |side| MultiScaleRoiAlign::of(config, &heights, tallest, batch.padded, side);
    let boxes: Vec<Vec<[f32; 4]>> = rois.iter().map(|r| r.iter().map(|roi| roi.corners).collect()).collect();
    let (logits, deltas) = network.roi_heads.box_outputs(&pool(config.box_roi_pool_size), &features, &boxes);
    let wanted = BoxTargets::new(&rois, samples, config.num_classes());
    let (mut classifier, box_reg) = (wanted.classifier(logits.clone()), wanted.box_reg(deltas));
    if class_loss_weight > 0.0
        && let Some(classes) = wanted.classes(logits.clone())
    {
        classifier = classifier + classes.mul_scalar(class_loss_weight);
    }
    if is_idle {
        classifier = classifier.mul_scalar(0.0);
    }
    let mask = mask_loss(network, config, &pool(config.mask_roi_pool_size), &features, &rois, samples);

    let mut total = classifier.clone() + box_reg.clone();
    for part in rpn.surrogate(&outputs, device).into_iter().chain(mask.clone()) {
        total = total + part;
    }
    Ok(Forward { rpn, classifier, box_reg, mask, total, logits, rois: boxes.iter().map(Vec::len).collect() })
}

/// Where nothing is known of any proposal, as in crops that show only remnants, there is no RoI to learn from, and the box
/// head cannot run on none: it gets the whole first image. Whether that is so; then its loss must not count.
fn keep_box_head_busy(rois: &mut [Vec<RoiTarget>], samples: &[Sample]) -> bool {
    let is_idle = rois.iter().all(Vec::is_empty);
    if is_idle && let (Some(first), Some(sample)) = (rois.first_mut(), samples.first()) {
        let [height, width] = sample.size.map(|side| side as f32);
        first.push(RoiTarget { corners: [0.0, 0.0, width, height], object: None });
    }
    is_idle
}

fn rpn_matcher(c: &DetectorConfig) -> Matcher {
    Matcher { high: c.rpn_fg_iou_thresh, low: c.rpn_bg_iou_thresh, low_quality: true }
}

fn roi_matcher(c: &DetectorConfig) -> Matcher {
    Matcher { high: c.box_fg_iou_thresh, low: c.box_bg_iou_thresh, low_quality: false }
}

fn rpn_sampler(c: &DetectorConfig) -> BalancedSampler {
    BalancedSampler { batch_size: c.rpn_batch_size_per_image, positive_fraction: c.rpn_positive_fraction }
}

fn roi_sampler(c: &DetectorConfig) -> BalancedSampler {
    BalancedSampler { batch_size: c.box_batch_size_per_image, positive_fraction: c.box_positive_fraction }
}

fn check_predictions(levels: &[LevelPrediction], sample: &Sample) -> Result<(), StepFault> {
    let wrong = |term: &str| Err(StepFault::NotFinite(NotFinite { term: term.to_owned(), image: sample.name.clone() }));
    if levels.iter().any(|l| l.objectness.iter().any(|v| !v.is_finite())) {
        return wrong("loss_objectness");
    }
    if levels.iter().any(|l| l.deltas.as_flattened().iter().any(|v| !v.is_finite())) {
        return wrong("loss_rpn_box_reg");
    }
    Ok(())
}

/// The mask head runs on the RoIs alone whose object has a mask to learn.
fn mask_loss(
    network: &GeneralizedRcnn,
    config: &DetectorConfig,
    pool: &MultiScaleRoiAlign,
    features: &[Tensor<4>],
    rois: &[Vec<RoiTarget>],
    samples: &[Sample],
) -> Option<Tensor<1>> {
    network.roi_heads.mask_head.as_ref()?;
    // What the head answers is twice as fine as what it sees.
    let side = 2 * config.mask_roi_pool_size;
    let (mut targets, mut classes) = (Vec::new(), Vec::new());
    let mut boxes: Vec<Vec<[f32; 4]>> = Vec::with_capacity(samples.len());
    for (rois, sample) in rois.iter().zip(samples) {
        let mut learnt = Vec::new();
        for roi in rois {
            let Some((object, _)) = roi.object else { continue };
            let object = &sample.objects[object];
            if let Some(target) = mask_target(object, config.masks_from_boxes, roi.corners, side, sample.size) {
                targets.extend(target);
                classes.push(object.class);
                learnt.push(roi.corners);
            }
        }
        boxes.push(learnt);
    }
    if classes.is_empty() {
        return None;
    }
    let logits = network.roi_heads.mask_logits(pool, features, &boxes)?;
    Some(loss::mask(logits, &targets, &classes))
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stepped {
    pub losses: Losses,
    /// The length of all gradients together, before clipping.
    pub gradient_norm: f32,
}

/// Everything that a step changes.
#[derive(Debug, Clone)]
pub struct Learner {
    pub network: GeneralizedRcnn,
    pub names: Names,
    pub optimizer: Optimizer,
    /// [`TrainConfig::class_loss_weight`]
    pub class_loss_weight: f32,
    /// With autodiff.
    pub device: Device,
}

impl Learner {
    /// One step at a learning rate.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, by name and image; a device that failed. Then no parameter, no moment of
    /// the optimiser and no running moment of a norm has changed.
    pub async fn step(
        &mut self,
        config: &DetectorConfig,
        train: &TrainConfig,
        batch: &Batch,
        rng: &mut TrainRng,
        rate: f64,
    ) -> Result<Stepped, StepFault> {
        let done = self.gradients(config, batch, rng).await;
        let (gradients, stepped) = match done {
            Ok(done) => done,
            Err(fault) => {
                norms::discard(&mut self.network);
                return Err(fault);
            }
        };
        let scale = train.gradient_clip.map_or(1.0, |clip| (clip / (stepped.gradient_norm + 1e-6)).min(1.0));
        // A clone of a network is a clone of handles.
        self.network = self.optimizer.step(self.network.clone(), &self.names, &gradients, rate, scale);
        norms::commit(&mut self.network, train.norm.map_or(0.0, |n| n.momentum));
        Ok(stepped)
    }

    /// The gradients of a batch, known to be finite.
    pub async fn gradients(
        &self,
        config: &DetectorConfig,
        batch: &Batch,
        rng: &mut TrainRng,
    ) -> Result<(ParameterGradients, Stepped), StepFault> {
        let forward = forward(&self.network, config, batch, self.class_loss_weight, rng, &self.device).await?;
        let gradients = ParameterGradients::take(&self.network, forward.total.backward());
        let (owners, sums) = match gradients.square_sums(&self.names) {
            Some((owners, sums)) => (owners, Some(sums)),
            None => (Vec::new(), None),
        };
        let parts = [Some(forward.classifier.clone().inner()), Some(forward.box_reg.clone().inner())];
        let parts = parts.into_iter().chain([forward.mask.clone().map(Tensor::inner), sums.clone()]);
        let transaction = parts.flatten().fold(Transaction::default(), Transaction::register);
        let mut data = read::execute_unchecked(transaction, &self.device).await?.into_iter();
        let mut next = || data.next().and_then(|v| v.first().copied()).unwrap_or(0.0);
        let losses = Losses {
            loss_classifier: next(),
            loss_box_reg: next(),
            loss_mask: if forward.mask.is_some() { next() } else { 0.0 },
            loss_objectness: forward.rpn.objectness,
            loss_rpn_box_reg: forward.rpn.box_reg,
        };
        let sums = data.next().unwrap_or_default();
        if let Some((term, _)) = losses.named().into_iter().find(|(_, v)| !v.is_finite()) {
            return Err(self.fault(term.to_owned(), &forward, batch).await);
        }
        if let Some((owner, _)) = owners.iter().zip(&sums).find(|(_, v)| !v.is_finite()) {
            return Err(self.fault(format!("the gradient of {owner}"), &forward, batch).await);
        }
        let gradient_norm = sums.iter().map(|v| f64::from(*v)).sum::<f64>().sqrt() as f32;
        Ok((gradients, Stepped { losses, gradient_norm }))
    }

    /// Reads once more to find the image.
    async fn fault(&self, term: String, forward: &Forward, batch: &Batch) -> StepFault {
        let classes = forward.logits.dims()[1];
        let read = Transaction::default().register(forward.logits.clone().inner());
        let logits =
            read::execute_unchecked(read, &self.device).await.ok().and_then(|mut d| d.pop()).unwrap_or_default();
        let row = logits.chunks_exact(classes.max(1)).position(|row| row.iter().any(|v| !v.is_finite()));
        let mut before = 0;
        let image = row.and_then(|row| {
            forward.rois.iter().position(|n| {
                before += n;
                row < before
            })
        });
        let image = image.map_or_else(|| batch.names(), |i| batch.samples[i].name.clone());
        StepFault::NotFinite(NotFinite { term, image })
    }
}
