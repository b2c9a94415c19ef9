//! The markers of a JPEG file, read before anything is decoded.
//!
//! A JPEG decoder fills what a truncated file lacks with grey and says nothing; the end marker tells. Where only that
//! marker is missing, [`Frame::end`] says where it belongs, and [`whole`] and [`other_end`] let the caller find out
//! whether the image is all there. Markers as in ITU-T T.81, annex B.

use std::collections::BTreeMap;

/// What the frame header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u8,
    /// Bits of one sample.
    pub precision: u8,
    /// Where the coded data end, in a file that lacks the end marker and may hold the whole image all the same.
    pub end: Option<usize>,
}

pub const CUT: &str = "the file is truncated; copy or download it again";
const END: [u8; 2] = [0xff, 0xd9];

/// The frame header of a file, or why there is none.
pub fn frame(bytes: &[u8]) -> Result<Frame, &'static str> {
    let mut frame = None;
    let mut scans = Scans::default();
    let mut at = 2;
    loop {
        while bytes.get(at).is_some_and(|byte| *byte != 0xff) {
            at += 1;
        }
        // Fill bytes may stand before a marker.
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        if at >= bytes.len() {
            let frame: Frame = frame.ok_or(CUT)?;
            return if scans.tell_all(frame.components) {
                Ok(Frame { end: Some(end_of_data(bytes)), ..frame })
            } else {
                Err(CUT)
            };
        }
        let marker = bytes[at];
        at += 1;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return frame.ok_or("the file holds no image"),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(at).ok_or(CUT)?, *bytes.get(at + 1).ok_or(CUT)?]));
        let segment = bytes.get(at..at + length).ok_or(CUT)?;
        if length < 2 {
            return Err("the file is damaged: a part of it has no length");
        }
        // Start of frame; 0xc4, 0xc8 and 0xcc are other markers.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [_, _, precision, h1, h0, w1, w0, components, ..] = *segment else {
                return Err("the file is damaged: its frame header is too short");
            };
            if frame.is_some() {
                return Err("the file is damaged: it has two frame headers");
            }
            frame = Some(Frame {
                width: u16::from_be_bytes([w1, w0]).into(),
                height: u16::from_be_bytes([h1, h0]).into(),
                components,
                precision,
                end: None,
            });
        }
        if marker == START_OF_SCAN {
            scans.add(segment);
        }
        // Behind the header of a scan, the coded data run until a marker that is not a restart; the loop above skips them.
        at += length;
    }
}

const START_OF_SCAN: u8 = 0xda;

/// Which coefficients of which component the scans have told to the last bit: one bit a coefficient. The scans of a
/// progressive file each tell a part, and a file that ends between two of them decodes into a coarse image.
#[derive(Default)]
struct Scans(BTreeMap<u8, u64>);

impl Scans {
    fn add(&mut self, segment: &[u8]) {
        let Some(count) = segment.get(2).map(|n| usize::from(*n)) else { return };
        let Some([first, last, precision, ..]) = segment.get(3 + 2 * count..) else { return };
        // The lower half says how many bits are still to come.
        if precision & 0x0f != 0 || *last > 63 || first > last {
            return;
        }
        let told = (u64::MAX >> (63 - last)) & (u64::MAX << first);
        for component in segment[3..3 + 2 * count].chunks_exact(2) {
            *self.0.entry(component[0]).or_default() |= told;
        }
    }

    fn tell_all(&self, components: u8) -> bool {
        self.0.len() == usize::from(components) && self.0.values().all(|told| *told == u64::MAX)
    }
}

/// The length without half a marker, and without the zeros that a file system leaves where a copy was broken off.
fn end_of_data(bytes: &[u8]) -> usize {
    let data = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let mut end = data - bytes[..data].iter().rev().take_while(|byte| **byte == 0xff).count();
    // 0xff in the coded data is followed by one zero.
    if end < data && data < bytes.len() {
        end = data + 1;
    }
    end
}

/// The file with its end marker.
pub fn whole(bytes: &[u8], end: usize) -> Vec<u8> {
    [&bytes[..end], &END].concat()
}

/// The file with other coded data behind its own, then the end marker. A decoder that had all that it needs does not look at
/// them; where something is missing, the image becomes another one.
pub fn other_end(bytes: &[u8], end: usize, data: u8) -> Vec<u8> {
    [&bytes[..end], &[data; 4096], &END].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, 48, 0, 64, 1, 1, 0x11, 0, // frame
        0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xff, 0xd9, 9, 9,
    ];
    /// Where the coded data begin.
    const DATA: usize = 31;

    #[test]
    fn a_whole_file_has_a_frame() {
        assert_eq!(frame(WHOLE), Ok(Frame { width: 64, height: 48, components: 1, precision: 8, end: None }));
    }

    #[test]
    fn every_truncation_is_seen() {
        let end = WHOLE.len() - 2;
        assert!(frame(&WHOLE[..end]).is_ok());
        for cut in 2..DATA {
            assert!(frame(&WHOLE[..cut]).is_err(), "cut at {cut}");
        }
        for cut in DATA..end {
            assert!(frame(&WHOLE[..cut]).unwrap().end.is_some_and(|end| end <= cut), "cut at {cut}");
        }
    }

    #[test]
    fn the_end_of_the_data_is_before_what_a_broken_copy_leaves() {
        for (bytes, end) in
            [(&[7, 8][..], 2), (&[7, 8, 0xff], 2), (&[7, 0, 0, 0], 1), (&[7, 0xff, 0], 3), (&[7, 0xff, 0, 0, 0], 3)]
        {
            assert_eq!(end_of_data(bytes), end, "{bytes:?}");
        }
    }

    #[test]
    fn scans_of_a_progressive_file_must_tell_every_coefficient() {
        let mut scans = Scans::default();
        scans.add(&[0, 8, 1, 1, 0, 0, 0, 0x01]);
        scans.add(&[0, 8, 1, 1, 0, 1, 63, 0x00]);
        assert!(!scans.tell_all(1), "the first coefficient lacks a bit");
        scans.add(&[0, 8, 1, 1, 0, 0, 0, 0x10]);
        assert!(scans.tell_all(1) && !scans.tell_all(3));
    }

    #[test]
    fn damage_is_named() {
        assert!(frame(&[0xff, 0xd8, 0xff, 0xd9]).unwrap_err().contains("no image"));
        assert!(frame(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xd9]).unwrap_err().contains("no length"));
        assert!(frame(&[0xff, 0xd8, 0xff, 0xc0, 0, 4, 8, 0, 0xff, 0xd9]).unwrap_err().contains("too short"));
    }
}
