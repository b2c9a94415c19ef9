use super::*;
use crate::boxes::BoxXyxy;
use crate::channels::{Channel, Merge};
use crate::masks::Rle;

fn image(name: &str) -> ImageDetections {
    let bbox = |c| BoxXyxy::new(c, 20, 10).unwrap();
    let mask = Rle::from_polygons(20, 10, &[vec![[2.0, 2.0], [8.0, 2.0], [8.0, 9.0]]]).unwrap();
    let detections = vec![
        Detection { bbox: bbox([1.5, 2.0, 8.25, 9.1]), label: "nucleoli".into(), score: 0.9, mask: Some(mask) },
        Detection { bbox: bbox([0.0, 0.0, 20.0, 10.0]), label: "=cmd|'/c calc'!A1".into(), score: 0.25, mask: None },
    ];
    let (merge, filled) = (Some(Merge::hpa()), vec![Channel::Yellow]);
    ImageDetections {
        image: name.into(),
        file: format!("{name}.png"),
        width: 20,
        height: 10,
        detections,
        merge,
        filled,
        stack: None,
        limit_reached: None,
    }
}

fn classes() -> Vec<String> {
    ["nucleoli", "=cmd|'/c calc'!A1"].map(str::to_owned).to_vec()
}

fn text<'a>(files: &'a [NamedBytes], name: &str) -> &'a str {
    std::str::from_utf8(&files.iter().find(|f| f.name == name).unwrap().bytes).unwrap()
}

#[test]
fn every_format_reads_back() {
    let images = [image("a"), ImageDetections { detections: Vec::new(), ..image("b") }];
    let files = export(&images, &classes(), &Format::ALL).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    let all =
        ["a.xml", "b.xml", "detections.json", "classes.txt", "a.txt", "b.txt", "detections.csv", "detections.jsonl"];
    assert_eq!(names, all);
    let expected: Vec<_> = images[0].detections.iter().map(|d| (d.bbox, d.label.clone())).collect();
    let found = |a: &ImageAnnotations| a.objects.iter().map(|o| (o.bbox, o.label.clone())).collect::<Vec<_>>();

    let voc = voc::read("a.xml", text(&files, "a.xml").as_bytes()).unwrap().value;
    assert_eq!(found(&voc), expected);
    assert_eq!(voc.objects.iter().map(|o| o.truncated).collect::<Vec<_>>(), [false, true]);

    let coco = coco::read("d.json", text(&files, "detections.json").as_bytes()).unwrap().value;
    assert_eq!((found(&coco[0]), coco[1].objects.len()), (expected.clone(), 0));
    assert_eq!(coco[0].objects[0].mask, images[0].detections[0].mask);
    assert!(
        text(&files, "detections.json").contains("\"score\":0.9,")
            || text(&files, "detections.json").contains("\"score\":0.9}")
    );

    let raw: serde_json::Value = serde_json::from_str(text(&files, "detections.json")).unwrap();
    let made_of = (&raw["images"][0]["merge"]["yellow"], &raw["images"][0]["filled"]);
    assert_eq!(made_of, (&serde_json::json!([0.5, 0.5, 0.0]), &serde_json::json!(["yellow"])));

    let listed = yolo::read_classes("classes.txt", text(&files, "classes.txt").as_bytes()).unwrap();
    let yolo = yolo::read("a.txt", text(&files, "a.txt").as_bytes(), Some(&listed), 20, 10).unwrap();
    for ((bbox, label), (b, l)) in found(&yolo.value).iter().zip(&expected) {
        assert_eq!(label, l);
        assert!(bbox.corners().iter().zip(b.corners()).all(|(x, y)| (x - y).abs() < 1e-4), "{bbox:?} {b:?}");
    }
    assert!(yolo.warnings.is_empty() && yolo.rejected.is_empty());

    let csv = csv::read_boxes("d.csv", text(&files, "detections.csv").as_bytes()).unwrap();
    assert_eq!((found(&csv.value[0]), csv.value[1].objects.len(), csv.rejected.len()), (expected, 0, 0));

    let lines = text(&files, "detections.jsonl");
    let back: Vec<_> = read_jsonl("d.jsonl", lines.as_bytes()).collect::<Result<_>>().unwrap();
    assert_eq!(back, images);
}

