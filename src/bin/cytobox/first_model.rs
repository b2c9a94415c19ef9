//! The detector that comes with cytobox, for when none is named.

use std::path::Path;

use cytobox::files;

const NAME: &str = "cells.safetensors";
static BYTES: &[u8] = include_bytes!("../../../models/cells.safetensors");

/// Name and bytes of the detector file, or of the one that comes with the program.
pub fn read(file: Option<&Path>) -> anyhow::Result<(String, Vec<u8>)> {
    match file {
        Some(file) => Ok((file.display().to_string(), files::read_detector(file)?)),
        None => Ok((NAME.to_owned(), BYTES.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_page_is_told_of_the_same_file() {
        let manifest: serde_json::Value = serde_json::from_str(include_str!("../../../models/manifest.json")).unwrap();
        let hash: String = Sha256::digest(BYTES).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(manifest["file"], NAME);
        assert_eq!(manifest["bytes"], BYTES.len());
        assert_eq!(manifest["sha256"], hash);
    }

    #[test]
    fn it_is_a_detector_of_nucleoli() {
        let (name, bytes) = read(None).unwrap();
        let config = cytobox::weights::describe(&name, &bytes).unwrap().config;
        assert_eq!(config.classes, ["__background__", "not_nucleoli", "nucleoli"].map(str::to_owned));
    }
}
