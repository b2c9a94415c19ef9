//! The five losses, as torchvision defines them (`fastrcnn_loss`, `maskrcnn_loss`, `RegionProposalNetwork.compute_loss`).
//!
//! The RPN's logits and deltas are on the host already, for the proposals; so its two losses are computed there, with
//! their derivatives, which [`RpnLoss::surrogate`] hands to autodiff. The other three stay on the device. Samples that
//! do not count have weight 0, so that a batch without objects has box losses of exactly 0, with gradients of 0.

use burn::tensor::{Device, Tensor, TensorData, activation};

use super::targets::{RoiTarget, RpnTargets};
use super::truth::Sample;
use crate::model::rpn::{HeadOutput, LevelPrediction};

/// Where smooth L1 turns from a parabola into a line.
const BETA: f32 = 1.0 / 9.0;

/// Smooth L1 of a difference, and its derivative.
fn smooth_l1(d: f32) -> (f64, f32) {
    let a = f64::from(d.abs());
    let value = if a < f64::from(BETA) { 0.5 * a * a / f64::from(BETA) } else { a - 0.5 * f64::from(BETA) };
    (value, (d / BETA).clamp(-1.0, 1.0))
}

/// Binary cross-entropy of a logit, and its derivative.
fn bce(x: f32, target: f32) -> (f64, f32) {
    let (x64, t) = (f64::from(x), f64::from(target));
    let value = x64.max(0.0) - x64 * t + (-x64.abs()).exp().ln_1p();
    (value, 1.0 / (1.0 + (-x).exp()) - target)
}

/// The RPN's losses and their derivatives by what its head said.
#[derive(Debug, Clone, PartialEq)]
pub struct RpnLoss {
    pub objectness: f32,
    pub box_reg: f32,
    /// `[level]`: derivatives by the objectness, image after image, and by the deltas.
    gradients: Vec<(Vec<f32>, Vec<[f32; 4]>)>,
}

impl RpnLoss {
    /// Of `[image][level]` predictions and the targets of every image. Both losses are divided by the number of sampled
    /// anchors of the whole batch.
    pub fn new(predictions: &[Vec<LevelPrediction>], targets: &[RpnTargets]) -> Self {
        let count: usize = targets.iter().map(|t| t.sampled.positive.len() + t.sampled.negative.len()).sum();
        let share = 1.0 / count.max(1) as f32;
        let sizes: Vec<usize> =
            predictions.first().map_or_else(Vec::new, |levels| levels.iter().map(|l| l.objectness.len()).collect());
        let images = predictions.len();
        let mut gradients: Vec<_> =
            sizes.iter().map(|n| (vec![0f32; n * images], vec![[0f32; 4]; n * images])).collect();
        let (mut objectness, mut box_reg) = (0f64, 0f64);
        for (image, (levels, target)) in predictions.iter().zip(targets).enumerate() {
            let positives = target.sampled.positive.iter().zip(&target.deltas).map(|(i, d)| (*i, Some(d)));
            let negatives = target.sampled.negative.iter().map(|i| (*i, None));
            for (anchor, deltas) in positives.chain(negatives) {
                let (level, i) = place(&sizes, anchor);
                let (of_objectness, of_deltas) = &mut gradients[level];
                let at = image * sizes[level] + i;
                let (value, slope) = bce(levels[level].objectness[i], if deltas.is_some() { 1.0 } else { 0.0 });
                objectness += value;
                of_objectness[at] = slope * share;
                for (k, wanted) in deltas.into_iter().flatten().enumerate() {
                    let (value, slope) = smooth_l1(levels[level].deltas[i][k] - wanted);
                    box_reg += value;
                    of_deltas[at][k] = slope * share;
                }
            }
        }
        let mean = |sum: f64| (sum * f64::from(share)) as f32;
        Self { objectness: mean(objectness), box_reg: mean(box_reg), gradients }
    }

