//! The finished images of a journal, as far as the next ones need to know them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::{Called, Source, source::SourceFile};
use crate::{detections::ImageDetections, export};

/// The lines of a journal that hold: where a file of an image has changed, the image's last line does.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Lines behind the first one.
    lines: usize,
    /// By line.
    images: BTreeMap<usize, Entry>,
    /// The last line of each file.
    files: HashMap<String, usize>,
    /// The line of each name, and of each file as tables name it. Two forms of one Unicode text are one name.
    names: HashMap<String, usize>,
    references: HashMap<String, usize>,
    /// Lines that cannot be read.
    pub unreadable: usize,
}

#[derive(Debug)]
struct Entry {
    image: String,
    file: String,
    source: Source,
    limit_reached: Option<usize>,
}

impl Done {
    /// Takes the next line of the file. One that cannot be read is passed over: its image is done again, those of the
    /// other lines are not.
    pub fn read(&mut self, line: &[u8]) {
        #[derive(Deserialize)]
        struct Known {
            source: Source,
        }
        let source = serde_json::from_slice(line).map(|Known { source }| source);
        match (export::read_jsonl_line(line), source) {
            (Ok(image), Ok(source)) => self.add(&image, source),
            _ => {
                self.lines += 1;
                self.unreadable += 1;
            }
        }
    }

    pub fn add(&mut self, image: &ImageDetections, source: Source) {
        for SourceFile { path, .. } in &source.0 {
            if let Some(earlier) = self.files.insert(path.clone(), self.lines) {
                self.remove(earlier);
            }
        }
        let ImageDetections { image, file, limit_reached, .. } = image;
        self.names.insert(composed(image), self.lines);
        self.references.insert(composed(file), self.lines);
        let entry = Entry { image: image.clone(), file: file.clone(), source, limit_reached: *limit_reached };
        self.images.insert(self.lines, entry);
        self.lines += 1;
    }

    fn remove(&mut self, line: usize) {
        let Some(entry) = self.images.remove(&line) else { return };
        for (known, name) in [(&mut self.names, &entry.image), (&mut self.references, &entry.file)] {
            let name = composed(name);
            if known.get(&name) == Some(&line) {
                known.remove(&name);
            }
        }
    }

    /// Whether this very image is done: the same files, unchanged.
    pub fn has(&self, source: &Source) -> bool {
        let line = source.0.first().and_then(|file| self.files.get(&file.path));
        line.and_then(|line| self.images.get(line)).is_some_and(|entry| entry.source == *source)
    }

    pub fn has_line(&self, line: usize) -> bool {
        self.images.contains_key(&line)
    }

    /// In the order of the lines.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.images.values().map(|entry| &entry.source)
    }

    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Images on which the limit of detections was reached, each with that limit.
    pub fn limited(&self) -> impl Iterator<Item = (&str, usize)> {
        self.images.values().filter_map(|entry| Some((entry.image.as_str(), entry.limit_reached?)))
    }

    /// The name for an image: the first of `wanted` and its longer forms that no other image has; at last with a number.
    /// An image whose files have changed keeps its name.
    pub fn name_for(&self, wanted: &Called, source: &Source) -> Called {
        let own: HashSet<usize> = source.0.iter().filter_map(|file| self.files.get(&file.path).copied()).collect();
        let is_free = |known: &HashMap<String, usize>, name: &str| {
            known.get(&composed(name)).is_none_or(|line| own.contains(line))
        };
        let free = |c: &Called| is_free(&self.names, &c.image) && is_free(&self.references, &c.file);
        if let Some(found) = std::iter::once(wanted.clone()).chain(wanted.longer()).find(free) {
            return found;
        }
        let numbered = (2..).map(|n| format!("{} ({n})", wanted.image)).find(|name| is_free(&self.names, name));
        // The numbers never end.
        Called { image: numbered.unwrap_or_default(), ..wanted.clone() }
    }
}

fn composed(name: &str) -> String {
    name.nfc().collect()
}
