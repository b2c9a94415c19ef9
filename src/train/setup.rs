//! From data to a detector that fits it: classes, colour statistics, size of the input, anchors.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::anchor_check::{AnchorReport, PlacedBox, check_anchors};
use super::config::TrainConfig;
use super::truth::Example;
use crate::annotations::{ImageAnnotations, dataset};
use crate::channels::MergedImage;
use crate::error::{Error, Result};
use crate::model::config::{Changes, LEVELS};
use crate::model::scale::median_diameter;
use crate::model::{Architecture, Backbone, DetectorConfig, IntensityRange, Scale};

/// The sizes of a network that starts from nothing: a few hundred cells cannot fill wide heads, and narrow ones learn
/// several times faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub architecture: Architecture,
    pub backbone: Backbone,
    pub fpn_channels: usize,
    /// Width of the box head.
    pub representation: usize,
}

impl Default for Shape {
    fn default() -> Self {
        let (fpn_channels, representation) = HeadWidth::default().sizes();
        Self { architecture: Architecture::MaskRcnn, backbone: Backbone::ResNet18, fpn_channels, representation }
    }
}

/// The widths of the heads to choose from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadWidth {
    Narrow,
    #[default]
    Medium,
    /// As torchvision.
    Wide,
}

impl HeadWidth {
    /// Channels of the pyramid, and the width of the box head.
    fn sizes(self) -> (usize, usize) {
        match self {
            Self::Narrow => (64, 128),
            Self::Medium => (128, 512),
            Self::Wide => (256, 1024),
        }
    }
}

/// A shape of which a part may be left to the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShapeOptions {
    pub architecture: Option<Architecture>,
    pub backbone: Option<Backbone>,
    /// Both of the next at once, where they are not given.
    pub width: Option<HeadWidth>,
    pub fpn_channels: Option<usize>,
    pub representation: Option<usize>,
}

impl ShapeOptions {
    /// Channels of the pyramid, where they are asked for.
    pub fn fpn_channels(self) -> Option<usize> {
        self.fpn_channels.or(self.width.map(|width| width.sizes().0))
    }

    /// Width of the box head, where it is asked for.
    pub fn representation(self) -> Option<usize> {
        self.representation.or(self.width.map(|width| width.sizes().1))
    }

    pub fn shape(self) -> Shape {
        let default = Shape::default();
        Shape {
            architecture: self.architecture.unwrap_or(default.architecture),
            backbone: self.backbone.unwrap_or(default.backbone),
            fpn_channels: self.fpn_channels().unwrap_or(default.fpn_channels),
            representation: self.representation().unwrap_or(default.representation),
        }
    }
}

/// The longest short side that a fresh detector works at.
const GREATEST_SIDE: u32 = 800;

/// Every label, in the order of names, behind the background.
pub fn classes(annotations: &[ImageAnnotations]) -> Vec<String> {
    let labels: BTreeSet<&str> = annotations.iter().flat_map(|a| a.objects.iter().map(|o| o.label.as_str())).collect();
    std::iter::once("__background__").chain(labels).map(str::to_owned).collect()
}

/// The size of an image and the boxes on it: all that sizes and anchors are chosen by.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub width: u32,
    pub height: u32,
    pub boxes: Vec<[f32; 4]>,
}

impl From<&Example> for Layout {
    fn from(example: &Example) -> Self {
        let boxes = example.objects.iter().map(|o| o.corners).collect();
        Self { width: example.merged_image.width, height: example.merged_image.height, boxes }
    }
}

impl From<&ImageAnnotations> for Layout {
    fn from(image: &ImageAnnotations) -> Self {
        let boxes = image.objects.iter().map(|o| o.bbox.corners()).collect();
        Self { width: image.width, height: image.height, boxes }
    }
}

