//! What every reader must do with any bytes: give an error, or a value that is sound and survives being written and read
//! again. libFuzzer and `tests/fuzzed.rs` call the same functions; each panics where a reader breaks its word.
//!
//! A project file of the page is read in JavaScript and has its tests in `tests/e2e/persist.test.mjs`.

use std::collections::BTreeSet;

use cytobox::annotations::dataset::ImageInfo;
use cytobox::annotations::{ImageAnnotations, Object, Parsed, check, coco, csv, gather, labelme, via, voc, yolo};
use cytobox::boxes::BoxXyxy;
use cytobox::channels::{self, Channel, ChannelSet, Merge, Pages, Plane, Projection, ReadOptions, Reading, StackRule};
use cytobox::masks::LabelImage;
use cytobox::train::checkpoint::Checkpoint;
use cytobox::weights::{self, StateDict, pickle, safetensors};
use cytobox::{Result, export, limits};

/// A reader under its name, which is also that of its libFuzzer target.
pub type Target = (&'static str, fn(&[u8]));

pub const ALL: [Target; 13] = [
    ("images", images),
    ("label_image", label_image),
    ("voc", voc),
    ("coco", coco),
    ("yolo", yolo),
    ("csv", csv),
    ("labelme", labelme),
    ("via", via),
    ("detections", detections),
    ("gathered", gathered),
    ("weights", weights),
    ("pickle", pickle),
    ("checkpoint", checkpoint),
];

/// The size that an image has of which the file itself does not tell the size.
const SIZE: [u32; 2] = [64, 48];

/// PNG, JPEG and TIFF: as an image by itself, as one channel of a set, and merged.
pub fn images(bytes: &[u8]) {
    let stack = |pages, projection| Reading::new(pages, Some(StackRule { projection, z: None, t: None }));
    let readings = [
        Reading::from(Pages::Ask),
        Reading::from(Pages::Channels),
        stack(Pages::Slices, Projection::Mean),
        stack(Pages::Frames, Projection::Sharpest),
        stack(Pages::Ask, Projection::Max),
    ];
    for reading in readings {
        let Ok(decoded) = channels::decode("a.png", bytes, reading) else { continue };
        assert!((1..=limits::CHANNELS).contains(&decoded.planes.len()), "{} planes", decoded.planes.len());
        assert!(decoded.colours.is_empty() || decoded.colours.len() == decoded.planes.len());
        decoded.planes.iter().for_each(sound_plane);
    }
    let options = ReadOptions { fill: &Channel::HPA, pages: Pages::Channels, ..ReadOptions::default() };
    for channel in [None, Some(Channel::Green)] {
        if let Ok(set) = channels::assemble("a", &[(channel, "a.png".to_owned(), bytes)], &options) {
            merged(&set);
        }
    }
}

fn sound_plane(plane: &Plane) {
    let (width, height) = (plane.width, plane.height);
    assert!(width > 0 && height > 0 && width.max(height) <= limits::IMAGE_SIDE, "{width} × {height}");
    let pixels = u64::from(width) * u64::from(height);
    assert!(pixels <= limits::IMAGE_PIXELS && plane.samples.len() as u64 == pixels);
}

fn merged(set: &ChannelSet) {
    set.planes.values().for_each(sound_plane);
    let (width, height) = set.size();
    assert!(set.planes.values().all(|plane| (plane.width, plane.height) == (width, height)));
    let merged_image = channels::merge(set, &Merge::for_set(set)).expect("a set has colours for its own channels");
    assert_eq!((merged_image.width, merged_image.height), (width, height));
    assert_eq!(merged_image.rgb.len(), width as usize * height as usize * 3);
    assert!(merged_image.rgb.iter().all(|value| (0.0..=1.0).contains(value)), "a value beyond black and white");
    let png = merged_image.to_png().expect("a merged image has a PNG");
    let again = channels::decode("a.png", &png, Pages::Ask).expect("the PNG is read");
    assert_eq!((again.planes[0].width, again.planes[0].height), (width, height));
}

/// Object numbers in a PNG or TIFF.
pub fn label_image(bytes: &[u8]) {
    let Ok(labels) = LabelImage::decode("a_mask.png", bytes) else { return };
    let (width, height) = (labels.width(), labels.height());
    let masks = labels.masks();
    assert!(masks.len() <= limits::OBJECTS && !masks.contains_key(&0));
    for mask in masks.values() {
        assert_eq!((mask.width(), mask.height()), (width, height));
        let [x1, y1, x2, y2] = mask.bbox().expect("a value that occurs has pixels");
        assert!(x1 < x2 && y1 < y2 && x2 <= width && y2 <= height);
    }
    let whole = labels.whole().map_or(0, |mask| mask.area());
    assert_eq!(masks.values().map(|mask| mask.area()).sum::<u32>(), whole);
    let again = LabelImage::decode("a_mask.png", &labels.encode_png().expect("labels have a PNG"));
    assert!(again.expect("the PNG is read") == labels);
    labels.doubts();
    if let Ok(numbered) = labels.number_pieces() {
        assert_eq!(numbered.whole().map_or(0, |mask| mask.area()), whole);
    }
}

/// Boxes lie in the image, masks and boxes are of one image, labels are labels.
fn sound(image: &ImageAnnotations) {
    let (width, height) = (image.width, image.height);
    let inside = |corners: [f32; 4]| {
        let [x1, y1, x2, y2] = corners;
        assert!(x1 >= 0.0 && y1 >= 0.0 && x2 > x1 && y2 > y1 && x2.is_finite() && y2.is_finite(), "{corners:?}");
        let fits = (width == 0 || x2 <= width as f32) && (height == 0 || y2 <= height as f32);
        assert!(fits, "{corners:?} in {width} × {height}");
    };
    assert!(!image.image.is_empty(), "an image without a name: {image:?}");
    let is_label = |label: &str| !label.is_empty() && label.chars().count() <= limits::LABEL_CHARS;
    for Object { bbox, label, mask, .. } in &image.objects {
        inside(bbox.corners());
        assert!(is_label(label), "{label:?}");
        if let Some(mask) = mask {
            assert_eq!((mask.width(), mask.height()), (width, height));
            assert!(mask.area() > 0, "an empty mask");
        }
    }
    for region in &image.ignored {
        inside(region.bbox.corners());
        assert!(region.label.as_deref().is_none_or(is_label), "{:?}", region.label);
    }
    check::check(std::slice::from_ref(image));
}

/// Says that nothing of what was written is lost when it is read, and that from then on it stays as it is.
fn stable<T: std::fmt::Debug>(
    first: &T,
    written: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<Parsed<T>>,
    images: impl Fn(&T) -> &[ImageAnnotations],
) {
    let count = |value| images(value).iter().map(|image| image.objects.len()).sum::<usize>();
    let again = read(&written(first)).expect("what cytobox writes it reads");
    assert_eq!(again.rejected, [], "of {first:?}");
    assert_eq!(count(&again.value), count(first), "objects of {first:?}");
    let third = read(&written(&again.value)).expect("what cytobox writes it reads");
    // Parts of an image are rounded once more.
    let rounded = |value| {
        let mut images = images(value).to_vec();
        let objects = images.iter_mut().flat_map(|image| &mut image.objects);
        let corners: Vec<f32> = objects
            .flat_map(|object| {
                std::mem::replace(&mut object.bbox, BoxXyxy::try_from([0.0, 0.0, 1.0, 1.0]).unwrap()).corners()
            })
            .collect();
        (images, corners)
    };
    let ((images, corners), (same, close)) = (rounded(&again.value), rounded(&third.value));
    assert_eq!(images, same);
    let is_close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
    assert!(corners.iter().zip(&close).all(is_close), "{corners:?} became {close:?}");
}

fn classes(images: &[ImageAnnotations]) -> Vec<String> {
    let of_objects = images.iter().flat_map(|image| &image.objects).map(|object| object.label.clone());
    let of_regions = images.iter().flat_map(|image| &image.ignored).filter_map(|region| region.label.clone());
    of_objects.chain(of_regions).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Pascal VOC, and the XML of LabelMe's first program and of others.
pub fn voc(bytes: &[u8]) {
    let Ok(Parsed { value, .. }) = voc::read("a.xml", bytes) else { return };
    sound(&value);
    stable(&value, |value| voc::write(value).into_bytes(), |bytes| voc::read("a.xml", bytes), std::slice::from_ref);
}

/// COCO's JSON.
pub fn coco(bytes: &[u8]) {
    let Ok(Parsed { value, .. }) = coco::read("a.json", bytes) else { return };
    value.iter().for_each(sound);
    let write = |images: &Vec<_>| coco::write(images, &classes(images)).expect("classes of the images");
    stable(&value, write, |bytes| coco::read("a.json", bytes), Vec::as_slice);
}

/// YOLO's lines of an image, boxes and outlines, and a list of classes.
pub fn yolo(bytes: &[u8]) {
    if let Ok(classes) = yolo::read_classes("classes.txt", bytes) {
        assert!(classes.len() <= limits::CLASSES, "{} classes", classes.len());
    }
    let Ok(Parsed { value, .. }) = yolo::read("a.txt", bytes, None, SIZE[0], SIZE[1]) else { return };
    sound(&value);
    let list = classes(std::slice::from_ref(&value));
    let write = |image: &_| yolo::write(image, &list).expect("classes of the image").into_bytes();
    let read = |bytes: &[u8]| yolo::read("a.txt", bytes, Some(&list), SIZE[0], SIZE[1]);
    stable(&value, write, read, std::slice::from_ref);
}

/// Tables of boxes, and of labels of whole images.
pub fn csv(bytes: &[u8]) {
    if let Ok(parsed) = csv::read_image_labels("t.csv", bytes) {
        assert!(parsed.value.len() <= limits::TABLE_IMAGES);
    }
    let Ok(Parsed { value, .. }) = csv::read_boxes("t.csv", bytes) else { return };
    value.iter().for_each(sound);
    let write = |images: &Vec<_>| csv::write_boxes(images).expect("a table");
    stable(&value, write, |bytes| csv::read_boxes("t.csv", bytes), Vec::as_slice);
}

/// labelme's JSON of an image.
pub fn labelme(bytes: &[u8]) {
    if let Ok(parsed) = labelme::read("a.json", bytes) {
        sound(&parsed.value);
    }
}

/// A project of the VGG Image Annotator.
pub fn via(bytes: &[u8]) {
    if let Ok(parsed) = via::read("a.json", bytes, "cell") {
        parsed.value.iter().for_each(sound);
    }
}

/// Lines of detections, as a folder's scan keeps them.
pub fn detections(bytes: &[u8]) {
    for image in export::read_jsonl("a.jsonl", bytes).flatten() {
        let line = export::jsonl_line(&image).expect("detections have a line");
        let again: Vec<_> = export::read_jsonl("a.jsonl", line.as_bytes()).collect();
        assert_eq!(again, [Ok(image.clone())]);
        sound(&export::as_annotations(&image));
        for file in export::export(&[image], &[], &export::Format::ALL).into_iter().flatten() {
            assert!(!file.name.contains(['/', '\\', ':', '\0']) && !file.name.starts_with('.'), "{}", file.name);
        }
    }
}

/// Every kind of annotation file beside an image whose size is known and one whose is not.
pub fn gathered(bytes: &[u8]) {
    let images = [ImageInfo::new("a", SIZE[0], SIZE[1]), ImageInfo::new("d/b", 0, 0)];
    for name in ["a.xml", "a.json", "t.csv", "a.txt", "a_cp_outlines.txt", "data.yaml", "a_mask.png", "a_mask.tif"] {
        for number_pieces in [false, true] {
            let options = gather::Options { label: "cell", number_pieces };
            let found = gather::gather_with(&[(name, bytes)], &images, &options);
            found.annotations.iter().for_each(sound);
            assert!(found.annotations.iter().all(|one| images.iter().any(|image| image.name == one.image)));
            assert_eq!(found.sources.len(), found.annotations.len());
        }
    }
}

fn sound_state(state: &StateDict, bytes: &[u8]) {
    assert!(state.tensors.len() <= limits::TENSORS);
    let mut total = 0;
    for (name, tensor) in &state.tensors {
        let values: usize = tensor.shape.iter().product();
        assert_eq!(tensor.bytes.len(), values * tensor.dtype.bytes(), "{name}");
        total += tensor.bytes.len() as u64;
    }
    assert!(total <= bytes.len() as u64 * limits::TENSOR_EXPANSION, "{total} bytes of a file of {}", bytes.len());
    let written = safetensors::write("a", state).expect("a state dict is written");
    let again = safetensors::read("a", &written).expect("what cytobox writes it reads");
    assert_eq!((&again.tensors, &again.config), (&state.tensors, &state.config));
}

/// A detector file: safetensors, or torch's archive or old form.
pub fn weights(bytes: &[u8]) {
    if let Ok(state) = weights::read("a", bytes) {
        sound_state(&state, bytes);
    }
    if let Ok(info) = weights::describe("a", bytes) {
        assert!(info.config.classes.len() <= limits::CLASSES + 1 && info.tensors <= limits::TENSORS);
    }
}

/// A pickle by itself.
pub fn pickle(bytes: &[u8]) {
    let mut made = 0;
    if let Ok(pickle) = pickle::read(bytes, &mut made) {
        assert!(pickle.length <= bytes.len());
    }
    assert!(made <= limits::PICKLE_VALUES, "{made} values");
}

/// A training run between two steps.
pub fn checkpoint(bytes: &[u8]) {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes) else { return };
    // Values may be no numbers, which differ from themselves; their bytes do not.
    let written = checkpoint.to_bytes().expect("a checkpoint is written");
    let again = Checkpoint::from_bytes(&written).expect("what cytobox writes it reads");
    assert_eq!(again.state, checkpoint.state);
    assert!(again.to_bytes().expect("a checkpoint is written") == written);
}
