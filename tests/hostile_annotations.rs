//! Damaged, huge or malicious annotation files: an error or a named rejection, quickly, and never a panic.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cytobox::annotations::dataset::ImageInfo;
use cytobox::annotations::{ImageAnnotations, coco, csv, gather, labelme, via, voc, yolo};
use cytobox::detections::ImageDetections;
use cytobox::export::{self, Format};
use cytobox::masks::{LabelImage, Rle};
use proptest::prelude::*;

/// What every reader makes of the bytes is sound, whatever they are.
fn feed_all(bytes: &[u8]) {
    let sound = |image: &ImageAnnotations| {
        for object in &image.objects {
            let [x1, y1, x2, y2] = object.bbox.corners();
            assert!(x1 >= 0.0 && y1 >= 0.0 && x2 > x1 && y2 > y1 && x2.is_finite() && y2.is_finite());
            assert!(image.width == 0 || (x2 <= image.width as f32 && y2 <= image.height as f32));
            assert!(!object.label.is_empty() && object.label.chars().count() <= 128);
        }
    };
    if let Ok(parsed) = voc::read("a.xml", bytes) {
        sound(&parsed.value);
    }
    if let Ok(parsed) = coco::read("a.json", bytes) {
        parsed.value.iter().for_each(sound);
    }
    if let Ok(parsed) = csv::read_boxes("a.csv", bytes) {
        parsed.value.iter().for_each(sound);
    }
    if let Ok(parsed) = yolo::read("a.txt", bytes, None, 64, 48) {
        sound(&parsed.value);
    }
    if let Ok(parsed) = labelme::read("a.json", bytes) {
        sound(&parsed.value);
    }
    if let Ok(parsed) = via::read("a.json", bytes, "cell") {
        parsed.value.iter().for_each(sound);
    }
    let images = [ImageInfo::new("a", 64, 48), ImageInfo::new("d/b", 0, 0)];
    for name in ["a.xml", "a.json", "t.csv", "a.txt", "a_cp_outlines.txt", "data.yaml", "a_mask.png", "a_mask.tif"] {
        let options = gather::Options { label: "cell", number_pieces: name.len() % 2 == 0 };
        gather::gather_with(&[(name, bytes)], &images, &options).annotations.iter().for_each(sound);
    }
    let _ = csv::read_image_labels("a.csv", bytes);
    let _ = yolo::read_classes("classes.txt", bytes);
    let _ = LabelImage::decode("a_mask.png", bytes);
    let _ = export::read_jsonl("a.jsonl", bytes).count();
}

/// Valid files of every format, made here.
fn samples() -> Vec<Vec<u8>> {
    let mut image = voc::read(
        "a.xml",
        b"<annotation verified=\"yes\"><filename>a.png</filename><size><width>64</width><height>48</height></size>\
          <object><name>&lt;cell&gt;</name><bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>\
          <object><name>dead cell</name><difficult>1</difficult>\
          <bndbox><xmin>31</xmin><ymin>2</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object></annotation>",
    )
    .unwrap()
    .value;
    let mask = Rle::from_polygons(64, 48, &[vec![[2.0, 2.0], [30.0, 4.0], [20.0, 40.0]]]).unwrap();
    let classes = ["<cell>".to_owned(), "dead cell".to_owned()];
    let labels = LabelImage::from_masks(64, 48, [Some(&mask)]).unwrap();
    image.objects[0].mask = Some(mask);
    let images = std::slice::from_ref(&image);
    let json = r#"{"image":"a","width":64,"height":48,"detections":[{"box":[1,2,3,4],"label":"c","score":0.5,"mask":{"size":[48,64],"counts":[3000,72]}}]}"#;
    vec![
        voc::write(&image).into_bytes(),
        coco::write(images, &classes).unwrap(),
        csv::write_boxes(images).unwrap(),
        yolo::write(&image, &classes).unwrap().into_bytes(),
        b"Id,Target\na,1 2 3\nb,27\n".to_vec(),
        labels.encode_png().unwrap(),
        json.as_bytes().to_vec(),
        br#"{"shapes":[{"label":"c","points":[[1,1],[9,1],[9,9]],"group_id":1},{"label":"c","points":[[2,2],[5,5]],
            "shape_type":"circle"}],"imagePath":"a.png","imageHeight":48,"imageWidth":64}"#
            .to_vec(),
        br#"{"a":{"filename":"a.png","regions":[{"shape_attributes":{"name":"polygon","all_points_x":[2,8,8],
            "all_points_y":[2,2,9]},"region_attributes":{"class":"c"}}]}}"#
            .to_vec(),
        b"file;x;y;width;height;class\na.png;1;2;3,5;4;c\n".to_vec(),
        b"<?xml version='1.0' encoding='gbk'?><annotation><imagesize><ncols>64</ncols><nrows>48</nrows></imagesize><object>\
          <name>\xcf\xb8</name><polygon><pt><x>1</x><y>1</y></pt><pt><x>9</x><y>1</y></pt><pt><x>9</x><y>9</y></pt></polygon>\
          </object><object><name>r</name><robndbox><cx>9</cx><cy>9</cy><w>4</w><h>2</h><angle>1</angle></robndbox></object>\
          </annotation>"
            .to_vec(),
        b"names:\n  0: cell\n  1: 'dead, cell'\n".to_vec(),
        tiff_labels(),
    ]
}

