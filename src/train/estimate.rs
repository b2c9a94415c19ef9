//! Time and memory of a training run, before it starts: multiplications counted from the layers, memory from what they keep for
//! the way back, and time from how fast this device multiplies.

use burn::tensor::{Device, Distribution, Tensor, Transaction};
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::augment::Augment;
use super::config::{Budget, OptimizerConfig, TrainConfig, Trainable};
use crate::error::Result;
use crate::kernels::{ConvOptions, conv2d};
use crate::limits;
use crate::model::{Backbone, DetectorConfig, read};

/// Forward, data gradient and weight gradient cost about the same.
const PASSES: f64 = 3.0;
/// Everything that is not a convolution (normalisation, sampling, matching, augmentation), as a share on top.
const OVERHEAD: f64 = 1.4;
/// What a layer keeps: its output, the activation's, and their gradients while the way back runs.
const COPIES: f64 = 3.0;
/// What a tensor takes while it is saved: as it is read, as values and as the bytes of the file.
const SAVED_COPIES: f64 = 3.0;
/// Regions that the mask head sees: the positive quarter of the sampled ones.
const MASK_SHARE: f64 = 0.25;
/// Side of ImageNet's crops, for which the literature counts.
const REFERENCE_SIDE: f64 = 224.0;

/// Estimated time and memory of a training run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    pub parameters: u64,
    /// Of one step at its largest, and of a checkpoint.
    pub memory_bytes: u64,
    pub seconds_per_step: f64,
    pub steps_per_epoch: u64,
    /// Of the whole budget.
    pub seconds: f64,
}

/// Multiply-adds (1e9) and floats in feature maps (1e6) of the backbone without its last layer on 224 × 224 pixels, and
/// its parameters (1e6), as published with torchvision's and timm's models.
fn body(backbone: Backbone) -> (f64, f64, f64) {
    match backbone {
        Backbone::ResNet18 => (1.82, 2.48, 11.2),
        Backbone::ResNet34 => (3.67, 3.74, 21.3),
        Backbone::ResNet50 => (4.11, 11.11, 23.5),
        Backbone::ResNet101 => (7.83, 16.23, 42.5),
    }
}

/// Share of the backbone's work whose gradients are needed.
fn learning_share(trainable: Trainable) -> f64 {
    match trainable {
        Trainable::Heads => 0.0,
        Trainable::From5 => 0.2,
        Trainable::From4 => 0.45,
        Trainable::From3 => 0.7,
        Trainable::All => 1.0,
    }
}

/// Pixels of one input: on average over all scales that are drawn, and at most.
fn areas(augment: &Augment, side: [usize; 2]) -> [f64; 2] {
    /// Scales that the average is taken of.
    const SCALES: usize = 9;
    let [low, high] = augment.scale.map(f64::from);
    let at = |scale: f64| -> f64 {
        let cut = |side: f64| augment.crop.map_or(side, |crop| side.min(f64::from(crop)));
        side.iter().map(|s| cut((*s as f64 * scale).min(f64::from(limits::NETWORK_SIDE)))).product()
    };
    let scales = (0..SCALES).map(|i| low + (high - low) * (i as f64 + 0.5) / SCALES as f64);
    [scales.map(at).sum::<f64>() / SCALES as f64, at(high)]
}

/// `side` is height and width of the network's input at scale 1; `multiply_adds` are those that the device does in a second.
pub fn estimate(
    config: &DetectorConfig,
    settings: &TrainConfig,
    images: usize,
    side: [usize; 2],
    multiply_adds: f64,
) -> Estimate {
    let (work, maps, parameters) = body(config.backbone);
    let c = config.fpn_channels as f64;
    // Of a pixel of the input.
    let places: f64 = (2..=6).map(|level| 1.0 / f64::from(1u32 << (2 * level))).sum();
    let lateral: f64 = (2..)
        .zip(config.backbone.channels())
        .map(|(level, channels)| channels as f64 * c / f64::from(1u32 << (2 * level)))
        .sum();
    let pyramid = lateral + 2.0 * places * 9.0 * c * c;
    let rois = config.box_batch_size_per_image as f64;
    let pooled = (config.box_roi_pool_size * config.box_roi_pool_size) as f64;
    let hidden = config.representation_size as f64;
    let box_weights = pooled * c * hidden + hidden * hidden;
    let (mut heads, mut head_maps) = (rois * box_weights, rois * (pooled * c + 2.0 * hidden));
    let mut head_weights = box_weights + 20.0 * c * c;
    if config.has_mask() {
        let cells = (config.mask_roi_pool_size * config.mask_roi_pool_size) as f64;
        let layers = config.mask_layers.len() as f64;
        heads += rois * MASK_SHARE * cells * c * c * (9.0 * layers + 4.0);
        head_maps += rois * MASK_SHARE * cells * c * (layers + 4.0);
        head_weights += c * c * (9.0 * layers + 4.0);
    }
    let learning = learning_share(settings.trainable);
    let [usual, largest] = areas(&settings.augment, side);
    let reference = REFERENCE_SIDE * REFERENCE_SIDE;
    let backbone = work * 1e9 * usual / reference * (1.0 + (PASSES - 1.0) * learning);
    let per_image = backbone + PASSES * (pyramid * usual + heads);
    let kept = maps * 1e6 * largest / reference * learning.max(0.1) + 3.0 * places * largest * c + head_maps;
    let batch = settings.batch_size as f64;
    let body_parameters = parameters * 1e6;
    let parameters = body_parameters + lateral * 16.0 + head_weights;
    let moments = match settings.optimizer {
        OptimizerConfig::Sgd { .. } => 1.0,
        OptimizerConfig::AdamW { .. } => 2.0,
    };
    let average = if settings.ema_decay > 0.0 { 1.0 } else { 0.0 };
    let seconds_per_step = batch * per_image * OVERHEAD / multiply_adds.max(1.0);
    let steps_per_epoch = ((images * settings.repeats) as u64).div_ceil(settings.batch_size as u64).max(1);
    let seconds = match settings.budget {
        Budget::Epochs(epochs) => f64::from(epochs) * steps_per_epoch as f64 * seconds_per_step,
        Budget::Minutes(minutes) => 60.0 * f64::from(minutes),
    };
    // The backbone's weights times the frozen norms beside them, which the way back needs.
    let scaled = if settings.norm.is_none() { body_parameters } else { 0.0 };
    // A checkpoint is read tensor by tensor, and the largest of them is the box head's first layer.
    let saved = SAVED_COPIES * pooled * c * hidden;
    Estimate {
        parameters: parameters as u64,
        memory_bytes: (4.0 * (parameters * (2.0 + moments + average) + scaled + COPIES * batch * kept + saved)) as u64,
        seconds_per_step,
        steps_per_epoch,
        seconds,
    }
}

