//! Real annotation files of many programs and people, read from the folder named by `CYTOBOX_DATA`.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::real_data as data;
use cytobox::Error;
use cytobox::annotations::attach::attach_masks;
use cytobox::annotations::dataset::{ImageInfo, class_counts, image_label_counts, match_images};
use cytobox::annotations::gather::{self, Gathered};
use cytobox::annotations::{ImageAnnotations, Parsed, coco, csv, voc, yolo};
use cytobox::channels::{FileHead, Groups, group, sniff_named};
use cytobox::masks::{LabelImage, Rle};

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
        a.ignored.clear();
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

    // The images beside them have the size that the files say.
    let merged_images: Vec<ImageInfo> = files(&data.join("bccd/JPEGImages"), ".jpg")
        .iter()
        .map(|f| ImageInfo::new(name(f).trim_end_matches(".jpg"), 640, 480))
        .collect();
    let matched = match_images(images, &merged_images);
    assert_eq!((matched.annotations.len(), matched.without_image.len(), matched.rejected.len()), (364, 0, 0));
}

#[test]
fn odd_files_are_read_or_give_a_clear_error() {
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

/// What a folder gives: its images as they are grouped, and its annotation files brought to them.
fn gathered(folder: &Path, options: &gather::Options) -> (Groups, Gathered) {
    let mut paths = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        match path.is_dir() {
            true => paths.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path())),
            false => found.push((path.to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    let head = |(name, bytes): &(String, Vec<u8>)| FileHead { name: name.clone(), kind: sniff_named(name, bytes) };
    let groups = group(&found.iter().map(head).collect::<Vec<_>>());
    let images: Vec<ImageInfo> = groups
        .images
        .iter()
        .map(|entry| {
            let files = entry.files.iter().map(|f| f.file.clone()).collect();
            ImageInfo { files, ..ImageInfo::new(&entry.name, 256, 256) }
        })
        .collect();
    let masks = groups.images.iter().flat_map(|entry| entry.mask.iter().chain(&entry.object_masks));
    let wanted: BTreeSet<&String> = groups.annotations.iter().chain(masks).collect();
    let files: Vec<(&str, &[u8])> =
        found.iter().filter(|(n, _)| wanted.contains(n)).map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let gathered = gather::gather_with(&files, &images, options);
    (groups, gathered)
}

/// Objects of each image, by name.
fn counts(gathered: &Gathered) -> Vec<(String, usize)> {
    let mut counts: Vec<_> = gathered.annotations.iter().map(|a| (a.image.clone(), a.objects.len())).collect();
    counts.sort();
    counts
}

const CELL: gather::Options = gather::Options { label: "cell", number_pieces: false };

#[test]
fn files_of_other_programs_give_all_objects_with_their_names() {
    let Some(data) = data() else { return };
    let field = data.join("field/15-annotation-files-of-other-programs-page");
    let cases = files(&field, "");
    let mut read = 0;
    for case in cases.iter().filter(|case| case.is_dir()) {
        let (_, found) = gathered(case, &CELL);
        assert!(found.rejected.is_empty(), "{case:?}: {:?}", found.rejected);
        assert!(found.without_image.is_empty(), "{case:?}: {:?}", found.without_image);
        if found.annotations.is_empty() {
            assert!(found.image_labels.iter().all(|image| !image.labels.is_empty()) && !found.image_labels.is_empty());
            continue;
        }
        assert_eq!(found.annotations.len(), 3, "{case:?}");
        for image in &found.annotations {
            let labels: BTreeSet<&str> = image.objects.iter().map(|object| object.label.as_str()).collect();
            let known = ["cell", "nucleoli", "not_nucleoli"];
            assert!(!labels.is_empty() && labels.iter().all(|label| known.contains(label)), "{case:?}: {labels:?}");
            assert!(image.ignored.is_empty() && !image.incomplete, "{case:?}");
        }
        read += 1;
    }
    assert!(read >= 9, "{read} of {cases:?}");
}

#[test]
fn images_of_one_name_in_two_folders_get_their_own_annotations() {
    let Some(data) = data() else { return };
    let field = data.join("field/09-tables-cannot-tell-two-folders-apart");
    let mut seen = BTreeSet::new();
    for case in files(&field, "").iter().filter(|case| case.is_dir()) {
        let (_, found) = gathered(case, &CELL);
        assert!(found.rejected.is_empty() && found.without_image.is_empty(), "{case:?}: {found:?}");
        let [a, b] = found.annotations.as_slice() else { panic!("{case:?}: {:?}", found.annotations.len()) };
        assert_ne!(a.objects, b.objects, "{case:?}: each image has its own");
        seen.insert(name(case).to_owned());
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn every_layout_is_found() {
    let Some(data) = data() else { return };
    let field = data.join("field/10-command-line-finds-fewer-annotations-than-the-page");
    for (case, images) in [
        ("09-double-extension", 1),
        ("10-upper-case-xml", 1),
        ("11-voc-layout", 4),
        ("11c-coco-beside-images", 4),
        ("11d-yolo-beside-images", 4),
    ] {
        let (_, found) = gathered(&field.join(case), &CELL);
        assert!(found.rejected.is_empty() && found.without_image.is_empty(), "{case}: {found:?}");
        let counts = counts(&found);
        assert!(counts.len() == images && counts.iter().all(|(_, objects)| *objects > 0), "{case}: {counts:?}");
    }
}

#[test]
fn objects_left_out_by_readers_are_not_background() {
    let Some(data) = data() else { return };
    let field = data.join("field/03-left-out-objects-become-background");
    let (_, rotated) = gathered(&field.join("35-only-rotated-boxes"), &CELL);
    let image = rotated.annotations.iter().find(|a| a.image == "rot").unwrap();
    assert_eq!((image.objects.len(), image.ignored.len(), image.incomplete), (0, 8, false));
    assert_eq!(rotated.rejected.len(), 8);
    let (_, polygons) = gathered(&field.join("36-polygon-only-xml"), &CELL);
    let image = polygons.annotations.iter().find(|a| a.image == "poly").unwrap();
    assert_eq!((image.objects.len(), image.ignored.len(), image.incomplete), (8, 0, false));
    assert!(image.objects.iter().all(|object| object.mask.is_some()), "a polygon is a mask too");
    assert!(polygons.rejected.is_empty(), "{:?}", polygons.rejected);
}

#[test]
fn masks_of_other_programs_belong_to_their_images() {
    let Some(data) = data() else { return };
    let field = data.join("field/16-masks-of-other-programs-taken-for-images");
    let (groups, found) = gathered(&field.join("27-cellpose-masks-among-images"), &CELL);
    let names: Vec<_> = groups.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!((names, groups.ignored.len()), (vec!["f01", "f02"], 2));
    assert!(counts(&found).iter().all(|(_, objects)| *objects > 3) && found.annotations.len() == 2, "{found:?}");
    let (groups, found) = gathered(&field.join("27c-dsb-layout"), &CELL);
    assert_eq!(groups.images.len(), 2);
    assert_eq!(counts(&found), [("243db78a".to_owned(), 9), ("42b03614".to_owned(), 9)]);
    assert!(found.annotations.iter().flat_map(|a| &a.objects).all(|object| object.mask.is_some()));
}

#[test]
fn label_images_of_real_sets_raise_no_warning() {
    let Some(data) = data() else { return };
    let mut seen = 0;
    for (folder, ending, step) in
        [("dsb2018/train", "_label.png", 27), ("hpa/train", "_mask.png", 5), ("hpa/masked", "_mask.png", 1)]
    {
        for path in files(&data.join(folder), ending).iter().step_by(step) {
            let labels = LabelImage::decode(name(path), &std::fs::read(path).unwrap()).unwrap();
            let (doubts, useless) = labels.doubts();
            assert!(!useless, "{path:?}: {doubts:?}");
            seen += 1;
        }
    }
    assert!(seen > 25);
}

/// A PNG of 8 × 4 pixels in that colour type and depth, from the bytes of its rows.
fn png_of(colour: png::ColorType, depth: png::BitDepth, palette: Option<&[u8]>, rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 4);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(rows).unwrap();
    bytes
}

/// A label image of 8 × 4 pixels with the values 1 and 2 in its left and right half.
fn halves(left: u8, right: u8) -> Vec<u8> {
    (0..32).map(|i| if i % 8 < 4 { left } else { right }).collect()
}

#[test]
fn label_images_are_numbers_and_not_images() {
    use png::{BitDepth, ColorType};
    let packed = |bits: usize| -> Vec<u8> {
        halves(1, 2).chunks(8 / bits).map(|group| group.iter().fold(0, |byte, v| byte << bits | v)).collect()
    };
    let palette = [0, 0, 0, 9, 9, 9, 255, 0, 0];
    let wide: Vec<u8> = halves(1, 2).into_iter().flat_map(|v| [0, v]).collect();
    let tripled: Vec<u8> = halves(1, 2).into_iter().flat_map(|v| [v, v, v, 255]).collect();
    for bytes in [
        png_of(ColorType::Indexed, BitDepth::Eight, Some(&palette), &halves(1, 2)),
        png_of(ColorType::Indexed, BitDepth::Two, Some(&palette), &packed(2)),
        png_of(ColorType::Grayscale, BitDepth::Two, None, &packed(2)),
        png_of(ColorType::Grayscale, BitDepth::Four, None, &packed(4)),
        png_of(ColorType::Grayscale, BitDepth::Sixteen, None, &wide),
        png_of(ColorType::Rgba, BitDepth::Eight, None, &tripled),
    ] {
        let masks = LabelImage::decode("a_mask.png", &bytes).unwrap().masks();
        assert_eq!(masks.keys().copied().collect::<Vec<_>>(), [1, 2], "the numbers as they stand in the file");
        assert_eq!(masks[&2].bbox(), Some([4, 0, 8, 4]));
    }
    let coloured: Vec<u8> = halves(1, 2).into_iter().flat_map(|v| [v, 0, 0]).collect();
    let sentence = LabelImage::decode("a_mask.png", &png_of(ColorType::Rgb, BitDepth::Eight, None, &coloured));
    assert!(sentence.unwrap_err().to_string().contains("colour image"));
}

#[test]
fn a_mask_of_two_values_is_named_and_its_pieces_can_be_numbered() {
    let row = |i: usize| [255u8, 255, 0, 0, 0, 0, 255, 255][i % 8];
    let binary = png_of(png::ColorType::Grayscale, png::BitDepth::Eight, None, &(0..32).map(row).collect::<Vec<_>>());
    let files: [(&str, &[u8]); 1] = [("d/a_mask.png", &binary)];
    let images = [ImageInfo::new("a", 8, 4)];
    let found = gather::gather(&files, &images, "cell");
    assert!(found.annotations.is_empty(), "no object is invented");
    assert!(found.rejected[0].contains("one value (255) for 2 pieces"), "{:?}", found.rejected);
    assert_eq!(found.unnumbered, ["d/a_mask.png"]);
    let found = gather::gather_with(&files, &images, &gather::Options { number_pieces: true, ..CELL });
    assert_eq!((counts(&found), found.rejected.len()), (vec![("a".to_owned(), 2)], 0));

    // Beside boxes, each piece goes to the box that it fills.
    let xml = "<annotation><size><width>8</width><height>4</height></size><object><name>r</name><bndbox><xmin>7</xmin>\
        <ymin>1</ymin><xmax>8</xmax><ymax>4</ymax></bndbox></object><object><name>l</name><bndbox><xmin>1</xmin>\
        <ymin>1</ymin><xmax>2</xmax><ymax>4</ymax></bndbox></object></annotation>";
    let files: [(&str, &[u8]); 2] = [("d/a.xml", xml.as_bytes()), ("d/a_mask.png", &binary)];
    let found = gather::gather_with(&files, &images, &gather::Options { number_pieces: true, ..CELL });
    let bounds: Vec<_> =
        found.annotations[0].objects.iter().map(|o| o.mask.as_ref().unwrap().bbox().unwrap()).collect();
    assert_eq!(bounds, [[6, 0, 8, 4], [0, 0, 2, 4]]);
}

#[test]
fn xml_is_read_in_the_encoding_that_it_declares() {
    let xml = |encoding: &str, name: &str| {
        format!(
            "<?xml version=\"1.0\" encoding='{encoding}'?><annotation><size><width>9</width><height>9</height></size><object>\
             <name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></object></annotation>"
        )
    };
    let wide = |mark: &[u8], text: &str| {
        let pairs = text.encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(pairs).collect::<Vec<u8>>()
    };
    for (label, bytes) in [
        ("Zelle ä", encoding_rs::WINDOWS_1252.encode(&xml("ISO-8859-1", "Zelle ä")).0.into_owned()),
        ("细胞", encoding_rs::GBK.encode(&xml("gb2312", "细胞")).0.into_owned()),
        ("细胞", wide(b"\xff\xfe", &xml("UTF-16", "细胞"))),
        ("细胞", wide(b"", &xml("UTF-16", "细胞"))),
        ("细胞", xml("utf-8", "细胞").into_bytes()),
        ("cell", xml("UTF-16", "cell").into_bytes()),
    ] {
        let parsed = voc::read("a.xml", &bytes).unwrap();
        assert_eq!(parsed.value.objects[0].label, label);
    }
    let sentence = voc::read("a.xml", &xml("klingon", "x").into_bytes()).unwrap_err().to_string();
    assert!(sentence.contains("klingon") && sentence.contains("UTF-8"), "{sentence}");
}

#[test]
fn other_text_files_are_reported_once() {
    let files: [(&str, &[u8]); 3] = [
        ("README.roboflow.txt", b"This dataset was exported"),
        ("train.txt", b"data/a.png\n"),
        ("labels/a.txt", b"0 0.5 0.5 0.5 0.5\n"),
    ];
    let found = gather::gather(&files, &[ImageInfo::new("a", 10, 10)], "cell");
    assert_eq!((found.annotations.len(), found.rejected.len(), found.without_image.len()), (1, 0, 0));
    let named = |file: &str| found.warnings.iter().filter(|warning| warning.starts_with(file)).count();
    assert_eq!((named("README.roboflow.txt"), named("train.txt")), (1, 1), "{:?}", found.warnings);
}
