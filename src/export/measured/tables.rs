//! `measurements.csv`, one row a cell, and `measurements-summary.csv`, one row for each class of an image.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::csv::{Csv, ImageTable, field, united, write_rows};
use super::summary::Summary;
use crate::error::Result;
use crate::export::NamedBytes;
use crate::measure::{Column, PackedTable};

/// One row a cell.
pub const CELLS: &str = "measurements.csv";
/// One row for each class of an image, and for all.
pub const SUMMARY: &str = "measurements-summary.csv";

/// Cells of one image, all or some, with what was measured of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredCells {
    /// As in [`crate::ImageDetections`].
    pub image: String,
    /// As in [`crate::ImageDetections`].
    pub file: String,
    /// The hash of the detector file; empty where people annotated.
    pub detector: String,
    /// The number of each cell in its image, from 1.
    pub numbers: Vec<u32>,
    /// The class of each cell.
    pub labels: Vec<String>,
    /// The score of each cell; NaN for what people annotated.
    pub scores: Vec<f32>,
    /// A row a cell.
    pub table: PackedTable,
}

/// Both tables of all images, in memory.
///
/// # Errors
/// A table with half a row.
pub fn tables(images: &[MeasuredCells]) -> Result<Vec<NamedBytes>> {
    let tables = images.iter().map(ImageTable::of).collect::<Result<Vec<_>>>()?;
    let mut columns = Vec::new();
    tables.iter().for_each(|table| united(&mut columns, table.table.columns()));
    let (mut cells, mut summary) = (Vec::new(), Vec::new());
    write_tables(&columns, tables.into_iter().map(Ok), &mut cells, &mut summary)?;
    Ok([(CELLS, cells), (SUMMARY, summary)].map(|(name, bytes)| NamedBytes { name: name.to_owned(), bytes }).into())
}

/// Writes both tables, an image at a time; `columns` are those of all images.
///
/// # Errors
/// Those of `tables` and of writing.
pub(super) fn write_tables(
    columns: &[Column],
    tables: impl Iterator<Item = Result<ImageTable>>,
    cells: impl Write,
    summary: impl Write,
) -> Result<()> {
    let front = ["image", "folder"].map(str::to_owned);
    let header = front.into_iter().chain(columns.iter().map(Column::header)).collect();
    let mut cells = Csv::new(cells, header)?;
    let mut totals = Summary::new(columns);
    let mut summary = Csv::new(summary, totals.header())?;
    for table in tables {
        let table = table?;
        write_rows(&mut cells, columns, &table)?;
        for row in totals.of_image(&table) {
            summary.line(row.iter().map(field))?;
        }
    }
    for row in totals.of_all() {
        summary.line(row.iter().map(field))?;
    }
    cells.finish()?;
    summary.finish()
}
