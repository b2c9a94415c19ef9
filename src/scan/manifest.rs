//! What a shard says of itself beside its journal: which share of which whole it is.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Called, Names, ScanSettings, Shard, Source};
use crate::{
    channels::{Groups, ImageEntry, Pages},
    error::{Error, Result},
    export::MeasuredFormat,
    files,
    measure::Ring,
};

const MANIFEST: &str = "cytobox-shard.json";

/// What all shards of a detection have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// The version of cytobox.
    pub version: String,
    /// The folder that names are below, from the root of the disk.
    pub root: String,
    /// How many images all shards have together.
    pub images: usize,
    /// SHA-256 of the keys of all images ([`Names::key`]) in their order, each with a line feed behind it.
    pub listing: String,
    #[serde(flatten)]
    pub settings: ScanSettings,
    /// Without the background, in the detector's order.
    pub classes: Vec<String>,
    #[serde(flatten)]
    pub results: Results,
}

/// The files that are made of a detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Names of formats.
    pub formats: Vec<String>,
    /// Whether COCO and JSON lines have measurements too.
    pub with_measurements: bool,
    /// The distances of [`Ring`].
    pub ring: [u32; 2],
    /// In µm, instead of what the files state.
    pub pixel_size: Option<f64>,
    /// Missing channels are black.
    pub fill_missing: bool,
    pub pages: Pages,
}

impl Results {
    pub fn ring_of(ring: Ring) -> [u32; 2] {
        [ring.inner(), ring.outer()]
    }

    /// Whether one of the files says what was measured of the cells.
    pub fn needs_tables(&self) -> bool {
        let needs = |format: &String| format.parse().is_ok_and(MeasuredFormat::needs_samples);
        self.with_measurements || self.formats.iter().any(needs)
    }
}

/// An image of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardImage {
    /// Its number among all images, from 0.
    pub at: usize,
    /// [`Names::key`].
    pub key: String,
    /// As in [`Called`].
    pub image: String,
    /// As in [`Called`].
    pub file: String,
    /// Its first file from the root of the disk; empty where none can be used.
    pub source: String,
}

/// All images of a detection, in their order.
pub struct Listing<'a> {
    pub images: Vec<Listed<'a>>,
}

/// One of all images.
pub struct Listed<'a> {
    pub entry: &'a ImageEntry,
    /// [`Names::key`].
    pub key: String,
}

impl<'a> Listing<'a> {
    pub fn new(groups: &'a Groups, names: &Names) -> Self {
        let listed = |entry: &'a ImageEntry| Listed { entry, key: names.key(entry) };
        Self { images: groups.images.iter().map(listed).collect() }
    }

    /// [`Whole::listing`].
    pub fn digest(&self) -> String {
        digest(self.images.iter().map(|image| image.key.as_str()))
    }

    /// The images of one shard.
    pub fn share(&self, shard: Shard) -> impl Iterator<Item = &'a ImageEntry> {
        self.images.iter().filter(move |image| shard.holds(&image.key)).map(|image| image.entry)
    }
}

pub(super) fn digest<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for key in keys {
        hash.update(key.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file beside a shard's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub shard: Shard,
    #[serde(flatten)]
    pub whole: Whole,
    /// Files and folders that could not be read when the images were listed; what they hold is in no shard.
    pub unreadable: Vec<String>,
    #[serde(rename = "share")]
    pub(super) images: Vec<ShardImage>,
}

impl Manifest {
    /// # Errors
    /// The working folder cannot be found out.
    pub fn new(shard: Shard, whole: Whole, listing: &Listing, names: &Names, unreadable: Vec<String>) -> Result<Self> {
        let mut images = Vec::new();
        for (at, listed) in listing.images.iter().enumerate().filter(|(_, listed)| shard.holds(&listed.key)) {
            let Called { image, file, .. } = names.of(listed.entry);
            let source = match listed.entry.files.first() {
                Some(first) => {
                    Source::place(Path::new(&first.file)).map_err(|e| Error::io(Path::new(&first.file), e))?
                }
                None => String::new(),
            };
            images.push(ShardImage { at, key: listed.key.clone(), image, file, source });
        }
        Ok(Self { shard, whole, unreadable, images })
    }

    /// The manifest in the folder `out`; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, or is of another version of cytobox.
    pub fn read(out: &Path) -> Result<Option<Self>> {
        let path = out.join(MANIFEST);
        if !path.exists() {
            return Ok(None);
        }
        let found = serde_json::from_slice(&files::read_file(&path)?);
        found.map(Some).map_err(|e| Error::io(&path, format!("it is not of this version of cytobox: {e}")))
    }

    /// Writes it into the folder `out`, whose journal must be open.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, out: &Path) -> Result<()> {
        let path = out.join(MANIFEST);
        let bytes = serde_json::to_vec(self).map_err(|e| Error::io(&path, e))?;
        files::write_file(&path, &bytes)
    }
}
