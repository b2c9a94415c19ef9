//! One `<object>`: its elements as texts, and the object that they describe.

use crate::annotations::left_out::Place;
use crate::annotations::outline::{Outlined, extent, outlined};
use crate::annotations::{ImageAnnotations, Object, Parsed, checked_box, label, quote, show};
use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};

const CORNERS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

#[derive(Default)]
pub(super) struct RawObject {
    name: Option<String>,
    truncated: Option<String>,
    difficult: Option<String>,
    corners: [Option<String>; 4],
    /// Numbers of `<robndbox>`: centre, width, height, and the angle in radians.
    rotated: Option<[Option<f64>; 5]>,
    polygons: Vec<RawPolygon>,
    /// LabelMe's tool keeps what was deleted.
    pub deleted: bool,
    /// An element that stands twice in the object.
    twice: Option<String>,
}

/// The corners of a polygon in their order, as `<x1><y1><x2>…`, `<x><y><x>…` or `<pt><x><y></pt>…`.
#[derive(Default)]
struct RawPolygon {
    xs: Vec<f64>,
    ys: Vec<f64>,
}

impl RawObject {
    /// An element within the object begins.
    pub fn open(&mut self, name: &str) {
        match name {
            "robndbox" => self.rotated = Some([None; 5]),
            "polygon" => self.polygons.push(RawPolygon::default()),
            _ => {}
        }
    }

    /// `path` is within the object; parts of it, such as VOC's `<part>`, have names and boxes of their own.
    pub fn close(&mut self, path: &[&str], text: &str) {
        match path {
            ["polygon", corner] | ["polygon", "pt", corner] => {
                if let Some(polygon) = self.polygons.last_mut() {
                    polygon.close(corner, text);
                }
                return;
            }
            ["robndbox", name] => {
                let at = ["cx", "cy", "w", "h", "angle"].iter().position(|known| known == name);
                if let Some((at, numbers)) = at.zip(self.rotated.as_mut()) {
                    numbers[at] = text.parse().ok();
                }
                return;
            }
            ["deleted"] => {
                self.deleted = text == "1";
                return;
            }
            _ => {}
        }
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

    /// Where the object lies, as far as it says so.
    pub fn place(&self) -> Place {
        let corners = self.corners.each_ref().map(|text| text.as_deref().and_then(|text| text.parse::<f64>().ok()));
        if let [Some(xmin), Some(ymin), Some(xmax), Some(ymax)] = corners {
            // A click, and not a box of one pixel: the sides say so before the upper left corner moves.
            let is_click = xmin == xmax || ymin == ymax;
            let shift = if is_click { 0.0 } else { 1.0 };
            return Place::Within([xmin - shift, ymin - shift, xmax, ymax]);
        }
        if let Some([Some(cx), Some(cy), Some(w), Some(h), Some(angle)]) = self.rotated {
            let (sin, cos) = (angle.sin().abs(), angle.cos().abs());
            let (w, h) = ((w.abs() * cos + h.abs() * sin) / 2.0, (w.abs() * sin + h.abs() * cos) / 2.0);
            return Place::Within([cx - w, cy - h, cx + w, cy + h]);
        }
        match self.polygons().map(|polygons| extent(&polygons)) {
            Ok(corners) if corners.iter().all(|c| c.is_finite()) => Place::Within(corners),
            _ => Place::Unknown,
        }
    }

    fn polygons(&self) -> Result<Vec<Vec<[f64; 2]>>, String> {
        let corners = |polygon: &RawPolygon| {
            if polygon.xs.len() != polygon.ys.len() {
                return Err("has a polygon with an x but no y".to_owned());
            }
            Ok(polygon.xs.iter().zip(&polygon.ys).map(|(x, y)| [*x, *y]).collect())
        };
        self.polygons.iter().map(corners).collect()
    }

    /// The object, or what is wrong with it.
    pub fn check(
        &self,
        file: &str,
        number: usize,
        parsed: &mut Parsed<ImageAnnotations>,
        budget: &mut u64,
    ) -> Result<Object, String> {
        if let Some(element) = &self.twice {
            return Err(format!("has two elements <{element}>"));
        }
        let has_box = self.corners.iter().any(Option::is_some);
        if self.rotated.is_some() && !has_box {
            return Err(
                "is a rotated box (<robndbox>), which cytobox does not read; draw an upright box instead. Until \
                        then its place is ignored in training and evaluation"
                    .into(),
            );
        }
        let label = label::check(self.name.as_deref().unwrap_or_default())?;
        let size = (parsed.value.width, parsed.value.height);
        let mut mask = None;
        let bbox = if self.polygons.is_empty() || has_box {
            let bbox = self.upright(file, number, parsed)?;
            if !self.polygons.is_empty() {
                mask = outlined(&self.polygons()?, size, budget)?.mask;
            }
            bbox
        } else {
            let found: Outlined = outlined(&self.polygons()?, size, budget)?;
            if found.clipped {
                parsed
                    .warnings
                    .push(format!("{file}, object {number}: its outline reaches over the edge of the image"));
            }
            mask = found.mask;
            found.bbox
        };
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
        Ok(Object { bbox, label, difficult, truncated, mask })
    }

    /// The box of `<bndbox>`, or what is wrong with it.
    fn upright(&self, file: &str, number: usize, parsed: &mut Parsed<ImageAnnotations>) -> Result<BoxXyxy, String> {
        let mut corners = [0f64; 4];
        for (corner, (name, text)) in corners.iter_mut().zip(CORNERS.iter().zip(&self.corners)) {
            let text = text.as_deref().ok_or_else(|| format!("has no <{name}>"))?;
            *corner = text.parse().map_err(|_| format!("has {} as <{name}>, which is not a number", quote(text)))?;
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
        Ok(bbox)
    }
}

impl RawPolygon {
    fn close(&mut self, corner: &str, text: &str) {
        let is_axis =
            |axis: char| corner.strip_prefix(axis).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let value = || text.parse().unwrap_or(f64::NAN);
        if is_axis('x') {
            self.xs.push(value());
        } else if is_axis('y') {
            self.ys.push(value());
        }
    }
}
