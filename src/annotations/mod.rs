//! Boxes, labels and masks that people drew, in every format that is read and written.
//!
//! Readers take bytes, never a path, and return [`Parsed`]: what could be used, what was put right, and what had to be
//! left out, each with file and object. A file that is broken as a whole is an `Err`.

pub mod attach;
pub mod check;
mod classes;
pub mod coco;
pub mod csv;
pub mod dataset;
pub mod gather;
mod json;
pub mod jsonl;
pub mod label;
mod label_images;
pub mod labelme;
mod left_out;
mod matching;
pub mod names;
mod outline;
mod outlines;
pub mod recognise;
pub mod reference;
pub(crate) mod upright;
pub mod via;
pub mod voc;
pub mod yolo;

use std::borrow::Cow;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::limits;
use crate::masks::Rle;

/// Pixels by which a box may reach over the edge of the image and is still clipped; rounding in other programs does that.
pub const EDGE_TOLERANCE: f32 = 1.0;

/// One cell that a person boxed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Pixels of the original merged image.
    #[serde(rename = "box")]
    pub bbox: BoxXyxy,
    /// The class.
    #[serde(deserialize_with = "label::deserialize")]
    pub label: String,
    /// Hard even for a person; evaluation does not count it.
    #[serde(default)]
    pub difficult: bool,
    /// Cut by the edge of the image.
    #[serde(default)]
    pub truncated: bool,
    /// Over the whole image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Rle>,
}

/// A part of an image of which nobody knows, or nobody can say one by one, what is in it: neither an object nor background.
///
/// Training takes no negatives from it, and evaluation holds no detection on it for right or wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IgnoredRegion {
    /// Pixels of the original merged image.
    #[serde(rename = "box")]
    pub bbox: BoxXyxy,
    /// The class of what is there; `None` where it can be of any.
    #[serde(default, deserialize_with = "label::deserialize_option", skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub reason: IgnoredReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IgnoredReason {
    /// Many objects that nobody outlined one by one, such as COCO's `iscrowd`.
    Crowd,
    /// An object whose annotation cannot be read, such as a rotated box; it lies within the region.
    Unreadable,
}

/// The annotations of one image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageAnnotations {
    /// The image's name without extension, by which annotations and images find each other.
    pub image: String,
    /// The name of the image's file as the annotation says it; may be empty, may have folders (`reference`).
    #[serde(default)]
    pub file: String,
    /// 0 where the annotation does not say it; then boxes are checked against the right and lower edge when the image is
    /// there ([`dataset::match_images`]).
    pub width: u32,
    pub height: u32,
    /// A person looked at the whole image.
    #[serde(default)]
    pub verified: bool,
    pub objects: Vec<Object>,
    /// Where the image is neither object nor background.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<IgnoredRegion>,
    /// Objects were left out whose place is not known, so that what is not annotated need not be background.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

impl ImageAnnotations {
    fn has_size(&self) -> bool {
        self.width > 0 && self.height > 0
    }
}

/// What was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    pub value: T,
    /// What was put right, or looks odd.
    pub warnings: Vec<String>,
    /// Objects that were left out, and why; mostly [`Error::Object`].
    pub rejected: Vec<Error>,
}

impl<T> Parsed<T> {
    fn new(value: T) -> Self {
        Self { value, warnings: Vec::new(), rejected: Vec::new() }
    }

    /// Leaves an object out.
    ///
    /// # Errors
    /// So many are left out that it is the wrong file, or a hostile one.
    fn reject(&mut self, file: &str, object: usize, reason: impl std::fmt::Display) -> Result<()> {
        self.rejected.push(Error::Object { file: file.to_owned(), object, reason: brief(reason) });
        let found = self.rejected.len() as u64;
        limits::check(file, "the number of objects that cannot be used", found, limits::OBJECTS as u64)
    }
}

/// The box within the image, and whether it was clipped; without a size only the left and upper edge are known.
fn checked_box(corners: [f64; 4], width: u32, height: u32) -> Result<(BoxXyxy, bool)> {
    let corners = corners.map(|c| c as f32);
    let (w, h) = if width > 0 && height > 0 { (width, height) } else { (u32::MAX, u32::MAX) };
    if corners[2] < corners[0] || corners[3] < corners[1] {
        // Said before clipping could hide it.
        BoxXyxy::try_from(corners)?;
    }
    BoxXyxy::new_clipped(corners, w, h, EDGE_TOLERANCE)
}

