//! What holds for every kernel whatever blocks the GPU takes: those of `crate::ADAPTER`.

mod detectors;
mod extremes;
mod random;
mod slopes;

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};
use cytobox::kernels::{self, Adapter, Algorithm, ConvGeometry, ConvOptions, GridShape};

use crate::reference::{self, Array, error};
use crate::{ADAPTER, CASES};

/// The CPU, and the GPU with the blocks of [`ADAPTER`] where there is one.
pub fn devices() -> Vec<(&'static str, Device)> {
    ADAPTER.set_detected();
    reference::devices()
}

fn gpu() -> Option<Device> {
    devices().into_iter().find(|(name, _)| *name == "wgpu").map(|(_, device)| device)
}

/// Output and gradients of `f` for the output gradient `dy`.
fn pass<const D: usize>(
    device: &Device,
    inputs: &[&Array],
    dy: &Array,
    f: impl Fn(&[Tensor<4>]) -> Tensor<D>,
) -> (Array, Vec<Array>) {
    let tracked = Tracked::new(device, inputs, f);
    (tracked.output(), tracked.gradients(dy))
}

/// A forward pass whose gradients can still be asked for.
struct Tracked<const D: usize> {
    device: Device,
    inputs: Vec<Tensor<4>>,
    out: Tensor<D>,
}

impl<const D: usize> Tracked<D> {
    fn new(device: &Device, inputs: &[&Array], f: impl Fn(&[Tensor<4>]) -> Tensor<D>) -> Self {
        let device = device.clone().autodiff();
        let inputs: Vec<_> = inputs.iter().map(|a| four(a).tensor::<4>(&device).require_grad()).collect();
        Self { out: f(&inputs), inputs, device }
    }

    fn output(&self) -> Array {
        Array::of(self.out.clone())
    }

    fn gradients(self, dy: &Array) -> Vec<Array> {
        let grads = (self.out * dy.tensor::<D>(&self.device)).sum().backward();
        self.inputs.iter().map(|i| Array::of(i.grad(&grads).expect("every input is tracked"))).collect()
    }
}

/// The same numbers with axes of length 1 in front, four in all.
fn four(a: &Array) -> Array {
    let mut a = a.clone();
    while a.shape.len() < 4 {
        a.shape.insert(0, 1);
    }
    a
}

/// [`kernels::conv2d`] of `x`, `w` and a bias `[1, 1, 1, cout]`.
fn conv(i: &[Tensor<4>], options: ConvOptions) -> Tensor<4> {
    let cout = i[1].dims()[3];
    kernels::conv2d(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([cout])), options)
}

/// Compares a convolution of random numbers with plain loops.
fn check_conv(x: [usize; 4], k: [usize; 2], cout: usize, options: ConvOptions, seed: u64) {
    let (xa, wa) = (Array::random(&x, seed), Array::random(&[k[0], k[1], x[3], cout], seed + 1));
    let ba = Array::random(&[cout], seed + 2);
    let shape = kernels::check_conv2d(x, [k[0], k[1], x[3], cout], Some(cout), options).unwrap();
    let dy = Array::random(&shape, seed + 3);
    let (out, expected) = reference::conv2d(&xa, &wa, &ba, options, Some(&dy));
    for (name, device) in devices() {
        let (found, grads) = pass(&device, &[&xa, &wa, &ba], &dy, |i| conv(i, options));
        let mut worst = vec![error(&found, &out)];
        worst.extend(grads.iter().zip(&expected).map(|(a, b)| error(a, &four(b))));
        assert!(worst.iter().all(|e| *e < 2e-5), "{name} {x:?} {k:?} {cout} {options:?}: {worst:?}");
    }
}

