//! What a shard measured, beside its journal: the images need not be read again where shards are joined.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Results, Source, done::read_source, journal::Lines};
use crate::{
    error::{Error, Result},
    measure::{Column, PackedTable, Table},
};

pub(super) const TABLES: &str = "cytobox-measured.jsonl";

/// The first line: how everything behind it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    version: u32,
    ring: [u32; 2],
    pixel_size: Option<f64>,
}

impl Measured {
    pub fn by(results: &Results) -> Self {
        Self { version: 1, ring: results.ring, pixel_size: results.pixel_size }
    }
}

/// Every other line. Numbers are kept to the last bit, which decimal text is not read back to.
#[derive(Serialize, Deserialize)]
struct Line {
    source: Source,
    columns: Vec<Column>,
    values: String,
}

/// The tables of a shard, one line an image behind a first line that says how they were measured.
pub struct ShardTables {
    path: PathBuf,
    file: File,
    end: u64,
    /// By first file.
    known: HashMap<String, Source>,
}

impl ShardTables {
    /// Opens those of the folder `out`, or begins some; `force` starts over, and so does another way of measuring. The
    /// folder's journal must be open.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(out: &Path, results: &Results, force: bool) -> Result<Self> {
        let path = out.join(TABLES);
        let file = OpenOptions::new().write(true).create(true).truncate(force).open(&path);
        let file = file.map_err(|e| Error::io(&path, e))?;
        let mut this = Self { path, file, end: 0, known: HashMap::new() };
        let mut lines = Lines::open(this.path.clone())?;
        let head = lines.next().transpose()?.and_then(|(_, line)| serde_json::from_slice::<Measured>(&line).ok());
        if head.is_some_and(|head| head == Measured::by(results)) {
            for line in lines.by_ref() {
                if let Some((source, first)) = source_of(&line?.1) {
                    this.known.insert(first, source);
                }
            }
            this.end = lines.place();
        } else {
            this.append(&Measured::by(results))?;
        }
        this.file.set_len(this.end).map_err(|e| Error::io(&this.path, e))?;
        Ok(this)
    }

    /// Whether this very image was measured: the same files, unchanged.
    pub fn has(&self, source: &Source) -> bool {
        source.first().and_then(|first| self.known.get(first)).is_some_and(|known| known == source)
    }

    /// # Errors
    /// Those of the disk.
    pub fn push(&mut self, source: &Source, table: &Table) -> Result<()> {
        let PackedTable { columns, values } = PackedTable::of(table);
        self.append(&Line { source: source.clone(), columns, values: STANDARD.encode(values) })
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    fn append<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Error::io(&self.path, e))?;
        line.push(b'\n');
        let file = &mut self.file;
        let written = file.seek(SeekFrom::Start(self.end)).and_then(|_| file.write_all(&line));
        if let Err(error) = written {
            // Half a line would be read as the end of the file.
            let _ = file.set_len(self.end);
            return Err(Error::io(&self.path, error));
        }
        self.end += line.len() as u64;
        Ok(())
    }
}

/// The image of a line, and its first file; `None` for a line that cannot be read.
pub(super) fn source_of(line: &[u8]) -> Option<(Source, String)> {
    let source = read_source(line)?;
    let first = source.first()?.to_owned();
    Some((source, first))
}

/// The table of a line.
pub(super) fn table_of(line: &[u8]) -> Option<Table> {
    let Line { columns, values, .. } = serde_json::from_slice(line).ok()?;
    PackedTable { columns, values: STANDARD.decode(values).ok()? }.unpack().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::source::SourceFile;
    use super::*;
    use crate::channels::Pages;
    use crate::measure::Value;

    fn results(ring: [u32; 2]) -> Results {
        let formats = vec!["measurements".to_owned()];
        Results { formats, with_measurements: false, ring, pixel_size: None, fill_missing: false, pages: Pages::Ask }
    }

    #[test]
    fn tables_come_back_to_the_last_bit_and_a_line_that_was_cut_short_is_dropped() {
        let out = tempfile::tempdir().unwrap();
        let source = |name: &str| {
            Source(vec![SourceFile { path: format!("/p/{name}.png"), bytes: 1, modified: 2, channel: None }])
        };
        let mut table = Table::new(vec![Column::new("area", Some("px²"))]);
        // serde_json reads this one unit in the last place away from what it wrote.
        let numbers = [0.1 + 0.2, 1.0 / 3.0, 5e-324, 9.007_199_254_740_993e18, f64::MAX];
        numbers.into_iter().for_each(|number| table.push(vec![Value::from(number)]));
        let mut tables = ShardTables::open(out.path(), &results([2, 5]), false).unwrap();
        for name in ["a", "b"] {
            tables.push(&source(name), &table).unwrap();
        }
        tables.finish().unwrap();
        let path = out.path().join(TABLES);
        let bytes = fs::read(&path).unwrap();
        let line = bytes.split(|byte| *byte == b'\n').nth(1).unwrap();
        assert_eq!(table_of(line), Some(table));

        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let tables = ShardTables::open(out.path(), &results([2, 5]), false).unwrap();
        assert!(tables.has(&source("a")) && !tables.has(&source("b")));
        assert!(!ShardTables::open(out.path(), &results([2, 6]), false).unwrap().has(&source("a")));
    }
}