    /// A number whose gradient is that of both losses together. `None` if nothing was sampled.
    pub fn surrogate(&self, outputs: &[HeadOutput], device: &Device) -> Option<Tensor<1>> {
        let mut sum: Option<Tensor<1>> = None;
        for ((of_objectness, of_deltas), output) in self.gradients.iter().zip(outputs) {
            let of_deltas = of_deltas.as_flattened();
            for (tensor, gradient) in [(&output.objectness, of_objectness.as_slice()), (&output.deltas, of_deltas)] {
                // Levels where nothing was sampled have nothing to learn.
                if gradient.iter().all(|g| *g == 0.0) {
                    continue;
                }
                let gradient = Tensor::<4>::from_data(TensorData::new(gradient.to_vec(), tensor.dims()), device);
                let part = (tensor.clone() * gradient).sum();
                sum = Some(match sum {
                    Some(sum) => sum + part,
                    None => part,
                });
            }
        }
        sum
    }
}

/// Level and index within it of an anchor counted over all levels.
fn place(sizes: &[usize], mut anchor: usize) -> (usize, usize) {
    for (level, size) in sizes.iter().enumerate() {
        if anchor < *size {
            return (level, anchor);
        }
        anchor -= size;
    }
    (sizes.len().saturating_sub(1), 0)
}

/// What the box head is to say of the sampled RoIs of a batch, ready for the device.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxTargets {
    rois: usize,
    classes: usize,
    /// `[R, K]`: 1 at the class of each RoI.
    one_hot: Vec<f32>,
    /// `[R, 4 K]`: the deltas at the class of each object …
    deltas: Vec<f32>,
    /// … and 1 at these places.
    weights: Vec<f32>,
}

impl BoxTargets {
    pub fn new(rois: &[Vec<RoiTarget>], samples: &[Sample], classes: usize) -> Self {
        let count = rois.iter().map(Vec::len).sum();
        let mut this = Self {
            rois: count,
            classes,
            one_hot: vec![0.0; count * classes],
            deltas: vec![0.0; count * classes * 4],
            weights: vec![0.0; count * classes * 4],
        };
        let all = rois.iter().zip(samples).flat_map(|(rois, sample)| rois.iter().map(move |roi| (roi, sample)));
        for (r, (roi, sample)) in all.enumerate() {
            let class = roi.object.map_or(0, |(object, _)| sample.objects[object].class);
            this.one_hot[r * classes + class] = 1.0;
            if let Some((_, deltas)) = roi.object {
                let at = (r * classes + class) * 4;
                this.deltas[at..at + 4].copy_from_slice(&deltas);
                this.weights[at..at + 4].fill(1.0);
            }
        }
        this
    }

    /// `loss_classifier`: the mean cross-entropy of `logits [R, K]`.
    pub fn classifier(&self, logits: Tensor<2>) -> Tensor<1> {
        let one_hot = upload(&self.one_hot, [self.rois, self.classes], &logits.device());
        (activation::log_softmax(logits, 1) * one_hot).sum().mul_scalar(-1.0 / self.rois.max(1) as f32)
    }

    /// The mean cross-entropy of `logits [R, K]` among the classes of objects, over the RoIs that hold one. `None` where
    /// there is nothing to tell apart.
    pub fn classes(&self, logits: Tensor<2>) -> Option<Tensor<1>> {
        let among = self.classes - 1;
        let rows = self.one_hot.chunks_exact(self.classes);
        let one_hot: Vec<f32> = rows.flat_map(|row| &row[1..]).copied().collect();
        let objects = one_hot.iter().sum::<f32>();
        if among < 2 || objects == 0.0 {
            return None;
        }
        let one_hot = upload(&one_hot, [self.rois, among], &logits.device());
        let logits = logits.slice([0..self.rois, 1..self.classes]);
        Some((activation::log_softmax(logits, 1) * one_hot).sum().mul_scalar(-1.0 / objects))
    }

