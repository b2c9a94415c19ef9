//! Names of files: other people's are only compared and shown, never opened; ours are safe on every system.

use super::label::is_forbidden;
use crate::channels::composed;

/// Extensions that are not part of an image's name. Anything else after a dot is, such as in `plate.A1`.
const EXTENSIONS: [&str; 13] =
    ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "xml", "txt", "json", "csv", "tsv"];

/// Names that Windows keeps for devices, whatever the extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Bytes of an exported name without its extension; file systems end at 255.
const NAME_BYTES: usize = 200;

/// What stands behind the last `/` or `\`, in Unicode's composed form and with invisible characters replaced.
pub fn base_name(path: &str) -> String {
    visible(path.trim().rsplit(['/', '\\']).next().unwrap_or_default())
}

fn visible(part: &str) -> String {
    composed(part).chars().take(255).map(|c| if is_forbidden(c) { '_' } else { c }).collect()
}

/// The folders of a path from the outermost in, without drives and steps upwards.
pub fn folders(path: &str) -> Vec<String> {
    let mut parts: Vec<&str> = path.trim().split(['/', '\\']).collect();
    parts.pop();
    let is_name = |part: &&str| !part.is_empty() && !part.ends_with(':') && part.chars().any(|c| c != '.');
    parts.into_iter().map(str::trim).filter(is_name).map(visible).collect()
}

/// The path below some folder: folders and base name, with `/` between.
pub fn relative(path: &str) -> String {
    // No real path is deeper than this, and only the innermost folders tell images apart.
    innermost(path, 16)
}

/// The base name and at most so many folders before it.
pub fn innermost(path: &str, depth: usize) -> String {
    let mut parts = folders(path);
    parts.drain(..parts.len().saturating_sub(depth));
    parts.push(base_name(path));
    parts.join("/")
}

/// The base name without the extension of an image or annotation file; the `.ome` of `.ome.tif` and `.ome.xml` goes with it.
pub fn stem(path: &str) -> String {
    let base = base_name(path);
    match base.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) => {
            let end = stem.len().saturating_sub(4);
            let is_ome = end > 0 && stem.get(end..).is_some_and(|ome| ome.eq_ignore_ascii_case(".ome"));
            if is_ome { stem[..end].to_owned() } else { stem.to_owned() }
        }
        _ => base,
    }
}

/// Whether a path names an image: a folder, an extension alone, or only dots and spaces do not.
pub fn is_image_name(path: &str) -> bool {
    stem(path).chars().any(|c| c != '.' && !c.is_whitespace())
}

/// A name for a file that is written: one part of a path, without what some system forbids, never empty.
pub fn safe_name(name: &str) -> String {
    let mut safe = String::new();
    for c in base_name(name).chars().map(|c| if "<>:\"|?*".contains(c) { '_' } else { c }) {
        if safe.len() + c.len_utf8() > NAME_BYTES {
            break;
        }
        safe.push(c);
    }
    let safe = safe.trim_matches([' ', '.']);
    let device = safe.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_port = device.len() == 4
        && (device.starts_with("com") || device.starts_with("lpt"))
        && device.ends_with(|c: char| c.is_ascii_digit());
    match safe {
        "" => "image".to_owned(),
        _ if is_port || DEVICES.contains(&device.as_str()) => format!("_{safe}"),
        _ => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_of_real_names() {
        for (path, expected) in [
            ("C:\\Users\\K O\\Label\\c (635).png", "c (635)"),
            ("/home/pi/BloodImage_00017.JPG", "BloodImage_00017"),
            ("BloodImage_00026", "BloodImage_00026"),
            ("plate.A1", "plate.A1"),
            ("plate.A1.tif", "plate.A1"),
            ("../../etc/passwd", "passwd"),
            ("scan.tif.xml", "scan.tif"),
            ("sample.ome.xml", "sample"),
            ("u\u{308}.png", "ü"),
            ("", ""),
        ] {
            assert_eq!(stem(path), expected);
        }
    }

    #[test]
    fn paths_stay_below_the_root() {
        for (path, expected) in [
            ("C:\\Users\\K O\\plate\\c (635).png", "Users/K O/plate/c (635).png"),
            ("/abs//a/./b.png", "abs/a/b.png"),
            ("../../etc/passwd", "etc/passwd"),
            ("b.png", "b.png"),
            ("a\u{202e}/b.png", "a_/b.png"),
            ("", ""),
        ] {
            assert_eq!(relative(path), expected);
        }
    }

    #[test]
    fn safe_names_stay_in_their_folder() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\x", "x"),
            ("..", "image"),
            ("", "image"),
            ("a/", "image"),
            ("CON", "_CON"),
            ("com1.x", "_com1.x"),
            ("a:b?c", "a_b_c"),
            ("a\0\nb", "a__b"),
            (".hidden", "hidden"),
            ("cell (301)", "cell (301)"),
        ] {
            assert_eq!(safe_name(name), expected, "{name:?}");
        }
        assert!(safe_name(&"ü".repeat(400)).len() <= NAME_BYTES);
    }
}
