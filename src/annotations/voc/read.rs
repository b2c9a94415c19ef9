use std::borrow::Cow;

use encoding_rs::Encoding;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::object::RawObject;
use crate::annotations::{ImageAnnotations, Parsed, brief, decoded, names, quote, text};
use crate::error::{Error, Result};
use crate::limits;

/// Reads one file; `file` is its name, which also names the image.
///
/// Objects that cannot be used are in `rejected`, with their number in the file from 1; the others are kept. An object with
/// a polygon and no box gets the box around it, and its mask where the file says the size of the image.
///
/// # Errors
/// Not in the encoding that it declares, not well-formed, a DOCTYPE or an unknown entity, not a Pascal VOC file, or over a
/// cap of [`limits`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<ImageAnnotations>> {
    read_with_places(file, bytes).map(|(parsed, _)| parsed)
}

/// [`read`], and where the file says that its image lies: paths, the likeliest first.
pub(in crate::annotations) fn read_with_places(
    file: &str,
    bytes: &[u8],
) -> Result<(Parsed<ImageAnnotations>, Vec<String>)> {
    let raw = RawFile::read(file, &xml_text(file, bytes)?)?;
    let beside =
        raw.folder.iter().zip(&raw.filename).map(|(folder, name)| format!("{folder}/{}", names::base_name(name)));
    let places = beside.chain(raw.path.clone()).chain(raw.filename.clone()).collect();
    Ok((raw.check(file)?, places))
}

/// The text in the encoding that its byte order mark or its XML declaration says.
fn xml_text<'a>(file: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>> {
    limits::check(file, "the file size in bytes", bytes.len() as u64, limits::ANNOTATION_BYTES)?;
    let wide = match bytes {
        [b'<', 0, b'?', 0, ..] => Some(encoding_rs::UTF_16LE),
        [0, b'<', 0, b'?', ..] => Some(encoding_rs::UTF_16BE),
        _ => None,
    };
    if let Some(encoding) = wide {
        return decoded(file, bytes, encoding);
    }
    match declared_encoding(bytes) {
        // What can be read so far is not UTF-16, whatever it says.
        Some(name) if Encoding::for_bom(bytes).is_none() && !name.to_ascii_lowercase().starts_with("utf") => {
            let encoding = Encoding::for_label(name.as_bytes()).ok_or_else(|| {
                let name = quote(name);
                Error::annotation(file, format!("is in the encoding {name}, which is not known here; save it as UTF-8"))
            })?;
            decoded(file, bytes, encoding)
        }
        _ => text(file, bytes, limits::ANNOTATION_BYTES),
    }
}

/// `NAME` of `<?xml … encoding="NAME"?>`.
fn declared_encoding(bytes: &[u8]) -> Option<&str> {
    let head = bytes.trim_ascii_start().get(..200).unwrap_or(bytes.trim_ascii_start());
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&head[..end]).ok()?.strip_prefix("<?xml")?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quoted = value.strip_prefix(['"', '\''])?;
    quoted.split(['"', '\'']).next()
}

/// The texts of the elements that matter, unchecked; they may stand in any order.
#[derive(Default)]
struct RawFile {
    verified: bool,
    folder: Option<String>,
    filename: Option<String>,
    path: Option<String>,
    width: Option<String>,
    height: Option<String>,
    objects: Vec<RawObject>,
}

