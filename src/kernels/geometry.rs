//! Sizes of a convolution or a pooling, checked once and used by the forward and the backward pass.

use crate::error::{Error, Result};

/// The largest side, channel count or kernel accepted; every index within an image row then fits `u32`.
const SIDE: usize = 1 << 16;
/// The largest number of elements of a tensor: GPU kernels index with `u32`, and a browser's buffers end at 4 GiB.
const ELEMENTS: usize = 1 << 30;

/// A 2-d convolution, channels last: `x [n, h, w, cin]`, `w [kh, kw, cin, cout]`, output `[n, oh, ow, cout]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub cin: usize,
    pub kh: usize,
    pub kw: usize,
    pub cout: usize,
    pub oh: usize,
    pub ow: usize,
    pub stride: usize,
    pub padding: usize,
}

impl ConvGeometry {
    /// # Errors
    /// Shapes that do not match, or a size out of range.
    pub fn new(x: [usize; 4], w: [usize; 4], stride: usize, padding: usize) -> Result<Self> {
        let [n, h, width, cin] = x;
        let [kh, kw, wcin, cout] = w;
        let refuse = |reason: &str| {
            Err(Error::Config(format!("convolution of {x:?} with {w:?}, stride {stride}, padding {padding}: {reason}")))
        };
        if wcin != cin {
            return refuse("the weights expect a different number of channels");
        }
        if x.iter().chain(&w).any(|&d| d == 0 || d > SIDE) {
            return refuse("a size is zero or too large");
        }
        if stride == 0 || stride > 16 || padding >= kh || padding >= kw {
            return refuse("the stride must be 1 to 16 and the padding smaller than the kernel");
        }
        if h + 2 * padding < kh || width + 2 * padding < kw {
            return refuse("the kernel is larger than the padded input");
        }
        let oh = (h + 2 * padding - kh) / stride + 1;
        let ow = (width + 2 * padding - kw) / stride + 1;
        let g = Self { n, h, w: width, cin, kh, kw, cout, oh, ow, stride, padding };
        if g.padded_shapes().iter().any(|shape| elements(shape).is_none()) {
            return refuse("a tensor is too large");
        }
        Ok(g)
    }

    /// The shapes that a GPU allocates: channels are padded to a multiple of four, and the input and the output gradient are padded
    /// with zeros wherever taps reach outside.
    fn padded_shapes(&self) -> [[usize; 4]; 4] {
        let (cin, cout) = (self.cin.next_multiple_of(4), self.cout.next_multiple_of(4));
        let gradient = |side, kernel, out| bordered(out, &Axis::gradient(side, kernel, self.stride, self.padding));
        [
            [self.n, self.h + 2 * self.padding, self.w + 2 * self.padding, cin],
            [self.kh, self.kw, cin, cout],
            [self.n, self.oh, self.ow, cout],
            [self.n, gradient(self.h, self.kh, self.oh), gradient(self.w, self.kw, self.ow), cout],
        ]
    }

    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.cin]
    }

    pub fn w_shape(&self) -> [usize; 4] {
        [self.kh, self.kw, self.cin, self.cout]
    }

    pub fn out_shape(&self) -> [usize; 4] {
        [self.n, self.oh, self.ow, self.cout]
    }

    /// Floating-point operations of one pass (forward, data gradient or weight gradient).
    pub fn flops(&self) -> f64 {
        2.0 * (self.n * self.oh * self.ow) as f64 * (self.kh * self.kw * self.cin) as f64 * self.cout as f64
    }
}

/// Max-pooling, channels last: `x [n, h, w, c]`, output `[n, oh, ow, c]`, floor mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolGeometry {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub oh: usize,
    pub ow: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Before the first row and column; how far the last windows reach is in `oh` and `ow`.
    pub padding: usize,
}

impl PoolGeometry {
    /// # Errors
    /// A window that might hold no pixel (padding is at most half the kernel, as in torch), or a size out of range.
    pub fn new(x: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        Self::between(x, kernel, stride, [padding; 2])
    }

    /// With padding of its own before and after each axis.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn between(x: [usize; 4], kernel: usize, stride: usize, [padding, after]: [usize; 2]) -> Result<Self> {
        let [n, h, w, c] = x;
        let refuse = |reason: &str| {
            Err(Error::Config(format!(
                "max-pool of {x:?}, kernel {kernel}, stride {stride}, padding {padding} and {after}: {reason}"
            )))
        };
        if x.iter().any(|&d| d == 0 || d > SIDE) || elements(&x).is_none() {
            return refuse("a size is zero or too large");
        }
        if kernel == 0 || kernel > 16 || stride == 0 || stride > 16 || padding.max(after) * 2 > kernel {
            return refuse("kernel and stride must be 1 to 16, and the padding at most half the kernel");
        }
        if h + padding + after < kernel || w + padding + after < kernel {
            return refuse("the kernel is larger than the padded input");
        }
        let oh = (h + padding + after - kernel) / stride + 1;
        let ow = (w + padding + after - kernel) / stride + 1;
        Ok(Self { n, h, w, c, oh, ow, kernel, stride, padding })
    }

    pub fn x_shape(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.c]
    }

    pub fn out_shape(&self) -> [usize; 4] {
        [self.n, self.oh, self.ow, self.c]
    }
}

/// The number of elements, or `None` above the limit of one tensor.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |all, &d| all.checked_mul(d)).filter(|&all| all <= ELEMENTS)
}

