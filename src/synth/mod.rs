//! Synthetic four-channel images of cells with their boxes, masks and labels.
//!
//! They resemble those of the Human Protein Atlas (microtubules red, protein of interest green, nuclei blue, endoplasmic
//! reticulum yellow), so that tests, benchmarks, the tutorial and the page's samples need no third-party images. Check on real
//! images whatever is learnt from them. Every name and file says that they are synthetic.
//!
//! ```text
//!  culture ──► scene ──► structures ──► camera ──► channels
//!  cells       labels    protein        noise
//!                 └────► objects: boxes, masks, labels
//! ```
//!
//! The same options and index give the same pixels on every machine (see `rng`).

mod camera;
mod compartments;
mod culture;
mod field;
mod files;
mod outline;
mod protein;
mod rng;
mod scene;
mod structures;

use std::collections::BTreeMap;

use crate::annotations::Object;
use crate::boxes::BoxXyxy;
use crate::channels::{Channel, ChannelSet, Plane, Samples};
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::Rle;

use camera::{Exposure, record};
use culture::Culture;
use rng::SynthRng;
use scene::Scene;

pub use files::files;
pub use protein::Pattern;

/// The class of cells with bright spots of the protein in the nucleus.
pub const NUCLEOLI: &str = "nucleoli";
/// The class of all other cells.
pub const NOT_NUCLEOLI: &str = "not_nucleoli";

/// A cell cut by the image border is not annotated if less than this fraction of it is visible…
const LEAST_VISIBLE: f32 = 0.25;
/// …or fewer than this many pixels (at [`SynthOptions::cell_size`] 1)…
const LEAST_PIXELS: f32 = 200.0;
/// …or fewer than this many pixels of its nucleus.
const LEAST_NUCLEUS_PIXELS: f32 = 30.0;

/// Options of the generator. [`SynthOptions::default`] resembles the Atlas at 512 × 512 pixels.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SynthOptions {
    /// Width in pixels (512). A larger image shows more cells, not larger ones.
    pub width: u32,
    /// Height in pixels (512).
    pub height: u32,
    /// 16-bit samples over the full range instead of 8-bit (false). The image is the same except for rounding.
    pub sixteen_bit: bool,
    /// Seed of the random number generator (0). Images with the same seed differ by their index.
    pub seed: u64,
    /// Scales every length in a cell, 0.25 to 4 (1). With 2, cells look as in a 1024 × 1024 image of the same field of view.
    pub cell_size: f32,
    /// Scales the confluence, 0.1 to 2 (1, where cells cover about half the image).
    pub crowding: f32,
    /// Probability that an image has a pattern with spots in the nucleus, 0 to 1 (0.5). Some cells of such an image show no
    /// spots, so about a third of all cells have the class [`NUCLEOLI`].
    pub nucleolar: f32,
}

impl Default for SynthOptions {
    fn default() -> Self {
        Self { width: 512, height: 512, sixteen_bit: false, seed: 0, cell_size: 1.0, crowding: 1.0, nucleolar: 0.5 }
    }
}

/// One synthetic image.
#[derive(Debug, Clone)]
pub struct SynthImage {
    /// `synthetic-<seed>-<index>`.
    pub name: String,
    /// Red, green, blue and yellow.
    pub set: ChannelSet,
    /// Boxes fit their masks tightly, and masks do not overlap. In no particular order.
    pub objects: Vec<Object>,
    /// The compartment in the green channel.
    pub pattern: Pattern,
}

impl SynthOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Sides of 0 or above the [`limits`]; factors out of range or NaN.
    pub fn check(&self) -> Result<()> {
        let subject = "synthetic image";
        let (w, h) = (u64::from(self.width), u64::from(self.height));
        if w == 0 || h == 0 {
            return Err(Error::Config(format!(
                "the size of a {subject} is {w} × {h} pixels; both sides must be at least 1"
            )));
        }
        limits::check(subject, "its longer side in pixels", w.max(h), u64::from(limits::IMAGE_SIDE))?;
        limits::check(subject, "its number of pixels", w * h, limits::IMAGE_PIXELS)?;
        let bytes = w * h * 4 * if self.sixteen_bit { 2 } else { 1 };
        limits::check(subject, "its size in bytes", bytes, limits::IMAGE_BYTES)?;
        let range = |name: &str, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::Config(format!("{name} is {value}; for a {subject} it must be between {low} and {high}")))
        };
        range("cell_size", self.cell_size, 0.25, 4.0)?;
        range("crowding", self.crowding, 0.1, 2.0)?;
        range("nucleolar", self.nucleolar, 0.0, 1.0)
    }
}

