//! Annotation files of every kind, as they are dropped together, brought to the images that are there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::csv::{self, ImageLabels};
use super::dataset::{self, ImageInfo};
use super::{ImageAnnotations, Parsed, attach, coco, names, voc, yolo};
use crate::error::{Error, Result};
use crate::masks::LabelImage;

/// Endings of the names of label images.
const MASK_ENDINGS: [&str; 4] = ["_mask", "_masks", "_label", "_labels"];
/// Endings of the files that hold them.
const PICTURES: [&str; 3] = ["png", "tif", "tiff"];

/// What a drop of annotation files held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered {
    /// One for each image that is annotated, with the image's name.
    pub annotations: Vec<ImageAnnotations>,
    /// What tables say of whole images, whether these are there or not.
    pub image_labels: Vec<ImageLabels>,
    /// Annotations of images that are not there, by their own names.
    pub without_image: Vec<String>,
    pub warnings: Vec<String>,
    /// Files and objects that were left out, and why.
    pub rejected: Vec<String>,
}

/// Reads `files`, each with its name, and brings what they hold to `images`. A size of 0 × 0 is one that is not known yet;
/// then the annotation's own size is taken. `label` is what objects are called that only a label image shows.
///
/// A file that cannot be read is listed, and the others go on.
pub fn gather(files: &[(&str, &[u8])], images: &[ImageInfo], label: &str) -> Gathered {
    let mut reading = Reading { out: Gathered::default(), found: Vec::new(), boxed: BTreeMap::new() };
    let classes = reading.classes(files);
    for &(name, bytes) in files {
        let outcome = reading.read(name, bytes, images, classes.as_deref());
        reading.note(outcome);
    }
    // Label images belong to the boxes that were just read.
    for &(name, bytes) in files.iter().filter(|(name, _)| is_label_image(name)) {
        let outcome = reading.attach(name, bytes, label);
        reading.note(outcome);
    }
    let Reading { mut out, mut found, boxed } = reading;
    for parsed in boxed.into_values() {
        let value = take(&mut out, parsed);
        found.push(value);
    }
    let matched = dataset::match_images(found, images);
    out.annotations = matched.annotations;
    out.without_image.extend(matched.without_image);
    out.warnings.extend(matched.warnings);
    out.rejected.extend(matched.rejected.iter().map(Error::to_string));
    out
}

struct Reading {
    out: Gathered,
    found: Vec<ImageAnnotations>,
    /// Files of one image, by the stem of their name, which label images find them by.
    boxed: BTreeMap<String, Parsed<ImageAnnotations>>,
}

impl Reading {
    fn note(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.out.rejected.push(error.to_string());
        }
    }

    /// The names that the numbers of YOLO's files stand for.
    fn classes(&mut self, files: &[(&str, &[u8])]) -> Option<Vec<String>> {
        let (name, bytes) = files.iter().find(|(name, _)| is_class_list(name))?;
        match yolo::read_classes(name, bytes) {
            Ok(classes) => Some(classes),
            Err(error) => {
                self.note(Err(error));
                None
            }
        }
    }

    fn read(&mut self, name: &str, bytes: &[u8], images: &[ImageInfo], classes: Option<&[String]>) -> Result<()> {
        let extension = extension(name);
        match extension.as_str() {
            "xml" => {
                let parsed = voc::read(name, bytes)?;
                self.boxed.insert(names::stem(name), parsed);
            }
            "json" => {
                let parsed = coco::read(name, bytes)?;
                let value = take(&mut self.out, parsed);
                self.found.extend(value);
            }
            "csv" | "txt" if is_image_labels(bytes) => {
                let parsed = csv::read_image_labels(name, bytes)?;
                let value = take(&mut self.out, parsed);
                self.out.image_labels.extend(value);
            }
            "csv" => self.table(name, bytes)?,
            "txt" if is_class_list(name) => {}
            "txt" if is_table(bytes) => self.table(name, bytes)?,
            "txt" => {
                let stem = names::stem(name);
                match images.iter().find(|image| image.name == stem) {
                    Some(image) => {
                        let parsed = yolo::read(name, bytes, classes, image.width, image.height)?;
                        self.boxed.insert(stem, parsed);
                    }
                    None => self.out.without_image.push(stem),
                }
            }
            picture if PICTURES.contains(&picture) => {}
            _ => return Err(Error::annotation(name, "is no kind of annotation file that is known here")),
        }
        Ok(())
    }

    fn table(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let parsed = csv::read_boxes(name, bytes)?;
        let value = take(&mut self.out, parsed);
        self.found.extend(value);
        Ok(())
    }

    fn attach(&mut self, name: &str, bytes: &[u8], label: &str) -> Result<()> {
        let labels = LabelImage::decode(name, bytes)?;
        let stem = names::stem(name);
        let stem = MASK_ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(&stem);
        match self.boxed.get_mut(stem) {
            Some(parsed) => attach::attach_masks(parsed, name, &labels)?,
            None => {
                let annotations = attach::objects_of(stem, &labels, label)?;
                self.boxed.insert(stem.to_owned(), Parsed::new(annotations));
            }
        }
        Ok(())
    }
}

