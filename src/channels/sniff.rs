//! What a file is, told by its first bytes.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The kinds of file that cytobox takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    Png,
    Jpeg,
    Tiff,
    Safetensors,
    Xml,
    Json,
    /// Rows of text: a table or a list of boxes. Text has no magic bytes, so the name decides.
    Csv,
    Zip,
    Hdf5,
    /// PyTorch's file, the zip of today or the pickle of before version 1.6.
    Torch,
    Unknown,
}

impl FileKind {
    pub fn is_image(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Tiff)
    }

    /// For sentences.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
            Self::Safetensors => "safetensors",
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::Csv => "text",
            Self::Zip => "zip",
            Self::Hdf5 => "HDF5",
            Self::Torch => "PyTorch",
            Self::Unknown => "unknown",
        }
    }
}

/// Bytes of a file that tell its kind; fewer will do when the file is shorter.
pub const HEAD_BYTES: usize = 64;
/// Endings of tables and of lists of classes.
const TEXTS: [&str; 6] = [".csv", ".tsv", ".txt", ".yaml", ".yml", ".names"];
/// Magic number of `torch.save` before version 1.6, as pickle protocol 2 writes it.
const TORCH_LEGACY: &[u8] = &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The kind by content alone, from the first 64 bytes or fewer. Plain rows of text are [`FileKind::Unknown`] here.
pub fn sniff(bytes: &[u8]) -> FileKind {
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(b"\x89PNG\r\n\x1a\n") {
        FileKind::Png
    } else if starts(b"\xff\xd8\xff") {
        FileKind::Jpeg
    } else if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| starts(*magic)) {
        FileKind::Tiff
    } else if starts(b"\x89HDF\r\n\x1a\n") {
        FileKind::Hdf5
    } else if starts(TORCH_LEGACY) {
        FileKind::Torch
    } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        if first_zip_entry(head).is_some_and(|name| name.ends_with(b"/data.pkl")) {
            FileKind::Torch
        } else {
            FileKind::Zip
        }
    } else if is_safetensors(head) {
        FileKind::Safetensors
    } else {
        match first_letters(head) {
            [b'<', b'?' | b'!' | b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => FileKind::Xml,
            [b'{' | b'[', ..] if is_text(head) => FileKind::Json,
            _ => FileKind::Unknown,
        }
    }
}

/// As [`sniff`]; only a file that is text and has no magic bytes is told by the ending of its name.
pub fn sniff_named(name: &str, bytes: &[u8]) -> FileKind {
    let kind = sniff(bytes);
    if kind != FileKind::Unknown || bytes.is_empty() || !is_text(&bytes[..bytes.len().min(HEAD_BYTES)]) {
        return kind;
    }
    let lower = name.to_ascii_lowercase();
    if TEXTS.iter().any(|ending| lower.ends_with(ending)) { FileKind::Csv } else { kind }
}

/// A length of the JSON header that is possible, then the header's brace.
fn is_safetensors(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return false };
    (2..=limits::SAFETENSORS_HEADER_BYTES).contains(&u64::from_le_bytes(*length)) && rest.first() == Some(&b'{')
}

/// The name in the first local file header, as far as the head reaches.
fn first_zip_entry(head: &[u8]) -> Option<&[u8]> {
    let length = u16::from_le_bytes([*head.get(26)?, *head.get(27)?]);
    head.get(30..30 + usize::from(length))
}

/// The head behind a byte order mark and white space; of UTF-16 only the mark is seen, and `<` behind it.
fn first_letters(head: &[u8]) -> &[u8] {
    match head {
        [0xff, 0xfe, b'<', 0, ..] | [0xfe, 0xff, 0, b'<', ..] => b"<?",
        [0xef, 0xbb, 0xbf, text @ ..] => text.trim_ascii_start(),
        text => text.trim_ascii_start(),
    }
}

/// No control characters but tab and line ends. Bytes above 127 may belong to any encoding.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|b| *b >= 0x20 && *b != 0x7f || matches!(b, b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torch_zip(entry: &str) -> Vec<u8> {
        let mut head = b"PK\x03\x04".to_vec();
        head.resize(30, 0);
        head[26] = entry.len() as u8;
        head.extend(entry.as_bytes());
        head
    }

    #[test]
    fn content_tells_the_kind() {
        let cases: [(&[u8], FileKind); 16] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", FileKind::Png),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", FileKind::Jpeg),
            (b"II*\0\x08\0\0\0", FileKind::Tiff),
            (b"MM\0*\0\0\0\x08", FileKind::Tiff),
            (b"II+\0\x08\0\0\0", FileKind::Tiff),
            (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{", FileKind::Safetensors),
            (b"<?xml version=\"1.0\"?>", FileKind::Xml),
            (b"\xef\xbb\xbf\r\n <annotation>", FileKind::Xml),
            (b"\xff\xfe<\0?\0x\0", FileKind::Xml),
            (b" \n{\"images\":[]}", FileKind::Json),
            (b"[1,2]", FileKind::Json),
            (b"a,b\n1,2\n", FileKind::Unknown),
            (b"", FileKind::Unknown),
            (b"\x89PN", FileKind::Unknown),
            (b"< 3", FileKind::Unknown),
        ];
        for (head, kind) in cases {
            assert_eq!(sniff(head), kind, "{}", head.escape_ascii());
        }
        assert_eq!(sniff(TORCH_LEGACY), FileKind::Torch);
        assert_eq!(sniff(&torch_zip("archive/data.pkl")), FileKind::Torch);
        assert_eq!(sniff(&torch_zip("project.json")), FileKind::Zip);
    }

    #[test]
    fn a_name_decides_for_text_only() {
        assert_eq!(sniff_named("boxes.CSV", b"file,x1\na.png,3"), FileKind::Csv);
        assert_eq!(sniff_named("annot.txt", b"a.png,1,2,3,4,cell"), FileKind::Csv);
        assert_eq!(sniff_named("data.yaml", b"names: [a, b]"), FileKind::Csv);
        assert_eq!(sniff_named("obj.names", b"cell"), FileKind::Csv);
        assert_eq!(sniff_named("README.md", b"# Data"), FileKind::Unknown);
        assert_eq!(sniff_named("boxes.csv", b"\0\x01\x02"), FileKind::Unknown);
        assert_eq!(sniff_named("boxes.csv", b""), FileKind::Unknown);
        assert_eq!(sniff_named("a.csv", b"\xff\xd8\xff\xe0"), FileKind::Jpeg);
        assert_eq!(sniff_named("a.png", b"file,x1"), FileKind::Unknown);
    }
}
