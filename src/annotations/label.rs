//! Names of classes: the rule that every label keeps, and the Atlas's own list.

use serde::{Deserialize, Deserializer};

use crate::limits;

/// The 28 classes of the Human Protein Atlas image classification of 2018, by their code.
pub const HPA_CLASSES: [&str; 28] = [
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Peroxisomes",
    "Endosomes",
    "Lysosomes",
    "Intermediate filaments",
    "Actin filaments",
    "Focal adhesion sites",
    "Microtubules",
    "Microtubule ends",
    "Cytokinetic bridge",
    "Mitotic spindle",
    "Microtubule organizing center",
    "Centrosome",
    "Lipid droplets",
    "Plasma membrane",
    "Cell junctions",
    "Mitochondria",
    "Aggresome",
    "Cytosol",
    "Cytoplasmic bodies",
    "Rods & rings",
];

/// The 19 classes of the Human Protein Atlas single-cell classification of 2021, by their code.
pub const HPA_CLASSES_2021: [&str; 19] = [
    "Nucleoplasm",
    "Nuclear membrane",
    "Nucleoli",
    "Nucleoli fibrillar center",
    "Nuclear speckles",
    "Nuclear bodies",
    "Endoplasmic reticulum",
    "Golgi apparatus",
    "Intermediate filaments",
    "Actin filaments",
    "Microtubules",
    "Mitotic spindle",
    "Centrosome",
    "Plasma membrane",
    "Mitochondria",
    "Aggresome",
    "Cytosol",
    "Vesicles and punctate cytosolic patterns",
    "Negative",
];

/// The label without spaces round it, or what is wrong with it.
///
/// A label is shown on the page, written into XML and tables, and kept in detector files: 1 to
/// [`limits::LABEL_CHARS`] characters, none that is invisible or turns the direction of text.
pub fn check(text: &str) -> Result<String, String> {
    let label = text.trim();
    if label.is_empty() {
        return Err("has no label".to_owned());
    }
    let chars = label.chars().count();
    if chars > limits::LABEL_CHARS {
        return Err(format!("has a label of {chars} characters; at most {} are taken", limits::LABEL_CHARS));
    }
    if let Some(c) = label.chars().find(|c| is_forbidden(*c)) {
        return Err(format!("has a label with the invisible character U+{:04X}", u32::from(c)));
    }
    Ok(label.to_owned())
}

/// Control characters, marks that turn the direction of text (UAX #9), line separators and what XML cannot hold.
pub(super) fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// For serde: a label that keeps the rule.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    check(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The same where there may be none.
pub fn deserialize_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let label = Option::<String>::deserialize(deserializer)?;
    label.map(|label| check(&label).map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_visible() {
        assert_eq!(check(" Living Cell\n"), Ok("Living Cell".to_owned()));
        assert_eq!(check("<b onload=alert(1)>"), Ok("<b onload=alert(1)>".to_owned()), "text is text");
        assert_eq!(check("ядро 核"), Ok("ядро 核".to_owned()));
        assert!(check(&"é".repeat(128)).is_ok());
        for bad in ["", "  \t", "a\0b", "a\nb", "a\u{202e}b", "a\u{2066}b", "a\u{200f}b", "a\u{85}b", &"é".repeat(129)]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
