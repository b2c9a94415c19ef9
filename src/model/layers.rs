//! The three layers with parameters, and how a network is put together from them.
//!
//! A network is built by asking a [`Builder`] for one layer after another. The builder gets the values from a
//! [`ParameterSource`], a weight file or an initialiser, turns them into the layouts that the kernels want and notes
//! what it built, so that the parameters can be saved, and frozen, under torchvision's names.
//!
//! Activations are `[N, H, W, C]`, convolution weights `[KH, KW, Cin, Cout]`, linear weights `[In, Out]`; a source
//! speaks torch's layouts.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};

use super::norm::{BatchNorm, like};
use crate::error::Result;
use crate::kernels::{self, ConvOptions};

/// A convolution with bias; a batch norm after it is folded into both, except while a network is trained.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[KH, KW, Cin, Cout]`
    pub weight: Param<Tensor<4>>,
    /// `[Cout]`
    pub bias: Param<Tensor<1>>,
    /// `[Cout]`: what the outputs are multiplied with before the bias, the frozen batch norm of a detector that is
    /// fine-tuned. It does not learn; the weight beside it does.
    pub scale: Option<Tensor<1>>,
    /// Stands for the bias while it is there.
    pub norm: Option<BatchNorm>,
    pub stride: usize,
    pub padding: usize,
}

impl Conv2d {
    /// `[N, H, W, Cin]` → `[N, H', W', Cout]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, false)
    }

    /// [`Self::forward`] and ReLU.
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, true)
    }

    fn apply(&self, x: Tensor<4>, relu: bool) -> Tensor<4> {
        let options = ConvOptions { stride: self.stride, padding: self.padding, relu };
        match &self.norm {
            None => kernels::conv2d(x, self.effective_weight(), Some(self.bias.val()), options),
            Some(norm) => {
                let plain = ConvOptions { relu: false, ..options };
                norm.forward(kernels::conv2d(x, self.weight.val(), None, plain), relu)
            }
        }
    }

    /// The weight times the scale, which is the same as the outputs times the scale.
    fn effective_weight(&self) -> Tensor<4> {
        match &self.scale {
            Some(scale) => self.weight.val() * scale.clone().reshape([1, 1, 1, -1]),
            None => self.weight.val(),
        }
    }

    /// Takes `scale`, which the weight was multiplied with, out of it and puts it beside it.
    pub fn unfold(&mut self, scale: &[f32]) {
        let device = self.weight.val().device();
        let upload = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [scale.len()]), &device);
        let inverse = upload(scale.iter().map(|s| inverse_scale(*s)).collect()).reshape([1, 1, 1, -1]);
        self.weight = self.weight.clone().map(|old| like(old.clone(), old.inner() * inverse));
        self.scale = Some(upload(scale.to_vec()));
    }

    /// Multiplies the scale into the weight.
    pub fn fold(&mut self) {
        if let Some(scale) = self.scale.take() {
            let scale = scale.inner().reshape([1, 1, 1, -1]);
            self.weight = self.weight.clone().map(|old| like(old.clone(), old.inner() * scale));
        }
    }
}

/// What takes the scale of a frozen norm out of a weight again. Of a channel that it made 0, or so small that the way back
/// is beyond f32, the weight becomes 0: nothing that it is or could learn shows.
pub fn inverse_scale(scale: f32) -> f32 {
    const LEAST: f32 = 1e-18;
    if scale.abs() < LEAST { 0.0 } else { 1.0 / scale }
}

/// A 2×2 transposed convolution with stride 2, which doubles both sides.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// `[2, 2, Cin, Cout]`
    pub weight: Param<Tensor<4>>,
    /// `[Cout]`
    pub bias: Param<Tensor<1>>,
}

impl ConvTranspose2d {
    /// `[N, H, W, Cin]` → `[N, 2H, 2W, Cout]`, and ReLU.
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        kernels::conv_transpose2x2(x, self.weight.val(), Some(self.bias.val()), true)
    }
}

/// A fully connected layer.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[In, Out]`
    pub weight: Param<Tensor<2>>,
    /// `[Out]`
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// `[N, In]` → `[N, Out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.val(), Some(self.bias.val()), false)
    }

    /// [`Self::forward`] and ReLU.
    pub fn forward_relu(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.val(), Some(self.bias.val()), true)
    }
}

/// What a layer is, and the shape of its weight in torch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// `[output, input, kernel, kernel]`
    Conv { input: usize, output: usize, kernel: usize },
    /// `[input, output, 2, 2]`
    ConvTranspose { input: usize, output: usize },
    /// `[output, input]`
    Linear { input: usize, output: usize },
    /// `[output, channels · side · side]`: a linear layer on a flattened `[channels, side, side]`, which in this crate
    /// is flattened as `[side, side, channels]`.
    LinearAfterPool { channels: usize, side: usize, output: usize },
}

