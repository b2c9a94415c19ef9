//! What the browser's benchmark (`cargo xtask bench`) asks of the engine: a convolution, a backbone with its pyramid, or a step of
//! its training, on the device that is open. Every contender of the benchmark draws the same numbers from the same seeds, so nothing
//! has to cross to the worker but the question.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use web_time::Instant;

use crate::error::Result;
use crate::kernels::bench::{BenchConv, draw, numbers, peak, settle, time};
use crate::kernels::noise::noise;
use crate::model::fpn::BackboneWithFpn;
use crate::model::layers::{Builder, Layer, LayerSpec, LayerValues, ParameterSource};
use crate::model::{Backbone, DetectorConfig};
use crate::train::config::{OptimizerConfig, Trainable};
use crate::train::optimizer::Optimizer;
use crate::train::parameters::{Names, ParameterGradients};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum BenchTask {
    /// Multiply-adds from and to registers alone.
    Peak,
    /// A convolution `x [n, h, w, cin]`, `w [kh, kw, cin, cout]` with bias and ReLU, this project's or burn's; with `backward`
    /// and the gradients of its sum.
    Conv { x: [usize; 4], w: [usize; 4], stride: usize, padding: usize, burn: bool, backward: bool },
    /// ResNet-18 and its pyramid on an image of `side × side` pixels.
    ModelForward { side: usize },
    /// One step of fine-tuning it by SGD; the loss is the sum over levels of the mean of squares.
    ModelStep { side: usize, rate: f64, momentum: f32 },
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BenchResult {
    /// Of one run.
    pub seconds: f64,
    /// Operations of one run of a convolution or of the peak.
    pub flops: f64,
    /// `f32`, channels last: the output; the gradients of input and weights; the levels; or the losses of two steps.
    pub values: Vec<ByteBuf>,
}

/// Does a task `runs` times and tells how long one took; for no runs, does it once and gives its results. Operands that are drawn
/// and brought to the device are not in the time.
pub async fn run(task: &BenchTask, runs: u32, device: &Device) -> Result<BenchResult> {
    let result = match *task {
        BenchTask::Peak => {
            let (seconds, flops) = peak(device, runs).await?;
            BenchResult { seconds, flops, ..BenchResult::default() }
        }
        BenchTask::Conv { x, w, stride, padding, burn, backward } => {
            let conv = BenchConv::new(x, w, stride, padding, burn, backward, device)?;
            settle(device).await?;
            match runs {
                0 => values(conv.results(), device).await?,
                _ => BenchResult {
                    seconds: time(device, runs, || conv.mark()).await?,
                    flops: conv.flops(),
                    ..BenchResult::default()
                },
            }
        }
        BenchTask::ModelForward { side } => {
            let (network, _) = build(device)?;
            let image = draw([1, side, side, 3], 1, device);
            settle(device).await?;
            let begin = Instant::now();
            for _ in 1..runs {
                drop(network.forward(image.clone(), &()).await?);
            }
            let levels = network.forward(image, &()).await?;
            match runs {
                0 => values(levels, device).await?,
                _ => {
                    let finest = levels[0].clone().slice([0..1, 0..1, 0..1, 0..1]);
                    numbers(finest, device).await?;
                    seconds(begin, runs)
                }
            }
        }
        BenchTask::ModelStep { side, rate, momentum } => {
            let mut learner = Learner::new(side, momentum, device)?;
            settle(device).await?;
            if runs == 0 {
                let losses = vec![learner.step(rate).await?, learner.step(rate).await?];
                values(losses, device).await?
            } else {
                let begin = Instant::now();
                for _ in 1..runs {
                    drop(learner.step(rate).await?);
                }
                numbers(learner.step(rate).await?, device).await?;
                seconds(begin, runs)
            }
        }
    };
    device.memory_cleanup();
    Ok(result)
}

fn seconds(begin: Instant, runs: u32) -> BenchResult {
    BenchResult { seconds: begin.elapsed().as_secs_f64() / f64::from(runs), ..BenchResult::default() }
}

async fn values<const D: usize>(results: Vec<Tensor<D>>, device: &Device) -> Result<BenchResult> {
    let mut values = Vec::with_capacity(results.len());
    for result in results {
        let floats = numbers(result, device).await?;
        values.push(ByteBuf::from(bytemuck::cast_slice::<f32, u8>(&floats)));
    }
    Ok(BenchResult { values, ..BenchResult::default() })
}

/// Weights and biases by the number of the layer, of a size that keeps that of the activations.
#[derive(Default)]
struct Noise {
    layers: u32,
}

impl ParameterSource for Noise {
    fn layer(&mut self, spec: &LayerSpec) -> Result<LayerValues> {
        let shape = spec.kind.torch_shape();
        let inputs: usize = shape[1..].iter().product();
        let seed = 1000 + self.layers;
        self.layers += 1;
        let drawn = |len, seed, scale: f32| noise(len, seed).into_iter().map(|v| v * scale).collect();
        Ok(LayerValues {
            weight: drawn(shape.iter().product(), seed, (6.0 / inputs as f32).sqrt()),
            bias: drawn(spec.kind.output(), seed + 500, 0.1),
            scale: None,
        })
    }
}

fn build(device: &Device) -> Result<(BackboneWithFpn, Vec<Layer>)> {
    let config = DetectorConfig { backbone: Backbone::ResNet18, ..DetectorConfig::default() };
    let mut source = Noise::default();
    let mut builder = Builder::new(&mut source, device);
    let network = BackboneWithFpn::build(&mut builder, "backbone", &config)?;
    Ok((network, builder.finish()))
}

/// A network that is fine-tuned as a detector is: what a frozen norm was folded into and the first stages stay as they are.
struct Learner {
    network: BackboneWithFpn,
    names: Names,
    optimizer: Optimizer,
    image: Tensor<4>,
}

impl Learner {
    fn new(side: usize, momentum: f32, device: &Device) -> Result<Self> {
        let (network, layers) = build(device)?;
        let names = Names::of_layers(&layers);
        let network = names.freeze(network.train(), Trainable::default(), true);
        let optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum, weight_decay: 0.0 });
        let image = draw([1, side, side, 3], 1, &device.clone().autodiff());
        Ok(Self { network, names, optimizer, image })
    }

    /// The loss before the step, without autodiff.
    async fn step(&mut self, rate: f64) -> Result<Tensor<1>> {
        let levels = self.network.forward(self.image.clone(), &()).await?;
        let parts = levels.into_iter().map(|level| (level.clone() * level).mean());
        let loss = parts.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::zeros([1], &self.image.device()));
        let gradients = ParameterGradients::take(&self.network, loss.backward());
        self.network = self.optimizer.step(self.network.clone(), &self.names, &gradients, rate, 1.0);
        Ok(loss.inner())
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn both_convolutions_agree_and_steps_lower_the_loss() {
        let device = Device::flex();
        let conv =
            |burn| BenchTask::Conv { x: [1, 8, 6, 4], w: [3, 3, 4, 8], stride: 2, padding: 1, burn, backward: true };
        let floats = |task: &BenchTask| -> Vec<Vec<f32>> {
            let result = pollster::block_on(run(task, 0, &device)).unwrap();
            result.values.iter().map(|v| bytemuck::pod_collect_to_vec(v)).collect()
        };
        let (ours, theirs) = (floats(&conv(false)), floats(&conv(true)));
        assert_eq!(ours.iter().map(Vec::len).collect::<Vec<_>>(), [192, 288]);
        for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
        let losses = floats(&BenchTask::ModelStep { side: 32, rate: 1e-7, momentum: 0.9 });
        assert!(losses[1][0] < losses[0][0] && losses[1][0] > 0.0, "{losses:?}");
        let timed = pollster::block_on(run(&conv(false), 2, &device)).unwrap();
        assert!(timed.seconds > 0.0 && timed.flops > 0.0);
    }
}
