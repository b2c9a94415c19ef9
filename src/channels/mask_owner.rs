//! Which image a file of object labels belongs to, told by its name and its folder.
//!
//! `NAME_mask`, `NAME_cp_masks` and the like belong to NAME. So does a file NAME in a folder `masks` or `labels` beside or
//! below the images (StarDist's layout). In the layout of the Data Science Bowl an image lies in `NAME/images/` and every
//! file of `NAME/masks/` is one object of it.

use std::collections::HashMap;

use super::file_name::{FileName, Role};

/// Folders of label images.
const MASK_FOLDERS: [&str; 6] = ["mask", "masks", "label", "labels", "instances", "segmentations"];
/// Folders of images beside them; the empty one is the folder above.
const IMAGE_FOLDERS: [&str; 7] = ["", "images", "image", "imgs", "img", "raw", "JPEGImages"];

/// Where the images are, to be asked for the owners of label images. Names are expected in Unicode's composed form.
pub(crate) struct Owners {
    /// By folder and stem; the first of several.
    by_place: HashMap<(String, String), usize>,
    /// By stem; `None` where several images have it.
    by_stem: HashMap<String, Option<usize>>,
}

/// How much of an image's objects a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    /// One object, whatever its value.
    OneObject,
}

impl Owners {
    /// From the folder and the stem of each image, which is then called by its place in the list.
    pub fn new<'a>(images: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut this = Self { by_place: HashMap::new(), by_stem: HashMap::new() };
        for (i, (folder, stem)) in images.enumerate() {
            this.add(i, folder, stem);
        }
        this
    }

    /// Makes an image known under one more folder and stem.
    pub fn add(&mut self, image: usize, folder: &str, stem: &str) {
        self.by_place.entry((folder.replace('\\', "/"), stem.to_owned())).or_insert(image);
        let only = self.by_stem.entry(stem.to_owned()).or_insert(Some(image));
        *only = only.filter(|other| *other == image);
    }

    /// The image whose object labels the file holds; `None` where it holds none, or its image is not there.
    pub fn of(&self, path: &str) -> Option<(usize, Part)> {
        let name = FileName::parse(path);
        let folder = name.folder.replace('\\', "/");
        let at = |folder: &str, stem: &str| self.by_place.get(&(folder.to_owned(), stem.to_owned())).copied();
        let stems = stems(&name);
        let places = places(&folder);
        let is_named = name.role == Role::Mask;
        let beside = is_named.then(|| folder.clone());
        let found = beside.iter().chain(&places).find_map(|folder| stems.iter().find_map(|stem| at(folder, stem)));
        if let Some(image) = found {
            return Some((image, Part::All));
        }
        if is_named && let Some(image) = stems.iter().find_map(|stem| self.by_stem.get(*stem).copied().flatten()) {
            return Some((image, Part::All));
        }
        let (_, above) = mask_folder(&folder)?;
        let whole = above.rsplit('/').next().filter(|whole| !whole.is_empty())?;
        let image = places.iter().find_map(|folder| at(folder, whole))?;
        Some((image, Part::OneObject))
    }
}

/// Whether the file lies in a folder of label images.
pub(super) fn is_in_mask_folder(path: &str) -> bool {
    let folder = FileName::parse(path).folder.replace('\\', "/");
    folder.split('/').any(is_mask_folder)
}

/// What the image of a label image may be called: without the role, with it, and without a channel before it.
fn stems<'a>(name: &FileName<'a>) -> Vec<&'a str> {
    let mut stems = vec![name.stem];
    let channel = FileName::parse(name.stem);
    if name.role == Role::Mask && matches!(channel.role, Role::Channel(_)) {
        stems.push(channel.stem);
    }
    stems
}

/// The folders in which the images of the label images of `folder` may lie: for `a/masks/b` these are `a/b`, `a/images/b`
/// and so on.
fn places(folder: &str) -> Vec<String> {
    let Some((below, above)) = mask_folder(folder) else { return Vec::new() };
    let join = |parts: [&str; 3]| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let root = if folder.starts_with('/') { "/" } else { "" };
    let above = above.trim_start_matches('/');
    IMAGE_FOLDERS.iter().map(|images| format!("{root}{}", join([above, images, below]))).collect()
}

/// What lies below and above the last folder of label images in the path.
fn mask_folder(folder: &str) -> Option<(&str, &str)> {
    let mut end = folder.len();
    for part in folder.rsplit('/') {
        let start = end - part.len();
        if is_mask_folder(part) {
            return Some((folder[end..].trim_start_matches('/'), folder[..start].trim_end_matches('/')));
        }
        end = start.saturating_sub(1);
    }
    None
}

fn is_mask_folder(part: &str) -> bool {
    MASK_FOLDERS.iter().any(|name| part.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_common_layouts_find_their_images() {
        let images = [
            ("d", "f01"),
            ("/r/images/train", "s"),
            ("/r/images/val", "s"),
            ("/n/42/images", "42"),
            ("p/a", "w"),
            ("p/b", "w"),
            ("h", "set"),
        ];
        let owners = Owners::new(images.into_iter());
        for (mask, owner) in [
            ("d/f01_cp_masks.tif", Some((0, Part::All))),
            ("elsewhere/f01_seg.png", Some((0, Part::All))),
            ("/r/masks/train/s.tif", Some((1, Part::All))),
            ("\\r\\masks\\val\\s.tif", Some((2, Part::All))),
            ("/r/Labels/val/s_label.tif", Some((2, Part::All))),
            ("/n/42/masks/00ff.png", Some((3, Part::OneObject))),
            ("/n/42/images/00ff.png", None),
            ("p/b/w_mask.png", Some((5, Part::All))),
            ("p/b/masks/w.png", Some((5, Part::All))),
            ("p/w_mask.png", None),
            ("h/set_green_mask.png", Some((6, Part::All))),
            ("d/masks/other.png", None),
            ("d/f01.png", None),
        ] {
            assert_eq!(owners.of(mask), owner, "{mask}");
        }
    }
}
