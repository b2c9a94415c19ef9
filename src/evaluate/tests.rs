use serde::Deserialize;

use super::*;
use crate::annotations::IgnoredRegion;

/// One random case of `tests/golden/make_average_precision.py` and pycocotools' answer; numbers are quarters of a pixel
/// and hundredths of a score.
#[derive(Deserialize)]
struct Case {
    masks: bool,
    max: usize,
    side: u32,
    /// Of each image: `[class, x, y, width, height, difficult]`.
    objects: Vec<Vec<[u32; 6]>>,
    /// Of each image: `[class, x, y, width, height, score]`.
    detections: Vec<Vec<[u32; 6]>>,
    /// Of each image: `[class, x, y, width, height]`.
    #[serde(default)]
    crowds: Vec<Vec<[u32; 5]>>,
    /// Of each class that occurs: AP50 and AP50:95, -1 where nothing is annotated.
    per_class: BTreeMap<String, [f64; 2]>,
    class_agnostic: [f64; 2],
    /// The sum of the precisions of the curve at IoU 0.5 over all classes with objects, each times its place from 1.
    curve: f64,
}

fn corners([x, y, w, h]: [u32; 4]) -> [f32; 4] {
    [x, y, x + w, y + h].map(|c| c as f32 / 4.0)
}

/// The ellipse in the box, in whole numbers, so that Python draws the same.
fn ellipse(side: u32, [x, y, w, h]: [u32; 4]) -> Rle {
    let inside = |i: u32| {
        let (px, py) = (i64::from(i % side) * 8 + 4, i64::from(i / side) * 8 + 4);
        let (cx, cy) = (i64::from(2 * x + w), i64::from(2 * y + h));
        let (w, h) = (i64::from(w), i64::from(h));
        ((px - cx) * h).pow(2) + ((py - cy) * w).pow(2) <= (w * h).pow(2)
    };
    Rle::from_bitmap(side, side, &(0..side * side).map(inside).collect::<Vec<_>>()).unwrap()
}

impl Case {
    fn images(&self) -> Vec<(ImageAnnotations, ImageDetections)> {
        let side = self.side;
        let bbox = |b| BoxXyxy::new(corners(b), side, side).unwrap();
        let mask = |b| self.masks.then(|| ellipse(side, b));
        let object = |&[c, x, y, w, h, difficult]: &[u32; 6]| Object {
            bbox: bbox([x, y, w, h]),
            label: format!("c{c}"),
            difficult: difficult == 1,
            truncated: false,
            mask: mask([x, y, w, h]),
        };
        let detection = |&[c, x, y, w, h, score]: &[u32; 6]| Detection {
            bbox: bbox([x, y, w, h]),
            label: format!("c{c}"),
            score: score as f32 / 100.0,
            mask: mask([x, y, w, h]),
        };
        let pair = |(i, (objects, detections)): (usize, (&Vec<_>, &Vec<_>))| {
            let (objects, detections) =
                (objects.iter().map(object).collect(), detections.iter().map(detection).collect());
            let mut image = image(&format!("i{i}"), side, objects, detections);
            let crowds = self.crowds.get(i).into_iter().flatten();
            image.0.ignored = crowds.map(|&[c, x, y, w, h]| crowd(&format!("c{c}"), bbox([x, y, w, h]))).collect();
            image
        };
        self.objects.iter().zip(&self.detections).enumerate().map(pair).collect()
    }
}

fn crowd(label: &str, bbox: BoxXyxy) -> IgnoredRegion {
    IgnoredRegion { bbox, label: Some(label.to_owned()), reason: IgnoredReason::Crowd }
}

fn image(
    name: &str,
    side: u32,
    objects: Vec<Object>,
    detections: Vec<Detection>,
) -> (ImageAnnotations, ImageDetections) {
    let (image, file, width, height) = (name.to_owned(), String::new(), side, side);
    (
        ImageAnnotations {
            image: image.clone(),
            file: file.clone(),
            width,
            height,
            objects,
            ..ImageAnnotations::default()
        },
        ImageDetections { image, file, width, height, detections, ..ImageDetections::default() },
    )
}

