//! What became of every tensor of a file.

use serde::{Deserialize, Serialize};

/// Names are torchvision's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// Tensors that the detector took.
    pub loaded: Vec<String>,
    /// Tensors that the detector needs and the file lacks, or has in another shape; they were drawn at random.
    pub missing: Vec<String>,
    /// Tensors of the file that the detector has no place for.
    pub unexpected: Vec<String>,
    /// Sentences for people.
    pub warnings: Vec<String>,
}

impl LoadReport {
    /// One line.
    pub fn summary(&self) -> String {
        format!(
            "{} tensors loaded, {} missing, {} unexpected",
            self.loaded.len(),
            self.missing.len(),
            self.unexpected.len()
        )
    }
}

/// The first few names, and how many more there are.
pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