/// The value; what was odd about it goes to the lists.
fn take<T>(out: &mut Gathered, parsed: Parsed<T>) -> T {
    out.warnings.extend(parsed.warnings);
    out.rejected.extend(parsed.rejected.iter().map(Error::to_string));
    parsed.value
}

fn extension(name: &str) -> String {
    names::base_name(name).rsplit_once('.').map_or_else(String::new, |(_, e)| e.to_ascii_lowercase())
}

fn is_label_image(name: &str) -> bool {
    PICTURES.contains(&extension(name).as_str())
}

fn is_class_list(name: &str) -> bool {
    names::base_name(name).eq_ignore_ascii_case("classes.txt")
}

/// The first line that says something.
fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty()).unwrap_or_default()
}

/// Kaggle's header.
fn is_image_labels(bytes: &[u8]) -> bool {
    first_line(bytes) == b"Id,Target"
}

/// keras-frcnn's rows have six fields; a YOLO line has no comma.
fn is_table(bytes: &[u8]) -> bool {
    first_line(bytes).iter().filter(|b| **b == b',').count() >= 5
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<annotation><size><width>4</width><height>2</height></size>\
        <object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>\
        </annotation>";

    fn image(name: &str, width: u32, height: u32) -> ImageInfo {
        ImageInfo { name: name.into(), width, height }
    }

    #[test]
    fn every_kind_of_file_in_one_drop() {
        let mask = LabelImage::new(4, 2, vec![1, 1, 0, 0, 1, 1, 0, 0]).unwrap().encode_png().unwrap();
        let files: Vec<(&str, &[u8])> = vec![
            ("d/one_mask.png", &mask),
            ("d/one.xml", XML.as_bytes()),
            ("lone_label.png", &mask),
            ("two.txt", b"1 0.5 0.5 0.5 0.5\n"),
            ("nowhere.txt", b"0 0.5 0.5 0.5 0.5\n"),
            ("classes.txt", b"x\ny\n"),
            ("annot.txt", b"three.png,1,1,3,2,z\nlost.png,1,1,3,2,z\n"),
            ("train.csv", b"Id,Target\nfour,2 3\n"),
            ("five.xml", b"<annotation"),
            ("notes.md", b"#"),
        ];
        let images = [image("one", 4, 2), image("two", 8, 8), image("three", 0, 0), image("lone", 4, 2)];
        let found = gather(&files, &images, "cell");
        let mut labels: Vec<_> =
            found.annotations.iter().map(|a| (a.image.as_str(), a.objects[0].label.as_str())).collect();
        labels.sort_unstable();
        assert_eq!(labels, [("lone", "cell"), ("one", "a"), ("three", "z"), ("two", "y")]);
        let one = found.annotations.iter().find(|a| a.image == "one").unwrap();
        assert!(one.objects[0].mask.is_some());
        assert_eq!(found.image_labels[0].labels, ["Nucleoli", "Nucleoli fibrillar center"]);
        assert_eq!(found.without_image, ["nowhere", "lost"]);
        assert_eq!(found.rejected.len(), 2, "{:?}", found.rejected);
        assert!(found.rejected[0].contains("five.xml") && found.rejected[1].contains("notes.md"));
    }

    #[test]
    fn parts_of_an_image_need_its_size() {
        let files: Vec<(&str, &[u8])> = vec![("two.txt", b"0 0.5 0.5 0.5 0.5\n")];
        let found = gather(&files, &[image("two", 0, 0)], "cell");
        assert!(found.annotations.is_empty() && found.rejected[0].contains("size"), "{:?}", found.rejected);
    }
}
