use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Called, Source,
    done::{Done, read_source},
    lock::FolderLock,
};
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
    lock: FolderLock,
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
        Self::open_telling(out, settings, force, &mut |_| {})
    }

    /// As [`Self::open`]; `say` is told of the lock of another process, while it is waited for and when it is taken over.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_telling(out: &Path, settings: &ScanSettings, force: bool, say: &mut dyn FnMut(&str)) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
        let lock = FolderLock::take(out, say)?;
        let path = out.join(JOURNAL);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&path).map_err(|e| Error::io(&path, e))?;
        let mut journal = Self { path, file, lock, end: 0, done: Done::default() };
        if !force {
            journal.read(settings)?;
        }
        if journal.end == 0 {
            journal.append(&Head { version: VERSION, settings: settings.clone() })?;
            journal.sync()?;
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
    /// [`Error::Io`], of a full disk or a folder that was removed for instance; the journal is then as it was.
    /// [`Error::Usage`] if another process has taken the folder.
    pub fn push(&mut self, image: &ImageDetections, source: Source) -> Result<()> {
        let before = self.end;
        self.add(image, &source)?;
        if let Err(error) = self.sync() {
            self.cut(before);
            return Err(error);
        }
        self.done.add(image, &source);
        Ok(())
    }

    /// As [`Self::push`], without waiting for the disk: for what can be made again.
    pub(super) fn push_unsynced(&mut self, image: &ImageDetections, source: Source) -> Result<()> {
        self.add(image, &source)?;
        self.done.add(image, &source);
        Ok(())
    }

    /// Each line with the place where it begins, and the settings of the first; for who reads a journal that another
    /// process may own. What stands behind the last whole line is left out.
    pub(super) fn lines(out: &Path) -> Result<(ScanSettings, Lines)> {
        let path = out.join(JOURNAL);
        let mut lines = Lines::open(path.clone())?;
        let head = lines.next().transpose()?.map(|(_, line)| serde_json::from_slice::<Head>(&line));
        match head {
            Some(Ok(Head { version: VERSION, settings })) => Ok((settings, lines)),
            _ => Err(Error::Usage(format!("{} is not a journal of this version of cytobox", path.display()))),
        }
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    fn add(&mut self, image: &ImageDetections, source: &Source) -> Result<()> {
        self.lock.check()?;
        // Of a file that was removed, what is written to it vanishes without an error.
        fs::metadata(&self.path).map_err(|e| Error::io(&self.path, e))?;
        self.append(&Line { source, image })
    }

    fn append<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::io(&self.path, e))?;
        line.push(b'\n');
        let file = &mut self.file;
        let written = file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(&line));
        if let Err(error) = written {
            self.cut(self.end);
            return Err(Error::io(&self.path, error));
        }
        self.end += line.len() as u64;
        Ok(())
    }

    /// Half a line would spoil the next one. Where not even this works, the next line is written over it.
    fn cut(&mut self, end: u64) {
        let _ = self.file.set_len(end);
        self.end = end;
    }

    /// Makes room for so many more images.
    pub fn expect(&mut self, images: usize) {
        self.done.expect(images);
    }

    /// Where the files of each of [`Journal::images`] lie.
    pub fn sources(&self) -> Box<dyn Iterator<Item = Result<Source>> + Send + '_> {
        self.each(|line| read_source(line).ok_or_else(|| "it does not say which image it is of".to_owned()))
    }

    /// The finished images in the order in which they were done; a journal that can no longer be opened is one error.
    pub fn images(&self) -> Box<dyn Iterator<Item = Result<ImageDetections>> + Send + '_> {
        self.each(export::read_jsonl_line)
    }

    fn each<'a, T: Send + 'a>(
        &'a self,
        read: impl Fn(&[u8]) -> Result<T, String> + Send + 'a,
    ) -> Box<dyn Iterator<Item = Result<T>> + Send + 'a> {
        let lines = match Lines::open(self.path.clone()) {
            Ok(lines) => lines,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let lines = lines.skip(1).enumerate().filter(|(at, line)| line.is_err() || self.done.has_line(*at));
        Box::new(lines.map(move |(_, line)| read(&line?.1).map_err(|reason| Error::io(&self.path, reason))))
    }
}

/// The whole lines of a file, each with the place where it begins.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    at: u64,
}

impl Lines {
    pub fn open(path: PathBuf) -> Result<Self> {
        let reader = BufReader::new(File::open(&path).map_err(|e| Error::io(&path, e))?);
        Ok(Self { path, reader, at: 0 })
    }

    /// Where the next line begins.
    pub fn place(&self) -> u64 {
        self.at
    }

    /// The line that begins there.
    pub fn at(&mut self, place: u64) -> Result<Vec<u8>> {
        let moved = self.reader.seek_relative(place as i64 - self.at as i64);
        moved.map_err(|e| Error::io(&self.path, e))?;
        self.at = place;
        let reason = "the file is shorter than it was a moment ago";
        self.next().transpose()?.map(|(_, line)| line).ok_or_else(|| Error::io(&self.path, reason))
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Err(e) => Some(Err(Error::io(&self.path, e))),
            Ok(length) if line.pop() == Some(b'\n') => {
                let began = self.at;
                self.at += length as u64;
                Some(Ok((began, line)))
            }
            Ok(_) => None,
        }
    }
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
