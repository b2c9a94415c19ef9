//! What an annotation file is, told by its name and its beginning, and which image it is named after: before it is read, so
//! that files which belong together are read together.

use serde::{Deserialize, Serialize};

use super::dataset::ImageInfo;
use super::matching::{Index, Match};
use super::{classes, csv, names, outlines};
use crate::channels::HEAD_BYTES;

/// The kinds of file that hold annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AnnotationKind {
    /// Names of classes, which the numbers of YOLO's files stand for.
    ClassList,
    /// An image whose values are object numbers.
    LabelImage,
    /// Pascal VOC, of one image.
    Voc,
    /// COCO, VIA or LabelMe, of one image or of many.
    Json,
    /// cytobox's lines, of many images.
    JsonLines,
    /// Cellpose's outlines, of one image.
    Outlines,
    /// The Atlas's table of labels for whole images, which needs no image and no size.
    ImageLabels,
    /// A table of boxes, of many images.
    Table,
    /// YOLO, of one image, whose size it needs.
    Yolo,
    Unknown,
}

/// Endings of the files that hold label images.
const PICTURES: [&str; 3] = ["png", "tif", "tiff"];

/// The kind of a file of which `beginning` is known; `is_whole` where it is no more than that.
pub fn kind(name: &str, beginning: &[u8], is_whole: bool) -> AnnotationKind {
    match extension(name).as_str() {
        ending if PICTURES.contains(&ending) => AnnotationKind::LabelImage,
        "xml" => AnnotationKind::Voc,
        "json" => AnnotationKind::Json,
        "jsonl" => AnnotationKind::JsonLines,
        _ if classes::is_list(name) => AnnotationKind::ClassList,
        ending @ ("csv" | "tsv" | "txt") => text_kind(name, ending, beginning, is_whole),
        _ => AnnotationKind::Unknown,
    }
}

fn text_kind(name: &str, ending: &str, beginning: &[u8], is_whole: bool) -> AnnotationKind {
    if outlines::image_of(name).is_some() {
        return AnnotationKind::Outlines;
    }
    let (line, is_cut) = first_line(beginning, is_whole);
    if csv::is_image_labels(&line) {
        return AnnotationKind::ImageLabels;
    }
    // A row of boxes has at least four separators, of which the first may stand behind a long path.
    let is_table = match is_cut {
        true => csv::separator_of(&line).1 > 0 || !is_numbers(line.rsplitn(2, u8::is_ascii_whitespace).last()),
        false => csv::separator_of(&line).1 >= 4,
    };
    if ending != "txt" || is_table { AnnotationKind::Table } else { AnnotationKind::Yolo }
}

/// The ending of a file's name in small letters, without its dot.
fn extension(name: &str) -> String {
    names::base_name(name).rsplit_once('.').map_or_else(String::new, |(_, e)| e.to_ascii_lowercase())
}

/// The first line that says something, and whether its end is not known; of UTF-16 without its zeros, which suffices to tell
/// what it is.
pub(super) fn first_line(beginning: &[u8], is_whole: bool) -> (Vec<u8>, bool) {
    let is_wide = beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff");
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&beginning[if is_wide { 2 } else { 0 }..]);
    let mut lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).peekable();
    while let Some(line) = lines.next() {
        if line.iter().any(|b| *b != 0) && !line.starts_with(b"sep=") {
            let is_cut = !is_whole && lines.peek().is_none();
            return (line.iter().copied().filter(|b| *b != 0).take(1 << 16).collect(), is_cut);
        }
    }
    (Vec::new(), false)
}

/// Whether there are numbers alone, with white space between.
fn is_numbers(words: Option<&[u8]>) -> bool {
    let mut words = words.unwrap_or_default().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.all(|word| std::str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok()))
}

/// A number and at least four more.
pub(super) fn is_yolo(line: &[u8]) -> bool {
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    words >= 5 && is_numbers(Some(line))
}

/// One annotation file before it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recognised {
    pub kind: AnnotationKind,
    /// What an image without folders would be called for the file to be named after it.
    pub stem: String,
    /// The image that it is named after. What it says itself may be another.
    pub image: Option<String>,
    /// Several images have the name, and the folders do not tell which of them is meant.
    pub is_ambiguous: bool,
}