/// The configuration of a detector that is to be trained from nothing on images like these, with `changes`. Mean and
/// deviation of the colours are still ImageNet's; [`statistics`] gives those of the images.
///
/// # Errors
/// No images, classes that make no detector, or changes that cannot be.
pub fn fresh(shape: Shape, classes: Vec<String>, layouts: &[Layout], changes: &Changes) -> Result<DetectorConfig> {
    let mut sides: Vec<[u32; 2]> =
        layouts.iter().map(|l| [l.width.min(l.height), l.width.max(l.height)]).filter(|s| s[0] > 0).collect();
    sides.sort_unstable();
    let [short, long] =
        *sides.get(sides.len() / 2).ok_or_else(|| Error::Training("there are no images to train on".into()))?;
    let scale = (GREATEST_SIDE as f32 / short as f32).min(1.0);
    let mut config = DetectorConfig {
        architecture: shape.architecture,
        backbone: shape.backbone,
        fpn_channels: shape.fpn_channels,
        representation_size: shape.representation,
        mask_layers: vec![shape.fpn_channels; 4],
        mask_dim_reduced: shape.fpn_channels,
        classes,
        min_size: (short as f32 * scale) as u32,
        max_size: (long as f32 * scale) as u32,
        anchor_sizes: (0..LEVELS).map(|i| vec![(16 << i) as f32]).collect(),
        rpn_pre_nms_top_n_train: 1000,
        rpn_post_nms_top_n_train: 500,
        rpn_pre_nms_top_n_test: 600,
        rpn_post_nms_top_n_test: 300,
        box_batch_size_per_image: 128,
        ..DetectorConfig::default()
    };
    // Before the anchors are chosen: they are sizes in the network's input.
    config = config.with(changes)?;
    if let Some((set, _)) = anchors(layouts, &config)?.suggestion {
        set.put_into(&mut config);
    }
    // And after that, should the changes be about the anchors.
    config.with(changes)
}

/// Images of one magnification have cells of about the same size: their median diameters are within this factor of the
/// whole set's …
const ALIKE: f32 = 1.5;
/// … in at least this share of the images.
const MOST: f32 = 0.8;

/// At what scale a detector that knows the diameter of its cells is to see images like these: where their cells are alike,
/// all at the same, else each at that of its cells. One that does not know it keeps its rule.
pub fn scale(base: &DetectorConfig, layouts: &[Layout]) -> Scale {
    let medians: Vec<f32> = layouts.iter().filter_map(|l| median_diameter(l.boxes.iter().copied())).collect();
    let cells = layouts.iter().flat_map(|l| l.boxes.iter().copied());
    let (Some(wanted), Some(found)) = (base.cell_diameter, median_diameter(cells)) else { return base.scale };
    let alike = medians.iter().filter(|m| (found / ALIKE..=found * ALIKE).contains(*m)).count();
    if alike as f32 >= MOST * medians.len() as f32 { Scale::between(found, wanted) } else { Scale::Cells }
}

/// The median diameter of the objects in pixels of the network's input; `None` without objects.
///
/// # Errors
/// An image that cannot be resized.
pub fn cell_diameter(config: &DetectorConfig, layouts: &[Layout]) -> Result<Option<f32>> {
    let placed = placed(layouts, config)?;
    Ok(median_diameter(placed.iter().map(|b| b.corners)).map(|d| (d * 10.0).round() / 10.0).filter(|d| *d >= 1.0))
}

/// How the configuration's anchors fit the boxes.
///
/// # Errors
/// An image that cannot be resized.
pub fn anchors(layouts: &[Layout], config: &DetectorConfig) -> Result<AnchorReport> {
    Ok(check_anchors(&placed(layouts, config)?, config))
}

/// The boxes in the network's input.
fn placed(layouts: &[Layout], config: &DetectorConfig) -> Result<Vec<PlacedBox>> {
    let mut placed = Vec::new();
    for layout in layouts.iter().filter(|l| l.width > 0 && l.height > 0) {
        let original = [layout.height as usize, layout.width as usize];
        let input = config.knowing(layout.boxes.iter().copied()).input_size(original)?;
        let [y, x] = [0, 1].map(|axis| input[axis] as f32 / original[axis] as f32);
        placed.extend(
            layout.boxes.iter().map(|[x1, y1, x2, y2]| PlacedBox { corners: [x1 * x, y1 * y, x2 * x, y2 * y], input }),
        );
    }
    Ok(placed)
}

/// Holds out a share of the examples for validation; which ones depends on their names and the seed alone.
///
/// # Errors
/// A share that is none.
pub fn hold_out(examples: Vec<Example>, config: &TrainConfig) -> Result<(Vec<Example>, Vec<Example>)> {
    if examples.len() < TrainConfig::LEAST_TO_SPLIT {
        return Ok((examples, Vec::new()));
    }
    let names: Vec<String> = examples.iter().map(|e| e.name.clone()).collect();
    let (_, held) = dataset::split(&names, config.validation_share, config.seed)?;
    let (held, kept): (Vec<_>, Vec<_>) = examples.into_iter().enumerate().partition(|(i, _)| held.contains(i));
    let strip = |v: Vec<(usize, Example)>| v.into_iter().map(|(_, e)| e).collect();
    Ok((strip(kept), strip(held)))
}