/// Multiply-adds a second of a 3×3 convolution as the backbones have them, on this device.
///
/// # Errors
/// What the convolution says.
pub async fn measure(device: &Device) -> Result<f64> {
    const SIDE: usize = 64;
    const CHANNELS: usize = 64;
    const ROUNDS: usize = 3;
    let x = Tensor::<4>::random([1, SIDE, SIDE, CHANNELS], Distribution::Default, device);
    let w = Tensor::<4>::random([3, 3, CHANNELS, CHANNELS], Distribution::Default, device);
    let mut best = f64::INFINITY;
    // The first round also builds the kernel, and loses.
    for _ in 0..=ROUNDS {
        let started = Instant::now();
        let y = conv2d(x.clone(), w.clone(), None, ConvOptions { stride: 1, padding: 1, relu: false });
        read::execute(Transaction::default().register(y.sum()), device).await?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok((SIDE * SIDE * CHANNELS * CHANNELS * 9) as f64 / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_crops_change_the_area() {
        let augment = |scale, crop| Augment { scale, crop, ..Augment::default() };
        assert_eq!(areas(&augment([1.0, 1.0], None), [400, 500]), [200_000.0; 2]);
        let [usual, largest] = areas(&augment([0.8, 1.25], None), [400, 500]);
        // The mean of the squares between 0.8 and 1.25 is 1.0675.
        assert!((usual / 200_000.0 - 1.0675).abs() < 1e-3 && (largest / 200_000.0 - 1.5625).abs() < 1e-6);
        assert_eq!(areas(&augment([0.8, 1.25], Some(256)), [512, 512]), [65536.0; 2]);
    }

    #[test]
    fn more_work_takes_more() {
        let (config, augment) = (DetectorConfig::default(), Augment::default());
        let settings = TrainConfig { batch_size: 2, repeats: 1, augment, ..TrainConfig::fine_tune() };
        let of =
            |config: &DetectorConfig, settings: &TrainConfig, side| estimate(config, settings, 45, [side; 2], 1e10);
        let base = of(&config, &settings, 512);
        assert!((40e6..48e6).contains(&(base.parameters as f64)), "{}: torchvision says 44 million", base.parameters);
        assert_eq!(base.steps_per_epoch, 23);
        let larger = of(&config, &settings, 1024);
        assert!(larger.seconds_per_step > 2.0 * base.seconds_per_step && larger.memory_bytes > base.memory_bytes);
        let heads = of(&config, &TrainConfig { trainable: Trainable::Heads, ..settings.clone() }, 512);
        assert!(heads.seconds_per_step < base.seconds_per_step && heads.memory_bytes < base.memory_bytes);
        let still = TrainConfig { augment: Augment { scale: [1.0, 1.0], ..Augment::default() }, ..settings.clone() };
        let still = of(&config, &still, 512);
        assert!(base.memory_bytes > still.memory_bytes && base.seconds_per_step > still.seconds_per_step);
        // A checkpoint holds the largest tensor in a few copies.
        let wide = of(&DetectorConfig { representation_size: 2048, ..config.clone() }, &settings, 512);
        let kept = 4 * 3 * (wide.parameters - base.parameters);
        assert!(wide.memory_bytes - base.memory_bytes - kept > 3 * 4 * 49 * 256 * 1024);
        let small = DetectorConfig { backbone: Backbone::ResNet18, fpn_channels: 64, ..config };
        assert!(of(&small, &settings, 512).seconds_per_step < base.seconds_per_step);
    }
}
