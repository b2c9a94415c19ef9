//! The mask branch (He et al. 2017, torchvision's `mask_rcnn.py`) and the pasting of masks into the image (`roi_heads.py`).

use burn::module::Module;
use burn::tensor::{Tensor, TensorData, Transaction};

use super::config::{DetectorConfig, MaskRule};
use super::layers::{Builder, Conv2d, ConvTranspose2d, Initializer};
use super::read::{self, sigmoid};
use super::resample::EdgeTap;
use super::roi_heads::MaskGrid;
use super::transform::bilinear_taps;
use crate::error::Result;
use crate::masks::Rle;

/// A pixel belongs to a mask if its probability exceeds this.
pub const MASK_THRESHOLD: f32 = 0.5;
/// Width of the zero padding around a grid before it is pasted.
const PADDING: usize = 1;

/// `mask_head`: a sequence of 3×3 convolutions.
#[derive(Module, Debug)]
pub struct MaskHead {
    pub convs: Vec<Conv2d>,
}

impl MaskHead {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let mut input = config.fpn_channels;
        let mut convs = Vec::with_capacity(config.mask_layers.len());
        for (i, &output) in config.mask_layers.iter().enumerate() {
            let init = Initializer::KaimingNormal;
            convs.push(builder.sequence(format!("{name}.{i}"), [input, output, 3], config.mask_norm, init)?);
            input = output;
        }
        Ok(Self { convs })
    }

    /// `[R, S, S, C]` → `[R, S, S, mask_layers.last]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.convs.iter().fold(x, |x, conv| conv.forward_relu(x))
    }
}

/// `mask_predictor`: doubles the resolution and predicts a logit per class.
#[derive(Module, Debug)]
pub struct MaskPredictor {
    pub conv5_mask: ConvTranspose2d,
    pub mask_fcn_logits: Conv2d,
}

impl MaskPredictor {
    pub fn build(builder: &mut Builder, name: &str, config: &DetectorConfig) -> Result<Self> {
        let input = config.mask_layers.last().copied().unwrap_or(config.fpn_channels);
        let (middle, classes) = (config.mask_dim_reduced, config.num_classes());
        let init = Initializer::KaimingNormalDefaultBias;
        Ok(Self {
            conv5_mask: builder.conv_transpose(format!("{name}.conv5_mask"), [input, middle], init)?,
            mask_fcn_logits: builder.conv(format!("{name}.mask_fcn_logits"), [middle, classes, 1], 1, init)?,
        })
    }

    /// `[R, S, S, C]` → `[R, 2 S, 2 S, K]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.mask_fcn_logits.forward(self.conv5_mask.forward_relu(x))
    }
}

/// The probabilities of one class of each RoI: `[R, M, M, K]` and R classes → R grids of M² values.
///
/// The class is selected on the device, so that only M² instead of M²·K values per RoI are read back.
pub async fn class_probabilities(logits: Tensor<4>, classes: &[usize]) -> Result<Vec<Vec<f32>>> {
    let [rois, height, width, k] = logits.dims();
    if rois == 0 {
        return Ok(Vec::new());
    }
    let device = logits.device();
    let mut one_hot = vec![0f32; rois * k];
    for (row, class) in one_hot.chunks_exact_mut(k).zip(classes) {
        row[*class] = 1.0;
    }
    let one_hot = Tensor::<4>::from_data(TensorData::new(one_hot, [rois, 1, 1, k]), &device);
    let picked = (logits * one_hot).sum_dim(3);
    let mut data = read::execute(Transaction::default().register(picked), &device).await?;
    let values = data.pop().unwrap_or_default();
    Ok(values.chunks_exact(height * width).map(|grid| grid.iter().map(|x| sigmoid(*x)).collect()).collect())
}

/// Pastes the mask grid of a box into an image and thresholds it, by the rule of its detector.
///
/// # Errors
/// An image without pixels.
pub fn paste_mask_by(rule: MaskRule, grid: &MaskGrid, corners: [f32; 4], width: u32, height: u32) -> Result<Rle> {
    match rule {
        MaskRule::Padded => paste_mask(grid, corners, width, height),
        MaskRule::Box => paste_into_box(grid, corners, width, height),
    }
}

/// matterport's `unmold_mask`: the grid is resized to the box in whole pixels, with zeros outside of it, which fade its edges, but
/// to no value that the grid does not have.
fn paste_into_box(grid: &MaskGrid, corners: [f32; 4], width: u32, height: u32) -> Result<Rle> {
    let side = grid.side;
    let least = grid.probabilities.iter().copied().fold(f32::INFINITY, f32::min);
    let [x1, y1, x2, y2] = corners.map(|c| c.round_ties_even() as i64);
    let taps = |from: i64, to: i64, end: u32| {
        let (low, high) = (from.max(0), to.min(i64::from(end)));
        (low..high).map(move |at| (at, EdgeTap::new(side, (to - from) as usize, (at - from) as usize)))
    };
    let rows: Vec<_> = taps(y1, y2, height).collect();
    let mut runs = Runs::new(width, height);
    for (x, column) in taps(x1, x2, width) {
        for (y, row) in &rows {
            let value = EdgeTap::blend(row, &column, |i, j| f64::from(grid.probabilities[i * side + j]));
            if value.max(f64::from(least)) >= f64::from(MASK_THRESHOLD) {
                runs.add(x as u64, *y as u64);
            }
        }
    }
    runs.finish()
}

