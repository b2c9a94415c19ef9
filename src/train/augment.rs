//! From an example to a sample: resize, crop, flips, quarter turns, brightness, in one pass over the pixels.
//!
//! Without any chance in it ([`Augment::none`]) the result is what [`crate::model::transform`] makes of the image.

use serde::{Deserialize, Serialize};

use super::rng::TrainRng;
use super::truth::{Example, Patch, Sample, Truth};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::DetectorConfig;
use crate::model::transform::bilinear_taps;

/// What may happen to an image on its way into a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirrored left to right in half of the cases; a microscope has no preferred side.
    pub flip_x: bool,
    /// Mirrored top to bottom in half of the cases.
    pub flip_y: bool,
    /// Turned by 0, 90, 180 or 270 degrees.
    pub quarter_turns: bool,
    /// Each of red, green and blue is multiplied by up to this much more or less (0.2: from 0.8 to 1.2).
    pub brightness: f32,
    /// The image is resized by a further factor from this range.
    pub scale: [f32; 2],
    /// A square of this side, in pixels of the network's input, is cut out at random.
    pub crop: Option<u32>,
    /// Objects of which a crop leaves less than this share of the area are not learnt; what is left of them is not background
    /// either.
    pub least_area: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            flip_x: true,
            flip_y: true,
            quarter_turns: true,
            brightness: 0.2,
            scale: [0.8, 1.25],
            crop: None,
            least_area: 0.3,
        }
    }
}

/// What was drawn for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Draw {
    flip_x: bool,
    flip_y: bool,
    /// Rows and columns change places; with the flips this makes all eight positions of a square.
    transpose: bool,
    gain: [f32; 3],
}

impl Augment {
    /// The image as it is.
    pub fn none() -> Self {
        Self {
            flip_x: false,
            flip_y: false,
            quarter_turns: false,
            brightness: 0.0,
            scale: [1.0, 1.0],
            crop: None,
            least_area: 0.0,
        }
    }

    /// # Errors
    /// Ranges that make no sense.
    pub fn validate(&self) -> Result<()> {
        let [low, high] = self.scale;
        if !(low.is_finite() && high.is_finite() && 0.1 <= low && low <= high && high <= 10.0) {
            return Err(Error::Config(format!("scale is {low} to {high}; it must rise and lie between 0.1 and 10")));
        }
        if !(0.0..=0.9).contains(&self.brightness) || !(0.0..=1.0).contains(&self.least_area) {
            return Err(Error::Config("brightness must be from 0 to 0.9, least_area from 0 to 1".into()));
        }
        Ok(())
    }

    /// One sample of an example.
    ///
    /// # Errors
    /// An image that cannot be resized.
    pub fn apply(&self, example: &Example, config: &DetectorConfig, rng: &mut TrainRng) -> Result<Sample> {
        let merged_image = &example.merged_image;
        let original = [merged_image.height as usize, merged_image.width as usize];
        if original.contains(&0) || merged_image.rgb.len() != original[0] * original[1] * 3 {
            return Err(Error::image(&example.name, "its pixels do not fit its width and height"));
        }
        let plain = config.knowing(example.objects.iter().map(|o| o.corners)).input_size(original)?;
        let intensity = config.intensity.window(merged_image);
        let factor = rng.range(self.scale[0], self.scale[1]);
        let cap = limits::NETWORK_SIDE as usize;
        let size = plain.map(|n| if factor == 1.0 { n } else { ((n as f32 * factor).round() as usize).clamp(1, cap) });
        // A window of the resized image.
        let window = size.map(|n| self.crop.map_or(n, |crop| n.min(crop as usize)));
        let offset = [0, 1].map(|axis| rng.below(size[axis] - window[axis] + 1));
        let draw = self.draw(rng);
        let out = if draw.transpose { [window[1], window[0]] } else { window };
        let place = |y: usize, x: usize| {
            let (y, x) = if draw.transpose { (x, y) } else { (y, x) };
            let y = if draw.flip_y { window[0] - 1 - y } else { y };
            (y, if draw.flip_x { window[1] - 1 - x } else { x })
        };

        let (rows, columns) = (bilinear_taps(original[0], size[0]), bilinear_taps(original[1], size[1]));
        let mut values = Vec::with_capacity(out[0] * out[1] * 3);
        for y in 0..out[0] {
            for x in 0..out[1] {
                let (v, u) = place(y, x);
                let (row, column) = (&rows[v + offset[0]], &columns[u + offset[1]]);
                for c in 0..3 {
                    let at = |y: usize, x: usize| intensity.apply(merged_image.rgb[(y * original[1] + x) * 3 + c]);
                    let line = |y: usize| column.blend(at(y, column.low), at(y, column.high));
                    let value = (row.blend(line(row.low), line(row.high)) * draw.gain[c]).min(1.0);
                    values.push((value - config.image_mean[c]) / config.image_std[c]);
                }
            }
        }
        let geometry = Geometry { original, size, offset, window, out, draw };
        let (mut objects, mut ignored) = (Vec::new(), Vec::new());
        for object in &example.objects {
            let Some((corners, is_remnant)) = geometry.corners(object.corners, self.least_area) else { continue };
            if is_remnant {
                ignored.push(corners);
                continue;
            }
            let mask = object.mask.as_ref().map(|mask| geometry.patch(mask, corners, &place));
            objects.push(Truth { corners, class: object.class, mask, difficult: object.difficult });
        }
        let regions = example.ignored.iter().filter_map(|region| geometry.corners(region.bbox.corners(), 0.0));
        ignored.extend(regions.map(|(corners, _)| corners));
        let (name, incomplete) = (example.name.clone(), example.incomplete);
        Ok(Sample { name, values, size: out, objects, ignored, incomplete })
    }

