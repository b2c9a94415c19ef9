//! Which image an annotation means: by folder and name first, by the name alone only where one image has it.
//!
//! Names are compared in Unicode's composed form. Folders are compared from the innermost out, as far as both paths go, so
//! that a path from another disk still finds its image; folders such as `images` and `labels`, which stand side by side in
//! the layouts of YOLO and Pascal VOC, are passed over. No path is ever opened.

use std::collections::HashMap;

use super::dataset::ImageInfo;
use super::{ImageAnnotations, names};

/// Folders that are compared; deeper ones tell no images apart.
const DEPTH: usize = 6;
/// Folders that say what kind of file lies in them, and nothing of the image.
const KINDS: [&str; 20] = [
    "images",
    "image",
    "imgs",
    "img",
    "raw",
    "jpegimages",
    "labels",
    "label",
    "annotations",
    "annotation",
    "annots",
    "xml",
    "xmls",
    "masks",
    "mask",
    "json",
    "jsons",
    "txt",
    "obj_train_data",
    "segmentationobject",
];
/// Channel endings that an annotation's name may have where the image's has none: people box one channel.
const CHANNEL_ENDINGS: [&str; 5] = ["_red", "_green", "_blue", "_yellow", "_merged"];

/// How an annotation found its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// The number of the image, and of the folders that agree.
    Image(usize, usize),
    /// Several images have the name, and the folders do not tell which.
    Several,
    None,
}

impl Match {
    /// The first that is an image.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Image(..), _) => self,
            (_, Self::Image(..)) => other,
            (Self::Several, _) => self,
            _ => other,
        }
    }
}

/// All images by what annotations may call them.
pub(super) struct Index {
    /// A kind of name, the innermost folders and the name; `None` where several images have it.
    names: HashMap<String, Option<usize>>,
}

/// Two kinds of names, so that `scan.tif` is not taken for the stem of `scan.tif.png`.
#[derive(Clone, Copy)]
enum Name<'a> {
    /// With its extension.
    File(&'a str),
    Stem(&'a str),
}

impl Index {
    pub fn new(images: &[ImageInfo]) -> Self {
        let mut this = Self { names: HashMap::new() };
        for (i, image) in images.iter().enumerate() {
            // The name has no extension, even where it ends as if it had one.
            let (folders, base) = (names::folders(&image.name), names::base_name(&image.name));
            this.add(i, &folders, Name::Stem(&base));
            if image.files.is_empty() {
                this.add(i, &folders, Name::File(&base));
            }
            for path in &image.files {
                let folders = names::folders(path);
                this.add(i, &folders, Name::File(&names::base_name(path)));
                this.add(i, &folders, Name::Stem(&names::stem(path)));
            }
        }
        this
    }

    fn add(&mut self, image: usize, folders: &[String], name: Name) {
        let plain = plain(folders);
        for (mark, folders) in [('=', folders.to_vec()), ('~', plain)] {
            for depth in 0..=folders.len().min(DEPTH) {
                let only = self.names.entry(key(mark, &folders, depth, name)).or_insert(Some(image));
                *only = only.filter(|other| *other == image);
            }
        }
    }

    /// The image of the annotation file at `path`, which is named after its image.
    pub fn of_own_name(&self, path: &str) -> Match {
        let folders = names::folders(path);
        let stem = names::stem(path);
        let base = names::base_name(path);
        // Without the last extension alone: `scan.ome.tif.json` may be named after the file.
        let file = base.rsplit_once('.').map_or(base.as_str(), |(file, _)| file);
        self.first(&folders, &[Name::Stem(&stem), Name::File(file)], &stem)
    }

    /// The image of annotations by what they say themselves. Where the file that they name is that of their own name, it
    /// may say the folder too.
    pub fn of_annotations(&self, annotations: &ImageAnnotations) -> Match {
        let named = self.of_file(&annotations.file);
        let own = self.of_stem(&annotations.image);
        if names::stem(&annotations.file) == annotations.image { named.or(own) } else { own.or(named) }
    }

    /// The image that an annotation calls `stem`, without extension.
    pub fn of_stem(&self, stem: &str) -> Match {
        let base = names::base_name(stem);
        self.first(&names::folders(stem), &[Name::Stem(&base), Name::File(&base)], &base)
    }

    /// The image whose file an annotation calls `path`.
    pub fn of_file(&self, path: &str) -> Match {
        let (folders, base, stem) = (names::folders(path), names::base_name(path), names::stem(path));
        if base.is_empty() {
            return Match::None;
        }
        self.first(&folders, &[Name::File(&base), Name::Stem(&stem)], &stem)
    }

    fn first(&self, folders: &[String], own: &[Name], stem: &str) -> Match {
        let mut several = false;
        let short = without_channel(stem);
        let twice = names::stem(stem);
        let no_hash = own.iter().find_map(|name| match name {
            Name::File(file) => without_hash(file),
            Name::Stem(_) => None,
        });
        let no_hash_stem = no_hash.map(names::stem);
        let mut rounds: Vec<Vec<Name>> = vec![own.to_vec()];
        rounds.extend(short.as_deref().map(|short| vec![Name::Stem(short)]));
        rounds
            .extend(no_hash.zip(no_hash_stem.as_deref()).map(|(file, stem)| vec![Name::File(file), Name::Stem(stem)]));
        if twice != stem {
            rounds.push(vec![Name::Stem(&twice)]);
        }
        for round in rounds {
            match self.deepest(folders, &round) {
                Match::None => {}
                Match::Several => several = true,
                found => return found,
            }
        }
        if several { Match::Several } else { Match::None }
    }

    fn deepest(&self, folders: &[String], names: &[Name]) -> Match {
        let mut several = false;
        for (mark, folders) in [('~', plain(folders)), ('=', folders.to_vec())] {
            'depths: for depth in (0..=folders.len().min(DEPTH)).rev() {
                for name in names {
                    match self.names.get(&key(mark, &folders, depth, *name)) {
                        Some(Some(image)) => return Match::Image(*image, depth),
                        // Fewer folders cannot tell more.
                        Some(None) => {
                            several = true;
                            break 'depths;
                        }
                        None => {}
                    }
                }
            }
        }
        if several { Match::Several } else { Match::None }
    }
}

