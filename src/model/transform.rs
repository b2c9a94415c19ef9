//! From a merged image to the network's input and back (torchvision's `transform.py`).
//!
//! The image is normalised, resized (bilinear, half-pixel centres, no antialiasing) and padded with zeros on the right and at the
//! bottom to a multiple of 32, in this order. This runs on the host, where the image is anyway.

use burn::tensor::{Device, Tensor, TensorData};

use super::config::{DetectorConfig, SIZE_DIVISIBLE};
use crate::channels::MergedImage;
use crate::error::{Error, Result};
use crate::limits;

/// A preprocessed image.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkInput {
    /// `[height, width, 3]` of the padded input, normalised.
    pub values: Vec<f32>,
    /// Height and width including padding, multiples of 32.
    pub padded: [usize; 2],
    /// Height and width of the resized image in the upper left corner.
    pub size: [usize; 2],
    /// Height and width of the original image.
    pub original: [usize; 2],
}

impl NetworkInput {
    /// `GeneralizedRCNNTransform` of one image.
    ///
    /// # Errors
    /// An empty image, or one so narrow that its resized short side has no pixel.
    pub fn new(merged_image: &MergedImage, config: &DetectorConfig) -> Result<Self> {
        let original = [merged_image.height as usize, merged_image.width as usize];
        if merged_image.rgb.len() != original[0] * original[1] * 3 {
            return Err(Error::image("image", "the number of pixels does not match its width and height"));
        }
        let size = config.input_size(original)?;
        let window = config.intensity.window(merged_image);
        let padded = size.map(|n| n.next_multiple_of(SIZE_DIVISIBLE));
        let mut values = vec![0f32; padded[0] * padded[1] * 3];
        let (rows, columns) = (bilinear_taps(original[0], size[0]), bilinear_taps(original[1], size[1]));
        let pixel = |y: usize, x: usize, c: usize| {
            let value = window.apply(merged_image.rgb[(y * original[1] + x) * 3 + c]);
            (value - config.image_mean[c]) / config.image_std[c]
        };
        for (y, row) in rows.iter().enumerate() {
            for (x, column) in columns.iter().enumerate() {
                for c in 0..3 {
                    let line = |y: usize| column.blend(pixel(y, column.low, c), pixel(y, column.high, c));
                    values[(y * padded[1] + x) * 3 + c] = row.blend(line(row.low), line(row.high));
                }
            }
        }
        Ok(Self { values, padded, size, original })
    }

    /// `[1, H, W, 3]` on a device.
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let shape = [1, self.padded[0], self.padded[1], 3];
        Tensor::from_data(TensorData::new(self.values.clone(), shape), device)
    }

    /// Converts a box of the network's input to pixels of the original image (`resize_boxes`).
    pub fn to_original(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let ratio = |axis: usize| self.original[axis] as f32 / self.size[axis] as f32;
        let (h, w) = (ratio(0), ratio(1));
        [x1 * w, y1 * h, x2 * w, y2 * h]
    }

    /// Converts a box of the original image to pixels of the network's input.
    pub fn to_network(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let ratio = |axis: usize| self.size[axis] as f32 / self.original[axis] as f32;
        let (h, w) = (ratio(0), ratio(1));
        [x1 * w, y1 * h, x2 * w, y2 * h]
    }
}

/// Height and width after resizing: the short side becomes `min_size`, unless the long side would exceed `max_size`. Computed in
/// f64 and rounded down, as in `interpolate(recompute_scale_factor=True)`.
pub fn resized([height, width]: [usize; 2], min_size: u32, max_size: u32) -> Result<[usize; 2]> {
    let (short, long) = (height.min(width) as f64, height.max(width) as f64);
    if short == 0.0 {
        return Err(Error::image("image", "it has no pixels"));
    }
    let scale = (f64::from(min_size) / short).min(f64::from(max_size) / long);
    let size = [height, width].map(|n| (n as f64 * scale).floor() as usize);
    if size.contains(&0) {
        let reason = format!("{width} × {height} pixels is too narrow for a detector that resizes to {max_size}");
        return Err(Error::image("image", reason));
    }
    let longest = size[0].max(size[1]) as u64;
    limits::check("image", "its longer side after resizing", longest, u64::from(limits::NETWORK_SIDE))?;
    Ok(size)
}

/// Two neighbouring pixels along an axis and the weight of the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tap {
    pub low: usize,
    pub high: usize,
    weight: f32,
}

impl Tap {
    pub fn blend(&self, low: f32, high: f32) -> f32 {
        (1.0 - self.weight) * low + self.weight * high
    }
}

/// The source pixels of each of `output` pixels along an axis of `input` pixels: torch's bilinear interpolation with
/// `align_corners=False` (`area_pixel_compute_source_index`), in f32.
pub fn bilinear_taps(input: usize, output: usize) -> Vec<Tap> {
    let scale = input as f32 / output as f32;
    (0..output)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let low = (at as usize).min(input.saturating_sub(1));
            Tap { low, high: (low + 1).min(input.saturating_sub(1)), weight: (at - low as f32).clamp(0.0, 1.0) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_torchvisions() {
        assert_eq!(resized([512, 512], 512, 512).unwrap(), [512, 512]);
        assert_eq!(resized([480, 640], 800, 1333).unwrap(), [800, 1066]);
        assert_eq!(resized([300, 1000], 800, 1333).unwrap(), [399, 1333]);
        assert!(resized([1, 8192], 512, 512).is_err());
        assert!(resized([0, 8], 512, 512).is_err());
    }

    #[test]
    fn zero_padding_is_on_the_right_and_at_the_bottom() {
        let config = DetectorConfig { min_size: 40, max_size: 64, ..DetectorConfig::default() };
        let merged_image = MergedImage { width: 50, height: 40, rgb: vec![1.0; 50 * 40 * 3] };
        let input = NetworkInput::new(&merged_image, &config).unwrap();
        assert_eq!((input.padded, input.size), ([64, 64], [40, 50]));
        let at = |y: usize, x: usize| input.values[(y * 64 + x) * 3];
        assert!((at(39, 49) - (1.0 - 0.485) / 0.229).abs() < 1e-5);
        assert_eq!((at(40, 0), at(0, 50)), (0.0, 0.0));
    }

    #[test]
    fn boxes_survive_the_round_trip() {
        let input = NetworkInput { values: vec![], padded: [32, 64], size: [30, 60], original: [15, 20] };
        let corners = [1.0, 2.0, 10.0, 9.0];
        assert_eq!(input.to_network(corners), [3.0, 4.0, 30.0, 18.0]);
        assert_eq!(input.to_original(input.to_network(corners)), corners);
    }

    #[test]
    fn taps_of_equal_size_are_the_identity() {
        for (i, tap) in bilinear_taps(7, 7).into_iter().enumerate() {
            assert_eq!((tap.low, tap.weight), (i, 0.0));
        }
    }
}