/// Every shape class of ResNet-18/50-FPN Faster and Mask R-CNN, with the channels divided so that the plain loops end (the
/// largest depth stays beyond one pass of the CPU's GEMM); `detectors` has them in full, the CPU against the GPU.
#[test]
fn convolutions_are_those_of_plain_loops() {
    let plain = |k: usize, stride: usize, relu: bool| ([k, k], ConvOptions { stride, padding: k / 2, relu });
    let shapes = [
        ([1, 64, 64, 3], 16, plain(7, 2, true)),
        ([2, 32, 32, 16], 16, plain(3, 1, true)),
        ([1, 32, 32, 16], 32, plain(3, 2, true)),
        ([1, 32, 32, 16], 32, plain(1, 2, false)),
        ([1, 16, 16, 32], 32, plain(3, 1, true)),
        ([1, 16, 16, 64], 16, plain(1, 1, true)),
        ([1, 8, 8, 128], 48, plain(3, 1, true)),
        ([1, 8, 8, 48], 96, plain(1, 1, false)),
        ([1, 16, 16, 48], 3, plain(1, 1, false)),
        ([1, 4, 4, 48], 12, plain(1, 1, false)),
        ([8, 14, 14, 16], 16, plain(3, 1, true)),
        ([4, 28, 28, 16], 5, plain(1, 1, false)),
    ];
    // Those that Winograd's transforms compute on a software adapter, with borders of every kind.
    let winograd = |padding, relu| ([3, 3], ConvOptions { stride: 1, padding, relu });
    let transformed = [
        ([2, 13, 18, 32], 36, winograd(1, true)),
        ([1, 17, 22, 36], 32, winograd(0, false)),
        ([1, 11, 14, 64], 40, winograd(2, true)),
    ];
    for ([n, h, w, cin], cout, (_, options)) in transformed {
        let out = |side: usize| side + 2 * options.padding - 2;
        assert!(
            Adapter::Software.winograd(n, out(h), out(w), cin, cout) && Adapter::Software.winograd(n, h, w, cin, cout)
        );
    }
    for (i, (x, cout, (k, options))) in shapes.into_iter().chain(transformed).enumerate() {
        check_conv(x, k, cout, options, i as u64);
    }
}

/// The box head's first layer: a depth of several passes.
#[test]
fn a_deep_linear_layer() {
    let (rows, inputs, outputs) = (13, 2600, 40);
    let (x, w, b) =
        (Array::random(&[rows, inputs], 1), Array::random(&[inputs, outputs], 2), Array::random(&[outputs], 3));
    let options = ConvOptions { stride: 1, padding: 0, relu: true };
    let (out, _) = reference::conv2d(&four(&x), &four(&w), &b, options, None);
    for (name, device) in devices() {
        let found = kernels::linear(x.tensor(&device), w.tensor(&device), Some(b.tensor(&device)), true);
        let e = error(&four(&Array::of(found)), &out);
        assert!(e < 2e-5, "{name}: {e}");
    }
}

/// [`kernels::conv_transpose2x2`] in plain loops: the output, and the gradients of `x`, `w` and `bias`.
fn transposed(x: &Array, w: &Array, bias: &Array, dy: &Array) -> (Array, [Array; 3]) {
    let [_, h, width, cin] = x.shape[..] else { panic!("x has four axes") };
    let cout = bias.data.len();
    let mut out = Array::zeros(&dy.shape);
    let (mut dx, mut dw, mut db) = (Array::zeros(&x.shape), Array::zeros(&w.shape), Array::zeros(&bias.shape));
    for at in 0..out.data.len() {
        let (co, place) = (at % cout, at / cout);
        let (ox, oy, image) = (place % (2 * width), place / (2 * width) % (2 * h), place / (4 * width * h));
        out.data[at] = bias.data[co];
        db.data[co] += dy.data[at];
        for ci in 0..cin {
            let from = ((image * h + oy / 2) * width + ox / 2) * cin + ci;
            let tap = (((oy % 2) * 2 + ox % 2) * cin + ci) * cout + co;
            out.data[at] += x.data[from] * w.data[tap];
            dx.data[from] += dy.data[at] * w.data[tap];
            dw.data[tap] += dy.data[at] * x.data[from];
        }
    }
    (out, [dx, dw, db])
}

