//! From a merged image to the network's input and back (torchvision's `transform.py`).
//!
//! The image is normalised, resized (bilinear, half-pixel centres, no antialiasing) and padded with zeros on the right and at the
//! bottom to a multiple of 32, in this order. This runs on the host, where the image is anyway.
//!
//! matterport's way ([`Resize`]) is resizing bytes, padding all round, normalising.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::{DetectorConfig, Resize, SIZE_DIVISIBLE};
use super::intensity::Window;
use super::resample::EdgeTap;
use crate::boxes::Corners;
use crate::channels::MergedImage;
use crate::error::{Error, Result};
use crate::limits;

/// matterport's inputs are multiples of this, the stride of the topmost level of the pyramid.
const MATTERPORT_DIVISIBLE: usize = 64;

/// A preprocessed image.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkInput {
    /// `[height, width, 3]` of the padded input, normalised.
    pub values: Vec<f32>,
    /// Height and width including padding, multiples of 32.
    pub padded: [usize; 2],
    /// Height and width of the resized image …
    pub size: [usize; 2],
    /// … and the row and column at which it begins in the padded input.
    pub inset: [usize; 2],
    /// Height and width of the original image.
    pub original: [usize; 2],
    /// Row and column of the whole resized image at which this input begins: it may be a part of it.
    pub origin: [usize; 2],
    /// Height and width of the whole resized image.
    pub whole: [usize; 2],
    pub resize: Resize,
    pub corners: Corners,
}

/// A part of an image as it enters the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Height and width of the original image.
    pub original: [usize; 2],
    /// Height and width of the whole resized image.
    pub whole: [usize; 2],
    /// The part of it: rows and columns.
    pub seen: [Range<usize>; 2],
}

impl Part {
    /// All of an image.
    pub fn all(original: [usize; 2], whole: [usize; 2]) -> Self {
        Self { original, whole, seen: whole.map(|side| 0..side) }
    }

    /// Rows and columns of the original that are needed for it.
    pub fn needed(&self) -> [Range<usize>; 2] {
        [0, 1].map(|axis| {
            let taps = self.taps(axis);
            taps.first().map_or(0, |tap| tap.low)..taps.last().map_or(0, |tap| tap.high + 1)
        })
    }

