//! Measurements as a table that states its units.

use serde::{Deserialize, Serialize};

use super::{Cell, Intensity, Plane, Shape};

/// One quantity, or one quantity of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// `None` for a text, a truth value or a plain ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `None` for what does not depend on a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

impl Column {
    pub fn new(name: &str, unit: Option<&str>) -> Self {
        Self { name: name.to_owned(), unit: unit.map(str::to_owned), channel: None }
    }

    /// `area [px²]`, `blue mean [grey level]`.
    pub fn header(&self) -> String {
        let channel = self.channel.iter().map(|channel| format!("{channel} "));
        let unit = self.unit.iter().map(|unit| format!(" [{unit}]"));
        channel.chain([self.name.clone()]).chain(unit).collect()
    }
}

/// What stands in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Always finite.
    Number(f64),
    Flag(bool),
    Text(String),
    /// Undefined, such as the mean of no pixels: an empty cell in a table, `null` in JSON.
    Missing,
}

impl Value {
    /// `None` where there is no value or it is not finite.
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// `None` where it is not a text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Missing }
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Missing, Self::from)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Rows of as many values as there are columns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Appends a row; one that is too short ends in missing values.
    pub fn push(&mut self, mut row: Vec<Value>) {
        row.resize(self.columns.len(), Value::Missing);
        self.rows.push(row);
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    /// What stands in a row, by the header of its column; undefined values are left out.
    pub fn named(&self, row: usize) -> impl Iterator<Item = (String, &Value)> {
        let values = self.rows.get(row).into_iter().flatten();
        self.columns.iter().zip(values).filter(|(_, v)| **v != Value::Missing).map(|(c, v)| (c.header(), v))
    }

    /// Puts columns in front, with the values that `of` gives for each row.
    #[must_use]
    pub fn behind(self, columns: Vec<Column>, of: impl Fn(usize) -> Vec<Value>) -> Self {
        let count = columns.len();
        let with = |(i, row): (usize, Vec<Value>)| {
            let mut front = of(i);
            front.resize(count, Value::Missing);
            front.extend(row);
            front
        };
        let rows = self.rows.into_iter().enumerate().map(with).collect();
        Self { columns: columns.into_iter().chain(self.columns).collect(), rows }
    }
}

/// The column that says whether the mask or the box was measured, and what stands in it.
pub(super) const REGION: &str = "region";
pub(super) const REGIONS: [&str; 2] = ["box", "mask"];
/// The column of truth values.
pub(super) const FLAG: &str = "touches border";

const PX: &str = "px";
const PX2: &str = "px²";
/// The unit of samples in the depth of their file.
const GREY: &str = "grey level";

/// What of a shape has a name, a power of length and a value.
fn sized(shape: &Shape) -> [f64; 6] {
    [shape.area, shape.perimeter, shape.equivalent_diameter, shape.major_axis, shape.minor_axis, shape.feret_max]
}

const SIZED: [(&str, i32); 6] = [
    ("area", 2),
    ("perimeter", 1),
    ("equivalent diameter", 1),
    ("major axis", 1),
    ("minor axis", 1),
    ("max Feret diameter", 1),
];

const STATISTICS: [(&str, &str); 6] = [
    ("mean", GREY),
    ("median", GREY),
    ("SD", GREY),
    ("min", GREY),
    ("max", GREY),
    // A sum over pixels of unit area.
    ("integrated", GREY),
];

fn statistics(of: Option<&Intensity>) -> [Value; 6] {
    let all = of.map(|i| [i.mean, i.median, i.standard_deviation, i.min, i.max, i.integrated]);
    all.map_or([const { Value::Missing }; 6], |all| all.map(Value::from))
}

/// The columns of a table for these channels; `in_um` adds those in µm.
pub(super) fn columns(planes: &[Plane], in_um: bool) -> Vec<Column> {
    let mut columns = vec![Column::new(REGION, None), Column::new(FLAG, None)];
    columns.extend(SIZED.map(|(name, power)| Column::new(name, Some(if power == 2 { PX2 } else { PX }))));
    if in_um {
        columns.extend(SIZED.map(|(name, power)| Column::new(name, Some(if power == 2 { "µm²" } else { "µm" }))));
        columns.push(Column::new("pixel size", Some("µm")));
    }
    columns.push(Column::new("orientation", Some("rad")));
    columns.extend(["eccentricity", "solidity", "extent"].map(|name| Column::new(name, None)));
    let places = ["centroid x", "centroid y", "x1", "y1", "x2", "y2"];
    columns.extend(places.map(|name| Column::new(name, Some(PX))));
    if !planes.is_empty() {
        columns.push(Column::new("ring area", Some(PX2)));
    }
    for plane in planes {
        let of = |name: &str, unit| Column { channel: Some(plane.name.clone()), ..Column::new(name, Some(unit)) };
        columns.extend(STATISTICS.map(|(name, unit)| of(name, unit)));
        columns.extend(["weighted centroid x", "weighted centroid y"].map(|name| of(name, PX)));
        columns.extend(STATISTICS.map(|(name, unit)| of(&format!("ring {name}"), unit)));
    }
    columns
}

/// The values up to the ring; without pixels all but the region and the area are missing.
pub(super) fn shape_values(cell: &Cell, shape: Option<&Shape>, pixel_size: Option<f64>) -> Vec<Value> {
    let mut values = vec![Value::from(REGIONS[usize::from(cell.mask.is_some())])];
    let sizes = shape.map(sized);
    values.push(shape.map_or(Value::Missing, |shape| Value::Flag(shape.touches_border)));
    let size = |i: usize| sizes.map_or(if i == 0 { Some(0.0) } else { None }, |sizes| Some(sizes[i]));
    values.extend((0..SIZED.len()).map(|i| Value::from(size(i))));
    if let Some(side) = pixel_size {
        values.extend((0..SIZED.len()).map(|i| Value::from(size(i).map(|value| value * side.powi(SIZED[i].1)))));
        values.push(Value::from(side));
    }
    let Some(shape) = shape else {
        values.extend([const { Value::Missing }; 10]);
        return values;
    };
    values.push(Value::from(shape.orientation));
    values.extend([shape.eccentricity, shape.solidity, shape.extent].map(Value::from));
    values.extend(shape.centroid.map(Value::from));
    values.extend(shape.bbox.map(|corner| Value::from(f64::from(corner))));
    values
}

/// The values of one channel.
pub(super) fn intensity_values(inside: Option<&Intensity>, ring: Option<&Intensity>) -> Vec<Value> {
    let mut values = statistics(inside).to_vec();
    let centroid = inside.and_then(|inside| inside.weighted_centroid);
    values.extend([0, 1].map(|axis| Value::from(centroid.map(|centroid| centroid[axis]))));
    values.extend(statistics(ring));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_state_channel_and_unit() {
        let blue = Column { channel: Some("blue".into()), ..Column::new("mean", Some(GREY)) };
        let headers = [blue, Column::new("area", Some(PX2)), Column::new("solidity", None)].map(|c| c.header());
        assert_eq!(headers, ["blue mean [grey level]", "area [px²]", "solidity"]);
    }

    #[test]
    fn what_is_undefined_is_null() {
        let row = [Value::from(f64::NAN), Value::from(None), Value::from(0.5), Value::Flag(true), Value::from("mask")];
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text, r#"[null,null,0.5,true,"mask"]"#);
        assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap(), row);
    }
}