/// Generates image `index` of the series defined by `options`.
///
/// Needs about 40 bytes of memory per pixel.
///
/// # Errors
/// As [`SynthOptions::check`].
pub fn generate(options: &SynthOptions, index: u32) -> Result<SynthImage> {
    options.check()?;
    let SynthOptions { width, height, seed, cell_size: size, .. } = *options;
    // One stream per part, so that a change to one leaves the others unchanged.
    let rng = |stream| SynthRng::new(seed, index, stream);
    let culture = Culture::grow(width, height, size, options.crowding, limits::OBJECTS, &mut rng(0));
    let scene = Scene::new(culture, width, height, size, &mut rng(1));

    let tubules = structures::microtubules(&scene, size, &mut rng(2));
    let reticulum = structures::reticulum(&scene, size, &mut rng(3));
    let nuclei = structures::nuclei(&scene, size, &mut rng(4));
    let protein = protein::protein(&scene, &tubules, size, options.nucleolar, &mut rng(5));
    let objects = objects(&scene, &protein.spotted, size, width, height)?;

    let exposures = exposures(size, &mut rng(6));
    let full_scale = if options.sixteen_bit { u16::MAX } else { 255 };
    let fields = [
        (Channel::Red, tubules),
        (Channel::Green, protein.field),
        (Channel::Blue, nuclei),
        (Channel::Yellow, reticulum),
    ];
    let mut planes = BTreeMap::new();
    for (stream, ((channel, field), exposure)) in (7..).zip(fields.into_iter().zip(&exposures)) {
        let samples = record(&scene, field, exposure, full_scale, &mut rng(stream));
        let samples = if options.sixteen_bit {
            Samples::U16(samples)
        } else {
            // No sample exceeds `full_scale`.
            Samples::U8(samples.into_iter().map(|v| v as u8).collect())
        };
        planes.insert(channel, Plane { width, height, samples });
    }
    let name = format!("synthetic-{seed}-{index}");
    let set = ChannelSet::new(&name, planes);
    Ok(SynthImage { name, set, objects, pattern: protein.main })
}

/// Settings of the red, green, blue and yellow channel, drawn for each image, since staining varies between images.
fn exposures(size: f32, rng: &mut SynthRng) -> [Exposure; 4] {
    let focus = if rng.chance(0.12) { rng.range(0.8, 1.6) } else { rng.range(0.0, 0.6) };
    let haze = if rng.chance(0.4) { rng.range(0.05, 0.25) } else { rng.range(0.0, 0.05) };
    let mut channel = |quantile, level: [f32; 2], haze_share: f32, photons: [f32; 2]| Exposure {
        quantile,
        level: rng.range(level[0], level[1]),
        blur: focus,
        haze: haze * haze_share,
        haze_radius: 7.0 * size,
        background: if rng.chance(0.15) { rng.range(0.005, 0.06) } else { rng.range(0.0, 0.002) },
        photons: rng.range(photons[0], photons[1]),
    };
    [
        channel(0.99, [0.28, 0.8], 1.0, [40.0, 160.0]),
        channel(0.998, [0.3, 1.0], 0.5, [8.0, 45.0]),
        channel(0.99, [0.4, 0.95], 0.2, [80.0, 300.0]),
        channel(0.99, [0.3, 0.85], 1.0, [30.0, 120.0]),
    ]
}

/// The visible pixels of a cell and of its nucleus.
#[derive(Clone, Copy, Default)]
struct Census {
    cell: u32,
    nucleus: u32,
}

/// The cells that an annotator would box. `spotted` marks those with spots in the nucleus.
fn objects(scene: &Scene, spotted: &[bool], size: f32, width: u32, height: u32) -> Result<Vec<Object>> {
    let mut census = vec![Census::default(); scene.cells.len()];
    let mut corners = vec![[usize::MAX, usize::MAX, 0, 0]; scene.cells.len()];
    for (at, &label) in scene.labels.iter().enumerate().filter(|(_, l)| **l > 0) {
        let k = label as usize - 1;
        if scene.in_frame(at) {
            census[k].cell += 1;
            census[k].nucleus += u32::from(scene.nucleus.data[at] < 0.0);
            let (x, y) = (at % scene.width - scene.margin, at / scene.width - scene.margin);
            let [x1, y1, x2, y2] = corners[k];
            corners[k] = [x1.min(x), y1.min(y), x2.max(x + 1), y2.max(y + 1)];
        }
    }
    let mut objects = Vec::new();
    for (k, (counts, [x1, y1, x2, y2])) in census.into_iter().zip(corners).enumerate() {
        let visible = counts.cell as f32;
        if visible < LEAST_VISIBLE * scene.areas[k] as f32
            || visible < LEAST_PIXELS * size * size
            || (counts.nucleus as f32) < LEAST_NUCLEUS_PIXELS * size * size
        {
            continue;
        }
        let mask = cell_mask(scene, k as u16 + 1, [x1, y1, x2, y2], width, height)?;
        objects.push(Object {
            bbox: BoxXyxy::new([x1 as f32, y1 as f32, x2 as f32, y2 as f32], width, height)?,
            label: if spotted[k] { NUCLEOLI } else { NOT_NUCLEOLI }.to_owned(),
            difficult: false,
            truncated: counts.cell < scene.areas[k],
            mask: Some(mask),
        });
    }
    Ok(objects)
}

/// The visible part of cell `label`. Only its box is scanned, because large images have thousands of cells.
fn cell_mask(scene: &Scene, label: u16, [x1, y1, x2, y2]: [usize; 4], width: u32, height: u32) -> Result<Rle> {
    let mut counts = Vec::new();
    let (mut inside, mut run) = (false, (x1 * height as usize) as u32);
    let mut extend = |is: bool, length: u32| {
        if is != inside {
            counts.push(run);
            (inside, run) = (is, 0);
        }
        run += length;
    };
    for x in x1..x2 {
        extend(false, y1 as u32);
        for y in y1..y2 {
            let at = (y + scene.margin) * scene.width + x + scene.margin;
            extend(scene.labels[at] == label, 1);
        }
        extend(false, height - y2 as u32);
    }
    extend(false, (width - x2 as u32) * height);
    counts.push(run);
    Rle::from_counts(width, height, counts)
}

#[cfg(test)]
mod tests;
