//! Every use that a detector makes of a kernel, found by walking through the detector as it is built: the CPU against the GPU,
//! forward and both gradients.

use std::collections::BTreeSet;
use std::iter;
use std::time::Instant;

use burn::module::ParamId;
use burn::tensor::{Device, Tensor};
use cytobox::Result;
use cytobox::kernels::bench::layers;
use cytobox::kernels::{self, Algorithm, ConvGeometry, ConvOptions, PoolOptions};
use cytobox::model::layers::{Conv2d, LayerSpec, LayerValues, Linear, ParameterSource};
use cytobox::model::pooler::{MultiScaleRoiAlign, POOLED_LEVELS};
use cytobox::model::{Architecture, Backbone, Detector, DetectorConfig};

use super::{Tracked, conv, forward_algorithm, gpu, gradient_algorithms};
use crate::reference::{Array, error};

/// Sums of some ten thousand products in another order.
const TOLERANCE: f32 = 5e-5;

/// One use of a kernel; shapes are those of the function in [`kernels`].
#[derive(Debug, Clone, PartialEq)]
enum Use {
    Conv { x: [usize; 4], w: [usize; 4], options: ConvOptions },
    Linear { rows: usize, inputs: usize, outputs: usize, relu: bool },
    Transposed { x: [usize; 4], cout: usize },
    Pool { x: [usize; 4], options: PoolOptions },
    Upsample { top: [usize; 4], lateral: [usize; 4] },
    Regions { levels: [[usize; 4]; POOLED_LEVELS], side: usize, size: usize, ratio: usize, count: usize },
}

impl Use {
    /// What distinguishes it apart from the length of its loops: weights and options, and the GPU's ways.
    fn class(&self) -> (Self, Vec<Algorithm>) {
        let algorithms = |x, w, options: ConvOptions| {
            let g = ConvGeometry::new(x, w, options.stride, options.padding).unwrap();
            iter::once(forward_algorithm(&g)).chain(gradient_algorithms(&g)).collect()
        };
        let plain = |relu| ConvOptions { stride: 1, padding: 0, relu };
        match *self {
            Self::Conv { x, w, options } => (Self::Conv { x: [0; 4], w, options }, algorithms(x, w, options)),
            Self::Linear { rows, inputs, outputs, relu } => {
                let algorithms = algorithms([1, 1, rows, inputs], [1, 1, inputs, outputs], plain(relu));
                (Self::Linear { rows: 0, inputs, outputs, relu }, algorithms)
            }
            Self::Transposed { x, cout } => {
                (Self::Transposed { x: [0; 4], cout }, algorithms(x, [1, 1, x[3], 4 * cout], plain(true)))
            }
            Self::Pool { x, options } => (Self::Pool { x: [0, 0, 0, x[3]], options }, Vec::new()),
            Self::Upsample { top, .. } => (Self::Upsample { top: [0, 0, 0, top[3]], lateral: [0; 4] }, Vec::new()),
            Self::Regions { size, ratio, .. } => {
                (Self::Regions { levels: [[0; 4]; 4], side: 0, size, ratio, count: 0 }, Vec::new())
            }
        }
    }

    /// Elements of its input.
    fn len(&self) -> usize {
        match self {
            Self::Conv { x, .. } | Self::Transposed { x, .. } | Self::Pool { x, .. } => x.iter().product(),
            Self::Linear { rows, inputs, .. } => rows * inputs,
            Self::Upsample { lateral, .. } => lateral.iter().product(),
            Self::Regions { levels, .. } => levels.iter().flatten().product(),
        }
    }

