//! Real annotation files of many programs and people, read from the folder named by `CYTOBOX_DATA`.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cytobox::Error;
use cytobox::annotations::attach::attach_masks;
use cytobox::annotations::dataset::{ImageInfo, class_counts, image_label_counts, match_images};
use cytobox::annotations::{ImageAnnotations, Parsed, coco, csv, voc, yolo};
use cytobox::masks::{LabelImage, Rle};

/// The folder of real data, or `None` with a word about it.
fn data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("CYTOBOX_DATA").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no real data");
        return None;
    }
    Some(folder)
}

/// Files of a folder with this ending, by name.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.to_str().unwrap().ends_with(ending));
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn read_voc(path: &Path) -> Parsed<ImageAnnotations> {
    voc::read(name(path), &std::fs::read(path).unwrap()).unwrap()
}

/// File and number of every object that was refused.
fn refused(parsed: &[Parsed<ImageAnnotations>]) -> Vec<(String, usize, String)> {
    let all = parsed.iter().flat_map(|p| &p.rejected);
    all.map(|e| match e {
        Error::Object { file, object, reason } => (file.clone(), *object, reason.clone()),
        other => panic!("{other}"),
    })
    .collect()
}

/// Every format that holds boxes brings them back.
fn assert_round_trips(annotations: &ImageAnnotations) {
    let xml = format!("{}.xml", annotations.image);
    let again = voc::read(&xml, voc::write(annotations).as_bytes()).unwrap();
    let without_masks = |a: &ImageAnnotations| {
        let mut a = a.clone();
        a.objects.iter_mut().for_each(|o| o.mask = None);
        a
    };
    assert_eq!(again.value, without_masks(annotations));
    assert!(again.warnings.is_empty() && again.rejected.is_empty(), "{again:?}");

    let labels: BTreeSet<String> = annotations.objects.iter().map(|o| o.label.clone()).collect();
    let classes: Vec<String> = labels.into_iter().collect();
    let json = coco::write(std::slice::from_ref(annotations), &classes).unwrap();
    let again = coco::read("c.json", &json).unwrap().value.remove(0);
    assert_eq!(
        (&again.objects, again.width, &again.file),
        (&annotations.objects, annotations.width, &annotations.file)
    );

    let table = csv::write_boxes(std::slice::from_ref(annotations)).unwrap();
    let again = csv::read_boxes("t.csv", &table).unwrap().value.remove(0);
    let boxes = |a: &ImageAnnotations| a.objects.iter().map(|o| (o.bbox, o.label.clone())).collect::<Vec<_>>();
    assert_eq!(boxes(&again), boxes(annotations));

    let text = yolo::write(annotations, &classes).unwrap();
    let (width, height) = (annotations.width, annotations.height);
    let again = yolo::read("x.txt", text.as_bytes(), Some(&classes), width, height).unwrap();
    assert!(again.rejected.is_empty() && again.value.objects.len() == annotations.objects.len());
    for (a, b) in again.value.objects.iter().zip(&annotations.objects) {
        assert_eq!(a.label, b.label);
        assert!(a.bbox.corners().iter().zip(b.bbox.corners()).all(|(x, y)| (x - y).abs() < 1e-3));
    }
}

#[test]
fn blood_cells_read_but_for_two_clicks() {
    let Some(data) = data() else { return };
    let parsed: Vec<_> = files(&data.join("bccd/Annotations"), ".xml").iter().map(|f| read_voc(f)).collect();
    assert_eq!(parsed.len(), 364);
    let refused = refused(&parsed);
    let expected = [("BloodImage_00338.xml", 13), ("BloodImage_00343.xml", 4)];
    assert_eq!(refused.iter().map(|(file, at, _)| (file.as_str(), *at)).collect::<Vec<_>>(), expected);
    assert!(refused.iter().all(|(_, _, reason)| reason.contains("empty")), "{refused:?}");
    let objects = || parsed.iter().flat_map(|p| &p.value.objects);
    assert_eq!(objects().count() + refused.len(), 4888);
    assert_eq!(objects().filter(|o| o.truncated).count(), 1131);
    let images: Vec<_> = parsed.iter().map(|p| p.value.clone()).collect();
    images.iter().for_each(assert_round_trips);
    let counts: BTreeMap<_, _> = class_counts(&images).into_iter().map(|c| (c.label, c.cells)).collect();
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["Platelets", "RBC", "WBC"]);

    // The pictures beside them have the size that the files say.
    let pictures: Vec<ImageInfo> = files(&data.join("bccd/JPEGImages"), ".jpg")
        .iter()
        .map(|f| ImageInfo::new(name(f).trim_end_matches(".jpg"), 640, 480))
        .collect();
    let matched = match_images(images, &pictures);
    assert_eq!((matched.annotations.len(), matched.without_image.len(), matched.rejected.len()), (364, 0, 0));
}

