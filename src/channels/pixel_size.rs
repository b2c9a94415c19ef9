//! How large a pixel is in the specimen, where a file says so.
//!
//! OME-XML, ImageJ and LSM state a length with a unit. The resolution of a plain TIFF may be that of a printer, so it only
//! counts where no printer or screen has it.

use super::tiff_directory::{read_number, tag_bytes};

const X_RESOLUTION: u16 = 282;
const Y_RESOLUTION: u16 = 283;
const RESOLUTION_UNIT: u16 = 296;

/// The largest pixel in µm that a resolution per inch or centimetre is believed for: 1270 dots per inch. Programs that know
/// nothing write 72 to 600.
const LARGEST: f64 = 20.0;

/// Width and height over one another that still count as a square.
const SQUARE: f64 = 1.01;

/// Width and height of a pixel in µm.
pub(super) type Sides = [f64; 2];

/// The side of a pixel in µm; `None` where it is not a square or not a length.
pub(super) fn square([width, height]: Sides) -> Option<f64> {
    let is_length = |side: f64| side.is_finite() && side > 0.0;
    let is_square = is_length(width) && is_length(height) && width.max(height) <= SQUARE * width.min(height);
    is_square.then_some(width)
}

/// µm in one unit of that name, as OME, ImageJ and people spell them.
pub(super) fn micrometres(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        // ImageJ escapes what is not ASCII; there are two letters that look like a µ.
        "µm" | "μm" | "\\u00B5m" | "um" | "micron" | "microns" | "micrometer" | "micrometre" => 1.0,
        "pm" => 1e-6,
        "nm" => 1e-3,
        "mm" => 1e3,
        "cm" => 1e4,
        "m" => 1e6,
        "inch" => 25_400.0,
        _ => return None,
    })
}

/// From the resolution tags: pixels in each unit of `unit` µm.
pub(super) fn of_resolution(bytes: &[u8], ifd: u64, unit: f64) -> Option<Sides> {
    let side = |tag| Some(unit / rational(bytes, ifd, tag)?);
    Some([side(X_RESOLUTION)?, side(Y_RESOLUTION)?])
}

/// From the resolution tags and their own unit (TIFF 6.0, section 8), where no printer or screen is so fine.
pub(super) fn of_tags(bytes: &[u8], ifd: u64) -> Option<Sides> {
    let unit = tag_bytes(bytes, ifd, RESOLUTION_UNIT)?.bytes;
    let unit = match read_number(unit, is_little(bytes)) {
        2 => "inch",
        3 => "cm",
        _ => return None,
    };
    of_resolution(bytes, ifd, micrometres(unit)?).filter(|sides| sides.iter().all(|side| *side <= LARGEST))
}

fn rational(bytes: &[u8], ifd: u64, tag: u16) -> Option<f64> {
    let (numerator, denominator) = tag_bytes(bytes, ifd, tag)?.bytes.get(..8)?.split_at(4);
    let number = |digits| read_number(digits, is_little(bytes)) as f64;
    Some(number(numerator) / number(denominator))
}

fn is_little(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_squares_with_a_length_count() {
        assert_eq!(square([0.25, 0.2501]), Some(0.25));
        for sides in [[0.25, 0.5], [0.0, 0.0], [-1.0, -1.0], [f64::NAN, 1.0], [f64::INFINITY; 2]] {
            assert_eq!(square(sides), None, "{sides:?}");
        }
    }

    /// A page with the three tags, whose rationals stand behind it.
    fn page(unit: u8, [numerator, denominator]: [u32; 2]) -> Vec<u8> {
        let entry = |tag: u16, kind: u16, value: u32| {
            let tag_and_kind = [tag.to_be_bytes(), kind.to_be_bytes()].concat();
            [tag_and_kind, 1u32.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat()
        };
        let entries = [entry(282, 5, 50), entry(283, 5, 50), entry(296, 3, u32::from(unit) << 16)].concat();
        let head = b"MM\0*\0\0\0\x08\0\x03";
        let rational = [numerator.to_be_bytes(), denominator.to_be_bytes()].concat();
        [head, entries.as_slice(), &[0; 4], &rational].concat()
    }

    #[test]
    fn resolutions_of_printers_are_not_believed() {
        let size = |unit, resolution| of_tags(&page(unit, resolution), 8).and_then(square);
        assert_eq!(size(3, [40_000, 1]), Some(0.25));
        assert_eq!(size(2, [254_000, 10]), Some(1.0));
        for (unit, resolution) in [(2, [600, 1]), (3, [28, 1]), (1, [40_000, 1]), (3, [0, 1]), (3, [1, 0])] {
            assert_eq!(size(unit, resolution), None, "{unit} {resolution:?}");
        }
        assert_eq!(of_resolution(&page(1, [4, 1]), 8, 1.0), Some([0.25, 0.25]));
    }
}
