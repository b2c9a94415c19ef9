use proptest::prelude::*;

use super::*;
use crate::annotations::{ImageAnnotations, Object, Parsed};
use crate::boxes::BoxXyxy;
use crate::error::Error;

fn object(corners: &str) -> String {
    let [xmin, ymin, xmax, ymax] = <[&str; 4]>::try_from(corners.split(' ').collect::<Vec<_>>()).unwrap();
    format!(
        "<object><name>cell</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>\
         </bndbox></object>"
    )
}

fn parse(inner: &str) -> Parsed<ImageAnnotations> {
    let xml = format!("<annotation><size><width>100</width><height>50</height></size>{inner}</annotation>");
    read("a.xml", xml.as_bytes()).unwrap()
}

fn refusal(inner: &str) -> String {
    let parsed = parse(&format!("{}{inner}{}", object("1 1 5 5"), object("2 2 6 6")));
    assert_eq!(parsed.value.objects.len(), 2, "the others are kept");
    match parsed.rejected.as_slice() {
        [Error::Object { file, object: 2, reason }] if file == "a.xml" => reason.clone(),
        other => panic!("{inner}: expected a refusal of object 2, got {other:?}"),
    }
}

#[test]
fn corners_are_one_based_and_inclusive() {
    let parsed = parse(&object("1 1 100 50"));
    assert_eq!(parsed.value.objects[0].bbox.corners(), [0.0, 0.0, 100.0, 50.0]);
    assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty());
    assert_eq!(parse(&object("1.5 2e0 \t3.25\n 9")).value.objects[0].bbox.corners(), [0.5, 1.0, 3.25, 9.0]);
}

#[test]
fn bad_boxes_are_refused_with_their_number() {
    for (corners, word) in [
        ("NaN 1 5 5", "finite"),
        ("1 1 inf 5", "finite"),
        ("1 -inf 5 5", "finite"),
        ("5 5 5 5", "empty"),
        ("5 5 5 9", "empty"),
        ("9 5 5 9", "inverted"),
        ("1 1 102 50", "outside"),
        ("-2 1 10 50", "outside"),
        ("1e300 1 1e301 5", "finite"),
        ("200 1 300 5", "outside"),
        ("1,5 1 3 5", "not a number"),
        ("x 1 3 5", "\"x\""),
        (" 1 3 5", "not a number"),
    ] {
        let reason = refusal(&object(corners));
        assert!(reason.contains(word) && reason.len() < 200, "{corners}: {reason}");
    }
    for (inner, word) in [
        ("<object/>", "no label"),
        ("<object><name>c</name></object>", "no <xmin>"),
        ("<object><name> </name></object>", "no label"),
        ("<object><name>a</name><name>b</name></object>", "two elements"),
        ("<object><name>a&#x202e;b</name></object>", "U+202E"),
        ("<object><name>s</name><robndbox><cx>3</cx></robndbox></object>", "rotated"),
    ] {
        let reason = refusal(inner);
        assert!(reason.contains(word), "{inner}: {reason}");
    }
}

#[test]
fn up_to_a_pixel_over_the_edge_is_clipped_and_reported() {
    let parsed = parse(&object("0 0 101 51"));
    assert_eq!(parsed.value.objects[0].bbox.corners(), [0.0, 0.0, 100.0, 50.0]);
    assert!(parsed.warnings[0].starts_with("a.xml, object 1: "), "{:?}", parsed.warnings);
}

#[test]
fn order_parts_and_missing_flags_do_not_matter() {
    let xml = "\u{feff}<?xml version=\"1.0\"?><!-- x --><annotation verified=\"yes\" note='a>b'>\
        <object><bndbox><ymax>9</ymax><xmax>8</xmax><xmin>2</xmin><ymin>3</ymin></bndbox>\
        <part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><truncated>1</truncated>\
        <name>R&amp;B &lt;b&gt; &#228;<![CDATA[ & ]]>x</name></object>\
        <filename>C:\\dir\\b c.jpg</filename><size><height>10</height><width>20</width></size></annotation>\n";
    let parsed = read("/some/where/a.v2.xml", xml.as_bytes()).unwrap();
    let value = parsed.value;
    assert_eq!((value.image.as_str(), value.file.as_str(), value.verified), ("a.v2", "b c.jpg", true));
    let object = &value.objects[0];
    assert_eq!(object.bbox.corners(), [1.0, 2.0, 8.0, 9.0]);
    assert_eq!((object.label.as_str(), object.truncated, object.difficult), ("R&B <b> ä & x", true, false));
    assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty());
}

#[test]
fn no_size_is_a_warning_and_leaves_the_edges_open() {
    for size in ["", "<size/>", "<size><width>0</width><height>0</height></size>", "<size><width>x</width></size>"] {
        let xml = format!("<annotation>{size}{}</annotation>", object("1 1 9000 5"));
        let parsed = read("a.xml", xml.as_bytes()).unwrap();
        assert_eq!((parsed.value.width, parsed.value.objects.len(), parsed.warnings.len()), (0, 1, 1), "{size}");
    }
}

