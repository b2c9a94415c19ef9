//! Annotation files and images together.

use std::collections::{BTreeMap, HashSet};

use crate::annotations::dataset::ImageInfo;
use crate::annotations::gather::{Gathered, Options, gather_with};
use crate::annotations::upright;
use crate::error::Result;

/// As [`gather_with`]; annotations of an image that a camera turned may also have been made on its upright view, which its
/// swapped sides tell. They are brought to the image as it is stored.
pub fn read(
    files: &[(&str, &[u8])],
    images: &[ImageInfo],
    options: &Options,
    orientations: &BTreeMap<String, u8>,
) -> Result<Gathered> {
    let mut found = gather_with(files, images, options);
    let annotated: HashSet<&str> = found.annotations.iter().map(|one| one.image.as_str()).collect();
    let turned: HashSet<&str> = images
        .iter()
        .map(|image| image.name.as_str())
        .filter(|name| orientations.get(*name).is_some_and(|o| upright::swaps_sides(*o)) && !annotated.contains(name))
        .collect();
    if turned.is_empty() {
        return Ok(found);
    }
    // All images, since the others' names and folders tell which one a file means.
    let swapped = |image: &ImageInfo| match turned.contains(image.name.as_str()) {
        true => ImageInfo { width: image.height, height: image.width, ..image.clone() },
        false => image.clone(),
    };
    let upright: Vec<ImageInfo> = images.iter().map(swapped).collect();
    let again = gather_with(files, &upright, options);
    for (mut annotations, source) in again.annotations.into_iter().zip(again.sources) {
        let name = annotations.image.clone();
        let Some(&orientation) = orientations.get(&name).filter(|_| turned.contains(name.as_str())) else { continue };
        upright::to_stored(&mut annotations, orientation)?;
        let own = |sentence: &String| sentence.starts_with(&format!("{name}: "));
        found.rejected.retain(|sentence| !own(sentence));
        let how = "its annotations were made on the upright view; they are turned to the image as it is stored";
        found.warnings.push(format!("{name}: {how} (EXIF orientation {orientation})"));
        found.annotations.push(annotations);
        found.sources.push(source);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(width: u32, height: u32) -> String {
        let object = "<object><name>cell</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>7</xmax><ymax>9</ymax></bndbox></object>";
        format!("<annotation><size><width>{width}</width><height>{height}</height></size>{object}</annotation>")
    }

    #[test]
    fn boxes_on_the_upright_view_are_turned() {
        let image = ImageInfo::new("phone", 20, 10);
        let options = Options { label: "cell", number_pieces: false };
        let orientations = BTreeMap::from([("phone".to_owned(), 6)]);
        let found = |width, height| {
            let text = xml(width, height);
            read(&[("d/phone.xml", text.as_bytes())], std::slice::from_ref(&image), &options, &orientations).unwrap()
        };
        let corners = |found: &Gathered| found.annotations[0].objects[0].bbox.corners();
        let (turned, stored) = (found(10, 20), found(20, 10));
        assert!(turned.rejected.is_empty() && turned.warnings[0].contains("upright"), "{turned:?}");
        assert_eq!((turned.annotations[0].width, turned.annotations[0].height), (20, 10));
        // On the stored image they stay; of any other size they are refused.
        let [x1, y1, x2, y2] = corners(&stored);
        assert_eq!(corners(&turned), [y1, 10.0 - x2, y2, 10.0 - x1]);
        assert_eq!((found(10, 10).annotations.len(), found(10, 10).rejected.len()), (0, 1));
    }
}
