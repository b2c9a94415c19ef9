//! Checkpoints in a folder: a new file, flushed and renamed, then the manifest with its hash; the newest two are kept.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::checkpoint::{Parts, Store};
use crate::error::{Error, Result};
use crate::limits;

const MANIFEST: &str = "manifest.json";
const BEST: &str = "best.safetensors";
/// A checkpoint that is being written: its name holds its hash, which is known at the end.
const UNNAMED: &str = "checkpoint.part";
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
    async fn put(&mut self, step: u64, mut checkpoint: impl Parts) -> Result<()> {
        let unnamed = self.folder.join(UNNAMED);
        let written = write_parts(&unnamed, &mut checkpoint).await;
        let Ok(sha256) = &written else {
            // The half of a file only takes room that the next one needs.
            drop(fs::remove_file(&unnamed));
            return written.map(drop);
        };
        // A step that is saved again, validated now, does not take the place of the file that the manifest names.
        let file = format!("step-{step:08}-{}.safetensors", &sha256[..8]);
        let path = self.folder.join(&file);
        fs::rename(&unnamed, &path).map_err(|e| Error::io(&path, e))?;
        let sha256 = sha256.clone();
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

/// Writes a file part by part; it is on the disk when this returns. Gives its hash.
async fn write_parts(path: &Path, parts: &mut impl Parts) -> Result<String> {
    let fault = |e| Error::io(path, e);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault)?;
    }
    let (mut file, mut hash) = (File::create(path).map_err(fault)?, Sha256::new());
    while let Some(part) = parts.next().await? {
        hash.update(&part);
        file.write_all(&part).map_err(fault)?;
    }
    file.sync_all().map_err(fault)?;
    Ok(hex(&hash.finalize()))
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
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts that are there already; after them it fails, or ends.
    struct Ready(Vec<Vec<u8>>, bool);

    impl Parts for Ready {
        fn length(&self) -> u64 {
            self.0.iter().map(Vec::len).sum::<usize>() as u64
        }

        async fn next(&mut self) -> Result<Option<Vec<u8>>> {
            match (self.0.is_empty(), self.1) {
                (false, _) => Ok(Some(self.0.remove(0))),
                (true, false) => Ok(None),
                (true, true) => Err(Error::Training("not a number".into())),
            }
        }
    }

    #[test]
    fn a_checkpoint_that_fails_on_the_way_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FolderStore::new(folder.path());
        pollster::block_on(async {
            store.put(1, Ready(vec![vec![1; 10], vec![2; 10]], false)).await.unwrap();
            let failed = store.put(2, Ready(vec![vec![3; 10]], true)).await.unwrap_err();
            assert!(failed.to_string().contains("not a number"));
            assert_eq!(store.latest().await.unwrap(), Some([vec![1; 10], vec![2; 10]].concat()));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a checkpoint and the manifest");
        });
    }

    #[test]
    fn two_checkpoints_are_kept_and_a_broken_one_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FolderStore::new(folder.path());
        pollster::block_on(async {
            assert_eq!(store.latest().await.unwrap(), None);
            for step in 1..=3u8 {
                store.put(u64::from(step), Ready(vec![vec![step; 60], vec![step; 40]], false)).await.unwrap();
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
