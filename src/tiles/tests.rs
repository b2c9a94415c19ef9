//! Tiles with a network that sees every disc that it is shown, so that what is wrong in the end is the tiles' doing.

use proptest::prelude::*;

use super::*;
use crate::boxes::BoxXyxy;
use crate::channels::MergedImage;
use crate::detections::Detection;
use crate::masks::Rle;
use crate::model::Scale;
use crate::model::intensity::Window;
use crate::model::transform::{NetworkInput, Part};

#[derive(Debug, Clone, Copy)]
struct Disc {
    x: f32,
    y: f32,
    radius: f32,
}

/// The pixels of a disc within rows and columns of a square image; `None` where there are none.
fn mask(disc: Disc, [rows, columns]: &[Range<usize>; 2], side: usize) -> Option<Rle> {
    let mut counts = vec![];
    let mut at = 0;
    for x in columns.clone() {
        let dx = x as f32 + 0.5 - disc.x;
        let half = (disc.radius * disc.radius - dx * dx).max(0.0).sqrt();
        let first = ((disc.y - half - 0.5).ceil().max(0.0) as usize).max(rows.start);
        let end = ((disc.y + half - 0.5).ceil().max(0.0) as usize).min(rows.end);
        if first < end {
            let start = x * side + first;
            counts.extend([(start - at) as u32, (end - first) as u32]);
            at = x * side + end;
        }
    }
    counts.push((side * side - at) as u32);
    (counts.len() > 1).then(|| Rle::from_counts(side as u32, side as u32, counts).unwrap())
}

fn detection(mask: Rle, score: f32, is_box: bool) -> Detection {
    let corners = mask.bbox().unwrap().map(|v| v as f32);
    let bbox = BoxXyxy::new(corners, mask.width(), mask.height()).unwrap();
    Detection { bbox, label: "cell".to_owned(), score, mask: (!is_box).then_some(mask) }
}

/// What a network finds that sees each disc as soon as the share `visible` of it is in the tile, up to `off` pixels off and with a score
/// that differs from tile to tile.
fn found(discs: &[Disc], tiling: &Tiling, side: usize, is_box: bool, off: f32, visible: f32) -> Vec<TileDetection> {
    let mut found = Vec::new();
    for (index, tile) in tiling.tiles().enumerate() {
        for (i, disc) in discs.iter().enumerate() {
            let noise = |salt: usize| (((index * 31 + i * 17 + salt) as u64 * 2_654_435_761) >> 7) % 1000;
            let shift = |salt| (noise(salt) as f32 / 500.0 - 1.0) * off;
            let seen = Disc { x: disc.x + shift(1), y: disc.y + shift(2), ..*disc };
            let Some(mask) = mask(seen, &tile.seen, side) else { continue };
            if (mask.area() as f32) < visible * disc.radius * disc.radius * std::f32::consts::PI {
                continue;
            }
            let detection = detection(mask, 0.9 + noise(3) as f32 / 20_000.0, is_box);
            let corners = detection.bbox.corners();
            let outside = tile.outside_core(corners);
            if outside <= 8.0 {
                let seen = [0, 1].map(|axis| tile.seen[axis].start as f32..tile.seen[axis].end as f32);
                let (cut, in_core) = (tile.cuts(corners), outside == 0.0);
                found.push(TileDetection { detection, tile: index, seen, cut, in_core });
            }
        }
    }
    found
}

/// Discs of a diameter from `least` to `most` on a grid in which they do not touch, shaken by a seed.
fn culture(side: usize, least: f32, most: f32, seed: u64) -> Vec<Disc> {
    let mut state = seed | 1;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let pitch = most * 1.3;
    let n = (side as f32 / pitch) as usize;
    let mut discs = Vec::new();
    for row in 0..n {
        for column in 0..n {
            let radius = (least + random() * (most - least)) / 2.0;
            let mut place =
                |k: usize| (k as f32 + 0.5) * pitch + (random() - 0.5) * (pitch - 2.0 * radius - 3.0).max(0.0);
            discs.push(Disc { x: place(column), y: place(row), radius });
        }
    }
    discs
}

