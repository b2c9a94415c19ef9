//! Measurements against scikit-image's `regionprops`, whose values `golden/measure.py` wrote.
#![cfg(not(target_arch = "wasm32"))]

mod golden;

use std::io::Read;

use cytobox::boxes::BoxXyxy;
use cytobox::channels::{Projection, StackPlane};
use cytobox::detections::{Detection, ImageDetections};
use cytobox::export::{MeasuredFormat, measured_file};
use cytobox::masks::{LabelImage, Rle};
use cytobox::measure::{Cell, Options, Plane, Ring, Samples, Table, Value, measure, shape};
use serde_json::Value as Json;

const TOLERANCE: f64 = 1e-4;

/// The columns that a golden cell has values for, in and around the mask.
const SHAPE: [(&str, &str); 10] = [
    ("area [px²]", "area"),
    ("perimeter [px]", "perimeter"),
    ("equivalent diameter [px]", "equivalent_diameter"),
    ("major axis [px]", "major_axis"),
    ("minor axis [px]", "minor_axis"),
    ("max Feret diameter [px]", "feret_max"),
    ("eccentricity", "eccentricity"),
    ("solidity", "solidity"),
    ("extent", "extent"),
    ("ring area [px²]", "ring_area"),
];
const STATISTICS: [(&str, &str); 6] = [
    ("mean", "mean"),
    ("median", "median"),
    ("SD", "sd"),
    ("min", "min"),
    ("max", "max"),
    ("integrated", "integrated"),
];

fn cases() -> Vec<Json> {
    serde_json::from_str(include_str!("golden/measure.json")).unwrap()
}

fn numbers(json: &Json) -> Vec<f64> {
    let number = |v: &Json| v.as_f64().unwrap_or_else(|| v.as_str().unwrap().parse().unwrap());
    json.as_array().unwrap().iter().map(number).collect()
}

fn masks(case: &Json) -> Vec<Rle> {
    let cells = case["cells"].as_array().unwrap();
    cells.iter().map(|cell| serde_json::from_value(cell.clone()).unwrap()).collect()
}

fn cells(masks: &[Rle]) -> Vec<Cell<'_>> {
    let bbox = |mask: &Rle| BoxXyxy::try_from(mask.bbox().unwrap().map(|c| c as f32)).unwrap();
    masks.iter().map(|mask| Cell { bbox: bbox(mask), mask: Some(mask) }).collect()
}

/// The table of a golden case, whose channel is called `c`.
fn measured(case: &Json, pixel_size: Option<f64>) -> Table {
    let samples = numbers(&case["samples"]);
    let (u8s, u16s, f32s): (Vec<u8>, Vec<u16>, Vec<f32>) = (
        samples.iter().map(|v| *v as u8).collect(),
        samples.iter().map(|v| *v as u16).collect(),
        samples.iter().map(|v| *v as f32).collect(),
    );
    let samples = match case["depth"].as_str().unwrap() {
        "uint8" => Samples::U8(&u8s),
        "uint16" => Samples::U16(&u16s),
        _ => Samples::F32(&f32s),
    };
    let [inner, outer] = numbers(&case["ring"])[..] else { panic!("a ring has two distances") };
    let options = Options { ring: Ring::new(inner as u32, outer as u32).unwrap(), pixel_size };
    let [width, height] = ["width", "height"].map(|side| case[side].as_u64().unwrap() as u32);
    measure(width, height, &cells(&masks(case)), &[Plane { name: "c".into(), samples }], &options).unwrap()
}

fn value<'a>(table: &'a Table, row: usize, header: &str) -> &'a Value {
    let at = table.columns().iter().position(|c| c.header() == header);
    &table.rows()[row][at.unwrap_or_else(|| panic!("no column {header}"))]
}

/// Alike to the tolerance, relative to the value or to `scale`; both may be missing.
fn check(found: &Value, expected: &Json, scale: f64, what: &str) {
    match (found.number(), expected.as_f64()) {
        (Some(a), Some(b)) => {
            assert!((a - b).abs() <= TOLERANCE * b.abs().max(scale) + 1e-9, "{what}: {a}, scikit-image has {b}")
        }
        (None, None) => assert_eq!((found, expected), (&Value::Missing, &Json::Null), "{what}"),
        _ => panic!("{what}: {found:?}, scikit-image has {expected}"),
    }
}