    fn check(&self, gpu: &Device) {
        let name = format!("{self:?}");
        match *self {
            Self::Conv { x, w, options } => {
                let inputs = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&w[3..], 3)];
                agree(&name, gpu, &inputs, |i| conv(i, options));
            }
            Self::Linear { rows, inputs, outputs, relu } => {
                let arrays = [
                    Array::random(&[rows, inputs], 1),
                    Array::random(&[inputs, outputs], 2),
                    Array::random(&[outputs], 3),
                ];
                agree(&name, gpu, &arrays, |i| {
                    let (x, w) = (i[0].clone().reshape([rows, inputs]), i[1].clone().reshape([inputs, outputs]));
                    kernels::linear(x, w, Some(i[2].clone().reshape([outputs])), relu).reshape([1, 1, rows, outputs])
                });
            }
            Self::Transposed { x, cout } => {
                let w = [2, 2, x[3], cout];
                let inputs = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&[cout], 3)];
                agree(&name, gpu, &inputs, |i| {
                    kernels::conv_transpose2x2(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([cout])), true)
                });
            }
            Self::Pool { x, options } => {
                agree(&name, gpu, &[Array::random(&x, 1)], |i| kernels::max_pool2d(i[0].clone(), options));
            }
            Self::Upsample { top, lateral } => {
                let inputs = [Array::random(&top, 1), Array::random(&lateral, 2)];
                agree(&name, gpu, &inputs, |i| kernels::upsample_add(i[0].clone(), i[1].clone()));
            }
            Self::Regions { levels, side, size, ratio, count } => {
                let heights = levels.map(|l| l[1]);
                let pool = MultiScaleRoiAlign::new(&heights, side, size, ratio);
                let boxes = boxes(count, side as f32);
                let found: BTreeSet<_> = boxes.iter().map(|b| pool.level(*b)).collect();
                assert!(found.len() > 2, "{name}: boxes of {} levels alone", found.len());
                let inputs: Vec<_> = levels.iter().zip(1..).map(|(l, seed)| Array::random(l, seed)).collect();
                agree(&name, gpu, &inputs, |i| pool.forward(i, std::slice::from_ref(&boxes)));
            }
        }
    }
}

/// Boxes in an image of that side, from those that nearly fill it to an eighth of them: they come from all levels that it can have.
fn boxes(count: usize, side: f32) -> Vec<[f32; 4]> {
    let along = |share: f32, start: f32, length: f32| {
        let length = side * share * (0.95 + 0.05 * length);
        let start = (side - length) * (start + 1.0) / 2.0;
        (start, start + length)
    };
    let numbers = Array::random(&[count, 4], 5).data;
    let boxes = numbers.as_chunks::<4>().0.iter().zip([1.0, 0.5, 0.25, 0.125].into_iter().cycle());
    boxes
        .map(|(&[x, y, w, h], share)| {
            let ((x1, x2), (y1, y2)) = (along(share, x, w), along(share, y, h));
            [x1, y1, x2, y2]
        })
        .collect()
}

/// Runs `f` on the CPU and on the GPU and compares the outputs and the gradients of every input.
pub fn agree(name: &str, gpu: &Device, inputs: &[Array], f: impl Fn(&[Tensor<4>]) -> Tensor<4>) {
    let inputs: Vec<_> = inputs.iter().collect();
    let (cpu, gpu) = (Tracked::new(&Device::flex(), &inputs, &f), Tracked::new(gpu, &inputs, &f));
    let (expected, found) = (cpu.output(), gpu.output());
    let e = error(&found, &expected);
    assert!(e < TOLERANCE, "{name}: {e}");
    let mut dy = Array::random(&expected.shape, 9);
    for (dy, (a, b)) in dy.data.iter_mut().zip(expected.data.iter().zip(&found.data)) {
        // A ReLU at the very edge of zero may fall on either side.
        if (*a == 0.0) != (*b == 0.0) {
            *dy = 0.0;
        }
    }
    let (expected, found) = (cpu.gradients(&dy), gpu.gradients(&dy));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        let e = error(a, b);
        assert!(e < TOLERANCE, "{name}, gradient {i}: {e}");
    }
}

/// The shapes are asked for, not the numbers.
struct Zeros;

impl ParameterSource for Zeros {
    fn layer(&mut self, spec: &LayerSpec) -> Result<LayerValues> {
        let weights = spec.kind.torch_shape().iter().product();
        Ok(LayerValues { weight: vec![0.0; weights], bias: vec![0.0; spec.kind.output()], scale: None })
    }
}

/// A walk through a detector with shapes in place of tensors.
#[derive(Default)]
struct Walk {
    uses: Vec<Use>,
    layers: BTreeSet<ParamId>,
}

