//! The bundled detector, used when no other is named.

use std::path::Path;

use crate::{error::Result, files};

const NAME: &str = "cells.safetensors";
static BYTES: &[u8] = include_bytes!("../../models/cells.safetensors");

/// Name and bytes of the detector file, or of the bundled detector.
///
/// # Errors
/// A file that cannot be read, or is larger than the limit.
pub fn read(file: Option<&Path>) -> Result<(String, Vec<u8>)> {
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
    fn the_manifest_matches_the_bundled_detector() {
        let manifest: serde_json::Value = serde_json::from_str(include_str!("../../models/manifest.json")).unwrap();
        let hash: String = Sha256::digest(BYTES).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(manifest["file"], NAME);
        assert_eq!(manifest["bytes"], BYTES.len());
        assert_eq!(manifest["sha256"], hash);
    }

    #[test]
    fn the_bundled_detector_has_the_nucleoli_classes() {
        let (name, bytes) = read(None).unwrap();
        let config = crate::weights::describe(&name, &bytes).unwrap().config;
        assert_eq!(config.classes, ["__background__", "not_nucleoli", "nucleoli"].map(str::to_owned));
    }
}