/// Pastes the mask grid of a box into an image and thresholds it, as in `paste_masks_in_image`.
///
/// The grid is padded with zeros and the box enlarged accordingly. The box corners are truncated to whole pixels, and the grid is
/// resized to the box bilinearly. `corners` are in pixels of the image.
///
/// # Errors
/// An image without pixels.
pub fn paste_mask(grid: &MaskGrid, corners: [f32; 4], width: u32, height: u32) -> Result<Rle> {
    let side = grid.side + 2 * PADDING;
    let mut framed = vec![0f32; side * side];
    for (row, values) in grid.probabilities.chunks_exact(grid.side.max(1)).enumerate() {
        let start = (row + PADDING) * side + PADDING;
        framed[start..start + grid.side].copy_from_slice(values);
    }
    let [x1, y1, x2, y2] = expand(corners, side as f64 / grid.side as f64).map(|c| c as i64);
    let (w, h) = ((x2 - x1 + 1).max(1), (y2 - y1 + 1).max(1));
    let (columns, rows) = (bilinear_taps(side, w as usize), bilinear_taps(side, h as usize));
    let clip = |low: i64, high: i64, end: u32| low.max(0)..(high + 1).min(i64::from(end));
    let (xs, ys) = (clip(x1, x2, width), clip(y1, y2, height));
    let mut runs = Runs::new(width, height);
    for x in xs {
        let tap_x = columns[(x - x1) as usize];
        for y in ys.clone() {
            let tap_y = rows[(y - y1) as usize];
            let row = |i: usize| tap_x.blend(framed[i * side + tap_x.low], framed[i * side + tap_x.high]);
            if tap_y.blend(row(tap_y.low), row(tap_y.high)) > MASK_THRESHOLD {
                runs.add(x as u64, y as u64);
            }
        }
    }
    runs.finish()
}

/// Scales a box about its centre, in f32 as in torch.
fn expand([x1, y1, x2, y2]: [f32; 4], scale: f64) -> [f32; 4] {
    let scale = scale as f32;
    let (w, h) = ((x2 - x1) * 0.5 * scale, (y2 - y1) * 0.5 * scale);
    let (x, y) = ((x2 + x1) * 0.5, (y2 + y1) * 0.5);
    [x - w, y - h, x + w, y + h]
}

/// Builds run lengths from mask pixels in column order, with memory proportional to the mask, not to the image.
struct Runs {
    width: u32,
    height: u32,
    /// Lengths of alternating background and mask runs, as in [`Rle`].
    counts: Vec<u32>,
    /// The pixel after the last run.
    end: u64,
}

impl Runs {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, counts: Vec::new(), end: 0 }
    }

    fn add(&mut self, x: u64, y: u64) {
        let at = x * u64::from(self.height) + y;
        match self.counts.last_mut() {
            Some(run) if at == self.end => *run += 1,
            _ => self.counts.extend([(at - self.end) as u32, 1]),
        }
        self.end = at + 1;
    }

    fn finish(mut self) -> Result<Rle> {
        let pixels = u64::from(self.width) * u64::from(self.height);
        if self.end < pixels {
            self.counts.push((pixels - self.end) as u32);
        }
        Rle::from_counts(self.width, self.height, self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_grid_fills_its_box() {
        let grid = MaskGrid { side: 28, probabilities: vec![1.0; 28 * 28] };
        let mask = paste_mask(&grid, [10.0, 20.0, 38.0, 76.0], 100, 90).unwrap();
        let area = mask.area();
        let expected = 28 * 56;
        assert!(area.abs_diff(expected) < 120, "{area} of {expected}");
    }

    #[test]
    fn a_box_that_extends_outside_is_cropped() {
        let grid = MaskGrid { side: 14, probabilities: vec![1.0; 14 * 14] };
        let mask = paste_mask(&grid, [0.0, 0.0, 50.0, 40.0], 50, 40).unwrap();
        // torchvision truncates the enlarged corner (−3.57, −2.86) to (−3, −2), which leaves the first row and column below ½.
        assert_eq!(mask.area(), 49 * 39);
    }

    #[test]
    fn a_mask_in_its_box_fades_at_the_edges() {
        // Of 0.6 at a corner of 4 pixels for each value, a sample ⅜ of a value outside counts ⅝² of it.
        let grid = MaskGrid { side: 2, probabilities: vec![0.6, 0.6, 0.0, 0.6] };
        let mask = paste_mask_by(MaskRule::Box, &grid, [10.0, 20.0, 18.0, 28.0], 100, 90).unwrap();
        let padded = paste_mask_by(MaskRule::Padded, &grid, [10.0, 20.0, 18.0, 28.0], 100, 90).unwrap();
        assert!(mask.area() > 0 && mask.area() < 24, "{}", mask.area());
        assert_ne!(mask, padded);
        let full = MaskGrid { side: 2, probabilities: vec![0.6; 4] };
        let mask = paste_mask_by(MaskRule::Box, &full, [10.0, 20.0, 18.0, 28.0], 100, 90).unwrap();
        assert_eq!(mask.area(), 64, "no value is below the least of the grid");
    }

    #[test]
    fn an_empty_mask_is_one_run() {
        let grid = MaskGrid { side: 2, probabilities: vec![0.0; 4] };
        assert_eq!(paste_mask(&grid, [1.0, 1.0, 4.0, 4.0], 8, 8).unwrap().counts(), [64]);
    }
}
