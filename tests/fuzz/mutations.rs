//! Deterministic damage to files: the same seed, file and round give the same bytes.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::image_files;

/// Numbers at which sizes, counts and offsets break.
const NUMBERS: [u64; 15] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 53,
    u64::MAX,
];
/// The same for texts, and what stands for no number.
const WORDS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "0.5",
    "8192",
    "65536",
    "2147483648",
    "4294967295",
    "18446744073709551616",
    "1e308",
    "1e999",
    "-1e-320",
    "NaN",
    "inf",
    "",
    "null",
];

/// Damages copies of a file, each time in another way.
pub struct Mutations {
    rng: ChaCha8Rng,
}

impl Mutations {
    /// `stream` tells files apart.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// Damages `bytes` up to four times; `other` is a file to take pieces from.
    pub fn damage(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.once(&mut damaged, other);
        }
        // What a checksum gives away never comes to the code behind it.
        if damaged.starts_with(b"\x89PNG") && self.below(4) > 0 {
            image_files::mend_checksums(&mut damaged);
        }
        damaged
    }

    fn once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
            2 => bytes.truncate(at),
            3 => self.overwrite(bytes, at),
            4 => self.reword(bytes, at),
            // A piece again, elsewhere, or many times in its place.
            5 => {
                let piece = self.piece(bytes);
                let repeated = piece.repeat(1 + self.below(3) * self.below(40));
                bytes.splice(at..at, repeated);
            }
            6 => {
                let end = (at + self.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            7 => {
                let piece = self.piece(other);
                let end = (at + self.below(piece.len() + 1)).min(bytes.len());
                bytes.splice(at..end, piece);
            }
            _ => self.swap_pieces(bytes),
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        let start = self.below(bytes.len());
        let end = (start + 1 + self.below(64)).min(bytes.len());
        bytes[start..end].to_vec()
    }

    /// A binary number of one to eight bytes, of either order.
    fn overwrite(&mut self, bytes: &mut [u8], at: usize) {
        let number = NUMBERS[self.below(NUMBERS.len())];
        let width = 1 << self.below(4);
        let mut written = number.to_le_bytes()[..width].to_vec();
        if self.below(2) == 0 {
            written.reverse();
        }
        bytes[at..].iter_mut().zip(written).for_each(|(byte, new)| *byte = new);
    }

    /// The next decimal number becomes another.
    fn reword(&mut self, bytes: &mut Vec<u8>, from: usize) {
        let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        let Some(start) = bytes[from..].iter().position(is_part).map(|at| from + at) else { return };
        let length = bytes[start..].iter().take_while(|byte| is_part(byte)).count();
        let word = WORDS[self.below(WORDS.len())];
        bytes.splice(start..start + length, word.bytes());
    }

    fn swap_pieces(&mut self, bytes: &mut [u8]) {
        let length = 1 + self.below(16);
        let (a, b) = (self.below(bytes.len()), self.below(bytes.len()));
        for i in 0..length {
            if a + i < bytes.len() && b + i < bytes.len() {
                bytes.swap(a + i, b + i);
            }
        }
    }
}
