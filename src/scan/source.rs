use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use crate::{
    channels::ImageEntry,
    error::{Error, Result},
};

/// What an image is on the disk. Another folder may hold other images under the same names, and a file may change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source(pub(super) Vec<SourceFile>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct SourceFile {
    /// From the root of the disk.
    pub path: String,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

impl Source {
    /// # Errors
    /// A file that is not there any more.
    pub fn of(entry: &ImageEntry) -> Result<Self> {
        let file = |path: &Path| -> std::io::Result<SourceFile> {
            let metadata = fs::metadata(path)?;
            let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(SourceFile { path: Self::place(path)?, bytes: metadata.len(), modified: since.as_nanos() as u64 })
        };
        let files = entry.files.iter().map(|f| Path::new(&f.file));
        files.map(|path| file(path).map_err(|e| Error::io(path, e))).collect::<Result<_>>().map(Self)
    }

    /// A file from the root of the disk, links as they are.
    pub(super) fn place(file: &Path) -> std::io::Result<String> {
        Ok(std::path::absolute(file)?.to_string_lossy().into_owned())
    }

    /// Its first file, from the root of the disk.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(|file| file.path.as_str())
    }

    /// Its files, from the root of the disk.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|file| PathBuf::from(&file.path)).collect()
    }
}