#[test]
fn a_line_has_the_keys_that_others_rely_on() {
    let plain = ImageDetections { file: String::new(), merge: None, filled: Vec::new(), ..image("a") }.above(0.5);
    let bare = Detection { mask: None, ..plain.detections[0].clone() };
    let line = jsonl_line(&ImageDetections { detections: vec![bare], ..plain }).unwrap();
    let expected = "{\"image\":\"a\",\"width\":20,\"height\":10,\"detections\":\
        [{\"box\":[1.5,2.0,8.25,9.1],\"label\":\"nucleoli\",\"score\":0.9}]}\n";
    assert_eq!(line, expected);
    assert!(read_jsonl("x", &b"{\"image\":1}\n"[..]).next().unwrap().is_err());
    assert!(read_jsonl("x", &b"\xff\n"[..]).next().unwrap().is_err());
    for (good, bad) in [("8.25", "20.5"), ("0.9}", "1.5}"), ("\"width\":20", "\"width\":5"), ("nucleoli", "a\\u202eb")]
    {
        let broken = line.replace(good, bad);
        assert!(broken != line && read_jsonl("x", broken.as_bytes()).next().unwrap().is_err(), "{broken}");
    }
}

#[test]
fn formulas_are_escaped_in_the_table() {
    let rows = String::from_utf8(csv_rows(&image("=a")).unwrap()).unwrap();
    for field in rows.lines().flat_map(|l| l.split(',')) {
        assert!(!field.trim_matches('"').starts_with(['=', '+', '-', '@']), "{field}");
    }
}

#[test]
fn names_stay_in_the_folder_and_apart() {
    let images = [image("../../x"), image("X"), image("classes"), image("CON")];
    let files = export(&images, &classes(), &[Format::Yolo, Format::Voc]).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    let expected =
        ["x-2.xml", "X.xml", "classes.xml", "_CON.xml", "classes.txt", "x-2.txt", "X.txt", "classes-2.txt", "_CON.txt"];
    assert_eq!(names, expected);
}

/// Two plates with images of the same names, and one image that only one of them has.
fn plates() -> [ImageDetections; 3] {
    let of = |name: &str, file: &str| ImageDetections { file: file.into(), ..image(name) };
    [of("plateA/f01", "plateA/f01.png"), of("plateB/f01", "plateB/f01.png"), of("g07", "plateB/g07.png")]
}

#[test]
fn images_of_one_name_in_two_folders_are_told_apart_in_every_format() {
    let files = export(&plates(), &classes(), &Format::ALL).unwrap();
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    for expected in ["plateA/f01.xml", "plateB/f01.xml", "g07.xml", "plateA/f01.txt", "plateB/f01.txt", "g07.txt"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    let paths = ["plateA/f01.png", "plateB/f01.png", "plateB/g07.png"];
    let coco: serde_json::Value = serde_json::from_str(text(&files, "detections.json")).unwrap();
    let named: Vec<_> = coco["images"].as_array().unwrap().iter().map(|i| i["file_name"].as_str().unwrap()).collect();
    assert_eq!(named, paths);
    let mut rows: Vec<_> = text(&files, "detections.csv")
        .lines()
        .skip(1)
        .map(|l| l.split(',').next().unwrap().trim_matches('"'))
        .collect();
    rows.dedup();
    assert_eq!(rows, paths);
    let lines: Vec<_> = read_jsonl("x", text(&files, "detections.jsonl").as_bytes()).map(|i| i.unwrap().file).collect();
    assert_eq!(lines, paths);
    let xml = text(&files, "plateB/f01.xml");
    for element in ["<folder>plateB</folder>", "<filename>f01.png</filename>", "<path>plateB/f01.png</path>"] {
        assert!(xml.contains(element), "{xml}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_folder_gets_the_files_of_a_download() {
    let out = tempfile::tempdir().unwrap();
    let images = [&plates()[..], &[image("G07"), image("classes")]].concat();
    for format in Format::ALL {
        write_folder(out.path(), format, &classes(), || images.iter().map(|image| Ok((image.clone(), None)))).unwrap();
    }
    for NamedBytes { name, bytes } in export(&images, &classes(), &Format::ALL).unwrap() {
        assert_eq!(std::fs::read(out.path().join(&name)).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_reached_limit_is_in_the_result_files() {
    let images = [ImageDetections { limit_reached: Some(100), ..image("a") }, image("b")];
    let files = export(&images, &classes(), &[Format::Coco, Format::Jsonl]).unwrap();
    let coco: serde_json::Value = serde_json::from_str(text(&files, "detections.json")).unwrap();
    assert_eq!((&coco["images"][0]["limit_reached"], coco["images"][1].get("limit_reached")), (&100.into(), None));
    let lines: Vec<serde_json::Value> =
        text(&files, "detections.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["limit_reached"], lines[1].get("limit_reached")), (&100.into(), None));
    // A limit leaves out the lowest scores: where some that were kept are below the threshold, all above it are there.
    assert_eq!(images[0].above(0.2).limit_reached, Some(100));
    assert_eq!(images[0].above(0.5).limit_reached, None);
}

#[test]
fn an_unknown_label_is_an_error() {
    for format in [Format::Coco, Format::Yolo] {
        assert!(export(&[image("a")], &classes()[..1], &[format]).is_err(), "{format:?}");
    }
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.name().to_uppercase().parse(), Ok(format));
    }
    assert!("exe".parse::<Format>().is_err());
}