impl LayerKind {
    /// The weight's shape in torch.
    pub fn torch_shape(self) -> Vec<usize> {
        match self {
            Self::Conv { input, output, kernel } => vec![output, input, kernel, kernel],
            Self::ConvTranspose { input, output } => vec![input, output, 2, 2],
            Self::Linear { input, output } => vec![output, input],
            Self::LinearAfterPool { channels, side, output } => vec![output, channels * side * side],
        }
    }

    pub fn output(self) -> usize {
        match self {
            Self::Conv { output, .. } | Self::ConvTranspose { output, .. } => output,
            Self::Linear { output, .. } | Self::LinearAfterPool { output, .. } => output,
        }
    }

    /// The weight seen as `[a, b, c]` in torch, and the order of these axes in this crate.
    fn axes(self) -> ([usize; 3], [usize; 3]) {
        match self {
            Self::Conv { input, output, kernel } => ([output, input, kernel * kernel], [2, 1, 0]),
            Self::ConvTranspose { input, output } => ([input, output, 4], [2, 0, 1]),
            Self::Linear { input, output } => ([output, input, 1], [1, 0, 2]),
            Self::LinearAfterPool { channels, side, output } => ([output, channels, side * side], [2, 1, 0]),
        }
    }

    /// Weight values from torch's layout to this crate's.
    pub fn from_torch(self, values: &[f32]) -> Vec<f32> {
        let (shape, order) = self.axes();
        permute(values, shape, order)
    }

    /// Weight values from this crate's layout to torch's.
    pub fn to_torch(self, values: &[f32]) -> Vec<f32> {
        let (shape, order) = self.axes();
        let mut back = [0; 3];
        for (to, from) in order.into_iter().enumerate() {
            back[from] = to;
        }
        permute(values, order.map(|axis| shape[axis]), back)
    }
}

/// The values of an array of `shape` with its axes in a new order.
fn permute(values: &[f32], shape: [usize; 3], order: [usize; 3]) -> Vec<f32> {
    let strides = [shape[1] * shape[2], shape[2], 1];
    let (n, s) = (order.map(|axis| shape[axis]), order.map(|axis| strides[axis]));
    let mut out = Vec::with_capacity(values.len());
    for i in 0..n[0] {
        for j in 0..n[1] {
            let start = i * s[0] + j * s[1];
            out.extend((0..n[2]).map(|k| values[start + k * s[2]]));
        }
    }
    out
}

