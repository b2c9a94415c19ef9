//! The markers of a JPEG file, read before anything is decoded.
//!
//! A JPEG decoder fills what a truncated file lacks with grey and says nothing; the end marker tells. Markers as in
//! ITU-T T.81, annex B.

/// What the frame header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub width: u32,
    pub height: u32,
    pub components: u8,
    /// Bits of one sample.
    pub precision: u8,
}

/// The frame header of a whole file, or why there is none.
pub fn frame(bytes: &[u8]) -> Result<Frame, &'static str> {
    const CUT: &str = "the file is truncated; copy or download it again";
    let mut frame = None;
    let mut at = 2;
    loop {
        // Fill bytes may stand before a marker.
        while *bytes.get(at).ok_or(CUT)? != 0xff {
            at += 1;
        }
        while *bytes.get(at).ok_or(CUT)? == 0xff {
            at += 1;
        }
        let marker = bytes[at];
        at += 1;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return frame.ok_or("the file holds no picture"),
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
            });
        }
        // Behind the header of a scan, the coded data run until a marker that is no restart; the loop above skips them.
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, 48, 0, 64, 1, 1, 0x11, 0, // frame
        0xff, 0xda, 0, 2, 1, 2, 0xff, 0, 3, 0xff, 0xd0, 4, 0xff, 0xff, 0xd9, 9, 9,
    ];

    #[test]
    fn a_whole_file_has_a_frame() {
        assert_eq!(frame(WHOLE), Ok(Frame { width: 64, height: 48, components: 1, precision: 8 }));
    }

    #[test]
    fn every_truncation_is_seen() {
        let end = WHOLE.len() - 2;
        assert!(frame(&WHOLE[..end]).is_ok());
        for cut in 2..end {
            assert!(frame(&WHOLE[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn damage_is_named() {
        assert!(frame(&[0xff, 0xd8, 0xff, 0xd9]).unwrap_err().contains("no picture"));
        assert!(frame(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0xff, 0xd9]).unwrap_err().contains("no length"));
        assert!(frame(&[0xff, 0xd8, 0xff, 0xc0, 0, 4, 8, 0, 0xff, 0xd9]).unwrap_err().contains("too short"));
    }
}
