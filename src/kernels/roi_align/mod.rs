//! RoIAlign over all levels of a feature pyramid (arXiv 1703.06870), as torchvision's `roi_align` with `aligned = false`.
//!
//! A region is scaled to its level, made at least one pixel wide and high, and divided into `S × S` bins. Each bin is the mean of
//! `sampling_ratio²` bilinear samples. A sample outside `[-1, side]` counts as zero; one inside is clamped to the pixels.
//!
//! TensorFlow's `crop_and_resize` differs in where it samples alone, so that it is another way to make the same table: one sample
//! for each bin, evenly spread from edge to edge of the region, between pixel centres; outside of these it counts as zero.
//!
//! The regions are on the host, so everything that does not depend on the features is computed here once: the samples of each
//! region along each axis ([`Sample`]) and, for the backward pass, the regions that reach each row of each level. The backward
//! pass is a gather: each feature element sums over those regions in a fixed order, so no atomics are needed.

pub mod cpu;
pub mod gpu;

use crate::boxes::Corners;
use crate::error::{Error, Result};

/// The largest number of pyramid levels.
pub const LEVELS: usize = 4;

/// A region of one image, in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roi {
    pub image: u32,
    pub level: u32,
    /// `x1, y1, x2, y2`
    pub corners: [f32; 4],
}

#[derive(Debug, Clone, PartialEq)]
pub struct RoiAlignOptions {
    /// Side `S` of the output.
    pub output_size: usize,
    /// Samples per bin along each axis; at least 1.
    pub sampling_ratio: usize,
    /// Scale of each level relative to the network's input (1/4, 1/8, ...).
    pub scales: Vec<f32>,
}

/// One sample along one axis: `(1 - high_weight) · x[low] + high_weight · x[high]`, times `inside` (0 or 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub low: u32,
    pub high: u32,
    pub low_weight: f32,
    pub high_weight: f32,
}

/// Everything RoIAlign needs besides the features.
#[derive(Debug)]
pub struct RoiTable {
    pub size: usize,
    pub ratio: usize,
    /// Number of images, and the shape `[h, w]` of each level.
    pub images: usize,
    pub levels: Vec<[usize; 2]>,
    pub channels: usize,
    pub rois: Vec<Roi>,
    /// `[roi][axis (y, x)][bin · ratio + sample]`
    pub samples: Vec<Sample>,
}

