//! The residual backbone (He et al. 2015). A stage's stride is in the 3×3 convolution, torchvision's v1.5, or in the 1×1 before it.
//!
//! Batch norm is frozen and folded into the convolution before it, so a block is convolutions alone.

use burn::module::Module;
use burn::tensor::Tensor;

use super::config::{DetectorConfig, Padding};
use super::layers::{Builder, Conv2d};
use crate::error::Result;
use crate::kernels;

/// Two 3×3 convolutions, or 1×1, 3×3, 1×1, beside a shortcut.
#[derive(Module, Debug)]
pub struct Block {
    pub conv1: Conv2d,
    pub conv2: Conv2d,
    pub conv3: Option<Conv2d>,
    pub downsample: Option<Conv2d>,
}

impl Block {
    fn build(
        builder: &mut Builder,
        name: &str,
        input: usize,
        planes: usize,
        stride: usize,
        config: &DetectorConfig,
    ) -> Result<Self> {
        let deep = config.backbone.bottleneck();
        let [first, second] = if config.stride_in_1x1 { [stride, 1] } else { [1, stride] };
        let mut conv = |k: usize, widths: [usize; 3], stride: usize| {
            builder.conv_norm(format!("{name}.conv{k}"), format!("{name}.bn{k}"), widths, stride)
        };
        let output = if deep { planes * 4 } else { planes };
        let (conv1, conv2, conv3) = if deep {
            let conv1 = conv(1, [input, planes, 1], first)?;
            (conv1, conv(2, [planes, planes, 3], second)?, Some(conv(3, [planes, output, 1], 1)?))
        } else {
            (conv(1, [input, planes, 3], stride)?, conv(2, [planes, planes, 3], 1)?, None)
        };
        let downsample = if stride != 1 || input != output {
            let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            Some(builder.conv_norm(conv, norm, [input, output, 1], stride)?)
        } else {
            None
        };
        Ok(Self { conv1, conv2, conv3, downsample })
    }

    /// `[N, H, W, Cin]` → `[N, H / stride, W / stride, Cout]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let identity = match &self.downsample {
            Some(conv) => conv.forward(x.clone()),
            None => x.clone(),
        };
        let out = self.conv1.forward_relu(x);
        let out = match &self.conv3 {
            Some(conv3) => conv3.forward(self.conv2.forward_relu(out)),
            None => self.conv2.forward(out),
        };
        kernels::add_relu(out, identity)
    }
}

/// `backbone.body`: the stem and four stages.
#[derive(Module, Debug)]
pub struct ResNet {
    pub conv1: Conv2d,
    #[module(skip)]
    pub stem_padding: Padding,
    pub layer1: Vec<Block>,
    pub layer2: Vec<Block>,
    pub layer3: Vec<Block>,
    pub layer4: Vec<Block>,
}

impl ResNet {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let backbone = config.backbone;
        let conv1 = builder.conv_norm(format!("{name}.conv1"), format!("{name}.bn1"), [3, 64, 7], 2)?;
        let (blocks, channels) = (backbone.blocks(), backbone.channels());
        let mut stage = |i: usize| -> Result<Vec<Block>> {
            let input = if i == 0 { 64 } else { channels[i - 1] };
            (0..blocks[i])
                .map(|k| {
                    let input = if k == 0 { input } else { channels[i] };
                    let stride = if k == 0 && i > 0 { 2 } else { 1 };
                    let name = format!("{name}.layer{}.{k}", i + 1);
                    Block::build(builder, &name, input, 64 << i, stride, config)
                })
                .collect()
        };
        let [layer1, layer2, layer3, layer4] = [stage(0)?, stage(1)?, stage(2)?, stage(3)?];
        Ok(Self { conv1, stem_padding: config.stem_padding, layer1, layer2, layer3, layer4 })
    }

    /// `[N, H, W, 3]` → `[N, H / 4, W / 4, 64]`
    pub fn stem(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::max_pool2d_between(self.conv1.forward_relu(x), 3, 2, self.stem_padding.pixels())
    }

    /// The blocks of the four stages, which leave maps of stride 4, 8, 16 and 32.
    pub fn stages(&self) -> [&[Block]; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }
}
