//! How bright an image counts for a detector: its samples as they are, or stretched between two percentiles.

use serde::{Deserialize, Serialize};

use crate::channels::MergedImage;

/// What becomes 0 and 1 before mean and deviation are taken off.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intensity {
    /// The range of the file's samples, or of the camera's bits, as [`crate::channels`] merged them.
    #[default]
    Full,
    /// Of each image the lowest `low` and the highest `high` percentile (0–100) of red, green and blue, one window for all
    /// three, so that colours stay what they are and an empty channel stays empty.
    Percentiles {
        /// Becomes 0.
        low: f32,
        /// Becomes 1.
        high: f32,
    },
}

/// Pixels of which percentiles are counted: evenly spread ones say as much as all.
const COUNTED: usize = 1 << 17;
/// The least width of a window: below it an image is flat, and would be stretched to noise.
const LEAST_WIDTH: f32 = 1e-4;

impl Intensity {
    /// Cellpose's percentiles, slightly narrower above: what a fluorescence image is stretched between in this field.
    pub const USUAL: Self = Self::Percentiles { low: 1.0, high: 99.8 };

    /// The window of an image.
    pub fn window(self, image: &MergedImage) -> Window {
        let Self::Percentiles { low, high } = self else { return Window::WHOLE };
        let pixels = image.rgb.as_chunks::<3>().0;
        let step = pixels.len().div_ceil(COUNTED).max(1);
        let mut window = Window { low: f32::INFINITY, high: f32::NEG_INFINITY };
        for channel in 0..3 {
            let mut values: Vec<f32> = pixels.iter().step_by(step).map(|pixel| pixel[channel]).collect();
            window.low = window.low.min(percentile(&mut values, low));
            window.high = window.high.max(percentile(&mut values, high));
        }
        if window.low.is_finite() && window.high - window.low >= LEAST_WIDTH { window } else { Window::WHOLE }
    }
}

/// The nearest rank; NaN of nothing.
fn percentile(values: &mut [f32], percent: f32) -> f32 {
    if values.is_empty() {
        return f32::NAN;
    }
    let rank = (f64::from(percent) / 100.0 * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

/// What becomes 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub low: f32,
    pub high: f32,
}

impl Window {
    /// Leaves every value as it is.
    pub const WHOLE: Self = Self { low: 0.0, high: 1.0 };

    /// A value of the merged image as the network takes it, before mean and deviation.
    pub fn apply(self, value: f32) -> f32 {
        // The whole range is torchvision's way, to the last bit.
        if self == Self::WHOLE { value } else { ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(rgb: Vec<f32>) -> MergedImage {
        MergedImage { width: (rgb.len() / 3) as u32, height: 1, rgb }
    }

    #[test]
    fn a_dim_image_is_stretched_with_one_window_for_all_colours() {
        // Blue from 0.01 to 0.02, green a tenth of it, red empty.
        let ramp = (0..1000).flat_map(|i| [0.0, 0.001 + i as f32 * 1e-6, 0.01 + i as f32 * 1e-5]);
        let window = Intensity::Percentiles { low: 1.0, high: 99.0 }.window(&image(ramp.collect()));
        assert_eq!(window.low, 0.0);
        assert!((window.high - 0.0199).abs() < 1e-5, "{window:?}");
        assert_eq!((window.apply(-1.0), window.apply(0.5)), (0.0, 1.0));
        assert!((window.apply(0.01) - 0.5025).abs() < 1e-3);
    }

    #[test]
    fn hot_pixels_do_not_darken_an_image() {
        let mut rgb: Vec<f32> = (0..3000).map(|i| if i % 30 < 15 { 0.1 } else { 0.2 }).collect();
        rgb[600..603].fill(1.0);
        assert_eq!(Intensity::USUAL.window(&image(rgb)), Window { low: 0.1, high: 0.2 });
    }

    #[test]
    fn flat_and_empty_images_and_the_full_range_stay_as_they_are() {
        for rgb in [vec![], vec![0.0; 30], vec![0.7; 30]] {
            assert_eq!(Intensity::USUAL.window(&image(rgb)), Window::WHOLE);
        }
        let window = Intensity::Full.window(&image(vec![0.2, 0.3, 0.4]));
        assert_eq!(window.apply(0.123_456_7).to_bits(), 0.123_456_7_f32.to_bits());
    }
}
