use proptest::prelude::*;

use super::read::read_sized;
use super::*;
use crate::annotations::json::json_text;
use crate::annotations::{IgnoredReason, IgnoredRegion, ImageAnnotations, Object};
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
    assert_eq!((a.image.as_str(), a.file.as_str(), b.image.as_str()), ("a", "dir/a.png", "b"));
    assert_eq!(a.objects[0].bbox.corners(), [1.0, 2.0, 11.5, 22.0]);
    assert_eq!(a.objects[0].mask, None);
    assert_eq!(a.objects[1].mask.as_ref().map(Rle::area), Some(656), "as pycocotools fills it");
    assert_eq!(b.objects[0].bbox.corners(), [2.0, 2.0, 3.0, 5.0], "the mask's box");
    assert_eq!(b.objects.len(), 1, "a crowd is no single cell");
    let crowd = &b.ignored[0];
    assert_eq!((crowd.bbox.corners(), crowd.label.as_deref()), ([0.0, 0.0, 5.0, 5.0], Some("cell")));
    assert_eq!(crowd.reason, IgnoredReason::Crowd);
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
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5]}"#, "3 numbers"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,3]]}"#, "x but no y"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,3,4]]}"#, "2 corners"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":[[1,2,1e9,4,5,6]]}"#, "far outside"),
        (r#"{"image_id":7,"category_id":1,"bbox":[1,1,5,5],"segmentation":{"size":[9,9],"counts":[81]}}"#, "9 × 9"),
        (r#"{"image_id":7,"category_id":1,"segmentation":{"size":[40,60],"counts":[2400]}}"#, "without pixels"),
        (r#"{"image_id":7,"category_id":1,"segmentation":{"size":[40,60],"counts":"zzzz"}}"#, "mask"),
        (r#"{"image_id":7,"category_id":1,"segmentation":"x"}"#, "neither a list of polygons"),
        ("null", "not an annotation"),
        ("[[[[]]]]", "not an annotation"),
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
fn files_of_another_kind_are_refused_whole() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"images":[],"annotations":[]}"#,
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
    let region = (0f32..15.0, 0f32..8.0, any::<bool>(), any::<bool>()).prop_map(|(x, y, has_label, is_crowd)| {
        let bbox = BoxXyxy::new([x, y, x + 1.5, y + 1.25], 20, 10).unwrap();
        let reason = if is_crowd { IgnoredReason::Crowd } else { IgnoredReason::Unreadable };
        IgnoredRegion { bbox, label: has_label.then(|| "a".to_owned()), reason }
    });
    // Crowds of a class come after the others.
    let regions = prop::collection::vec(region, 0..3).prop_map(|mut regions| {
        regions.sort_by_key(|region| region.label.is_some() && region.reason == IgnoredReason::Crowd);
        regions
    });
    (prop::collection::vec(object, 0..4), any::<[bool; 2]>(), regions).prop_map(
        |(objects, [verified, incomplete], ignored)| ImageAnnotations {
            image: "i".into(),
            file: "i.png".into(),
            width: 20,
            height: 10,
            verified,
            objects,
            ignored,
            incomplete,
        },
    )
}

#[test]
fn loose_files_of_other_programs_are_read() {
    let json = r#"{"images":[{"id":0,"file_name":"a.png","width":60.0,"height":"40"},
        {"id":"1","file_name":"b.png","width":-1,"height":-1},{"id":2.0,"file_name":"c.png"},
        {"id":3,"file_name":"d.png","width":9000,"height":1},{"file_name":"e.png"}],
        "categories":[{"id":"1","name":"cell"},{"id":2,"name":7},{"name":"lost"}],"annotations":[
        {"image_id":"0","category_id":1.0,"bbox":["1",2,3,4],"area":NaN,"iscrowd":false,"segmentation":[2,2,10,2,10,10,2,10]},
        {"image_id":0,"category_id":"2","bbox":[],"segmentation":[[2,2,10,2,10,10]],"iscrowd":null},
        {"image_id":0,"category_id":1,"bbox":[0,0,0,0],"segmentation":[[2,2,10,2,10,10]]},
        {"image_id":1,"category_id":1,"bbox":[1,2,3,4],"segmentation":[[1,1,4,1,4,5]],"iscrowd":"0"},
        {"image_id":2,"category_id":1,"bbox":[1,2,3,4],"iscrowd":true},
        {"image_id":2,"category_id":1,"bbox":[1,2,Infinity,4]},
        {"image_id":0,"category_id":1,"bbox":[1,2,3,4],"segmentation":[[]]}]}"#;
    let parsed = read_sized("v.json", &json_text("v.json", json.as_bytes()).unwrap(), |file| {
        (file == "b.png").then_some((30, 20))
    })
    .unwrap();
    let [a, b, c] = parsed.value.as_slice() else { panic!("{:?}", parsed.value) };
    assert_eq!((a.width, a.height, b.width, c.width), (60, 40, 30, 0));
    let corners: Vec<_> = a.objects.iter().map(|o| (o.label.as_str(), o.bbox.corners(), o.mask.is_some())).collect();
    let (given, drawn) = ([1.0, 2.0, 4.0, 6.0], [2.0, 2.0, 10.0, 10.0]);
    assert_eq!(corners, [("cell", given, true), ("7", drawn, true), ("cell", drawn, true), ("cell", given, false)]);
    assert!(b.objects[0].mask.is_some());
    assert_eq!((c.objects.len(), c.ignored.len(), c.incomplete), (0, 1, true));
    let said: Vec<String> = parsed.rejected.iter().map(Error::to_string).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said[0].contains("9000")
            && said[1].contains("no id")
            && said[2].contains("no id")
            && said[3].contains("object 6")
    );
}

#[test]
fn objects_that_are_left_out_are_not_background() {
    let parsed = parse(
        r#"{"image_id":7,"category_id":9,"bbox":[1,1,5,5]},{"image_id":7,"category_id":1,"bbox":[50,1,50,5]},
        {"image_id":7,"category_id":1,"bbox":[5,5,0,0]},{"image_id":"x","category_id":1,"bbox":[1,1]}"#,
    );
    let ignored: Vec<_> = parsed.value[0].ignored.iter().map(|r| (r.bbox.corners(), r.reason)).collect();
    let unreadable = IgnoredReason::Unreadable;
    assert_eq!(ignored, [([1.0, 1.0, 6.0, 6.0], unreadable), ([50.0, 1.0, 60.0, 6.0], unreadable)]);
    assert_eq!((parsed.value[0].incomplete, parsed.value[1].incomplete), (false, true));
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

#[test]
fn an_image_without_a_base_name_is_named() {
    for name in ["", "plate/", "a/.png", "a/ ."] {
        let file = format!(r#"{{"images":[{{"id":1,"file_name":"{name}"}}],"categories":[],"annotations":[]}}"#);
        let parsed = read("c.json", file.as_bytes()).unwrap();
        assert_eq!((parsed.value.len(), parsed.rejected.len()), (0, 1), "{name}");
    }
}
