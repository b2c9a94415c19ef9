//! The journal of a scan: what is done, and what was found.
//!
//! A scan over thousands of images must survive a closed laptop. Every finished image is one line of a journal in the
//! output folder; the next scan goes on behind it. Result files are made from the journal, so memory does not grow with
//! the number of images.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use crate::{
    channels::{BitDepth, ImageEntry, Merge},
    detections::ImageDetections,
    error::{Error, Result},
    export,
};

const JOURNAL: &str = "cytobox-scan.jsonl";
/// What a journal was begun with; results of other settings are not mixed into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSettings {
    /// SHA-256 of the detector file.
    pub model: String,
    pub score: f32,
    pub merge: Option<Merge>,
    /// What counts as full brightness in 16-bit images.
    #[serde(default)]
    pub bit_depth: Option<BitDepth>,
}

/// What an image is on the disk. Another folder may hold other images under the same names, and a file may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source(Vec<SourceFile>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SourceFile {
    /// From the root of the disk.
    path: String,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Source {
    /// # Errors
    /// A file that is not there any more.
    pub fn of(entry: &ImageEntry) -> Result<Self> {
        let file = |path: &Path| -> std::io::Result<SourceFile> {
            let metadata = fs::metadata(path)?;
            let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let path = std::path::absolute(path)?.to_string_lossy().into_owned();
            Ok(SourceFile { path, bytes: metadata.len(), modified: since.as_nanos() as u64 })
        };
        let files = entry.files.iter().map(|f| Path::new(&f.file));
        files.map(|path| file(path).map_err(|e| Error::io(path, e))).collect::<Result<_>>().map(Self)
    }
}

/// The first line of a journal. Version 1 did not say what the images were.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    #[serde(flatten)]
    settings: ScanSettings,
}

const VERSION: u32 = 2;

/// Every other line.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a Source,
    #[serde(flatten)]
    image: &'a ImageDetections,
}

/// The finished images of a scan, one line each behind a first line with the [`ScanSettings`].
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    done: Done,
}

/// The lines of a journal that hold: where a file of an image has changed, the image's last line does.
#[derive(Debug, Default)]
struct Done {
    /// Lines behind the first one.
    lines: usize,
    /// By line.
    images: BTreeMap<usize, (String, Source)>,
    /// The last line of each file.
    files: HashMap<String, usize>,
}

impl Done {
    fn add(&mut self, image: String, source: Source) {
        for file in &source.0 {
            if let Some(earlier) = self.files.insert(file.path.clone(), self.lines) {
                self.images.remove(&earlier);
            }
        }
        self.images.insert(self.lines, (image, source));
        self.lines += 1;
    }
}

impl Journal {
    /// What the journal of the folder `out` was begun with; `None` where there is none that can be read.
    pub fn begun_with(out: &Path) -> Option<ScanSettings> {
        let mut line = String::new();
        BufReader::new(File::open(out.join(JOURNAL)).ok()?).read_line(&mut line).ok()?;
        serde_json::from_str::<Head>(&line).ok().map(|head| head.settings)
    }

