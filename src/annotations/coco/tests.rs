use proptest::prelude::*;

use super::*;
use crate::annotations::{ImageAnnotations, Object};
use crate::boxes::BoxXyxy;
use crate::error::Error;
use crate::masks::Rle;

const HEAD: &str = r#"{"images":[{"id":7,"file_name":"dir/a.png","width":60,"height":40},
    {"id":"x","file_name":"b.jpg","width":10,"height":10,"license":3}],
    "categories":[{"id":1,"name":"cell"},{"id":2,"name":" "}],"annotations":["#;

fn parse(annotations: &str) -> crate::annotations::Parsed<Vec<ImageAnnotations>> {
    read("c.json", format!("{HEAD}{annotations}]}}").as_bytes()).unwrap()
}

#[test]
fn boxes_polygons_and_run_lengths_are_read() {
    let parsed = parse(
        r#"{"id":1,"image_id":7,"category_id":1,"bbox":[1,2,10.5,20],"area":3,"iscrowd":0,"segmentation":[]},
        {"image_id":7,"category_id":1,"segmentation":[[10,10,50,12,30,44.5]],"bbox":[10,10,40,30]},
        {"image_id":"x","category_id":1,"segmentation":{"size":[10,10],"counts":[22,3,75]}},
        {"image_id":"x","category_id":1,"iscrowd":1,"bbox":[0,0,5,5],"segmentation":{"size":[10,10],"counts":[22,3,75]}}"#,
    );
    assert!(parsed.rejected.is_empty(), "{:?}", parsed.rejected);
    let [a, b] = parsed.value.as_slice() else { panic!("two images") };
    assert_eq!((a.image.as_str(), a.file.as_str(), b.image.as_str()), ("a", "a.png", "b"));
    assert_eq!(a.objects[0].bbox.corners(), [1.0, 2.0, 11.5, 22.0]);
    assert_eq!(a.objects[0].mask, None);
    assert_eq!(a.objects[1].mask.as_ref().map(Rle::area), Some(656), "as pycocotools fills it");
    assert_eq!(b.objects[0].bbox.corners(), [2.0, 2.0, 3.0, 5.0], "the mask's box");
    assert!(b.objects[1].difficult, "a crowd is no single cell");
    assert_eq!(parsed.warnings.len(), 1);
}

#[test]
fn bad_annotations_are_named_and_the_others_kept() {
    for (bad, word) in [
        (r#"{"image_id":7,"category_id":1}"#, "no box"),
        (r#"{"image_id":9,"category_id":1,"bbox":[1,1,5,5]}"#, "image that the file does not list"),
        (r#"{"image_id":7,"category_id":9,"bbox":[1,1,5,5]}"#, "category"),
        (r#"{"image_id":7,"category_id":2,"bbox":[1,1,5,5]}"#, "label"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,-5,5]}"#, "inverted"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,0,5]}"#, "empty"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,62,5]}"#, "outside"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1e308,1,1e308,5]}"#, "finite"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5]}"#, "invalid length"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,3]]}"#, "x but no y"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,3,4]]}"#, "2 corners"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,1e9,4,5,6]]}"#, "far outside"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":{"size":[9,9],"counts":[81]}}"#, "9 × 9"),
        (r#"{"image_id":7,"category_id":1,"segmentation":{"size":[40,60],"counts":[2400]}}"#, "without pixels"),
        (r#"{"image_id":7,"category_id":1,"segmentation":{"size":[40,60],"counts":"zzzz"}}"#, "mask"),
        (r#"{"image_id":7,"category_id":1,"segmentation":"x"}"#, "invalid type"),
        ("null", "invalid type"),
        ("[[[[]]]]", "did not match"),
    ] {
        let good = r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5]}"#;
        let parsed = parse(&format!("{good},{bad},{good}"));
        assert_eq!(parsed.value[0].objects.len(), 2, "{bad}");
        match parsed.rejected.as_slice() {
            [Error::Object { object: 2, reason, .. }] => assert!(reason.contains(word), "{bad}: {reason}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
}

#[test]
fn files_that_are_none_are_refused_whole() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"images":[],"annotations":[]}"#,
        r#"{"images":[{"id":1,"file_name":"a","width":-1,"height":2}],"annotations":[],"categories":[]}"#,
        r#"{"images":[{"id":1,"file_name":"a","width":9000,"height":2}],"annotations":[],"categories":[]}"#,
        r#"{"images":[],"annotations":[],"categories":[{"id":1,"name":"a"},{"id":1,"name":"b"}]}"#,
        &format!("{HEAD}{}{}]}}", "[".repeat(5000), "]".repeat(5000)),
    ] {
        assert!(read("c.json", json.as_bytes()).is_err(), "{json:.60}");
    }
}

#[test]
fn an_unknown_label_is_an_error_not_a_lost_cell() {
    let annotations = parse(r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5]}"#).value;
    let sentence = write(&annotations, &["other".to_owned()]).unwrap_err().to_string();
    assert!(sentence.contains("\"cell\""), "{sentence}");
}

fn any_image() -> impl Strategy<Value = ImageAnnotations> {
    let object =
        (0f32..15.0, 0f32..8.0, 0.01f32..30.0, 0.01f32..30.0, 0..3usize, any::<[bool; 3]>(), any::<[u8; 25]>())
            .prop_map(|(x, y, w, h, class, [difficult, truncated, has_mask], bits)| {
                let bitmap: Vec<bool> = (0..200).map(|i| bits[i / 8] >> (i % 8) & 1 == 1).collect();
                Object {
                    bbox: BoxXyxy::new([x, y, (x + w).min(20.0), (y + h).min(10.0)], 20, 10).unwrap(),
                    label: ["a", "<b>", "\"c\\"][class].to_owned(),
                    difficult,
                    truncated,
                    mask: has_mask.then(|| Rle::from_bitmap(20, 10, &bitmap).unwrap()),
                }
            });
    (prop::collection::vec(object, 0..4), any::<bool>()).prop_map(|(objects, verified)| ImageAnnotations {
        image: "i".into(),
        file: "i.png".into(),
        width: 20,
        height: 10,
        verified,
        objects,
        ..ImageAnnotations::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn reading_undoes_writing(images in prop::collection::vec(any_image(), 0..4)) {
        let classes = ["a", "<b>", "\"c\\"].map(str::to_owned);
        let parsed = read("c.json", &write(&images, &classes).unwrap()).unwrap();
        prop_assert_eq!(&parsed.value, &images);
        prop_assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty(), "{:?}", parsed.rejected);
    }
}