#[test]
fn average_precision_is_that_of_pycocotools() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/average_precision.json")).unwrap();
    assert!(cases.len() >= 200 && cases.iter().filter(|c| c.crowds.iter().any(|c| !c.is_empty())).count() >= 40);
    let near = |a: Option<f64>, b: f64| (a.unwrap_or(-1.0) - b).abs() < 1e-6;
    for (n, case) in cases.iter().enumerate() {
        let images = case.images();
        let pairs: Vec<_> = images.iter().map(|(a, d)| (a, d)).collect();
        let measure = if case.masks { Measure::Masks } else { Measure::Boxes };
        let options = Options { measure, max_detections: Some(case.max), ..Options::default() };
        let found = evaluate(&pairs, &options).unwrap();
        assert!(found.per_class.keys().eq(case.per_class.keys()), "case {n}");
        for (label, expected) in &case.per_class {
            let average = found.per_class[label].average;
            assert!(
                near(average.ap_50, expected[0]) && near(average.ap_50_95, expected[1]),
                "case {n}, {label}: {average:?} {expected:?}"
            );
        }
        let known = |k: usize| mean(case.per_class.values().map(|v| v[k]).filter(|v| *v >= 0.0)).unwrap_or(-1.0);
        assert!(near(found.map_50, known(0)) && near(found.map_50_95, known(1)), "case {n}");
        let ignoring = found.class_agnostic;
        assert!(
            near(ignoring.ap_50, case.class_agnostic[0]) && near(ignoring.ap_50_95, case.class_agnostic[1]),
            "case {n}"
        );
        let curve: f64 = found
            .per_class
            .values()
            .flat_map(|c| c.curve.precision.iter().zip(1..))
            .map(|(p, i)| p * f64::from(i))
            .sum();
        assert!((curve - case.curve).abs() < 1e-6, "case {n}");
    }
}

fn object(label: &str, corners: [f32; 4], difficult: bool) -> Object {
    let bbox = BoxXyxy::new(corners, 100, 100).unwrap();
    Object { bbox, label: label.into(), difficult, truncated: false, mask: None }
}

fn detection(label: &str, corners: [f32; 4], score: f32) -> Detection {
    Detection { bbox: BoxXyxy::new(corners, 100, 100).unwrap(), label: label.into(), score, mask: None }
}

#[test]
fn confusion_and_the_worst_image() {
    const A: [f32; 4] = [0.0, 0.0, 10.0, 10.0];
    const B: [f32; 4] = [20.0, 20.0, 30.0, 30.0];
    const C: [f32; 4] = [50.0, 50.0, 60.0, 60.0];
    let good = image("good", 100, vec![object("x", A, false)], vec![detection("x", A, 0.9), detection("x", B, 0.1)]);
    let bad = image(
        "bad",
        100,
        vec![object("x", A, false), object("y", B, false), object("x", C, true)],
        vec![detection("y", A, 0.9), detection("x", C, 0.8), detection("x", [70.0, 70.0, 80.0, 80.0], 0.7)],
    );
    let empty = image("empty", 100, vec![], vec![]);
    let pairs = [(&good.0, &good.1), (&bad.0, &bad.1), (&empty.0, &empty.1)];
    let found = evaluate(&pairs, &Options::default()).unwrap();
    assert_eq!(found.confusion.classes, ["x", "y", "background"]);
    assert_eq!(found.confusion.counts, [[1, 1, 0], [0, 0, 1], [1, 0, 0]]);
    assert_eq!(found.worst_images.iter().map(|s| s.image.as_str()).collect::<Vec<_>>(), ["bad", "empty", "good"]);
    let ImageScore { right, confused, missed, extra, f1, .. } = found.worst_images[0];
    assert_eq!((right, confused, missed, extra, f1), (0, 1, 1, 1, 0.0));
    assert_eq!((found.images, found.boxes), (3, 3));
    let json = serde_json::to_value(&found).unwrap();
    assert!(json["map_50"].is_number() && json["per_class"]["x"]["ap_50"].is_number(), "{json}");
}

fn percent(share: Option<f64>) -> i64 {
    (100.0 * share.unwrap()).round() as i64
}

#[test]
fn detections_on_ignored_regions_are_not_counted() {
    const A: [f32; 4] = [0.0, 0.0, 10.0, 10.0];
    const ON: [f32; 4] = [52.0, 52.0, 60.0, 60.0];
    const OFF: [f32; 4] = [20.0, 20.0, 30.0, 30.0];
    let region = BoxXyxy::new([50.0, 50.0, 90.0, 90.0], 100, 100).unwrap();
    let average = |label: Option<&str>, incomplete: bool, found: &[[f32; 4]]| {
        // Wrong ones are surer than the right one, so that each of them costs precision.
        let wrong = found.iter().map(|corners| detection("x", *corners, 0.9));
        let found = wrong.chain([detection("x", A, 0.8)]).collect();
        let (mut truth, found) = image("a", 100, vec![object("x", A, false)], found);
        truth.incomplete = incomplete;
        let label = label.map(str::to_owned);
        truth.ignored = vec![IgnoredRegion { bbox: region, label, reason: IgnoredReason::Unreadable }];
        let found = evaluate(&[(&truth, &found)], &Options::default()).unwrap();
        (percent(found.map_50), found.worst_images[0].extra)
    };
    assert_eq!(average(Some("x"), false, &[ON, ON]), (100, 0));
    assert_eq!(average(None, false, &[ON]), (100, 0));
    assert_eq!(average(Some("y"), false, &[ON]), (50, 1), "a region of another class");
    assert_eq!(average(None, false, &[ON, OFF]), (50, 1));
    assert_eq!(average(None, true, &[ON, OFF]), (100, 0), "an object may be where nothing is annotated");
}

