use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::annotations::{ImageAnnotations, Object, Parsed, brief, checked_box, label, names, quote, show, text};
use crate::error::{Error, Result};
use crate::limits;

/// Reads one file; `file` is its name, which also names the image.
///
/// Objects that cannot be used are in `rejected`, with their number in the file from 1; the others are kept.
///
/// # Errors
/// Not UTF-8, not well-formed, a DOCTYPE or an unknown entity, not a Pascal VOC file, or over a cap of [`limits`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Parsed<ImageAnnotations>> {
    let raw = RawFile::read(file, text(file, bytes, limits::ANNOTATION_BYTES)?)?;
    raw.check(file)
}

const CORNERS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// The texts of the elements that matter, unchecked; they may stand in any order.
#[derive(Default)]
struct RawFile {
    verified: bool,
    filename: Option<String>,
    path: Option<String>,
    width: Option<String>,
    height: Option<String>,
    objects: Vec<RawObject>,
}

#[derive(Default)]
struct RawObject {
    name: Option<String>,
    truncated: Option<String>,
    difficult: Option<String>,
    corners: [Option<String>; 4],
    is_rotated: bool,
    /// An element that stands twice in the object.
    twice: Option<String>,
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
                let reason = format!("is no Pascal VOC file: its root element is {found}, not \"annotation\"");
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
            [_, object] if object == "object" && name.as_ref() == "robndbox" => {
                if let Some(object) = self.objects.last_mut() {
                    object.is_rotated = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, file: &str, path: &[String], text: &str) -> Result<()> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let header = match path.as_slice() {
            [_, "filename"] => &mut self.filename,
            [_, "path"] => &mut self.path,
            [_, "size", "width"] => &mut self.width,
            [_, "size", "height"] => &mut self.height,
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
        for (i, raw) in self.objects.into_iter().enumerate() {
            match raw.check(file, i + 1, &mut parsed) {
                Ok(object) => parsed.value.objects.push(object),
                Err(reason) => parsed.reject(file, i + 1, reason)?,
            }
        }
        Ok(parsed)
    }
}

impl RawObject {
    /// `path` is within the object; parts of it, such as VOC's `<part>`, have names and boxes of their own.
    fn close(&mut self, path: &[&str], text: &str) {
        let field = match path {
            ["name"] => &mut self.name,
            ["truncated"] => &mut self.truncated,
            ["difficult"] => &mut self.difficult,
            ["bndbox", corner] => match CORNERS.iter().position(|c| c == corner) {
                Some(i) => &mut self.corners[i],
                None => return,
            },
            _ => return,
        };
        if field.replace(text.to_owned()).is_some() {
            self.twice = path.last().map(|p| (*p).to_owned());
        }
    }

    /// The object, or what is wrong with it.
    fn check(self, file: &str, number: usize, parsed: &mut Parsed<ImageAnnotations>) -> Result<Object, String> {
        if let Some(element) = &self.twice {
            return Err(format!("has two elements <{element}>"));
        }
        if self.is_rotated && self.corners.iter().all(Option::is_none) {
            return Err(
                "is a rotated box (<robndbox>), which cytobox does not read; draw an upright box instead".into()
            );
        }
        let label = label::check(&self.name.unwrap_or_default())?;
        let mut corners = [0f64; 4];
        for (corner, (name, text)) in corners.iter_mut().zip(CORNERS.iter().zip(&self.corners)) {
            let text = text.as_deref().ok_or_else(|| format!("has no <{name}>"))?;
            *corner = text.parse().map_err(|_| format!("has {} as <{name}>, which is no number", quote(text)))?;
        }
        let [xmin, ymin, xmax, ymax] = corners;
        let fault = |reason: &str| {
            let [xmin, ymin, xmax, ymax] = corners.map(show);
            format!("its box (xmin {xmin}, ymin {ymin}, xmax {xmax}, ymax {ymax}) {reason}")
        };
        if corners.iter().any(|c| !c.is_finite()) {
            return Err(fault("has a corner that is not a finite number"));
        }
        if xmin == xmax || ymin == ymax {
            return Err(fault("is empty: it has no width or no height"));
        }
        if xmin > xmax || ymin > ymax {
            return Err(fault("is inverted: its right or lower edge comes first"));
        }
        let image = &parsed.value;
        let (bbox, clipped) = match checked_box([xmin - 1.0, ymin - 1.0, xmax, ymax], image.width, image.height) {
            Ok(checked) => checked,
            Err(Error::Box { reason, .. }) if image.has_size() => {
                return Err(fault(&format!("{reason} ({} × {} pixels)", image.width, image.height)));
            }
            Err(Error::Box { reason, .. }) => return Err(fault(reason)),
            Err(other) => return Err(other.to_string()),
        };
        if clipped {
            let reason = "reaches up to a pixel over the edge of the image and was clipped";
            parsed.warnings.push(format!("{file}, object {number}: {}", fault(reason)));
        }
        let mut flag = |name: &str, text: &Option<String>| match text.as_deref() {
            None | Some("" | "0") => false,
            Some("1") => true,
            Some(other) => {
                let found = quote(other);
                parsed.warnings.push(format!("{file}, object {number}: <{name}> is {found}, not 0 or 1; taken as 0"));
                false
            }
        };
        let (difficult, truncated) = (flag("difficult", &self.difficult), flag("truncated", &self.truncated));
        Ok(Object { bbox, label, difficult, truncated, mask: None })
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