impl Walk {
    fn add(&mut self, found: Use) {
        if !self.uses.contains(&found) {
            self.uses.push(found);
        }
    }

    fn conv(&mut self, conv: &Conv2d, x: [usize; 4], relu: bool) -> [usize; 4] {
        let (w, options) = (conv.weight.dims(), ConvOptions { stride: conv.stride, padding: conv.padding, relu });
        self.layers.insert(conv.weight.id);
        self.add(Use::Conv { x, w, options });
        kernels::check_conv2d(x, w, Some(w[3]), options).unwrap()
    }

    fn linear(&mut self, linear: &Linear, rows: usize, relu: bool) {
        let [inputs, outputs] = linear.weight.dims();
        self.layers.insert(linear.weight.id);
        self.add(Use::Linear { rows, inputs, outputs, relu });
    }

    fn pool(&mut self, x: [usize; 4], options: PoolOptions) -> [usize; 4] {
        self.add(Use::Pool { x, options });
        kernels::check_max_pool2d(x, options).unwrap()
    }

    /// As `ResNet` and `Block` go forward; the maps of the four stages.
    fn body(&mut self, detector: &Detector, side: usize) -> Vec<[usize; 4]> {
        let body = &detector.network.backbone.body;
        let stem = self.conv(&body.conv1, [1, side, side, 3], true);
        let mut x = self.pool(stem, PoolOptions { kernel: 3, stride: 2, padding: 1 });
        let mut stages = Vec::new();
        for stage in body.stages() {
            for block in stage {
                if let Some(downsample) = &block.downsample {
                    self.conv(downsample, x, false);
                }
                x = self.conv(&block.conv1, x, true);
                x = self.conv(&block.conv2, x, block.conv3.is_some());
                if let Some(conv3) = &block.conv3 {
                    x = self.conv(conv3, x, false);
                }
            }
            stages.push(x);
        }
        stages
    }

    /// The levels over the stages, finest first.
    fn pyramid(&mut self, detector: &Detector, stages: Vec<[usize; 4]>) -> Vec<[usize; 4]> {
        let fpn = &detector.network.backbone.fpn;
        let mut levels = Vec::new();
        let mut above = None;
        for ((x, inner), layer) in stages.into_iter().zip(&fpn.inner_blocks).zip(&fpn.layer_blocks).rev() {
            let lateral = self.conv(inner, x, false);
            if let Some(top) = above {
                self.add(Use::Upsample { top, lateral });
            }
            above = Some(lateral);
            levels.push(self.conv(layer, lateral, false));
        }
        let pool = self.pool(levels[0], PoolOptions { kernel: 1, stride: 2, padding: 0 });
        levels.reverse();
        levels.push(pool);
        levels
    }

    /// The RPN's and the two heads' uses, for so many boxes and masks at a time.
    fn heads(&mut self, detector: &Detector, levels: &[[usize; 4]], side: usize, [boxes, masks]: [usize; 2]) {
        let (rpn, heads, config) = (&detector.network.rpn, &detector.network.roi_heads, &detector.config);
        for level in levels {
            let x = rpn.conv.iter().fold(*level, |x, conv| self.conv(conv, x, true));
            self.conv(&rpn.cls_logits, x, false);
            self.conv(&rpn.bbox_pred, x, false);
        }
        let pooled = std::array::from_fn(|i| levels[i]);
        let mut regions = |size, count| {
            let ratio = config.roi_sampling_ratio;
            self.add(Use::Regions { levels: pooled, side, size, ratio, count });
            [count, size, size, config.fpn_channels]
        };
        regions(config.box_roi_pool_size, boxes);
        let mut mask = regions(config.mask_roi_pool_size, masks);
        self.linear(&heads.box_head.fc6, boxes, true);
        heads.box_head.fc7.iter().for_each(|fc7| self.linear(fc7, boxes, true));
        self.linear(&heads.box_predictor.cls_score, boxes, false);
        self.linear(&heads.box_predictor.bbox_pred, boxes, false);
        let (Some(head), Some(predictor)) = (&heads.mask_head, &heads.mask_predictor) else { return };
        for conv in &head.convs {
            mask = self.conv(conv, mask, true);
        }
        let [.., cout] = predictor.conv5_mask.weight.dims();
        self.layers.insert(predictor.conv5_mask.weight.id);
        self.add(Use::Transposed { x: mask, cout });
        self.conv(&predictor.mask_fcn_logits, [mask[0], 2 * mask[1], 2 * mask[2], cout], false);
    }
}