/// A TIFF of 32-bit labels.
fn tiff_labels() -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let labels: Vec<u32> = (0..64 * 48).map(|i| if i % 64 < 20 { 70_000 } else { i % 3 }).collect();
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut out).unwrap();
    encoder.write_image::<tiff::encoder::colortype::Gray32>(64, 48, &labels).unwrap();
    out.into_inner()
}

fn real_files() -> Vec<PathBuf> {
    let Some(data) = common::real_data() else { return Vec::new() };
    let mut files = Vec::new();
    for folder in ["voc_odd", "bccd/Annotations", "hpa/test"] {
        let Ok(entries) = std::fs::read_dir(data.join(folder)) else { continue };
        let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        found.retain(|f| f.to_str().is_some_and(|f| f.ends_with(".xml") || f.ends_with("_mask.png")));
        found.sort();
        files.extend(found.into_iter().take(50));
    }
    if files.is_empty() {
        common::skipped("the folder of real data holds no annotations");
    }
    files
}

fn within(limit: Duration, what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    assert!(start.elapsed() < limit, "{what} took {:?}", start.elapsed());
}

#[test]
fn truncation_anywhere_is_no_panic() {
    for bytes in samples() {
        let step = 1 + bytes.len() / 2000;
        (0..bytes.len()).step_by(step).for_each(|end| feed_all(&bytes[..end]));
    }
    for path in real_files() {
        let bytes = std::fs::read(&path).unwrap();
        let is_xml = path.extension().is_some_and(|e| e == "xml");
        for end in (0..bytes.len()).step_by(37) {
            feed_all(&bytes[..end]);
            let text = String::from_utf8_lossy(&bytes[..end]);
            if is_xml && !text.trim_end().ends_with("</annotation>") {
                assert!(voc::read("a.xml", &bytes[..end]).is_err(), "{path:?} cut at {end} was taken as whole");
            }
        }
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let mut laughs = String::from("<!DOCTYPE lolz [<!ENTITY l0 \"lol\">");
    for i in 1..10 {
        let _ = write!(laughs, "<!ENTITY l{i} \"{}\">", format!("&l{};", i - 1).repeat(10));
    }
    laughs.push_str("]><annotation><filename>&l9;</filename></annotation>");
    let external =
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><annotation><filename>&x;</filename></annotation>";
    let deep = format!("<annotation>{}{}</annotation>", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let unclosed = format!("<annotation>{}", "<a>".repeat(1_000_000));
    let objects = format!("<annotation>{}</annotation>", "<object/>".repeat(10_001));
    let huge = "<annotation>".to_owned() + &" ".repeat(5 << 20) + "</annotation>";
    for (what, xml) in [
        ("a billion laughs", laughs.as_str()),
        ("an external entity", external),
        ("deep nesting", &deep),
        ("a million open elements", &unclosed),
        ("too many objects", &objects),
        ("five megabytes", &huge),
    ] {
        within(Duration::from_secs(2), what, || assert!(voc::read("a.xml", xml.as_bytes()).is_err(), "{what}"));
    }
}

#[test]
fn many_attributes_and_elements_take_linear_time() {
    let mut attributes = String::from("<annotation");
    // Four bytes each: a million are the cap of the file.
    (0..1_000_000).for_each(|i| attributes.push_str([" a=''", " b"][usize::from(i % 2 == 1)]));
    attributes.push_str("></annotation>");
    let elements = format!("<annotation>{}</annotation>", "<a/>".repeat(1_000_000));
    let comments = format!("<annotation>{}</annotation>", "<!---->".repeat(500_000));
    let references = format!("<annotation><filename>{}</filename></annotation>", "&lt;".repeat(1_000_000));
    let label = format!("<annotation><object><name>{}</name></object></annotation>", "x".repeat(4_000_000));
    for xml in [attributes, elements, comments, references, label] {
        within(Duration::from_secs(2), &xml[..30], || {
            let _ = voc::read("a.xml", xml.as_bytes());
        });
    }
}

#[test]
fn hostile_geometry_does_not_exhaust_time_or_memory() {
    let head = r#"{"images":[{"id":1,"file_name":"a","width":8192,"height":8192}],"categories":[{"id":1,"name":"c"}],"annotations":["#;
    let zigzag: Vec<String> =
        (0..100_000).map(|i| if i % 2 == 0 { "0,0".into() } else { "8192,8192".to_owned() }).collect();
    let mut counts = String::from("[0");
    (0..1_000_000).for_each(|_| counts.push_str(",0"));
    for segmentation in [
        format!("[[{}]]", zigzag.join(",")),
        format!("{{\"size\":[8192,8192],\"counts\":{counts}]}}"),
        r#"{"size":[4294967295,4294967295],"counts":[1]}"#.to_owned(),
        format!("{{\"size\":[8192,8192],\"counts\":\"{}\"}}", "o".repeat(1_000_000)),
        "[".repeat(100) + &"]".repeat(100),
    ] {
        let json =
            format!("{head}{{\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,9,9],\"segmentation\":{segmentation}}}]}}");
        within(Duration::from_secs(2), &segmentation[..20], || {
            if let Ok(parsed) = coco::read("a.json", json.as_bytes()) {
                assert_eq!(parsed.rejected.len(), 1);
            }
        });
    }
}

#[test]
fn many_files_and_names_take_linear_time() {
    let xml = b"<annotation><size><width>9</width><height>9</height></size></annotation>";
    // One name in many folders, and a file for each.
    let images: Vec<ImageInfo> = (0..20_000)
        .map(|i| ImageInfo {
            files: vec![format!("r/p{i}/images/f.png")],
            ..ImageInfo::new(&format!("r/p{i}/images/f"), 9, 9)
        })
        .collect();
    let names: Vec<String> = (0..20_000).map(|i| format!("r/p{i}/labels/f.xml")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), xml as &[u8])).collect();
    within(Duration::from_secs(2), "one name in many folders", || {
        assert_eq!(gather::gather(&files, &images, "cell").annotations.len(), 20_000);
    });
    // As many class lists as files that need one.
    let lists: Vec<String> = (0..5_000).map(|i| format!("r/q{i}/classes.txt")).collect();
    let texts: Vec<String> = (0..5_000).map(|i| format!("r/p{i}/labels/f.txt")).collect();
    let files: Vec<(&str, &[u8])> = (lists.iter().map(|name| (name.as_str(), b"c\n" as &[u8])))
        .chain(texts.iter().map(|name| (name.as_str(), b"0 .5 .5 .5 .5\n" as &[u8])))
        .collect();
    within(Duration::from_secs(2), "many lists of classes", || {
        assert_eq!(gather::gather(&files, &images, "cell").annotations.len(), 5_000);
    });
}

