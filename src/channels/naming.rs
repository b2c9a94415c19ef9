//! Channels by the names that microscopes' programs give to files, where each channel has a file of its own.
//!
//! `NAME_ch00` (Leica), `NAME_C1` and `C1-NAME` (ImageJ), `NAME-DAPI`, `NAME_w1DAPI_s1` (MetaMorph), `NAME_s1_w1GUID`
//! (ImageXpress), `r01c01f01p01-ch1sk1fk1fl1` (Opera, Cell Painting), `NAMEf00d0` (Cellomics). One file says nothing yet: only
//! where the rest of the name occurs with several channels do they make one image.

use std::collections::{BTreeMap, BTreeSet};

use super::file_name::{FileName, Role};
use super::set::Channel;
use crate::limits;

/// Whose way of naming it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    Opera,
    MetaMorph,
    /// `_ch1` and `-ch1`.
    Ch,
    /// `_C1` and `-C1`, which may also be the column of a well.
    C,
    /// `C1-` before the name.
    ImageJ,
    Cellomics,
    Dye,
}

/// What a name says of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    scheme: Scheme,
    /// The name without it, which all channels of an image share.
    stem: String,
    /// As it stands there, from 0 or from 1.
    number: Option<u8>,
    /// The channel whose colour a dye is shown in as a rule.
    dye: Option<u8>,
}

/// Dyes and lights in lower case, and the channel of that colour: red, green, blue, far red, grey (see
/// [`super::Merge::for_channels`]).
const DYES: [(&str, u8); 31] = [
    ("dapi", 3),
    ("hoechst", 3),
    ("bfp", 3),
    ("gfp", 2),
    ("egfp", 2),
    ("yfp", 2),
    ("fitc", 2),
    ("a488", 2),
    ("af488", 2),
    ("alexa488", 2),
    ("rfp", 1),
    ("tritc", 1),
    ("rhodamine", 1),
    ("mcherry", 1),
    ("dsred", 1),
    ("cy3", 1),
    ("txred", 1),
    ("texasred", 1),
    ("a568", 1),
    ("alexa568", 1),
    ("a594", 1),
    ("alexa594", 1),
    ("cy5", 4),
    ("farred", 4),
    ("a647", 4),
    ("alexa647", 4),
    ("brightfield", 7),
    ("bf", 7),
    ("phase", 7),
    ("dic", 7),
    ("trans", 7),
];

fn dye(text: &str) -> Option<u8> {
    let text: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    DYES.iter().find(|(name, _)| *name == text).map(|(_, channel)| *channel)
}

/// The number at the beginning, of at most two digits, and what comes after it.
fn number(text: &str) -> Option<(u8, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    ((1..=2).contains(&digits)).then(|| Some((text[..digits].parse().ok()?, &text[digits..])))?
}

/// The place of the last `needle` (of ASCII letters in lower case), whatever the case in the name.
fn last(stem: &str, needle: &str) -> Option<usize> {
    stem.to_ascii_lowercase().rfind(needle)
}

impl Token {
    fn of(stem: &str) -> Option<Self> {
        Self::opera(stem)
            .or_else(|| Self::metamorph(stem))
            .or_else(|| Self::numbered(stem))
            .or_else(|| Self::before(stem))
            .or_else(|| Self::cellomics(stem))
            .or_else(|| Self::dyed(stem))
            .filter(|token| token.stem.chars().any(char::is_alphanumeric))
    }

    fn new(scheme: Scheme, stem: String, number: u8) -> Self {
        Self { scheme, stem, number: Some(number), dye: None }
    }

    fn opera(stem: &str) -> Option<Self> {
        let at = last(stem, "-ch")?;
        let (channel, rest) = number(&stem[at + 3..])?;
        rest.to_ascii_lowercase()
            .starts_with("sk")
            .then(|| Self::new(Scheme::Opera, format!("{}{rest}", &stem[..at]), channel))
    }

    fn metamorph(stem: &str) -> Option<Self> {
        let at = last(stem, "_w")?;
        let (channel, rest) = number(&stem[at + 2..])?;
        let end = rest.find('_').unwrap_or(rest.len());
        let token = Self::new(Scheme::MetaMorph, format!("{}{}", &stem[..at], &rest[end..]), channel);
        Some(Self { dye: dye(&rest[..end]), ..token })
    }