/// ResNet-18-FPN (with one class of cells) and ResNet-50-FPN (with COCO's classes), Faster and Mask R-CNN.
fn detectors() -> impl Iterator<Item = Detector> {
    let cells = vec!["background".to_owned(), "cell".to_owned()];
    let backbones = [(Backbone::ResNet18, cells), (Backbone::ResNet50, DetectorConfig::default().classes)];
    backbones.into_iter().flat_map(|(backbone, classes)| {
        [Architecture::FasterRcnn, Architecture::MaskRcnn].map(|architecture| {
            let config = DetectorConfig { architecture, backbone, classes: classes.clone(), ..Default::default() };
            Detector::build(config, &mut Zeros, &Device::flex()).unwrap()
        })
    })
}

/// Every use by the detectors for images of these sides; `regions` gives the boxes and masks that go through the heads at a time.
fn uses(sides: &[usize], regions: impl Fn(&DetectorConfig) -> [usize; 2]) -> Vec<Use> {
    let mut walk = Walk::default();
    for detector in detectors() {
        walk.layers.clear();
        for &side in sides {
            let stages = walk.body(&detector, side);
            let levels = walk.pyramid(&detector, stages);
            walk.heads(&detector, &levels, side, regions(&detector.config));
        }
        assert_eq!(walk.layers.len(), detector.layers.len(), "the walk leaves out layers");
    }
    walk.uses
}

/// The smallest use of each class at 256² and 512².
///
/// With `CYTOBOX_ALL_USES=1` every use at 512², with as many boxes and masks as a training step has; minutes:
/// `CYTOBOX_ALL_USES=1 cargo test --release --test kernels --test kernels_hardware -- --nocapture every_use`
#[test]
fn every_use_by_the_detectors() {
    let Some(gpu) = gpu() else { return };
    if std::env::var_os("CYTOBOX_ALL_USES").is_some() {
        return whole_detectors(&gpu);
    }
    let mut all = uses(&[256, 512], |_| [64, 4]);
    all.sort_by_key(Use::len);
    let mut classes = Vec::new();
    for found in all {
        let class = found.class();
        if !classes.contains(&class) {
            found.check(&gpu);
            classes.push(class);
        }
    }
    println!("{} classes of uses", classes.len());
}

fn whole_detectors(gpu: &Device) {
    let regions = |c: &DetectorConfig| {
        let boxes = c.box_batch_size_per_image;
        [boxes, (boxes as f32 * c.box_positive_fraction) as usize]
    };
    for found in uses(&[512], regions) {
        let start = Instant::now();
        found.check(gpu);
        println!("{:6.2} s  {found:?}", start.elapsed().as_secs_f64());
    }
}

/// What is measured is what the detectors do, and no convolution of their backbones is left out.
#[test]
fn the_benchmark_is_of_the_detectors() {
    let (mut bodies, mut pyramids) = (Walk::default(), Walk::default());
    for detector in detectors() {
        let stages = bodies.body(&detector, 256);
        pyramids.pyramid(&detector, stages);
    }
    let convs = |walk: &Walk| -> Vec<_> {
        let shapes = walk.uses.iter().filter_map(|found| match found {
            Use::Conv { x, w, options } => Some((*x, *w, options.stride)),
            _ => None,
        });
        shapes.collect()
    };
    let (bodies, pyramids) = (convs(&bodies), convs(&pyramids));
    let measured: Vec<_> = layers(256).unwrap().into_iter().map(|layer| (layer.x, layer.w, layer.stride)).collect();
    for layer in &measured {
        assert!(bodies.contains(layer) || pyramids.contains(layer), "no detector does {layer:?}");
    }
    for (x, w, stride) in bodies {
        assert!(
            measured.iter().any(|m| (m.1, m.2) == (w, stride)),
            "{w:?} with stride {stride} on {x:?} is not measured"
        );
    }
}