/// Without the folders that only say what kind of file lies in them.
fn plain(folders: &[String]) -> Vec<String> {
    folders.iter().filter(|folder| !KINDS.contains(&folder.to_ascii_lowercase().as_str())).cloned().collect()
}

fn key(mark: char, folders: &[String], depth: usize, name: Name) -> String {
    let inner = folders[folders.len() - depth..].join("/");
    match name {
        Name::File(file) => {
            let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
            format!("{mark}{inner}/{stem}.{}", extension.to_ascii_lowercase())
        }
        Name::Stem(stem) => format!("{mark}{inner}//{stem}"),
    }
}

fn without_channel(stem: &str) -> Option<String> {
    let short = CHANNEL_ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending));
    short.filter(|short| !short.is_empty()).map(str::to_owned)
}

/// Without what Label Studio puts before names: eight letters or digits and a hyphen.
fn without_hash(file: &str) -> Option<&str> {
    let (hash, rest) = file.split_once('-')?;
    let is_hash = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_hash && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(files: &[&str]) -> Index {
        let info =
            |file: &&str| ImageInfo { files: vec![(*file).to_owned()], ..ImageInfo::new(&names::stem(file), 0, 0) };
        Index::new(&files.iter().map(info).collect::<Vec<_>>())
    }

    #[test]
    fn folders_tell_images_of_one_name_apart() {
        let plates = index(&["/data/plateA/f01.png", "/data/plateB/f01.png", "/data/plateB/g.png"]);
        assert_eq!(plates.of_file("plateB/f01.png"), Match::Image(1, 1));
        assert_eq!(plates.of_file("C:\\old\\plateA\\f01.png"), Match::Image(0, 1));
        assert_eq!(plates.of_file("f01.png"), Match::Several);
        assert_eq!(plates.of_file("plateC/f01.png"), Match::Several);
        assert_eq!(plates.of_file("elsewhere/g.png"), Match::Image(2, 0));
        assert_eq!(plates.of_own_name("/data/plateA/f01.xml"), Match::Image(0, 2));
        assert_eq!(plates.of_own_name("/data/plateA/Annotations/f01.xml"), Match::Image(0, 2));
        assert_eq!(plates.of_file("none.png"), Match::None);
    }

    #[test]
    fn labels_beside_images_belong_to_the_same_split() {
        for files in [["d/images/train/f.png", "d/images/val/f.png"], ["d/train/images/f.png", "d/val/images/f.png"]] {
            let parts = index(&files);
            for (i, part) in ["train", "val"].into_iter().enumerate() {
                assert_eq!(parts.of_own_name(&format!("d/labels/{part}/f.txt")), Match::Image(i, 2));
                assert_eq!(parts.of_own_name(&format!("d/{part}/labels/f.txt")), Match::Image(i, 2));
            }
        }
        // Where only such a folder tells them apart, it counts.
        let kinds = index(&["d/images/f.png", "d/masks/f.png"]);
        assert_eq!(kinds.of_file("images/f.png"), Match::Image(0, 1));
    }

    #[test]
    fn names_are_found_in_all_their_forms() {
        let images = index(&["scan.tif.png", "scan.tif", "sample.ome.tif", "u\u{308}.png", "a.png", "a.JPG"]);
        assert_eq!(images.of_own_name("scan.tif.xml"), Match::Image(0, 0));
        assert_eq!(images.of_own_name("scan.xml"), Match::Image(1, 0));
        assert_eq!(images.of_file("scan.tif"), Match::Image(1, 0));
        assert_eq!(images.of_own_name("sample.ome.xml"), Match::Image(2, 0));
        assert_eq!(images.of_own_name("sample.ome.tif.json"), Match::Image(2, 0));
        assert_eq!(images.of_file("ü.png"), Match::Image(3, 0));
        assert_eq!(images.of_file("a.jpg"), Match::Image(5, 0));
        assert_eq!(images.of_own_name("a.xml"), Match::Several);
        assert_eq!(images.of_file("images\\0a1b2c3d-a.png"), Match::Image(4, 0));
        assert_eq!(images.of_file("sample_green.png"), Match::Image(2, 0));
        assert_eq!(index(&["scan.png"]).of_own_name("scan.tif.xml"), Match::Image(0, 0));
    }
}
