//! What OME-XML says of the planes of a file (<https://docs.openmicroscopy.org/ome-model/>).

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::colour::{self, Colours};
use super::depth::BitDepth;
use super::pixel_size::{Sides, micrometres};
use super::tiff_description::{Axes, Axis, Description, USUAL_ORDER, in_order};
use crate::limits;

/// The first image of an OME-XML text; `None` for another text. What is broken ends where it breaks: a file whose pages
/// nobody has explained is asked about.
pub(super) fn read(text: &str) -> Option<Description> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with('<') {
        return None;
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = false;
    let mut is_ome = false;
    let mut pixels = Pixels::default();
    while let Ok(event) = reader.read_event() {
        let tag = match event {
            Event::Start(tag) | Event::Empty(tag) => tag,
            Event::Eof => break,
            _ => continue,
        };
        let name = tag.local_name();
        match name.as_ref() {
            "OME" => is_ome = true,
            "Pixels" => {
                pixels.images += 1;
                if pixels.images == 1 {
                    pixels.open(&tag);
                }
            }
            "Channel" if pixels.images == 1 => pixels.channel(&tag),
            "TiffData" if pixels.images == 1 => pixels.tiff_data(&tag),
            _ => {}
        }
    }
    is_ome.then(|| pixels.describe())
}

#[derive(Default)]
struct Pixels {
    images: u64,
    /// `SizeC`, `SizeZ`, `SizeT`.
    sizes: Option<[u64; 3]>,
    significant_bits: Option<u64>,
    pixel_size: Option<Sides>,
    colours: Colours,
    names: Colours,
    /// Of a pixel.
    samples: u64,
    order: Option<[Axis; 3]>,
    /// First page, number of pages, and first channel, slice and time point of each part of the planes.
    parts: Vec<(u64, u64, [u64; 3])>,
}

/// The value of an attribute, whatever its prefix.
fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    // Comparing all with all, as a check for doubles would, takes minutes for a million.
    let mut attributes = tag.attributes();
    let found = attributes.with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    let value: &str = found.value.as_ref();
    Some(value.trim().to_owned())
}

fn number(tag: &BytesStart, name: &str) -> Option<u64> {
    attribute(tag, name)?.parse().ok()
}

impl Pixels {
    fn open(&mut self, tag: &BytesStart) {
        let size = |name| number(tag, name);
        self.sizes = size("SizeC").zip(size("SizeZ")).zip(size("SizeT")).map(|((c, z), t)| [c, z, t]);
        self.significant_bits = number(tag, "SignificantBits");
        self.order = attribute(tag, "DimensionOrder").and_then(|text| order(&text));
        let side = |axis: &str| {
            let length: f64 = attribute(tag, &format!("PhysicalSize{axis}"))?.parse().ok()?;
            let unit = attribute(tag, &format!("PhysicalSize{axis}Unit"));
            // µm is the schema's default.
            Some(length * unit.map_or(Some(1.0), |unit| micrometres(&unit))?)
        };
        self.pixel_size = side("X").zip(side("Y")).map(|(x, y)| [x, y]);
    }

    fn channel(&mut self, tag: &BytesStart) {
        self.samples = self.samples.max(number(tag, "SamplesPerPixel").unwrap_or(1));
        // Red, green, blue and alpha in 32 bits, written as a signed number.
        let colour = attribute(tag, "Color").and_then(|text| text.parse::<i64>().ok()).and_then(|packed| {
            let [red, green, blue, _] = (packed as u32).to_be_bytes();
            colour::from_rgb8([red, green, blue])
        });
        self.colours.push(colour);
        let name = attribute(tag, "Name").or_else(|| attribute(tag, "Fluor"));
        self.names.push(name.as_deref().and_then(colour::of_name));
    }

