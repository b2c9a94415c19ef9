//! Samples of a TIFF file that become 32-bit floating point: those with a sign, with a fraction, and of more than 16 bits.
//!
//! 8 and 16 bits and 32-bit floating point keep their value. Whole numbers beyond 2²⁴ and 64-bit floating point are rounded to
//! seven digits.

use ::tiff::decoder::DecodingResult;
use half::f16;

/// What the bits of a sample are (TIFF 6.0, SampleFormat).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Unsigned,
    Signed,
    Float,
}

/// The samples `from..from + out.len()` of decoded ones; `false` where there are fewer.
pub(super) fn reals(data: &DecodingResult, from: usize, out: &mut [f32]) -> bool {
    let range = from..from + out.len();
    macro_rules! copied {
        ($data:expr, $real:expr) => {
            $data.get(range).map(|from| out.iter_mut().zip(from).for_each(|(to, from)| *to = $real(*from))).is_some()
        };
    }
    match data {
        DecodingResult::U8(data) => copied!(data, f32::from),
        DecodingResult::U16(data) => copied!(data, f32::from),
        DecodingResult::U32(data) => copied!(data, |v: u32| v as f32),
        DecodingResult::U64(data) => copied!(data, |v: u64| v as f32),
        DecodingResult::I8(data) => copied!(data, f32::from),
        DecodingResult::I16(data) => copied!(data, f32::from),
        DecodingResult::I32(data) => copied!(data, |v: i32| v as f32),
        DecodingResult::I64(data) => copied!(data, |v: i64| v as f32),
        DecodingResult::F16(data) => copied!(data, f16::to_f32),
        DecodingResult::F32(data) => copied!(data, |v: f32| v),
        DecodingResult::F64(data) => copied!(data, |v: f64| v as f32),
    }
}

/// One sample of as many bytes as there are, as it lies in a file.
#[cfg(not(target_arch = "wasm32"))]
fn real(bytes: &[u8], coding: Coding, little: bool) -> Option<f32> {
    macro_rules! number {
        ($kind:ty) => {{
            let bytes = bytes.try_into().ok()?;
            if little { <$kind>::from_le_bytes(bytes) } else { <$kind>::from_be_bytes(bytes) }
        }};
    }
    Some(match (coding, bytes.len()) {
        (Coding::Unsigned, 1) => number!(u8).into(),
        (Coding::Unsigned, 2) => number!(u16).into(),
        (Coding::Unsigned, 4) => number!(u32) as f32,
        (Coding::Unsigned, 8) => number!(u64) as f32,
        (Coding::Signed, 1) => number!(i8).into(),
        (Coding::Signed, 2) => number!(i16).into(),
        (Coding::Signed, 4) => number!(i32) as f32,
        (Coding::Signed, 8) => number!(i64) as f32,
        (Coding::Float, 2) => number!(f16).to_f32(),
        (Coding::Float, 4) => number!(f32),
        (Coding::Float, 8) => number!(f64) as f32,
        _ => return None,
    })
}

/// A sample as [`super::decode`] gives it.
#[cfg(not(target_arch = "wasm32"))]
pub(super) trait Sample: Copy + Default {
    /// The samples `from..from + out.len()` of decoded ones; `false` where there are fewer or others.
    fn copy(result: &DecodingResult, from: usize, out: &mut [Self]) -> bool;
    fn from_bytes(bytes: &[u8], coding: Coding, little: bool) -> Self;
}

#[cfg(not(target_arch = "wasm32"))]
impl Sample for u8 {
    fn copy(result: &DecodingResult, from: usize, out: &mut [u8]) -> bool {
        let DecodingResult::U8(v) = result else { return false };
        v.get(from..from + out.len()).map(|from| out.copy_from_slice(from)).is_some()
    }

    fn from_bytes(bytes: &[u8], _: Coding, _: bool) -> u8 {
        bytes[0]
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Sample for u16 {
    fn copy(result: &DecodingResult, from: usize, out: &mut [u16]) -> bool {
        let DecodingResult::U16(v) = result else { return false };
        v.get(from..from + out.len()).map(|from| out.copy_from_slice(from)).is_some()
    }

    fn from_bytes(bytes: &[u8], _: Coding, little: bool) -> u16 {
        let pair = [bytes[0], bytes[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Sample for f32 {
    fn copy(result: &DecodingResult, from: usize, out: &mut [f32]) -> bool {
        reals(result, from, out)
    }

    fn from_bytes(bytes: &[u8], coding: Coding, little: bool) -> f32 {
        // `Page::read` lets no other coding through.
        real(bytes, coding, little).unwrap_or(f32::NAN)
    }
}
