//! The feature pyramid (Lin et al. 2016, torchvision's `ops/feature_pyramid_network.py`) and its backbone.

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::{DetectorConfig, LEVELS};
use super::layers::{Builder, Conv2d, Initializer};
use super::progress::{Progress, Stage};
use super::resnet::ResNet;
use crate::error::Result;
use crate::kernels::{self, PoolOptions};

/// `backbone.fpn`: a 1×1 and a 3×3 convolution for each of the four stages.
#[derive(Module, Debug)]
pub struct FeaturePyramidNetwork {
    pub inner_blocks: Vec<Conv2d>,
    pub layer_blocks: Vec<Conv2d>,
}

impl FeaturePyramidNetwork {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let output = config.fpn_channels;
        let mut inner_blocks = Vec::new();
        let mut layer_blocks = Vec::new();
        for (i, input) in config.backbone.channels().into_iter().enumerate() {
            let init = Initializer::KaimingUniform;
            let mut conv =
                |blocks: &str, widths| builder.sequence(format!("{name}.{blocks}.{i}"), widths, config.fpn_norm, init);
            inner_blocks.push(conv("inner_blocks", [input, output, 1])?);
            layer_blocks.push(conv("layer_blocks", [output, output, 3])?);
        }
        Ok(Self { inner_blocks, layer_blocks })
    }

    /// Maps of the four stages → five levels of `[N, H / s, W / s, C]` with s = 4, 8, 16, 32, 64.
    pub fn forward(&self, stages: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let mut levels = Vec::with_capacity(LEVELS);
        let mut above: Option<Tensor<4>> = None;
        for ((x, inner), layer) in stages.into_iter().zip(&self.inner_blocks).zip(&self.layer_blocks).rev() {
            let lateral = inner.forward(x);
            let merged = match above.take() {
                Some(top) => kernels::upsample_add(top, lateral),
                None => lateral,
            };
            levels.push(layer.forward(merged.clone()));
            above = Some(merged);
        }
        // The coarsest level came first; the extra level on top is every second pixel of it (`LastLevelMaxPool`).
        let pool = kernels::max_pool2d(levels[0].clone(), PoolOptions { kernel: 1, stride: 2, padding: 0 });
        levels.reverse();
        levels.push(pool);
        levels
    }
}

/// `backbone`: ResNet and pyramid.
#[derive(Module, Debug)]
pub struct BackboneWithFpn {
    pub body: ResNet,
    pub fpn: FeaturePyramidNetwork,
}

impl BackboneWithFpn {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let body = ResNet::build(builder, &format!("{name}.body"), config)?;
        let fpn = FeaturePyramidNetwork::build(builder, &format!("{name}.fpn"), config)?;
        Ok(Self { body, fpn })
    }

    /// `[N, H, W, 3]`, H and W multiples of 32 → the five levels of [`FeaturePyramidNetwork::forward`].
    ///
    /// # Errors
    /// Those returned by `progress`.
    pub async fn forward(&self, images: Tensor<4>, progress: &dyn Progress) -> Result<Vec<Tensor<4>>> {
        let blocks: usize = self.body.stages().iter().map(|stage| stage.len()).sum();
        let mut done = 0;
        let mut x = self.body.stem(images);
        let mut stages = Vec::with_capacity(4);
        for stage in self.body.stages() {
            for block in stage {
                progress.at(Stage::Backbone, done as f32 / blocks as f32).await?;
                x = block.forward(x);
                done += 1;
            }
            stages.push(x.clone());
        }
        progress.at(Stage::Pyramid, 0.0).await?;
        Ok(self.fpn.forward(stages))
    }
}
