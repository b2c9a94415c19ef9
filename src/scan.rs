//! Scanning folders: the images in them, and a journal of what is done.
//!
//! A scan over thousands of images must survive a closed laptop. Every finished image is one line of a journal in the
//! output folder; the next scan goes on behind it. Result files are made from the journal, so memory does not grow with
//! the number of images.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    channels::{self, FileHead, Groups, Merge},
    detections::ImageDetections,
    error::{Error, Result},
    export, limits,
};

const JOURNAL: &str = "cytobox-scan.jsonl";
/// Enough of a file to tell its kind.
const HEAD_BYTES: u64 = 64;

/// The files under `paths`, grouped into images. A folder is read with all that lies under it, hidden files aside.
///
/// # Errors
/// A path that does not exist or cannot be read.
pub fn find_images(paths: &[PathBuf]) -> Result<Groups> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    files.sort();
    files.dedup();
    let heads = files
        .iter()
        .map(|path| {
            let mut head = Vec::new();
            let file = File::open(path).map_err(|e| Error::io(path, e))?;
            file.take(HEAD_BYTES).read_to_end(&mut head).map_err(|e| Error::io(path, e))?;
            let name = path.to_string_lossy().into_owned();
            Ok(FileHead { kind: channels::sniff_named(&name, &head), name })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(channels::group(&heads))
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !metadata.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(|e| Error::io(path, e))? {
        let entry = entry.map_err(|e| Error::io(path, e))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            collect(&entry.path(), into)?;
        }
    }
    Ok(())
}

/// Reads a whole file that is at most [`limits::FILE_BYTES`] long.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    limits::check(&path.display().to_string(), "the file's size in bytes", length, limits::FILE_BYTES)?;
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

/// What a journal was begun with; results of other settings are not mixed into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSettings {
    /// SHA-256 of the detector file.
    pub model: String,
    pub score: f32,
    pub merge: Option<Merge>,
}

/// The finished images of a scan, one line each behind a first line with the [`ScanSettings`].
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    done: BTreeSet<String>,
}

impl Journal {
    /// Opens the journal of the folder `out`, or begins one. `force` begins anew whatever is there.
    ///
    /// A last line that a crash cut short is dropped; its image is done again.
    ///
    /// # Errors
    /// [`Error::Usage`] if the journal there was begun with another model, score or merge.
    pub fn open(out: &Path, settings: &ScanSettings, force: bool) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
        let path = out.join(JOURNAL);
        if force || !path.exists() {
            let mut file = File::create(&path).map_err(|e| Error::io(&path, e))?;
            write_line(&path, &mut file, settings)?;
        }
        let (done, whole) = Self::read_done(&path, settings)?;
        let mut file = OpenOptions::new().write(true).open(&path).map_err(|e| Error::io(&path, e))?;
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file, done })
    }

    /// The images in the journal and how many of its bytes are whole lines.
    fn read_done(path: &Path, settings: &ScanSettings) -> Result<(BTreeSet<String>, u64)> {
        #[derive(Deserialize)]
        struct Name {
            image: String,
        }
        let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
        let mut line = String::new();
        let mut whole = reader.read_line(&mut line).map_err(|e| Error::io(path, e))? as u64;
        let begun: ScanSettings = serde_json::from_str(&line).map_err(|_| {
            Error::Usage(format!("{} is not a scan's journal; use --force to begin anew", path.display()))
        })?;
        if begun != *settings {
            return Err(Error::Usage(format!(
                "{} was begun with another model, score or merge; use another --out, or --force to begin anew",
                path.display()
            )));
        }
        let mut done = BTreeSet::new();
        loop {
            line.clear();
            let read = reader.read_line(&mut line).map_err(|e| Error::io(path, e))?;
            match serde_json::from_str::<Name>(&line) {
                Ok(name) if line.ends_with('\n') => done.insert(name.image),
                _ => return Ok((done, whole)),
            };
            whole += read as u64;
        }
    }

    pub fn is_done(&self, image: &str) -> bool {
        self.done.contains(image)
    }

    pub fn len(&self) -> usize {
        self.done.len()
    }

    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Adds a finished image; it is on the disk when this returns.
    pub fn push(&mut self, image: &ImageDetections) -> Result<()> {
        write_line(&self.path, &mut self.file, image)?;
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))?;
        self.done.insert(image.image.clone());
        Ok(())
    }

    /// The finished images in the order in which they were done; a journal that can no longer be opened is one error.
    pub fn images(&self) -> Box<dyn Iterator<Item = Result<ImageDetections>>> {
        let open = || -> std::io::Result<_> {
            let mut reader = BufReader::new(File::open(&self.path)?);
            reader.skip_until(b'\n')?;
            Ok(reader)
        };
        match open() {
            Ok(reader) => Box::new(export::read_jsonl(&self.path.display().to_string(), reader)),
            Err(e) => Box::new(std::iter::once(Err(Error::io(&self.path, e as std::io::Error)))),
        }
    }
}

fn write_line<T: Serialize>(path: &Path, file: &mut File, value: &T) -> Result<()> {
    let mut writer = BufWriter::new(file);
    serde_json::to_writer(&mut writer, value).map_err(|e| Error::io(path, e))?;
    writer.write_all(b"\n").and_then(|()| writer.flush()).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ScanSettings {
        ScanSettings { model: "abc".into(), score: 0.7, merge: None }
    }

    fn image(name: &str) -> ImageDetections {
        ImageDetections {
            image: name.into(),
            file: format!("{name}.png"),
            width: 8,
            height: 8,
            detections: vec![],
            merge: None,
            filled: vec![],
        }
    }

    #[test]
    fn a_scan_goes_on_behind_a_line_that_was_cut_short() {
        let out = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(out.path(), &settings(), false).unwrap();
        journal.push(&image("a")).unwrap();
        journal.push(&image("b")).unwrap();
        let path = out.path().join(JOURNAL);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();

        let mut journal = Journal::open(out.path(), &settings(), false).unwrap();
        assert!(journal.is_done("a") && !journal.is_done("b"));
        journal.push(&image("c")).unwrap();
        let names: Vec<_> = journal.images().map(|i| i.unwrap().image).collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn other_settings_are_refused_and_force_begins_anew() {
        let out = tempfile::tempdir().unwrap();
        Journal::open(out.path(), &settings(), false).unwrap().push(&image("a")).unwrap();
        let other = ScanSettings { score: 0.5, ..settings() };
        assert_eq!(Journal::open(out.path(), &other, false).unwrap_err().code(), "usage");
        assert!(Journal::open(out.path(), &other, true).unwrap().is_empty());
    }

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