#[test]
fn odd_files_read_or_say_what_is_wrong() {
    let Some(data) = data() else { return };
    let parsed: Vec<_> = files(&data.join("voc_odd"), ".xml").iter().map(|f| read_voc(f)).collect();
    assert_eq!(parsed.len(), 41);
    let refused = refused(&parsed);
    let expected = [("rolabelimg__demo3.xml", 3), ("rolabelimg__demo3.xml", 4), ("rolabelimg__demo4.xml", 1)];
    assert_eq!(refused.iter().map(|(file, at, _)| (file.as_str(), *at)).collect::<Vec<_>>(), expected);
    assert!(refused.iter().all(|(_, _, reason)| reason.contains("rotated box")), "{refused:?}");
    let by_name = |n: &str| &parsed.iter().find(|p| p.value.image == n).unwrap().value;
    assert_eq!(by_name("pratham__black_bubbles_1").objects.len(), 166);
    assert_eq!(by_name("ldc__cell (210)").objects.len(), 0);
    assert_eq!(by_name("ldc__c (635)").file, "c (635).png");
    assert_eq!(by_name("cosmicad__BloodImage_00026").file, "BloodImage_00026");
    assert!(by_name("raccoon__raccoon-102").verified);
    assert_eq!(parsed.iter().filter(|p| p.value.verified).count(), 10);
    parsed.iter().for_each(|p| assert_round_trips(&p.value));
}

#[test]
fn atlas_cells_read_with_their_masks() {
    let Some(data) = data() else { return };
    for (folder, images, cells, nucleoli) in [("train", 45, 824, 230), ("test", 5, 103, 41), ("masked", 2, 20, 0)] {
        let mut all = Vec::new();
        for path in files(&data.join("hpa").join(folder), ".xml") {
            let mut parsed = read_voc(&path);
            let mask = path.with_file_name(name(&path).replace(".xml", "_mask.png"));
            let labels = LabelImage::decode(name(&mask), &std::fs::read(&mask).unwrap()).unwrap();
            attach_masks(&mut parsed, name(&mask), &labels).unwrap();
            assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty(), "{parsed:?}");
            // Drawn again, the masks are the same label image.
            let masks: Vec<Option<&Rle>> = parsed.value.objects.iter().map(|o| o.mask.as_ref()).collect();
            assert!(masks.iter().all(Option::is_some));
            assert_eq!(LabelImage::from_masks(512, 512, masks).unwrap(), labels);

            // Written again, the text is the same but for the folder and the path, which are left out.
            let is_place = |line: &&str| !line.contains("<folder>") && !line.contains("<path>");
            let original = std::fs::read_to_string(&path).unwrap();
            let written = voc::write(&parsed.value);
            assert!(written.lines().filter(is_place).eq(original.lines().filter(is_place)), "{path:?}");
            assert_round_trips(&parsed.value);
            all.push(parsed.value);
        }
        let counts = class_counts(&all);
        let of = |label: &str| counts.iter().find(|c| c.label == label).map_or(0, |c| c.cells);
        assert_eq!(all.len(), images, "{folder}");
        assert_eq!(counts.iter().map(|c| c.cells).sum::<usize>(), cells, "{folder}");
        assert!(folder == "masked" || of("nucleoli") == nucleoli, "{folder}: {counts:?}");
    }
}

#[test]
fn nuclei_of_the_table_are_those_of_the_label_images() {
    let Some(data) = data() else { return };
    let bytes = std::fs::read(data.join("dsb2018/train_boxes.csv")).unwrap();
    let parsed = csv::read_boxes("train_boxes.csv", &bytes).unwrap();
    assert!(parsed.warnings.is_empty() && parsed.rejected.is_empty(), "{:?}", parsed.rejected.first());
    assert_eq!(parsed.value.len(), 541);
    assert_eq!(parsed.value.iter().map(|i| i.objects.len()).sum::<usize>(), 23_096);
    for image in parsed.value.iter().step_by(54) {
        let path = data.join(format!("dsb2018/train/{}_label.png", image.image));
        let labels = LabelImage::decode(name(&path), &std::fs::read(&path).unwrap()).unwrap();
        let corners = |b: [f32; 4]| b.map(|c| c as u32);
        let mut boxes: Vec<_> = image.objects.iter().map(|o| corners(o.bbox.corners())).collect();
        let mut drawn: Vec<_> = labels.masks().values().map(|m| m.bbox().unwrap()).collect();
        boxes.sort_unstable();
        drawn.sort_unstable();
        assert_eq!(boxes, drawn, "{}", image.image);
    }
}

#[test]
fn kaggle_labels_have_the_names_of_the_atlas() {
    let Some(data) = data() else { return };
    let bytes = std::fs::read(data.join("hpa/kaggle_train.csv")).unwrap();
    let parsed = csv::read_image_labels("kaggle_train.csv", &bytes).unwrap();
    assert!(parsed.rejected.is_empty());
    assert_eq!(parsed.value.len(), 31_072);
    assert_eq!(parsed.value[0].image, "00070df0-bbc3-11e8-b2bc-ac1f6b6435d0");
    assert_eq!(parsed.value[0].labels, ["Cytokinetic bridge", "Nucleoplasm"]);
    let counts = image_label_counts(&parsed.value);
    assert_eq!(counts.len(), 28);
    let nucleoplasm = counts.iter().find(|c| c.label == "Nucleoplasm").unwrap();
    assert_eq!((nucleoplasm.images, nucleoplasm.cells), (12_885, 0));
}

#[test]
fn a_label_image_of_a_microscope_program_reads() {
    let Some(data) = data() else { return };
    let path = data.join("tiff/stardist_mask2d_16bit.tif");
    let labels = LabelImage::decode(name(&path), &std::fs::read(&path).unwrap()).unwrap();
    let masks = labels.masks();
    assert!(masks.len() > 50, "{}", masks.len());
    let png = labels.encode_png().unwrap();
    assert_eq!(LabelImage::decode("again.png", &png).unwrap(), labels);
}
