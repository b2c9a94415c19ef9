//! Names of files: other people's are only compared and shown, never opened; ours are safe on every system.

use super::label::is_forbidden;

/// Extensions that are no part of an image's name. Anything else after a dot is, such as in `plate.A1`.
const EXTENSIONS: [&str; 12] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "xml", "txt", "json", "csv"];

/// Names that Windows keeps for devices, whatever the extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Bytes of an exported name without its extension; file systems end at 255.
const NAME_BYTES: usize = 200;

/// What stands behind the last `/` or `\`, with invisible characters replaced.
pub fn base_name(path: &str) -> String {
    let base = path.trim().rsplit(['/', '\\']).next().unwrap_or_default();
    base.chars().take(255).map(|c| if is_forbidden(c) { '_' } else { c }).collect()
}

/// The base name without the extension of an image or annotation file.
pub fn stem(path: &str) -> String {
    let base = base_name(path);
    match base.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) => stem.to_owned(),
        _ => base,
    }
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
            ("", ""),
        ] {
            assert_eq!(stem(path), expected);
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
