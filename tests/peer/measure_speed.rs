//! How long measuring 1,000 cells on four 16-bit channels of 2,048² pixels takes, on one thread.
//!
//! ```text
//! cargo run --release --example measure_speed
//! ```

use cytobox::Result;
use cytobox::boxes::BoxXyxy;
use cytobox::masks::Rle;
use cytobox::measure::{Cell, Options, Plane, Samples, measure};

const SIDE: u32 = 2048;
const CELLS: u32 = 1000;

/// Discs of 40 to 58 pixels on a grid, 63 apart.
fn disc(i: u32) -> Result<Rle> {
    let (x, y, r) = (i % 32 * 63 + 40, i / 32 * 63 + 40, f64::from(20 + i % 10));
    let corner = |k: u32| {
        let angle = f64::from(k) * std::f64::consts::TAU / 48.0;
        [f64::from(x) + r * angle.cos(), f64::from(y) + r * angle.sin()]
    };
    Rle::from_polygons(SIDE, SIDE, &[(0..48).map(corner).collect()])
}

fn main() -> Result<()> {
    let pixel = |seed: u32| move |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 16) as u16;
    let planes: Vec<Vec<u16>> = (0..4).map(|seed| (0..SIDE * SIDE).map(pixel(seed << 20)).collect()).collect();
    let planes: Vec<Plane> =
        planes.iter().map(|plane| Plane { name: "c".into(), samples: Samples::U16(plane) }).collect();
    let masks = (0..CELLS).map(disc).collect::<Result<Vec<Rle>>>()?;
    let mut cells = Vec::new();
    for mask in &masks {
        if let Some(corners) = mask.bbox() {
            cells.push(Cell { bbox: BoxXyxy::try_from(corners.map(|c| c as f32))?, mask: Some(mask) });
        }
    }
    for _ in 0..5 {
        let started = std::time::Instant::now();
        let table = measure(SIDE, SIDE, &cells, &planes, &Options::default())?;
        println!("{} cells: {} ms", table.rows().len(), started.elapsed().as_millis());
    }
    Ok(())
}
