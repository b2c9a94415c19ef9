//! The Atlas's tables of image-level labels.

use serde::{Deserialize, Serialize};

use super::table::table;
use crate::annotations::{Parsed, brief, label, names, quote, text};
use crate::error::{Error, Result};
use crate::limits;

/// Image-level labels, as Kaggle's HPA table has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLabels {
    /// The image's name without channel and extension.
    pub image: String,
    pub labels: Vec<String>,
}

/// The two tables of the Atlas: of 2018 with spaces between codes, of 2021 with `|`.
const ATLAS_TABLES: [(&str, &str, char, &[&str]); 2] =
    [("Id", "Target", ' ', &label::HPA_CLASSES), ("ID", "Label", '|', &label::HPA_CLASSES_2021)];

/// Whether the first line is the header of a table of image labels.
pub(in crate::annotations) fn is_image_labels(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let fields: Vec<&str> = line.split([',', ';', '\t']).map(|field| field.trim().trim_matches('"')).collect();
    ATLAS_TABLES.iter().any(|(id, codes, ..)| is_header(fields.iter().copied(), id, codes))
}

fn is_header<'a>(fields: impl Iterator<Item = &'a str>, id: &str, codes: &str) -> bool {
    fields.map(str::to_ascii_lowercase).eq([id.to_ascii_lowercase(), codes.to_ascii_lowercase()])
}

/// Reads the Atlas's `Id,Target` of 2018, where `Target` holds codes of [`label::HPA_CLASSES`] with spaces between, and its
/// `ID,Label` of 2021 with codes of [`label::HPA_CLASSES_2021`] and `|` between. Objects are counted by rows, the header not
/// counted.
///
/// # Errors
/// Not text, another header, or over a cap of [`limits`].
pub fn read_image_labels(file: &str, bytes: &[u8]) -> Result<Parsed<Vec<ImageLabels>>> {
    let mut parsed = Parsed::new(Vec::new());
    let text = text(file, bytes, limits::TABLE_BYTES)?;
    // The codes of the second table have a separator of their own; the header tells that of the fields.
    let mut rows = table(&text).reader.into_records();
    let broken = |e: csv::Error| Error::annotation(file, format!("is broken or no table: {}", brief(e)));
    let header = rows.next().transpose().map_err(broken)?.unwrap_or_default();
    let known = ATLAS_TABLES.iter().find(|(id, codes, ..)| is_header(header.iter(), id, codes));
    let Some((_, _, between, classes)) = known else {
        let reason = "is not a table of image labels: its header is neither \"Id,Target\" nor \"ID,Label\"";
        return Err(Error::annotation(file, reason));
    };
    for (i, row) in rows.enumerate() {
        let row = row.map_err(broken)?;
        let codes = row.get(1).unwrap_or_default().split([*between, ' ']).filter(|code| !code.is_empty());
        let name = |code: &str| code.parse().ok().and_then(|code: usize| classes.get(code)).ok_or(code.to_owned());
        let labels: Result<Vec<String>, String> = codes.map(|code| name(code).map(|n| (*n).to_owned())).collect();
        let image = names::stem(row.get(0).unwrap_or_default());
        match labels {
            _ if image.is_empty() || row.len() != 2 => {
                parsed.reject(file, i + 1, "is not a row of an id and its codes")?
            }
            Ok(labels) => parsed.value.push(ImageLabels { image, labels }),
            Err(code) => {
                let last = classes.len() - 1;
                parsed.reject(file, i + 1, format!("has the code {}; they go from 0 to {last}", quote(&code)))?;
            }
        }
        limits::check(file, "the number of images", i as u64 + 1, limits::TABLE_IMAGES as u64)?;
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kaggle_codes_have_names() {
        let parsed = read_image_labels("train.csv", b"Id,Target\nabc,16 0\ndef,28\nghi,x\n").unwrap();
        assert_eq!(parsed.value.len(), 1);
        assert_eq!(parsed.value[0].labels, ["Cytokinetic bridge", "Nucleoplasm"]);
        assert_eq!(parsed.rejected.len(), 2);
        let parsed = read_image_labels("train.csv", b"ID,Label\nabc,8|5|0\ndef,18\nghi,19\n").unwrap();
        assert_eq!(parsed.value[0].labels, ["Intermediate filaments", "Nuclear bodies", "Nucleoplasm"]);
        assert_eq!((parsed.value[1].labels[0].as_str(), parsed.rejected.len()), ("Negative", 1));
        assert!(read_image_labels("t.csv", b"a,b\n1,2\n").is_err());
        assert!(read_image_labels("t.csv", b"").is_err());
    }
}