#[test]
fn measurements_are_those_of_scikit_image() {
    let mut compared = 0;
    for (c, case) in cases().iter().enumerate() {
        let table = measured(case, None);
        for (row, cell) in case["cells"].as_array().unwrap().iter().enumerate() {
            let what = |name: &str| format!("case {c}, cell {row}, {name}");
            for (header, key) in SHAPE {
                // A line has a minor axis of zero but for rounding.
                let scale = if key == "minor_axis" { 1e-2 } else { 0.0 };
                check(value(&table, row, header), &cell[key], scale, &what(header));
            }
            for (i, header) in ["centroid x [px]", "centroid y [px]"].into_iter().enumerate() {
                check(value(&table, row, header), &cell["centroid"][i], 0.0, &what(header));
                let weighted = format!("c weighted {header}");
                check(value(&table, row, &weighted), &cell["weighted_centroid"][i], 0.0, &what(&weighted));
            }
            for (i, header) in ["x1 [px]", "y1 [px]", "x2 [px]", "y2 [px]"].into_iter().enumerate() {
                check(value(&table, row, header), &cell["bbox"][i], 0.0, &what(header));
            }
            let border = cell["touches_border"].as_bool().unwrap();
            assert_eq!(value(&table, row, "touches border"), &Value::Flag(border), "{}", what("border"));
            for (name, key) in STATISTICS {
                for (place, prefix) in [("inside", "c"), ("ring", "c ring")] {
                    let header = format!("{prefix} {name} [grey level]");
                    check(value(&table, row, &header), &cell[place][key], 0.0, &what(&header));
                }
            }
            same_direction(value(&table, row, "orientation [rad]"), &cell["orientation"], &what("orientation"));
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Angles that differ by π are one direction.
fn same_direction(found: &Value, expected: &Json, what: &str) {
    let (Some(a), Some(b)) = (found.number(), expected.as_f64()) else {
        return check(found, expected, 0.0, what);
    };
    assert!((a - b).sin().abs() < TOLERANCE, "{what}: {a}, scikit-image has {b}");
}

#[test]
fn a_pixel_size_adds_columns_in_micrometres() {
    let case = &cases()[0];
    let (plain, sized) = (measured(case, None), measured(case, Some(0.25)));
    for row in 0..plain.rows().len() {
        let both =
            |px: &str, um: &str| (value(&plain, row, px).number().unwrap(), value(&sized, row, um).number().unwrap());
        let (area, in_um) = both("area [px²]", "area [µm²]");
        assert_eq!(area * 0.0625, in_um);
        let (feret, in_um) = both("max Feret diameter [px]", "max Feret diameter [µm]");
        assert_eq!(feret * 0.25, in_um);
    }
    assert!(plain.columns().iter().all(|column| !column.header().contains('µ')));
}

#[test]
fn a_box_without_a_mask_is_measured_and_says_so() {
    let (plane, mask) = ([7u8; 12 * 9], Rle::from_box(12, 9, [2.0, 3.0, 6.0, 8.0]).unwrap());
    let bbox = BoxXyxy::new([2.4, 3.0, 6.4, 7.9], 12, 9).unwrap();
    let empty = Rle::from_counts(12, 9, vec![108]).unwrap();
    let cells = [Cell { bbox, mask: None }, Cell { bbox, mask: Some(&mask) }, Cell { bbox, mask: Some(&empty) }];
    let plane = Plane { name: "grey".into(), samples: Samples::U8(&plane) };
    let table = measure(12, 9, &cells, &[plane], &Options::default()).unwrap();
    assert_eq!([0, 1, 2].map(|row| value(&table, row, "region").clone()), ["box", "mask", "mask"].map(Value::from));
    assert_eq!(table.rows()[0][1..], table.rows()[1][1..]);
    // Nothing to measure: an area of zero, and the rest undefined.
    assert_eq!(value(&table, 2, "area [px²]"), &Value::Number(0.0));
    let defined = table.rows()[2].iter().filter(|value| **value != Value::Missing).count();
    assert_eq!((defined, value(&table, 2, "grey mean [grey level]")), (3, &Value::Missing), "region, area, ring area");
    assert_eq!(shape(&empty), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let bbox = BoxXyxy::new([0.0, 0.0, 2.0, 2.0], 4, 4).unwrap();
    let other = Rle::from_box(5, 4, [0.0, 0.0, 2.0, 2.0]).unwrap();
    let cell = |mask| Cell { bbox, mask };
    let plane = |samples| Plane { name: "grey".into(), samples: Samples::U16(samples) };
    let none = Options::default();
    assert!(measure(4, 4, &[cell(Some(&other))], &[plane(&[0; 16])], &none).is_err());
    assert!(measure(4, 4, &[cell(None)], &[plane(&[0; 15])], &none).is_err());
    for pixel_size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(measure(4, 4, &[cell(None)], &[], &Options { pixel_size: Some(pixel_size), ..none }).is_err());
    }
    // A float that is not a number makes what depends on it undefined.
    let mut samples = [1.0f32; 16];
    samples[0] = f32::NAN;
    let plane = Plane { name: "f".into(), samples: Samples::F32(&samples) };
    let table = measure(4, 4, &[cell(None)], &[plane], &none).unwrap();
    assert_eq!(value(&table, 0, "f mean [grey level]"), &Value::Missing);
    assert_eq!(value(&table, 0, "area [px²]"), &Value::Number(4.0));
}

fn mask(rows: &[&str]) -> Rle {
    let bitmap: Vec<bool> = rows.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
    Rle::from_bitmap(rows[0].len() as u32, rows.len() as u32, &bitmap).unwrap()
}

/// An L, a cell with a hole and a second piece, two holes that meet at a corner and lie over the L, and a box.
fn detections() -> ImageDetections {
    let masks = [
        mask(&["#.......", "#.......", "###.....", "........", "........", "........"]),
        mask(&["........", "........", "........", "###...##", "#.#...##", "###....."]),
        mask(&["####....", "#.##....", "##.#....", "####....", "........", "........"]),
    ];
    let bbox = BoxXyxy::new([4.0, 1.0, 6.5, 2.0], 8, 6).unwrap();
    let detection = |(i, mask): (usize, Option<&Rle>)| Detection {
        bbox,
        label: ["round", "a/b: µ", "round", "=x"][i].into(),
        score: [0.9, 0.8, 0.7, 0.6][i],
        mask: mask.cloned(),
    };
    let detections = masks.iter().map(Some).chain([None]).enumerate().map(detection).collect();
    ImageDetections { image: "a".into(), width: 8, height: 6, detections, ..ImageDetections::default() }
}

/// What [`measured_file`] makes of [`detections`].
fn file(format: MeasuredFormat) -> Vec<u8> {
    measured_file(format, &detections(), &table_of(&detections())).unwrap().unwrap().bytes
}

/// The shapes of its cells.
fn table_of(image: &ImageDetections) -> Table {
    let cells: Vec<Cell> = image.detections.iter().map(|d| Cell { bbox: d.bbox, mask: d.mask.as_ref() }).collect();
    measure(image.width, image.height, &cells, &[], &Options::default()).unwrap()
}

#[test]
fn a_label_image_has_the_numbers_of_the_table() {
    let labels = LabelImage::decode("a_labels.tif", &file(MeasuredFormat::Labels)).unwrap();
    assert_eq!((labels.width(), labels.height(), labels.bits()), (8, 6, 16));
    let found = labels.masks();
    let image = detections();
    let [first, second, third] = [0, 1, 2].map(|i| image.detections[i].mask.clone().unwrap());
    assert_eq!((&found[&1], &found[&4].bbox()), (&first, &Some([4, 1, 6, 2])));
    // The first is above the third, and that below the second.
    assert_eq!(found[&2], second);
    let covered = first.union(&second).unwrap().intersection(&third).unwrap();
    assert_eq!(found[&3].area(), third.area() - covered);
}

/// The bytes that `golden/rois.py` has read with roifile.
#[test]
fn outlines_for_image_j_are_those_that_roifile_reads() {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file(MeasuredFormat::Rois))).unwrap();
    let mut found = serde_json::Map::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.insert(
            entry.name().unwrap().into_owned(),
            bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into(),
        );
    }
    let expected: Json = serde_json::from_str(include_str!("golden/rois.json")).unwrap();
    assert_eq!(Json::Object(found.clone()), expected["rois"], "{}", Json::Object(found));
}