#[test]
fn noise_is_no_label_image() {
    let noise = |side: u32, values: u32| {
        let mut state = 1u32;
        let pixel = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) % values) as u16
        };
        let labels: Vec<u16> = (0..side * side).map(pixel).collect();
        LabelImage::new(side, side, labels).unwrap().encode_png().unwrap()
    };
    let images = [ImageInfo::new("a", 0, 0)];
    for (what, bytes) in
        [("few values", noise(800, 3)), ("many values", noise(800, 255)), ("all values", noise(350, 65_535))]
    {
        for number_pieces in [false, true] {
            within(Duration::from_secs(2), what, || {
                let options = gather::Options { label: "cell", number_pieces };
                let found = gather::gather_with(&[("a_mask.png", &bytes)], &images, &options);
                assert!(found.annotations.is_empty() && found.rejected.len() == 1, "{what}: {:?}", found.rejected);
            });
        }
    }
}

#[test]
fn endless_lists_are_refused() {
    let zeros = "0,".repeat(2_000_000);
    let head = r#"{"images":[{"id":1,"file_name":"a","width":8,"height":8}],"categories":[],"annotations":["#;
    for (what, json) in [
        ("two million annotations", format!("{head}{zeros}0]}}")),
        ("an annotation of two million numbers", format!("{head}{{\"segmentation\":[{zeros}0]}}]}}")),
        ("ten thousand bad annotations", format!("{head}{}0]}}", "0,".repeat(10_000))),
        (
            "a long text",
            format!("{head}\"{}\",{{\"image_id\":\"{}\"}}]}}", "x".repeat(9_000_000), "y".repeat(9_000_000)),
        ),
    ] {
        within(Duration::from_secs(2), what, || match coco::read("a.json", json.as_bytes()) {
            Ok(parsed) => {
                assert_eq!((what, parsed.rejected.len()), ("a long text", 2));
                assert!(parsed.rejected.iter().all(|e| e.to_string().len() < 1000));
            }
            Err(error) => assert!(error.to_string().len() < 1000),
        });
    }
    assert!(csv::read_boxes("t.csv", ",1\n".repeat(10_001).as_bytes()).is_err());
    let tags = format!("<annotation><{}></b></annotation>", "a".repeat(3_000_000));
    assert!(voc::read("a.xml", tags.as_bytes()).is_err_and(|e| e.to_string().len() < 1000));
}

