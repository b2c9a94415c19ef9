//! What images are called in results: by their place below the folders that are scanned.

use std::{
    collections::{HashMap, HashSet},
    path::{Component, Path, PathBuf},
};

use crate::{
    annotations::reference,
    channels::{Groups, ImageEntry},
    error::{Error, Result},
};

/// How results name an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its stem; with its folder where another image has that stem.
    pub image: String,
    /// Its file, or for a channel set the file that their merged image would be: the path below the scanned folder,
    /// parts separated by `/`.
    pub file: String,
    /// Folders above the scanned one, the nearest first.
    pub(super) above: Vec<String>,
}

impl Called {
    pub fn new(image: &str, file: &str, root: &Path) -> Self {
        let mut above = parts(root);
        above.reverse();
        Self { image: image.to_owned(), file: file.to_owned(), above }
    }

    /// Ever longer names of the same image: with its folder, then with each folder above the scanned one.
    pub(super) fn longer(&self) -> impl Iterator<Item = Self> + '_ {
        let stem = self.image.rsplit('/').next().unwrap_or_default();
        (0..=self.above.len()).map(move |levels| {
            let outer = self.above[..levels].iter().rev().map(String::as_str);
            let file = outer.chain([self.file.as_str()]).collect::<Vec<_>>().join("/");
            let image = file.rsplit_once('/').map_or_else(|| stem.to_owned(), |(folder, _)| format!("{folder}/{stem}"));
            Self { image, file, above: self.above.clone() }
        })
    }
}

/// The folders of one scan, and which files are in them.
#[derive(Debug)]
pub struct Names {
    /// Each path as it was given, and where it lies below the root.
    given: HashMap<PathBuf, Vec<String>>,
    /// The folder that holds everything.
    root: PathBuf,
    /// Files of images by themselves, below the root.
    files: HashSet<String>,
}

impl Names {
    /// For the images found under `paths`. Of one folder the names are those below it; of several folders, and of single
    /// files, those below the innermost folder that holds all of them.
    ///
    /// # Errors
    /// One of `paths` that does not exist.
    pub fn new(paths: &[PathBuf], groups: &Groups) -> Result<Self> {
        Self::below(paths, None, groups)
    }

    /// As [`Self::new`], with names below `root` where there is one.
    ///
    /// # Errors
    /// `root` or one of `paths` that does not exist, or one of them that is not in `root`.
    pub fn below(paths: &[PathBuf], root: Option<&Path>, groups: &Groups) -> Result<Self> {
        let place = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e));
        let places = paths.iter().map(|path| place(path)).collect::<Result<Vec<_>>>()?;
        let folders = places.iter().map(|place| if place.is_dir() { place } else { place.parent().unwrap_or(place) });
        let root = match root {
            Some(root) => place(root)?,
            None => folders.map(Path::to_owned).reduce(|a, b| common(&a, &b)).unwrap_or_default(),
        };
        if let Some(outside) = places.iter().find(|place| !place.starts_with(&root)) {
            return Err(Error::Usage(format!("{} is not in {}", outside.display(), root.display())));
        }
        let below = |place: &PathBuf| parts(place.strip_prefix(&root).unwrap_or(place));
        let given = paths.iter().cloned().zip(places.iter().map(below)).collect();
        let mut this = Self { given, root, files: HashSet::new() };
        let alone = groups.images.iter().filter(|entry| entry.files.len() == 1).flat_map(|entry| &entry.files);
        this.files = alone.map(|file| this.path(&file.file)).collect();
        Ok(this)
    }

    /// What an image is called, when no other scan has taken the name.
    pub fn of(&self, entry: &ImageEntry) -> Called {
        let Some(first) = entry.files.first() else { return Called::new(&entry.name, &entry.name, &self.root) };
        let first_file = self.path(&first.file);
        let folder = first_file.rsplit_once('/').map(|(folder, _)| folder);
        let stem = entry.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let image = match folder {
            Some(folder) if stem != entry.name => format!("{folder}/{stem}"),
            _ => stem.to_owned(),
        };
        let files: Vec<String> = entry.files.iter().map(|file| self.path(&file.file)).collect();
        let file = reference::file_of(stem, &files, |file| self.files.contains(file));
        Called::new(&image, &file, &self.root)
    }

    /// The folder that names are below, from the root of the disk.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What tells an image from all others, whichever these are: the path of its first file below the root, parts separated
    /// by `/`. The first file of a channel set is that of its first channel.
    pub fn key(&self, entry: &ImageEntry) -> String {
        entry.files.first().map_or_else(|| entry.name.clone(), |first| self.path(&first.file))
    }

    /// A file's path below the root.
    fn path(&self, file: &str) -> String {
        let given = |given: &Path| {
            let rest = Path::new(file).strip_prefix(given).ok().map(parts)?;
            Some([self.given.get(given)?.clone(), rest].concat())
        };
        let found = Path::new(file).ancestors().find_map(given);
        found.unwrap_or_else(|| parts(Path::new(file))).join("/")
    }
}

