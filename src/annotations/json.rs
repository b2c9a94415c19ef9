//! JSON as many programs write it: numbers as text, NaN, and which program's file it is.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::text;
use crate::error::Result;
use crate::limits;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Coco,
    Labelme,
    Via,
    /// One that is not read, and what to do about it.
    Other(&'static str),
}

/// Keys that tell a file apart.
#[derive(Deserialize)]
struct Keys {
    images: Option<IgnoredAny>,
    annotations: Option<IgnoredAny>,
    shapes: Option<IgnoredAny>,
    #[serde(rename = "_via_img_metadata")]
    via: Option<IgnoredAny>,
    features: Option<IgnoredAny>,
    asset: Option<IgnoredAny>,
    assets: Option<IgnoredAny>,
    objects: Option<IgnoredAny>,
    metadata: Option<IgnoredAny>,
}

/// The text of a JSON file. `NaN` and `Infinity`, which Python writes and JSON does not have, become an empty text, which is
/// no number either.
pub(super) fn json_text<'a>(file: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>> {
    let json = text(file, bytes, limits::TABLE_BYTES)?;
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Ok(json);
    }
    let mut plain = String::with_capacity(json.len());
    // Every second part lies between quotes, of which those behind a backslash do not count.
    let mut rest = json.as_ref();
    while !rest.is_empty() {
        let (outside, quoted) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
        plain.push_str(&outside.replace("-Infinity", "\"\"").replace("Infinity", "\"\"").replace("NaN", "\"\""));
        let (inside, after) = quoted.split_at(end_of_string(quoted));
        plain.push_str(inside);
        rest = after;
    }
    Ok(Cow::Owned(plain))
}

/// Where the string ends that the text begins with.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (i, b) in text.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whose file it is; for what nobody knows [`Kind::Coco`], whose reader says what is wrong.
pub(super) fn kind(json: &str) -> Kind {
    if json.trim_start().starts_with('[') {
        let head = json.get(..json.floor_char_boundary(4000)).unwrap_or(json);
        return if head.contains("\"category_id\"") {
            Kind::Other("is a list of COCO results without their images; add the file with images and categories")
        } else if head.contains("\"coordinates\"") {
            Kind::Other("is CreateML's JSON, which is not read; export COCO or Pascal VOC there")
        } else {
            Kind::Other("is a list, such as Label Studio's own JSON; export COCO, YOLO or Pascal VOC there")
        };
    }
    let Ok(keys) = serde_json::from_str::<Keys>(json) else { return Kind::Coco };
    match keys {
        Keys { images: Some(_), annotations: Some(_), .. } => Kind::Coco,
        Keys { shapes: Some(_), .. } => Kind::Labelme,
        Keys { via: Some(_), .. } => Kind::Via,
        Keys { features: Some(_), .. } => {
            Kind::Other("is GeoJSON, which is not read here; export a label image, as QuPath and others do")
        }
        Keys { asset: Some(_), .. } | Keys { assets: Some(_), .. } => {
            Kind::Other("is a VoTT project, which is not read; export Pascal VOC or CSV there")
        }
        Keys { objects: Some(_), .. } => {
            Kind::Other("is Supervisely's JSON, which is not read; export COCO or Pascal VOC there")
        }
        Keys { metadata: Some(_), .. } if json.contains("\"vid\"") => {
            Kind::Other("is a project of VIA 3, which is not read; export COCO there")
        }
        _ if json.contains("\"regions\"") && json.contains("\"filename\"") => Kind::Via,
        _ => Kind::Coco,
    }
}

/// A finite number, be it written as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// True, 1, "1" or "true".
pub(super) fn flag(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => matches!(text.trim(), "1" | "true" | "True"),
        Some(other) => number(other).is_some_and(|number| number != 0.0),
        None => false,
    }
}

/// A side of an image in pixels; 0 where it is not said, or is not one.
///
/// # Errors
/// More than [`limits::IMAGE_SIDE`].
pub(super) fn side(value: Option<&Value>) -> Result<u32, String> {
    let Some(side) = value.and_then(number).filter(|side| *side >= 1.0 && side.fract() == 0.0) else { return Ok(0) };
    if side > f64::from(limits::IMAGE_SIDE) {
        return Err(format!("a side of {side} pixels; at most {} are taken", limits::IMAGE_SIDE));
    }
    Ok(side as u32)
}

/// A text, be it written as a number.
pub(super) fn string(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_removed_from_numbers_and_kept_in_strings() {
        let json = br#"{"a": NaN, "NaN \" NaN": [-Infinity, Infinity], "b": "Infinity"}"#;
        let plain = json_text("a.json", json).unwrap();
        assert_eq!(plain, r#"{"a": "", "NaN \" NaN": ["", ""], "b": "Infinity"}"#);
        assert!(matches!(json_text("a.json", b"{}").unwrap(), Cow::Borrowed("{}")));
        assert_eq!(json_text("a.json", b"\"NaN").unwrap(), "\"NaN");
    }

    #[test]
    fn files_of_other_programs_are_told_apart() {
        for (json, expected) in [
            (r#"{"images":[],"annotations":[],"categories":[]}"#, Kind::Coco),
            (r#"{"version":"5.4","shapes":[],"imagePath":"a.png"}"#, Kind::Labelme),
            (r#"{"_via_settings":{},"_via_img_metadata":{}}"#, Kind::Via),
            (r#"{"a.png12":{"filename":"a.png","size":12,"regions":[]}}"#, Kind::Via),
            ("{}", Kind::Coco),
            ("nonsense", Kind::Coco),
        ] {
            assert_eq!(kind(json), expected, "{json}");
        }
        for json in [
            "[1]",
            r#"[{"image_id":1,"category_id":2,"bbox":[1,2,3,4]}]"#,
            r#"{"type":"FeatureCollection","features":[]}"#,
            r#"{"asset":{},"regions":[]}"#,
            r#"{"size":{"height":1},"objects":[]}"#,
        ] {
            assert!(matches!(kind(json), Kind::Other(_)), "{json}");
        }
    }

    #[test]
    fn numbers_and_flags_in_all_their_forms() {
        let value = |json: &str| serde_json::from_str::<Value>(json).unwrap();
        assert_eq!(["256.0", "\"256\"", "256"].map(|v| side(Some(&value(v)))), [Ok(256), Ok(256), Ok(256)]);
        assert_eq!(["-1", "null", "\"\"", "0.5"].map(|v| side(Some(&value(v)))), [Ok(0), Ok(0), Ok(0), Ok(0)]);
        assert!(side(Some(&value("9000"))).is_err());
        assert_eq!(
            ["true", "1", "\"1\"", "false", "0", "null"].map(|v| flag(Some(&value(v)))),
            [true, true, true, false, false, false]
        );
    }
}
