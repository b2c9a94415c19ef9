//! Cellpose's `NAME_cp_outlines.txt`: a line an object, `x,y,x,y,…` in pixels.

use super::left_out::Place;
use super::outline::{extent, outlined};
use super::{ImageAnnotations, Object, Parsed, text};
use crate::error::Result;
use crate::limits;

/// The image that the file's name says, with its folders; `None` for another file.
pub(super) fn image_of(path: &str) -> Option<String> {
    let at = path.len().checked_sub(ENDING.len())?;
    let is_outlines = path.get(at..)?.eq_ignore_ascii_case(ENDING);
    is_outlines.then(|| format!("{}.txt", &path[..at]))
}

const ENDING: &str = "_cp_outlines.txt";

/// Reads the objects of an image of `size` (width and height, 0 where they are not known), all called `label`. Objects are
/// counted by lines.
///
/// # Errors
/// Not UTF-8, or over a cap of [`limits`].
pub(super) fn read(
    file: &str,
    bytes: &[u8],
    image: &str,
    label: &str,
    size: (u32, u32),
) -> Result<Parsed<ImageAnnotations>> {
    let (width, height) = size;
    let mut parsed =
        Parsed::new(ImageAnnotations { image: image.to_owned(), width, height, ..ImageAnnotations::default() });
    let mut budget = limits::OUTLINE_PIXELS;
    let text = text(file, bytes, limits::TABLE_BYTES)?;
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        limits::check(file, "the number of objects", i as u64 + 1, limits::OBJECTS as u64)?;
        let numbers: Option<Vec<f64>> = line.split(',').map(|word| word.trim().parse().ok()).collect();
        let Some(numbers) = numbers.filter(|numbers| numbers.len() % 2 == 0 && numbers.len() <= limits::OBJECT_VALUES)
        else {
            parsed.value.leave_out(Place::Unknown);
            parsed.reject(file, i + 1, "is not a list of x and y")?;
            continue;
        };
        let polygon: Vec<_> = numbers.chunks_exact(2).map(|c| [c[0], c[1]]).collect();
        let polygons = [polygon];
        match outlined(&polygons, size, &mut budget) {
            Ok(found) => parsed.value.objects.push(Object {
                bbox: found.bbox,
                label: label.to_owned(),
                difficult: false,
                truncated: false,
                mask: found.mask,
            }),
            Err(reason) => {
                parsed.value.leave_out(Place::Within(extent(&polygons)));
                parsed.reject(file, i + 1, reason)?;
            }
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_objects() {
        assert_eq!(image_of("d/f01_CP_outlines.txt").as_deref(), Some("d/f01.txt"));
        assert_eq!(image_of("f01.txt"), None);
        let parsed = read("f_cp_outlines.txt", b"1,1,5,1,5,5,1,5\n\n1,2,3\n", "f", "cell", (9, 9)).unwrap();
        assert_eq!(parsed.value.objects[0].bbox.corners(), [1.0, 1.0, 5.0, 5.0]);
        assert!(parsed.value.objects[0].mask.is_some());
        assert_eq!((parsed.rejected.len(), parsed.value.incomplete), (1, true));
    }
}
