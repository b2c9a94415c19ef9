//! `measurements.csv` and `measurements-summary.csv` of a folder, one image in memory at a time.
//!
//! The header names the channels of all images, which are not known before the last one; until then the tables wait in a file
//! beside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::csv::{Csv, ImageTable, field, united, write_rows};
use super::summary::Summary;
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
    /// One row a cell.
    pub const CELLS: &'static str = "measurements.csv";
    /// One row for each class of an image, and for all.
    pub const SUMMARY: &'static str = "measurements-summary.csv";
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
        let [cells, summary] = [Self::CELLS, Self::SUMMARY].map(|name| self.out.join(name));
        let [cells_part, summary_part] = [&cells, &summary].map(|path| path.with_extension("csv.part"));
        let create = |path: &PathBuf| File::create(path).map(BufWriter::new).map_err(|e| Error::io(path, e));

        let front = ["image", "folder"].map(str::to_owned);
        let header = front.into_iter().chain(self.columns.iter().map(Column::header)).collect();
        let mut cells_csv = Csv::new(create(&cells_part)?, header)?;
        let mut totals = Summary::new(&self.columns);
        let mut summary_csv = Csv::new(create(&summary_part)?, totals.header())?;
        let waiting = File::open(&path).map_err(|e| Error::io(&path, e))?;
        for line in BufReader::new(waiting).split(b'\n') {
            let line = line.map_err(|e| Error::io(&path, e))?;
            let table: ImageTable = serde_json::from_slice(&line).map_err(|e| Error::io(&path, e))?;
            write_rows(&mut cells_csv, &self.columns, &table)?;
            for row in totals.of_image(&table) {
                summary_csv.line(row.iter().map(field))?;
            }
        }
        for row in totals.of_all() {
            summary_csv.line(row.iter().map(field))?;
        }
        cells_csv.finish()?;
        summary_csv.finish()?;
        for (part, whole) in [(cells_part, cells), (summary_part, summary)] {
            fs::rename(part, &whole).map_err(|e| Error::io(&whole, e))?;
        }
        fs::remove_file(&path).map_err(|e| Error::io(&path, e))
    }
}
