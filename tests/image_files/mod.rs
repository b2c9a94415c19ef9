//! Image files made by hand, byte by byte, for what encoders do not write.

#![allow(dead_code)] // Each test file uses a part of it.

use std::path::PathBuf;

/// The image files of a folder, by name.
pub fn images_in(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            ["png", "jpg", "tif", "tiff"].iter().any(|e| ending == *e)
        })
        .collect();
    files.sort();
    files
}

pub struct Png<'a> {
    pub width: u32,
    pub height: u32,
    pub bits: u8,
    /// 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    pub colour: u8,
    pub interlaced: bool,
    pub palette: &'a [u8],
    pub transparent: &'a [u8],
}

impl Png<'_> {
    pub const fn new(width: u32, height: u32, bits: u8, colour: u8) -> Self {
        Self { width, height, bits, colour, interlaced: false, palette: &[], transparent: &[] }
    }

    pub fn samples(&self) -> usize {
        [1, 0, 3, 1, 2, 0, 4][usize::from(self.colour)]
    }

    /// The file, with stored (uncompressed) data.
    pub fn file(&self, samples: &[u16]) -> Vec<u8> {
        let per_pixel = self.samples();
        assert_eq!(samples.len(), self.width as usize * self.height as usize * per_pixel);
        let mut raw = Vec::new();
        let passes: &[(u32, u32, u32, u32)] = if self.interlaced {
            &[(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        } else {
            &[(0, 0, 1, 1)]
        };
        for &(x0, y0, dx, dy) in passes {
            for y in (y0..self.height).step_by(dy as usize) {
                let row: Vec<u16> = (x0..self.width)
                    .step_by(dx as usize)
                    .flat_map(|x| {
                        let at = (y * self.width + x) as usize * per_pixel;
                        samples[at..at + per_pixel].to_vec()
                    })
                    .collect();
                if !row.is_empty() {
                    raw.push(0);
                    raw.extend(pack(&row, self.bits, true));
                }
            }
        }
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut ihdr = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        ihdr.extend([self.bits, self.colour, 0, 0, self.interlaced.into()]);
        chunk(&mut out, b"IHDR", &ihdr);
        if !self.palette.is_empty() {
            chunk(&mut out, b"PLTE", self.palette);
        }
        if !self.transparent.is_empty() {
            chunk(&mut out, b"tRNS", self.transparent);
        }
        chunk(&mut out, b"IDAT", &zlib_stored(&raw));
        chunk(&mut out, b"IEND", &[]);
        out
    }
}

pub fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(kind);
    out.extend(data);
    let sum = crc(&out[start..]);
    out.extend(sum.to_be_bytes());
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Gives every whole chunk of a damaged PNG the checksum of what it holds.
pub fn mend_checksums(png: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = png.get(at..).and_then(|rest| rest.first_chunk()) {
        let start = at + 4;
        let Some(end) = start.checked_add(4 + u32::from_be_bytes(*length) as usize) else { return };
        let Some(sum) = png.get(start..end).map(crc) else { return };
        let Some(place) = png.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

pub fn zlib_stored(raw: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks: Vec<&[u8]> = raw.chunks(65_535).collect();
    for (i, block) in blocks.iter().enumerate() {
        out.push((i + 1 == blocks.len()).into());
        out.extend((block.len() as u16).to_le_bytes());
        out.extend((!(block.len() as u16)).to_le_bytes());
        out.extend(*block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in raw {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend((b << 16 | a).to_be_bytes());
    out
}

/// Samples packed from the most significant bit down, padded to a byte.
pub fn pack(samples: &[u16], bits: u8, big_endian: bool) -> Vec<u8> {
    match bits {
        16 if big_endian => samples.iter().flat_map(|s| s.to_be_bytes()).collect(),
        16 => samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
        _ => {
            let per_byte = usize::from(8 / bits);
            let byte = |group: &[u16]| {
                group.iter().enumerate().fold(0u8, |b, (i, s)| b | (*s as u8) << (8 - bits as usize * (i + 1)))
            };
            samples.chunks(per_byte).map(byte).collect()
        }
    }
}

/// A page of a TIFF: tags as numbers, and its strips or tiles. Strip and tile offsets are added.
pub struct TiffPage {
    pub tags: Vec<(u16, Vec<u32>)>,
    pub chunks: Vec<Vec<u8>>,
    pub tiled: bool,
}

impl TiffPage {
    pub fn new(width: u32, height: u32, bits: u32, samples: u32, photometric: u32) -> Self {
        let tags = vec![
            (256, vec![width]),
            (257, vec![height]),
            (258, vec![bits; samples as usize]),
            (259, vec![1]),
            (262, vec![photometric]),
            (277, vec![samples]),
        ];
        Self { tags, chunks: Vec::new(), tiled: false }
    }

    pub fn tag(mut self, tag: u16, values: &[u32]) -> Self {
        self.tags.retain(|(t, _)| *t != tag);
        if !values.is_empty() {
            self.tags.push((tag, values.to_vec()));
        }
        self
    }

    pub fn strip(mut self, bytes: Vec<u8>) -> Self {
        self.chunks.push(bytes);
        self
    }

    pub fn tiles(mut self, width: u32, height: u32, tiles: Vec<Vec<u8>>) -> Self {
        self.tiled = true;
        self.chunks = tiles;
        self.tag(322, &[width]).tag(323, &[height])
    }
}

/// A classic TIFF file.
pub fn tiff(pages: &[TiffPage], big_endian: bool) -> Vec<u8> {
    let long = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let short = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    let mut link = out.len();
    out.extend(long(0));
    for page in pages {
        let mut tags = page.tags.clone();
        let mut offsets = Vec::new();
        for chunk in &page.chunks {
            offsets.push(out.len() as u32);
            out.extend(chunk);
        }
        let counts = page.chunks.iter().map(|c| c.len() as u32).collect();
        tags.push((if page.tiled { 324 } else { 273 }, offsets));
        tags.push((if page.tiled { 325 } else { 279 }, counts));
        tags.sort();
        let mut entries = Vec::new();
        for (tag, values) in &tags {
            // Bytes for texts and ImageJ's metadata, SHORT for what is usually short, LONG else.
            let (kind, data): (u16, Vec<u8>) = match tag {
                270 => (2, values.iter().map(|v| *v as u8).collect()),
                50_839 | 51_123 => (1, values.iter().map(|v| *v as u8).collect()),
                258 | 259 | 262 | 277 | 284 | 317 | 320 | 338 | 339 => {
                    (3, values.iter().flat_map(|v| short(*v as u16)).collect())
                }
                _ => (4, values.iter().flat_map(|v| long(*v)).collect()),
            };
            entries.extend(short(*tag));
            entries.extend(short(kind));
            entries.extend(long(values.len() as u32));
            if data.len() <= 4 {
                entries.extend(&data);
                entries.resize(entries.len().next_multiple_of(4), 0);
            } else {
                entries.extend(long(out.len() as u32));
                out.extend(data);
            }
        }
        let at = long(out.len() as u32);
        out[link..link + 4].copy_from_slice(&at);
        out.extend(short(tags.len() as u16));
        out.extend(entries);
        link = out.len();
        out.extend(long(0));
    }
    out
}
