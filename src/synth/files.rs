//! A synthetic image as the files of a data folder.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::SynthImage;
use crate::annotations::ImageAnnotations;
use crate::annotations::voc;
use crate::channels::Samples;
use crate::error::{Error, Result};
use crate::export::NamedBytes;
use crate::masks::LabelImage;

/// `NAME_red.png`, `NAME_green.png`, `NAME_blue.png`, `NAME_yellow.png`, `NAME.xml` (Pascal VOC) and `NAME_mask.png`, a label
/// image where value k is the k-th object: 8 bit for up to 255 objects, else 16.
///
/// # Errors
/// A plane that cannot be encoded; those of [`super::generate`] always can.
pub fn files(image: &SynthImage) -> Result<Vec<NamedBytes>> {
    let mut files = Vec::new();
    let (mut width, mut height) = (0, 0);
    for (channel, plane) in &image.set.planes {
        (width, height) = (plane.width, plane.height);
        let name = format!("{}_{channel}.png", image.name);
        let bytes = png(&name, width, height, &plane.samples)?;
        files.push(NamedBytes { name, bytes });
    }
    let annotations = ImageAnnotations {
        image: image.name.clone(),
        file: format!("{}.png", image.name),
        width,
        height,
        verified: false,
        objects: image.objects.clone(),
        ..ImageAnnotations::default()
    };
    // LabelImg writes "Unknown" as the source. Make it clear that the image is synthetic.
    let xml = voc::write(&annotations).replacen("<database>Unknown<", "<database>cytobox synth (synthetic)<", 1);
    files.push(NamedBytes { name: format!("{}.xml", image.name), bytes: xml.into_bytes() });
    let labels = LabelImage::from_masks(width, height, image.objects.iter().map(|o| o.mask.as_ref()))?;
    files.push(NamedBytes { name: format!("{}_mask.png", image.name), bytes: labels.encode_png()? });
    Ok(files)
}

fn png(name: &str, width: u32, height: u32, samples: &Samples) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    let written = match samples {
        Samples::U8(v) => encoder.write_image(v, width, height, ExtendedColorType::L8),
        // The encoder expects native byte order.
        Samples::U16(v) => encoder.write_image(bytemuck::cast_slice(v), width, height, ExtendedColorType::L16),
        Samples::F32(_) => return Err(Error::image(name, "PNG has no floating-point samples")),
    };
    written.map_err(|e| Error::image(name, e))?;
    Ok(bytes)
}
