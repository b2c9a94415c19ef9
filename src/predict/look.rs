//! A first look at an image: how bright it is, and how large its cells are.

use crate::channels::MergedImage;
use crate::error::Result;
use crate::model::counts::Counts;
use crate::model::intensity::{IntensityRange, Window};
use crate::model::scale::median_diameter;
use crate::model::transform::{NetworkInput, Part};
use crate::model::{Detector, DetectorConfig, Progress, Scale};
use crate::tiles::{Source, overview};

/// Detections of this score are measured for the scale, if they are at least so many.
const SURE: f32 = 0.5;
const ENOUGH_TO_MEASURE: usize = 3;
/// An image so many times larger than the input is looked at in parts too: reduced as a whole, its cells may be too small to
/// be seen.
const REDUCED: usize = 2;
/// The largest part that is looked at, in pixels: 50 MB, whatever the size of the image.
const LARGEST_LOOK: usize = 2048;

/// What becomes 0 and 1 of an image.
pub(super) fn window(image: &dyn Source, intensity: IntensityRange) -> Result<Window> {
    match (image.whole(), intensity) {
        (_, IntensityRange::Full) => Ok(Window::WHOLE),
        (Some(whole), _) => Ok(intensity.window(whole)),
        (None, _) => {
            let rgb: Vec<f32> = overview(image)?.into_iter().flat_map(|(_, block)| block.rgb).collect();
            Ok(intensity.window(&MergedImage { width: (rgb.len() / 3) as u32, height: 1, rgb }))
        }
    }
}

/// The scale at which the cells that are surely there have the detector's diameter; the image's own size where too few are
/// seen. It does not depend on which scores are asked for.
///
/// A large image is looked at as a whole and then in ever smaller parts, where it has most contrast; the look that shows most
/// cells is the one that counts.
pub(super) async fn scale(
    detector: &Detector,
    image: &dyn Source,
    window: Window,
    config: &DetectorConfig,
    progress: &dyn Progress,
) -> Result<Scale> {
    let looking = DetectorConfig { box_score_thresh: SURE, ..config.clone() };
    let mut network = detector.network.clone();
    (network.roi_heads.mask_head, network.roi_heads.mask_predictor) = (None, None);
    let (mut best, mut most) = (None, 0);
    for [(top, height), (left, width)] in looks(image, config.max_size as usize)? {
        let part = image.region(top..top + height, left..left + width)?;
        let whole = looking.scaled_size([height, width])?;
        let part_of = Part::all([height, width], whole);
        let input = NetworkInput::part(&part, [0, 0], &part_of, &looking, window)?;
        let found =
            network.forward(&looking, Counts::torchvision(&looking), &input, &detector.device, progress).await?;
        let found = found.detections;
        if found.len() > most {
            most = found.len();
            best = median_diameter(found.iter().map(|one| input.to_original(one.corners)));
        }
    }
    let wanted = config.cell_diameter.filter(|_| most >= ENOUGH_TO_MEASURE);
    Ok(wanted.zip(best).map_or(Scale::Size, |(wanted, diameter)| Scale::between(diameter, wanted)))
}

/// The parts of an image to look at, each as first row and height, first column and width.
fn looks(image: &dyn Source, input: usize) -> Result<Vec<[(usize, usize); 2]>> {
    let size = image.size();
    let longest = size[0].max(size[1]);
    let whole = size.map(|side| (0, side));
    if longest <= REDUCED * input {
        return Ok(vec![whole]);
    }
    let mut looks = if longest <= LARGEST_LOOK || image.whole().is_some() { vec![whole] } else { vec![] };
    let blocks = overview(image)?;
    let liveliest = blocks.iter().max_by(|a, b| contrast(&a.1).total_cmp(&contrast(&b.1)));
    let [y, x] = liveliest.map_or([0, 0], |(at, _)| *at);
    let mut side = (longest / 2).min(LARGEST_LOOK);
    while side >= input {
        let along = |axis: usize, at: usize| {
            let side = side.min(size[axis]);
            (at.saturating_sub(side / 2).min(size[axis] - side), side)
        };
        looks.push([along(0, y), along(1, x)]);
        side /= 2;
    }
    Ok(looks)
}

/// The variance of a block's brightness.
fn contrast(block: &MergedImage) -> f32 {
    let n = block.rgb.len().max(1) as f32;
    let mean = block.rgb.iter().sum::<f32>() / n;
    block.rgb.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n
}
