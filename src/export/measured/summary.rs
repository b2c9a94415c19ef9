//! Means and standard deviations over the cells of an image, of a class, and of everything.

use std::collections::BTreeMap;

use super::csv::{CLASS, ImageTable, places};
use crate::measure::{Column, Value};

/// What stands for all images, or all classes.
const ALL: &str = "(all)";

/// Quantities of which a mean over cells says nothing: numbers, places and angles.
const NOT_AVERAGED: [&str; 10] = [
    "cell",
    "orientation",
    "centroid x",
    "centroid y",
    "weighted centroid x",
    "weighted centroid y",
    "x1",
    "y1",
    "x2",
    "y2",
];

/// Count, mean and sum of squared differences from it, value by value (B. P. Welford: Note on a method for calculating
/// corrected sums of squares and products, 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Running {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    fn mean(&self) -> Value {
        Value::from((self.count > 0).then_some(self.mean))
    }

    /// Of a sample: divided by one less than the count.
    fn standard_deviation(&self) -> Value {
        Value::from((self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt()))
    }
}

/// Cells of one class, or of all.
#[derive(Debug, Clone, Default)]
struct Group {
    cells: u64,
    columns: Vec<Running>,
}

impl Group {
    fn add(&mut self, row: &[Value], places: &[Option<usize>]) {
        self.cells += 1;
        self.columns.resize(places.len(), Running::default());
        for (column, place) in self.columns.iter_mut().zip(places) {
            if let Some(value) = place.and_then(|at| row.get(at)).and_then(Value::number) {
                column.add(value);
            }
        }
    }
}

/// By class; `None`, which comes first, is all of them.
type ByClass = BTreeMap<Option<String>, Group>;

/// The summary of a run: rows per image, written immediately, and rows for all images at the end.
pub(super) struct Summary {
    columns: Vec<Column>,
    all: ByClass,
}

impl Summary {
    /// Of tables with these columns; only numbers are averaged.
    pub fn new(columns: &[Column]) -> Self {
        let is_averaged = |column: &&Column| !NOT_AVERAGED.contains(&column.name.as_str());
        Self { columns: columns.iter().filter(is_averaged).cloned().collect(), all: BTreeMap::new() }
    }

    pub fn header(&self) -> Vec<String> {
        let front = ["image", "folder", "class", "cells"].map(str::to_owned);
        let each = |column: &Column| ["mean", "SD"].map(|of| format!("{of}: {}", column.header()));
        front.into_iter().chain(self.numbers().flat_map(each)).collect()
    }

    /// Those columns that can hold numbers.
    fn numbers(&self) -> impl Iterator<Item = &Column> {
        const TEXTS: [&str; 4] = ["class", "detector", "region", "touches border"];
        self.columns.iter().filter(|column| !TEXTS.contains(&column.name.as_str()))
    }

    /// The rows of one image: all of its cells, then each class that occurs.
    pub fn of_image(&mut self, of: &ImageTable) -> Vec<Vec<Value>> {
        let columns: Vec<Column> = self.numbers().cloned().collect();
        let places = places(&columns, &of.table);
        let mut groups = ByClass::from([(None, Group::default())]);
        for row in of.table.rows() {
            let class = row.get(CLASS).and_then(Value::text).unwrap_or_default();
            for name in [None, Some(class.to_owned())] {
                self.all.entry(name.clone()).or_default().add(row, &places);
                groups.entry(name).or_default().add(row, &places);
            }
        }
        rows(&of.image, &of.folder, &groups, columns.len())
    }

    /// The rows of all images together.
    pub fn of_all(&self) -> Vec<Vec<Value>> {
        rows(ALL, "", &self.all, self.numbers().count())
    }
}

fn rows(image: &str, folder: &str, groups: &ByClass, columns: usize) -> Vec<Vec<Value>> {
    let row = |(class, group): (&Option<String>, &Group)| {
        let mut row = [image, folder, class.as_deref().unwrap_or(ALL)].map(Value::from).to_vec();
        row.push(Value::from(group.cells as f64));
        let none = std::iter::repeat_n(&Running { count: 0, mean: 0.0, squares: 0.0 }, columns);
        let each = group.columns.iter().chain(none).take(columns);
        row.extend(each.flat_map(|column| [column.mean(), column.standard_deviation()]));
        row
    };
    groups.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_standard_deviation_of_a_sample() {
        let mut running = Running::default();
        assert_eq!((running.mean(), running.standard_deviation()), (Value::Missing, Value::Missing));
        running.add(2.0);
        assert_eq!((running.mean(), running.standard_deviation()), (Value::Number(2.0), Value::Missing));
        [4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().for_each(|value| running.add(value));
        assert_eq!(running.mean(), Value::Number(5.0));
        let sd = running.standard_deviation().number().unwrap();
        assert!((sd - (32.0f64 / 7.0).sqrt()).abs() < 1e-12, "{sd}");
    }
}
