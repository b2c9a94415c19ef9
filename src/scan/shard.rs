//! A share of the images of a detection, for machines that do not know of each other.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// The `number`-th of so many shards, from 1; written `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// # Errors
    /// No shards, or a number that is not from 1 to `of`.
    pub fn new(number: u32, of: u32) -> Result<Self> {
        if (1..=of).contains(&number) {
            return Ok(Self { number, of });
        }
        Err(Error::Usage(format!("{number}/{of} is not a shard; 2/8 is the second of eight")))
    }

    pub fn number(self) -> u32 {
        self.number
    }

    /// How many shards there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// All shards of a detection in so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// The shard, of so many, that an image belongs to. `key` is the path of its first file below the root, with `/` between
    /// its parts ([`super::Names::key`]).
    ///
    /// The first eight bytes of the key's SHA-256 as a big-endian number, modulo the number of shards, count the shards from
    /// 0. The key is UTF-8 in composed form (NFC), so every system finds the same share. No other image has a say, so adding
    /// one moves none.
    pub fn of_key(key: &str, of: u32) -> Self {
        let hash = Sha256::digest(key.nfc().collect::<String>().as_bytes());
        let first = hash.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let of = of.max(1);
        // Less than `of`.
        Self { number: (first % u64::from(of)) as u32 + 1, of }
    }

    /// Whether the image of that key belongs to the shard.
    pub fn holds(self, key: &str) -> bool {
        Self::of_key(key, self.of) == self
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let (number, of) =
            numbers.ok_or_else(|| Error::Usage(format!("{text:?} is not a shard; 2/8 is the second of eight")))?;
        Self::new(number, of)
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_in_one_shard_and_the_shares_are_alike() {
        // Digits that occur twice have fooled simpler hashes.
        let paths: Vec<String> = (0..4000).map(|i| format!("f{i:04}/f{i:04}.png")).collect();
        for of in [1, 2, 3, 8] {
            let sizes: Vec<usize> =
                Shard::all(of).map(|shard| paths.iter().filter(|path| shard.holds(path)).count()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), paths.len());
            let fair = paths.len() / of as usize;
            assert!(sizes.iter().all(|size| size.abs_diff(fair) < fair / 6), "{sizes:?}");
        }
    }

    /// Shards that were begun with another version must be found again: the numbers are those of
    /// `printf %s plate/f01.png | sha256sum`.
    #[test]
    fn the_share_does_not_change() {
        let number = |path: &str, of| Shard::all(of).find(|shard| shard.holds(path)).unwrap().number();
        let sha = u64::from_str_radix("001102697907b15d", 16).unwrap();
        for of in [2, 7, 100] {
            assert_eq!(u64::from(number("plate/f01.png", of)), sha % u64::from(of) + 1);
        }
        assert_eq!(number("caf\u{e9}.png", 1000), number("cafe\u{301}.png", 1000));
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", ""] {
            assert_eq!(text.parse::<Shard>().unwrap_err().code(), "usage", "{text}");
        }
        let shard: Shard = serde_json::from_str("\"2/3\"").unwrap();
        assert_eq!((shard.number(), shard.of(), shard.to_string().as_str()), (2, 3, "2/3"));
    }
}