/// The folder that both lie in.
fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// The names in a path.
fn parts(path: &Path) -> Vec<String> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files;

    /// The names of all images under some of the folders of a scan.
    fn called(files: &[&str], scanned: &[&str]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::new(2, 2).save(path).unwrap();
        }
        let scanned: Vec<PathBuf> = scanned.iter().map(|path| folder.path().join(path)).collect();
        let groups = files::find_images(&scanned).unwrap().groups;
        let names = Names::new(&scanned, &groups).unwrap();
        let mut all: Vec<_> = groups.images.iter().map(|e| names.of(e)).map(|c| (c.image, c.file)).collect();
        all.sort();
        all
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.map(|(image, file)| (image.to_owned(), file.to_owned())).to_vec()
    }

    #[test]
    fn one_folder_keeps_its_simple_names() {
        let files = ["plate/f01.png", "plate/f02.png"];
        let expected = pairs([("f01", "f01.png"), ("f02", "f02.png")]);
        assert_eq!(called(&files, &["plate"]), expected);
        assert_eq!(called(&files, &["plate/f01.png", "plate/f02.png"]), expected);
        assert_eq!(called(&files, &["plate/../plate/."]), expected);
    }

    #[test]
    fn files_are_named_below_the_scanned_folder() {
        let files = ["s/plateA/f01.png", "s/plateB/f01.png", "s/plateB/g07.png", "s/f01.png"];
        let expected = pairs([
            ("f01", "f01.png"),
            ("g07", "plateB/g07.png"),
            ("plateA/f01", "plateA/f01.png"),
            ("plateB/f01", "plateB/f01.png"),
        ]);
        assert_eq!(called(&files, &["s"]), expected);
        let two =
            pairs([("g07", "plateB/g07.png"), ("plateA/f01", "plateA/f01.png"), ("plateB/f01", "plateB/f01.png")]);
        assert_eq!(called(&files, &["s/plateA", "s/plateB"]), two);
    }

    #[test]
    fn a_channel_set_is_named_by_its_merged_image_unless_that_is_an_image() {
        let set = ["p/A_red.png", "p/A_green.png", "p/A_blue.png", "p/A_yellow.png"];
        assert_eq!(called(&set, &["p"]), pairs([("A", "A.png")]));
        let both = called(&[&set[..], &["p/A.png"]].concat(), &["p"]);
        let files: Vec<&str> = both.iter().map(|(_, file)| file.as_str()).collect();
        assert!(files.contains(&"A.png") && files.contains(&"A_red.png"), "{both:?}");
    }

    #[test]
    fn longer_names_end_at_the_root_of_the_disk() {
        let called = Called::new("f01", "plateA/f01.png", Path::new("/data/exp"));
        let longer: Vec<_> = called.longer().map(|c| (c.image, c.file)).collect();
        let expected = pairs([
            ("plateA/f01", "plateA/f01.png"),
            ("exp/plateA/f01", "exp/plateA/f01.png"),
            ("data/exp/plateA/f01", "data/exp/plateA/f01.png"),
        ]);
        assert_eq!(longer, expected);
    }
}
