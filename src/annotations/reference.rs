//! How a written file names the image that it is about: by its path below the folder of all images.

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

#[cfg(test)]
mod tests {
    use super::*;

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