    /// `loss_box_reg`: smooth L1 of `deltas [R, 4 K]` at the objects' classes, summed, divided by all RoIs.
    pub fn box_reg(&self, deltas: Tensor<2>) -> Tensor<1> {
        let shape = [self.rois, 4 * self.classes];
        let device = deltas.device();
        let distance = (deltas - upload(&self.deltas, shape, &device)).abs();
        // With m = min(d, β): m (d - m/2) / β is the parabola below β and the line above.
        let m = distance.clone().clamp_max(BETA);
        let loss = m.clone() * (distance - m.mul_scalar(0.5)) * upload(&self.weights, shape, &device);
        loss.sum().mul_scalar(1.0 / (BETA * self.rois.max(1) as f32))
    }
}

/// `loss_mask`: the mean binary cross-entropy of `logits [P, M, M, K]` at each object's class. `targets` are `P · M²`
/// values, `classes` P.
pub fn mask(logits: Tensor<4>, targets: &[f32], classes: &[usize]) -> Tensor<1> {
    let [p, m, _, k] = logits.dims();
    let device = logits.device();
    let mut one_hot = vec![0f32; p * k];
    for (row, class) in one_hot.chunks_exact_mut(k).zip(classes) {
        row[*class] = 1.0;
    }
    let one_hot = Tensor::<4>::from_data(TensorData::new(one_hot, [p, 1, 1, k]), &device);
    let x = (logits * one_hot).sum_dim(3).reshape([p, m * m]);
    let rest = targets.iter().map(|t| 1.0 - t).collect();
    let rest = Tensor::<2>::from_data(TensorData::new::<f32, _>(rest, [p, m * m]), &device);
    // x (1 - t) + log(1 + e^-x)
    (x.clone() * rest - activation::log_sigmoid(x)).sum().mul_scalar(1.0 / (p * m * m).max(1) as f32)
}