/// How torchvision draws the first values of a layer; see [`super::init`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// Normal with this standard deviation, bias 0.
    Normal(f32),
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`, bias 0.
    KaimingNormal,
    /// The same weight, with torch's default bias.
    KaimingNormalDefaultBias,
    /// `kaiming_uniform_(a=1)`, bias 0.
    KaimingUniform,
    /// torch's default of a linear layer.
    Default,
}

/// A layer as a source is asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// torchvision's name without `.weight` and `.bias`.
    pub name: String,
    /// torchvision's name of the batch norm that is folded into the layer, which then has no bias of its own in torch.
    pub norm: Option<String>,
    pub kind: LayerKind,
    pub init: Initializer,
}

/// The values of a layer in torch's layout, with a batch norm folded.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerValues {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    /// Of each output what the folded batch norm multiplied its weight with; `None` without one, or where that is 1.
    pub scale: Option<Vec<f32>>,
}

/// Where a network's parameters come from.
pub trait ParameterSource {
    /// Values that have just the sizes of `spec.kind`.
    fn layer(&mut self, spec: &LayerSpec) -> Result<LayerValues>;
}

/// A layer that was built: its description and its two parameters.
#[derive(Debug, Clone)]
pub struct Layer {
    pub spec: LayerSpec,
    pub weight: ParamId,
    pub bias: ParamId,
    /// [`LayerValues::scale`], which is in the network's weight: fine-tuning takes it out, and files have it beside it.
    pub scale: Option<Vec<f32>>,
}

/// Builds layers on a device and notes them.
pub struct Builder<'a> {
    source: &'a mut dyn ParameterSource,
    device: &'a Device,
    layers: Vec<Layer>,
}

impl<'a> Builder<'a> {
    pub fn new(source: &'a mut dyn ParameterSource, device: &'a Device) -> Self {
        Self { source, device, layers: Vec::new() }
    }

    /// Every layer built so far, in order.
    pub fn finish(self) -> Vec<Layer> {
        self.layers
    }

    /// A convolution with `padding = kernel / 2`.
    pub fn conv(
        &mut self,
        name: impl Into<String>,
        [input, output, kernel]: [usize; 3],
        stride: usize,
        init: Initializer,
    ) -> Result<Conv2d> {
        self.conv_of(LayerSpec { name: name.into(), norm: None, kind: LayerKind::Conv { input, output, kernel }, init })
            .map(|conv| Conv2d { stride, padding: kernel / 2, ..conv })
    }

    /// The same followed by a batch norm, as in a ResNet.
    pub fn conv_norm(
        &mut self,
        name: impl Into<String>,
        norm: impl Into<String>,
        [input, output, kernel]: [usize; 3],
        stride: usize,
    ) -> Result<Conv2d> {
        self.conv_of(LayerSpec {
            name: name.into(),
            norm: Some(norm.into()),
            kind: LayerKind::Conv { input, output, kernel },
            init: Initializer::KaimingNormal,
        })
        .map(|conv| Conv2d { stride, padding: kernel / 2, ..conv })
    }

    /// torchvision's `Conv2dNormActivation`: a convolution `NAME.0` with `padding = kernel / 2`, and a batch norm `NAME.1` after it
    /// if there is one.
    pub fn sequence(
        &mut self,
        name: impl Into<String>,
        [input, output, kernel]: [usize; 3],
        norm: bool,
        init: Initializer,
    ) -> Result<Conv2d> {
        let name = name.into();
        let norm = norm.then(|| format!("{name}.1"));
        let kind = LayerKind::Conv { input, output, kernel };
        self.conv_of(LayerSpec { name: format!("{name}.0"), norm, kind, init })
            .map(|conv| Conv2d { padding: kernel / 2, ..conv })
    }

    fn conv_of(&mut self, spec: LayerSpec) -> Result<Conv2d> {
        let [output, input, kh, kw] = dims4(&spec.kind.torch_shape());
        let (weight, bias) = self.parameters(spec, [kh, kw, input, output])?;
        Ok(Conv2d { weight, bias, scale: None, norm: None, stride: 1, padding: 0 })
    }

    pub fn conv_transpose(
        &mut self,
        name: impl Into<String>,
        [input, output]: [usize; 2],
        init: Initializer,
    ) -> Result<ConvTranspose2d> {
        let kind = LayerKind::ConvTranspose { input, output };
        let spec = LayerSpec { name: name.into(), norm: None, kind, init };
        let (weight, bias) = self.parameters(spec, [2, 2, input, output])?;
        Ok(ConvTranspose2d { weight, bias })
    }

    pub fn linear(&mut self, name: impl Into<String>, [input, output]: [usize; 2]) -> Result<Linear> {
        self.linear_of(name, LayerKind::Linear { input, output }, [input, output])
    }

    pub fn linear_after_pool(
        &mut self,
        name: impl Into<String>,
        [channels, side, output]: [usize; 3],
    ) -> Result<Linear> {
        let kind = LayerKind::LinearAfterPool { channels, side, output };
        self.linear_of(name, kind, [channels * side * side, output])
    }

    fn linear_of(&mut self, name: impl Into<String>, kind: LayerKind, shape: [usize; 2]) -> Result<Linear> {
        let spec = LayerSpec { name: name.into(), norm: None, kind, init: Initializer::Default };
        let (weight, bias) = self.parameters(spec, shape)?;
        Ok(Linear { weight, bias })
    }

    fn parameters<const D: usize>(
        &mut self,
        spec: LayerSpec,
        shape: [usize; D],
    ) -> Result<(Param<Tensor<D>>, Param<Tensor<1>>)> {
        let LayerValues { weight, bias, scale } = self.source.layer(&spec)?;
        let weight = TensorData::new(spec.kind.from_torch(&weight), shape);
        let weight = Param::from_tensor(Tensor::from_data(weight, self.device));
        let bias = TensorData::new(bias, [spec.kind.output()]);
        let bias = Param::from_tensor(Tensor::from_data(bias, self.device));
        self.layers.push(Layer { spec, weight: weight.id, bias: bias.id, scale });
        Ok((weight, bias))
    }
}

fn dims4(shape: &[usize]) -> [usize; 4] {
    std::array::from_fn(|i| shape.get(i).copied().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torch_layouts_come_back() {
        for kind in [
            LayerKind::Conv { input: 2, output: 3, kernel: 3 },
            LayerKind::ConvTranspose { input: 2, output: 3 },
            LayerKind::Linear { input: 5, output: 4 },
            LayerKind::LinearAfterPool { channels: 3, side: 2, output: 4 },
        ] {
            let n = kind.torch_shape().iter().product::<usize>();
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let ours = kind.from_torch(&values);
            assert_ne!(ours, values, "{kind:?}");
            assert_eq!(kind.to_torch(&ours), values, "{kind:?}");
        }
    }

    #[test]
    fn a_convolution_kernel_is_hwio() {
        let kind = LayerKind::Conv { input: 2, output: 3, kernel: 3 };
        let values: Vec<f32> = (0..54).map(|i| i as f32).collect();
        let (o, i, y, x) = (2, 1, 0, 2);
        let ours = kind.from_torch(&values);
        assert_eq!(ours[((y * 3 + x) * 2 + i) * 3 + o], values[((o * 2 + i) * 3 + y) * 3 + x]);
    }

    #[test]
    fn a_transposed_kernel_is_hwio() {
        let kind = LayerKind::ConvTranspose { input: 2, output: 3 };
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let (i, o, y, x) = (1, 2, 0, 1);
        assert_eq!(kind.from_torch(&values)[((y * 2 + x) * 2 + i) * 3 + o], values[((i * 3 + o) * 2 + y) * 2 + x]);
    }
}
