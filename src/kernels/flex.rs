//! The kernels on burn's CPU backend.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, Flex, TensorMetadata};
use burn::tensor::{Bytes, Shape};

use super::conv::{cpu, cpu_weight};
use super::geometry::{ConvGeometry, PoolGeometry};
use super::ops::Kernels;
use super::parallel::{Shared, for_each};
use super::roi_align::RoiTable;
use super::{pool, roi_align, upsample};

/// A contiguous tensor.
pub struct Dense(FlexTensor);

impl Dense {
    pub fn new(tensor: FlexTensor) -> Self {
        Self(if tensor.layout().contiguous_offsets().is_some() { tensor } else { tensor.to_contiguous() })
    }

    #[expect(clippy::expect_used, reason = "`new` made it contiguous")]
    pub fn data(&self) -> &[f32] {
        let (start, end) = self.0.layout().contiguous_offsets().expect("`new` made it contiguous");
        &self.0.storage::<f32>()[start..end]
    }

    fn shape(&self) -> [usize; 4] {
        self.0.shape().dims()
    }
}

fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(data), Layout::contiguous(shape.into()), DType::F32)
}

/// Elements per task.
const PART: usize = 1 << 14;

/// Applies `f` to the elements of two tensors of the same shape.
fn elementwise(a: FlexTensor, b: FlexTensor, f: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    let shape = a.shape();
    let (a, b) = (Dense::new(a), Dense::new(b));
    let (a, b) = (a.data(), b.data());
    let mut out = vec![0.0; a.len()];
    let shared = Shared::new(&mut out);
    for_each(a.len().div_ceil(PART), |task| {
        let range = task * PART..a.len().min((task + 1) * PART);
        // SAFETY: each part is written by one task.
        let out = unsafe { shared.slice(range.start, range.len()) };
        for ((out, a), b) in out.iter_mut().zip(&a[range.clone()]).zip(&b[range]) {
            *out = f(*a, *b);
        }
    });
    tensor(out, shape)
}

impl Kernels for Flex {
    fn conv(x: FlexTensor, w: FlexTensor, bias: FlexTensor, g: ConvGeometry, relu: bool) -> FlexTensor {
        let (x, w, bias) = (Dense::new(x), Dense::new(w), Dense::new(bias));
        tensor(cpu::forward(x.data(), w.data(), bias.data(), &g, relu), g.out_shape())
    }

    fn conv_data_gradient(dy: FlexTensor, w: FlexTensor, g: ConvGeometry) -> FlexTensor {
        let (dy, w) = (Dense::new(dy), Dense::new(w));
        tensor(cpu::data_gradient(dy.data(), w.data(), &g), g.x_shape())
    }

    fn conv_weight_gradient(x: FlexTensor, dy: FlexTensor, g: ConvGeometry) -> FlexTensor {
        let (x, dy) = (Dense::new(x), Dense::new(dy));
        tensor(cpu_weight::weight_gradient(x.data(), dy.data(), &g), g.w_shape())
    }

    fn channel_sums(dy: FlexTensor) -> FlexTensor {
        let dy = Dense::new(dy);
        let channels = dy.shape()[3];
        tensor(cpu_weight::column_sums(dy.data(), channels), [channels])
    }

    fn add_relu(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        elementwise(a, b, |a, b| if a + b < 0.0 { 0.0 } else { a + b })
    }

    fn relu_gradient(out: FlexTensor, dy: FlexTensor) -> FlexTensor {
        elementwise(out, dy, |out, dy| if out <= 0.0 { 0.0 } else { dy })
    }

    fn pool(x: FlexTensor, g: PoolGeometry) -> FlexTensor {
        tensor(pool::forward(Dense::new(x).data(), &g), g.out_shape())
    }

    fn pool_gradient(x: FlexTensor, dy: FlexTensor, g: PoolGeometry) -> FlexTensor {
        tensor(pool::backward(Dense::new(x).data(), Dense::new(dy).data(), &g), g.x_shape())
    }

    fn upsample(top: FlexTensor, lateral: FlexTensor) -> FlexTensor {
        let (top, lateral) = (Dense::new(top), Dense::new(lateral));
        let out = upsample::forward(top.data(), top.shape(), lateral.data(), lateral.shape());
        tensor(out, lateral.shape())
    }

    fn upsample_gradient(dy: FlexTensor, height: usize, width: usize) -> FlexTensor {
        let dy = Dense::new(dy);
        let [n, _, _, c] = dy.shape();
        let shape = [n, height, width, c];
        tensor(upsample::top_gradient(dy.data(), dy.shape(), shape), shape)
    }

    fn roi(levels: Vec<FlexTensor>, table: &RoiTable) -> FlexTensor {
        let levels: Vec<_> = levels.into_iter().map(Dense::new).collect();
        let data: Vec<_> = levels.iter().map(Dense::data).collect();
        tensor(roi_align::cpu::forward(&data, table), table.out_shape())
    }

    fn roi_gradient(dy: FlexTensor, table: &RoiTable) -> Vec<FlexTensor> {
        let dy = Dense::new(dy);
        let levels = table.levels.iter().enumerate();
        let of = |(level, [h, w]): (usize, &[usize; 2])| {
            tensor(roi_align::cpu::backward(dy.data(), level, table), [table.images, *h, *w, table.channels])
        };
        levels.map(of).collect()
    }
}
