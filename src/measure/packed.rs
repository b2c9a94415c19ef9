//! A table as numbers in one piece, which crosses to the page without being copied value by value.

use serde::{Deserialize, Serialize};

use super::table::{Column, FLAG, REGION, REGIONS, Table, Value};
use crate::error::{Error, Result};

/// What [`Table`] has, with a number for each value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackedTable {
    pub columns: Vec<Column>,
    /// Row by row, 8 bytes a value, IEEE 754 and little-endian: NaN where it is undefined, 1 for true, and for the region that
    /// was measured 0 for a box and 1 for a mask.
    #[serde(with = "serde_bytes")]
    pub values: Vec<u8>,
}

impl PackedTable {
    pub fn of(table: &Table) -> Self {
        let number = |value: &Value| match value {
            Value::Number(number) => *number,
            Value::Flag(flag) => f64::from(u8::from(*flag)),
            Value::Text(text) => REGIONS.iter().position(|region| region == text).map_or(f64::NAN, |at| at as f64),
            Value::Missing => f64::NAN,
        };
        let values = table.rows().iter().flatten().flat_map(|value| number(value).to_le_bytes()).collect();
        Self { columns: table.columns().to_vec(), values }
    }

    /// The table again.
    ///
    /// # Errors
    /// Bytes that are not whole rows.
    pub fn unpack(&self) -> Result<Table> {
        let (values, rest) = self.values.as_chunks::<8>();
        let mut table = Table::new(self.columns.clone());
        if !rest.is_empty() || (self.columns.is_empty() && !values.is_empty()) {
            return Err(Error::Usage("a table of measurements has half a row".to_owned()));
        }
        let rows = values.chunks_exact(self.columns.len().max(1));
        if !rows.remainder().is_empty() {
            return Err(Error::Usage("a table of measurements has half a row".to_owned()));
        }
        let value = |(column, bytes): (&Column, &[u8; 8])| {
            let number = f64::from_le_bytes(*bytes);
            match column.name.as_str() {
                _ if !number.is_finite() => Value::Missing,
                FLAG => Value::Flag(number != 0.0),
                REGION => REGIONS.get(number as usize).map_or(Value::Missing, |region| Value::from(*region)),
                _ => Value::from(number),
            }
        };
        for row in rows {
            table.push(self.columns.iter().zip(row).map(value).collect());
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Options, Plane, Samples, measure};
    use super::*;
    use crate::boxes::BoxXyxy;
    use crate::masks::Rle;

    #[test]
    fn a_table_comes_back() {
        let bbox = BoxXyxy::new([1.0, 1.0, 4.0, 3.0], 6, 5).unwrap();
        let mask = Rle::from_box(6, 5, [0.0, 0.0, 3.0, 3.0]).unwrap();
        let nothing = Rle::from_bitmap(6, 5, &[false; 30]).unwrap();
        let cells = [Some(&mask), None, Some(&nothing)].map(|mask| Cell { bbox, mask });
        let samples: Vec<u16> = (0..30).collect();
        let plane = Plane { name: "red".into(), samples: Samples::U16(&samples) };
        let table = measure(6, 5, &cells, &[plane], &Options::default()).unwrap();
        let packed = PackedTable::of(&table);
        assert_eq!(packed.unpack().unwrap(), table);
        assert_eq!(PackedTable::of(&Table::default()).unpack().unwrap(), Table::default());
        let cut = PackedTable { values: packed.values[8..].to_vec(), ..packed.clone() };
        assert!(cut.unpack().is_err() && PackedTable { values: vec![1; 9], ..packed }.unpack().is_err());
    }
}
