use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Called, Source, done::Done};
use crate::{
    channels::{BitDepth, ChannelMap, Merge, SampleRange, StackRule},
    detections::ImageDetections,
    error::{Error, Result},
    export,
};

pub(super) const JOURNAL: &str = "cytobox-scan.jsonl";

/// What a journal was begun with; results of other settings are not mixed into it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScanSettings {
    /// SHA-256 of the detector file.
    pub model: String,
    pub score: f32,
    /// The detector's own threshold came before the score, for the classes that have one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_class: bool,
    pub merge: Option<Merge>,
    /// Which channels stood for which of the detector's, where the user said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<ChannelMap>,
    /// Detections of one image; as many as there are cells when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_detections: Option<usize>,
    /// √(width · height) of the cells in pixels of the images, where the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diameter: Option<f32>,
    /// What counts as full brightness in 16-bit images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<BitDepth>,
    /// What was black and white in samples of any depth, where the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<SampleRange>,
    /// What was read of stacks, where the user said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackRule>,
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
    /// Bytes of whole lines; what stands behind them was cut short.
    end: u64,
    done: Done,
}

impl Journal {
    /// What the journal of the folder `out` was begun with; `None` where there is none that can be read.
    pub fn begun_with(out: &Path) -> Option<ScanSettings> {
        let mut line = String::new();
        BufReader::new(File::open(out.join(JOURNAL)).ok()?).read_line(&mut line).ok()?;
        serde_json::from_str::<Head>(&line).ok().map(|head| head.settings)
    }

    /// Opens the journal of the folder `out`, or begins one. `force` starts over whatever is there.
    ///
    /// A last line that a crash cut short is dropped; its image is done again.
    ///
    /// # Errors
    /// [`Error::Usage`] if the journal there was begun with other settings, or another process writes to it.
    pub fn open(out: &Path, settings: &ScanSettings, force: bool) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
        let path = out.join(JOURNAL);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&path).map_err(|e| Error::io(&path, e))?;
        lock(&file, &path)?;
        let mut journal = Self { path, file, end: 0, done: Done::default() };
        if !force {
            journal.read(settings)?;
        }
        if journal.end == 0 {
            journal.append(&Head { version: VERSION, settings: settings.clone() })?;
        }
        journal.file.set_len(journal.end).map_err(|e| Error::io(&journal.path, e))?;
        Ok(journal)
    }

    /// Reads the whole lines. Nothing is read of a file without one: it was cut short before an image was done.
    fn read(&mut self, settings: &ScanSettings) -> Result<()> {
        let failed = |e: std::io::Error| Error::io(&self.path, e);
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
            if line.pop() != Some(b'\n') {
                return Ok(());
            }
            if self.end == 0 {
                check_head(&line, settings, &self.path)?
            } else {
                self.done.read(&line)
            }
            self.end += length;
        }
    }

    /// Whether this very image is done: the same files, unchanged.
    pub fn is_done(&self, source: &Source) -> bool {
        self.done.has(source)
    }

    /// The name for an image that is called `wanted`: longer by its folders where another image of the journal has that
    /// name or that file, and with a number where that does not help.
    pub fn name_for(&self, wanted: &Called, source: &Source) -> Called {
        self.done.name_for(wanted, source)
    }

    pub fn len(&self) -> usize {
        self.done.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines that cannot be read, and whose images are therefore not done.
    pub fn unreadable(&self) -> usize {
        self.done.unreadable
    }

    /// Images on which the limit of detections was reached, each with that limit.
    pub fn limited(&self) -> impl Iterator<Item = (&str, usize)> {
        self.done.limited()
    }

    /// Adds a finished image; it is on the disk when this returns. `source` is from before its files were read.
    ///
    /// # Errors
    /// [`Error::Io`], of a full disk for instance; the journal is then as it was.
    pub fn push(&mut self, image: &ImageDetections, source: Source) -> Result<()> {
        self.append(&Line { source: &source, image })?;
        self.done.add(image, source);
        Ok(())
    }

    fn append<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::io(&self.path, e))?;
        line.push(b'\n');
        let file = &mut self.file;
        let written = file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(&line));
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            // Half a line would spoil the next one. Where not even this works, the next line is written over it.
            let _ = file.set_len(self.end);
            return Err(Error::io(&self.path, error));
        }
        self.end += line.len() as u64;
        Ok(())
    }

    /// Where the files of each of [`Journal::images`] lie.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.done.sources()
    }

    /// The finished images in the order in which they were done; a journal that can no longer be opened is one error.
    pub fn images(&self) -> Box<dyn Iterator<Item = Result<ImageDetections>> + '_> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) => return Box::new(std::iter::once(Err(Error::io(&self.path, e)))),
        };
        let lines = BufReader::new(file).split(b'\n').skip(1).enumerate();
        let image = |line: std::io::Result<Vec<u8>>| {
            let line = line.map_err(|e| Error::io(&self.path, e))?;
            export::read_jsonl_line(&line).map_err(|reason| Error::io(&self.path, reason))
        };
        Box::new(lines.filter(|(at, _)| self.done.has_line(*at)).map(move |(_, line)| image(line)))
    }
}

/// Two scans that write to one journal would spoil each other's lines.
#[cfg(unix)]
fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "{} is in use: another detection writes to this folder; wait for its end, or use another --out",
            path.display()
        ))),
        // Some network drives know no locks; they are not kept from being used.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// A lock would keep this very process from reading the file there.
#[cfg(not(unix))]
fn lock(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

fn check_head(line: &[u8], settings: &ScanSettings, path: &Path) -> Result<()> {
    let way_out = "use another --out, or --force to start over";
    let path = path.display();
    match serde_json::from_slice(line) {
        Ok(Head { version: VERSION, settings: begun }) if begun == *settings => Ok(()),
        Ok(Head { version: VERSION, .. }) => {
            let reason = "was begun with another model, score, merge or limit of detections";
            Err(Error::Usage(format!("{path} {reason}; {way_out}")))
        }
        _ => Err(Error::Usage(format!("{path} is not a journal of this version of cytobox; {way_out}"))),
    }
}
