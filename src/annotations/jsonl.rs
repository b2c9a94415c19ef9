//! Annotations as JSON lines: one image a line, with everything that is known of it, as `detections.jsonl` has it for what a
//! detector found.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{IgnoredRegion, ImageAnnotations, Object, Parsed, brief, text};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::limits;

#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    file: &'a str,
    width: u32,
    height: u32,
    verified: bool,
    objects: Vec<Measured<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ignored: &'a [IgnoredRegion],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

#[derive(Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    object: &'a Object,
    #[serde(skip_serializing_if = "Map::is_empty")]
    measurements: Map<String, Value>,
}

/// Which of cytobox's own files a line is from.
#[derive(Deserialize)]
struct Keys {
    detections: Option<serde::de::IgnoredAny>,
}

/// One image as a line with its end; `measurements` gives those of each object, by name with unit.
///
/// # Errors
/// None that the data can cause; the writer's are passed on.
pub fn line(image: &ImageAnnotations, measurements: impl Fn(usize) -> Map<String, Value>) -> Result<String> {
    let objects = image.objects.iter().enumerate();
    let line = Line {
        image: &image.image,
        file: &image.file,
        width: image.width,
        height: image.height,
        verified: image.verified,
        objects: objects.map(|(i, object)| Measured { object, measurements: measurements(i) }).collect(),
        ignored: &image.ignored,
        incomplete: image.incomplete,
    };
    let failed = |e: serde_json::Error| Error::Io { path: "annotations.jsonl".to_owned(), reason: e.to_string() };
    Ok(serde_json::to_string(&line).map_err(failed)? + "\n")
}

/// The images of a file of such lines. A line that cannot be used is rejected by its number; the others are read.
///
/// # Errors
/// A file that is not text or is too large, that holds detections, or of which no line can be used.
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageAnnotations>>> {
    let lines = text(file, bytes, limits::TABLE_BYTES)?;
    let mut parsed = Parsed::new(Vec::new());
    for (i, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match one(line) {
            Ok(image) => parsed.value.push(image),
            Err(_) if serde_json::from_str::<Keys>(line).is_ok_and(|keys| keys.detections.is_some()) => {
                let reason = "holds detections, not annotations; write them as coco, which is read as annotations";
                return Err(Error::annotation(file, reason));
            }
            Err(reason) => {
                let reason = format!("line {} does not hold annotations: {reason}", i + 1);
                parsed.rejected.push(Error::annotation(file, reason));
            }
        }
    }
    match parsed.rejected.first() {
        Some(first) if parsed.value.is_empty() => Err(first.clone()),
        _ => Ok(parsed),
    }
}

fn one(line: &str) -> Result<ImageAnnotations, String> {
    let image: ImageAnnotations = serde_json::from_str(line).map_err(brief)?;
    let boxes = image.objects.iter().map(|o| o.bbox).chain(image.ignored.iter().map(|region| region.bbox));
    for bbox in boxes.filter(|_| image.has_size()) {
        BoxXyxy::new(bbox.corners(), image.width, image.height).map_err(brief)?;
    }
    if image
        .objects
        .iter()
        .filter_map(|o| o.mask.as_ref())
        .any(|m| (m.width(), m.height()) != (image.width, image.height))
    {
        return Err("a mask has another size than the image".to_owned());
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::IgnoredReason;
    use crate::masks::Rle;

    fn image() -> ImageAnnotations {
        let mask = Rle::from_polygons(20, 10, &[vec![[2.0, 2.0], [8.0, 2.0], [8.0, 9.0], [2.0, 9.0]]]).unwrap();
        let bbox = BoxXyxy::new([2.0, 2.1, 8.0, 9.0], 20, 10).unwrap();
        let object = Object { bbox, label: "a".into(), difficult: true, truncated: false, mask: Some(mask) };
        let region = IgnoredRegion { bbox, label: None, reason: IgnoredReason::Crowd };
        ImageAnnotations {
            image: "plateA/f01".into(),
            file: "plateA/f01.png".into(),
            width: 20,
            height: 10,
            verified: true,
            objects: vec![object],
            ignored: vec![region],
            incomplete: true,
        }
    }

    #[test]
    fn all_that_is_known_comes_back() {
        let measured = |i: usize| Map::from_iter([("area (px²)".to_owned(), (42 + i).into())]);
        let lines = line(&image(), measured).unwrap() + "\n" + &line(&ImageAnnotations::default(), measured).unwrap();
        assert!(lines.contains("2.1,") && lines.contains(r#""measurements":{"area (px²)":42}"#), "{lines}");
        let back = read("a.jsonl", lines.as_bytes()).unwrap();
        assert_eq!(back, Parsed::new(vec![image(), ImageAnnotations::default()]));
    }

    #[test]
    fn a_broken_line_takes_no_other_with_it() {
        let good = line(&image(), |_| Map::new()).unwrap();
        for broken in [
            good.replace("\"width\":20", "\"width\":4"),
            good.replace("[2.0,2.1,8.0,9.0]", "[2.0,2.1,1e9,9.0]"),
            good.replace("\"height\":10,\"verified\"", "\"height\":11,\"verified\""),
            good.replace("\"objects\"", "\"things\""),
            "[]\n".to_owned(),
        ] {
            assert_ne!(broken, good);
            let parsed = read("a.jsonl", format!("{broken}{good}").as_bytes()).unwrap();
            assert_eq!(parsed.value, [image()], "{broken}");
            assert!(parsed.rejected[0].to_string().contains("line 1"), "{:?}", parsed.rejected);
        }
    }

    #[test]
    fn files_of_another_kind_are_named_as_such() {
        let line = br#"{"image":"a","width":20,"height":10,"detections":[]}"#;
        assert!(read("d.jsonl", line).unwrap_err().to_string().contains("coco"));
        // Of a file of another program there is one sentence, and not one for each line.
        assert!(read("log.jsonl", b"{\"step\":1}\n{\"step\":2}\n").unwrap_err().to_string().contains("line 1"));
        assert_eq!(read("e.jsonl", b"").unwrap(), Parsed::new(vec![]));
    }
}