    fn draw(&self, rng: &mut TrainRng) -> Draw {
        // Every draw is made whatever the settings are, so that a setting does not shift the others' chance.
        let (flip_x, flip_y, turn) = (rng.chance(0.5), rng.chance(0.5), rng.below(4));
        let gain = [(); 3].map(|()| 1.0 + rng.range(-self.brightness, self.brightness));
        // A turn by 90° is a transposition and one flip, by 180° both flips, by 270° a transposition and the other flip.
        let turn = if self.quarter_turns { turn } else { 0 };
        Draw {
            flip_x: (self.flip_x && flip_x) ^ (turn == 2 || turn == 3),
            flip_y: (self.flip_y && flip_y) ^ (turn == 1 || turn == 2),
            transpose: turn % 2 == 1,
            gain,
        }
    }
}

/// Where pixels of the image go.
struct Geometry {
    original: [usize; 2],
    size: [usize; 2],
    offset: [usize; 2],
    window: [usize; 2],
    out: [usize; 2],
    draw: Draw,
}

impl Geometry {
    /// A box in pixels of the sample, and whether the crop left less than this share of it; `None` where it left less than a
    /// pixel.
    fn corners(&self, corners: [f32; 4], least: f32) -> Option<([f32; 4], bool)> {
        let ratio = [0, 1].map(|axis| self.size[axis] as f32 / self.original[axis] as f32);
        let [x1, y1, x2, y2] = corners;
        let whole = [x1 * ratio[1], y1 * ratio[0], x2 * ratio[1], y2 * ratio[0]];
        let (dx, dy) = (self.offset[1] as f32, self.offset[0] as f32);
        let moved = [whole[0] - dx, whole[1] - dy, whole[2] - dx, whole[3] - dy];
        let (height, width) = (self.window[0] as f32, self.window[1] as f32);
        let cut = crate::boxes::clip(moved, width, height);
        if !(cut[2] - cut[0] >= 1.0 && cut[3] - cut[1] >= 1.0) {
            return None;
        }
        let is_remnant = crate::boxes::area(cut) < least * crate::boxes::area(moved);
        let mut corners = cut;
        if self.draw.flip_x {
            (corners[0], corners[2]) = (width - corners[2], width - corners[0]);
        }
        if self.draw.flip_y {
            (corners[1], corners[3]) = (height - corners[3], height - corners[1]);
        }
        if self.draw.transpose {
            corners = [corners[1], corners[0], corners[3], corners[2]];
        }
        Some((corners, is_remnant))
    }

