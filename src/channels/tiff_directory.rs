//! The raw directories of a TIFF file (TIFF 6.0, section 2, and BigTIFF): just enough to look at them before the `tiff`
//! crate allocates for what they claim, and to change single numbers.

use ::tiff::tags::Tag;

/// Reads numbers in the byte order of the file.
struct Numbers<'a> {
    bytes: &'a [u8],
    little: bool,
    big_tiff: bool,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where the value, or its offset, stands in the file.
    at: usize,
}

impl<'a> Numbers<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, little: bytes.starts_with(b"II"), big_tiff: bytes.get(2..4)?.contains(&43) })
    }

    fn read(&self, at: usize, length: usize) -> Option<u64> {
        let digits = self.bytes.get(at..at.checked_add(length)?)?;
        let add = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if self.little { digits.iter().rev().fold(0, add) } else { digits.iter().fold(0, add) })
    }

    fn position(&self, at: usize) -> Option<usize> {
        usize::try_from(self.read(at, if self.big_tiff { 8 } else { 4 })?).ok()
    }

    /// The entries of a directory, and where the offset of the next directory stands.
    fn directory(&self, ifd: usize) -> Option<(Vec<Entry>, usize)> {
        let (head, size, wide) = if self.big_tiff { (8, 20, 8) } else { (2, 12, 4) };
        let count = usize::try_from(self.read(ifd, head)?).ok()?;
        let end = ifd.checked_add(head)?.checked_add(count.checked_mul(size)?)?;
        if end > self.bytes.len() {
            return None;
        }
        let entry = |i| {
            let at = ifd + head + i * size;
            let count = self.read(at + 4, wide)?;
            Some(Entry { tag: self.read(at, 2)? as u16, kind: self.read(at + 2, 2)? as u16, count, at: at + 4 + wide })
        };
        Some(((0..count).map(entry).collect::<Option<_>>()?, end))
    }
}

/// Whether the first `pages` directories are inside the file, and could have their values there. Tags from 32768 up are
/// private and not looked at.
pub(super) fn fits(bytes: &[u8], pages: usize) -> bool {
    let check = || {
        let numbers = Numbers::new(bytes)?;
        let mut link = if numbers.big_tiff { 8 } else { 4 };
        // Directories that lie over one another could claim the bytes of the file any number of times.
        let mut left = bytes.len();
        for _ in 0..pages {
            let ifd = numbers.position(link)?;
            if ifd == 0 {
                break;
            }
            let (entries, next) = numbers.directory(ifd)?;
            let long = |e: &Entry| e.tag < 32_768 && e.count.saturating_mul(size_of_kind(e.kind)) > bytes.len() as u64;
            left = left.checked_sub(entries.len() * 12)?;
            if entries.iter().any(long) {
                return None;
            }
            link = next;
        }
        Some(())
    };
    check().is_some()
}

pub(super) fn size_of_kind(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

/// The values of a tag as they stand in the file.
pub(super) struct TagBytes<'a> {
    pub bytes: &'a [u8],
    /// Where they stand.
    pub at: usize,
    /// Of values, not of bytes.
    pub count: u64,
}

/// The values of a tag, in whatever encoding and of whatever kind; `None` where there are none in the file.
pub(super) fn tag_bytes(bytes: &[u8], ifd: u64, tag: u16) -> Option<TagBytes<'_>> {
    let numbers = Numbers::new(bytes)?;
    let (entries, _) = numbers.directory(usize::try_from(ifd).ok()?)?;
    let entry = entries.into_iter().find(|e| e.tag == tag)?;
    let length = usize::try_from(entry.count.checked_mul(size_of_kind(entry.kind))?).ok()?;
    let inline = if numbers.big_tiff { 8 } else { 4 };
    let at = if length <= inline { entry.at } else { numbers.position(entry.at)? };
    Some(TagBytes { bytes: bytes.get(at..at.checked_add(length)?)?, at, count: entry.count })
}

/// A number of up to eight bytes in that byte order.
pub(super) fn read_number(digits: &[u8], little: bool) -> usize {
    let numbers = Numbers { bytes: digits, little, big_tiff: false };
    numbers.read(0, digits.len()).and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}

/// Overwrites the one SHORT or LONG value of a tag; `None` where there is none.
pub(super) fn set_number(bytes: &mut [u8], ifd: u64, tag: Tag, value: u32) -> Option<()> {
    let numbers = Numbers::new(bytes)?;
    let little = numbers.little;
    let (entries, _) = numbers.directory(usize::try_from(ifd).ok()?)?;
    let entry = entries.into_iter().find(|e| e.tag == tag.to_u16())?;
    let length = match entry.kind {
        3 => 2,
        4 => 4,
        _ => return None,
    };
    let digits = value.to_le_bytes();
    let place = bytes.get_mut(entry.at..entry.at + length)?;
    place.copy_from_slice(&digits[..length]);
    if !little {
        place.reverse();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One page with one entry, ImageWidth, and no next page.
    fn file(kind: u8, count: u8) -> Vec<u8> {
        [b"MM\0*\0\0\0\x08" as &[u8], &[0, 1, 1, 0, 0, kind, 0, 0, 0, count, 0, 7, 0, 0, 0, 0, 0, 0]].concat()
    }

    #[test]
    fn values_must_fit_the_file() {
        assert!(fits(&file(3, 1), 9));
        assert!(fits(&file(3, 13), 9));
        assert!(!fits(&file(3, 14), 9));
        assert!(!fits(&file(3, 1)[..20], 9));
        assert!(!fits(b"MM\0*", 9));
    }

    #[test]
    fn values_are_found_inside_and_outside_their_entry() {
        assert_eq!(tag_bytes(&file(3, 1), 8, 256).map(|found| found.bytes.to_vec()), Some(vec![0, 7]));
        // Six bytes stand where the entry points to.
        let mut file = file(2, 6);
        file[18..22].copy_from_slice(&[0, 0, 0, 0]);
        assert_eq!(tag_bytes(&file, 8, 256).map(|found| found.bytes.to_vec()), Some(b"MM\0*\0\0".to_vec()));
        assert!(tag_bytes(&file, 8, 257).is_none() && tag_bytes(&file, u64::MAX, 256).is_none());
        assert_eq!((read_number(&[1, 2], false), read_number(&[1, 2], true)), (0x102, 0x201));
    }

    #[test]
    fn a_number_is_set_in_its_own_width_and_order() {
        let mut short = file(3, 1);
        assert_eq!(set_number(&mut short, 8, Tag::ImageWidth, 0x1234), Some(()));
        assert_eq!(short[18..22], [0x12, 0x34, 0, 0]);
        assert_eq!(set_number(&mut short, 8, Tag::ImageLength, 1), None);
        assert_eq!(set_number(&mut file(2, 1), 8, Tag::ImageWidth, 1), None);
        assert_eq!(set_number(&mut short, u64::MAX, Tag::ImageWidth, 1), None);
    }
}
