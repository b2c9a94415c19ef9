//! How a written file names the image that it is about: by its path below the folder of all images.

use std::collections::HashSet;

use super::dataset::ImageInfo;
use super::names;

/// Folders of a path that are kept, the last ones.
const FOLDERS: usize = 16;

/// The parts of a path below some folder, whichever system wrote it. Of a path that starts at the root of a disk, or leads
/// out of the folder, only the last part is taken: where an image lies on somebody's disk is nobody's business.
pub fn parts(path: &str) -> Vec<&str> {
    let path = path.trim();
    let is_absolute = path.starts_with(['/', '\\']) || path.get(1..2) == Some(":");
    let all: Vec<&str> = path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect();
    let kept = if is_absolute || all.contains(&"..") { 1 } else { FOLDERS + 1 };
    let last = all.len().saturating_sub(kept);
    all[last..].iter().copied().filter(|part| *part != "..").collect()
}

/// The path of an image's file, parts separated by `/`, without invisible characters; the image's name where the file is
/// not known.
pub fn path(file: &str, image: &str) -> String {
    let known = if file.is_empty() { image } else { file };
    let parts: Vec<String> = parts(known).into_iter().map(names::base_name).filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

/// The file that stands for an image called `name`, of files below the folder of all: its own, or for several channels the
/// image that they would be merged to, in the folder of the first. Where another image is that very file, as `is_taken`
/// says, the first channel stands for the set.
pub fn file_of(name: &str, files: &[String], is_taken: impl Fn(&str) -> bool) -> String {
    let stem = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let Some((first, more)) = files.split_first() else { return format!("{name}.png") };
    let merged = match first.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{stem}.png"),
        None => format!("{stem}.png"),
    };
    if more.is_empty() || is_taken(&merged) { first.clone() } else { merged }
}

/// The [`file_of`] each image, below the innermost folder that holds the files of all of them: so one folder has plain names
/// and the same name in two folders is told apart.
pub fn files_of(images: &[ImageInfo]) -> Vec<String> {
    let split = |path: &String| -> Vec<String> {
        path.split(['/', '\\']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let paths: Vec<Vec<Vec<String>>> = images.iter().map(|image| image.files.iter().map(split).collect()).collect();
    let mut all = paths.iter().flatten();
    let first = all.next().cloned().unwrap_or_default();
    let mut shared = first.len().saturating_sub(1);
    for path in all {
        let folders = path.len().saturating_sub(1);
        shared = first[..shared.min(folders)].iter().zip(path).take_while(|(a, b)| a == b).count();
    }
    let below = |path: &Vec<String>| path[shared..].join("/");
    let files: Vec<Vec<String>> = paths.iter().map(|files| files.iter().map(below).collect()).collect();
    let alone: HashSet<&str> = files.iter().filter(|files| files.len() == 1).map(|files| files[0].as_str()).collect();
    images.iter().zip(&files).map(|(image, files)| file_of(&image.name, files, |file| alone.contains(file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_below_the_folder_of_all() {
        let named = |images: &[(&str, &[&str])]| {
            let info = |(name, files): &(&str, &[&str])| ImageInfo {
                files: files.iter().map(|file| (*file).to_owned()).collect(),
                ..ImageInfo::new(name, 0, 0)
            };
            files_of(&images.iter().map(info).collect::<Vec<_>>())
        };
        assert_eq!(named(&[("f01", &["d/f01.tif"]), ("f02", &["d/f02.png"])]), ["f01.tif", "f02.png"]);
        let plates: [(&str, &[&str]); 3] =
            [("plateA/f01", &["s/plateA/f01.png"]), ("plateB/f01", &["s\\plateB\\f01.png"]), ("g", &[])];
        assert_eq!(named(&plates), ["plateA/f01.png", "plateB/f01.png", "g.png"]);
        let set: (&str, &[&str]) = ("A", &["p/A_red.png", "p/A_green.png"]);
        assert_eq!(named(&[set]), ["A.png"]);
        assert_eq!(named(&[set, ("A.png", &["p/A.png"])]), ["A_red.png", "A.png"]);
        assert_eq!(named(&[("A", &["p/A_red.png"])]), ["A_red.png"], "it is the only file that there is");
        assert!(named(&[]).is_empty());
    }

    #[test]
    fn folders_below_the_root_stay_and_others_go() {
        for (file, expected) in [
            ("f01.png", "f01.png"),
            ("plateA/f01.png", "plateA/f01.png"),
            ("plateA\\day 2\\f01.png", "plateA/day 2/f01.png"),
            ("./plateA//f01.png", "plateA/f01.png"),
            ("/home/pi/f01.png", "f01.png"),
            ("C:\\Users\\K\\f01.png", "f01.png"),
            ("\\\\server\\share\\f01.png", "f01.png"),
            ("../plateA/f01.png", "f01.png"),
            ("a/../b", "b"),
            ("plate\u{202e}A/f\n01.png", "plate_A/f_01.png"),
            ("..", ""),
            ("", "the image"),
        ] {
            assert_eq!(path(file, "the image"), expected, "{file:?}");
        }
        assert_eq!(parts(&"a/".repeat(40)).len(), FOLDERS + 1);
    }
}
