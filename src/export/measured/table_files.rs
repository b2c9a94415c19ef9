//! The tables of a folder, one image in memory at a time.
//!
//! The header names the channels of all images, which are not known before the last one; until then the tables wait in a file
//! beside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::csv::{ImageTable, united};
use super::tables::{CELLS, SUMMARY, write_tables};
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::measure::{Column, Table};

/// The files that are being written.
pub struct TableFiles {
    out: PathBuf,
    detector: String,
    waiting: BufWriter<File>,
    columns: Vec<Column>,
}

impl TableFiles {
    const WAITING: &'static str = "measurements.part";

    /// In the folder `out`; `detector` is the hash of the detector file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(out: &Path, detector: &str) -> Result<Self> {
        let path = out.join(Self::WAITING);
        let waiting = File::create(&path).map_err(|e| Error::io(&path, e))?;
        let detector = detector.to_owned();
        Ok(Self { out: out.to_owned(), detector, waiting: BufWriter::new(waiting), columns: Vec::new() })
    }

    /// Adds what was measured of one image, whose rows are its detections.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn add(&mut self, image: &ImageDetections, table: Table) -> Result<()> {
        let path = self.out.join(Self::WAITING);
        let table = ImageTable::new(image, &self.detector, table);
        united(&mut self.columns, table.table.columns());
        let mut line = serde_json::to_vec(&table).map_err(|e| Error::io(&path, e))?;
        line.push(b'\n');
        self.waiting.write_all(&line).map_err(|e| Error::io(&path, e))
    }

    /// Writes both files, which appear under their names when they are whole.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> Result<()> {
        let path = self.out.join(Self::WAITING);
        self.waiting.flush().map_err(|e| Error::io(&path, e))?;
        let [cells, summary] = [CELLS, SUMMARY].map(|name| self.out.join(name));
        let [cells_part, summary_part] = [&cells, &summary].map(|path| path.with_extension("csv.part"));
        let create = |path: &PathBuf| File::create(path).map(BufWriter::new).map_err(|e| Error::io(path, e));
        let lines = BufReader::new(File::open(&path).map_err(|e| Error::io(&path, e))?).split(b'\n');
        let tables = lines.map(|line| {
            let line = line.map_err(|e| Error::io(&path, e))?;
            serde_json::from_slice(&line).map_err(|e| Error::io(&path, e))
        });
        write_tables(&self.columns, tables, create(&cells_part)?, create(&summary_part)?)?;
        for (part, whole) in [(cells_part, cells), (summary_part, summary)] {
            fs::rename(part, &whole).map_err(|e| Error::io(&whole, e))?;
        }
        fs::remove_file(&path).map_err(|e| Error::io(&path, e))
    }
}