#[test]
fn names_from_files_never_become_paths() {
    for name in [
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "/abs/olute",
        "C:\\x\\y",
        "a/../b",
        "..",
        ".",
        "",
        "nul",
        "\u{202e}gpj",
    ] {
        let escaped = name.replace('&', "&amp;");
        let xml = format!("<annotation><filename>{escaped}</filename></annotation>");
        let value = voc::read(name, xml.as_bytes()).unwrap().value;
        for part in [&value.image, &value.file] {
            assert!(!part.contains(['/', '\\', '\u{202e}']), "{part}");
        }
        let image = ImageDetections {
            image: name.to_owned(),
            file: name.to_owned(),
            width: 5,
            height: 5,
            ..ImageDetections::default()
        };
        for file in export::export(&[image], &[], &Format::ALL).unwrap() {
            let ok = !file.name.contains(['/', '\\', ':', '\0', '\u{202e}']) && !file.name.starts_with('.');
            assert!(ok && file.name.len() < 255, "{}", file.name);
        }
    }
}

#[test]
fn markup_in_labels_is_only_text() {
    for label in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "]]>",
        "&lt;b&gt;",
        "a & b",
        "=HYPERLINK(\"x\")",
    ] {
        let table = csv_row(label);
        let images = csv::read_boxes("t.csv", &table).unwrap().value;
        assert_eq!(images[0].objects[0].label, label);
        let mut image = images[0].clone();
        (image.width, image.height) = (20, 20);
        let xml = voc::write(&image);
        assert!(!xml.contains("<script") && !xml.contains("<img"), "{xml}");
        assert_eq!(voc::read("a.xml", xml.as_bytes()).unwrap().value.objects[0].label, label);
        let classes = [label.to_owned()];
        let again = coco::read("c.json", &coco::write(&[image], &classes).unwrap()).unwrap().value;
        assert_eq!(again[0].objects[0].label, label);
    }
}

fn csv_row(label: &str) -> Vec<u8> {
    format!("a.png,1,1,9,9,\"{}\"\n", label.replace('"', "\"\"")).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn changed_bytes_are_no_panic(which in 0usize..13, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = samples().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        feed_all(&bytes);
    }

    #[test]
    fn other_numbers_are_no_panic(numbers in prop::collection::vec(
        prop_oneof![Just("NaN"), Just("inf"), Just("-inf"), Just("-1"), Just("0"), Just("1e308"), Just("1e-320"), Just(""), Just("8"), Just("64")], 6,
    )) {
        let [a, b, c, d, w, h] = <[&str; 6]>::try_from(numbers).unwrap();
        feed_all(format!("<annotation><size><width>{w}</width><height>{h}</height></size><object><name>c</name><bndbox>\
            <xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object></annotation>").as_bytes());
        feed_all(format!("a.png,{a},{b},{c},{d},c\n").as_bytes());
        feed_all(format!("0 {a} {b} {c} {d}\n0 {a} {b} {c} {d} {w} {h}\n").as_bytes());
        feed_all(format!("{{\"images\":[{{\"id\":1,\"file_name\":\"a\",\"width\":64,\"height\":48}}],\"categories\":[{{\"id\":1,\
            \"name\":\"c\"}}],\"annotations\":[{{\"image_id\":1,\"category_id\":1,\"bbox\":[{a},{b},{c},{d}]}}]}}").as_bytes());
    }
}
