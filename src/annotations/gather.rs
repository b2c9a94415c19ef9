//! Annotation files of every kind, as they are dropped together, brought to the images that are there.

use serde::{Deserialize, Serialize};

use super::classes::{self, ClassLists};
use super::csv::{self, ImageLabels};
use super::dataset::{self, Claim, ImageInfo};
use super::json::{self, json_text};
use super::label_images::LabelImages;
use super::matching::{Index, Match};
use super::recognise::{self, AnnotationKind};
use super::{ImageAnnotations, Parsed, coco, jsonl, labelme, names, outlines, via, voc, yolo};
use crate::error::{Error, Result};

/// What a drop of annotation files held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered {
    /// One for each image that is annotated, with the image's name.
    pub annotations: Vec<ImageAnnotations>,
    /// The file that each of them is from; of boxes and a label image that of the boxes.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What tables say of whole images, whether these are there or not.
    pub image_labels: Vec<ImageLabels>,
    /// Annotations of images that are not there, by their own names.
    pub without_image: Vec<String>,
    /// The file that each of those is from.
    #[serde(default)]
    pub without_image_sources: Vec<String>,
    /// Label images that do not tell objects apart, and could be used with [`Options::number_pieces`].
    #[serde(default)]
    pub unnumbered: Vec<String>,
    pub warnings: Vec<String>,
    /// Files and objects that were left out, and why.
    pub rejected: Vec<String>,
}

/// How files are read that leave something open.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// What objects are called that only a label image shows.
    pub label: &'a str,
    /// Gives each connected piece of a label image a number of its own, whatever its value.
    pub number_pieces: bool,
}

/// [`gather_with`] the label and otherwise the defaults.
pub fn gather(files: &[(&str, &[u8])], images: &[ImageInfo], label: &str) -> Gathered {
    gather_with(files, images, &Options { label, number_pieces: false })
}

/// Reads `files`, each with its name, and brings what they hold to `images`. A size of 0 × 0 is one that is not known yet;
/// then the annotation's own size is taken. Folders in the names, and [`ImageInfo::files`], tell images of one name apart.
///
/// A file that cannot be read is listed, and the others continue.
pub fn gather_with(files: &[(&str, &[u8])], images: &[ImageInfo], options: &Options) -> Gathered {
    let mut reading = Reading {
        out: Gathered::default(),
        index: Index::new(images),
        images,
        label: options.label,
        lists: ClassLists::default(),
        found: Vec::new(),
    };
    for &(name, bytes) in files.iter().filter(|(name, _)| classes::is_list(name)) {
        let outcome = reading.lists.add(name, bytes);
        reading.note(outcome);
    }
    let mut labels = LabelImages::new(images, *options);
    for &(name, bytes) in files {
        let outcome = match recognise::kind(name, bytes, true) {
            AnnotationKind::LabelImage => {
                labels.add(name, bytes);
                Ok(())
            }
            kind => reading.read(kind, name, bytes),
        };
        reading.note(outcome);
    }
    // Label images belong to the boxes that were just read.
    let Reading { mut out, mut found, .. } = reading;
    labels.attach(&mut found, &mut out);
    let claims = found.into_iter().map(|one| Claim {
        annotations: take(&mut out, one.parsed),
        found: one.image,
        source: one.source,
    });
    let claims = claims.collect();
    let matched = dataset::settle(claims, images);
    out.annotations = matched.annotations;
    out.sources = matched.sources;
    out.without_image.extend(matched.without_image);
    out.without_image_sources.extend(matched.without_image_sources);
    out.warnings.extend(matched.warnings);
    out.rejected.extend(matched.rejected.iter().map(Error::to_string));
    out
}

/// The annotations of one image, and where they are from.
pub(super) struct Found {
    pub parsed: Parsed<ImageAnnotations>,
    pub image: Match,
    pub source: String,
    /// The file speaks of this image alone, so that value k of a label image is its k-th object.
    pub is_single: bool,
}

struct Reading<'a> {
    out: Gathered,
    index: Index,
    images: &'a [ImageInfo],
    label: &'a str,
    /// The names that the numbers of YOLO's files stand for.
    lists: ClassLists,
    found: Vec<Found>,
}