    fn taps(&self, axis: usize) -> Vec<Tap> {
        bilinear_taps_of(self.original[axis], self.whole[axis], self.seen[axis].clone())
    }
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
        let part = Part::all(original, config.input_size(original)?);
        Self::part(merged_image, [0, 0], &part, config, config.intensity.window(merged_image))
    }

    /// The input for a part of an image: the same values as in that place of the whole one. `pixels` begin at row and column
    /// `at` of the image.
    ///
    /// # Errors
    /// As [`Self::unpadded`].
    pub fn part(
        pixels: &MergedImage,
        at: [usize; 2],
        part: &Part,
        config: &DetectorConfig,
        window: Window,
    ) -> Result<Self> {
        Ok(Self::unpadded(pixels, at, part, config, window)?.pad(config))
    }

    /// [`Self::part`] before it is padded.
    ///
    /// # Errors
    /// Not all pixels of [`Part::needed`].
    pub fn unpadded(
        pixels: &MergedImage,
        at: [usize; 2],
        part: &Part,
        config: &DetectorConfig,
        window: Window,
    ) -> Result<Self> {
        let (height, width) = (pixels.height as usize, pixels.width as usize);
        let has =
            |axis: usize, needed: &Range<usize>, side: usize| at[axis] <= needed.start && needed.end <= at[axis] + side;
        let [rows, columns] = part.needed();
        if pixels.rgb.len() != height * width * 3 || !has(0, &rows, height) || !has(1, &columns, width) {
            return Err(Error::image("image", "the number of pixels does not match its width and height"));
        }
        let size = [part.seen[0].len(), part.seen[1].len()];
        let values = match config.resize {
            Resize::Torchvision => Self::normalised_then_resized(pixels, at, part, config, window),
            Resize::Square | Resize::Pad64 => Self::resized_as_bytes(pixels, at, part, config, window),
        };
        let origin = [part.seen[0].start, part.seen[1].start];
        let (original, whole, inset) = (part.original, part.whole, [0, 0]);
        let (resize, corners) = (config.resize, config.corners);
        Ok(Self { values, padded: size, size, inset, original, origin, whole, resize, corners })
    }

    fn normalised_then_resized(
        pixels: &MergedImage,
        at: [usize; 2],
        part: &Part,
        config: &DetectorConfig,
        window: Window,
    ) -> Vec<f32> {
        let width = pixels.width as usize;
        let (rows, columns) = (part.taps(0), part.taps(1));
        let mut values = Vec::with_capacity(rows.len() * columns.len() * 3);
        let pixel = |y: usize, x: usize, c: usize| {
            let value = window.apply(pixels.rgb[((y - at[0]) * width + x - at[1]) * 3 + c]);
            (value - config.image_mean[c]) / config.image_std[c]
        };
        for row in &rows {
            for column in &columns {
                for c in 0..3 {
                    let line = |y: usize| column.blend(pixel(y, column.low, c), pixel(y, column.high, c));
                    values.push(row.blend(line(row.low), line(row.high)));
                }
            }
        }
        values
    }

    /// As scikit-image resizes 8-bit images, whose values it cuts to bytes again. The range that they may have is that of
    /// `pixels`; it matters in the outermost rows and columns alone.
    fn resized_as_bytes(
        pixels: &MergedImage,
        at: [usize; 2],
        part: &Part,
        config: &DetectorConfig,
        window: Window,
    ) -> Vec<f32> {
        let (height, width) = (pixels.height as usize, pixels.width as usize);
        let bytes: Vec<u8> = pixels.rgb.iter().map(|v| (window.apply(*v) * 255.0).round() as u8).collect();
        let (least, most) = (bytes.iter().min().copied().unwrap_or(0), bytes.iter().max().copied().unwrap_or(0));
        let taps = |axis: usize| {
            let tap = |i| EdgeTap::new(part.original[axis], part.whole[axis], i);
            part.seen[axis].clone().map(tap).collect::<Vec<_>>()
        };
        let (rows, columns) = (taps(0), taps(1));
        let mut values = Vec::with_capacity(rows.len() * columns.len() * 3);
        for row in &rows {
            for column in &columns {
                for c in 0..3 {
                    let value = EdgeTap::blend(row, column, |y, x| {
                        // What is needed was found in f32, which may be off by a pixel of no weight.
                        let (y, x) = (y.saturating_sub(at[0]).min(height - 1), x.saturating_sub(at[1]).min(width - 1));
                        f64::from(bytes[(y * width + x) * 3 + c])
                    });
                    let byte = value.clamp(f64::from(least), f64::from(most)) as u8;
                    values.push((f32::from(byte) / 255.0 - config.image_mean[c]) / config.image_std[c]);
                }
            }
        }
        values
    }

    /// Adds the padding.
    pub fn pad(self, config: &DetectorConfig) -> Self {
        let size = self.size;
        let multiple = |side: usize| side.next_multiple_of(MATTERPORT_DIVISIBLE);
        let padded = match config.resize {
            Resize::Torchvision => size.map(|side| side.next_multiple_of(SIZE_DIVISIBLE)),
            Resize::Square => [multiple(size[0].max(size[1]).max(config.max_size as usize)); 2],
            Resize::Pad64 => size.map(multiple),
        };
        if padded == size {
            return self;
        }
        let (inset, outside) = match config.resize {
            Resize::Torchvision => ([0, 0], [0.0; 3]),
            Resize::Square | Resize::Pad64 => {
                let black = |c: usize| -config.image_mean[c] / config.image_std[c];
                ([0, 1].map(|axis| (padded[axis] - size[axis]) / 2), [0, 1, 2].map(black))
            }
        };
        let mut values = outside.repeat(padded[0] * padded[1]);
        let row = size[1] * 3;
        for (y, line) in self.values.chunks_exact(row.max(1)).enumerate() {
            let start = ((y + inset[0]) * padded[1] + inset[1]) * 3;
            values[start..start + row].copy_from_slice(line);
        }
        Self { values, padded, inset, ..self }
    }

    /// Height and width of what proposals are limited to, from the upper left corner on: the image, or all of matterport's input.
    pub fn canvas(&self) -> [usize; 2] {
        match self.resize {
            Resize::Torchvision => self.size,
            Resize::Square | Resize::Pad64 => self.padded,
        }
    }

    /// A box moved into the image, in pixels of the network's input.
    pub fn clip(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let [y, x] = self.inset.map(|n| n as f32);
        let [height, width] = self.size.map(|n| n as f32);
        let [x1, y1, x2, y2] = self.corners.clip([x1 - x, y1 - y, x2 - x, y2 - y], width, height);
        [x1 + x, y1 + y, x2 + x, y2 + y]
    }

    /// `[1, H, W, 3]` on a device.
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let shape = [1, self.padded[0], self.padded[1], 3];
        Tensor::from_data(TensorData::new(self.values.clone(), shape), device)
    }

    /// Converts a box of the network's input to pixels of the original image (`resize_boxes`), to whole ones where corners are
    /// centres of pixels.
    pub fn to_original(&self, corners: [f32; 4]) -> [f32; 4] {
        let [x1, y1, x2, y2] = self.corners.of_edges(self.to_whole(corners));
        if self.corners == Corners::PixelCentres {
            let ratio = |axis: usize| (self.original[axis] - 1) as f32 / (self.whole[axis].max(2) - 1) as f32;
            let (h, w) = (ratio(0), ratio(1));
            return self.corners.to_edges([x1 * w, y1 * h, x2 * w, y2 * h]).map(f32::round_ties_even);
        }
        let ratio = |axis: usize| self.original[axis] as f32 / self.whole[axis] as f32;
        let (h, w) = (ratio(0), ratio(1));
        [x1 * w, y1 * h, x2 * w, y2 * h]
    }

    /// Converts a box of the network's input to pixels of the whole resized image.
    pub fn to_whole(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let [y, x] = self.offset();
        [x1 + x, y1 + y, x2 + x, y2 + y]
    }

    /// What is added to a row and a column of the network's input for those of the whole resized image.
    fn offset(&self) -> [f32; 2] {
        [0, 1].map(|axis| self.origin[axis] as f32 - self.inset[axis] as f32)
    }

    /// Converts a box of the original image to pixels of the network's input.
    pub fn to_network(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let ratio = |axis: usize| self.whole[axis] as f32 / self.original[axis] as f32;
        let ([y, x], h, w) = (self.offset(), ratio(0), ratio(1));
        [x1 * w - x, y1 * h - y, x2 * w - x, y2 * h - y]
    }
}

