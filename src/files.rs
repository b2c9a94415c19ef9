//! Files and folders on the disk: the images under some paths, and reading and writing whole files.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    channels::{self, FileHead, Groups, Ignored},
    error::{Error, Result},
    limits,
};

/// The images under some paths.
#[derive(Debug, Default)]
pub struct Found {
    pub groups: Groups,
    /// Files and folders that are there and cannot be read; whatever they hold is missing from `groups`.
    pub unreadable: Vec<Ignored>,
}

/// The files under `paths`, grouped into images. A folder is read with all that lies under it, hidden files aside. What
/// cannot be read in it does not keep the rest from being found.
///
/// # Errors
/// One of `paths` that does not exist.
pub fn find_images(paths: &[PathBuf]) -> Result<Found> {
    let mut walk = Walk::default();
    for path in paths {
        fs::metadata(path).map_err(|e| Error::io(path, e))?;
        walk.visit(path);
    }
    let Walk { mut files, mut ignored, mut unreadable, .. } = walk;
    files.sort();
    files.dedup();
    let mut heads = Vec::new();
    for path in &files {
        let mut head = Vec::new();
        match File::open(path).and_then(|file| file.take(channels::HEAD_BYTES as u64).read_to_end(&mut head)) {
            Ok(_) => {
                let name = path.to_string_lossy().into_owned();
                heads.push(FileHead { kind: channels::sniff_named(&name, &head), name });
            }
            Err(e) => unreadable.push(left_out(path, &e)),
        }
    }
    let mut groups = channels::group(&heads);
    groups.ignored.append(&mut ignored);
    Ok(Found { groups, unreadable })
}

fn left_out(path: &Path, reason: &dyn std::fmt::Display) -> Ignored {
    Ignored { file: path.display().to_string(), reason: reason.to_string() }
}

/// What was met on the way through folders.
#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    ignored: Vec<Ignored>,
    unreadable: Vec<Ignored>,
    /// The folders above the one that is being read; a link to one of them would go round for ever.
    above: Vec<PathBuf>,
}

impl Walk {
    fn visit(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                if let Err(e) = self.folder(path) {
                    self.unreadable.push(left_out(path, &e));
                }
            }
            Ok(metadata) if metadata.is_file() => self.files.push(path.to_owned()),
            // Reading a pipe would wait for somebody to write.
            Ok(_) => self.ignored.push(left_out(path, &"it is neither a file nor a folder")),
            Err(e) => self.unreadable.push(left_out(path, &e)),
        }
    }

    fn folder(&mut self, path: &Path) -> std::io::Result<()> {
        let place = path.canonicalize()?;
        if self.above.contains(&place) {
            self.ignored.push(left_out(path, &"it leads back to a folder above it"));
            return Ok(());
        }
        let entries = fs::read_dir(path)?;
        self.above.push(place);
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_name().to_string_lossy().starts_with('.') => {}
                Ok(entry) => self.visit(&entry.path()),
                Err(e) => self.unreadable.push(left_out(path, &e)),
            }
        }
        self.above.pop();
        Ok(())
    }
}

/// Reads a whole file that is at most [`limits::FILE_BYTES`] long.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, limits::FILE_BYTES)
}

/// Reads a whole detector file, which may have [`limits::DETECTOR_BYTES`].
pub fn read_detector(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, limits::DETECTOR_BYTES)
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    limits::check(&path.display().to_string(), "the file's size in bytes", length, limit)?;
    fs::read(path).map_err(|e| Error::io(path, e))
}

/// Writes a file so that a reader never sees half of it: a neighbour first, then a rename.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_never_half_written() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("folder/file.txt");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(out.path().join("folder")).unwrap().count(), 1);
    }
}