fn upload(values: &[f32], shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::rng::TrainRng;
    use crate::train::targets::Sampled;
    use crate::train::truth::Truth;

    fn device() -> Device {
        Device::flex().autodiff()
    }

    fn random(rng: &mut TrainRng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.range(-2.0, 2.0)).collect()
    }

    fn scalar(t: Tensor<1>) -> f32 {
        t.into_data().as_slice::<f32>().unwrap()[0]
    }

    /// Compares autodiff with central differences at every value.
    fn check_gradient<const D: usize>(values: &[f32], shape: [usize; D], loss: impl Fn(Tensor<D>) -> Tensor<1>) {
        let device = device();
        let make = |v: &[f32]| Tensor::<D>::from_data(TensorData::new(v.to_vec(), shape), &device);
        let x = make(values).require_grad();
        let gradients = loss(x.clone()).backward();
        let analytic = x.grad(&gradients).unwrap().into_data();
        let analytic = analytic.as_slice::<f32>().unwrap();
        let step = 1e-2;
        for i in 0..values.len() {
            let at = |d: f32| {
                let mut v = values.to_vec();
                v[i] += d;
                scalar(loss(make(&v)))
            };
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            assert!(
                (numeric - analytic[i]).abs() < 1e-2 * analytic[i].abs().max(0.05),
                "{i}: {numeric} {}",
                analytic[i]
            );
        }
    }

    fn targets(rng: &mut TrainRng) -> BoxTargets {
        let object = |class| Truth { corners: [0.0, 0.0, 9.0, 9.0], class, mask: None, difficult: false };
        let sample = Sample { size: [32, 32], objects: vec![object(1), object(2)], ..Sample::default() };
        let roi = |object| RoiTarget { corners: [0.0; 4], object };
        let mut deltas = || [(); 4].map(|()| rng.range(-1.0, 1.0));
        let rois = vec![vec![roi(None), roi(Some((1, deltas()))), roi(Some((0, deltas()))), roi(None)]];
        BoxTargets::new(&rois, &[sample], 3)
    }

    #[test]
    fn gradients_are_the_differences() {
        let mut rng = TrainRng::new(2);
        let boxes = targets(&mut rng);
        check_gradient(&random(&mut rng, 12), [4, 3], |x| boxes.classifier(x));
        check_gradient(&random(&mut rng, 12), [4, 3], |x| boxes.classes(x).unwrap());
        check_gradient(&random(&mut rng, 48), [4, 12], |x| boxes.box_reg(x));
        let mask_targets: Vec<f32> = (0..2 * 16).map(|_| rng.unit()).collect();
        check_gradient(&random(&mut rng, 2 * 16 * 3), [2, 4, 4, 3], |x| mask(x, &mask_targets, &[1, 2]));
    }

    #[test]
    fn the_rpns_derivatives_are_the_differences() {
        let mut rng = TrainRng::new(3);
        let level = |rng: &mut TrainRng, n: usize| LevelPrediction {
            objectness: random(rng, n),
            deltas: (0..n).map(|_| [(); 4].map(|()| rng.range(-1.0, 1.0))).collect(),
        };
        let predictions: Vec<_> = (0..2).map(|_| vec![level(&mut rng, 6), level(&mut rng, 3)]).collect();
        let target = |positive: Vec<usize>, negative: Vec<usize>| RpnTargets {
            deltas: vec![[0.3, -0.2, 0.5, 0.01]; positive.len()],
            sampled: Sampled { positive, negative },
        };
        let targets = [target(vec![1, 7], vec![0, 2, 8]), target(vec![], vec![5])];
        let loss = RpnLoss::new(&predictions, &targets);
        let total = |p: &[Vec<LevelPrediction>]| {
            let loss = RpnLoss::new(p, &targets);
            loss.objectness + loss.box_reg
        };
        for image in 0..2 {
            for l in 0..2 {
                let n = predictions[image][l].objectness.len();
                for i in 0..n {
                    for k in 0..5 {
                        let at = |d: f32| {
                            let mut moved = predictions.clone();
                            match k {
                                4 => moved[image][l].objectness[i] += d,
                                k => moved[image][l].deltas[i][k] += d,
                            }
                            total(&moved)
                        };
                        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
                        let (o, d) = (&loss.gradients[l].0, &loss.gradients[l].1);
                        let analytic = if k == 4 { o[image * n + i] } else { d[image * n + i][k] };
                        assert!((numeric - analytic).abs() < 1e-2 * analytic.abs().max(0.05), "{numeric} {analytic}");
                    }
                }
            }
        }
    }

    #[test]
    fn without_objects_box_losses_are_zero_and_differentiable() {
        let rois = vec![vec![RoiTarget { corners: [0.0; 4], object: None }; 4]];
        let sample = Sample { size: [32, 32], ..Sample::default() };
        let boxes = BoxTargets::new(&rois, &[sample], 3);
        let x = Tensor::<2>::from_data(TensorData::new(vec![0.7f32; 48], [4, 12]), &device()).require_grad();
        let loss = boxes.box_reg(x.clone());
        assert_eq!(scalar(loss.clone()), 0.0);
        let gradients = loss.backward();
        assert!(x.grad(&gradients).unwrap().into_data().as_slice::<f32>().unwrap().iter().all(|g| *g == 0.0));

        assert!(boxes.classes(Tensor::zeros([4, 3], &device())).is_none());

        let none = [RpnTargets { sampled: Sampled { positive: vec![], negative: vec![0] }, deltas: vec![] }];
        let level = LevelPrediction { objectness: vec![0.0; 3], deltas: vec![[1.0; 4]; 3] };
        let loss = RpnLoss::new(&[vec![level]], &none);
        assert_eq!(loss.box_reg, 0.0);
        assert!((loss.objectness - 2f32.ln()).abs() < 1e-6);
    }
}