    fn tiff_data(&mut self, tag: &BytesStart) {
        // A part with a page and no count is of one page; one with neither is everything.
        let page = number(tag, "IFD");
        let count = number(tag, "PlaneCount").unwrap_or(if page.is_some() { 1 } else { u64::MAX });
        let first = ["FirstC", "FirstZ", "FirstT"].map(|name| number(tag, name).unwrap_or(0));
        if self.parts.len() <= limits::TIFF_PAGES {
            self.parts.push((page.unwrap_or(0), count, first));
        }
    }

    /// The page of each plane that a part lists. Within a part, planes run in the order of the dimensions.
    fn places(&self, axes: &Axes, order: [Axis; 3]) -> HashMap<[u64; 3], usize> {
        let mut places = HashMap::new();
        // The samples of a pixel are one plane, though they count as channels.
        let sizes = [axes.channels / self.samples.clamp(1, axes.channels.max(1)), axes.slices, axes.frames];
        let all = sizes.iter().fold(1u64, |all, n| all.saturating_mul(*n));
        if all > limits::TIFF_PAGES as u64 {
            return places;
        }
        for (page, count, first) in &self.parts {
            let Some(from) = index(order, *first, sizes) else { continue };
            for i in 0..(*count).min(all - from) {
                let (Ok(page), Some(plane)) = (usize::try_from(page.saturating_add(i)), plane(order, from + i, sizes))
                else {
                    continue;
                };
                places.insert(plane, page);
            }
        }
        places
    }

    fn describe(self) -> Description {
        let axes = self.sizes.map(|[channels, slices, frames]| Axes { channels, slices, frames, images: self.images });
        let order = self.order.unwrap_or(USUAL_ORDER);
        let places = axes.map(|axes| self.places(&axes, order)).unwrap_or_default();
        let colours = colour::stated(self.colours, self.names);
        let depth = self.significant_bits.and_then(BitDepth::stated);
        Description { axes, colours, depth, pixel_size: self.pixel_size, order, places, at: 0 }
    }
}

/// `XYZCT` and its kin, without the first two.
fn order(text: &str) -> Option<[Axis; 3]> {
    let axis = |letter: char| match letter {
        'C' => Some(Axis::Channel),
        'Z' => Some(Axis::Slice),
        'T' => Some(Axis::Frame),
        _ => None,
    };
    let axes: Vec<Axis> = text.strip_prefix("XY")?.chars().map(axis).collect::<Option<_>>()?;
    let [a, b, c] = axes.try_into().ok()?;
    (a != b && b != c && a != c).then_some([a, b, c])
}

/// The index of a plane; `None` for one that is not there.
fn index(order: [Axis; 3], plane: [u64; 3], sizes: [u64; 3]) -> Option<u64> {
    let is_there = plane.iter().zip(sizes).all(|(at, size)| *at < size);
    is_there.then(|| in_order(order, plane, sizes))
}