impl Reading<'_> {
    fn note(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.out.rejected.push(error.to_string());
        }
    }

    fn read(&mut self, kind: AnnotationKind, name: &str, bytes: &[u8]) -> Result<()> {
        match kind {
            AnnotationKind::Voc => {
                let (parsed, places) = voc::read_with_places(name, bytes)?;
                let own = self.index.of_own_name(name);
                let image = places.iter().fold(own, |found, place| found.or(self.index.of_file(place)));
                self.single(name, parsed, image);
            }
            AnnotationKind::Json => self.json(name, bytes)?,
            AnnotationKind::JsonLines => {
                let parsed = jsonl::read(name, bytes)?;
                self.many(name, parsed);
            }
            AnnotationKind::Outlines => self.outlines(name, bytes)?,
            AnnotationKind::ImageLabels => {
                let parsed = csv::read_image_labels(name, bytes)?;
                let value = take(&mut self.out, parsed);
                self.out.image_labels.extend(value);
            }
            AnnotationKind::Table => {
                let parsed = csv::read_boxes(name, bytes)?;
                self.many(name, parsed);
            }
            AnnotationKind::Yolo => self.yolo(name, bytes)?,
            // Both were taken before everything else.
            AnnotationKind::ClassList | AnnotationKind::LabelImage => {}
            AnnotationKind::Unknown => {
                return Err(Error::annotation(name, "is not a known kind of annotation file"));
            }
        }
        Ok(())
    }

    fn json(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let json = json_text(name, bytes)?;
        let size_of = |file: &str| self.size_of(self.index.of_file(file));
        match json::kind(&json) {
            json::Kind::Coco => {
                let parsed = coco::read_sized(name, &json, size_of)?;
                self.many(name, parsed);
            }
            json::Kind::Via => {
                let parsed = via::read_sized(name, &json, self.label, size_of)?;
                self.many(name, parsed);
            }
            json::Kind::Labelme => {
                let own = self.index.of_own_name(name);
                let parsed = labelme::read_sized(name, &json, |file| self.size_of(own.or(self.index.of_file(file))))?;
                let image = own.or(self.index.of_file(&parsed.value.file));
                self.single(name, parsed, image);
            }
            json::Kind::Other(reason) => return Err(Error::annotation(name, reason)),
        }
        Ok(())
    }

    fn outlines(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let stem = outlines::image_of(name).unwrap_or_default();
        let image = self.index.of_own_name(&stem);
        let size = self.size_of(image).unwrap_or((0, 0));
        let parsed = outlines::read(name, bytes, &names::stem(&stem), self.label, size)?;
        self.single(name, parsed, image);
        Ok(())
    }

    fn yolo(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let (line, _) = recognise::first_line(bytes, true);
        let image = self.index.of_own_name(name);
        match image {
            Match::Image(at, _) => {
                let ImageInfo { width, height, .. } = self.images[at];
                let parsed = yolo::read(name, bytes, self.lists.of(name), width, height)?;
                self.single(name, parsed, image);
            }
            Match::Several => {
                let reason = "belongs to one of several images of that name, and the folders do not tell which";
                return Err(Error::annotation(name, reason));
            }
            Match::None if line.is_empty() || recognise::is_yolo(&line) => {
                self.out.without_image.push(names::stem(name));
                self.out.without_image_sources.push(name.to_owned());
            }
            Match::None => {
                self.out.warnings.push(format!("{name}: holds no boxes and no image is called so; it is not used"))
            }
        }
        Ok(())
    }

    fn size_of(&self, image: Match) -> Option<(u32, u32)> {
        let Match::Image(at, _) = image else { return None };
        let ImageInfo { width, height, .. } = self.images[at];
        Some((width, height)).filter(|_| width > 0 && height > 0)
    }

    fn single(&mut self, name: &str, parsed: Parsed<ImageAnnotations>, image: Match) {
        self.found.push(Found { parsed, image, source: name.to_owned(), is_single: true });
    }

    fn many(&mut self, name: &str, parsed: Parsed<Vec<ImageAnnotations>>) {
        for value in take(&mut self.out, parsed) {
            let image = self.index.of_annotations(&value);
            self.found.push(Found { parsed: Parsed::new(value), image, source: name.to_owned(), is_single: false });
        }
    }
}

/// The value; what was odd about it goes to the lists.
fn take<T>(out: &mut Gathered, parsed: Parsed<T>) -> T {
    out.warnings.extend(parsed.warnings);
    out.rejected.extend(parsed.rejected.iter().map(Error::to_string));
    parsed.value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::LabelImage;

    const XML: &str = "<annotation><size><width>4</width><height>2</height></size>\
        <object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object>\
        </annotation>";

    fn image(name: &str, width: u32, height: u32) -> ImageInfo {
        ImageInfo::new(name, width, height)
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