/// Text of a file of at most `limit` bytes: UTF-8, or UTF-16 where a byte order mark says so, as spreadsheets write it. The
/// mark is taken off.
fn text<'a>(file: &str, bytes: &'a [u8], limit: u64) -> Result<Cow<'a, str>> {
    limits::check(file, "the file size in bytes", bytes.len() as u64, limit)?;
    match Encoding::for_bom(bytes) {
        Some((encoding, mark)) if encoding != encoding_rs::UTF_8 => decoded(file, &bytes[mark..], encoding),
        found => {
            let bytes = &bytes[found.map_or(0, |(_, mark)| mark)..];
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|e| {
                Error::annotation(file, format!("is not UTF-8 text (byte {}); save it as UTF-8", e.valid_up_to() + 1))
            })
        }
    }
}

/// Bytes without a byte order mark as text.
fn decoded<'a>(file: &str, bytes: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(|| {
        Error::annotation(file, format!("is not the {} text that it says it is; save it as UTF-8", encoding.name()))
    })
}

/// The decimal with the fewest places that `is_same` takes for `value`.
fn shortest(value: f64, is_same: impl Fn(f64) -> bool) -> f64 {
    let places = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    places.into_iter().map(|p| (value * p).round() / p).find(|v| is_same(*v)).unwrap_or(value)
}

/// A sentence in which a parser may repeat other people's text: of bearable length and without invisible characters.
pub(crate) fn brief(sentence: impl std::fmt::Display) -> String {
    let sentence = sentence.to_string();
    let mut short: String =
        sentence.chars().take(300).map(|c| if label::is_forbidden(c) { '\u{fffd}' } else { c }).collect();
    if short.len() < sentence.len() {
        short.push('…');
    }
    short
}

/// A number for a sentence: 504, 12.5, 1e300.
fn show(value: f64) -> String {
    if value.abs() < 1e7 { value.to_string() } else { format!("{value:e}") }
}

/// Other people's text for a sentence: short, and without characters that disturb it.
fn quote(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page checks the records of a saved project by itself; `tests/page/records.test.mjs` has the same cases.
    #[test]
    fn the_engine_takes_what_the_page_takes_from_a_saved_project() {
        #[derive(Deserialize)]
        struct Case {
            ok: bool,
            object: serde_json::Value,
            label: Option<String>,
            area: Option<u32>,
        }
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/page/records.json")).unwrap();
        for Case { ok, object, label, area } in cases {
            let found = serde_json::from_value::<Object>(object.clone());
            assert_eq!(found.is_ok(), ok, "{object}: {found:?}");
            let Ok(found) = found else { continue };
            assert!(label.is_none_or(|label| label == found.label), "{object}");
            assert!(area.is_none_or(|area| found.mask.as_ref().map(Rle::area) == Some(area)), "{object}");
        }
    }

    #[test]
    fn what_was_left_out_is_written_only_where_something_was() {
        let old = r#"{"image":"a","width":9,"height":9,"objects":[]}"#;
        let mut annotations: ImageAnnotations = serde_json::from_str(old).unwrap();
        assert!(annotations.ignored.is_empty() && !annotations.incomplete);
        let json = serde_json::to_string(&annotations).unwrap();
        assert!(!json.contains("ignored") && !json.contains("incomplete"), "{json}");

        let bbox = BoxXyxy::new([1.0, 2.0, 3.0, 4.0], 9, 9).unwrap();
        let region = |label: Option<&str>, reason| IgnoredRegion { bbox, label: label.map(str::to_owned), reason };
        annotations.ignored = vec![region(Some("cell"), IgnoredReason::Crowd), region(None, IgnoredReason::Unreadable)];
        annotations.incomplete = true;
        let json = serde_json::to_string(&annotations).unwrap();
        assert!(json.contains(r#"{"box":[1.0,2.0,3.0,4.0],"reason":"unreadable"}"#), "{json}");
        assert_eq!(serde_json::from_str::<ImageAnnotations>(&json).unwrap(), annotations);
        assert!(serde_json::from_str::<ImageAnnotations>(&json.replace("\"cell\"", "\"\"")).is_err());
    }
}