    /// A mask in pixels of the sample: the nearest pixel as torch's `nearest` finds it. A mask may reach a pixel over its
    /// box.
    fn patch(&self, mask: &Patch, corners: [f32; 4], place: &impl Fn(usize, usize) -> (usize, usize)) -> Patch {
        let low = |v: f32| (v.floor() - 1.0).max(0.0) as usize;
        let high = |v: f32, end: usize| ((v.ceil() + 1.0).max(0.0) as usize).min(end);
        let (x, y) = (low(corners[0]), low(corners[1]));
        let (width, height) = (high(corners[2], self.out[1]) - x, high(corners[3], self.out[0]) - y);
        let source = |axis: usize, at: usize| {
            let scale = self.original[axis] as f32 / self.size[axis] as f32;
            (((at + self.offset[axis]) as f32 * scale) as usize).min(self.original[axis] - 1)
        };
        let mut bits = Vec::with_capacity(width * height);
        for row in y..y + height {
            for column in x..x + width {
                let (v, u) = place(row, column);
                bits.push(mask.at(source(1, u), source(0, v)));
            }
        }
        Patch { x, y, width, height, bits }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::annotations::{IgnoredReason, IgnoredRegion};
    use crate::boxes::BoxXyxy;
    use crate::channels::MergedImage;

    fn config(size: u32) -> DetectorConfig {
        DetectorConfig { min_size: size, max_size: size, ..DetectorConfig::default() }
    }

    /// An image of zeros with bright rectangles, which are the objects.
    fn example(width: u32, height: u32, boxes: &[[usize; 4]]) -> Example {
        let mut rgb = vec![0f32; (width * height * 3) as usize];
        let mut objects = Vec::new();
        for &[x1, y1, x2, y2] in boxes {
            for y in y1..y2 {
                for x in x1..x2 {
                    rgb[(y * width as usize + x) * 3..][..3].fill(1.0);
                }
            }
            let corners = [x1, y1, x2, y2].map(|v| v as f32);
            objects.push(Truth { corners, class: 1, mask: Some(Patch::filled(corners)), difficult: false });
        }
        Example {
            name: "a".into(),
            merged_image: MergedImage { width, height, rgb },
            objects,
            ignored: Vec::new(),
            incomplete: false,
        }
    }

    #[test]
    fn without_augmentation_it_is_the_transform() {
        let mut merged_image = example(50, 40, &[[5, 6, 20, 30]]);
        let mut rng = TrainRng::new(1);
        merged_image.merged_image.rgb.iter_mut().for_each(|v| *v = rng.unit());
        let config = config(64);
        let sample = Augment::none().apply(&merged_image, &config, &mut rng).unwrap();
        let input = crate::model::transform::NetworkInput::new(&merged_image.merged_image, &config).unwrap();
        assert_eq!(sample.size, input.size);
        for y in 0..sample.size[0] {
            for i in 0..sample.size[1] * 3 {
                let (a, b) = (sample.values[y * sample.size[1] * 3 + i], input.values[y * input.padded[1] * 3 + i]);
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
        assert_eq!(sample.objects[0].corners, input.to_network(merged_image.objects[0].corners));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Pixels, box and mask move together: what is bright is what the mask and the box hold.
        #[test]
        fn pixels_boxes_and_masks_move_together(seed in 0u64..10_000, crop in prop::option::of(Just(64u32))) {
            let mut example = example(90, 120, &[[10, 20, 50, 44]]);
            let bbox = BoxXyxy::try_from(example.objects[0].corners).unwrap();
            example.ignored = vec![IgnoredRegion { bbox, label: None, reason: IgnoredReason::Crowd }];
            let augment = Augment { crop, scale: [1.0, 1.0], brightness: 0.0, ..Augment::default() };
            // The short side stays 90: no interpolation, so that the comparison is exact.
            let config = DetectorConfig { min_size: 90, max_size: 120, ..DetectorConfig::default() };
            let sample = augment.apply(&example, &config, &mut TrainRng::new(seed)).unwrap();
            let Some(object) = sample.objects.first() else { return Ok(()) };
            prop_assert_eq!(&sample.ignored, &[object.corners], "an ignored region where the object is");
            let [x1, y1, x2, y2] = object.corners;
            let mask = object.mask.as_ref().unwrap();
            for y in 0..sample.size[0] {
                for x in 0..sample.size[1] {
                    let bright = sample.values[(y * sample.size[1] + x) * 3] > 0.0;
                    let (cx, cy) = (x as f32 + 0.5, y as f32 + 0.5);
                    let inside = x1 < cx && cx < x2 && y1 < cy && cy < y2;
                    prop_assert_eq!(bright, inside, "box at {} {}", x, y);
                    prop_assert_eq!(bright, mask.at(x, y), "mask at {} {}", x, y);
                }
            }
        }
    }

    #[test]
    fn crop_remnants_of_objects_are_targets_or_ignored() {
        let example = example(256, 256, &[[100, 100, 140, 140]]);
        let augment = Augment { crop: Some(64), scale: [1.0, 1.0], ..Augment::default() };
        let (mut seen, mut remnants) = (0, 0);
        for seed in 0..400 {
            let sample = augment.apply(&example, &config(256), &mut TrainRng::new(seed)).unwrap();
            // The image is bright where the object is.
            let bright = sample.values.chunks_exact(3).filter(|v| v[0] > 0.0).count() as f32;
            match (sample.objects.first(), sample.ignored.first()) {
                (Some(o), None) => {
                    assert!(crate::boxes::area(o.corners) >= 0.3 * 1600.0);
                    seen += 1;
                }
                (None, Some(remnant)) => {
                    assert_eq!(crate::boxes::area(*remnant), bright);
                    assert!(bright < 0.3 * 1600.0);
                    remnants += 1;
                }
                (None, None) => assert_eq!(bright, 0.0),
                both => panic!("{both:?}"),
            }
        }
        assert!(seen > 20 && remnants > 10, "{seen} {remnants}");
    }

    #[test]
    fn the_same_seed_gives_the_same_sample() {
        let example = example(80, 80, &[[10, 10, 40, 30]]);
        let augment = Augment { crop: Some(64), ..Augment::default() };
        let make = |seed| augment.apply(&example, &config(96), &mut TrainRng::new(seed)).unwrap();
        assert_eq!(make(3), make(3));
        assert_ne!(make(3), make(4));
    }
}