/// What each of `files` is among these images, told by its name and its first [`HEAD_BYTES`], or all of a shorter file.
pub fn recognise(files: &[(&str, &[u8])], images: &[ImageInfo]) -> Vec<Recognised> {
    let index = Index::new(images);
    let one = |&(name, beginning): &(&str, &[u8])| {
        let kind = kind(name, beginning, beginning.len() < HEAD_BYTES);
        let own_name = outlines::image_of(name);
        let own_name = own_name.as_deref().unwrap_or(name);
        let (image, is_ambiguous) = match index.of_own_name(own_name) {
            _ if kind == AnnotationKind::ClassList => (None, false),
            Match::Image(at, _) => (Some(images[at].name.clone()), false),
            found => (None, found == Match::Several),
        };
        Recognised { kind, stem: names::stem(own_name), image, is_ambiguous }
    };
    files.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_file_tells_what_the_whole_file_is() {
        let long = format!("{}.png,1,2,3,4,cell\n", "a".repeat(80));
        let outline = "10,10,20,10,20,20\n";
        for (name, text, expected) in [
            ("d/a.xml", "<annotation>", AnnotationKind::Voc),
            ("a.JSON", "{", AnnotationKind::Json),
            ("annotations.jsonl", "{", AnnotationKind::JsonLines),
            ("classes.txt", "a\nb\n", AnnotationKind::ClassList),
            ("class_names.txt", "a\n", AnnotationKind::ClassList),
            ("obj.names", "a\n", AnnotationKind::ClassList),
            ("data.yaml", "names: [a]", AnnotationKind::ClassList),
            ("a_mask.tif", "", AnnotationKind::LabelImage),
            ("a_cp_outlines.txt", outline, AnnotationKind::Outlines),
            ("train.csv", "\u{feff}\"Id\",Target\na,1\n", AnnotationKind::ImageLabels),
            ("train.txt", "ID,Label\na,1|2\n", AnnotationKind::ImageLabels),
            ("boxes.tsv", "a\n", AnnotationKind::Table),
            ("annot.txt", "a.png,1,2,3,4,cell\n", AnnotationKind::Table),
            ("annot.txt", long.as_str(), AnnotationKind::Table),
            ("a.txt", "0 0.5 0.5 0.25 0.25\n", AnnotationKind::Yolo),
            ("a.txt", "0 0.50000000000 0.50000000000 0.25000000000 0.25000000000 0.9\n", AnnotationKind::Yolo),
            ("a.txt", "", AnnotationKind::Yolo),
            ("notes.md", "# a", AnnotationKind::Unknown),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(kind(name, bytes, true), expected, "{name}: {text}");
            assert_eq!(
                kind(name, &bytes[..bytes.len().min(HEAD_BYTES)], bytes.len() < HEAD_BYTES),
                expected,
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn a_file_is_named_after_its_image_in_every_form() {
        let info = |name: &str, file: &str| ImageInfo { files: vec![file.to_owned()], ..ImageInfo::new(name, 0, 0) };
        let images = [
            info("sample", "sample.ome.tif"),
            info("plateA/f01", "plateA/f01.png"),
            info("plateB/f01", "plateB/f01.png"),
        ];
        let image = |name: &str| recognise(&[(name, b"")], &images).remove(0).image;
        assert_eq!(image("sample_green.txt").as_deref(), Some("sample"));
        assert_eq!(image("sample.ome.tif.xml").as_deref(), Some("sample"));
        assert_eq!(image("sample_cp_outlines.txt").as_deref(), Some("sample"));
        assert_eq!(image("plateB/labels/f01.txt").as_deref(), Some("plateB/f01"));
        assert_eq!(image("f01.txt"), None);
        let either = recognise(&[("x/f01_cp_outlines.txt", b"")], &images).remove(0);
        assert!(either.stem == "f01" && either.is_ambiguous, "{either:?}");
        assert!(!recognise(&[("none.txt", b"")], &images)[0].is_ambiguous);
    }
}
