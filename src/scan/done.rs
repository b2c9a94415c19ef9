//! The finished images of a journal, as far as the next ones need to know them.
//!
//! Of texts only a hash is kept: the memory of a run over a hundred thousand images is that of its images, not of their names.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::{Called, Source, source::SourceFile};
use crate::{detections::ImageDetections, export};

/// The first half of a SHA-256, which no two texts share.
type Key = u128;

/// The lines of a journal that hold: where a file of an image has changed, the image's last line does.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// By line behind the first one; `None` for one that no longer holds.
    lines: Vec<Option<Entry>>,
    /// How many hold.
    count: usize,
    /// The last line of each file.
    files: HashMap<Key, usize>,
    /// The line of each name, and of each file as tables name it. Two forms of one Unicode text are one name.
    names: HashMap<Key, usize>,
    references: HashMap<Key, usize>,
    /// Lines that cannot be read.
    pub unreadable: usize,
}

#[derive(Debug)]
struct Entry {
    image: Key,
    file: Key,
    source: Key,
    limited: Option<Box<(String, usize)>>,
}

impl Done {
    /// Makes room for so many more images, so that memory does not grow while they are done.
    pub fn expect(&mut self, images: usize) {
        self.lines.reserve(images);
        for known in [&mut self.files, &mut self.names, &mut self.references] {
            known.reserve(images);
        }
    }

    /// Takes the next line of the file. One that cannot be read is passed over: its image is done again, those of the
    /// other lines are not.
    pub fn read(&mut self, line: &[u8]) {
        match (export::read_jsonl_line(line), read_source(line)) {
            (Ok(image), Some(source)) => self.add(&image, &source),
            _ => {
                self.lines.push(None);
                self.unreadable += 1;
            }
        }
    }

    pub fn add(&mut self, image: &ImageDetections, source: &Source) {
        let line = self.lines.len();
        for SourceFile { path, .. } in &source.0 {
            if let Some(earlier) = self.files.insert(key(path), line) {
                self.remove(earlier);
            }
        }
        let ImageDetections { image, file, limit_reached, .. } = image;
        let limited = limit_reached.map(|limit| Box::new((image.clone(), limit)));
        let entry = Entry { image: name_key(image), file: name_key(file), source: source_key(source), limited };
        self.names.insert(entry.image, line);
        self.references.insert(entry.file, line);
        self.lines.push(Some(entry));
        self.count += 1;
    }

    fn remove(&mut self, line: usize) {
        let Some(entry) = self.lines.get_mut(line).and_then(Option::take) else { return };
        self.count -= 1;
        for (known, name) in [(&mut self.names, entry.image), (&mut self.references, entry.file)] {
            if known.get(&name) == Some(&line) {
                known.remove(&name);
            }
        }
    }

    /// Whether this very image is done: the same files, unchanged.
    pub fn has(&self, source: &Source) -> bool {
        let line = source.first().and_then(|first| self.files.get(&key(first)));
        let entry = line.and_then(|line| self.lines.get(*line)?.as_ref());
        entry.is_some_and(|entry| entry.source == source_key(source))
    }

    pub fn has_line(&self, line: usize) -> bool {
        self.lines.get(line).is_some_and(Option::is_some)
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Images on which the limit of detections was reached, each with that limit.
    pub fn limited(&self) -> impl Iterator<Item = (&str, usize)> {
        let limited = self.lines.iter().flatten().filter_map(|entry| entry.limited.as_deref());
        limited.map(|(image, limit)| (image.as_str(), *limit))
    }

    /// The name for an image: the first of `wanted` and its longer forms that no other image has; at last with a number.
    /// An image whose files have changed keeps its name.
    pub fn name_for(&self, wanted: &Called, source: &Source) -> Called {
        let own: HashSet<usize> =
            source.0.iter().filter_map(|file| self.files.get(&key(&file.path)).copied()).collect();
        let is_free =
            |known: &HashMap<Key, usize>, name: &str| known.get(&name_key(name)).is_none_or(|line| own.contains(line));
        let free = |c: &Called| is_free(&self.names, &c.image) && is_free(&self.references, &c.file);
        if let Some(found) = std::iter::once(wanted.clone()).chain(wanted.longer()).find(free) {
            return found;
        }
        let numbered = (2..).map(|n| format!("{} ({n})", wanted.image)).find(|name| is_free(&self.names, name));
        // The numbers never end.
        Called { image: numbered.unwrap_or_default(), ..wanted.clone() }
    }
}

/// What the image of a line is on the disk; `None` for a line that cannot be read.
pub(super) fn read_source(line: &[u8]) -> Option<Source> {
    #[derive(Deserialize)]
    struct Known {
        source: Source,
    }
    serde_json::from_slice(line).ok().map(|Known { source }| source)
}

fn key(text: &str) -> Key {
    first_half(Sha256::digest(text.as_bytes()).as_slice())
}

fn name_key(name: &str) -> Key {
    key(&name.nfc().collect::<String>())
}

fn source_key(source: &Source) -> Key {
    let mut hash = Sha256::new();
    for SourceFile { path, bytes, modified, .. } in &source.0 {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path.as_bytes());
        hash.update(bytes.to_le_bytes());
        hash.update(modified.to_le_bytes());
    }
    first_half(hash.finalize().as_slice())
}

fn first_half(hash: &[u8]) -> Key {
    hash.iter().take(16).fold(0, |key, byte| key << 8 | Key::from(*byte))
}