/// Every disc is there exactly once, as it is in the whole image.
fn check(discs: &[Disc], detections: &[Detection], side: usize, is_box: bool, least: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(detections.len(), discs.len());
    for disc in discs {
        let whole = detection(mask(*disc, &[0..side, 0..side], side).unwrap(), 1.0, is_box);
        let overlap = |d: &Detection| match (&d.mask, &whole.mask) {
            (Some(a), Some(b)) => a.iou(b).unwrap(),
            _ => f64::from(crate::boxes::iou(d.bbox.corners(), whole.bbox.corners())),
        };
        let near = detections.iter().filter(|d| crate::boxes::iou(d.bbox.corners(), whole.bbox.corners()) > 0.3);
        let best = near.map(overlap).fold(0.0, f64::max);
        prop_assert!(best >= least, "{:?}: {}", disc, best);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cores_are_the_whole_image_and_overlaps_are_kept(
        size in [1usize..5000, 1usize..5000], side in 200usize..1400, overlap in 0usize..60, offset in [0usize..60, 0usize..60],
    ) {
        let tiling = Tiling::with(size, side, overlap, offset);
        let mut area = 0;
        for tile in tiling.tiles() {
            prop_assert_eq!(tile.whole, size);
            for (length, (seen, core)) in size.iter().zip(tile.seen.iter().zip(&tile.core)) {
                prop_assert!(seen.len() <= side && seen.end <= *length && !core.is_empty());
                prop_assert!(seen.start == 0 || core.start - seen.start >= overlap / 2);
                prop_assert!(seen.end == *length || seen.end - core.end >= overlap / 2);
            }
            area += tile.core[0].len() * tile.core[1].len();
        }
        prop_assert_eq!(area, size[0] * size[1]);
    }

    #[test]
    fn no_cell_is_lost_doubled_or_cut_wherever_the_seams_are(
        offset in [0usize..320, 0usize..320], seed: u64, is_box: bool, is_noisy: bool,
    ) {
        let side = 1500;
        let discs = culture(side, 20.0, 90.0, seed);
        let tiling = Tiling::with([side, side], 512, 128, offset);
        let (off, least) = if is_noisy { (1.0, 0.75) } else { (0.0, 1.0) };
        let joined = join(found(&discs, &tiling, side, is_box, off, 0.2)).unwrap();
        prop_assert_eq!(joined.stitched, 0);
        check(&discs, &joined.detections, side, is_box, least)?;
    }

    #[test]
    fn cells_larger_than_the_overlap_are_put_together(offset in [0usize..384, 0usize..384], seed: u64, is_noisy: bool) {
        let side = 1200;
        let discs = culture(side, 150.0, 330.0, seed);
        let tiling = Tiling::with([side, side], 512, 128, offset);
        let (off, least) = if is_noisy { (1.0, 0.9) } else { (0.0, 0.95) };
        let found = found(&discs, &tiling, side, false, off, 0.02);
        check(&discs, &join(found).unwrap().detections, side, false, least)?;
    }
}

#[test]
fn three_thousand_cells_are_three_thousand() {
    let side = 4400;
    let discs = culture(side, 30.0, 60.0, 7);
    assert!(discs.len() > 3000);
    let tiling = Tiling::with([side, side], 1024, 180, [0, 0]);
    check(&discs, &join(found(&discs, &tiling, side, false, 1.0, 0.2)).unwrap().detections, side, false, 0.8).unwrap();
}

#[test]
fn an_input_of_one_pass_is_not_cut() {
    let config = DetectorConfig::default();
    for size in [[512, 512], [800, 1333], [1344, 1344]] {
        let tiling = Tiling::new(&config, size);
        assert_eq!(
            tiling.tiles().collect::<Vec<_>>(),
            [Tile { seen: size.map(|n| 0..n), core: size.map(|n| 0..n), whole: size }]
        );
    }
    let known = DetectorConfig { cell_diameter: Some(32.0), ..config };
    let tiling = Tiling::new(&known, [4096, 1000]);
    let rows: Vec<_> = tiling.tiles().map(|tile| tile.seen[0].clone()).collect();
    assert_eq!(rows, [0..1024, 896..1920, 1792..2816, 2688..3712, 3584..4096]);
}

#[test]
fn neighbours_of_one_tile_are_left_to_the_network() {
    let side = 200;
    let disc = |x| Disc { x, y: 50.0, radius: 20.0 };
    let one = |x, tile| TileDetection {
        detection: detection(mask(disc(x), &[0..side, 0..side], side).unwrap(), 0.9, false),
        tile,
        seen: [0.0..200.0, 0.0..200.0],
        cut: false,
        in_core: true,
    };
    assert_eq!(join(vec![one(50.0, 0), one(55.0, 0)]).unwrap().detections.len(), 2);
    assert_eq!(join(vec![one(50.0, 0), one(55.0, 1)]).unwrap().detections.len(), 1);
    assert_eq!(join(vec![one(50.0, 0), one(90.0, 1)]).unwrap().detections.len(), 2);
    // Two tiles that disagree about the label of one cell.
    let mut other = one(51.0, 1);
    other.detection.label = "other".to_owned();
    other.detection.score = 0.95;
    let joined = join(vec![one(50.0, 0), other]).unwrap();
    assert_eq!(joined.detections.iter().map(|d| d.label.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(join(vec![]).unwrap(), Joined::default());
}

#[test]
fn an_input_that_is_read_in_bands_is_the_same() {
    let (width, height) = (2500u32, 2100u32);
    let rgb = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect();
    let image = MergedImage { width, height, rgb };
    let config = DetectorConfig { scale: Scale::Fixed(0.11), ..DetectorConfig::default() };
    let whole = config.scaled_size(image.size()).unwrap();
    let part = Part::all(image.size(), whole);
    let banded = input(&image, &part, &config, Window::WHOLE).unwrap();
    assert_eq!(banded, NetworkInput::new(&image, &config).unwrap());
}
