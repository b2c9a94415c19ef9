//! Checkpoints in a folder: a new file, flushed and renamed, then the manifest with its hash; the newest two are kept.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::checkpoint::Store;
use crate::error::{Error, Result};
use crate::limits;

const MANIFEST: &str = "manifest.json";
const BEST: &str = "best.safetensors";
/// The one before the newest serves when a disk lost the newest.
const KEPT: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    file: String,
    step: u64,
    sha256: String,
}

/// A folder of its own.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: PathBuf,
}

impl FolderStore {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The newest last; none where there is no manifest that can be read.
    fn entries(&self) -> Vec<Entry> {
        let text = fs::read(self.folder.join(MANIFEST)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(file);
        let length = fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
        // Weights, two moments of each, and a little.
        limits::check(file, "its size in bytes", length, 4 * limits::DETECTOR_BYTES)?;
        fs::read(&path).map_err(|e| Error::io(&path, e))
    }
}

impl Store for FolderStore {
    async fn put(&mut self, step: u64, checkpoint: Vec<u8>) -> Result<()> {
        let sha256 = hash(&checkpoint);
        // A step that is saved again, validated now, does not take the place of the file that the manifest names.
        let file = format!("step-{step:08}-{}.safetensors", &sha256[..8]);
        write_durably(&self.folder.join(&file), &checkpoint)?;
        let mut entries = self.entries();
        entries.retain(|e| e.file != file);
        entries.push(Entry { file, step, sha256 });
        let old = entries.split_off(entries.len().saturating_sub(KEPT));
        let (kept, old) = (old, entries);
        let json = serde_json::to_vec_pretty(&kept).map_err(|e| Error::io(&self.folder, e))?;
        write_durably(&self.folder.join(MANIFEST), &json)?;
        for entry in old {
            let path = self.folder.join(&entry.file);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&path, e)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn latest(&mut self) -> Result<Option<Vec<u8>>> {
        let whole = |entry: Entry| self.read(&entry.file).ok().filter(|bytes| hash(bytes) == entry.sha256);
        Ok(self.entries().into_iter().rev().find_map(whole))
    }

    async fn put_best(&mut self, detector: Vec<u8>) -> Result<()> {
        write_durably(&self.folder.join(BEST), &detector)
    }

    async fn best(&mut self) -> Result<Option<Vec<u8>>> {
        if self.folder.join(BEST).exists() { self.read(BEST).map(Some) } else { Ok(None) }
    }

    async fn clear(&mut self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.folder, e)),
            _ => Ok(()),
        }
    }
}

/// The file is whole and on the disk, or it is not there.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|e| Error::io(path, e))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_kept_and_a_broken_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FolderStore::new(folder.path());
        pollster::block_on(async {
            assert_eq!(store.latest().await.unwrap(), None);
            for step in 1..=3u8 {
                store.put(u64::from(step), vec![step; 100]).await.unwrap();
            }
            assert_eq!(store.latest().await.unwrap(), Some(vec![3; 100]));
            let files = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(files, 3, "two checkpoints and the manifest");
            fs::write(folder.path().join(&store.entries()[1].file), [3; 60]).unwrap();
            assert_eq!(store.latest().await.unwrap(), Some(vec![2; 100]));
            // A file that was being written when the machine went off is not in the manifest.
            fs::write(folder.path().join("step-00000004.safetensors.part"), [4; 60]).unwrap();
            assert_eq!(store.latest().await.unwrap(), Some(vec![2; 100]));
            store.clear().await.unwrap();
            assert_eq!(store.latest().await.unwrap(), None);
        });
    }
}
