//! What the first bytes of an image file say of it, so that thousands need not be decoded to learn their size.

use serde::{Deserialize, Serialize};

use super::decode::{Ihdr, check_size};
use super::sniff::{FileKind, sniff};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Glance {
    /// Width and height, where they stand there and are within the caps.
    pub size: Option<(u32, u32)>,
    /// Whether its samples may have 16 bits.
    pub may_be_deep: bool,
}

/// Looks at the first [`super::HEAD_BYTES`] of a file. A PNG begins with its size and depth, a JPEG has 8 bits, and in a TIFF the
/// facts may lie anywhere.
pub fn glance(head: &[u8]) -> Glance {
    match sniff(head) {
        FileKind::Png => {
            let Ok(ihdr) = Ihdr::parse("", head) else { return Glance::default() };
            let is_within = check_size("", ihdr.width, ihdr.height).is_ok();
            Glance { size: is_within.then_some((ihdr.width, ihdr.height)), may_be_deep: ihdr.bits == 16 }
        }
        kind => Glance { size: None, may_be_deep: kind == FileKind::Tiff },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat};

    use super::super::HEAD_BYTES;
    use super::*;

    fn head(merged_image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        merged_image.write_to(&mut bytes, format).unwrap();
        let mut bytes = bytes.into_inner();
        bytes.truncate(HEAD_BYTES);
        bytes
    }

    #[test]
    fn a_head_tells_the_size_and_the_depth_of_a_png_alone() {
        let (narrow, deep) = (DynamicImage::new_luma8(70, 30), DynamicImage::new_luma16(70, 30));
        let told = |size, may_be_deep| Glance { size, may_be_deep };
        assert_eq!(glance(&head(&narrow, ImageFormat::Png)), told(Some((70, 30)), false));
        assert_eq!(glance(&head(&deep, ImageFormat::Png)), told(Some((70, 30)), true));
        assert_eq!(glance(&head(&narrow, ImageFormat::Jpeg)), told(None, false));
        assert_eq!(glance(&head(&deep, ImageFormat::Tiff)), told(None, true));
        let mut huge = head(&narrow, ImageFormat::Png);
        huge[16] = 0x7f;
        assert_eq!(glance(&huge), told(None, false), "the cap is for opening it to say");
        assert_eq!(glance(&huge[..20]), Glance::default());
        assert_eq!(glance(b""), Glance::default());
    }
}