#[test]
fn files_of_another_kind_are_refused_whole() {
    for (xml, word) in [
        ("", "no element"),
        ("hello", "text outside"),
        ("<html></html>", "Pascal VOC"),
        ("<annotation>", "ends within"),
        ("<annotation><object></annotation>", "broken"),
        ("<annotation/><annotation/>", "second root"),
        ("<annotation/>x", "text outside"),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]><annotation/>", "DOCTYPE"),
        ("<annotation><filename>&a;</filename></annotation>", "unknown entity"),
        ("<annotation><filename>&#0;</filename></annotation>", "broken"),
        ("<annotation><size><width>9000</width><height>5</height></size></annotation>", "8192"),
        ("<annotation><filename>a</filename><filename>b</filename></annotation>", "two elements <filename>"),
    ] {
        let sentence = read("a.xml", xml.as_bytes()).unwrap_err().to_string();
        assert!(sentence.contains(word), "{xml}: {sentence}");
    }
    assert!(read("a.xml", b"<annotation>\xff</annotation>").unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn the_text_is_that_of_labelimg() {
    let annotations = ImageAnnotations {
        image: "a".into(),
        file: "a.png".into(),
        width: 30,
        height: 20,
        verified: true,
        objects: vec![Object {
            bbox: BoxXyxy::new([1.0, 2.0, 10.5, 20.0], 30, 20).unwrap(),
            label: "<i>&".into(),
            difficult: true,
            truncated: false,
            mask: None,
        }],
        ..ImageAnnotations::default()
    };
    let expected = "<annotation verified=\"yes\">\n\t<folder></folder>\n\t<filename>a.png</filename>\n\t<path>a.png</path>\n\
        \t<source>\n\t\t<database>Unknown</database>\n\t</source>\n\
        \t<size>\n\t\t<width>30</width>\n\t\t<height>20</height>\n\t\t<depth>3</depth>\n\t</size>\n\
        \t<segmented>0</segmented>\n\t<object>\n\t\t<name>&lt;i&gt;&amp;</name>\n\t\t<pose>Unspecified</pose>\n\
        \t\t<truncated>0</truncated>\n\t\t<difficult>1</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>2</xmin>\n\t\t\t<ymin>3</ymin>\n\
        \t\t\t<xmax>10.5</xmax>\n\t\t\t<ymax>20</ymax>\n\t\t</bndbox>\n\t</object>\n</annotation>\n";
    assert_eq!(write(&annotations), expected);
}

#[test]
fn boxes_too_thin_for_the_format_are_widened() {
    for (corners, expected) in [
        ([5.0, 5.0, 6.0, 9.0], [5.0, 5.0, 7.0, 9.0]),
        ([99.5, 5.0, 100.0, 9.0], [98.0, 5.0, 100.0, 9.0]),
        ([5.25, 49.2, 5.5, 49.4], [5.0, 48.0, 7.0, 50.0]),
    ] {
        let bbox = BoxXyxy::new(corners, 100, 50).unwrap();
        let object = Object { bbox, label: "c".into(), difficult: false, truncated: false, mask: None };
        let (image, file) = ("a".into(), String::new());
        let annotations = ImageAnnotations {
            image,
            file,
            width: 100,
            height: 50,
            objects: vec![object],
            ..ImageAnnotations::default()
        };
        let parsed = read("a.xml", write(&annotations).as_bytes()).unwrap();
        assert_eq!(parsed.value.objects[0].bbox.corners(), expected, "{corners:?}");
    }
}

fn any_annotations() -> impl Strategy<Value = ImageAnnotations> {
    let label = "[ -~äß核\u{1f9a0}]{1,20}".prop_filter("not blank", |l| !l.trim().is_empty());
    let flags = (any::<bool>(), any::<bool>());
    let object = (0f32..90.0, 0f32..40.0, 1.01f32..300.0, 1.01f32..300.0, label, flags).prop_map(
        |(x, y, w, h, label, flags)| Object {
            bbox: BoxXyxy::new([x, y, (x + w).min(100.0), (y + h).min(50.0)], 100, 50).unwrap(),
            label: label.trim().to_owned(),
            difficult: flags.0,
            truncated: flags.1,
            mask: None,
        },
    );
    (prop::collection::vec(object, 0..5), any::<bool>(), "[a-z&<>'\" ()]{0,8}[a-z]").prop_map(
        |(objects, verified, name)| {
            let image = name.trim().to_owned();
            let file = format!("{image}.png");
            let (width, height) = (100, 50);
            ImageAnnotations { file, image, width, height, verified, objects, ..ImageAnnotations::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn reading_undoes_writing(annotations in any_annotations()) {
        let parsed = read(&format!("{}.xml", annotations.image), write(&annotations).as_bytes()).unwrap();
        prop_assert_eq!(&parsed.value, &annotations);
        prop_assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty());
    }
}