#[test]
fn an_image_of_which_everything_was_left_out_is_not_one_without_cells() {
    let wrong = || vec![detection("x", [70.0, 70.0, 80.0, 80.0], 0.9)];
    let a = image(
        "a",
        100,
        vec![object("x", [0.0, 0.0, 9.0, 9.0], false)],
        vec![detection("x", [0.0, 0.0, 9.0, 9.0], 0.8)],
    );
    let bbox = BoxXyxy::new([5.0, 5.0, 20.0, 20.0], 100, 100).unwrap();
    let average = |change: &dyn Fn(&mut ImageAnnotations)| {
        let mut b = image("b", 100, vec![], wrong());
        change(&mut b.0);
        let found = evaluate(&[(&a.0, &a.1), (&b.0, &b.1)], &Options::default()).unwrap();
        (percent(found.map_50), found.images, found.worst_images.len())
    };
    assert_eq!(average(&|_| {}), (50, 2, 2), "an image without cells");
    assert_eq!(average(&|b| b.incomplete = true), (100, 1, 1));
    let unreadable = || IgnoredRegion { bbox, label: None, reason: IgnoredReason::Unreadable };
    assert_eq!(average(&|b| b.ignored = vec![unreadable()]), (100, 1, 1));
    assert_eq!(average(&|b| b.ignored = vec![crowd("x", bbox)]), (50, 2, 2), "as COCO has it");
}

#[test]
fn an_empty_comparison_is_reported() {
    let found = evaluate(&[], &Options::default()).unwrap();
    assert_eq!((found.map_50, found.class_agnostic.ap_50, found.boxes), (None, None, 0));
    let (a, d) = image("a", 100, vec![object("x", [0.0, 0.0, 9.0, 9.0], false)], vec![]);
    let found = evaluate(&[(&a, &d)], &Options::default()).unwrap();
    assert_eq!(found.map_50, Some(0.0), "nothing found is no undefined value");
    assert!(evaluate(&[(&a, &d)], &Options { measure: Measure::Masks, ..Options::default() }).is_err());
}

/// As many cells of one class as `cells`, all found.
fn crowded(name: &str, cells: usize) -> (ImageAnnotations, ImageDetections) {
    let corners = |i: usize| [i % 16, i / 16, i % 16 + 1, i / 16 + 1].map(|c| c as f32 * 5.0);
    let objects = (0..cells).map(|i| object("x", corners(i), false)).collect();
    let detections = (0..cells).map(|i| detection("x", corners(i), 0.9 - i as f32 / 1000.0)).collect();
    image(name, 100, objects, detections)
}

#[test]
fn the_cap_follows_the_most_crowded_image_unless_one_is_given_and_a_cut_is_reported() {
    let (few, many) = (crowded("few", 20), crowded("many", 200));
    let pairs = [(&few.0, &few.1), (&many.0, &many.1)];
    let all = evaluate(&pairs, &Options::default()).unwrap();
    assert_eq!((all.map_50, all.max_detections, all.cut_images.len()), (Some(1.0), Some(200), 0));
    let small = evaluate(&pairs[..1], &Options::default()).unwrap();
    assert_eq!(small.max_detections, Some(COCO_MAX_DETECTIONS));
    assert!(all.limits().is_empty());

    let coco = evaluate(&pairs, &Options { max_detections: Some(100), ..Options::default() }).unwrap();
    assert!(coco.map_50 < Some(0.6), "{:?}", coco.map_50);
    assert_eq!((coco.max_detections, &coco.cut_images[..]), (Some(100), &["many".to_owned()][..]));
    let [sentence] = &coco.limits()[..] else { panic!("{:?}", coco.limits()) };
    assert!(sentence.contains("best 100") && sentence.contains("1 image (many)"), "{sentence}");
    let json = serde_json::to_value(&coco).unwrap();
    assert_eq!((&json["max_detections"], &json["cut_images"][0]), (&100.into(), &"many".into()));
}

#[test]
fn a_detector_that_reached_its_own_limit_is_reported() {
    let (truth, mut found) = crowded("many", 120);
    found.detections.truncate(100);
    found.limit_reached = Some(100);
    let evaluation = evaluate(&[(&truth, &found)], &Options::default()).unwrap();
    assert_eq!(evaluation.limited_images, ["many"]);
    assert!(evaluation.limits()[0].contains("its limit of detections in 1 image"), "{:?}", evaluation.limits());
    // An evaluation that was kept before limits were said still reads.
    let mut old = serde_json::to_value(&evaluation).unwrap();
    for key in ["max_detections", "cut_images", "limited_images"] {
        old.as_object_mut().unwrap().remove(key);
    }
    assert!(serde_json::from_value::<Evaluation>(old).unwrap().limits().is_empty());
}
