use std::io::Read;

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
fn no_formula_stands_in_the_table() {
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
        ["x.xml", "X-2.xml", "classes.xml", "_CON.xml", "classes.txt", "x.txt", "X-2.txt", "classes-2.txt", "_CON.txt"];
    assert_eq!(names, expected);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip(&files).unwrap())).unwrap();
    let mut first = String::new();
    archive.by_index(0).unwrap().read_to_string(&mut first).unwrap();
    assert_eq!((archive.len(), first.as_str()), (9, text(&files, "x.xml")));
    assert_eq!(zip(&files), zip(&files));
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
