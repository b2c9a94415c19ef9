//! The bundled detector on images larger than one pass of the network: in tiles it finds what one pass over all of the image
//! finds.
#![cfg(not(target_arch = "wasm32"))]

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use burn::tensor::Device;
use cytobox::boxes::iou;
use cytobox::channels::{Merge, MergedImage, merge};
use cytobox::detections::Detection;
use cytobox::model::intensity::Window;
use cytobox::model::{Detector, DetectorConfig, Go, Progress, Scale, Stage};
use cytobox::native::bundled;
use cytobox::predict::{self, DetectOptions, Found};
use cytobox::synth::{SynthOptions, generate};
use cytobox::tiles::{Source, Tiling};
use cytobox::{Error, Result, weights};

/// The bundled detector, at the scale of the image.
fn detector() -> Detector {
    let (name, bytes) = bundled::ATLAS.read();
    let mut detector = weights::load(&name, &bytes, &Device::flex()).unwrap().0;
    detector.config.scale = Scale::Fixed(1.0);
    detector.config.cell_diameter = Some(120.0);
    detector
}

fn image(width: u32, height: u32) -> MergedImage {
    let synthetic = generate(&SynthOptions { width, height, seed: 3, ..SynthOptions::default() }, 0).unwrap();
    merge(&synthetic.set, &Merge::hpa()).unwrap()
}

fn in_tiles(detector: &Detector, image: &MergedImage, score: f32, tiling: &Tiling) -> Vec<Detection> {
    let config = DetectorConfig { box_score_thresh: score, ..detector.config.clone() };
    let found = predict::detect_in_tiles(detector, image, (&config, Window::WHOLE), tiling, None, &());
    let found = pollster::block_on(found).unwrap();
    assert_eq!(found.limit_reached, None);
    found.detections
}

/// The best counterpart of each sure detection among the others: its mask IoU, whether it has the same label, and how far its
/// score is off.
fn counterparts(wanted: &[Detection], found: &[Detection]) -> Vec<(f64, bool, f32)> {
    let best = |one: &Detection| {
        let overlap = |d: &Detection| one.mask.as_ref().unwrap().iou(d.mask.as_ref().unwrap()).unwrap();
        let near = found.iter().filter(|d| iou(d.bbox.corners(), one.bbox.corners()) > 0.3);
        let rated = near.map(|d| (overlap(d), d.label == one.label, (d.score - one.score).abs()));
        rated.max_by(|a, b| (a.0 > 0.5, a.1).cmp(&(b.0 > 0.5, b.1)).then(a.0.total_cmp(&b.0))).unwrap_or_default()
    };
    wanted.iter().filter(|d| d.score >= SURE).map(best).collect()
}

/// The cells that are compared, those that a user sees who chooses no threshold; their counterparts may score less.
const SURE: f32 = predict::DEFAULT_SCORE;
const LESS: f32 = 0.3;

#[test]
fn tiles_find_what_one_pass_finds_wherever_they_lie() {
    let (detector, image) = (detector(), image(1536, 1088));
    let one_pass = Tiling::with([1088, 1536], 1536, 0, [0, 0]);
    assert_eq!(one_pass.len(), 1);
    let expected = in_tiles(&detector, &image, LESS, &one_pass);
    // As large, and with as much overlap, as for an image that is larger than this one.
    for offset in [[0, 0], [192, 256]] {
        let tiling = Tiling::with([1088, 1536], 1024, 360, offset);
        assert!(tiling.len() >= 4);
        let found = in_tiles(&detector, &image, LESS, &tiling);
        let mut pairs = counterparts(&expected, &found);
        let sure = pairs.len();
        pairs.extend(counterparts(&found, &expected));
        let share = |holds: &dyn Fn(&(f64, bool, f32)) -> bool| {
            pairs.iter().filter(|pair| holds(pair)).count() as f64 / pairs.len() as f64
        };
        let same = share(&|(overlap, ..)| *overlap > 0.5);
        let exact = share(&|(overlap, label, _)| *overlap >= 0.9 && *label);
        let scores = share(&|(.., off)| *off <= 0.01);
        println!(
            "{offset:?}: of {sure} cells {same:.3} have a counterpart, {exact:.3} at IoU 0.9, {scores:.3} score the same"
        );
        assert!(sure > 60, "{sure} cells are too few to show anything");
        // What differs are boxes over several cells, which come and go with what the network sees around them, and scores: a
        // tile has as many proposals as the whole, so more for each cell to take the best of.
        assert!(same >= 0.96 && exact >= 0.93 && scores >= 0.85, "{offset:?}: {same}, {exact} and {scores}");
    }
}

/// Gives regions of an image as if it lay in a file, and keeps the largest that was asked for.
struct InFile<'a>(&'a MergedImage, RefCell<usize>);

impl Source for InFile<'_> {
    fn size(&self) -> [usize; 2] {
        self.0.size()
    }

    fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Cow<'_, MergedImage>> {
        let mut largest = self.1.borrow_mut();
        *largest = (*largest).max(rows.len() * columns.len());
        self.0.region(rows, columns)
    }
}

#[derive(Default)]
struct Tiles(RefCell<Vec<(usize, usize)>>, Option<usize>);

impl Progress for Tiles {
    fn at(&self, _: Stage, _: f32) -> Go<'_> {
        let cancelled = self.1.is_some_and(|most| self.0.borrow().len() > most);
        Box::pin(async move { if cancelled { Err(Error::Cancelled) } else { Ok(()) } })
    }

    fn tile(&self, index: usize, total: usize) {
        self.0.borrow_mut().push((index, total));
    }
}

#[test]
fn a_large_image_is_read_by_tiles_which_are_reported_and_can_be_cancelled() {
    let (detector, image) = (detector(), image(1500, 700));
    let options = DetectOptions { score: Some(0.5), ..DetectOptions::default() };
    let tiles = Tiles::default();
    let whole = pollster::block_on(predict::detect(&detector, &image, &options, &tiles)).unwrap();
    assert_eq!(*tiles.0.borrow(), [(0, 2), (1, 2)]);
    let file = InFile(&image, RefCell::new(0));
    let found = pollster::block_on(predict::detect(&detector, &file, &options, &())).unwrap();
    assert_eq!(found, whole);
    assert!(!found.detections.is_empty() && file.1.take() < 1100 * 700);
    let cancel = Tiles(RefCell::default(), Some(1));
    assert_eq!(pollster::block_on(predict::detect(&detector, &file, &options, &cancel)), Err(Error::Cancelled));

    // A limit holds for the image, not for each tile.
    let few = DetectOptions { max_detections: Some(5), ..options };
    let Found { detections, limit_reached } =
        pollster::block_on(predict::detect(&detector, &image, &few, &())).unwrap();
    assert_eq!((limit_reached, &detections[..]), (Some(5), &found.detections[..5]));
}
