//! What OME-XML says of the planes of a file (<https://docs.openmicroscopy.org/ome-model/>).

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::colour::{self, Colours};
use super::depth::BitDepth;
use super::tiff_description::{Axes, Description};

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
    colours: Colours,
    names: Colours,
    /// Page and channel, where the file says which is which.
    places: Vec<(usize, usize)>,
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
    }

    fn channel(&mut self, tag: &BytesStart) {
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
        let index = |name| number(tag, name).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        if let (Some(page), Some(channel)) = (index("IFD"), index("FirstC")) {
            self.places.push((page, channel));
        }
    }

    fn describe(self) -> Description {
        let axes = self.sizes.map(|[channels, slices, frames]| Axes { channels, slices, frames, images: self.images });
        let mut colours = colour::stated(self.colours, self.names);
        // The planes need not stand in the order of the channels.
        if !self.places.is_empty() {
            let by_channel = colours.clone();
            for (page, channel) in self.places {
                if let (Some(to), Some(from)) = (colours.get_mut(page), by_channel.get(channel)) {
                    *to = *from;
                }
            }
        }
        Description { axes, colours, depth: self.significant_bits.and_then(BitDepth::stated), at: 0 }
    }
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
    fn colours_names_depth_and_order() {
        let read = |inner: &str| read(&format!("<OME><Pixels SignificantBits='12'>{inner}</Pixels></OME>")).unwrap();
        let (blue, green) = (Some([0.0, 0.0, 1.0]), Some([0.0, 1.0, 0.0]));
        let named = read("<Channel Name='DAPI' Color='-1'/><Channel Name='EGFP' Color='-1'/>");
        assert_eq!(named.colours, [blue, green]);
        assert_eq!(named.depth.map(BitDepth::bits), Some(12));
        let packed = |rgb: u32| ((rgb << 8) | 255) as i32;
        let coloured = format!("<Channel Color='{}'/><Channel Color='{}'/>", packed(0x0000_ff00), packed(0xff));
        assert_eq!(read(&coloured).colours, [green, blue]);
        let places = "<TiffData FirstC='1' IFD='0'/><TiffData FirstC='0' IFD='1'/>";
        assert_eq!(read(&format!("{coloured}{places}")).colours, [blue, green]);
    }
}
