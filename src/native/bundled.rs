//! The bundled detectors, and which of them a user means.

use std::path::Path;

use crate::channels::{Channel, ImageEntry};
use crate::protocol::AnnotatedInput;
use crate::{error::Result, files};

/// A bundled detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundled {
    /// What `--model` and `--init` call it.
    pub name: &'static str,
    /// Its file in `models/`.
    pub file: &'static str,
    bytes: &'static [u8],
}

/// Cells of the Human Protein Atlas, with and without nucleoli.
pub const ATLAS: Bundled =
    Bundled { name: "atlas", file: "cells.safetensors", bytes: include_bytes!("../../models/cells.safetensors") };
/// Cells and nuclei of any kind.
pub const GENERAL: Bundled =
    Bundled { name: "general", file: "general.safetensors", bytes: include_bytes!("../../models/general.safetensors") };
/// All of them.
pub const ALL: [Bundled; 2] = [GENERAL, ATLAS];
/// What `--model` and `--init` call the one that fits the images.
pub const DEFAULT: &str = "default";

impl Bundled {
    /// The one for images with these channels each: the Atlas's detector where all have the Atlas's four, else the
    /// general one.
    pub fn for_channels(mut images: impl Iterator<Item = Vec<Channel>>) -> Self {
        if images.all(|channels| Channel::HPA.iter().all(|channel| channels.contains(channel))) {
            ATLAS
        } else {
            GENERAL
        }
    }

    /// [`Self::for_channels`] of a folder's images.
    pub fn for_entries(images: &[ImageEntry]) -> Self {
        Self::for_channels(images.iter().map(|image| image.files.iter().filter_map(|file| file.channel).collect()))
    }

    /// [`Self::for_channels`] of annotated images.
    pub fn for_annotated(images: &[AnnotatedInput]) -> Self {
        let channels = |input: &AnnotatedInput| input.image.files.iter().filter_map(|file| file.file.channel).collect();
        Self::for_channels(images.iter().map(channels))
    }

    /// Its file's name and bytes.
    pub fn read(self) -> (String, Vec<u8>) {
        (self.file.to_owned(), self.bytes.to_vec())
    }
}

/// Name and bytes of a detector: `which` is the name of a bundled one, `default` for the one that `fits` the images, or a
/// file; a file of such a name is meant with its folder, as in `./general`.
///
/// # Errors
/// A file that cannot be read, or is larger than the limit.
pub fn read(which: Option<&Path>, fits: impl FnOnce() -> Bundled) -> Result<(String, Vec<u8>)> {
    let Some(which) = which.filter(|which| *which != Path::new(DEFAULT)) else { return Ok(fits().read()) };
    match ALL.iter().find(|bundled| which == Path::new(bundled.name)) {
        Some(bundled) => Ok(bundled.read()),
        None => Ok((which.display().to_string(), files::read_detector(which)?)),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_manifest_matches_the_bundled_detectors() {
        let manifest: serde_json::Value = serde_json::from_str(include_str!("../../models/manifest.json")).unwrap();
        let entries = manifest.as_array().unwrap();
        assert_eq!(entries.len(), ALL.len());
        for (entry, bundled) in entries.iter().zip(ALL) {
            let hash: String = Sha256::digest(bundled.bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(entry["name"], bundled.name);
            assert_eq!(entry["file"], bundled.file);
            assert_eq!(entry["bytes"], bundled.bytes.len());
            assert_eq!(entry["sha256"], hash, "{}", bundled.file);
        }
    }

    #[test]
    fn the_classes_of_the_bundled_detectors() {
        let classes = |bundled: Bundled| {
            let (name, bytes) = bundled.read();
            crate::weights::describe(&name, &bytes).unwrap().config.classes
        };
        assert_eq!(classes(ATLAS), ["__background__", "not_nucleoli", "nucleoli"].map(str::to_owned));
        assert_eq!(classes(GENERAL), ["__background__", "cell"].map(str::to_owned));
    }

    #[test]
    fn the_images_decide_which_one_is_the_default() {
        use Channel::{Blue, Green, Grey, Red};
        let all = Channel::HPA.as_slice();
        let proposed = |images: &[&[Channel]]| Bundled::for_channels(images.iter().map(|c| c.to_vec())).name;
        assert_eq!(proposed(&[all, all]), "atlas");
        assert_eq!(proposed(&[all, &[Grey]]), "general");
        assert_eq!(proposed(&[&[Red, Green, Blue]]), "general");
        let named = |which: &str| read(Some(Path::new(which)), || ATLAS).map(|(name, _)| name);
        assert_eq!(named("general").unwrap(), "general.safetensors");
        assert_eq!(named("default").unwrap(), "cells.safetensors");
        assert!(named("./general").is_err(), "a file");
    }
}
