//! Measurements of cells: shape from the mask, intensities from every channel in its own depth.
//!
//! The definitions are those of scikit-image's `regionprops` (0.26, `skimage/measure/_regionprops.py`); each function says
//! which. `docs/measurements.md` lists them for users. Nothing here knows a detector, a file or the page: [`measure`] takes
//! planes and cells and gives a [`Table`] with units.

mod hull;
mod intensity;
mod packed;
mod perimeter;
mod region;
mod ring;
mod shape;
mod table;

use std::borrow::Cow;

use crate::boxes::BoxXyxy;
use crate::error::{Error, Result};
use crate::masks::Rle;

pub use intensity::Intensity;
pub use packed::PackedTable;
pub use ring::Ring;
pub use shape::{Shape, shape};
pub use table::{Column, Table, Value};

use intensity::intensity;
use region::Region;

/// The samples of one channel, row by row from the top left.
#[derive(Debug, Clone, Copy)]
pub enum Samples<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    F32(&'a [f32]),
}

impl Samples<'_> {
    fn len(&self) -> usize {
        match self {
            Self::U8(samples) => samples.len(),
            Self::U16(samples) => samples.len(),
            Self::F32(samples) => samples.len(),
        }
    }
}

/// One channel as it was recorded, before any merge.
#[derive(Debug, Clone)]
pub struct Plane<'a> {
    /// What the columns of the channel are called.
    pub name: String,
    pub samples: Samples<'a>,
}

/// What is measured: the mask, or the pixels whose centre lies in the box where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    pub bbox: BoxXyxy,
    pub mask: Option<&'a Rle>,
}

impl Cell<'_> {
    /// The pixels that are measured, over a `width` × `height` image.
    ///
    /// # Errors
    /// A mask of another size than the image.
    pub fn pixels(&self, width: u32, height: u32) -> Result<Cow<'_, Rle>> {
        match self.mask {
            Some(mask) if (mask.width(), mask.height()) != (width, height) => {
                let (w, h) = (mask.width(), mask.height());
                Err(Error::Usage(format!("a mask of {w} × {h} pixels does not fit an image of {width} × {height}")))
            }
            Some(mask) => Ok(Cow::Borrowed(mask)),
            None => Rle::from_box(width, height, self.bbox.corners()).map(Cow::Owned),
        }
    }
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Where the background of a cell is measured.
    pub ring: Ring,
    /// The side of a pixel in µm; `None` leaves the columns in µm out.
    pub pixel_size: Option<f64>,
}

/// Measures every cell of an image: one row a cell, in their order.
///
/// Cells that overlap are each measured whole. The ring of a cell has no pixel of any other.
///
/// # Errors
/// A mask or a plane of another size than the image, or a pixel size that is not a positive number.
pub fn measure(width: u32, height: u32, cells: &[Cell], planes: &[Plane], options: &Options) -> Result<Table> {
    let pixels = width as usize * height as usize;
    if let Some(plane) = planes.iter().find(|plane| plane.samples.len() != pixels) {
        let (name, found) = (&plane.name, plane.samples.len());
        return Err(Error::Usage(format!("channel {name} has {found} samples for {width} × {height} pixels")));
    }
    if options.pixel_size.is_some_and(|size| !(size.is_finite() && size > 0.0)) {
        return Err(Error::Usage("the pixel size must be a positive number of µm".to_owned()));
    }
    let mut occupied = vec![false; if planes.is_empty() { 0 } else { pixels }];
    if !planes.is_empty() {
        for cell in cells {
            let pixels = cell.pixels(width, height)?;
            region::mark(&pixels, &mut occupied);
        }
    }
    let mut table = Table::new(table::columns(planes, options.pixel_size.is_some()));
    for cell in cells {
        let mask = cell.pixels(width, height)?;
        let region = Region::new(&mask);
        let shape = region.as_ref().map(shape::of);
        let mut row = table::shape_values(cell, shape.as_ref(), options.pixel_size);
        let around = match &region {
            Some(region) if !planes.is_empty() => options.ring.around(region, width, height, &occupied),
            _ => Vec::new(),
        };
        let inside = region.as_ref().map(|region| region.runs(width)).unwrap_or_default();
        if !planes.is_empty() {
            row.push(Value::from(around.iter().map(|(start, end)| f64::from(end - start)).sum::<f64>()));
        }
        for plane in planes {
            let (inside, around) = (intensity(plane.samples, &inside, width), intensity(plane.samples, &around, width));
            row.extend(table::intensity_values(inside.as_ref(), around.as_ref()));
        }
        table.push(row);
    }
    Ok(table)
}
