use std::{
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use crate::{
    channels::{Channel, ChannelFile, EntryState, ImageEntry},
    error::{Error, Result},
};

/// What an image is on the disk. Another folder may hold other images under the same names, and a file may change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source(pub(super) Vec<SourceFile>);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SourceFile {
    /// From the root of the disk.
    pub path: String,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
    /// What the file holds of its image, as far as all files of the scan told: one image alone may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

impl SourceFile {
    fn identity(&self) -> (&str, u64, u64) {
        (&self.path, self.bytes, self.modified)
    }
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for SourceFile {}

impl Hash for SourceFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl Source {
    /// # Errors
    /// A file that is not there any more.
    pub fn of(entry: &ImageEntry) -> Result<Self> {
        let file = |path: &Path, channel| -> std::io::Result<SourceFile> {
            let metadata = fs::metadata(path)?;
            let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(SourceFile {
                path: Self::place(path)?,
                bytes: metadata.len(),
                modified: since.as_nanos() as u64,
                channel,
            })
        };
        let files = entry.files.iter().map(|f| (Path::new(&f.file), f.channel));
        files
            .map(|(path, channel)| file(path, channel).map_err(|e| Error::io(path, e)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// A file from the root of the disk, links as they are.
    pub(super) fn place(file: &Path) -> std::io::Result<String> {
        Ok(std::path::absolute(file)?.to_string_lossy().into_owned())
    }

    /// Its first file, from the root of the disk.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(|file| file.path.as_str())
    }

    /// The channel set that was scanned; `None` for an image by itself. Its missing channels are as they would be found.
    pub fn channel_set(&self, name: &str) -> Option<ImageEntry> {
        let known = |file: &SourceFile| ChannelFile { channel: file.channel, file: file.path.clone() };
        let files: Vec<ChannelFile> = self.0.iter().map(known).collect();
        let channels: Vec<Channel> = files.iter().filter_map(|file| file.channel).collect();
        if channels.is_empty() || channels.len() < files.len() {
            return None;
        }
        let is_of_the_atlas = channels.iter().any(|channel| Channel::HPA.contains(channel));
        let is_missing = |channel: &Channel| is_of_the_atlas && !channels.contains(channel);
        let missing: Vec<Channel> = Channel::HPA.into_iter().filter(is_missing).collect();
        let state = if missing.is_empty() { EntryState::Ready } else { EntryState::NeedsFill };
        let (mask, object_masks, broken, problems) = (None, Vec::new(), Vec::new(), Vec::new());
        Some(ImageEntry { name: name.to_owned(), files, mask, object_masks, state, missing, broken, problems })
    }

    /// Its files, from the root of the disk.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|file| PathBuf::from(&file.path)).collect()
    }
}