#[test]
fn transposed_convolution() {
    let (x, w, b) = (Array::random(&[2, 5, 7, 6], 1), Array::random(&[2, 2, 6, 9], 2), Array::random(&[9], 3));
    let dy = Array::random(&[2, 10, 14, 9], 4);
    let (out, expected) = transposed(&x, &w, &b, &dy);
    for (name, device) in devices() {
        let (found, grads) = pass(&device, &[&x, &w, &b], &dy, |i| {
            kernels::conv_transpose2x2(i[0].clone(), i[1].clone(), Some(i[2].clone().reshape([9])), false)
        });
        let mut worst = vec![error(&found, &out)];
        worst.extend(grads.iter().zip(&expected).map(|(a, b)| error(a, &four(b))));
        assert!(worst.iter().all(|e| *e < 1e-5), "{name}: {worst:?}");
    }
}

/// The GPU's algorithm for a forward pass that does not use Winograd's.
pub fn forward_algorithm(g: &ConvGeometry) -> Algorithm {
    ADAPTER.algorithm(GridShape::forward(g))
}

/// The algorithms for the data gradient, one for each remainder of the coordinates modulo the stride.
pub fn gradient_algorithms(g: &ConvGeometry) -> impl Iterator<Item = Algorithm> {
    GridShape::gradients(g).into_iter().map(|shape| ADAPTER.algorithm(shape))
}

/// A convolution that exercises a particular algorithm in the forward pass.
pub struct Case {
    pub algorithm: Algorithm,
    pub x: [usize; 4],
    pub kernel: usize,
    pub cout: usize,
    pub stride: usize,
    pub relu: bool,
}

/// Every algorithm of the table, as a forward pass and as a data gradient, against the CPU.
#[test]
fn every_block_and_tile() {
    let Some(gpu) = gpu() else { return };
    let (mut forward, mut gradients) = (BTreeSet::new(), BTreeSet::new());
    for Case { algorithm, x, kernel, cout, stride, relu } in CASES {
        let (w, padding) = ([kernel, kernel, x[3], cout], kernel / 2);
        let g = ConvGeometry::new(x, w, stride, padding).unwrap();
        assert_eq!(forward_algorithm(&g), algorithm, "{x:?} {w:?}");
        assert!(
            kernel != 3 || stride > 1 || !ADAPTER.winograd(g.n, g.oh, g.ow, g.cin, g.cout),
            "{x:?} {w:?}: Winograd's"
        );
        forward.insert(algorithm);
        gradients.extend(gradient_algorithms(&g));
        let inputs = [Array::random(&x, 1), Array::random(&w, 2), Array::random(&[cout], 3)];
        let options = ConvOptions { stride, padding, relu };
        detectors::agree(&format!("{x:?} {w:?} {options:?}"), &gpu, &inputs, |i| conv(i, options));
    }
    let mut all: BTreeSet<_> =
        ADAPTER.blocks().iter().map(|&(pixels, vec4s)| Algorithm::Block(pixels, vec4s)).collect();
    if ADAPTER == Adapter::Hardware {
        all.insert(Algorithm::Tiles);
    }
    let rows =
        |algorithms: &BTreeSet<Algorithm>| -> BTreeSet<_> {
            algorithms
                .iter()
                .filter_map(|algorithm| {
                    if let Algorithm::Rows(b) = algorithm { Some((b.columns, (b.rows, b.vec4s))) } else { None }
                })
                .collect()
        };
    let mut all_rows = BTreeSet::new();
    if ADAPTER == Adapter::Software {
        all_rows.extend([4, 8].into_iter().flat_map(|columns| Adapter::row_sizes(columns).map(|size| (columns, size))));
    }
    assert_eq!(rows(&forward), all_rows);
    assert!(ADAPTER == Adapter::Hardware || !rows(&gradients).is_empty());
    for algorithms in [&mut forward, &mut gradients] {
        algorithms.retain(|algorithm| !matches!(algorithm, Algorithm::Rows(_)));
        assert_eq!(*algorithms, all);
    }
}