/// Height and width after resizing: the short side becomes `min_size`, unless the long side would exceed `max_size`. Computed in
/// f64 and rounded down, as in `interpolate(recompute_scale_factor=True)`.
pub fn resized(original: [usize; 2], min_size: u32, max_size: u32) -> Result<[usize; 2]> {
    let size = resized_for_tiles(original, min_size, max_size)?;
    let longest = size[0].max(size[1]) as u64;
    limits::check("image", "its longer side after resizing", longest, u64::from(limits::NETWORK_SIDE))?;
    Ok(size)
}

/// [`resized`], without the limit of one pass of the network.
pub fn resized_for_tiles([height, width]: [usize; 2], min_size: u32, max_size: u32) -> Result<[usize; 2]> {
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
    bilinear_taps_of(input, output, 0..output)
}

/// [`bilinear_taps`] of some of the output pixels.
fn bilinear_taps_of(input: usize, output: usize, pixels: Range<usize>) -> Vec<Tap> {
    let scale = input as f32 / output as f32;
    pixels
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
        let (padded, size, original) = ([32, 64], [30, 60], [15, 20]);
        let (resize, edges) = (Resize::Torchvision, Corners::Edges);
        let (inset, origin, values) = ([0, 0], [0, 0], vec![]);
        let input = NetworkInput { values, padded, size, inset, original, origin, whole: size, resize, corners: edges };
        let corners = [1.0, 2.0, 10.0, 9.0];
        assert_eq!(input.to_network(corners), [3.0, 4.0, 30.0, 18.0]);
        assert_eq!(input.to_original(input.to_network(corners)), corners);
        let part = NetworkInput { origin: [2, 40], ..input };
        assert_eq!(part.to_network(corners), [-37.0, 2.0, -10.0, 16.0]);
        assert_eq!(part.to_original(part.to_network(corners)), corners);
    }

    #[test]
    fn a_part_has_the_values_of_the_whole_in_its_place() {
        let rgb = (0..70 * 90 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect();
        let merged_image = MergedImage { width: 90, height: 70, rgb };
        for (min_size, max_size) in [(70, 90), (100, 200), (31, 60), (29, 38)] {
            let config = DetectorConfig { min_size, max_size, ..DetectorConfig::default() };
            let all = NetworkInput::new(&merged_image, &config).unwrap();
            let part = Part { original: [70, 90], whole: all.size, seen: [7..29, 3..35] };
            let [rows, columns] = part.needed();
            let row = |y: usize| &merged_image.rgb[(y * 90 + columns.start) * 3..(y * 90 + columns.end) * 3];
            let rgb = rows.clone().flat_map(row).copied().collect();
            let needed = MergedImage { width: columns.len() as u32, height: rows.len() as u32, rgb };
            let at = [rows.start, columns.start];
            let input = NetworkInput::part(&needed, at, &part, &config, Window::WHOLE).unwrap();
            assert_eq!((input.size, input.padded, input.origin), ([22, 32], [32, 32], [7, 3]));
            for (y, x) in [(0, 0), (21, 31), (10, 5)] {
                let place = ((y + 7) * all.padded[1] + x + 3) * 3;
                assert_eq!(input.values[(y * 32 + x) * 3..][..3], all.values[place..][..3], "{max_size} {y} {x}");
            }
            assert_eq!(NetworkInput::part(&merged_image, [0, 0], &part, &config, Window::WHOLE).unwrap(), input);
            assert!(NetworkInput::part(&needed, [rows.start + 1, 0], &part, &config, Window::WHOLE).is_err());
        }
    }

    #[test]
    fn taps_of_equal_size_are_the_identity() {
        for (i, tap) in bilinear_taps(7, 7).into_iter().enumerate() {
            assert_eq!((tap.low, tap.weight), (i, 0.0));
        }
    }
}
