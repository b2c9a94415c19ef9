//! The first directory of a TIFF file that is too large to read, as a small file of its own: what its tags say of the image.

use std::io::{Read, Seek, SeekFrom};

use super::tiff_directory::{read_number, size_of_kind};

/// Tags with descriptions, and with the size of a pixel.
const COPIED: [u16; 9] = [270, 282, 283, 296, 33_629, 34_412, 50_838, 50_839, 51_123];
/// The longest value that is copied: OME-XML of some thousands of planes.
const LONGEST: u64 = 16 << 20;
/// Entries of a directory; the specification has some eighty tags.
const ENTRIES: usize = 4096;

/// A TIFF file in memory with one directory, and where that stands. Values that are not in the file are left out.
///
/// # Errors
/// A file that cannot be read, or whose first directory is not in it.
pub(super) fn head<R: Read + Seek>(file: &mut R) -> std::io::Result<(Vec<u8>, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = read(file, 0, 16.min(length))?;
    let (little, big) = (start.starts_with(b"II"), start.get(2..4).is_some_and(|version| version.contains(&43)));
    let number = |bytes: &[u8]| read_number(bytes, little) as u64;
    let damaged = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let slice = |bytes: &[u8], at: usize, n: usize| bytes.get(at..at + n).map(number).ok_or_else(damaged);
    let (word, entry_size, count_size) = if big { (8, 20, 8) } else { (4, 12, 2) };
    let at = slice(&start, if big { 8 } else { 4 }, word)?;
    let count = number(&read(file, at, count_size as u64)?) as usize;
    if count > ENTRIES {
        return Err(damaged());
    }
    let entries = read(file, at + count_size as u64, (count * entry_size) as u64)?;

    let digits = |n: u64, size: usize| {
        let bytes = if little { n.to_le_bytes().to_vec() } else { n.to_be_bytes().to_vec() };
        if little { bytes[..size].to_vec() } else { bytes[8 - size..].to_vec() }
    };
    let mut kept = Vec::new();
    for entry in entries.chunks_exact(entry_size) {
        let (tag, kind) = (number(&entry[..2]) as u16, number(&entry[2..4]) as u16);
        let values = slice(entry, 4, word)?;
        let bytes = values.saturating_mul(size_of_kind(kind));
        let place = &entry[4 + word..];
        if !COPIED.contains(&tag) || bytes > LONGEST.min(length) {
            continue;
        }
        let value = if bytes <= word as u64 { place.to_vec() } else { read(file, number(place), bytes)? };
        kept.push((entry[..4 + word].to_vec(), value));
    }
    let ifd = if big { 16 } else { 8 };
    let mut behind = ifd + count_size + kept.len() * entry_size + word;
    let mut out = start[..ifd - word].to_vec();
    out.extend(digits(ifd as u64, word));
    out.extend(digits(kept.len() as u64, count_size));
    let mut values = Vec::new();
    for (head, value) in kept {
        out.extend(head);
        if value.len() <= word {
            out.extend(value);
        } else {
            out.extend(digits(behind as u64, word));
            behind += value.len();
            values.extend(value);
        }
    }
    out.extend(digits(0, word));
    out.extend(values);
    Ok((out, ifd as u64))
}

fn read<R: Read + Seek>(file: &mut R, at: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut out = Vec::new();
    file.take(bytes).read_to_end(&mut out)?;
    if out.len() as u64 != bytes {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tiff::encoder::{TiffEncoder, colortype::Gray8};
    use tiff::tags::Tag;

    use super::*;
    use crate::channels::tiff_directory::tag_bytes;

    fn file(text: &str) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<Gray8>(70, 90).unwrap();
        image.encoder().write_tag(Tag::ImageDescription, text).unwrap();
        image.encoder().write_tag(Tag::ResolutionUnit, 3u16).unwrap();
        image.write_data(&[7; 70 * 90]).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_description_is_found_without_the_rest() {
        for text in ["ab", "a description of more than eight bytes"] {
            let bytes = file(text);
            let (head, ifd) = head(&mut Cursor::new(&bytes)).unwrap();
            assert!(head.len() < 200, "{}", head.len());
            let found = tag_bytes(&head, ifd, 270).unwrap();
            assert_eq!(found.bytes, [text.as_bytes(), b"\0"].concat());
            assert_eq!(tag_bytes(&head, ifd, 296).unwrap().bytes[0], 3);
            assert!(tag_bytes(&head, ifd, 256).is_none());
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error() {
        let bytes = file("a description of more than eight bytes");
        for end in 0..bytes.len() {
            // Whether its end is missing shows when samples are read.
            let _ = head(&mut Cursor::new(&bytes[..end]));
        }
        assert!(head(&mut Cursor::new(&bytes[..20])).is_err());
        assert!(head(&mut Cursor::new(b"II*\0\xff\xff\xff\xff")).is_err());
    }
}