impl RoiTable {
    /// `levels` are the shapes `[n, h, w, c]`; all share `n` and `c`.
    pub fn new(levels: &[[usize; 4]], rois: &[Roi], options: &RoiAlignOptions) -> Result<Self> {
        if options.scales.len() != levels.len() {
            return refuse(format!("{} levels and {} scales; both must match", levels.len(), options.scales.len()));
        }
        if options.scales.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return refuse("a scale is not a positive number".into());
        }
        let (size, ratio) = (options.output_size, options.sampling_ratio);
        Self::sampled(levels, rois, [size, ratio], |samples, roi, [h, w]| {
            let scale = options.scales[roi.level as usize];
            let [x1, y1, x2, y2] = roi.corners.map(|c| c * scale);
            axis(samples, y1, y2, h, size, ratio);
            axis(samples, x1, x2, w, size, ratio);
        })
    }

    /// TensorFlow's `crop_and_resize` of regions whose corners are those of an input of that height and width.
    pub fn crop_and_resize(levels: &[[usize; 4]], rois: &[Roi], size: usize, input: [usize; 2]) -> Result<Self> {
        if input.iter().any(|side| *side < 2) {
            return refuse(format!("an input of {input:?} pixels has no distances between pixels"));
        }
        Self::sampled(levels, rois, [size, 1], |samples, roi, [h, w]| {
            let [x1, y1, x2, y2] = Corners::PixelCentres.of_edges(roi.corners);
            edge_to_edge(samples, [y1, y2].map(|y| y / (input[0] - 1) as f32), h, size);
            edge_to_edge(samples, [x1, x2].map(|x| x / (input[1] - 1) as f32), w, size);
        })
    }

    /// `sample` adds the samples of a region along y, then along x, on a level of that height and width.
    fn sampled(
        levels: &[[usize; 4]],
        rois: &[Roi],
        [size, ratio]: [usize; 2],
        sample: impl Fn(&mut Vec<Sample>, &Roi, [usize; 2]),
    ) -> Result<Self> {
        let Some(&[images, _, _, channels]) = levels.first() else {
            return refuse("no levels".into());
        };
        if levels.len() > LEVELS {
            return refuse(format!("{} levels; at most {LEVELS} are possible", levels.len()));
        }
        if levels.iter().any(|l| l[0] != images || l[3] != channels || l.contains(&0)) {
            return refuse(format!("the levels {levels:?} differ in batch size or channels, or are empty"));
        }
        if size == 0 || size > 64 || ratio == 0 || ratio > 8 {
            return refuse(format!("output size {size} must be 1 to 64 and sampling ratio {ratio} 1 to 8"));
        }
        if super::geometry::elements(&[rois.len(), size, size, channels]).is_none() {
            return refuse(format!("{} regions are too many", rois.len()));
        }
        let mut samples = Vec::with_capacity(rois.len() * 2 * size * ratio);
        for roi in rois {
            let Some(&[_, h, w, _]) = levels.get(roi.level as usize) else {
                return refuse(format!("a region is on level {}, which does not exist", roi.level));
            };
            if roi.image as usize >= images || roi.corners.iter().any(|c| !c.is_finite()) {
                return refuse(format!("invalid region {roi:?} for {images} images"));
            }
            sample(&mut samples, roi, [h, w]);
        }
        let levels = levels.iter().map(|l| [l[1], l[2]]).collect();
        Ok(Self { size, ratio, images, levels, channels, rois: rois.to_vec(), samples })
    }

    pub fn out_shape(&self) -> [usize; 4] {
        [self.rois.len(), self.size, self.size, self.channels]
    }

    /// The samples of one region along `y` (0) or `x` (1).
    pub fn axis(&self, roi: usize, axis: usize) -> &[Sample] {
        let n = self.size * self.ratio;
        &self.samples[(roi * 2 + axis) * n..][..n]
    }

    /// `(starts, list)`: the regions of one level that reach each row of each image are
    /// `list[starts[image · h + row]..starts[image · h + row + 1]]`, ascending.
    pub fn rows(&self, level: usize) -> (Vec<u32>, Vec<u32>) {
        let h = self.levels[level][0];
        let mut rows = vec![Vec::new(); self.images * h];
        for (index, roi) in self.rois.iter().enumerate().filter(|(_, r)| r.level as usize == level) {
            let samples = self.axis(index, 0);
            let low = samples.iter().map(|s| s.low).min().unwrap_or(0);
            let high = samples.iter().map(|s| s.high).max().unwrap_or(0);
            for row in low..=high {
                rows[roi.image as usize * h + row as usize].push(index as u32);
            }
        }
        let mut starts = vec![0u32];
        for row in &rows {
            starts.push(starts[starts.len() - 1] + row.len() as u32);
        }
        (starts, rows.concat())
    }
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(Error::Config(format!("RoIAlign: {reason}")))
}

/// `CropAndResize` of tensorflow/core/kernels/image/crop_and_resize_op.cc, for one axis: `start` and `end` are 0 at the centre of
/// the first pixel and 1 at that of the last.
fn edge_to_edge(samples: &mut Vec<Sample>, [start, end]: [f32; 2], side: usize, size: usize) {
    let last = (side - 1) as f32;
    let step = if size > 1 { (end - start) * last / (size - 1) as f32 } else { 0.0 };
    let first = if size > 1 { start * last } else { 0.5 * (start + end) * last };
    for i in 0..size {
        let at = first + i as f32 * step;
        if !(0.0..=last).contains(&at) {
            let nearest = if at < 0.0 { 0 } else { side as u32 - 1 };
            samples.push(Sample { low: nearest, high: nearest, low_weight: 0.0, high_weight: 0.0 });
            continue;
        }
        let high_weight = at - at.floor();
        let (low, high) = (at.floor() as u32, at.ceil() as u32);
        samples.push(Sample { low, high, low_weight: 1.0 - high_weight, high_weight });
    }
}

/// `bilinear_interpolate` of torchvision/csrc/ops/cpu/roi_align_common.h, for one axis.
fn axis(samples: &mut Vec<Sample>, start: f32, end: f32, side: usize, size: usize, ratio: usize) {
    let length = (end - start).max(1.0);
    let bin = length / size as f32;
    for i in 0..size * ratio {
        let (b, s) = ((i / ratio) as f32, (i % ratio) as f32);
        let at = start + b * bin + (s + 0.5) * bin / ratio as f32;
        if at < -1.0 || at > side as f32 {
            let nearest = if at < 0.0 { 0 } else { side as u32 - 1 };
            samples.push(Sample { low: nearest, high: nearest, low_weight: 0.0, high_weight: 0.0 });
            continue;
        }
        let at = at.max(0.0);
        let low = at as usize;
        let last = side - 1;
        samples.push(if low >= last {
            Sample { low: last as u32, high: last as u32, low_weight: 1.0, high_weight: 0.0 }
        } else {
            let high_weight = at - low as f32;
            Sample { low: low as u32, high: low as u32 + 1, low_weight: 1.0 - high_weight, high_weight }
        });
    }
}