    fn numbered(stem: &str) -> Option<Self> {
        let endings = [
            ("_channel", Scheme::Ch),
            ("-channel", Scheme::Ch),
            ("_ch", Scheme::Ch),
            ("-ch", Scheme::Ch),
            ("_c", Scheme::C),
            ("-c", Scheme::C),
        ];
        endings.into_iter().find_map(|(ending, scheme)| {
            let at = last(stem, ending)?;
            let (channel, rest) = number(&stem[at + ending.len()..])?;
            rest.is_empty().then(|| Self::new(scheme, stem[..at].to_owned(), channel))
        })
    }

    fn before(stem: &str) -> Option<Self> {
        let (channel, rest) = number(stem.strip_prefix(['C', 'c'])?)?;
        Some(Self::new(Scheme::ImageJ, rest.strip_prefix('-')?.to_owned(), channel))
    }

    fn cellomics(stem: &str) -> Option<Self> {
        let at = last(stem, "d")?;
        let (channel, rest) = number(&stem[at + 1..])?;
        let field = stem[..at].rfind(['f', 'F']).map(|f| &stem[f + 1..at])?;
        let is_field = !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
        (rest.is_empty() && is_field).then(|| Self::new(Scheme::Cellomics, stem[..at].to_owned(), channel))
    }

    fn dyed(stem: &str) -> Option<Self> {
        let at = stem.rfind(['_', '-', ' '])?;
        let dye = dye(&stem[at + 1..])?;
        Some(Self { scheme: Scheme::Dye, stem: stem[..at].to_owned(), number: None, dye: Some(dye) })
    }
}

/// For each path, in Unicode's composed form, the stem of the image of which it is one channel, and which; `None` for a file
/// that is no channel of several.
pub(super) fn channels(paths: &[&str]) -> Vec<Option<(String, Channel)>> {
    let names: Vec<FileName> = paths.iter().map(|path| FileName::parse(path)).collect();
    let token = |name: &FileName| (name.role == Role::Plain).then(|| Token::of(name.whole_stem)).flatten();
    let tokens: Vec<Option<Token>> = names.iter().map(token).collect();
    // Folder, scheme and stem, with the files of that image.
    let mut images: BTreeMap<(&str, Scheme, &str), Vec<usize>> = BTreeMap::new();
    for (i, (name, token)) in names.iter().zip(&tokens).enumerate() {
        if let Some(token) = token {
            images.entry((name.folder, token.scheme, &token.stem)).or_default().push(i);
        }
    }
    // A folder counts its channels from 0 or from 1, in all images alike.
    let mut least: BTreeMap<(&str, Scheme), u8> = BTreeMap::new();
    let mut numbers: BTreeMap<(&str, Scheme, Vec<Option<u8>>), usize> = BTreeMap::new();
    for ((folder, scheme, _), files) in &images {
        let mut of_image: Vec<Option<u8>> = files.iter().filter_map(|i| Some(tokens[*i].as_ref()?.number)).collect();
        of_image.sort_unstable();
        for number in of_image.iter().flatten() {
            let least = least.entry((*folder, *scheme)).or_insert(*number);
            *least = (*least).min(*number);
        }
        *numbers.entry((*folder, *scheme, of_image)).or_default() += 1;
    }
    let mut found: Vec<Option<(String, Channel)>> = vec![None; paths.len()];
    for ((folder, scheme, stem), files) in &images {
        let from_zero = least.get(&(*folder, *scheme)) == Some(&0);
        let tokens: Vec<&Token> = files.iter().filter_map(|i| tokens[*i].as_ref()).collect();
        let Some(channels) = distinct(&tokens, from_zero) else { continue };
        if *scheme == Scheme::C {
            // Once may be chance: wells and cells are counted like that too.
            let mut of_image: Vec<Option<u8>> = tokens.iter().map(|token| token.number).collect();
            of_image.sort_unstable();
            if numbers.get(&(*folder, *scheme, of_image)).is_none_or(|times| *times < 2) {
                continue;
            }
        }
        for (i, channel) in files.iter().zip(channels) {
            found[*i] = Some(((*stem).to_owned(), channel));
        }
    }
    found
}

