//! The parts of a file's name that have a meaning.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::set::Channel;

/// `folder/stem_role.ending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    /// Without the last separator; empty where there is none.
    pub folder: &'a str,
    /// Without the role.
    pub stem: &'a str,
    /// With the role.
    pub whole_stem: &'a str,
    /// Without its dot; may be empty.
    pub ending: &'a str,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Channel(Channel),
    /// Object labels: ours, StarDist's and Cellpose's names for them.
    Mask,
    /// A figure that Cellpose draws for people to look at.
    Figure,
    Plain,
}

/// The longer of two that end alike comes first.
const ROLES: [(&str, Role); 12] = [
    ("_red", Role::Channel(Channel::Red)),
    ("_green", Role::Channel(Channel::Green)),
    ("_blue", Role::Channel(Channel::Blue)),
    ("_yellow", Role::Channel(Channel::Yellow)),
    ("_cp_masks", Role::Mask),
    ("_masks", Role::Mask),
    ("_mask", Role::Mask),
    ("_labels", Role::Mask),
    ("_label", Role::Mask),
    ("_seg", Role::Mask),
    ("_cp_output", Role::Figure),
    ("_cp_outlines", Role::Figure),
];

/// The name in Unicode's composed form: macOS writes `ü` as two characters, others as one.
pub(crate) fn composed(name: &str) -> Cow<'_, str> {
    if is_nfc(name) { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

impl<'a> FileName<'a> {
    /// Folders end at `/` or `\`; the `.ome` of `.ome.tif` belongs to the ending.
    pub fn parse(path: &'a str) -> Self {
        let (folder, file) = path.rsplit_once(['/', '\\']).unwrap_or(("", path));
        let dot = file.rfind('.').filter(|at| *at > 0).unwrap_or(file.len());
        let dot = match strip_ending(&file[..dot], ".ome") {
            Some(stem) if dot < file.len() => stem.len(),
            _ => dot,
        };
        let whole_stem = &file[..dot];
        let ending = file.get(dot + 1..).unwrap_or("");
        for (suffix, role) in ROLES {
            if let Some(stem) = strip_ending(whole_stem, suffix) {
                return Self { folder, stem, whole_stem, ending, role };
            }
        }
        Self { folder, stem: whole_stem, whole_stem, ending, role: Role::Plain }
    }
}

/// Without `suffix`, in any case; `None` where nothing would be left.
fn strip_ending<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len()).filter(|at| *at > 0)?;
    let found = text.get(at..)?;
    found.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

pub(super) fn looks_like_image(path: &str) -> bool {
    let ending = FileName::parse(path).ending.to_ascii_lowercase();
    matches!(ending.as_str(), "png" | "jpg" | "jpeg" | "tif" | "tiff" | "ome.tif" | "ome.tiff")
}

/// Files that file managers leave in folders.
pub(super) fn is_of_system(path: &str) -> bool {
    let mut parts = path.split(['/', '\\']);
    let file = parts.next_back().unwrap_or(path);
    file.starts_with('.')
        || matches!(file.to_ascii_lowercase().as_str(), "thumbs.db" | "desktop.ini" | "icon\r")
        || parts.any(|folder| folder == "__MACOSX")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_parts() {
        let part = |path| {
            let name = FileName::parse(path);
            (name.folder, name.stem, name.ending, name.role)
        };
        assert_eq!(part("a/b/X_1_RED.tif"), ("a/b", "X_1", "tif", Role::Channel(Channel::Red)));
        assert_eq!(part("c\\x_mask.png"), ("c", "x", "png", Role::Mask));
        assert_eq!(part("x_cp_masks.TIF"), ("", "x", "TIF", Role::Mask));
        assert_eq!(part("x_Labels.tif"), ("", "x", "tif", Role::Mask));
        assert_eq!(part("x_seg.png"), ("", "x", "png", Role::Mask));
        assert_eq!(part("x_cp_output.png"), ("", "x", "png", Role::Figure));
        assert_eq!(part("x.y_blue.ome.TIFF"), ("", "x.y", "ome.TIFF", Role::Channel(Channel::Blue)));
        assert_eq!(part("reddish.png"), ("", "reddish", "png", Role::Plain));
        assert_eq!(part("_red.png"), ("", "_red", "png", Role::Plain));
        assert_eq!(part("noending"), ("", "noending", "", Role::Plain));
        assert_eq!(part("ø_grün.png"), ("", "ø_grün", "png", Role::Plain));
        assert_eq!(part("細胞_green.png"), ("", "細胞", "png", Role::Channel(Channel::Green)));
        assert_eq!(part(""), ("", "", "", Role::Plain));
    }

    #[test]
    fn one_name_in_two_unicode_forms() {
        assert_eq!(composed("u\u{308}_red.png"), "ü_red.png");
        assert!(matches!(composed("ü_red.png"), Cow::Borrowed(_)));
    }

    #[test]
    fn system_files() {
        for path in [".DS_Store", "a/Thumbs.db", "__MACOSX/a.png", "x/._a_red.png"] {
            assert!(is_of_system(path), "{path}");
        }
        assert!(!is_of_system("a/b.png"));
    }
}