#[test]
fn outlines_for_qupath_have_holes_classes_and_measurements() {
    let whole: Json = serde_json::from_slice(&file(MeasuredFormat::GeoJson)).unwrap();
    assert_eq!(whole["type"], "FeatureCollection");
    let features = whole["features"].as_array().unwrap();
    let kinds: Vec<&str> = features.iter().map(|f| f["geometry"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Polygon", "MultiPolygon", "Polygon", "Polygon"]);
    let rings = |i: usize| features[i]["geometry"]["coordinates"].as_array().unwrap();
    assert_eq!(
        features[0]["geometry"]["coordinates"],
        serde_json::json!([[[1, 0], [1, 2], [3, 2], [3, 3], [0, 3], [0, 0], [1, 0]]])
    );
    assert_eq!(rings(1).iter().map(|polygon| polygon.as_array().unwrap().len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(rings(2).len(), 3, "holes that meet at a corner are two rings");
    let properties = &features[1]["properties"];
    assert_eq!((&properties["objectType"], &properties["name"]), (&"detection".into(), &"2".into()));
    assert_eq!(properties["classification"]["name"], "a/b: µ");
    let measurements = properties["measurements"].as_object().unwrap();
    assert_eq!((&measurements["area [px²]"], &measurements["score"]), (&12.0.into(), &0.8.into()));
    assert!(measurements.values().all(Json::is_number), "{measurements:?}");
}

/// One cell a pixel: more than 16 bits count.
fn crowd() -> ImageDetections {
    let (width, height) = (260, 260);
    let cell = |i: u32| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let bbox = BoxXyxy::new([x, y, x + 1.0, y + 1.0], width, height).unwrap();
        Detection { bbox, label: "a".into(), score: 0.5, mask: None }
    };
    let detections = (0..width * height).map(cell).collect();
    ImageDetections { image: "many".into(), width, height, detections, ..ImageDetections::default() }
}

/// `readers/exports.py` reads label images, outlines and GeoJSON with tifffile, Pillow, roifile and shapely.
#[test]
fn other_programs_read_the_same_cells() {
    let has_readers = golden::python().args(["-c", "import PIL, roifile, shapely, tifffile"]).output();
    if !has_readers.is_ok_and(|output| output.status.success()) {
        // xtask sets it, and has installed them.
        assert!(std::env::var_os("CYTOBOX_GOLDEN").is_none(), "{:?} lacks a reader", golden::python());
        return println!("skipped: no python3 with Pillow, roifile, shapely and tifffile");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let stack = StackPlane { slices: 5, frames: 4, projection: Projection::Plane, z: Some(3), t: Some(2) };
    let image = ImageDetections { stack: Some(stack), ..detections() };
    for format in MeasuredFormat::ALL.into_iter().filter(|format| *format != MeasuredFormat::Measurements) {
        let found = measured_file(format, &image, &table_of(&image)).unwrap().unwrap();
        write(&format!("a{}", found.ending), &found.bytes);
    }
    let many = measured_file(MeasuredFormat::Labels, &crowd(), &Table::default()).unwrap().unwrap();
    write("many_labels.tif", &many.bytes);
    let rows = |detection: &Detection| {
        let cell = Cell { bbox: detection.bbox, mask: detection.mask.as_ref() };
        let bitmap = cell.pixels(8, 6).unwrap().to_bitmap();
        let row = |y: usize| bitmap[y * 8..][..8].iter().map(|inside| if *inside { '#' } else { '.' }).collect();
        (0..6).map(row).collect::<Vec<String>>()
    };
    let cells: Vec<Json> = detections()
        .detections
        .iter()
        .map(|detection| serde_json::json!({ "label": detection.label, "rows": rows(detection) }))
        .collect();
    write("cells.json", serde_json::to_string(&cells).unwrap().as_bytes());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers/exports.py");
    let output = golden::python().arg(script).arg(folder.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "exports.py:\n{}\n{}", text(&output.stdout), text(&output.stderr));
}