/// The channels of one image's files: by their dyes, where each has another, else by their numbers; `None` where two have the
/// same, or there is but one.
fn distinct(tokens: &[&Token], from_zero: bool) -> Option<Vec<Channel>> {
    let different = |numbers: Option<Vec<u8>>| {
        let numbers = numbers?;
        let all: BTreeSet<u8> = numbers.iter().copied().collect();
        let usable =
            all.len() == numbers.len() && all.len() > 1 && all.iter().all(|n| (1..=limits::CHANNELS as u8).contains(n));
        usable.then(|| numbers.into_iter().map(Channel::Index).collect())
    };
    let numbered = tokens.iter().map(|token| Some(token.number? + u8::from(from_zero))).collect();
    different(tokens.iter().map(|token| token.dye).collect()).or_else(|| different(numbered))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stem and number of each file's channel; 0 for none.
    fn found(paths: &[&str]) -> Vec<(String, u8)> {
        let number = |channel| if let Channel::Index(n) = channel { n } else { 0 };
        channels(paths).into_iter().map(|one| one.map_or((String::new(), 0), |(stem, c)| (stem, number(c)))).collect()
    }

    #[test]
    fn the_usual_names() {
        for (paths, stem, numbers) in [
            (["p/a_ch00.tif", "p/a_ch01.tif"], "a", [1, 2]),
            (["a-Ch1.tif", "a-Ch3.tif"], "a", [1, 3]),
            (["C1-a.tif", "c2-a.tif"], "a", [1, 2]),
            (["x y-DAPI.tif", "x y-GFP.tif"], "x y", [3, 2]),
            (["a_Hoechst.png", "a_Cy5.png"], "a", [3, 4]),
            (["e_w1DAPI_s1_t1.TIF", "e_w2Alexa 488_s1_t1.TIF"], "e_s1_t1", [3, 2]),
            (["e_w1_s2.tif", "e_w2_s2.tif"], "e_s2", [1, 2]),
            (["P_B02_s1_w1A3F0-11.tif", "P_B02_s1_w2B77C-12.tif"], "P_B02_s1", [1, 2]),
            (["r01c02f03p01-ch1sk1fk1fl1.tiff", "r01c02f03p01-ch5sk1fk1fl1.tiff"], "r01c02f03p01sk1fk1fl1", [1, 5]),
            (["AS_D03f00d0.TIF", "AS_D03f00d2.TIF"], "AS_D03f00", [1, 3]),
        ] {
            let expected: Vec<_> = numbers.map(|n| (stem.to_owned(), n)).to_vec();
            assert_eq!(found(&paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn one_file_of_a_kind_is_an_image_by_itself() {
        for path in ["a_ch00.tif", "C1-a.tif", "a-DAPI.tif", "AS_D03f00d0.TIF", "cell.tif", "_ch1.tif", "a_w1.tif"] {
            assert_eq!(found(&[path, "b/other.tif"])[0].1, 0, "{path}");
        }
        // Nor are other folders its channels, nor the same channel twice, nor more than there can be.
        assert!(found(&["p/a_ch0.tif", "q/a_ch1.tif"]).iter().all(|(_, n)| *n == 0));
        assert!(found(&["a_ch1.tif", "a_ch1.png"]).iter().all(|(_, n)| *n == 0));
        let many: Vec<String> = (1..=9).map(|i| format!("a_ch{i}.tif")).collect();
        assert!(found(&many.iter().map(String::as_str).collect::<Vec<_>>()).iter().all(|(_, n)| *n == 0));
    }

    #[test]
    fn columns_of_a_plate_are_no_channels() {
        assert!(found(&["plate_C1.tif", "plate_C2.tif", "plate_C3.tif"]).iter().all(|(_, n)| *n == 0));
        let sets = found(&["a_C1.tif", "a_C2.tif", "b_C1.tif", "b_C2.tif"]);
        assert_eq!(sets, [("a", 1), ("a", 2), ("b", 1), ("b", 2)].map(|(s, n)| (s.to_owned(), n)));
    }

    #[test]
    fn all_images_of_a_folder_count_from_the_same_number() {
        let sets = found(&["a_ch0.tif", "a_ch1.tif", "b_ch1.tif", "b_ch2.tif"]);
        assert_eq!(sets, [("a", 1), ("a", 2), ("b", 2), ("b", 3)].map(|(s, n)| (s.to_owned(), n)));
    }
}