/// Mean and deviation of red, green and blue over all pixels as the network sees them, to three digits as they stand in
/// papers.
pub fn statistics<'a>(
    merged_images: impl Iterator<Item = &'a MergedImage>,
    intensity: IntensityRange,
) -> ([f32; 3], [f32; 3]) {
    let (mut sums, mut squares, mut n) = ([0f64; 3], [0f64; 3], 0f64);
    for merged_image in merged_images {
        let window = intensity.window(merged_image);
        for pixel in merged_image.rgb.as_chunks::<3>().0 {
            for c in 0..3 {
                let value = f64::from(window.apply(pixel[c]));
                sums[c] += value;
                squares[c] += value.powi(2);
            }
        }
        n += (merged_image.rgb.len() / 3) as f64;
    }
    let n = n.max(1.0);
    let round = |v: f64| ((v * 1000.0).round() / 1000.0) as f32;
    let mean = sums.map(|s| s / n);
    let std = [0, 1, 2].map(|c| (squares[c] / n - mean[c] * mean[c]).max(0.0).sqrt());
    // A channel that is empty everywhere must not divide by nothing.
    (mean.map(round), std.map(|s| round(s).max(0.01)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::truth::Truth;

    #[test]
    fn images_are_brought_to_the_cells_that_the_base_knows() {
        let image = |side: f32| Layout {
            width: 500,
            height: 400,
            boxes: (0..9).map(|i| [10.0 * i as f32, 5.0, 10.0 * i as f32 + side, 5.0 + side]).collect(),
        };
        let base = DetectorConfig { cell_diameter: Some(32.0), ..DetectorConfig::default() };
        let alike: Vec<Layout> = [14.0, 16.0, 16.0, 18.0].map(image).to_vec();
        assert_eq!(scale(&base, &alike), Scale::Fixed(2.0));
        let mixed: Vec<Layout> = [10.0, 16.0, 60.0, 18.0].map(image).to_vec();
        assert_eq!(scale(&base, &mixed), Scale::Cells);
        assert_eq!(scale(&DetectorConfig::default(), &alike), Scale::Size);
        let config = DetectorConfig { scale: Scale::Fixed(2.0), ..base.clone() };
        assert_eq!(cell_diameter(&config, &alike).unwrap(), Some(32.0));
    }

    #[test]
    fn a_fresh_configuration_fits_the_data() {
        let merged_image = |v: f32| MergedImage { width: 600, height: 400, rgb: [v, 0.5, 0.0].repeat(600 * 400) };
        let cell = |x: f32| Truth { corners: [x, 10.0, x + 15.0, 25.0], class: 1, mask: None, difficult: false };
        let example = |v| Example {
            name: "a".into(),
            merged_image: merged_image(v),
            objects: vec![cell(5.0), cell(77.0)],
            ignored: Vec::new(),
            incomplete: false,
        };
        let classes = vec!["__background__".to_owned(), "cell".to_owned()];
        let examples = [example(0.2), example(0.4)];
        let layouts: Vec<Layout> = examples.iter().map(Layout::from).collect();
        let config = fresh(Shape::default(), classes.clone(), &layouts, &Changes::new()).unwrap();
        assert_eq!((config.min_size, config.max_size), (400, 600));
        let half: Changes = serde_json::from_str(r#"{"min_size": 200}"#).unwrap();
        let small = fresh(Shape::default(), classes, &layouts, &half).unwrap();
        assert_eq!(small.min_size, 200);
        assert!(small.anchor_sizes[0][0] < 0.6 * config.anchor_sizes[0][0], "{:?}", small.anchor_sizes);
        let colours = statistics(examples.iter().map(|e| &e.merged_image), IntensityRange::Full);
        assert_eq!(colours, ([0.3, 0.5, 0.0], [0.1, 0.01, 0.01]));
        assert!(anchors(&layouts, &config).unwrap().fit.at_70 > 0.9);
        assert!(fresh(Shape::default(), vec!["__background__".into()], &layouts, &Changes::new()).is_err());
    }
}