/// One axis of a *grid convolution*: `out[out_start + i·out_step] += x[i·in_step + in_start + t·tap_step] · w[w_start + t·w_step]`
/// for `i < len` and `t < taps`. The forward pass is one such grid. The data gradient of a convolution with stride `s` is `s` of
/// them along each axis, one for each remainder of the input coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub len: usize,
    pub out_start: usize,
    pub out_step: usize,
    pub in_step: usize,
    pub in_start: isize,
    pub taps: usize,
    pub tap_step: isize,
    pub w_start: usize,
    pub w_step: usize,
}

impl Axis {
    /// The forward pass along an axis with `len` outputs.
    pub fn forward(len: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            len,
            out_start: 0,
            out_step: 1,
            in_step: stride,
            in_start: -(padding as isize),
            taps: kernel,
            tap_step: 1,
            w_start: 0,
            w_step: 1,
        }
    }

    /// The data gradient along an axis with `len` inputs: one grid for each remainder modulo the stride.
    /// Input `i` receives from output `(i + padding - k) / stride` where that is an integer.
    pub fn gradient(len: usize, kernel: usize, stride: usize, padding: usize) -> Vec<Self> {
        (0..stride.min(len))
            .map(|phase| {
                let first = (phase + padding) % stride;
                Self {
                    len: (len - phase).div_ceil(stride),
                    out_start: phase,
                    out_step: stride,
                    in_step: 1,
                    in_start: ((phase + padding - first) / stride) as isize,
                    taps: if first < kernel { (kernel - first).div_ceil(stride) } else { 0 },
                    tap_step: -1,
                    w_start: first,
                    w_step: stride,
                }
            })
            .collect()
    }

    /// The lowest and highest input coordinate that is accessed, inside the input or not.
    pub fn reach(&self) -> (isize, isize) {
        let last = (self.len as isize - 1) * self.in_step as isize;
        let tap = (self.taps as isize - 1).max(0) * self.tap_step;
        (self.in_start + tap.min(0), self.in_start + last + tap.max(0))
    }
}

/// The length of an axis of `len` inputs, extended to everything the grids access.
fn bordered(len: usize, grids: &[Axis]) -> usize {
    let reach = grids.iter().map(Axis::reach);
    let (low, high) = reach.fold((0, len as isize - 1), |a, b| (a.0.min(b.0), a.1.max(b.1)));
    (high - low + 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatched_shapes_are_refused() {
        assert!(ConvGeometry::new([1, 8, 8, 3], [3, 3, 4, 8], 1, 1).is_err());
        assert!(ConvGeometry::new([1, 2, 2, 3], [7, 7, 3, 8], 1, 0).is_err());
        assert!(ConvGeometry::new([1, 8, 8, 3], [3, 3, 3, 8], 0, 1).is_err());
        assert!(ConvGeometry::new([0, 8, 8, 3], [3, 3, 3, 8], 1, 1).is_err());
        assert!(ConvGeometry::new([64, 4096, 4096, 64], [1, 1, 64, 64], 1, 0).is_err());
        assert!(PoolGeometry::new([1, 8, 8, 3], 2, 2, 2).is_err());
    }

    /// Tensors within the limit, but not once padded for a GPU.
    #[test]
    fn padding_counts_towards_the_limit() {
        let check = |x, w, padding| ConvGeometry::new(x, w, 1, padding);
        // 2²⁹ values of one channel, each padded to a vec4; an eighth of them fits.
        assert!(check([1, 1 << 15, 1 << 14, 1], [1, 1, 1, 4], 0).is_err());
        assert!(check([1, 1 << 14, 1 << 12, 1], [1, 1, 1, 4], 0).is_ok());
        // The output's 17 channels are padded to 20.
        assert!(check([1, 7680, 7812, 4], [1, 1, 4, 17], 0).is_err());
        assert!(check([1, 7680, 7812, 4], [1, 1, 4, 16], 0).is_ok());
        // Weights alone.
        assert!(check([1, 3, 3, 10922], [3, 3, 10922, 10922], 1).is_err());
        assert!(check([1, 3, 3, 10920], [3, 3, 10920, 10920], 1).is_ok());
        // The data gradient pads the output gradient.
        assert!(check([1, 4096, 4096, 4], [2, 2, 4, 64], 0).is_err());
        assert!(check([1, 4096, 4096, 4], [1, 1, 4, 64], 0).is_ok());
    }

    #[test]
    fn gradient_axes_visit_every_pair_once() {
        for (len, kernel, stride, padding) in
            [(9usize, 3usize, 2usize, 1usize), (8, 1, 2, 0), (7, 7, 2, 3), (5, 2, 2, 0), (6, 3, 1, 1)]
        {
            let outputs = (len + 2 * padding - kernel) / stride + 1;
            let mut expected = Vec::new();
            for o in 0..outputs {
                for k in 0..kernel {
                    if let Some(i) = (o * stride + k).checked_sub(padding).filter(|&i| i < len) {
                        expected.push((i, o, k));
                    }
                }
            }
            let mut found = Vec::new();
            for axis in Axis::gradient(len, kernel, stride, padding) {
                for i in 0..axis.len {
                    for t in 0..axis.taps {
                        let o = (i * axis.in_step) as isize + axis.in_start + t as isize * axis.tap_step;
                        if (0..outputs as isize).contains(&o) {
                            found.push((
                                axis.out_start + i * axis.out_step,
                                o as usize,
                                axis.w_start + t * axis.w_step,
                            ));
                        }
                    }
                }
            }
            expected.sort();
            found.sort();
            assert_eq!(found, expected);
        }
    }
}