    /// Opens the journal of the folder `out`, or begins one. `force` begins anew whatever is there.
    ///
    /// A last line that a crash cut short is dropped; its image is done again.
    ///
    /// # Errors
    /// [`Error::Usage`] if the journal there was begun with another model, score, merge or bit depth.
    pub fn open(out: &Path, settings: &ScanSettings, force: bool) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
        let path = out.join(JOURNAL);
        if force || !path.exists() {
            let mut file = File::create(&path).map_err(|e| Error::io(&path, e))?;
            write_line(&path, &mut file, &Head { version: VERSION, settings: settings.clone() })?;
        }
        let (done, whole) = Self::read_done(&path, settings)?;
        let mut file = OpenOptions::new().write(true).open(&path).map_err(|e| Error::io(&path, e))?;
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(|e| Error::io(&path, e))?;
        Ok(Self { path, file, done })
    }

    /// The images in the journal and how many of its bytes are whole lines.
    fn read_done(path: &Path, settings: &ScanSettings) -> Result<(Done, u64)> {
        #[derive(Deserialize)]
        struct Known {
            image: String,
            source: Source,
        }
        let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io(path, e))?);
        let mut line = String::new();
        let mut whole = reader.read_line(&mut line).map_err(|e| Error::io(path, e))? as u64;
        let begun = match serde_json::from_str(&line) {
            Ok(Head { version: VERSION, settings }) => settings,
            _ => {
                let sentence =
                    "is not a journal of this version of cytobox; use another --out, or --force to begin anew";
                return Err(Error::Usage(format!("{} {sentence}", path.display())));
            }
        };
        if begun != *settings {
            return Err(Error::Usage(format!(
                "{} was begun with another model, score, merge or bit depth; use another --out, or --force to begin anew",
                path.display()
            )));
        }
        let mut done = Done::default();
        loop {
            line.clear();
            let read = reader.read_line(&mut line).map_err(|e| Error::io(path, e))?;
            match serde_json::from_str::<Known>(&line) {
                Ok(known) if line.ends_with('\n') => done.add(known.image, known.source),
                _ => return Ok((done, whole)),
            };
            whole += read as u64;
        }
    }

    /// Whether this very image is done: the same files, unchanged.
    pub fn is_done(&self, source: &Source) -> bool {
        let line = source.0.first().and_then(|file| self.done.files.get(&file.path));
        line.and_then(|line| self.done.images.get(line)).is_some_and(|(_, known)| known == source)
    }

    /// The name for an image that is called `name`: with its folder where another image of the scan has that name, and
    /// with a number where that is taken as well.
    pub fn name_for(&self, name: &str, source: &Source) -> String {
        let paths: HashSet<&str> = source.0.iter().map(|file| file.path.as_str()).collect();
        // An image whose files have changed keeps its name.
        let others = self.done.images.values().filter(|(_, known)| !known.0.iter().any(|f| paths.contains(&*f.path)));
        let taken: HashSet<&str> = others.map(|(name, _)| name.as_str()).collect();
        let folder = source.0.first().and_then(|file| Path::new(&file.path).parent()?.file_name());
        let long = folder.map(|folder| format!("{}/{name}", folder.to_string_lossy()));
        let numbered = (2..).map(|n| format!("{name} ({n})"));
        let mut candidates = std::iter::once(name.to_owned()).chain(long).chain(numbered);
        // The numbers never end.
        candidates.find(|name| !taken.contains(name.as_str())).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.done.images.len()
    }

    pub fn is_empty(&self) -> bool {
        self.done.images.is_empty()
    }

    /// Adds a finished image; it is on the disk when this returns. `source` is from before its files were read.
    pub fn push(&mut self, image: &ImageDetections, source: Source) -> Result<()> {
        write_line(&self.path, &mut self.file, &Line { source: &source, image })?;
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))?;
        self.done.add(image.image.clone(), source);
        Ok(())
    }

    /// The finished images in the order in which they were done; a journal that can no longer be opened is one error.
    pub fn images(&self) -> Box<dyn Iterator<Item = Result<ImageDetections>> + '_> {
        let open = || -> std::io::Result<_> {
            let mut reader = BufReader::new(File::open(&self.path)?);
            reader.skip_until(b'\n')?;
            Ok(reader)
        };
        match open() {
            Ok(reader) => {
                let all = export::read_jsonl(&self.path.display().to_string(), reader).enumerate();
                Box::new(all.filter(|(line, _)| self.done.images.contains_key(line)).map(|(_, image)| image))
            }
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
        ScanSettings { model: "abc".into(), score: 0.7, merge: None, bit_depth: None }
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

    fn source(path: &str, bytes: u64) -> Source {
        Source(vec![SourceFile { path: path.into(), bytes, modified: 1_700_000_000_000_000_001 }])
    }

    fn push(journal: &mut Journal, name: &str) {
        journal.push(&image(name), source(&format!("/plate/{name}.png"), 1)).unwrap();
    }

    fn is_done(journal: &Journal, name: &str) -> bool {
        journal.is_done(&source(&format!("/plate/{name}.png"), 1))
    }

    fn names(journal: &Journal) -> Vec<String> {
        journal.images().map(|image| image.unwrap().image).collect()
    }

    #[test]
    fn a_scan_goes_on_behind_a_line_that_was_cut_short() {
        let out = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(out.path(), &settings(), false).unwrap();
        push(&mut journal, "a");
        push(&mut journal, "b");
        let path = out.path().join(JOURNAL);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();

        let mut journal = Journal::open(out.path(), &settings(), false).unwrap();
        assert!(is_done(&journal, "a") && !is_done(&journal, "b"));
        push(&mut journal, "c");
        assert_eq!(names(&journal), ["a", "c"]);
    }

    #[test]
    fn other_settings_are_refused_and_force_begins_anew() {
        let out = tempfile::tempdir().unwrap();
        push(&mut Journal::open(out.path(), &settings(), false).unwrap(), "a");
        let other = ScanSettings { score: 0.5, ..settings() };
        assert_eq!(Journal::open(out.path(), &other, false).unwrap_err().code(), "usage");
        assert!(Journal::open(out.path(), &other, true).unwrap().is_empty());
    }

    #[test]
    fn a_scan_keeps_the_bit_depth_that_it_was_begun_with() {
        let out = tempfile::tempdir().unwrap();
        assert_eq!(Journal::begun_with(out.path()), None);
        let deep = ScanSettings { bit_depth: BitDepth::new(12).ok(), ..settings() };
        push(&mut Journal::open(out.path(), &deep, false).unwrap(), "a");
        assert_eq!(Journal::begun_with(out.path()), Some(deep));
        let other = ScanSettings { bit_depth: BitDepth::new(14).ok(), ..settings() };
        assert!(Journal::open(out.path(), &other, false).unwrap_err().to_string().contains("bit depth"));
    }

    #[test]
    fn a_journal_of_an_earlier_version_is_left_as_it_is() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join(JOURNAL);
        let old = "{\"model\":\"abc\",\"score\":0.7,\"merge\":null}\n{\"image\":\"a\"}\n";
        fs::write(&path, old).unwrap();
        assert_eq!(Journal::open(out.path(), &settings(), false).unwrap_err().code(), "usage");
        assert_eq!(fs::read_to_string(&path).unwrap(), old);
    }

    #[test]
    fn images_of_one_name_are_told_apart_and_a_changed_file_is_done_again() {
        let out = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(out.path(), &settings(), false).unwrap();
        push(&mut journal, "a");
        push(&mut journal, "b");
        let (other, changed) = (source("/other/a.png", 1), source("/plate/a.png", 2));
        assert!(!journal.is_done(&other) && !journal.is_done(&changed));
        assert_eq!(journal.name_for("a", &other), "other/a");
        assert_eq!(journal.name_for("a", &changed), "a");
        journal.push(&image("other/a"), other.clone()).unwrap();
        journal.push(&image("a"), changed.clone()).unwrap();
        assert_eq!(journal.name_for("a", &source("/3/other/a.png", 1)), "a (2)");
        for journal in [&journal, &Journal::open(out.path(), &settings(), false).unwrap()] {
            assert!(journal.is_done(&other) && journal.is_done(&changed) && !is_done(journal, "a"));
            assert_eq!(names(journal), ["b", "other/a", "a"]);
        }
    }
}
