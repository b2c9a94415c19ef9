//! Cells of one image, measured and cut out.

use super::images::{files_of, merged_image, options_of};
use crate::boxes::BoxXyxy;
use crate::channels;
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::export::{self, MeasuredFormat, NamedBytes};
use crate::measure::{Options, PackedTable, Table};
use crate::protocol::{ImageInput, Outcome};

/// Largest side of a crop, which is for a gallery and not for analysis.
const CROP_SIDE: u32 = 512;

pub fn unpacked(tables: &[PackedTable]) -> Result<Vec<Table>> {
    tables.iter().map(PackedTable::unpack).collect()
}

/// Measures in the depth of the files; without an image there is no table, and what needs one is not written.
pub fn cells(
    cells: &ImageDetections,
    image: Option<&ImageInput>,
    name: &str,
    formats: &[MeasuredFormat],
    pixel_size: Option<f64>,
) -> Result<Outcome> {
    let mut table = Table::default();
    if let Some(image) = image {
        let set = channels::assemble(&image.name, &files_of(image), &options_of(image, None))?;
        let options = Options { pixel_size: pixel_size.or(set.pixel_size), ..Options::default() };
        table = export::measured(cells, &set, &options)?;
    }
    let (mut files, mut notes) = (Vec::new(), Vec::new());
    for format in formats.iter().filter(|format| image.is_some() || !format.needs_samples()) {
        if let Some(file) = export::measured_file(*format, cells, &table)? {
            files.push(NamedBytes { name: format!("{name}{}", file.ending), bytes: file.bytes });
            notes.extend(file.note);
        }
    }
    Ok(Outcome::MeasuredCells { table: PackedTable::of(&table), files, notes })
}

/// The squares around boxes, one below another.
pub fn crops(image: &ImageInput, boxes: &[BoxXyxy], side: u32) -> Result<Vec<u8>> {
    if !(1..=CROP_SIDE).contains(&side) {
        return Err(Error::Usage(format!("a crop of {side} pixels; it must have from 1 to {CROP_SIDE}")));
    }
    let merged_image = merged_image(image)?.merged_image;
    Ok(boxes.iter().flat_map(|bbox| channels::crop(&merged_image, *bbox, side)).collect())
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::detections::Detection;
    use crate::engine::samples;
    use crate::observe::NoObserver;
    use crate::protocol::ImageFile;

    fn sample() -> (ImageInput, ImageDetections) {
        let Ok(Outcome::Files { files }) = pollster::block_on(samples(1, 3, 96, &NoObserver)) else { panic!() };
        let of = |colour: &str| {
            let file = files.iter().find(|file| file.name.ends_with(&format!("_{colour}.png"))).unwrap();
            let file = file.clone();
            let named = crate::channels::ChannelFile { file: file.name, channel: Some(colour.parse().unwrap()) };
            ImageFile { file: named, bytes: file.bytes }
        };
        let image = ImageInput {
            name: "a".into(),
            files: ["red", "green", "blue", "yellow"].map(of).into(),
            fill: Vec::new(),
            merge: None,
            detector_merge: None,
            pages: Default::default(),
            bit_depth: None,
            range: None,
            stack: None,
            channels: None,
        };
        let bbox = BoxXyxy::new([10.0, 20.0, 30.0, 50.0], 96, 96).unwrap();
        let detections = vec![Detection { bbox, label: "x".into(), score: f32::NAN, mask: None }];
        (image, ImageDetections { image: "a".into(), width: 96, height: 96, detections, ..ImageDetections::default() })
    }

    #[test]
    fn without_the_image_the_rest_is_written() {
        let (image, found) = sample();
        let names = |image: Option<&ImageInput>| match cells(&found, image, "p/a", &MeasuredFormat::ALL, Some(0.5)) {
            Ok(Outcome::MeasuredCells { table, files, .. }) => {
                (table.unpack().unwrap().rows().len(), files.into_iter().map(|file| file.name).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        };
        let all = ["p/a_labels.tif", "p/a_labels.png", "p/a_rois.zip", "p/a.geojson"].map(str::to_owned);
        assert_eq!(names(Some(&image)), (1, all.to_vec()));
        assert_eq!(names(None), (0, all[..3].to_vec()));
        let other = ImageDetections { width: 97, ..found.clone() };
        assert!(cells(&other, Some(&image), "a", &[], None).is_err());
    }

    #[test]
    fn crops_are_squares() {
        let (image, found) = sample();
        let boxes = [found.detections[0].bbox; 2];
        assert_eq!(crops(&image, &boxes, 32).unwrap().len(), 2 * 32 * 32 * 4);
        assert!(crops(&image, &boxes, 0).is_err() && crops(&image, &boxes, 4096).is_err());
    }
}
