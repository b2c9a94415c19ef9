//! Tables of measurements as CSV: a header with units, a number as short as it can be read back, an empty cell for what is
//! undefined.

use std::io::Write;

use csv::{Writer, WriterBuilder};
use serde::{Deserialize, Serialize};

use super::tables::MeasuredCells;
use crate::annotations::{csv::guarded, reference};
#[cfg(not(target_arch = "wasm32"))]
use crate::detections::ImageDetections;
use crate::error::{Error, Result};
use crate::measure::{Column, Table, Value};

/// The measurements of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ImageTable {
    /// Its file without folders, and the folder below the one that was scanned.
    pub image: String,
    pub folder: String,
    /// Class and score stand in front of what was measured.
    pub table: Table,
}

/// Where the class stands in the table of an [`ImageTable`].
pub(super) const CLASS: usize = 1;

impl ImageTable {
    /// The page has no detections at hand here, but what was measured of them.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(image: &ImageDetections, detector: &str, table: Table) -> Self {
        let cell = |i: usize| image.detections.get(i).map(|d| (i as u32 + 1, d.label.as_str(), d.score));
        Self::with(&image.image, &image.file, detector, cell, table)
    }

    /// # Errors
    /// A table with half a row.
    pub fn of(cells: &MeasuredCells) -> Result<Self> {
        let MeasuredCells { image, file, detector, numbers, labels, scores, table } = cells;
        let cell = |i: usize| Some((*numbers.get(i)?, labels.get(i)?.as_str(), *scores.get(i)?));
        Ok(Self::with(image, file, detector, cell, table.unpack()?))
    }

    /// `cell` gives the number, class and score of a row.
    fn with<'a>(
        image: &str,
        file: &str,
        detector: &str,
        cell: impl Fn(usize) -> Option<(u32, &'a str, f32)>,
        table: Table,
    ) -> Self {
        let path = reference::path(file, image);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let front = ["cell", "class", "score", "detector"].map(|name| Column::new(name, None));
        let of = |i: usize| {
            let Some((number, label, score)) = cell(i) else { return Vec::new() };
            let score = Value::from(super::score(score));
            vec![Value::from(f64::from(number)), Value::from(label), score, Value::from(detector)]
        };
        let table = table.behind(front.to_vec(), of);
        Self { image: name.to_owned(), folder: folder.to_owned(), table }
    }
}

/// The columns of all tables, each behind the one that it follows in its own table: images may differ in their channels.
pub(super) fn united(columns: &mut Vec<Column>, more: &[Column]) {
    let mut behind = 0;
    for column in more {
        match columns.iter().position(|known| known == column) {
            Some(at) => behind = at + 1,
            None => {
                columns.insert(behind, column.clone());
                behind += 1;
            }
        }
    }
}

/// Where the values of each column stand in the rows of a table, if it has them.
pub(super) fn places(columns: &[Column], table: &Table) -> Vec<Option<usize>> {
    columns.iter().map(|column| table.columns().iter().position(|own| own == column)).collect()
}

/// Writes a table line by line.
pub(super) struct Csv<W: Write>(Writer<W>);

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub fn new(out: W, header: Vec<String>) -> Result<Self> {
        let mut this = Self(WriterBuilder::new().from_writer(out));
        this.line(header)?;
        Ok(this)
    }

    pub fn line(&mut self, fields: impl IntoIterator<Item = String>) -> Result<()> {
        self.0.write_record(fields).map_err(|e| failed(&e))
    }

    /// # Errors
    /// A disk that is full, for instance.
    pub fn finish(mut self) -> Result<()> {
        self.0.flush().map_err(|e| failed(&e))
    }
}

fn failed(reason: &dyn std::fmt::Display) -> Error {
    Error::Io { path: "table of measurements".to_owned(), reason: reason.to_string() }
}

/// A text so that no spreadsheet runs it.
pub(super) fn text(text: &str) -> String {
    guarded(text).into_owned()
}

pub(super) fn field(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Text(found) => text(found),
        Value::Missing => String::new(),
    }
}

/// The rows of one image below the header `image`, `folder` and `columns`.
pub(super) fn write_rows<W: Write>(csv: &mut Csv<W>, columns: &[Column], of: &ImageTable) -> Result<()> {
    let places = places(columns, &of.table);
    for row in of.table.rows() {
        let values = places.iter().map(|at| at.and_then(|at| row.get(at)).map(field).unwrap_or_default());
        csv.line([text(&of.image), text(&of.folder)].into_iter().chain(values))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<Column> {
        names.iter().map(|name| Column::new(name, None)).collect()
    }

    #[test]
    fn columns_of_images_with_other_channels_find_their_place() {
        let mut all = Vec::new();
        united(&mut all, &columns(&["area", "red", "blue"]));
        united(&mut all, &columns(&["area", "area in µm", "red", "green", "blue"]));
        united(&mut all, &columns(&["grey"]));
        assert_eq!(all, columns(&["grey", "area", "area in µm", "red", "green", "blue"]));
    }

    #[test]
    fn numbers_can_be_read_back() {
        for number in [0.1 + 0.2, 1e-7, 1e20, 12.0, -0.5] {
            assert_eq!(field(&Value::from(number)).parse(), Ok(number));
        }
        assert_eq!([Value::Missing, Value::from("=1+1"), Value::Flag(true)].map(|v| field(&v)), ["", "'=1+1", "true"]);
    }
}
