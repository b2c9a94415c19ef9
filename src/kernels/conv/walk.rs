//! Iterating over the pixels of a grid.

use cubecl::prelude::*;

/// A pixel position that advances without a division: on a software adapter an integer division costs as much as dozens of
/// multiplications.
#[derive(CubeType)]
pub struct Walk {
    column: RuntimeCell<u32>,
    row: RuntimeCell<u32>,
    image: RuntimeCell<u32>,
    columns: u32,
    rows: u32,
}

#[cube]
impl Walk {
    /// Starts at a pixel of images of `rows × columns`.
    pub fn new(pixel: u32, rows: u32, columns: u32) -> Walk {
        Walk {
            column: RuntimeCell::new(pixel % columns),
            row: RuntimeCell::new((pixel / columns) % rows),
            image: RuntimeCell::new(pixel / (columns * rows)),
            columns,
            rows,
        }
    }

    pub fn column(&self) -> u32 {
        self.column.read()
    }

    pub fn row(&self) -> u32 {
        self.row.read()
    }

    pub fn image(&self) -> u32 {
        self.image.read()
    }

    /// Moves to the next pixel.
    pub fn advance(&self) {
        let column = self.column.read() + 1;
        let wraps = column == self.columns;
        self.column.store(select(wraps, 0u32, column));
        let row = self.row.read() + select(wraps, 1u32, 0u32);
        let ends = row == self.rows;
        self.row.store(select(ends, 0u32, row));
        self.image.store(self.image.read() + select(ends, 1u32, 0u32));
    }
}