/// The plane with an index.
fn plane(order: [Axis; 3], mut index: u64, sizes: [u64; 3]) -> Option<[u64; 3]> {
    let mut plane = [0; 3];
    for axis in order {
        let size = Some(sizes[axis.place()]).filter(|size| *size > 0)?;
        plane[axis.place()] = index % size;
        index /= size;
    }
    Some(plane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_of_a_stack() {
        let body = "ID='0' SizeC='1' SizeZ='5' SizeT='1'";
        for text in [
            format!("<?xml version=\"1.0\"?><OME><Image><Pixels {body}/></Image></OME>"),
            format!("\u{feff}<OME:OME xmlns:OME='x'><OME:Image><OME:Pixels\n  {}/>", body.replace(' ', "\r\n\t")),
            format!("<!-- <Pixels SizeZ='1'/> --><OME><Pixels Note='SizeZ=\"1\"' {}>", body.replace('\'', "\"")),
            format!("<OME><Image Name='&mu;'/><Pixels {}/>", body.replace('=', " = ")),
        ] {
            let axes = read(&text).and_then(|found| found.axes);
            assert_eq!(axes, Some(Axes { channels: 1, slices: 5, frames: 1, images: 1 }), "{text}");
        }
    }

    #[test]
    fn other_xml_and_broken_ome_xml_are_refused() {
        assert!(read("ImageJ=1.53").is_none() && read("").is_none() && read("<svg/>").is_none());
        assert_eq!(read("<OME><Pixels SizeZ='5'").unwrap().axes, None);
        assert_eq!(read("<OME><Pixels SizeZ='-1' SizeC='1' SizeT='1'/>").unwrap().axes, None);
    }

    #[test]
    fn pixel_sizes_in_any_unit() {
        let size = |attributes: &str| read(&format!("<OME><Pixels {attributes}/></OME>")).unwrap().pixel_size;
        assert_eq!(size("PhysicalSizeX='0.25' PhysicalSizeY='0.5'"), Some([0.25, 0.5]));
        let unit = "PhysicalSizeXUnit='mm' PhysicalSizeYUnit='µm'";
        assert_eq!(size(&format!("PhysicalSizeX='2.5e-4' PhysicalSizeY='0.25' {unit}")), Some([0.25, 0.25]));
        assert_eq!(size("PhysicalSizeX='1' PhysicalSizeY='1' PhysicalSizeXUnit='pixel'"), None);
        assert_eq!(size("PhysicalSizeX='1'"), None);
    }

    #[test]
    fn colours_names_depth_and_order() {
        let read = |inner: &str| read(&format!("<OME><Pixels SignificantBits='12'>{inner}</Pixels></OME>")).unwrap();
        let (blue, green) = (Some([0.0, 0.0, 1.0]), Some([0.0, 1.0, 0.0]));
        let named = read("<Channel Name='DAPI' Color='-1'/><Channel Name='EGFP' Color='-1'/>");
        assert_eq!(named.colours, [blue, green]);
        assert_eq!(named.depth.map(BitDepth::bits), Some(12));
        let packed = |rgb: u32| ((rgb << 8) | 255) as i32;
        let coloured = format!("<Channel Color='{}'/><Channel Color='{}'/>", packed(0x0000_ff00), packed(0xff));
        assert_eq!(read(&coloured).colours, [green, blue]);
    }

    #[test]
    fn pages_are_found_where_the_file_lists_them() {
        let pages = |order: &str, parts: &str| {
            let sizes = "SizeC='2' SizeZ='3' SizeT='1'";
            let text = format!("<OME><Image><Pixels {sizes} DimensionOrder='{order}'>{parts}</Pixels></Image></OME>");
            read(&text).unwrap().arranged(1, 6).unwrap().pages
        };
        assert_eq!(pages("XYCZT", ""), [0, 1, 2, 3, 4, 5]);
        assert_eq!(pages("XYZCT", "<TiffData IFD='0' PlaneCount='6'/>"), [0, 3, 1, 4, 2, 5]);
        assert_eq!(pages("XYZCT", "<TiffData/>"), [0, 3, 1, 4, 2, 5]);
        let swapped = "<TiffData FirstC='1' IFD='0' PlaneCount='3'/><TiffData FirstC='0' IFD='3' PlaneCount='3'/>";
        assert_eq!(pages("XYZCT", swapped), [3, 0, 4, 1, 5, 2]);
        let each = "<TiffData FirstC='1' IFD='0'/><TiffData FirstC='0' IFD='1'/>";
        assert_eq!(pages("XYCZT", each)[..2], [1, 0]);
        assert_eq!(pages("YXCZT", ""), [0, 1, 2, 3, 4, 5]);
        let far =
            "<TiffData FirstC='9' IFD='0' PlaneCount='18446744073709551615'/><TiffData IFD='18446744073709551615'/>";
        assert!(read(&format!("<OME><Pixels SizeC='2' SizeZ='3' SizeT='1'>{far}</Pixels></OME>")).is_some());
    }
}