impl RawFile {
    fn read(file: &str, xml: &str) -> Result<Self> {
        let fault = |at: u64, reason: &dyn std::fmt::Display| {
            Error::annotation(file, format!("is broken or no XML: {} (at byte {at})", brief(reason)))
        };
        let mut reader = Reader::from_str(xml);
        let mut raw = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut text = String::new();
        let mut has_root = false;
        loop {
            let event = reader.read_event().map_err(|e| fault(reader.error_position(), &e))?;
            let at = reader.buffer_position();
            match event {
                Event::Start(tag) | Event::Empty(tag) if path.is_empty() && has_root => {
                    let name = quote(tag.name().as_ref());
                    return Err(fault(at, &format!("a second root element {name}")));
                }
                Event::Start(tag) => {
                    has_root = true;
                    raw.open(file, &path, &tag)?;
                    path.push(tag.name().as_ref().to_owned());
                    limits::check(file, "the depth of elements", path.len() as u64, limits::XML_DEPTH as u64)?;
                    text.clear();
                }
                Event::Empty(tag) => {
                    has_root = true;
                    raw.open(file, &path, &tag)?;
                    path.push(tag.name().as_ref().to_owned());
                    raw.close(file, &path, "")?;
                    path.pop();
                }
                Event::End(_) => {
                    raw.close(file, &path, text.trim())?;
                    path.pop();
                    text.clear();
                }
                Event::Text(part) if path.is_empty() && !part.trim().is_empty() => {
                    return Err(fault(at, &"text outside the root element"));
                }
                Event::CData(_) | Event::GeneralRef(_) if path.is_empty() => {
                    return Err(fault(at, &"text outside the root element"));
                }
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::CData(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(reference) => text.push_str(&resolve(&reference).map_err(|e| fault(at, &e))?),
                Event::DocType(_) => {
                    return Err(Error::annotation(file, "has a DOCTYPE, which is refused; remove that line"));
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof if !path.is_empty() => {
                    return Err(fault(at, &format!("the file ends within <{}>", path.join("><"))));
                }
                Event::Eof if !has_root => return Err(fault(at, &"it holds no element")),
                Event::Eof => return Ok(raw),
            }
        }
    }

    fn open(&mut self, file: &str, path: &[String], tag: &BytesStart) -> Result<()> {
        let name = tag.name();
        match path {
            [] if name.as_ref() != "annotation" => {
                let found = quote(name.as_ref());
                let reason = format!("is not a Pascal VOC file: its root element is {found}, not \"annotation\"");
                return Err(Error::annotation(file, reason));
            }
            // The first attribute that has the name counts. Comparing all with all, as a check for doubles would, takes
            // minutes for a million.
            [] => {
                let mut attributes = tag.attributes();
                let verified = attributes.with_checks(false).flatten().find(|a| a.key.as_ref() == "verified");
                self.verified = verified.is_some_and(|a| AsRef::<str>::as_ref(&a.value).trim() == "yes");
            }
            [_] if name.as_ref() == "object" => {
                self.objects.push(RawObject::default());
                limits::check(file, "the number of objects", self.objects.len() as u64, limits::OBJECTS as u64)?;
            }
            [_, object] if object == "object" => {
                if let Some(object) = self.objects.last_mut() {
                    object.open(name.as_ref());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, file: &str, path: &[String], text: &str) -> Result<()> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let header = match path.as_slice() {
            [_, "folder"] => &mut self.folder,
            [_, "filename"] => &mut self.filename,
            [_, "path"] => &mut self.path,
            [_, "size", "width"] | [_, "imagesize", "ncols"] => &mut self.width,
            [_, "size", "height"] | [_, "imagesize", "nrows"] => &mut self.height,
            [_, "object", inner @ ..] => {
                if let Some(object) = self.objects.last_mut() {
                    object.close(inner, text);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if header.replace(text.to_owned()).is_some() {
            return Err(Error::annotation(file, format!("has two elements <{}>", path[1..].join("><"))));
        }
        Ok(())
    }

    fn check(self, file: &str) -> Result<Parsed<ImageAnnotations>> {
        let named = self.filename.iter().chain(&self.path).map(|n| names::base_name(n)).find(|n| !n.is_empty());
        let mut parsed = Parsed::new(ImageAnnotations {
            image: names::stem(file),
            file: named.unwrap_or_default(),
            width: 0,
            height: 0,
            verified: self.verified,
            objects: Vec::with_capacity(self.objects.len()),
            ..ImageAnnotations::default()
        });
        match (side(&self.width), side(&self.height)) {
            (Some(width), Some(height)) => {
                limits::check(file, "a side in pixels", width.max(height).into(), limits::IMAGE_SIDE.into())?;
                (parsed.value.width, parsed.value.height) = (width, height);
            }
            _ => {
                parsed.warnings.push(format!("{file}: says no size of the image; its boxes are checked with the image"))
            }
        }
        let mut budget = limits::OUTLINE_PIXELS;
        for (i, raw) in self.objects.iter().enumerate().filter(|(_, raw)| !raw.deleted) {
            match raw.check(file, i + 1, &mut parsed, &mut budget) {
                Ok(object) => parsed.value.objects.push(object),
                Err(reason) => {
                    parsed.value.leave_out(raw.place());
                    parsed.reject(file, i + 1, reason)?;
                }
            }
        }
        Ok(parsed)
    }
}

/// A side of the image; `None` where it is missing, zero or no whole number.
fn side(text: &Option<String>) -> Option<u32> {
    let value: f64 = text.as_deref()?.parse().ok()?;
    let is_side = value >= 1.0 && value <= f64::from(u32::MAX) && value.fract() == 0.0;
    is_side.then_some(value as u32)
}

/// The text of `&name;`: the five of XML and numbered characters; nothing else without a DOCTYPE.
fn resolve(reference: &BytesRef) -> Result<String, String> {
    if let Some(c) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(c.to_string());
    }
    let known = resolve_predefined_entity(reference.as_ref());
    known.map(str::to_owned).ok_or_else(|| format!("the unknown entity {}", quote(reference.as_ref())))
}
